"""Files that are not regular are errors at once, wherever minglibc reads one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer
from tests.support.special_files import KINDS, make_special


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A locked project, whose folder is the current one."""
    project = locked_pair(tmp_path / "project", index)
    monkeypatch.chdir(project.folder)
    return project


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command, which must end by itself."""

    def fail(*_: object) -> None:
        pytest.fail(f"{arguments} does not end")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    try:
        ran = minglibc(*arguments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return ran.code, ran.err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "command", "code"),
    [
        ("pyproject.toml", "lock", 2),
        ("pylock.toml", "lock", 1),
        ("pylock.toml", "sync", 1),
        ("pylock.toml", "export", 1),
        ("requirements.in", "lock -r requirements.in -o pylock.r.toml --glibc 2.17", 2),
        ("script.py", "lock --script script.py", 2),
    ],
)
def test_project_files(name: str, command: str, code: int, kind: str, project: LockedProject) -> None:
    """pyproject.toml, locks, requirements files and scripts are named with the reason."""
    make_special(project.folder / name, kind)
    actual, error = run(*command.split())
    assert code == actual, error
    assert name in error or "/dev/zero" in error
    assert any(reason in error for reason in ("not a regular file", "is a folder", "No such device")), error


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize("name", ["pyvenv.cfg", ".minglibc/proof", ".minglibc/.minglibc.busy", ".minglibc/creating"])
def test_files_of_the_environment(name: str, kind: str, project: LockedProject) -> None:
    """Files in an environment that are not regular are ignored or an error, but never block."""
    assert project.sync().code == 0
    make_special(project.venv / name, kind)
    code, error = run("sync")
    assert code in (0, 1), error
    # `run` replaces its process by the command.
    command = [sys.executable, "-m", "minglibc", "run", "true"]
    process = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in process.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["METADATA", "RECORD"])
def test_metadata(name: str, kind: str, project: LockedProject) -> None:
    """Metadata of an installed package that is not a regular file is damage, which sync repairs."""
    assert project.sync().code == 0
    make_special(project.site / "a-1.0.dist-info" / name, kind)
    code, error = run("sync")
    assert code == 0, error
    assert (project.site / "a-1.0.dist-info" / name).is_file()
