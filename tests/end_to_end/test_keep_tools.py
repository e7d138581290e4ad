"""The guides for users of other tools, with these tools and the public index."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.model.urls import DEFAULT_INDEX_URL
from tests.repository.test_docs import ROOT, blocks
from tests.support import oldglibc
from tests.support.oldglibc import or_skip, site_packages

pytestmark = [pytest.mark.online, pytest.mark.slow]

# The Python of the guides.
PYTHON = "3.11"
# Not every mirror has the JSON API that Poetry uses for the default index.
SOURCE = f'\n[[tool.poetry.source]]\nname = "simple"\nurl = "{DEFAULT_INDEX_URL}"\npriority = "primary"\n'
UV = os.environ.get("MINGLIBC_TEST_UV") or shutil.which("uv")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables with which the commands of the guides are found."""
    if UV is None:
        pytest.skip("uv is not installed")
    if PYTHON != f"3.{sys.version_info.minor}":
        pytest.skip(f"the guides are for Python {PYTHON}")
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "uv": f'exec {UV} "$@"',
        "poetry": f'exec {UV} tool run poetry "$@"',
        "pip-compile": f'exec {UV} tool run --from pip-tools pip-compile "$@"',
        "minglibc": f'exec {sys.executable} -m minglibc "$@"',
    }
    for name, command in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{command}\n")
        (folder / name).chmod(0o755)
    # No UV_PYTHON: `uv pip` would change that interpreter's environment.
    path = f"{folder}:{sys.base_prefix}/bin:{os.environ['PATH']}"
    return {**oldglibc.ENVIRONMENT, "PATH": path, "MINGLIBC_CACHE_DIR": os.environ["MINGLIBC_CACHE_DIR"]}


def follow(guide: str, folder: Path, environment: dict[str, str]) -> None:
    """Do in *folder* what a guide says."""
    for block in blocks(ROOT / "docs" / "how-to" / guide):
        if "file" in block.marks:
            (folder / block.marks["file"]).write_text(block.body + SOURCE if "poetry" in guide else block.body)
        elif block.language == "sh":
            subprocess.run(["sh", "-e", "-c", block.body], cwd=folder, env=environment, check=True)


@pytest.mark.parametrize("guide", ["keep-uv.md", "keep-poetry.md", "keep-pip-compile.md"])
def test_guide(guide: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Every command of the guide succeeds, and the environment has what the lock has."""
    folder = tmp_path / "gate"
    folder.mkdir()
    follow(guide, folder, environment)
    assert "manylinux_2_34" not in (folder / "pylock.toml").read_text()
    python = folder / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", "import paramiko"], check=True)


@pytest.mark.debian
def test_environment_of_uv_on_an_old_machine(tmp_path: Path, environment: dict[str, str]) -> None:
    """What uv installs from the lock is imported with glibc 2.31; what it installs from its own lock is not."""
    old = or_skip(oldglibc.old_python)
    python39 = or_skip(lambda: oldglibc.interpreter("3.9"))
    guide = next(block.body for block in blocks(ROOT / "docs" / "how-to" / "keep-uv.md") if "file" in block.marks)
    (tmp_path / "pyproject.toml").write_text(guide.replace('["3.11"]', '["3.9"]'))

    def run(*command: str) -> None:
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)

    def imports() -> int:
        return old.run("import paramiko", site_packages=site_packages(tmp_path / ".venv")).returncode

    run("uv", "venv", "--quiet", "--python", str(python39))
    run("uv", "sync", "--quiet")
    assert imports()
    run("minglibc", "lock")
    # Without --reinstall, uv keeps the wheels that are installed, as their versions are the same.
    run("uv", "pip", "sync", "--quiet", "--reinstall", "pylock.toml")
    assert not imports()
