"""What the cache folder holds, and how it is emptied: only folders that minglibc names, and never through a link."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from minglibc.cache import built_wheels, pages, unpacked_wheels, wheels
from minglibc.config import inputs
from minglibc.lock import digest

CURRENT = (pages.FORMAT, wheels.FOLDER, unpacked_wheels.FOLDER, built_wheels.FOLDER, digest.FOLDER)
_KINDS = (*CURRENT, inputs.SCRIPTS)

# Each kind of cache with the number of its format; whatever else stands beside them is not ours.
_OURS = re.compile(r"(index-v|wheels-|unpacked-|built-|digests-|scripts-)([0-9]{1,6})")


class Entry(NamedTuple):
    """A file of the cache: its size, and when it was last written or read."""

    path: str
    size: int
    used: float


def entries(folder: str) -> Iterator[Entry]:
    """Every file of every format below *folder*."""
    for kept in _formats(folder):
        yield from _below(kept)


def older_formats(folder: str) -> list[str]:
    """The folders of formats that this minglibc no longer reads; those of newer ones are another minglibc's."""
    newest = {kind: int(number) for kind, number in (_split(name) for name in _KINDS)}
    found = []
    for path in _formats(folder):
        kind, number = _split(os.path.basename(path))
        if int(number) < newest[kind]:
            found.append(path)
    return found


def remove_folder(path: str) -> int:
    """Remove a format's folder; how many bytes that freed."""
    size = sum(entry.size for entry in _below(path))
    # rmtree follows no link, even one that is put there while it works.
    shutil.rmtree(path)
    return size


def remove_unused(folder: str, *, since: float) -> tuple[int, int]:
    """Remove the files that nobody has read or written *since* then; how many, and how many bytes."""
    count = size = 0
    for path in _environments(folder):
        # An environment is whole or gone.
        if all(entry.used < since for entry in _below(path)):
            count += sum(1 for _ in _below(path))
            size += remove_folder(path)
    for entry in [each for path in _formats(folder) if not _holds_environments(path) for each in _below(path)]:
        if entry.used < since:
            with suppress(FileNotFoundError):
                os.unlink(entry.path)
                count, size = count + 1, size + entry.size
            _remove_empty(os.path.dirname(entry.path), folder)
    return count, size


def _remove_empty(path: str, cache: str) -> None:
    """Remove the folders from *path* upwards, below *cache*, that hold nothing any more."""
    with suppress(OSError):
        while path.startswith(f"{cache}/"):
            os.rmdir(path)
            path = os.path.dirname(path)


def _environments(folder: str) -> Iterator[str]:
    for kept in filter(_holds_environments, _formats(folder)):
        with os.scandir(kept) as found:
            yield from sorted(entry.path for entry in found if entry.is_dir(follow_symlinks=False))


def _holds_environments(path: str) -> bool:
    return os.path.basename(path).startswith("scripts-")


def formats(folder: str) -> list[str]:
    """The folders of every format below *folder*, newer ones too."""
    return list(_formats(folder))


def _formats(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            ours = [
                entry.path for entry in found if _OURS.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return
    yield from sorted(ours)


def _split(name: str) -> tuple[str, str]:
    match = _OURS.fullmatch(name)
    assert match is not None
    return match[1], match[2]


def _below(folder: str) -> Iterator[Entry]:
    for here, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(here, name)
            with suppress(FileNotFoundError):
                status = os.lstat(path)
                yield Entry(path, status.st_size, max(status.st_atime, status.st_mtime))
