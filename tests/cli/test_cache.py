"""`minglibc cache`: where it is, how large, and that emptying it touches nothing else."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.cache.maintenance import CURRENT
from minglibc.cli.cache import human
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

INDEX, WHEELS, *_ = CURRENT


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that somebody also keeps other things in."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(folder))
    put(folder / "notes" / "precious", b"mine")
    put(folder / "wheels-of-mine" / "precious", b"mine")
    put(folder / INDEX / "pages" / "x" / "idna", b"123")
    put(folder / WHEELS / "sha256-00" / "a.whl", b"12345")
    return folder


def put(path: Path, content: bytes, *, days: float = 0) -> Path:
    """A file that was last used *days* ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def files(folder: Path) -> set[str]:
    """Every file below *folder*."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


MINE = {"notes/precious", "wheels-of-mine/precious"}


def test_dir(cache: Path) -> None:
    """The folder is printed as an absolute path, whether it is there or not."""
    assert f"{cache}\n" == minglibc("cache", "dir").out
    assert f"{cache}/x\n" == minglibc("cache", "dir", "--cache-dir", f"{cache}/x").out


def test_size(cache: Path) -> None:
    """The size counts minglibc's own files, in bytes and as people say it; nothing there is no error."""
    assert "8 (8 B)\n" == minglibc("cache", "size").out
    assert "0 (0 B)\n" == minglibc("cache", "size", "--cache-dir", f"{cache}/none").out


def test_clear_removes_all_that_is_minglibc_s(cache: Path) -> None:
    """Clearing leaves no file of minglibc's, of any format, and everything else."""
    put(cache / "index-v0" / "old", b"1")
    put(cache / "wheels-999" / "new", b"1")
    assert not minglibc("cache", "clear").code
    assert MINE == files(cache)


def test_what_a_lock_cached_is_cleared(tmp_path: Path, cache: Path, index: IndexServer) -> None:
    """A real lock fills the cache, clearing empties it, and the next lock works."""
    index.add(build_wheel("a", "1.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    lock(folder)
    assert len(files(cache)) > len(MINE) + 2
    minglibc("cache", "clear")
    assert MINE == files(cache)
    lock(folder, "--upgrade")


def test_prune_keeps_what_was_used_lately(cache: Path) -> None:
    """Files that nobody read or wrote for 30 days go, with their empty folders; younger ones stay."""
    old = put(cache / WHEELS / "sha256-11" / "old.whl", b"1", days=31)
    kept = put(cache / WHEELS / "sha256-22" / "kept.whl", b"1", days=29)
    read = put(cache / WHEELS / "sha256-33" / "read.whl", b"1", days=40)
    os.utime(read, (time.time(), read.stat().st_mtime))
    ran = minglibc("cache", "prune")
    assert "1 unused file" in ran.err
    assert not old.parent.exists()
    assert kept.exists()
    assert read.exists()


def test_prune_removes_older_formats_and_leaves_newer_ones(cache: Path) -> None:
    """A format that is read no more goes whole; one of a newer minglibc is not this one's to compatibility."""
    put(cache / "index-v0" / "page", b"1")
    put(cache / "wheels-0" / "a.whl", b"1")
    put(cache / "wheels-999" / "new.whl", b"1")
    minglibc("cache", "prune")
    assert {*MINE, f"{INDEX}/pages/x/idna", f"{WHEELS}/sha256-00/a.whl", "wheels-999/new.whl"} == files(cache)


def test_what_killed_runs_left_is_swept_once_a_day(tmp_path: Path, cache: Path, index: IndexServer) -> None:
    """A run that writes there removes yesterday's parts of entries, in every folder, unless one of today has looked."""
    index.add(build_wheel("a", "1.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    index_folder = cache / INDEX
    old = [put(index_folder / place, b"{", days=2) for place in ("pages/x/b.17.tmp", "advisories/y/b/1.0.18.tmp")]
    young = put(index_folder / "pages" / "x" / "c.19.tmp", b"{", days=0.5)
    kept = put(index_folder / "pages" / "x" / "d", b"{", days=99)
    lock(folder)
    assert old == [path for path in old if path.exists()]
    then = time.time() - 2 * 86_400
    os.utime(index_folder, (then, then))
    lock(folder)
    lock(folder, "-U")
    assert old == [path for path in old if path.exists()]
    lock(folder, "-U", "--refresh")
    assert [] == [path for path in old if path.exists()]
    assert young.exists()
    assert kept.exists()


@pytest.mark.parametrize("action", ["prune", "clear", "size"])
def test_links_are_never_followed(cache: Path, tmp_path: Path, action: str) -> None:
    """A link in the cache, to a file or to a folder, leads to nothing that is counted or removed."""
    elsewhere = put(tmp_path / "elsewhere" / "precious", b"1" * 1000, days=99)
    (cache / "wheels-0").symlink_to(elsewhere.parent)
    (cache / WHEELS / "linked").symlink_to(elsewhere.parent)
    (cache / WHEELS / "sha256-00" / "linked.whl").symlink_to(elsewhere)
    ran = minglibc("cache", action)
    assert not ran.code, ran.err
    assert elsewhere.exists()
    if action == "size":
        assert int(ran.out.split()[0]) < 1000


def test_a_cache_that_refuses_is_named(cache: Path) -> None:
    """What can't be removed is an error that names it."""
    if os.geteuid():
        cache.chmod(0o500)
        refused = minglibc("cache", "clear")
        cache.chmod(0o700)
    else:
        refused = minglibc("cache", "clear", "--cache-dir", str(cache / "notes" / "precious"))
    assert 1 == refused.code
    assert "can't clear the cache" in refused.err


def test_an_unknown_action_is_a_mistake_of_the_command_line() -> None:
    """Only four things can be done with the cache."""
    assert 2 == minglibc("cache", "destroy").code


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (999_999, "1 MB")]
)
def test_sizes_as_people_say_them(size: int, expected: str) -> None:
    """Three digits and a unit."""
    assert expected == human(size)


@given(st.integers(0, 10**14))
def test_a_size_has_no_exponent(size: int) -> None:
    """No size is written as 1e+03."""
    assert "e" not in human(size)
