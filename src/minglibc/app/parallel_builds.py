"""Builds in several threads, which wait for the processes of compilers most of the time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from minglibc.app.reporter import Reporter
from minglibc.build.running import allow_builds, are_killed, kill_builds
from minglibc.config.processors import usable_processors
from minglibc.model.targets import Target

_Result = TypeVar("_Result")
_SECONDS_BETWEEN_KILLS = 0.2


def build_in_parallel(builds: Sequence[tuple[str, Target]], build: Callable[[int], None], jobs: int) -> None:
    """Call *build* with the position of each of *builds*, which are releases and targets; *jobs* as in jobs_within_limit.

    Each release is built for its first target before it is for others: that wheel may be pure, and serve all of them.
    Targets that one build can serve are not built for at the same time.
    """
    firsts = {release: position for position, (release, _) in reversed(list(enumerate(builds)))}
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, (release, target) in enumerate(builds):
        key = position == firsts[release], release, _interpreter(target)
        groups.setdefault(key, []).append(position)

    def build_group(positions: Sequence[int]) -> None:
        for position in positions:
            build(position)

    for is_first in (True, False):
        tasks = [partial(build_group, group) for key, group in groups.items() if key[0] is is_first]
        run_in_parallel(tasks, jobs_within_limit(jobs))


def report_progress(reporter: Reporter, count: str, release: str, target: Target, *, failed: bool) -> None:
    """Report the end of one of several builds."""
    if not are_killed():
        reporter.info(f"[{count}] {'Failed to build' if failed else 'Built'} {release} for {target}")


def jobs_within_limit(jobs: int) -> int:
    """How many builds run at a time: *jobs*, but at most the number of processors; 0 stands for that number."""
    processors = usable_processors()
    return min(jobs or processors, processors)


def _interpreter(target: Target) -> tuple[object, ...]:
    python = target.python
    return python.minor, python.free_threaded, target.architecture, target.cap.libc


def run_in_parallel(tasks: Sequence[Callable[[], _Result]], jobs: int) -> list[_Result]:
    """The results of *tasks* in their order, at most *jobs* of them at a time.

    If one raises an exception, or on Ctrl-C, all running builds are killed.
    """
    if min(jobs, len(tasks)) <= 1:
        return [task() for task in tasks]
    try:
        with ThreadPoolExecutor(jobs) as executor:
            futures = [executor.submit(task) for task in tasks]
            try:
                return [future.result() for future in futures]
            except BaseException:
                _cancel(futures)
                raise
    finally:
        allow_builds()


def _cancel(futures: Sequence[Future[_Result]]) -> None:
    for future in futures:
        future.cancel()
    # A task that has not started its build yet starts it later.
    while wait(futures, _SECONDS_BETWEEN_KILLS).not_done:
        kill_builds()
