"""The fast path of `lock`: an unchanged lock is recognized without argparse, which would double the time of the command."""

# Only modules that import next to nothing.

import os

from minglibc.cache.location import default_folder, find_problem
from minglibc.config import files
from minglibc.lock import source_files
from minglibc.lock.digest import is_current_cached, lock_digests

# What has no effect on whether a lock is up to date. With any other option or variable, the whole command decides.
_FLAGS = frozenset(("--check", "--offline", "-q", "--quiet"))
_WITH_VALUE = frozenset(("--cache-dir", "--index-url"))
_VARIABLES = frozenset(("MINGLIBC_CACHE_DIR", "MINGLIBC_INDEX_URL", "MINGLIBC_OFFLINE"))


def is_up_to_date(options: list[str]) -> bool:
    """Whether the lock is known to be up to date; false where the whole command has to decide."""
    return _have_no_effect(options) and _is_unchanged(files.find(), cache_folder(options))


def cache_folder(options: list[str]) -> str:
    """The cache folder that *options* or the environment name, or the default one; "" without a home directory."""
    value = ""
    for position, option in enumerate(options):
        if option == "--cache-dir":
            value = "".join(options[position + 1 : position + 2])
        elif option.startswith("--cache-dir="):
            value = option.partition("=")[2]
    return value or os.environ.get("MINGLIBC_CACHE_DIR") or default_folder()


def _have_no_effect(options: list[str]) -> bool:
    rest = iter(options)
    for option in rest:
        value = next(rest, "-") if option in _WITH_VALUE else ""
        if value.startswith("-") or (not value and option not in _FLAGS):
            return False
    return not any(name.startswith("MINGLIBC_") and name not in _VARIABLES for name in os.environ)


def _is_unchanged(folder: str, cache: str) -> bool:
    if os.path.lexists(os.path.join(folder, files.BUSY)):
        return False  # another process is changing the project, or was killed while it did
    lock = files.read_lock(files.lock_path(folder)) or ""
    digests = lock_digests(lock)
    if digests is None or not digests.intact:
        return False
    if find_problem(cache):
        return False
    pyproject = files.read_pyproject(folder)
    if not is_current_cached(digests.inputs, pyproject, cache=cache, folder=folder):
        return False
    if "workspace" in pyproject:
        return False  # it may have new members
    return not (source_files.lists_any(lock) and source_files.changed(lock, folder))
