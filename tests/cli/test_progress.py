"""Progress bars of downloads on a terminal."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel

WHEEL = build_wheel("a", "1.0", padding=400_000)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project with one wheel that is not in the cache."""
    index.add(WHEEL)
    index.add(build_wheel("pip", "24.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    lock(folder)
    return folder


def terminal_output(project: Path, *arguments: str) -> str:
    """The stderr of a command, which is a terminal."""
    terminal, stderr = os.openpty()
    command = [sys.executable, "-m", "minglibc", *arguments, "--project", str(project)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment) as running:
        os.close(stderr)
        output = b""
        try:
            while piece := os.read(terminal, 1 << 16):
                output += piece
        except OSError:
            pass  # Linux raises an error when the last writer closes a terminal
    os.close(terminal)
    assert 0 == running.returncode, output
    return output.decode()


@pytest.mark.parametrize(
    "command", [("sync",), ("bundle", "-o", "{}/bundle"), ("check",)], ids=lambda command: command[0]
)
def test_downloads_have_progress_bars(project: Path, command: tuple[str, ...]) -> None:
    """A downloaded wheel has a progress bar with its name; a cached wheel has none, and --quiet shows none."""
    arguments = [argument.format(project) for argument in command]
    assert WHEEL.filename in terminal_output(project, *arguments)
    for more in ((), ("--quiet", "--cache-dir", f"{project}/empty")):
        for made in (".venv", "bundle"):
            shutil.rmtree(project / made, ignore_errors=True)
        assert WHEEL.filename not in terminal_output(project, *arguments, *more)
