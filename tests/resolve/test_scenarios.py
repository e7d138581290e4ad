"""Every scenario in tests/scenarios/ is locked as it says, from a server on loopback."""

from pathlib import Path

import pytest

from minglibc.app.options import CommonOptions
from minglibc.model.targets import Target
from tests.support.commands import minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.installs import check_installs
from tests.support.scenarios import Scenario, load, target_label


def _label(target: Target) -> str:
    return target_label(str(target.python), target.architecture, f"{target.cap.libc}{target.cap}")


@pytest.mark.parametrize("scenario", load(), ids=lambda scenario: scenario.id)
def test_scenario(scenario: Scenario, index: IndexServer, tmp_path: Path) -> None:
    """The lock has the expected versions and wheels for each target and installs, or the command fails as expected."""
    scenario.serve(index)
    (tmp_path / "pyproject.toml").write_text(scenario.pyproject(index_url=index.url), encoding="utf-8")
    ran = minglibc("lock", "--project", str(tmp_path))
    if scenario.error is not None:
        assert scenario.error.exit_code == ran.code, ran.err
        assert [] == [text for text in scenario.error.contains if text not in ran.err], ran.err
        assert not (tmp_path / "pylock.toml").exists()
        return
    assert 0 == ran.code, ran.err
    assert [] == [text for text in scenario.warnings if text not in ran.err], ran.err
    lock = read_lock(tmp_path)
    versions = {_label(target): lock.versions(target) for target in lock.targets}
    assert {label: dict(expected) for label, expected in scenario.expected.items()} == versions
    for target in lock.targets:
        files: dict[str, str] = {package.name: file.filename for package, file in lock.select(target)}
        for name, tail in scenario.wheels.get(_label(target), {}).items():
            expected = ".tar.gz" if tail == "sdist" else f"{tail}.whl"
            assert files[name].endswith(expected), files[name]
    check_installs(CommonOptions(str(tmp_path), index_url=index.url), tmp_path / "environments")
