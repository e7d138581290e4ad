"""The fast path of `sync` and `run`: an environment whose proof says that a sync would change nothing."""

# Imported by every `run` and `sync`: nothing that takes long to import.

import os
from typing import NamedTuple

from minglibc.app.options import CommonOptions
from minglibc.app.sync_options import SyncOptions
from minglibc.config import files
from minglibc.errors import MinglibcError
from minglibc.install import proof
from minglibc.lock import source_files


class UnchangedEnvironment(NamedTuple):
    """An environment that matches its lock, and the number of packages in it."""

    prefix: str
    packages: int


def find_unchanged(common: CommonOptions, options: SyncOptions) -> UnchangedEnvironment | None:
    """The environment, if a sync would change nothing; None where a full sync has to decide."""
    texts = None if options.selection.lock or options.compile_bytecode else _read(common)
    if texts is None:
        return None
    folder, lock, pyproject = texts
    prefix = os.path.abspath(options.python or options.folder_in(folder))
    if _is_version(options.python) or not os.path.isdir(prefix):
        return None
    packages = proof.unchanged_packages(
        prefix,
        _request(lock, pyproject, options),
        project=folder,
        pyproject=proof.digest(pyproject),
        executable=os.path.join(prefix, "bin", "python"),
    )
    return None if packages is None else UnchangedEnvironment(os.path.realpath(prefix), packages)


def find_matching(common: CommonOptions, options: SyncOptions) -> str | None:
    """The prefix of the environment, if it was synced to this lock and nothing was installed since; else None.

    Faster than ``find_unchanged``: changes within the files of a package are not detected.
    """
    texts = None if options.selection.lock else _read(common)
    if texts is None:
        return None
    folder, lock, pyproject = texts
    if _is_version(options.python):
        return None
    path = options.python or options.folder_in(folder)
    prefix = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(os.path.dirname(path)))
    # An environment without other packages also matches where others may be kept.
    accepted = [options, options._replace(inexact=False)] if options.inexact else [options]
    matches = any(proof.matches(prefix, _request(lock, pyproject, one)) for one in accepted)
    return prefix if matches and os.path.exists(os.path.join(prefix, "bin", "python")) else None


def script_matches(prefix: str, lock: str, pyproject: str, options: SyncOptions) -> bool:
    """Whether a script's environment at *prefix* was synced to the text *lock* and nothing was installed since."""
    return not source_files.lists_any(lock) and proof.matches(prefix, _request(lock, pyproject, options))


def _is_version(python: str | None) -> bool:
    """Whether the option is a version; which environment it stands for is decided by the full sync."""
    return python is not None and python[:1].isdigit() and os.sep not in python


def _request(lock: str, pyproject: str, options: SyncOptions) -> proof.Request:
    digest = None if options.selection.frozen else proof.digest(pyproject)
    return proof.Request(proof.digest(lock), digest, options.key)


def _read(common: CommonOptions) -> tuple[str, str, str] | None:
    """The project's folder, its lock and its pyproject.toml; None where the full sync has to look at them."""
    try:
        folder = common.project_folder
        lock, pyproject = files.read_lock(files.lock_path(folder)), files.read_pyproject(folder)
    except MinglibcError:
        return None  # the full sync reports it
    # Only the full sync compares the files that a lock lists.
    return None if lock is None or source_files.lists_any(lock) else (folder, lock, pyproject)
