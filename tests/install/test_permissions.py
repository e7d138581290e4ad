"""Modes and groups of what is installed, in folders that several users share."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minglibc.install.interpreter import Interpreter
from tests.support.environments import LockedProject
from tests.support.index import IndexServer
from tests.support.transactions import copied, install
from tests.support.users import GROUP, USER, needs_root, public_folder, run_as
from tests.support.wheels import build_wheel

__all__ = ["public_folder"]
WHEEL = build_wheel(
    "shared",
    "1",
    files={
        "shared/__init__.py": "",
        "shared/deep/x.py": "",
        "shared-1.data/data/share/shared/x": "",
        "shared-1.data/headers/shared.h": "",
        "shared-1.data/scripts/tool": "#!python\n",
    },
    scripts={"shared": "shared:main"},
)
UPGRADE = build_wheel("shared", "2", files={"shared/__init__.py": "# 2\n", "shared/new/x.py": "", "other.py": ""})


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def share(folder: Path, owner: int = 0) -> None:
    """Make *folder* and everything below it belong to the group, which new files and folders inherit."""
    for parent, _, names in os.walk(folder):
        os.chown(parent, owner, GROUP)
        os.chmod(parent, 0o2775)
        for name in names:
            os.chown(os.path.join(parent, name), owner, GROUP, follow_symlinks=False)


def check(folder: Path, mask: int, *, ignored: frozenset[str] = frozenset()) -> None:
    """Everything below *folder*, except the paths that are *ignored*, has the group, the setgid bit, and the modes of *mask*."""
    for path in folder.rglob("*"):
        status = path.lstat()
        if str(path) in ignored or stat.S_ISLNK(status.st_mode):
            continue
        assert status.st_gid == GROUP, path
        if stat.S_ISDIR(status.st_mode):
            assert oct(status.st_mode & 0o7777) == oct(0o2777 & ~mask), path
        else:
            full = 0o777 if status.st_mode & stat.S_IXUSR else 0o666
            assert oct(status.st_mode & 0o7777) == oct(full & ~mask), path


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o027, 0o007])
@pytest.mark.parametrize("who", ["root", "a member of the group", "another user"])
def test_installation_in_a_shared_folder(who: str, mask: int, template: Interpreter, public_folder: Path) -> None:
    """Installing and upgrading keep the group and the setgid bit, for root, for members of the group and for other users."""
    environment = copied(template, public_folder / "env")
    share(public_folder, owner=0 if who == "root" else USER)
    before = frozenset(map(str, public_folder.rglob("*")))

    def change() -> None:
        with umask(mask):
            install(environment, public_folder / "w", WHEEL)
            install(environment, public_folder / "w", UPGRADE)

    if who == "root":
        change()
    else:
        # The child can't import what only root can read.
        install(copied(template, public_folder / "other"), public_folder / "w2", WHEEL)
        run_as(USER, USER, change, groups=[GROUP] if who == "a member of the group" else [])
    check(public_folder / "env", mask, ignored=before)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A locked project in a shared folder, and a cache that has unpacked its wheel for another group."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    index.add(WHEEL)
    (tmp_path / "shared").mkdir()
    private, shared = (LockedProject(tmp_path / name, index) for name in ("private", "shared/project"))
    private.lock("shared")
    assert private.sync().code == 0
    share(tmp_path / "shared")
    shared.lock("shared")
    return shared


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_sync_in_a_shared_folder(mask: int, project: LockedProject) -> None:
    """A new environment, with files from a cache of another group, belongs to the folder's group."""
    locked = frozenset(map(str, project.folder.rglob("*")))
    with umask(mask):
        assert project.sync("--compile-bytecode").code == 0
    check(project.folder, mask, ignored=locked)


@needs_root
def test_groups_have_their_own_unpacked_files(project: LockedProject) -> None:
    """A second environment of the group shares files with the first, and not with environments of other groups."""
    assert project.sync("--python", str(project.folder / "one")).code == 0
    assert project.sync("--python", str(project.folder / "two")).code == 0

    def module(name: str) -> Path:
        (path,) = (project.folder / name).rglob("site-packages/shared/__init__.py")
        return path

    assert module("one").samefile(module("two"))
    (other,) = (project.folder.parents[1] / "private").rglob("site-packages/shared/__init__.py")
    assert not module("one").samefile(other)


def chown(folder: Path, user: int, group: int) -> None:
    """Give *folder* and everything below it to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group, follow_symlinks=False)


@needs_root
def test_root_syncs_the_environment_of_another_user(tmp_path: Path, index: IndexServer) -> None:
    """Root is warned that the new files will belong to root, if an environment of another user changes."""
    index.add(WHEEL)
    project = LockedProject(tmp_path / "project", index)
    project.lock("shared")
    chown(project.folder, USER, GROUP)
    assert "belongs to" not in project.sync().err  # a new environment belongs to root
    chown(project.venv, USER, GROUP)
    assert "belongs to" not in project.sync().err  # nothing changes
    index.add(UPGRADE)
    project.lock("shared")
    ran = project.sync()
    assert ran.code == 0, ran.err
    warning = f"{project.venv} belongs to another user (uid {USER}), and what root installs in it belongs to root"
    assert warning in ran.err
    assert "run minglibc as that user" in ran.err


@needs_root
@pytest.mark.parametrize("write", ["lock", "add"])
def test_replaced_files_keep_their_owner(write: str, project: LockedProject, index: IndexServer) -> None:
    """pyproject.toml and pylock.toml keep owner and group when root replaces them, in folders without a setgid bit too."""
    os.chmod(project.folder, 0o775)
    paths = [project.folder / "pyproject.toml", project.folder / "pylock.toml"]
    for path in paths:
        os.chown(path, USER, GROUP)
        path.chmod(0o664)
    index.add(build_wheel("more", "1"))
    ran = project.command("add", "more") if write == "add" else project.command("lock", "--upgrade", "--refresh")
    assert ran.code == 0, ran.err
    for path in paths:
        status = path.stat()
        assert (USER, GROUP, 0o664) == (status.st_uid, status.st_gid, status.st_mode & 0o7777)
