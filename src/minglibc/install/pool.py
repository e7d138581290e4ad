"""A process pool whose workers never outlive their parent, for values that arrive one at a time."""

import ctypes
import os
import pickle
import signal
import threading
from bisect import insort
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from minglibc.config.processors import usable_processors
from minglibc.errors import EnvironmentProblem

_PR_SET_PDEATHSIG = 1
# A worker reports its number in one byte.
_MAX_WORKERS = 256


class Pool:
    """Processes that call the function that *initialize* returns in each of them; an idle one gets the largest waiting value.

    concurrent.futures is not used because its workers wait forever if their parent is killed. Enter the pool before
    other threads are started; submit values from any thread. Workers that are busy when the block ends are killed.
    """

    def __init__(self, initialize: Callable[[], Callable[[Any], Any]], count: int) -> None:
        self._initialize = initialize
        self._count = min(count, usable_processors(), _MAX_WORKERS)
        self._guard = threading.Condition()
        self._waiting: list[tuple[int, int, Any]] = []  # the largest last
        self._submitted = 0
        self._is_complete = False
        self._outcomes: dict[int, tuple[bool, Any]] = {}
        self._workers: list[_Worker] = []
        self._thread = threading.Thread(target=self._distribute, daemon=True)

    def __enter__(self) -> Self:
        self._ready, ready = os.pipe()
        try:
            for number in range(self._count):
                self._workers.append(_Worker(self._initialize, number, ready))
            os.close(ready)
            self._thread.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._complete()
        self._stop()

    def submit(self, position: int, value: Any, size: int) -> None:
        """Call the function with *value* in a worker; its result will be at *position*."""
        with self._guard:
            self._submitted += 1
            insort(self._waiting, (size, -position, value), key=lambda item: item[:2])
            self._guard.notify()

    def results(self) -> list[Any]:
        """All results, sorted by position; raises the first error in that order."""
        self._complete()
        self._thread.join()
        if len(self._outcomes) < self._submitted:
            raise EnvironmentProblem(
                "a process that unpacks wheels was killed",
                hint="nothing was installed; the machine may be out of memory",
            )
        outcomes = [self._outcomes[position] for position in sorted(self._outcomes)]
        for succeeded, error in outcomes:
            if not succeeded:
                raise error
        return [result for _, result in outcomes]

    def _complete(self) -> None:
        with self._guard:
            self._is_complete = True
            self._guard.notify()

    def _distribute(self) -> None:
        """Receive each worker's outcome and send it the next value, until all workers have exited."""
        while ready := os.read(self._ready, 1):
            worker = self._workers[ready[0]]
            # A killed worker has no outcome; results() notices.
            with suppress(EOFError, pickle.UnpicklingError, BrokenPipeError):
                self._outcomes |= worker.outcome()
                worker.send(self._next())

    def _next(self) -> tuple[int, Any] | None:
        with self._guard:
            while not self._waiting and not self._is_complete:
                self._guard.wait()
            if not self._waiting:
                return None
            _, position, value = self._waiting.pop()
            return -position, value

    def _stop(self) -> None:
        for worker in self._workers:
            worker.kill()
        if self._thread.ident:
            self._thread.join()  # it ends when the last worker exits
        for worker in self._workers:
            worker.close()
        os.close(self._ready)


class _Worker:
    """A child process, the pipe for its values, and the pipe for its outcomes."""

    def __init__(self, initialize: Callable[[], Callable[[Any], Any]], number: int, ready: int) -> None:
        parent = os.getpid()
        values_in, values_out = os.pipe()
        outcomes_in, outcomes_out = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _work(initialize, bytes([number]), (values_in, outcomes_out, ready), parent)
        os.close(values_in)
        os.close(outcomes_out)
        self._values: IO[bytes] = open(values_out, "wb")  # noqa: SIM115  closed by close()
        self._results: IO[bytes] = open(outcomes_in, "rb")  # noqa: SIM115  the same

    def outcome(self) -> dict[int, tuple[bool, Any]]:
        """The outcome of the last value, if any, of a child that is ready for the next."""
        outcome: dict[int, tuple[bool, Any]] = pickle.load(self._results)  # noqa: S301  from our own child
        return outcome

    def send(self, value: tuple[int, Any] | None) -> None:
        """Send a value with its position, or None to make the child exit."""
        pickle.dump(value, self._values)
        self._values.flush()

    def kill(self) -> None:
        """Kill the child if it is running, and wait for it."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def close(self) -> None:
        """Close the pipes."""
        with suppress(BrokenPipeError):
            self._values.close()
        self._results.close()


def _work(
    initialize: Callable[[], Callable[[Any], Any]], number: bytes, pipes: tuple[int, int, int], parent: int
) -> NoReturn:
    """The main function of a child; it never returns to the parent's code."""
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and kills its children
        for sent in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(sent) != signal.SIG_IGN:
                signal.signal(sent, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _serve(initialize(), number, *pipes)
    os._exit(0)


def _serve(function: Callable[[Any], Any], number: bytes, values_in: int, outcomes_out: int, ready: int) -> None:
    outcome: dict[int, tuple[bool, Any]] = {}
    with open(values_in, "rb") as values, open(outcomes_out, "wb") as outcomes:
        while True:
            content = pickle.dumps(outcome)
            os.write(ready, number)
            outcomes.write(content)
            outcomes.flush()
            task = pickle.load(values)  # noqa: S301  from our own parent
            if task is None:
                return
            position, value = task
            outcome = {position: _outcome(function, value)}


def _outcome(function: Callable[[Any], Any], value: Any) -> tuple[bool, Any]:
    try:
        return True, function(value)
    except BaseException as error:  # noqa: BLE001  the parent raises it
        return False, error
