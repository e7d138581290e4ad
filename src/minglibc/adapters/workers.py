"""One function over many values in as many processes as there are cores; none of them outlives a killed parent."""

import ctypes
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from minglibc.errors import EnvironmentProblem

Value = TypeVar("Value")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1


def each(function: Callable[[Value], Result], values: Sequence[Value], weights: Sequence[int]) -> list[Result]:
    """``[function(value) for value in values]``, the values spread over processes by *weights*; the first error is raised.

    Forked rather than pooled: a pool's workers wait for ever when their parent is killed. Call it where no thread runs.
    """
    bins = _spread(weights, min(len(values), len(os.sched_getaffinity(0))))
    if len(bins) < 2:
        return [function(value) for value in values]
    workers: list[_Worker] = []
    try:
        for share in bins:
            workers.append(_Worker(function, {position: values[position] for position in share}))  # noqa: PERF401  what was forked before a failure is ended
        results = {position: result for worker in workers for position, result in worker.results().items()}
    finally:
        for worker in workers:
            worker.end()
    return [results[position] for position in range(len(values))]


def _spread(weights: Sequence[int], count: int) -> list[list[int]]:
    """Positions in *count* bins of about equal weight: the heaviest first, each into the lightest bin."""
    bins: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for position in sorted(range(len(weights)), key=lambda position: -weights[position]):
        lightest = loads.index(min(loads))
        bins[lightest].append(position)
        loads[lightest] += weights[position]
    return [share for share in bins if share]


class _Worker:
    """A child process with its share of the values, and the pipe that its results come through."""

    def __init__(self, function: Callable[[Any], Any], share: dict[int, Any]) -> None:
        parent = os.getpid()
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _work(function, share, writer, parent)
        os.close(writer)

    def results(self) -> dict[int, Any]:
        """What the child made of its share; raises what stopped it."""
        with os.fdopen(self._reader, "rb", closefd=False) as pipe:
            sent = pipe.read()
        if not sent:
            raise EnvironmentProblem(
                "a process that unpacked wheels was killed", hint="nothing was installed; the machine may lack memory"
            )
        outcome: dict[int, Any] | BaseException = pickle.loads(sent)  # noqa: S301  from our own child
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def end(self) -> None:
        """Stop the child, if it has not ended yet, and forget it."""
        os.close(self._reader)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _work(function: Callable[[Any], Any], share: dict[int, Any], writer: int, parent: int) -> NoReturn:
    """The child's life; it never returns into the parent's code."""
    outcome: dict[int, Any] | BaseException
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told as well, and ends its children
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        outcome = {position: function(value) for position, value in share.items()}
    except BaseException as error:  # noqa: BLE001  whatever it is, the parent raises it
        outcome = error
    with suppress(BaseException), open(writer, "wb") as pipe:
        pipe.write(pickle.dumps(outcome))
    os._exit(0)
