"""All Pythons that minglibc supports write the same lock (`pytest -m online`, since minglibc is installed for each)."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.oldglibc import Unavailable, interpreter
from tests.support.scenarios import Scenario, load

ROOT = Path(__file__).parents[2]
SCENARIOS = [scenario for scenario in load() if scenario.error is None and len(scenario.targets) > 1]


@pytest.fixture(scope="module", params=["3.12", "3.13"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`minglibc` installed for another Python."""
    try:
        python = interpreter(request.param)
    except Unavailable as reason:
        pytest.skip(str(reason))
    environment = tmp_path_factory.mktemp("environment")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PIP_FIND")}
    subprocess.run([str(python), "-m", "venv", str(environment)], check=True)
    install = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", str(ROOT)]
    subprocess.run(install, check=True, env={**settings, "PIP_CONFIG_FILE": os.devnull})
    return [str(environment / "bin" / "minglibc")]


@pytest.mark.online
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_all_pythons_write_the_same_lock(
    scenario: Scenario, command: list[str], index: IndexServer, tmp_path: Path
) -> None:
    """Another Python writes the same lock of several targets as the one that runs the tests."""
    scenario.serve(index)
    (tmp_path / "pyproject.toml").write_text(scenario.pyproject(index_url=index.url), encoding="utf-8")
    assert 0 == minglibc("lock", "--project", str(tmp_path)).code
    here = (tmp_path / "pylock.toml").read_bytes()
    (tmp_path / "pylock.toml").unlink()
    subprocess.run([*command, "lock", "-q", "--cache-dir", str(tmp_path / "cache")], cwd=tmp_path, check=True)
    assert here == (tmp_path / "pylock.toml").read_bytes()
