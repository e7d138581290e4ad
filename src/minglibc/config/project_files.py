"""pyproject.toml and pylock.toml on disk: found upwards, read whole, replaced atomically, one writer at a time."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from minglibc.config.files import BUSY, LOCK, PYPROJECT, find, lock_path, pyproject_path, read_lock, read_pyproject
from minglibc.errors import LockError, MinglibcError, SettingsError

__all__ = [
    "BUSY",
    "LOCK",
    "PYPROJECT",
    "find",
    "lock",
    "lock_path",
    "pyproject_path",
    "read_lock",
    "read_pyproject",
    "replace",
    "tidy",
    "write_lock",
    "write_pyproject",
]

_POLL = 0.05
# Who makes the busy file writes its name into it at once; one that stays empty so long was left by a killed process.
_EMPTY_IS_STALE = 5.0


def write_pyproject(folder: str, text: str) -> None:
    """Replace pyproject.toml in *folder*, wholly or not at all; raises SettingsError."""
    _write(pyproject_path(folder), text, SettingsError)


def write_lock(path: str, text: str) -> None:
    """Replace the lock at *path*, wholly or not at all; raises LockError."""
    _write(path, text, LockError)


@contextmanager
def lock(
    folder: str, *, patience: float = 60.0, on_wait: Callable[[str], None] = lambda _holder: None
) -> Iterator[None]:
    """Hold *folder* against every other minglibc, on this machine and on others; raises LockError when it stays busy.

    A lock file rather than flock, which NFS may lack; time is only measured on this machine's own steady clock.
    """
    path = os.path.join(folder, BUSY)
    me = f"{_host()} {os.getpid()} {_started(os.getpid())}"
    try:
        _acquire(path, me, patience, on_wait)
        yield
    finally:
        if _holder(path) == me:
            with suppress(OSError):
                os.unlink(path)


def tidy(folder: str) -> None:
    """Remove what killed processes of this machine left in *folder*; nobody is waited for, and no refusal matters."""
    path = os.path.join(folder, BUSY)
    with suppress(LockError, OSError):
        holder = _holder(path)
        if holder and _is_stale(holder):
            _remove_stale(path, holder, f"{_host()} {os.getpid()} {_started(os.getpid())}")
        for name in (PYPROJECT, LOCK):
            _sweep(folder, f".{name}.")


def _write(path: str, text: str, error: type[MinglibcError]) -> None:
    try:
        # A link is followed, so that the file it names is replaced and not the link.
        replace(os.path.realpath(path), text.encode("utf-8"))
    except OSError as problem:
        raise error(
            f"can't write {path}: {problem.strerror}", hint="what was there before is unchanged; mend it and run again"
        ) from problem


def replace(path: str, content: bytes) -> None:
    """Make *content* the file at *path*: at every moment the old file or the new one is there, whole."""
    folder, name = os.path.split(path)
    _sweep(folder, f".{name}.")
    temporary = os.path.join(folder, f".{name}.{_host()}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with open(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, os.stat(path).st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except FileExistsError:
        raise
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    # The name must last as the content does; not every file system can sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(folder: str, prefix: str) -> None:
    """Remove what a killed process of this machine left half-written."""
    mine = f"{prefix}{_host()}."
    for entry in os.listdir(folder or "."):
        if entry.startswith(mine) and entry.endswith(".tmp"):
            pid = entry[len(mine) : -len(".tmp")]
            if pid.isdecimal() and (int(pid) == os.getpid() or not _started(int(pid))):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, entry))


def _acquire(path: str, me: str, patience: float, on_wait: Callable[[str], None]) -> None:
    begun = empty_since = time.monotonic()
    told = False
    while not _create(path, me):
        holder = _holder(path)
        now = time.monotonic()
        if holder:
            empty_since = now
        if holder is not None and (_is_stale(holder) if holder else now - empty_since > _EMPTY_IS_STALE):
            _remove_stale(path, holder, me)
        elif now - begun > patience:
            raise LockError(
                f"another minglibc works in {os.path.dirname(path) or '.'} ({_spoken(holder or '')})",
                hint=f"wait for it; if it is no longer running, delete {path}",
            )
        else:
            if holder and not told:
                on_wait(_spoken(holder))
                told = True
            time.sleep(_POLL)


def _create(path: str, content: str) -> bool:
    """Make the file at *path*, or say that it is there already; O_EXCL is the one promise that every file system keeps."""
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
    """Remove the busy file of the dead *holder*, unless somebody else did and made a new one: one remover at a time."""
    guard = f"{path}.stale"
    if not _create(guard, me):
        # Left by a process that was killed within the next two lines: only its own death frees it.
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
    """What the busy file says; None where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as problem:
        if problem.errno in {errno.ENOENT, errno.ESTALE}:
            return None
        raise LockError(f"can't read {path}: {problem.strerror}") from problem


def _is_stale(holder: str) -> bool:
    """Whether *holder* was a process of this very machine and is no more; of other machines nothing is known."""
    host, _, process = holder.rpartition(" ")[0].rpartition(" ")
    started = holder.rpartition(" ")[2]
    return host == _host() and process.isdecimal() and _started(int(process)) != started


def _spoken(holder: str) -> str:
    host, _, process = holder.rpartition(" ")[0].rpartition(" ")
    return f"process {process} on {host.partition('~')[0]}" if process else "an unknown process"


def _host() -> str:
    """This machine's name, this start of it and this view of its processes: what makes a process id mean something."""
    parts = [os.uname().nodename.replace("/", "_").replace(" ", "_")]
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid").strip("pid:[]"))
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        parts.append(file.read().strip()[:8])
    return "~".join(parts)


def _started(pid: int) -> str:
    """When process *pid* began, in ticks since the machine did: tells it from a later one with its number; "" if gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command's name, in brackets, may hold blanks and brackets; field 22 counts from before it.
            fields = file.read().rpartition(")")[2].split()
        # A zombie has ended and only waits for its parent to ask how.
        return "" if fields[0] in {"Z", "X"} else fields[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "running"
