"""Files that are not regular are errors at once, wherever minglibc reads one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer
from tests.support.special_files import KINDS, make_special


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A locked project."""
    return locked_pair(tmp_path / "project", index)


def run(project: LockedProject, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command, which must end by itself."""
    command = [sys.executable, "-m", "minglibc", *arguments]
    ran = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stderr


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
    actual, error = run(project, *command.split())
    assert code == actual, error
    assert name in error or "/dev/zero" in error
    assert any(reason in error for reason in ("not a regular file", "is a folder", "No such device")), error


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
@pytest.mark.parametrize("name", ["pyvenv.cfg", ".minglibc/proof", ".minglibc/.minglibc.busy", ".minglibc/creating"])
def test_files_of_the_environment(name: str, kind: str, project: LockedProject) -> None:
    """Files in an environment that are not regular are ignored or an error, but never block."""
    assert project.sync().code == 0
    make_special(project.venv / name, kind)
    code, error = run(project, "sync")
    assert code in (0, 1), error
    run(project, "run", "true")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["METADATA", "RECORD"])
def test_metadata(name: str, kind: str, project: LockedProject) -> None:
    """Metadata of an installed package that is not a regular file is damage, which sync repairs."""
    assert project.sync().code == 0
    make_special(project.site / "a-1.0.dist-info" / name, kind)
    code, error = run(project, "sync")
    assert code == 0, error
    assert (project.site / "a-1.0.dist-info" / name).is_file()
