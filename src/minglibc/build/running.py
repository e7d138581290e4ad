"""The processes of running builds: no process that a build has started is running after its end."""

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

_SET_CHILD_SUBREAPER = 36
# A process that is killed leaves its own children to this one.
_ROUNDS = 20

_groups: set[int] = set()
# The children of this process that are not from builds.
_others: set[int] = set()
_lock = threading.Lock()
_killed = threading.Event()


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, which is killed at the end of the block with all that it has started."""
    with _lock:
        if not _groups:
            # A program that uses the Python API may have children of its own.
            _others.clear()
            _others.update(_children_in_other_sessions())
            _adopt_orphans(1)
        process = subprocess.Popen(command, start_new_session=True, **options)
        _groups.add(process.pid)
    with process:
        try:
            yield process
        finally:
            _kill(process.pid)
            # Its children are this process's only then.
            process.wait()
            with _lock:
                _groups.discard(process.pid)
                if not _groups:
                    _kill_orphans()
                    # A command that replaces this process, as that of `run`, keeps the setting.
                    _adopt_orphans(0)


def allow_builds() -> None:
    """Forget that builds were killed, once all of their threads have ended."""
    _killed.clear()


def kill_builds() -> None:
    """Kill the processes of all running builds; their threads report a failure, which says nothing about the packages."""
    _killed.set()
    for group in list(_groups):
        _kill(group)


def are_killed() -> bool:
    """Whether running builds have been killed, because another one failed or on Ctrl-C."""
    return _killed.is_set()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _adopt_orphans(value: Literal[0, 1]) -> None:
    """Become the parent of processes whose parent ends, such as daemons, instead of init (1), or no longer (0)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, value, 0, 0, 0)


def _kill_orphans() -> None:
    """Kill what has left the session of its build."""
    for _ in range(_ROUNDS):
        orphans = _children_in_other_sessions() - _others
        for pid in orphans:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if not orphans:
            return


def _children_in_other_sessions() -> set[int]:
    parent, session = os.getpid(), os.getsid(0)
    children = set()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The name of the program, in parentheses, may contain anything.
                    fields = file.read().rpartition(b")")[2].split()
                if int(fields[1]) == parent and int(fields[3]) != session:
                    children.add(int(name))
    return children
