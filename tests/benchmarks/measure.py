"""What one command took, as its caller sees it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# A process begins with its parent's peak: a small one starts what is measured.
_MEASURE = """
import os, sys, time
began = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Run(NamedTuple):
    """The elapsed seconds, CPU seconds and peak memory in MiB of a command."""

    wall: float
    cpu: float
    peak: float


def measured(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Run:
    """Run *command*, which must succeed; raises CalledProcessError with its output."""
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return Run(*(float(figure) for figure in ran.stdout.split()))
