"""The process groups of running builds, so that all can be killed from another thread."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_groups: set[int] = set()


@contextmanager
def killed_at_the_end(group: int) -> Iterator[None]:
    """A block after which no process of *group* is running."""
    _groups.add(group)
    try:
        yield
    finally:
        _groups.discard(group)
        _kill(group)


def kill_builds() -> None:
    """Kill the processes of all running builds; their threads report a failure."""
    for group in list(_groups):
        _kill(group)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
