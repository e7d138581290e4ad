"""Writing pyproject.toml and pylock.toml."""

import os
from contextlib import suppress

from minglibc.config.atomic_file import remove_leftovers, replace
from minglibc.config.files import LOCK, PYPROJECT, pyproject_path
from minglibc.config.folder_lock import remove_stale
from minglibc.config.lock_source import is_below, leads_out
from minglibc.errors import LockError, MinglibcError, SettingsError


def write_pyproject(folder: str, text: str) -> None:
    """Replace pyproject.toml in *folder* atomically; raises SettingsError."""
    _write(pyproject_path(folder), text, SettingsError)


def write_lock(path: str, text: str) -> None:
    """Replace the lock at *path* atomically; raises LockError."""
    _write(path, text, LockError)


def remove_stale_files(folder: str) -> None:
    """Remove the files that killed processes of this machine left in *folder*, without waiting for other processes."""
    with suppress(LockError, OSError):
        remove_stale(folder)
        for name in (PYPROJECT, LOCK):
            remove_leftovers(folder, name)


def check_pyproject_path(folder: str) -> None:
    """Raise SettingsError if pyproject.toml in *folder* is a link out of it, so that it must not be changed."""
    _check_path(pyproject_path(folder), SettingsError)


def check_lock_path(path: str, root: str = "") -> None:
    """Raise LockError if the lock at *path* is a link out of its folder, so that it must not be overwritten.

    No folder between *root*, if given, and the lock may be a link out of *root* either.
    """
    _check_path(path, LockError)
    if root and is_below(path, root) and leads_out(path, root):
        folder, real = os.path.dirname(path), os.path.realpath(os.path.dirname(path))
        raise LockError(f"{folder} leads to {real}, outside of {root}", hint=f"run minglibc in {real}")


def _check_path(path: str, error: type[MinglibcError]) -> None:
    if os.path.islink(path) and leads_out(path, os.path.dirname(path)):
        target = os.path.realpath(path)
        raise error(f"{path} is a link to {target}, outside of the project", hint="replace the link by a file")


def _write(path: str, text: str, error: type[MinglibcError]) -> None:
    try:
        # The target of a symbolic link is replaced, not the link.
        replace(os.path.realpath(path), text.encode("utf-8"))
    except OSError as problem:
        raise error(
            f"can't write {path}: {problem.strerror}", hint="the file is unchanged; fix the problem and run again"
        ) from problem
