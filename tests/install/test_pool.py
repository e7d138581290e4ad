"""The process pool that unpacks wheels."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from minglibc.errors import EnvironmentProblem, WheelError
from minglibc.install.pool import Pool


def results_of(function: Callable[[int], object], values: Sequence[int]) -> list[object]:
    """The results of a pool for *values*, the last of which are the largest."""
    with Pool(lambda: function, len(values)) as workers:
        for position, value in enumerate(values):
            workers.submit(position, value, value)
        return workers.results()


def test_results_are_ordered_and_errors_raised() -> None:
    """Results are sorted by position; the first error is raised, and so is the death of a worker."""
    assert [number**2 for number in range(20)] == results_of(lambda number: number**2, range(20))

    def stopped(number: int) -> None:
        if number in (3, 7, 15):
            raise WheelError(f"number {number}", hint="two")

    with pytest.raises(WheelError, match="number 3") as failed:
        results_of(stopped, range(20))
    assert failed.value.hint == "two"
    with pytest.raises(EnvironmentProblem, match="was killed"):
        results_of(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 2 else None, range(4))
    with pytest.raises(EnvironmentProblem, match="was killed"):
        results_of(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(40))


def test_values_are_processed_as_they_arrive(tmp_path: Path) -> None:
    """A value is processed before others are submitted, from whichever thread."""
    done = tmp_path / "done"
    with Pool(lambda: lambda _: done.touch(), 2) as workers:
        threading.Thread(target=workers.submit, args=(1, None, 1)).start()
        deadline = time.monotonic() + 10
        while not done.exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        workers.submit(0, None, 1)
        assert [None, None] == workers.results()


def test_errors_kill_busy_workers() -> None:
    """A block that ends with an error kills its workers."""

    def give_up() -> None:
        with Pool(lambda: time.sleep, 4) as workers:
            for position in range(8):
                workers.submit(position, 30, 1)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert time.monotonic() - began < 10
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    """If the parent is killed, its workers die: none writes into an environment that the next run recovers."""
    pids = tmp_path / "pids"
    script = (
        "import os, sys, time\nfrom minglibc.install.pool import Pool\n"
        "def work(_):\n    open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')\n    time.sleep(30)\n"
        "with Pool(lambda: work, 2) as workers:\n"
        "    workers.submit(0, 1, 1)\n    workers.submit(1, 2, 1)\n    workers.results()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(pids)]) as parent:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and (not pids.exists() or len(pids.read_text(encoding="utf-8").split()) < 2):
            time.sleep(0.01)
        parent.kill()
    children = [int(line) for line in pids.read_text(encoding="utf-8").split()]
    while time.monotonic() < deadline and any(is_alive(child) for child in children):
        time.sleep(0.01)
    assert len(children) == min(2, len(os.sched_getaffinity(0)))
    assert not any(is_alive(child) for child in children)


def is_alive(pid: int) -> bool:
    """Whether the process *pid* is running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
