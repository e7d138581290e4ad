"""Builds in several threads."""

import subprocess
import sys
import threading
import time

import pytest

from minglibc.app.parallel_builds import run_in_parallel
from minglibc.build.running import killed_at_the_end


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_running_builds_are_killed(error: type[BaseException]) -> None:
    """If one task fails or is interrupted, the process of another one is killed."""
    started = threading.Event()
    codes: list[int] = []

    def build() -> None:
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        with subprocess.Popen(command, start_new_session=True) as process, killed_at_the_end(process.pid):
            started.set()
            codes.append(process.wait())

    def fail() -> None:
        started.wait(30)
        raise error

    begin = time.monotonic()
    with pytest.raises(error):
        run_in_parallel([fail, build], 2)
    assert time.monotonic() - begin < 30
    assert [-9] == codes
