"""Worker threads that fetch."""

from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from minglibc.index.calls import Call, Key, Reply
from minglibc.index.fetcher import Fetcher
from minglibc.index.limits import Limits
from minglibc.index.transport import CHECK_INTERVAL, Task, Transport

_THREADS = 32
# Threads that speculative requests leave free.
_RESERVED = 3


class FetchThreads:
    """Makes the calls of *fetcher* in threads."""

    def __init__(self, fetcher: Fetcher, limits: Limits) -> None:
        self._fetcher = fetcher
        self._transport = Transport(limits, size=_THREADS, reserved=_RESERVED)
        self._tasks: dict[Key, Task[Any]] = {}
        self._replies: SimpleQueue[Reply] = SimpleQueue()

    def submit(self, key: Key, call: Call, *, urgent: bool) -> None:
        """Make *call*; its reply has the same *key*."""
        task = Task[Any](partial(self._fetcher.perform, call), urgent=urgent, on_done=partial(self._finish, key))
        self._tasks[key] = task
        self._transport.start(task)

    def promote(self, key: Key) -> None:
        """Make the call of *key* urgent."""
        task = self._tasks.get(key)
        if task is not None:
            self._transport.promote(task)

    def replies(self, *, wait: bool) -> list[Reply]:
        """The replies since the last call; with *wait*, wait for some time if there are none."""
        replies: list[Reply] = []
        try:
            while True:
                replies.append(self._replies.get(wait and not replies, CHECK_INTERVAL))
        except Empty:
            if wait and not replies:
                self._end_overdue()
        return replies

    def _finish(self, key: Key, task: Task[Any]) -> None:
        result = task.result if task.error is None else task.error
        # There was a reply already where the task was overdue, and there will be one where the result is None.
        if self._tasks.pop(key, None) is not None and result is not None:
            self._replies.put((key, result))

    def _end_overdue(self) -> None:
        for key, task in list(self._tasks.items()):
            error = task.overdue()
            if error is not None and self._tasks.pop(key, None) is not None:
                self._replies.put((key, error))

    def close(self) -> None:
        """Cancel all calls."""
        self._transport.close()
