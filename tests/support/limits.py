"""Runs code in a process of its own with limited memory and processor time."""

import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

MEMORY = 300 << 20
SECONDS = 20
_OUT_OF_MEMORY = 3


def run_limited(
    function: Callable[[], object], *ignored: type[Exception], memory: int = MEMORY, seconds: int = SECONDS
) -> None:
    """Run *function*, which returns or raises one of *ignored*, with *memory* bytes more than are in use, and *seconds*."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_run(function, ignored, memory, seconds))
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status)
    assert killed != signal.SIGXCPU, f"took more than {seconds} s"
    assert not killed, f"ended by signal {killed}"
    assert os.WEXITSTATUS(status) != _OUT_OF_MEMORY, f"needed more than {memory >> 20} MiB"
    assert os.WEXITSTATUS(status) == 0, "raised another error, which is on stderr"


def _run(function: Callable[[], object], ignored: tuple[type[Exception], ...], memory: int, seconds: int) -> int:
    used = int(re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10  # type: ignore[index]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
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
