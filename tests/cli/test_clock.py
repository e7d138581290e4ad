"""Clocks that are wrong: commands work, or end with an error message."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer

# Runs the command line with the clock at the first argument, in seconds since 1970.
PROGRAM = """
import datetime, sys, time
now = float(sys.argv[1])
datetime_class = datetime.datetime

class AnyDatetime(type):
    # Modules that were imported before, as coverage measurement does, make instances of the original class.
    def __instancecheck__(cls, value):
        return isinstance(value, datetime_class)

class Clock(datetime.datetime, metaclass=AnyDatetime):
    @classmethod
    def now(cls, tz=None):
        return cls(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=now)

time.time, datetime.datetime = lambda: now, Clock
from minglibc.cli import main
sys.exit(main(sys.argv[2:]))
"""
# What Python does after the year 2262.
OVERFLOW = """
import sys, time

def overflow():
    raise OverflowError("timestamp too large to convert to C _PyTime_t")

time.time = time.monotonic = overflow
from minglibc.cli import main
sys.exit(main(sys.argv[2:]))
"""
# The end of the year 9999, 1970, 1901.
CLOCKS = ("253402300799", "0", "-2147483648")
COMMANDS = ("lock --upgrade --refresh", "outdated", "report -o report.html", "sync", "cache prune", "lock")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A locked project."""
    return locked_pair(tmp_path / "project", index)


def run(project: LockedProject, program: str, clock: str, command: str) -> tuple[int, str]:
    """The exit code and stderr of a command."""
    arguments = [sys.executable, "-c", program, clock, *command.split()]
    ran = subprocess.run(arguments, cwd=project.folder, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("clock", [CLOCKS[0], *(pytest.param(clock, marks=pytest.mark.slow) for clock in CLOCKS[1:])])
def test_wrong_clocks(clock: str, project: LockedProject) -> None:
    """Every command works with any clock."""
    for command in COMMANDS:
        code, error = run(project, PROGRAM, clock, command)
        assert code == 0, (command, error)
    assert project.command("lock", "--upgrade").code == 0
    assert project.sync().code == 0


@pytest.mark.parametrize("command", ["lock --upgrade", "sync", "cache prune"])
def test_clock_that_python_cannot_read(command: str, project: LockedProject) -> None:
    """A clock after the year 2262 is an error of one line, which changes nothing."""
    code, error = run(project, OVERFLOW, "0", command)
    assert (1, "error: the system's clock is after the year 2262, which Python can't represent\n") == (code, error)
    assert not project.venv.exists()
