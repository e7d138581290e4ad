"""The use case of `cache`: the size of the cache, and how to make it smaller."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from minglibc.app.options import CommonOptions
from minglibc.cache import maintenance
from minglibc.errors import MinglibcError, SettingsError

UNUSED_DAYS = 30
_DAY = 86_400


class Pruned(NamedTuple):
    """How many unused files were removed, and how many bytes were freed."""

    files: int
    bytes: int


def folder(common: CommonOptions) -> str:
    """The absolute path of the cache."""
    if not common.configured_cache:
        raise SettingsError(
            "there is no home directory for the cache", hint="set XDG_CACHE_HOME, or name a folder with --cache-dir"
        )
    return os.path.abspath(common.configured_cache)


def size(common: CommonOptions) -> int:
    """The size of the cache in bytes."""
    with _errors_reported("read", folder(common)):
        return sum(entry.size for entry in maintenance.entries(folder(common)))


def prune(common: CommonOptions) -> Pruned:
    """Remove files that were not used for ``UNUSED_DAYS`` days, and those of older formats."""
    path = folder(common)
    with _errors_reported("prune", path):
        freed = sum(maintenance.remove_folder(old) for old in maintenance.older_formats(path))
        files, unused = maintenance.remove_unused(path, since=time.time() - UNUSED_DAYS * _DAY)
    return Pruned(files, freed + unused)


def clear(common: CommonOptions) -> int:
    """Remove everything; the number of bytes that were freed."""
    path = folder(common)
    with _errors_reported("clear", path):
        return sum(maintenance.remove_folder(part) for part in maintenance.formats(path))


@contextmanager
def _errors_reported(action: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        file = f" {error.filename}" if error.filename else ""
        raise MinglibcError(
            f"can't {action} the cache {path}:{file} {error.strerror}",
            hint="check its ownership and permissions, or use another folder with --cache-dir",
        ) from error
