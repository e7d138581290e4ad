"""Finding and reading pyproject.toml and pylock.toml."""

# The fast path of `lock` imports this: only modules that Python has imported already.

import errno
import os
import stat

from minglibc.errors import LockError, MinglibcError, SettingsError

PYPROJECT = "pyproject.toml"
LOCK = "pylock.toml"
# What uv and PDM read beside it.
UV_TOML = "uv.toml"
PDM_TOML = "pdm.toml"
BUSY = ".minglibc.busy"


def find(directory: str | None = None, *, start: str = ".") -> str:
    """The project's folder: *directory* if given, else the nearest folder with a pyproject.toml from *start* upwards."""
    if directory is not None:
        if not os.path.lexists(os.path.join(directory, PYPROJECT)):
            what = "has no pyproject.toml" if os.path.isdir(directory) else "is not a folder"
            raise SettingsError(
                f"{directory} {what}", hint="give the project's folder, or create a project with `minglibc init`"
            )
        return os.path.abspath(directory)
    folder = here = os.path.abspath(start)
    while not os.path.lexists(os.path.join(folder, PYPROJECT)):
        parent = os.path.dirname(folder)
        if parent == folder:
            raise SettingsError(
                f"there is no pyproject.toml in {here} or any folder above it",
                hint="`minglibc init` creates one; --project DIR selects another folder",
            )
        folder = parent
    return folder


def real_path(path: str) -> str:
    """*path* without links; unchanged if it can't be opened because it leads over too many of them."""
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            # os.path.realpath follows any number, recursively.
            return os.path.abspath(path)
    return os.path.realpath(path)


def pyproject_path(folder: str) -> str:
    """The path of pyproject.toml in *folder*."""
    return os.path.join(folder, PYPROJECT)


def lock_path(folder: str) -> str:
    """The path of the project's lock in *folder*."""
    return os.path.join(folder, LOCK)


def read_pyproject(folder: str) -> str:
    """The text of pyproject.toml in *folder*; raises SettingsError."""
    text = read_file(pyproject_path(folder))
    if text is None:
        raise SettingsError(f"there is no {PYPROJECT} in {folder}", hint="`minglibc init` creates one")
    return text


def read_file(path: str) -> str | None:
    """The text of a file that a user wrote, None if it is missing; raises SettingsError if it can't be read."""
    return _read(path, SettingsError)


def read_lock(path: str) -> str | None:
    """The text of the lock at *path*, None if it is missing; raises LockError if it can't be read."""
    return _read(path, LockError)


def open_regular(path: str, flags: int) -> int:
    """An opener for ``open``; raises OSError at once for anything but a regular file, such as a FIFO or a device."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "not a regular file", path)


def replace_file(path: str, content: bytes, mode: int = 0o666) -> None:
    """Replace the file at *path* by a complete one; after a crash of the machine it may be gone, as a cache entry may be.

    Raises OSError, and then leaves no temporary file. ``atomic_file`` is for files that users own.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    # In a folder that other users can write, a symbolic link could lead to any file of this user. A FIFO would block.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(temporary, flags, mode)
        try:
            remaining = memoryview(content)
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        try:  # noqa: SIM105  contextlib is not imported for an unchanged lock
            os.unlink(temporary)
        except OSError:
            pass
        raise


def _read(path: str, error: type[MinglibcError]) -> str | None:
    try:
        with open(path, "rb", opener=open_regular) as file:
            content = file.read()
    except FileNotFoundError:
        if os.path.islink(path):
            raise error(f"{path} is a link to {os.readlink(path)}, which is missing") from None
        return None
    except IsADirectoryError:
        raise error(f"{path} is a folder, not a file") from None
    except OSError as problem:
        raise error(f"can't read {path}: {problem.strerror}") from problem
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = content[: problem.start]
        line, column = before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1
        raise error(f"{path} is not UTF-8 text (line {line}, column {column})", hint="save it as UTF-8") from problem
