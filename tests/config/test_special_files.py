"""Files that are not regular are errors at once, wherever minglibc reads one."""

import signal
from pathlib import Path

import pytest

from tests.support import child
from tests.support.commands import minglibc
from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer
from tests.support.special_files import KINDS, make_special
from tests.support.wheels import build_wheel

# A FIFO blocks; the other kinds are slow tests.
MOST = ["pipe", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "pipe")]
NOT_FOLDERS = ["pipe", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("device", "socket"))]


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
    assert "Traceback" not in child.run("run", "true", timeout=60).stderr


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize("name", ["METADATA", "RECORD"])
def test_metadata(name: str, kind: str, project: LockedProject) -> None:
    """Metadata of an installed package that is not a regular file is damage, which sync repairs."""
    assert project.sync().code == 0
    make_special(project.site / "a-1.0.dist-info" / name, kind)
    code, error = run("sync")
    assert code == 0, error
    assert (project.site / "a-1.0.dist-info" / name).is_file()


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize("name", ["a-1.0-py3-none-any.whl", "a-1.0.tar.gz", "a-1.0.zip", "tree/pyproject.toml"])
def test_local_files(name: str, kind: str, project: LockedProject) -> None:
    """Wheels, source distributions and source trees that a requirement names by their paths."""
    path = project.folder / name
    path.parent.mkdir(exist_ok=True)
    make_special(path, kind)
    target = path.parent if name.startswith("tree") else path
    project.write([f"a @ {target.as_uri()}"], more='allow-sdist = ["a"]\n')
    code, error = run("lock")
    assert code in (1, 2), error
    assert path.name in error or "/dev/zero" in error


@pytest.mark.parametrize("kind", NOT_FOLDERS)
@pytest.mark.parametrize("option", ["-r", "-c"])
def test_included_files(option: str, kind: str, project: LockedProject) -> None:
    """Files that a requirements file includes."""
    (project.folder / "requirements.in").write_text(f"a\n{option} other.in\n", encoding="utf-8")
    make_special(project.folder / "other.in", kind)
    command = "lock -r requirements.in -o pylock.r.toml --glibc 2.17 --python 3.11"
    code, error = run(*command.split())
    assert (2, True) == (code, "other.in, which is not a regular file" in error), error


@pytest.mark.parametrize("kind", MOST)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "MINGLIBC_CLIENT_CERT", "NETRC", "SSL_CERT_DIR"])
def test_files_of_variables(
    variable: str, kind: str, project: LockedProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Certificates and credentials: an error if they are needed."""
    path = tmp_path / "special"
    make_special(path, kind)
    monkeypatch.setenv(variable, str(path))
    monkeypatch.setenv("MINGLIBC_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    if variable == "NETRC":
        project.index.credentials = ("user", "password")
        code, error = run("lock", "--upgrade", "--refresh")
        assert (3, True) == (code, f"NETRC names {path}, which is not a regular file" in error), error
        return
    code, error = run("lock", "--upgrade", "--refresh", "--index-url", "https://127.0.0.1:1/simple/")
    assert code in (2, 3), error
    if variable != "SSL_CERT_DIR":
        assert f"{variable} names {path}, which is not a regular file" in error


@pytest.mark.parametrize("kind", NOT_FOLDERS)
def test_checked_wheels(kind: str, project: LockedProject) -> None:
    """A wheel that `check` is told to read."""
    path = project.folder / "a-1.0-py3-none-any.whl"
    make_special(path, kind)
    code, error = run("check", str(path))
    assert (1, True) == (code, "not a regular file" in error or "No such device" in error), error


@pytest.mark.parametrize("kind", NOT_FOLDERS)
def test_cached_files(kind: str, project: LockedProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files of the cache that are not regular are treated as missing."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    for command in ("lock --upgrade", "outdated", "sync", "check"):
        assert run(*command.split())[0] == 0
    for path in [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]:
        make_special(path, kind)
    for command in ("lock", "lock --upgrade", "outdated", "check", "sync", "cache size", "cache prune", "cache clear"):
        code, error = run(*command.split())
        assert code == 0, (command, error)


@pytest.mark.parametrize("kind", NOT_FOLDERS)
def test_installed_wheels(kind: str, project: LockedProject) -> None:
    """A wheel that a lock names by its path."""
    path = project.folder / "c-1.0-py3-none-any.whl"
    path.write_bytes(build_wheel("c", "1.0").content)
    project.lock(f"c @ {path.as_uri()}")
    make_special(path, kind)
    for command in ("sync", "check", "bundle -o bundled"):
        code, error = run(*command.split())
        assert (1, True) == (code, path.name in error or "/dev/zero" in error), (command, error)
