"""The worker threads: their number, their order, and how they end."""

import threading
import time
from functools import partial
from typing import Any

import pytest

from minglibc.index.connection import Connection, Limits
from minglibc.index.transport import Task, Transport

PATIENCE = 30


def wait_at(barrier: threading.Barrier, _: Connection) -> int:
    """Wait until all threads have come to *barrier*; a different number for each."""
    return barrier.wait(PATIENCE)


def append(names: list[str], name: str, _: Connection) -> None:
    """Record that a task has run."""
    names.append(name)


def test_all_workers_run_at_once() -> None:
    """As many tasks run at the same time as there are workers, also when workers were idle before."""
    transport = Transport(Limits(), size=4)
    for _ in range(20):
        barrier = threading.Barrier(4)
        tasks = [transport.submit(partial(wait_at, barrier)) for _ in range(4)]
        assert {0, 1, 2, 3} == set(transport.wait_all(tasks))
    transport.close()


def test_urgent_tasks_come_first() -> None:
    """While one worker is busy, urgent and promoted tasks overtake others."""
    transport = Transport(Limits(), size=1)
    gate = threading.Event()
    order: list[str] = []
    tasks: list[Task[Any]] = [transport.submit(lambda _: gate.wait(PATIENCE))]
    names = {name: transport.submit(partial(append, order, name)) for name in ("a", "b", "c")}
    tasks += [*names.values(), transport.submit(partial(append, order, "urgent"), urgent=True)]
    transport.promote(names["c"])
    gate.set()
    transport.wait_all(tasks)
    assert ["urgent", "c", "a", "b"] == order
    transport.close()


def test_reserved_workers_are_for_urgent_tasks() -> None:
    """Tasks that are not urgent leave the reserved workers free."""
    transport = Transport(Limits(), size=3, reserved=1)
    gate = threading.Event()
    running: list[int] = []

    def block(_: Connection) -> None:
        running.append(1)
        gate.wait(PATIENCE)

    blocked = [transport.submit(block) for _ in range(5)]
    assert "urgent" == transport.wait(transport.submit(lambda _: "urgent", urgent=True))
    assert len(running) <= 2
    gate.set()
    transport.wait_all(blocked)
    transport.close()


def test_the_first_error_ends_the_wait() -> None:
    """``wait_all`` raises an error at once, while other tasks are running."""
    transport = Transport(Limits(), size=2)
    gate = threading.Event()

    def fail(_: Connection) -> None:
        raise LookupError("no")

    tasks: list[Task[Any]] = [transport.submit(lambda _: gate.wait(PATIENCE)), transport.submit(fail)]
    began = time.monotonic()
    with pytest.raises(LookupError):
        transport.wait_all(tasks)
    assert time.monotonic() - began < PATIENCE
    gate.set()
    transport.close()


def test_close_cancels_what_has_not_begun() -> None:
    """After ``close``, no further task runs, and idle threads have ended."""
    transport = Transport(Limits(), size=1)
    transport.wait(transport.submit(lambda _: None))
    before = threading.active_count()
    transport.close()
    assert before - 1 == threading.active_count()
