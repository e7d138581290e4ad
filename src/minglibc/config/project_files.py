"""Reading and atomically writing pyproject.toml and pylock.toml, one writer at a time."""

import os
from contextlib import suppress

from minglibc.config.atomic_file import remove_leftovers, replace
from minglibc.config.files import BUSY, LOCK, PYPROJECT, find, lock_path, pyproject_path, read_lock, read_pyproject
from minglibc.config.folder_lock import lock, remove_stale
from minglibc.errors import LockError, MinglibcError, SettingsError

__all__ = [
    "BUSY",
    "LOCK",
    "PYPROJECT",
    "find",
    "lock",
    "lock_path",
    "pyproject_path",
    "read_lock",
    "read_pyproject",
    "replace",
    "tidy",
    "write_lock",
    "write_pyproject",
]


def write_pyproject(folder: str, text: str) -> None:
    """Replace pyproject.toml in *folder* atomically; raises SettingsError."""
    _write(pyproject_path(folder), text, SettingsError)


def write_lock(path: str, text: str) -> None:
    """Replace the lock at *path* atomically; raises LockError."""
    _write(path, text, LockError)


def tidy(folder: str) -> None:
    """Remove what killed processes of this machine left in *folder*, as far as that is possible without waiting."""
    with suppress(LockError, OSError):
        remove_stale(folder)
        for name in (PYPROJECT, LOCK):
            remove_leftovers(folder, name)


def _write(path: str, text: str, error: type[MinglibcError]) -> None:
    try:
        # The target of a symbolic link is replaced, not the link.
        replace(os.path.realpath(path), text.encode("utf-8"))
    except OSError as problem:
        raise error(
            f"can't write {path}: {problem.strerror}", hint="the file is unchanged; fix the problem and run again"
        ) from problem
