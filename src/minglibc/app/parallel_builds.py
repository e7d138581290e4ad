"""Builds in several threads, which wait for the processes of compilers most of the time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from minglibc.build.running import kill_builds

_Result = TypeVar("_Result")
_SECONDS_BETWEEN_KILLS = 0.2


def run_in_parallel(tasks: Sequence[Callable[[], _Result]], jobs: int) -> list[_Result]:
    """The results of *tasks* in their order, at most *jobs* of them at a time.

    If one raises an exception, or on Ctrl-C, all running builds are killed.
    """
    if min(jobs, len(tasks)) <= 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(jobs) as executor:
        futures = [executor.submit(task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            _cancel(futures)
            raise


def _cancel(futures: Sequence[Future[_Result]]) -> None:
    for future in futures:
        future.cancel()
    # A task that has not started its build yet starts it later.
    while wait(futures, _SECONDS_BETWEEN_KILLS).not_done:
        kill_builds()
