"""A Python that was built without a part of the standard library."""

import os
import subprocess
import sys

import pytest

from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PROGRAM = "import sys; sys.modules[sys.argv.pop(1)] = None; from minglibc.__main__ import main; main()"


@pytest.fixture
def project(index: IndexServer, tmp_path_factory: pytest.TempPathFactory) -> LockedProject:
    """A locked project, and a newer release."""
    locked = locked_pair(tmp_path_factory.mktemp("folder") / "project", index)
    index.add(build_wheel("b", "2.0"))
    return locked


def run_without(module: str, project: LockedProject, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run minglibc with a Python that has no *module*."""
    command = [sys.executable, "-c", PROGRAM, module, *arguments]
    return subprocess.run(command, cwd=project.folder, env=os.environ, capture_output=True, text=True, check=False)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("_ssl", "lock --upgrade"),
        *(pytest.param(name, "lock --upgrade", marks=SLOW) for name in ("ssl", "zlib")),
        *(pytest.param(name, "sync", marks=SLOW) for name in ("_ssl", "zlib")),
    ],
)
def test_missing_module(module: str, command: str, project: LockedProject) -> None:
    """The error names the module and the Python, and nothing is changed."""
    before = (project.folder / "pylock.toml").read_bytes()
    done = run_without(module, project, *command.split())
    assert 1 == done.returncode, done.stderr
    assert f"{sys.executable}, has no module {module.lstrip('_')}" in done.stderr
    assert "hint: install minglibc with another Python" in done.stderr
    assert "Traceback" not in done.stderr
    assert before == (project.folder / "pylock.toml").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["_lzma", "_sqlite3"])
def test_unused_module(module: str, project: LockedProject) -> None:
    """Modules that Pythons lack most often are not needed."""
    for command in ("lock --upgrade", "sync", "check"):
        done = run_without(module, project, *command.split())
        assert 0 == done.returncode, done.stderr
