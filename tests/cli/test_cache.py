"""`minglibc cache`: its folder and size, and how it is pruned and cleared."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.cache.maintenance import CURRENT
from minglibc.cli.cache import format_size
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

INDEX, WHEELS, *_ = CURRENT


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that also contains other files."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(folder))
    write(folder / "notes" / "other-file", b"mine")
    write(folder / "wheels-of-mine" / "other-file", b"mine")
    write(folder / INDEX / "pages" / "x" / "idna", b"123")
    write(folder / WHEELS / "sha256-00" / "a.whl", b"12345")
    return folder


def write(path: Path, content: bytes, *, days: float = 0) -> Path:
    """Write a file that was last used *days* ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def files(folder: Path) -> set[str]:
    """Every file below *folder*."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


OTHER_FILES = {"notes/other-file", "wheels-of-mine/other-file"}


def test_dir(cache: Path) -> None:
    """`dir` prints an absolute path, whether or not the folder exists."""
    assert f"{cache}\n" == minglibc("cache", "dir").out
    assert f"{cache}/x\n" == minglibc("cache", "dir", "--cache-dir", f"{cache}/x").out


def test_size(cache: Path) -> None:
    """`size` counts minglibc's own files; a missing folder is not an error."""
    assert "8 (8 B)\n" == minglibc("cache", "size").out
    assert "0 (0 B)\n" == minglibc("cache", "size", "--cache-dir", f"{cache}/none").out


def test_clear(cache: Path) -> None:
    """`clear` removes minglibc's files of all formats, and no others."""
    write(cache / "index-v0" / "old", b"1")
    write(cache / "wheels-999" / "new", b"1")
    assert not minglibc("cache", "clear").code
    assert OTHER_FILES == files(cache)


def test_clear_after_a_lock(tmp_path: Path, cache: Path, index: IndexServer) -> None:
    """`lock` fills the cache, `clear` empties it, and the next `lock` works."""
    index.add(build_wheel("a", "1.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    lock(folder)
    assert len(files(cache)) > len(OTHER_FILES) + 2
    minglibc("cache", "clear")
    assert OTHER_FILES == files(cache)
    lock(folder, "--upgrade")


def test_prune_keeps_recently_used_files(cache: Path) -> None:
    """`prune` removes files that were not read or written for 30 days, and their empty folders."""
    old = write(cache / WHEELS / "sha256-11" / "old.whl", b"1", days=31)
    kept = write(cache / WHEELS / "sha256-22" / "kept.whl", b"1", days=29)
    read = write(cache / WHEELS / "sha256-33" / "read.whl", b"1", days=40)
    os.utime(read, (time.time(), read.stat().st_mtime))
    ran = minglibc("cache", "prune")
    assert "1 unused file" in ran.err
    assert not old.parent.exists()
    assert kept.exists()
    assert read.exists()


def test_prune_removes_only_older_formats(cache: Path) -> None:
    """`prune` removes older formats and keeps those of newer releases of minglibc."""
    write(cache / "index-v0" / "page", b"1")
    write(cache / "wheels-0" / "a.whl", b"1")
    write(cache / "wheels-999" / "new.whl", b"1")
    minglibc("cache", "prune")
    assert {*OTHER_FILES, f"{INDEX}/pages/x/idna", f"{WHEELS}/sha256-00/a.whl", "wheels-999/new.whl"} == files(cache)


def test_temporary_files_are_removed_once_a_day(tmp_path: Path, cache: Path, index: IndexServer) -> None:
    """A command that writes to the cache removes temporary files older than a day, at most once a day."""
    index.add(build_wheel("a", "1.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    index_folder = cache / INDEX
    old = [write(index_folder / name, b"{", days=2) for name in ("pages/x/b.17.tmp", "advisories/y/b/1.0.18.tmp")]
    recent = write(index_folder / "pages" / "x" / "c.19.tmp", b"{", days=0.5)
    kept = write(index_folder / "pages" / "x" / "d", b"{", days=99)
    lock(folder)
    assert old == [path for path in old if path.exists()]
    then = time.time() - 2 * 86_400
    os.utime(index_folder, (then, then))
    lock(folder)
    lock(folder, "-U")
    assert old == [path for path in old if path.exists()]
    lock(folder, "-U", "--refresh")
    assert [] == [path for path in old if path.exists()]
    assert recent.exists()
    assert kept.exists()


@pytest.mark.parametrize("action", ["prune", "clear", "size"])
def test_links_are_not_followed(cache: Path, tmp_path: Path, action: str) -> None:
    """Symbolic links in the cache are not followed when files are counted or removed."""
    elsewhere = write(tmp_path / "elsewhere" / "other-file", b"1" * 1000, days=99)
    (cache / "wheels-0").symlink_to(elsewhere.parent)
    (cache / WHEELS / "linked").symlink_to(elsewhere.parent)
    (cache / WHEELS / "sha256-00" / "linked.whl").symlink_to(elsewhere)
    ran = minglibc("cache", action)
    assert not ran.code, ran.err
    assert elsewhere.exists()
    if action == "size":
        assert int(ran.out.split()[0]) < 1000


def test_unremovable_cache(cache: Path) -> None:
    """A cache that cannot be removed is an error."""
    if os.geteuid():
        cache.chmod(0o500)
        refused = minglibc("cache", "clear")
        cache.chmod(0o700)
    else:
        refused = minglibc("cache", "clear", "--cache-dir", str(cache / "notes" / "other-file"))
    assert 1 == refused.code
    assert "can't clear the cache" in refused.err


def test_unknown_action() -> None:
    """An unknown action is an error with exit code 2."""
    assert 2 == minglibc("cache", "destroy").code


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (999_999, "1 MB")]
)
def test_human_readable_sizes(size: int, expected: str) -> None:
    """Sizes have up to three digits and a unit."""
    assert expected == format_size(size)


@given(st.integers(0, 10**14))
def test_sizes_have_no_exponent(size: int) -> None:
    """No size is formatted as 1e+03."""
    assert "e" not in format_size(size)
