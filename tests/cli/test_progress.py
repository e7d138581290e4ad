"""What a person at a terminal sees of downloads; in a log there is nothing of it."""

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
    """A locked project of one wheel, none of which is in the cache."""
    index.add(WHEEL)
    index.add(build_wheel("pip", "24.0"))
    folder = write_project(tmp_path / "project", index, ["a"])
    lock(folder)
    return folder


def seen(project: Path, *arguments: str) -> str:
    """What a command writes to stderr where that is a terminal."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "minglibc", *arguments, "--project", str(project)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as running:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 1 << 16):
                said += piece
        except OSError:
            pass  # Linux ends a terminal that nobody writes to any more in an error
    os.close(ours)
    assert 0 == running.returncode, said
    return said.decode()


@pytest.mark.parametrize("command", [("sync",), ("bundle", "-o", "{}/bundle"), ("check",)], ids=lambda each: each[0])
def test_downloads_are_seen(project: Path, command: tuple[str, ...]) -> None:
    """Each wheel that is downloaded has a bar with its name; one that is in the cache has none, nor has any with --quiet."""
    arguments = [each.format(project) for each in command]
    assert WHEEL.filename in seen(project, *arguments)
    for more in ((), ("--quiet", "--cache-dir", f"{project}/empty")):
        for made in (".venv", "bundle"):
            shutil.rmtree(project / made, ignore_errors=True)
        assert WHEEL.filename not in seen(project, *arguments, *more)
