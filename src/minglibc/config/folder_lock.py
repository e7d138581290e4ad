"""One writer at a time in a folder, by a file that names the process that holds it."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from minglibc.config.files import BUSY, open_regular
from minglibc.config.processes import host, started
from minglibc.errors import LockError

_POLL = 0.05
# A process writes its name right after it creates the file; a file that stays empty longer is of a killed process.
_EMPTY_IS_STALE = 5.0


@contextmanager
def lock(
    folder: str, *, patience: float = 60.0, on_wait: Callable[[str], None] = lambda _holder: None
) -> Iterator[None]:
    """Exclude other minglibc processes from *folder*, on all machines; raises LockError if it stays busy.

    It is a file and not flock, which is not reliable on NFS.
    """
    path = os.path.join(folder, BUSY)
    me = _own_line()
    try:
        _acquire(path, me, patience, on_wait)
        yield
    finally:
        if _holder(path) == me:
            with suppress(OSError):
                os.unlink(path)


def remove_stale(folder: str) -> None:
    """Remove the busy file in *folder* if its process was killed, without waiting; raises LockError, OSError."""
    path = os.path.join(folder, BUSY)
    holder = _holder(path)
    if holder and _is_stale(holder):
        _remove_stale(path, holder, _own_line())


def _acquire(path: str, me: str, patience: float, on_wait: Callable[[str], None]) -> None:
    start = empty_since = time.monotonic()
    reported = False
    while not _create(path, me):
        holder = _holder(path)
        now = time.monotonic()
        if holder:
            empty_since = now
        if holder is not None and (_is_stale(holder) if holder else now - empty_since > _EMPTY_IS_STALE):
            _remove_stale(path, holder, me)
        elif now - start > patience:
            raise LockError(
                f"another minglibc process uses {os.path.dirname(path) or '.'} ({_describe(holder or '')})",
                hint=f"wait for it; if it is no longer running, delete {path}",
            )
        else:
            if holder and not reported:
                on_wait(_describe(holder))
                reported = True
            time.sleep(_POLL)


def _create(path: str, content: str) -> bool:
    """Create the file at *path*; false if it exists. O_EXCL is atomic on every file system, including NFS."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    except OSError as problem:
        raise LockError(f"can't write in {os.path.dirname(path) or '.'}: {problem.strerror}") from problem
    try:
        os.write(descriptor, content.encode())
    except OSError as problem:
        os.unlink(path)
        raise LockError(f"can't write {path}: {problem.strerror}") from problem
    finally:
        os.close(descriptor)
    return True


def _remove_stale(path: str, holder: str, me: str) -> None:
    """Remove the busy file of the dead *holder*; a guard file ensures that only one process does."""
    guard = f"{path}.stale"
    if not _create(guard, me):
        # A process that was killed below leaves the guard, which is removed once that process is gone.
        remover = _holder(guard)
        if remover and _is_stale(remover):
            with suppress(OSError):
                os.unlink(guard)
        time.sleep(_POLL)
        return
    try:
        if _holder(path) == holder:
            os.unlink(path)
    finally:
        os.unlink(guard)


def _holder(path: str) -> str | None:
    """The content of the busy file; None if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=open_regular) as file:
            return file.read()
    except OSError as problem:
        if problem.errno in {errno.ENOENT, errno.ESTALE}:
            return None
        raise LockError(f"can't read {path}: {problem.strerror}") from problem


def _is_stale(holder: str) -> bool:
    """Whether *holder* was a process of this machine and is gone; processes of other machines are never stale."""
    machine, _, process = holder.rpartition(" ")[0].rpartition(" ")
    start = holder.rpartition(" ")[2]
    return machine == host() and process.isdecimal() and started(int(process)) != start


def _describe(holder: str) -> str:
    machine, _, process = holder.rpartition(" ")[0].rpartition(" ")
    return f"process {process} on {machine.partition('~')[0]}" if process else "an unknown process"


def _own_line() -> str:
    return f"{host()} {os.getpid()} {started(os.getpid())}"
