"""Child processes for the tests of files and locks."""

import os
import subprocess
import sys
from pathlib import Path

HOLD_LOCK = """
import sys, time
from minglibc.config import folder_lock
with folder_lock.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def start(code: str, argument: Path) -> "subprocess.Popen[str]":
    """A child process that has printed its first line."""
    process = subprocess.Popen([sys.executable, "-c", code, str(argument)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline()
    return process


def names(folder: Path) -> list[str]:
    """The names in *folder*, including hidden ones."""
    return sorted(os.listdir(folder))
