"""Runs minglibc in a pseudo-terminal."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple


class TerminalRun(NamedTuple):
    """The exit code, and what the terminal received."""

    code: int
    output: str


def in_terminal(arguments: list[str], typed: str = "", *, variables: Mapping[str, str] = {}) -> TerminalRun:
    """Run minglibc with all streams on a terminal, in which *typed* is entered."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, typed.encode())
        with subprocess.Popen(
            [sys.executable, "-m", "minglibc", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **variables},
        ) as process:
            os.close(theirs)
            received = []
            while data := _read(ours):
                received.append(data)
        return TerminalRun(process.returncode, b"".join(received).decode().replace("\r\n", "\n"))
    finally:
        os.close(ours)


def _read(terminal: int) -> bytes:
    """The next output; empty at the end, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
