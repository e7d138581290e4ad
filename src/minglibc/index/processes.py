"""Processes that use a second core, and the pipes between them."""

# `lock` forks before it imports anything else: only modules that Python has imported already.

import os
import sys

from minglibc.config.processors import usable_processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_LENGTH = 8
_MAX_READ = 1 << 20
# The usual limit of open files.
_MOST_OPEN = 1024


def can_fork() -> bool:
    """Whether there is a second core, and no thread makes fork unsafe, as libraries of macOS do."""
    threading = sys.modules.get("threading")
    is_safe = hasattr(os, "fork") and sys.platform != "darwin" and (threading is None or threading.active_count() == 1)
    return is_safe and usable_processors() > 1


def fork(run: "Callable[[], None]", *, keep: "Iterable[int]") -> int:
    """Start a process that calls *run*, with the open files *keep*, and never returns to the caller; raises OSError."""
    pid = os.fork()
    if pid == 0:
        try:
            _detach()
            start = 3
            for end in sorted(keep):
                os.closerange(start, end)
                start = end + 1
            os.closerange(start, _MOST_OPEN)
            run()
        finally:
            os._exit(0)
    return pid


def _detach() -> None:
    """Keep no stream of the parent open, and leave Ctrl-C to it."""
    import signal  # noqa: PLC0415  4 ms, after the fork

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def enlarge(end: int) -> None:
    """Let the pipe at *end* take most pages at once: waiting for the reader takes a twentieth of a cold lock."""
    import fcntl  # noqa: PLC0415  0.3 ms, after the fork

    try:  # noqa: SIM105  contextlib is not imported before the fork
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _MAX_READ)
    except (OSError, AttributeError):
        pass  # the user's limit on pipes, or another system than Linux


def close(*ends: int) -> None:
    """Close ends of pipes in this process."""
    for end in ends:
        os.close(end)


def wait_for(*pids: int) -> None:
    """Wait until child processes have ended."""
    for pid in pids:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            continue


def send(end: int, value: "Any") -> None:
    """Send *value* to an Inbox; raises OSError where the other process has ended."""
    import pickle  # noqa: PLC0415  5 ms, after the fork

    data = pickle.dumps(value)
    content = memoryview(len(data).to_bytes(_LENGTH, "big") + data)
    while content:
        content = content[os.write(end, content) :]


class Inbox:
    """The values that arrive at the end of a pipe."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._data = bytearray()

    def fileno(self) -> int:
        """The descriptor for ``select``."""
        return self._end

    def receive(self) -> "Iterator[Any]":
        """The values that are complete now; waits if nothing has arrived. Raises EOFError where the process has ended."""
        import pickle  # noqa: PLC0415  5 ms, after the fork

        received = os.read(self._end, _MAX_READ)
        if not received:
            raise EOFError
        data = self._data
        data += received
        start = 0
        while len(data) >= start + _LENGTH:
            end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "big")
            if end > len(data):
                break
            yield pickle.loads(data[start + _LENGTH : end])  # noqa: S301  from a process of this program
            start = end
        del data[:start]
