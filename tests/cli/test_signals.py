"""Signals end the program without a traceback, at any time."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minglibc.cli.signals import unwinding
from tests.support.environments import LockedProject, check_whole, locked_pair
from tests.support.index import Exchange, IndexServer
from tests.support.parameters import one_in

# As the script of an installation, but it prints something when Python has started and minglibc's own code runs.
PROGRAM = "from minglibc.__main__ import main; import os; os.write(1, b'started'); main()"
# Under nohup the tests themselves ignore SIGHUP, and child processes inherit that.
DEFAULTS = "import signal; [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGHUP, signal.SIGTERM)]; "
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A locked project."""
    return locked_pair(tmp_path / "project", index)


def start(project: LockedProject, *arguments: str, before: str = DEFAULTS) -> "subprocess.Popen[bytes]":
    """Start the program, and wait until its own code runs."""
    command = [sys.executable, "-c", before + PROGRAM, *arguments]
    child = subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.read(7) == b"started"
    return child


@pytest.mark.parametrize("times", [1, pytest.param(12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", one_in(2, ["lock --upgrade", "lock", "sync", "--help"]))
def test_early_signals(command: str, number: int, times: int, project: LockedProject) -> None:
    """A signal in the first moments ends the program with the usual exit code, or it has ended before."""
    generator = random.Random(f"{command} {number}")
    for _ in range(times):
        with start(project, *command.split()) as child:
            time.sleep(generator.uniform(0, 0.06))
            child.send_signal(number)
            _, error = child.communicate(timeout=60)
            assert child.returncode in (0, 128 + number, -number), error
            assert b"Traceback" not in error
            assert b"Exception" not in error
    assert project.command("lock", "--upgrade").code == 0
    assert project.sync().code == 0
    check_whole(project.venv)


# Sends itself SIGINT before the given line of minglibc's own code. The lines of the first two modules are no such moments:
# CPython handles signals where it calls functions.
INTERRUPTED = """
import os, signal, sys
left = int(sys.argv.pop(1))

def trace(frame, event, argument):
    global left
    name = frame.f_globals["__name__"]
    is_first = name in ("minglibc", "minglibc.__main__") and frame.f_code.co_name == "<module>"
    if name.split(".")[0] != "minglibc" or is_first:
        return None
    left -= event == "line"
    if left == 0:
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGINT)
    return trace

sys.settrace(trace)
from minglibc.__main__ import main
main()
"""


@pytest.mark.parametrize("lines", [range(1, 40, 3), pytest.param(range(1, 400), marks=pytest.mark.slow)])
def test_signal_before_any_line(lines: range) -> None:
    """SIGINT ends the program without a traceback before any line of its own code, from the first one."""
    interrupted = 0
    for line in lines:
        command = [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)" + INTERRUPTED]
        ran = subprocess.run([*command, str(line), "--version"], capture_output=True, check=False)
        assert ran.returncode in (0, 130), ran.stderr
        assert b"Traceback" not in ran.stderr, line
        interrupted += ran.returncode == 130
    assert interrupted > 5


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_signals_while_downloading(number: int, project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """A signal during a download removes temporary files, and the exit code names the signal."""
    cache = tmp_path / "cache"
    reached = False

    def answer(exchange: Exchange) -> None:
        nonlocal reached
        reached = True
        exchange.wait(30)

    index.fault("*/b-1.0*.whl", answer, times=1)
    with start(project, "sync", "--cache-dir", str(cache)) as child:
        while not reached:
            time.sleep(0.01)
        child.send_signal(number)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 128 + number, error
    assert b"Traceback" not in error
    assert list(cache.rglob(".part-*")) == []
    assert project.sync().code == 0


def _signalled(number: int, *, replaces: bool) -> None:
    """A command that hides the exception of a signal."""
    with unwinding():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except (KeyboardInterrupt, SystemExit):
            if replaces:
                raise TypeError from None


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("replaces", [True, False])
def test_interrupted_code_that_hides_the_signal(number: int, replaces: bool) -> None:  # noqa: FBT001  a parameter
    """A signal also ends the command where the interrupted code replaces the exception or loses it."""
    # Under nohup, the tests start with SIGHUP ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)) as raised:
            _signalled(number, replaces=replaces)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert getattr(raised.value, "code", 130) == 128 + number


@pytest.mark.slow
def test_nohup(project: LockedProject) -> None:
    """SIGHUP stays ignored where it was ignored before."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    with start(project, "sync", before=ignore) as child:
        for _ in range(20):
            if child.poll() is None:
                child.send_signal(signal.SIGHUP)
                time.sleep(0.02)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 0, error
    check_whole(project.venv)


def test_full_disk_as_stdout() -> None:
    """Output that can't be written is an error, with a message and exit code 1."""
    with open("/dev/full", "wb") as full:
        for arguments in (["--help"], ["--version"], ["tags", "--glibc", "2.17", "--python", "3.11"]):
            command = [sys.executable, "-m", "minglibc", *arguments]
            ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=dict(os.environ))
            assert ran.returncode == 1
            assert b"No space left on device" in ran.stderr
            assert b"Traceback" not in ran.stderr
