"""The size of the cache, and its removal: only minglibc's own folders, and never through a symbolic link."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from minglibc.cache import built_wheels, location, unpacked_wheels, wheels
from minglibc.config import inputs
from minglibc.lock import digest

_BUILDS = (built_wheels.ZIG, built_wheels.LOGS)
CURRENT = (location.INDEX_FORMAT, wheels.FOLDER, unpacked_wheels.FOLDER, built_wheels.FOLDER, digest.FOLDER, *_BUILDS)
# For how many seconds a file may be in use after it was read or written.
_IN_USE = 3600
_KINDS = (*CURRENT, inputs.SCRIPTS)

# Each kind of cache with the number of its format; other folders are never touched.
_FORMAT = re.compile(r"(index-v|wheels-|unpacked-|built-|digests-|scripts-|zig-|logs-)([0-9]{1,6})")


class Entry(NamedTuple):
    """A file of the cache: its size, and when it was last written or read."""

    path: str
    size: int
    used: float


def entries(folder: str) -> Iterator[Entry]:
    """Every file of every format below *folder*."""
    for path in formats(folder):
        yield from _below(path)


def older_formats(folder: str) -> list[str]:
    """The folders of formats that this version no longer reads; newer formats belong to another version."""
    newest = {kind: int(number) for kind, number in (_split(name) for name in _KINDS)}
    older = []
    for path in formats(folder):
        kind, number = _split(os.path.basename(path))
        if int(number) < newest[kind]:
            older.append(path)
    return older


def remove_folder(path: str) -> int:
    """Remove the folder of a format, and return its size."""
    size = sum(entry.size for entry in _below(path))
    # rmtree follows no symbolic link, even one that is created meanwhile.
    shutil.rmtree(path)
    return size


def remove_unused(folder: str, *, since: float) -> tuple[int, int]:
    """Remove the files that were neither read nor written *since* then, and return their number and size."""
    count = size = 0
    for path in _environments(folder):
        # An environment is removed completely or not at all.
        if all(entry.used < since for entry in _below(path)):
            count += sum(1 for _ in _below(path))
            size += remove_folder(path)
    files = [entry for path in formats(folder) if not _has_environments(path) for entry in _below(path)]
    for entry in files:
        if entry.used < since:
            with suppress(FileNotFoundError):
                os.unlink(entry.path)
                count, size = count + 1, size + entry.size
            _remove_empty(os.path.dirname(entry.path), folder)
    return count, size


def limit_size(folder: str, kind: str, limit: int) -> None:
    """Remove the files of *kind* that were used longest ago, until they occupy at most *limit* bytes.

    Those that were used in the last hour stay: they may be in use.
    """
    now = time.time()
    files = sorted(_below(os.path.join(folder, kind)), key=lambda entry: entry.used)
    size = sum(entry.size for entry in files)
    for entry in files:
        if size <= limit:
            break
        # A time that is in the future was written when the clock was ahead.
        if abs(now - entry.used) < _IN_USE:
            continue
        with suppress(OSError):
            os.unlink(entry.path)
        size -= entry.size
        _remove_empty(os.path.dirname(entry.path), folder)


def _remove_empty(path: str, cache: str) -> None:
    """Remove *path* and the folders above it, up to *cache*, that are empty."""
    with suppress(OSError):
        while path.startswith(f"{cache}/"):
            os.rmdir(path)
            path = os.path.dirname(path)


def _environments(folder: str) -> Iterator[str]:
    for path in filter(_has_environments, formats(folder)):
        with os.scandir(path) as items:
            yield from sorted(entry.path for entry in items if entry.is_dir(follow_symlinks=False))


def _has_environments(path: str) -> bool:
    # zig's own cache, with a folder for each version, is invalid if some of its files are missing.
    return os.path.basename(path).startswith(("scripts-", "zig-"))


def formats(folder: str) -> list[str]:
    """The folders of every format below *folder*, newer ones too."""
    try:
        with os.scandir(folder) as items:
            return sorted(
                entry.path for entry in items if _FORMAT.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def _split(name: str) -> tuple[str, str]:
    match = _FORMAT.fullmatch(name)
    assert match is not None
    return match[1], match[2]


def _below(folder: str) -> Iterator[Entry]:
    for here, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(here, name)
            with suppress(FileNotFoundError):
                status = os.lstat(path)
                yield Entry(path, status.st_size, max(status.st_atime, status.st_mtime))
