"""What a long search shows on a terminal, and what Ctrl-C prints."""

import os
import pty
import sys
from pathlib import Path

from tests.benchmarks import hard
from tests.benchmarks.synthetic import serving
from tests.support.projects import RUNNING

# As the program, with shorter delays.
PROGRAM = """
from minglibc.cli import main, output
from minglibc.resolve import backtracking
output._DELAY = 0.0
output._LONG_SEARCH = 0.5
backtracking._REPORT_AFTER = 0.1
main()
"""
INTERRUPT = b"\x03"


def interrupted(folder: Path, url: str, until: bytes) -> tuple[bytes, int]:
    """What `lock` prints to a terminal, where Ctrl-C is pressed after *until*, and its exit code."""
    options = ["lock", "--index-url", url, "--cache-dir", "cache"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM, *options], environment)
    output = b""
    try:
        while chunk := os.read(terminal, 65536):
            output += chunk
            if until and until in output:
                os.write(terminal, INTERRUPT)
                until = b""
    except OSError:
        pass  # Linux: the other side was closed.
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    return output, os.waitstatus_to_exitcode(status)


def test_a_long_search(tmp_path: Path) -> None:
    """The terminal shows what is tried, then a bound that would shorten the search; Ctrl-C prints the last conflict."""
    case = hard.pigeons(12)
    hard.project(tmp_path, case.requires, RUNNING)
    with serving(hard.bodies(case)) as url:
        output, code = interrupted(tmp_path, url, b" would shorten the search)")
    assert 130 == code
    assert b": trying g" in output
    assert b'(the constraint "' in output
    final = output.rpartition(b"interrupted while trying ")[2].decode()
    assert "; the last conflict:" in final
    assert " requires slot" in final
    assert b"Traceback" not in output
    assert not (tmp_path / "pylock.toml").exists()
