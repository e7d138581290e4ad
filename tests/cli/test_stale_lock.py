"""`sync` and `run` update a stale lock, unless an option forbids it or the lock was made in another way."""

from pathlib import Path

import pytest

from tests.support import child
from tests.support.commands import Ran, minglibc
from tests.support.environments import LockedProject, installed
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project with a lock of b, in which b was replaced by c afterwards."""
    for name in ("b", "c"):
        index.add(build_wheel(name, "1.0"))
    locked = LockedProject(tmp_path / "project", index)
    locked.lock("b")
    locked.write(["c"])
    return locked


def refused(project: LockedProject, ran: Ran) -> None:
    """The lock is reported as stale, and neither the lock nor the environment has changed."""
    assert 1 == ran.code, ran.err
    assert "error: pylock.toml is stale: pyproject.toml has changed\nhint: run `minglibc lock`" in ran.err
    assert 'name = "b"' in (project.folder / "pylock.toml").read_text(encoding="utf-8")
    assert not project.venv.exists()


def test_sync_locks_first(project: LockedProject) -> None:
    """The changes of the lock are printed before those of the environment; the next sync has nothing to do."""
    ran = project.sync()
    assert (0, "") == (ran.code, ran.out)
    lines = [
        "pylock.toml is stale: pyproject.toml has changed; locking again",
        "Locked 1 package",
        " - b 1.0",
        " + c 1.0",
    ]
    positions = [ran.err.index(line) for line in [*lines, "Installed 1 package", " + c==1.0"]]
    assert sorted(positions) == positions
    assert {"c": "1.0"} == installed(project.venv)
    assert 0 == project.command("lock", "--check").code
    assert "Nothing to do: 1 package" in project.sync().err


def test_run_locks_first(project: LockedProject) -> None:
    """`run` prints the changes to stderr only, and --quiet prints none."""
    ran = child.run("run", "--project", str(project.folder), "python", "-c", "import c; print(c.__version__)")
    assert (0, "1.0\n") == (ran.returncode, ran.stdout)
    assert ran.stderr.index(" + c 1.0") < ran.stderr.index(" + c==1.0")
    project.write(["b"])
    quiet = child.run("run", "--quiet", "--project", str(project.folder), "python", "-c", "import b")
    assert (0, "", "") == (quiet.returncode, quiet.stdout, quiet.stderr)


@pytest.mark.parametrize("option", ["--locked", "--offline", "--check", "--dry-run", "--lock"])
def test_options_keep_the_lock(project: LockedProject, option: str) -> None:
    """These options exit with an error and send no request."""
    project.index.reset()
    path = [str(project.folder / "pylock.toml")] if option == "--lock" else []
    refused(project, project.sync(option, *path))
    if option not in {"--check", "--dry-run"}:
        refused(project, project.command("run", option, *path, "true"))
    assert not project.index.requests


def test_variables_keep_the_lock(project: LockedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINGLIBC_OFFLINE does what --offline does; with a variable for a target option, `lock` has to be run."""
    for name, value in {"OFFLINE": "1", "GLIBC": "2.28", "TOOLCHAIN": "system"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(f"MINGLIBC_{name}", value)
            refused(project, project.sync())


def test_lock_made_with_options(project: LockedProject) -> None:
    """A lock made with target options is never replaced by one without them; `lock` does that."""
    project.write(["b"])
    assert 0 == project.command("lock", "--glibc", "2.28").code
    refused(project, project.sync())
    project.write(["c"])
    refused(project, project.sync())
    assert 0 == project.command("lock").code
    assert "overridden" not in (project.folder / "pylock.toml").read_text(encoding="utf-8")
    project.write(["b"])
    assert 0 == project.sync().code


def test_lock_made_from_another_index(project: LockedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock made with --index-url is not made again from the index of the settings, which may have other projects."""
    text = (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    pyproject = text.replace(project.index.url, "https://index.example.invalid/simple")
    (project.folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    refused(project, project.sync())
    monkeypatch.setenv("MINGLIBC_INDEX_URL", project.index.url)
    assert 0 == project.sync().code


def test_lock_of_requirements_file(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a requirements file is not updated, even if it has the name of the project's lock."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("c", "1.0"))
    monkeypatch.chdir(tmp_path)
    project = LockedProject(tmp_path, index)
    project.write(["c"])
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("b\n", encoding="utf-8")
    assert 0 == minglibc("lock", "-r", "requirements.txt").code
    requirements.write_text("c\n", encoding="utf-8")
    ran = project.sync()
    assert (1, True) == (ran.code, "run `minglibc lock -r requirements.txt`" in ran.err)
    assert not project.venv.exists()


def test_no_connection(project: LockedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the index can't be reached, the message says so and names --frozen; nothing has changed."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    project.index.stop()
    ran = project.sync()
    assert 3 == ran.code, ran.err
    assert "error: pylock.toml is stale: pyproject.toml has changed, and it can't be locked again: " in ran.err
    assert "--frozen" in ran.err
    assert not project.venv.exists()


def test_no_solution(project: LockedProject) -> None:
    """If the changed project has no solution, the lock and the environment stay as they are."""
    project.write(["c>2"])
    ran = project.sync()
    assert 1 == ran.code
    assert "c>2" in ran.err
    assert 'name = "b"' in (project.folder / "pylock.toml").read_text(encoding="utf-8")
    assert not project.venv.exists()


def test_upgrade(project: LockedProject) -> None:
    """`sync --upgrade` and `--upgrade-package` lock newer releases first; without them, the locked ones are kept."""
    assert 0 == project.sync().code
    project.index.add(build_wheel("c", "2.0"))
    assert "Nothing to do" in project.sync().err
    ran = project.sync("-P", "c")
    assert ran.err.index(" ~ c 1.0 → 2.0") < ran.err.index(" + c==2.0")
    project.index.add(build_wheel("c", "3.0"))
    assert 0 == project.sync("--upgrade").code
    assert {"c": "3.0"} == installed(project.venv)


@pytest.mark.parametrize("option", ["--locked", "--frozen", "--check", "--dry-run", "--lock=x"])
def test_upgrade_writes_the_lock(project: LockedProject, option: str) -> None:
    """--upgrade is an error with options that keep the lock."""
    ran = project.sync("--upgrade", option)
    assert (2, True) == (ran.code, "--upgrade can't be combined with" in ran.err)


def test_upgrade_of_a_lock_made_with_options(project: LockedProject) -> None:
    """A lock made with target options is not upgraded without them."""
    assert 0 == project.command("lock", "--glibc", "2.28").code
    ran = project.sync("--upgrade")
    assert (1, True) == (ran.code, "was made with options" in ran.err)
