"""One function over values that come one by one, in as many processes as there are cores; none outlives a killed parent."""

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

from minglibc.errors import EnvironmentProblem

_PR_SET_PDEATHSIG = 1
# A worker tells its number by one byte.
_MOST = 256


class Crew:
    """Processes that call what *make* returns in each of them: whichever has nothing to do gets the heaviest value that waits.

    Forked rather than pooled: a pool's workers wait for ever when their parent is killed. Enter it where no thread runs,
    and give it values from any. What is still at work when the block ends is killed.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], count: int) -> None:
        self._make = make
        self._count = min(count, len(os.sched_getaffinity(0)), _MOST)
        self._guard = threading.Condition()
        self._waiting: list[tuple[int, int, Any]] = []  # the heaviest last
        self._given = 0
        self._is_complete = False
        self._outcomes: dict[int, tuple[bool, Any]] = {}
        self._workers: list[_Worker] = []
        self._thread = threading.Thread(target=self._hand_out, daemon=True)

    def __enter__(self) -> Self:
        self._ready, ready = os.pipe()
        try:
            for number in range(self._count):
                self._workers.append(_Worker(self._make, number, ready))
            os.close(ready)
            self._thread.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._complete()
        self._end()

    def give(self, position: int, value: Any, weight: int) -> None:
        """Have the function called with *value*, for the result at *position*."""
        with self._guard:
            self._given += 1
            insort(self._waiting, (weight, -position, value), key=lambda each: each[:2])
            self._guard.notify()

    def results(self) -> list[Any]:
        """The results in the order of their positions, once all are there; raises the first error in that order."""
        self._complete()
        self._thread.join()
        if len(self._outcomes) < self._given:
            raise EnvironmentProblem(
                "a process that unpacked wheels was killed", hint="nothing was installed; the machine may lack memory"
            )
        found = [self._outcomes[position] for position in sorted(self._outcomes)]
        for succeeded, error in found:
            if not succeeded:
                raise error
        return [result for _, result in found]

    def _complete(self) -> None:
        with self._guard:
            self._is_complete = True
            self._guard.notify()

    def _hand_out(self) -> None:
        """Take each worker's outcome and give it the next value, or let it go, until none is left."""
        while ready := os.read(self._ready, 1):
            worker = self._workers[ready[0]]
            # Of one that was killed, the outcome is missed.
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

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        if self._thread.ident:
            self._thread.join()  # it ends with the last worker
        for worker in self._workers:
            worker.close()
        os.close(self._ready)


class _Worker:
    """A child process, the pipe that its values go through, and the one that its outcomes come through."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]], number: int, ready: int) -> None:
        parent = os.getpid()
        values, given = os.pipe()
        made, outcomes = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _work(make, bytes([number]), (values, outcomes, ready), parent)
        os.close(values)
        os.close(outcomes)
        self._given: IO[bytes] = open(given, "wb")  # noqa: SIM115  closed by close()
        self._made: IO[bytes] = open(made, "rb")  # noqa: SIM115  the same

    def outcome(self) -> dict[int, tuple[bool, Any]]:
        """What the child, which has said that it is ready, made of its last value, if it had any."""
        outcome: dict[int, tuple[bool, Any]] = pickle.load(self._made)  # noqa: S301  from our own child
        return outcome

    def send(self, value: tuple[int, Any] | None) -> None:
        """Give the child a value with its position, or tell it that there are no more."""
        pickle.dump(value, self._given)
        self._given.flush()

    def kill(self) -> None:
        """Stop the child, if it has not ended yet."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def close(self) -> None:
        """Be done with its pipes."""
        with suppress(BrokenPipeError):
            self._given.close()
        self._made.close()


def _work(
    make: Callable[[], Callable[[Any], Any]], number: bytes, pipes: tuple[int, int, int], parent: int
) -> NoReturn:
    """The child's life; it never returns into the parent's code."""
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told as well, and ends its children
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _serve(make(), number, *pipes)
    os._exit(0)


def _serve(function: Callable[[Any], Any], number: bytes, given: int, made: int, ready: int) -> None:
    outcome: dict[int, tuple[bool, Any]] = {}
    with open(given, "rb") as values, open(made, "wb") as outcomes:
        while True:
            content = pickle.dumps(outcome)
            os.write(ready, number)
            outcomes.write(content)
            outcomes.flush()
            asked = pickle.load(values)  # noqa: S301  from our own parent
            if asked is None:
                return
            position, value = asked
            outcome = {position: _outcome(function, value)}


def _outcome(function: Callable[[Any], Any], value: Any) -> tuple[bool, Any]:
    try:
        return True, function(value)
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent raises it
        return False, error
