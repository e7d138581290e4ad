"""Runs code in a process of its own with limited memory and processor time."""

import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

MEMORY = 300 << 20
SECONDS = 20
_OUT_OF_MEMORY = 3


# Of all examples of a test.
_MOST_SECONDS = 300
_is_limited = False


def in_one_process(test: Callable[..., None]) -> Callable[..., None]:
    """A Hypothesis test whose examples share one limited process; `run_limited` then starts no process for each.

    The examples may use the memory together, and each of them the processor time.
    """

    @wraps(test)
    def run(*arguments: Any, **keywords: Any) -> None:
        _run_in_child(partial(_run_examples, test, *arguments, **keywords), (), MEMORY, SECONDS, _MOST_SECONDS)

    return run


def _run_examples(test: Callable[..., None], *arguments: Any, **keywords: Any) -> None:
    global _is_limited  # noqa: PLW0603  of this process, which ends with the test
    _is_limited = True
    signal.signal(signal.SIGXCPU, _raise_timeout)
    test(*arguments, **keywords)


def _raise_timeout(_number: int, _frame: object) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


def run_limited(
    function: Callable[[], object], *ignored: type[Exception], memory: int = MEMORY, seconds: int = SECONDS
) -> None:
    """Run *function*, which returns or raises one of *ignored*, with *memory* bytes more than are in use, and *seconds*."""
    if _is_limited:
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, _MOST_SECONDS))
        with suppress(*ignored):
            function()
    else:
        _run_in_child(function, ignored, memory, seconds, seconds + 5)


def run_in_child(function: Callable[[], object]) -> None:
    """Run *function*, which must return, in a process of its own with the usual limits."""
    _run_in_child(function, (), 4 * MEMORY, SECONDS, SECONDS + 5)


def _run_in_child(
    function: Callable[[], object], ignored: tuple[type[Exception], ...], memory: int, seconds: int, most_seconds: int
) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_run(function, ignored, memory, (seconds, most_seconds)))
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status)
    assert killed != signal.SIGXCPU, f"took more than {seconds} s"
    assert not killed, f"ended by signal {killed}"
    assert os.WEXITSTATUS(status) != _OUT_OF_MEMORY, f"needed more than {memory >> 20} MiB"
    assert os.WEXITSTATUS(status) == 0, "raised another error, which is on stderr"


def _run(
    function: Callable[[], object], ignored: tuple[type[Exception], ...], memory: int, seconds: tuple[int, int]
) -> int:
    used = int(re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10  # type: ignore[index]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, seconds)
    try:
        function()
    except ignored:
        return 0
    except MemoryError:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        traceback.print_exc()
        return _OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001  the parent process reports it
        traceback.print_exc()
        return 1
    return 0
