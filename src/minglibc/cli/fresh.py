"""The fast path of `lock`: an unchanged lock is recognized before the settings and the resolver are imported."""

# Only modules that import next to nothing.

import os

from minglibc.cache.location import default_folder, find_problem
from minglibc.cli.plain_options import PlainOptions
from minglibc.config import files
from minglibc.lock import source_files
from minglibc.lock.digest import is_current_cached, lock_digests


def is_up_to_date(options: PlainOptions) -> bool:
    """Whether the project's lock is known to be up to date; false where the whole command has to decide."""
    folder, cache = files.find(), options.cache_dir or default_folder()
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
