"""Builds in several threads."""

import os
import sys
import threading
import time

import pytest

from minglibc.app.parallel_builds import build_in_parallel, jobs_within_limit, report_progress, run_in_parallel
from minglibc.app.reporter import SilentReporter
from minglibc.build.running import are_killed, started
from minglibc.model.targets import GlibcVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 17))


class Messages(SilentReporter):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def info(self, message: str, *, level: int = 0) -> None:
        """Keep *message*."""
        self.messages.append(message)


def test_tasks_run_at_the_same_time() -> None:
    """Each task waits for the other; the results have the order of the tasks."""
    barrier = threading.Barrier(2, timeout=30)

    def task(name: str) -> str:
        barrier.wait()
        return name

    assert ["a", "b"] == run_in_parallel([lambda: task("a"), lambda: task("b")], 2)


@pytest.mark.parametrize(("tasks", "jobs"), [(3, 1), (1, 8)])
def test_one_at_a_time(tasks: int, jobs: int) -> None:
    """With one job or one task there is no other thread."""
    threads = run_in_parallel([threading.current_thread] * tasks, jobs)
    assert [threading.main_thread()] * tasks == threads


def test_the_first_target_comes_first() -> None:
    """A release is built for its other targets after the first; targets with one interpreter wait for each other."""
    old, low, new = (
        Target(PythonVersion(minor), "x86_64", GlibcVersion(2, cap)) for minor, cap in ((9, 17), (11, 17), (11, 28))
    )
    order: list[int] = []
    build_in_parallel([("a", old), ("a", low), ("a", new), ("b", new)], order.append, 1)
    assert [0, 3, 1, 2] == order


def test_jobs() -> None:
    """No more builds run at a time than there are processors."""
    assert 1 == jobs_within_limit(1)
    assert jobs_within_limit(0) == jobs_within_limit(10_000) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_running_builds_are_killed(error: type[BaseException]) -> None:
    """If one task fails or is interrupted, the process of another one is killed."""
    is_running = threading.Event()
    codes: list[int] = []

    def build() -> None:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        with started(command) as process:
            is_running.set()
            codes.append(process.wait())

    def fail() -> None:
        is_running.wait(30)
        raise error

    begin = time.monotonic()
    with pytest.raises(error):
        run_in_parallel([fail, build], 2)
    assert time.monotonic() - begin < 30
    assert [-9] == codes


def test_killed_builds_are_not_recorded() -> None:
    """What a build reports after it was killed says nothing about its package; later builds count again."""
    is_running, states = threading.Event(), []

    def build() -> None:
        with started([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
            is_running.set()
            process.wait()
        states.append(are_killed())
        report_progress(reporter, "1/2", "a 1.0", TARGET, failed=True)

    def interrupt() -> None:
        is_running.wait(30)
        raise KeyboardInterrupt

    reporter = Messages()
    with pytest.raises(KeyboardInterrupt):
        run_in_parallel([interrupt, build], 2)
    assert [True] == states
    assert [] == reporter.messages
    assert not are_killed()
    report_progress(reporter, "1/2", "a 1.0", TARGET, failed=True)
    assert 1 == len(reporter.messages)
