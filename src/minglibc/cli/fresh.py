"""`lock` and `lock --check` where there is nothing to do: read two files, compare two digests, import next to nothing."""

import os
import sys

from minglibc.config import files
from minglibc.lock import source_files
from minglibc.lock.digest import fingerprint, lock_digests

_FLAGS = frozenset(("--check", "-q", "--quiet", "--offline"))
_VALUES = frozenset(("--index-url", "--cache-dir", "--project"))
# Overrides that the full command must read.
_VARIABLES = (
    "GLIBC",
    "MUSL",
    "PYTHON",
    "ARCH",
    "UPGRADE",
    "UPGRADE_PACKAGE",
    "DRY_RUN",
    "JSON",
    "VERBOSE",
    "CHECK",
    "PRERELEASES",
)
UP_TO_DATE = "pylock.toml is up to date"


def answer(arguments: list[str]) -> int | None:
    """0 where the lock is up to date and the arguments are plain; None where the whole command has to decide."""
    directory = os.environ.get("MINGLIBC_PROJECT")
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _VALUES:
            value = next(waiting, None)
            directory = value if argument == "--project" else directory
        elif argument not in _FLAGS:
            return None
    if any(f"MINGLIBC_{name}" in os.environ for name in _VARIABLES):
        return None
    folder = files.find(directory)
    if os.path.lexists(os.path.join(folder, files.BUSY)):
        return None  # somebody works there, or was killed there
    lock = files.read_lock(files.lock_path(folder))
    digests = lock_digests(lock) if lock else None
    if digests is None or not digests.intact or digests.inputs != fingerprint(files.read_pyproject(folder)):
        return None
    if source_files.lists_any(lock or "") and source_files.changed(lock or "", folder):
        return None
    if "-q" not in arguments and "--quiet" not in arguments and "MINGLIBC_QUIET" not in os.environ:
        print(UP_TO_DATE, file=sys.stderr)
    return 0
