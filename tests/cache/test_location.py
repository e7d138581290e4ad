"""The cache is only used if nobody else can change it."""

import os
import pwd
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from minglibc.cache import location
from minglibc.cache.location import find_problem, make_folders
from tests.support import child
from tests.support.environments import LockedProject, check_whole, locked_pair
from tests.support.index import IndexServer
from tests.support.users import GROUP, USER, needs_root


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project that is locked with another cache."""
    return locked_pair(tmp_path / "project", index)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a cache that does not exist yet."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022])
def test_cache_is_created_for_this_user_only(mask: int, project: LockedProject, cache: Path) -> None:
    """All folders of the cache are private, whatever the umask is, and so are files of pages."""
    before = os.umask(mask)
    try:
        assert project.sync().code == 0
        assert project.command("lock", "--upgrade").code == 0
        assert project.command("lock").code == 0
    finally:
        os.umask(before)
    folders = [cache, *(path for path in cache.rglob("*") if path.is_dir())]
    assert {0o700} == {path.stat().st_mode & 0o777 for path in folders}
    files = [path for path in cache.rglob("*") if path.is_file() and "unpacked-" not in str(path)]
    assert not [path for path in files if "digests" not in str(path) and path.stat().st_mode & 0o077]
    assert find_problem(str(cache)) == ""


@needs_root
@pytest.mark.parametrize(
    ("fault", "part"),
    [
        *[(fault, "") for fault in ("all users", "another group", "another user", "sticky")],
        *[("all users", part) for part in ("wheels-1", "index-v5", "unpacked-1")],
    ],
)
def test_cache_that_others_can_write(fault: str, part: str, project: LockedProject, cache: Path) -> None:
    """A cache that other users can write is neither read nor written; the command continues with one warning."""
    assert project.sync().code == 0
    assert project.command("lock", "--upgrade").code == 0
    folder = cache / part
    group = GROUP if fault == "another group" else 0
    os.chown(folder, USER if fault == "another user" else 0, group)
    folder.chmod({"all users": 0o777, "another group": 0o770, "another user": 0o755, "sticky": 0o1777}[fault])
    subprocess.run(["rm", "-r", project.venv], check=True)
    times = {path: path.lstat().st_ctime_ns for path in cache.rglob("*")}
    project.index.requests.clear()
    for command in (["sync"], ["lock", "--upgrade"]):
        ran = project.command(*command)
        assert ran.code == 0, ran.err
        assert ran.err.count("continuing without it") == 1, ran.err
        assert f"the cache in {folder}".rstrip("/") in ran.err
    check_whole(project.venv)
    assert [request for request in project.index.requests if request.path.endswith(".whl")]
    assert times == {path: path.lstat().st_ctime_ns for path in cache.rglob("*")}
    assert not location._temporary


@needs_root
def test_primary_group_may_write(project: LockedProject, cache: Path) -> None:
    """Write permission of the user's own primary group, which is common, is accepted."""
    assert project.sync().code == 0
    for path in (cache, *cache.iterdir()):
        path.chmod(0o770)
    assert find_problem(str(cache)) == ""
    assert "warning: the cache" not in project.command("lock", "--upgrade").err


@needs_root
@pytest.mark.parametrize("fault", ["owner", "mode", "link", "pipe"])
def test_wheels_that_others_can_write(fault: str, project: LockedProject, cache: Path, tmp_path: Path) -> None:
    """A cached wheel that another user could change, or that is not a regular file, is downloaded again."""
    assert project.sync().code == 0
    for wheel in (cache / "wheels-1").rglob("*.whl"):
        if fault == "owner":
            os.chown(wheel, USER, GROUP)
        elif fault == "mode":
            wheel.chmod(0o666)
        else:
            wheel.rename(tmp_path / wheel.name)
            if fault == "link":
                wheel.symlink_to(tmp_path / wheel.name)
            else:
                os.mkfifo(wheel)
    subprocess.run(["rm", "-r", project.venv], check=True)
    project.index.requests.clear()
    assert project.sync().code == 0
    check_whole(project.venv)
    assert 2 == len([request for request in project.index.requests if request.path.endswith(".whl")])
    for wheel in (cache / "wheels-1").rglob("*.whl"):
        assert 0 == wheel.lstat().st_uid
        assert 0o100600 == wheel.lstat().st_mode


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_directory(home: str | None, project: LockedProject, tmp_path: Path) -> None:
    """Without a home directory and without an entry in passwd, commands work without a cache, and leave nothing behind."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "work").mkdir()

    def unknown(user: int) -> NoReturn:
        raise KeyError(user)

    def remove_home() -> None:
        pwd.getpwuid = unknown
        for name in ("HOME", "XDG_CACHE_HOME", "MINGLIBC_CACHE_DIR"):
            del os.environ[name]
        if home is not None:
            os.environ["HOME"] = home
        os.environ["TMPDIR"] = str(tmp_path / "tmp")
        tempfile.tempdir = None

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return child.run(*arguments, cwd=tmp_path / "work", before=remove_home)

    for command in (["lock", "--upgrade"], ["sync"]):
        ran = run(*command, "--project", str(project.folder))
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr.count("there is no home directory for the cache") == 1
    check_whole(project.venv)
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    ran = run("cache", "dir")
    assert ran.returncode == 2
    assert "--cache-dir" in ran.stderr


def test_file_system_without_new_folders() -> None:
    """A file system that answers "no such file" to every new folder, as /proc does, is an error."""
    with pytest.raises(FileNotFoundError):
        make_folders("/proc/minglibc/index/pages")
