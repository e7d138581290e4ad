"""The lock that a use case reads: the one that is named, or the project's."""

import os
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.options import CommonOptions
from minglibc.config import files
from minglibc.errors import LockError, SettingsError

if TYPE_CHECKING:
    from minglibc.lock.reader import Lock


class LockFile(NamedTuple):
    """A lock on disk: its folder, its file name, its text and the parsed document."""

    folder: str
    name: str
    text: str
    lock: "Lock"

    @property
    def path(self) -> str:
        """The path of the file."""
        return os.path.join(self.folder, self.name)


def read_lock_file(common: CommonOptions, lock: str | None = None) -> LockFile:
    """The lock at the path *lock*, else the project's; raises LockError where it is missing or invalid."""
    from minglibc.lock.reader import loads  # noqa: PLC0415  10 ms, and `run` with an unchanged environment parses no lock

    path = os.path.abspath(lock) if lock else _project_lock(common)
    folder, name = os.path.split(path)
    text = files.read_lock(path)
    if text is None:
        raise LockError(f"there is no {name} in {folder}", hint="run `minglibc lock` and commit the file")
    return LockFile(folder, name, text, loads(text, name=name))


def _project_lock(common: CommonOptions) -> str:
    try:
        return files.lock_path(common.project_folder)
    except SettingsError:
        # A lock can be installed without its pyproject.toml: locks of requirements files have none, and a frozen lock
        # may be copied to machines that only install it.
        path = files.lock_path(os.path.abspath(common.project or "."))
        if not os.path.exists(path):
            raise
        return path
