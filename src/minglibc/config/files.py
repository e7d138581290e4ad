"""pyproject.toml and pylock.toml found upwards and read whole: all that a lock with nothing to do needs of the disk."""

# Every start imports this: os, and nothing that costs more.

import os

from minglibc.errors import LockError, MinglibcError, SettingsError

PYPROJECT = "pyproject.toml"
LOCK = "pylock.toml"
BUSY = ".minglibc.busy"


def find(directory: str | None = None, *, start: str = ".") -> str:
    """The folder of the project: *directory* if given, else the nearest from *start* upwards with a pyproject.toml."""
    if directory is not None:
        if not os.path.lexists(os.path.join(directory, PYPROJECT)):
            what = "has no pyproject.toml" if os.path.isdir(directory) else "is not a folder"
            raise SettingsError(f"{directory} {what}", hint="name the project's folder, or make one by `minglibc init`")
        return os.path.abspath(directory)
    folder = here = os.path.abspath(start)
    while not os.path.lexists(os.path.join(folder, PYPROJECT)):
        parent = os.path.dirname(folder)
        if parent == folder:
            raise SettingsError(
                f"there is no pyproject.toml in {here} or any folder above it",
                hint="`minglibc init` makes one; --project DIR names another folder",
            )
        folder = parent
    return folder


def pyproject_path(folder: str) -> str:
    """Where the project in *folder* keeps its settings."""
    return os.path.join(folder, PYPROJECT)


def lock_path(folder: str) -> str:
    """Where the project in *folder* keeps its lock."""
    return os.path.join(folder, LOCK)


def read_pyproject(folder: str) -> str:
    """The text of pyproject.toml in *folder*; raises SettingsError."""
    text = read_file(pyproject_path(folder))
    if text is None:
        raise SettingsError(f"there is no {PYPROJECT} in {folder}", hint="`minglibc init` makes one")
    return text


def read_file(path: str) -> str | None:
    """The text of a file that a user wrote, None where there is none; raises SettingsError for what can't be read."""
    return _read(path, SettingsError)


def read_lock(path: str) -> str | None:
    """The text of the lock at *path*, None where there is none; raises LockError for what can't be read."""
    return _read(path, LockError)


def _read(path: str, error: type[MinglibcError]) -> str | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        if os.path.islink(path):
            raise error(f"{path} is a link to {os.readlink(path)}, which is not there") from None
        return None
    except IsADirectoryError:
        raise error(f"{path} is a folder, and a file is due") from None
    except OSError as problem:
        raise error(f"can't read {path}: {problem.strerror}") from problem
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = content[: problem.start]
        line, column = before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1
        raise error(f"{path} is not UTF-8 text (line {line}, column {column})", hint="save it as UTF-8") from problem
