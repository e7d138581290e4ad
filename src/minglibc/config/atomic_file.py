"""Replacing a file atomically."""

import os
from contextlib import suppress

from minglibc.config.processes import host, started

TYPE_CHECKING = False  # typing takes 10 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable

_CHUNK = 1 << 20


def replace(path: str, content: bytes) -> None:
    """Replace the file at *path* by *content*; at every moment, either the old or the new file is there, complete."""
    _replace(path, (content,))


def copy(source: str, path: str) -> None:
    """Replace the file at *path* by a copy of the one at *source*, as ``replace`` does."""
    with open(source, "rb") as file:
        _replace(path, iter(lambda: file.read(_CHUNK), b""))


def _replace(path: str, content: "Iterable[bytes]") -> None:
    folder, name = os.path.split(path)
    remove_leftovers(folder, name)
    temporary = os.path.join(folder, f".{name}.{host()}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                _copy_permissions(os.stat(path), descriptor)
            file.writelines(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except FileExistsError:
        raise
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    # The folder entry must survive a crash as well; some file systems can't sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy_permissions(old: os.stat_result, descriptor: int) -> None:
    for owner in (old.st_uid, -1):  # only root can keep another owner, and only members the group
        with suppress(OSError):
            os.fchown(descriptor, owner, old.st_gid)
            break
    os.fchmod(descriptor, old.st_mode & 0o7777)


def remove_leftovers(folder: str, name: str) -> None:
    """Remove the temporary files for *name* in *folder* of processes of this machine that were killed."""
    prefix = f".{name}.{host()}."
    for entry in os.listdir(folder or "."):
        if entry.startswith(prefix) and entry.endswith(".tmp"):
            pid = entry[len(prefix) : -len(".tmp")]
            if pid.isdecimal() and (int(pid) == os.getpid() or not started(int(pid))):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, entry))
