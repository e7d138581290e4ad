"""Worker threads that send requests in parallel, the urgent ones first."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from minglibc.errors import IndexUnreachable
from minglibc.index.connection import Connection
from minglibc.index.limits import Limits

# Seconds after which a waiting thread checks the deadlines of what it waits for.
CHECK_INTERVAL = 0.5
T = TypeVar("T")


class Task(Generic[T]):
    """A function of a connection that a worker thread runs, with its result or error; *on_done* is called in that thread."""

    __slots__ = ("connection", "error", "has_waiter", "is_done", "job", "on_done", "result", "urgent")

    def __init__(
        self,
        job: Callable[[Connection], T],
        *,
        urgent: bool,
        on_done: "Callable[[Task[T]], None]" = lambda _task: None,
    ) -> None:
        self.job = job
        self.urgent = urgent
        self.on_done = on_done
        self.connection: Connection | None = None
        self.is_done = False
        self.has_waiter = False
        self.result: Any = None
        self.error: BaseException | None = None

    def overdue(self) -> IndexUnreachable | None:
        """The error of a request that the task waits for and that is long past its deadline."""
        connection = self.connection
        return connection.overdue() if connection is not None else None


class Transport:
    """A limited number of worker threads with a connection each; *reserved* ones are only for urgent tasks.

    Threads instead of asyncio: its import, with what httpx needs for it, takes as long as the requests of a small lock.
    """

    def __init__(self, limits: Limits, *, size: int, reserved: int = 0) -> None:
        self._limits = limits
        self._size = size
        self._reserved = reserved
        lock = threading.Lock()
        self._submitted = threading.Condition(lock)
        self._finished = threading.Condition(lock)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._busy = 0
        self._urgent: deque[Task[Any]] = deque()
        self._later: deque[Task[Any]] = deque()
        self.is_closing = False

    def submit(self, job: Callable[[Connection], T], *, urgent: bool = False) -> Task[T]:
        """Run *job* in a worker thread."""
        task = Task(job, urgent=urgent)
        self.start(task)
        return task

    def start(self, task: Task[T]) -> None:
        """Run *task* in a worker thread."""
        with self._submitted:
            (self._urgent if task.urgent else self._later).append(task)
            self._wake_worker()

    def promote(self, task: Task[Any]) -> None:
        """Run *task* before all tasks that are not urgent."""
        with self._submitted:
            if not task.urgent:
                task.urgent = True
                with suppress(ValueError):
                    self._later.remove(task)
                    self._urgent.append(task)
                    self._wake_worker()

    def wait(self, task: Task[T]) -> T:
        """The result of *task*; raises its error, or IndexUnreachable where its deadline has passed."""
        (result,) = self.wait_all([task])
        return result

    def wait_all(self, tasks: Sequence[Task[T]]) -> list[T]:
        """The results of *tasks*; raises the first error without waiting for the others."""
        with self._finished:
            for task in tasks:
                task.has_waiter = True
            while pending := [task for task in tasks if not task.is_done]:
                if any(task.error is not None for task in tasks):
                    break
                self._finished.wait(CHECK_INTERVAL)
                for task in pending:
                    if error := task.overdue():
                        raise error
        for task in tasks:
            if task.error is not None:
                raise task.error
        return [task.result for task in tasks]

    def close(self) -> None:
        """Cancel all tasks and close the connections; a worker that waits for a server is not waited for."""
        with self._submitted:
            self.is_closing = True
            self._urgent.clear()
            self._later.clear()
            self._submitted.notify_all()
            idle = self._busy == 0
        for thread in self._threads if idle else ():
            thread.join()

    def _wake_worker(self) -> None:
        if self._idle:
            self._idle -= 1
            self._submitted.notify()
        elif len(self._threads) < self._size and (task := self._next()) is not None:
            thread = threading.Thread(target=self._work, args=(task,), daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._return(task)
            else:
                self._threads.append(thread)

    def _return(self, task: Task[Any]) -> None:
        """Leave *task* to the other workers, as the limit on threads is reached; it fails if there are none."""
        self._busy -= 1
        if self._threads:
            (self._urgent if task.urgent else self._later).appendleft(task)
        else:
            task.error = IndexUnreachable("can't start a thread for requests", hint="raise the limit on processes")
            task.is_done = True
            task.on_done(task)

    def _next(self) -> Task[Any] | None:
        """The task to run now, if there is one and it may occupy another worker."""
        task = None
        if self._urgent:
            task = self._urgent.popleft()
        elif self._later and self._size - self._busy > self._reserved:
            task = self._later.popleft()
        self._busy += task is not None
        return task

    def _work(self, first: Task[Any]) -> None:
        """Run tasks in a thread of its own; a task also fails with the error of the connection that it needs."""
        task: Task[Any] | None = first
        connection: Connection | None = None
        while task is not None:
            try:
                if connection is None:
                    connection = Connection(self._limits, is_closing=lambda: self.is_closing)
                task.connection = connection
                task.result = task.job(connection)
            except BaseException as error:  # noqa: BLE001  the waiting thread raises it
                task.error = error
            task.on_done(task)
            task = self._finish(task)
        if connection is not None:
            connection.close()

    def _finish(self, task: Task[Any]) -> Task[Any] | None:
        """Mark *task* as done; the task to run next, or None when the transport is closed."""
        with self._finished:
            task.connection = None
            task.is_done = True
            self._busy -= 1
            if task.has_waiter:
                self._finished.notify_all()
            following = self._next()
            while following is None and not self.is_closing:
                self._idle += 1
                self._submitted.wait()
                following = self._next()
            return following
