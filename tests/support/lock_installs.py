"""Installs each lock that the command line makes in a test into an empty environment, if TEST_INSTALL_LOCKS is set.

What `lock` accepts, `sync` installs. It is for tests that do not replace or damage files: `.ci/run nightly` names them.
"""

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from minglibc.errors import MinglibcError
from minglibc.lock.reader import loads

if TYPE_CHECKING:
    from tests.support.commands import Ran

IS_ACTIVE = bool(os.environ.get("TEST_INSTALL_LOCKS"))
# The locks that the running test has made, if they are to be installed.
made: list[Path] = []


def install_made() -> None:
    """Install the locks that were made since the last call; they must install, and need no change afterwards."""
    while made:
        path = made.pop()
        if path.is_file() and _is_for_this_machine(path):
            _install(path)


def _is_for_this_machine(path: Path) -> bool:
    try:
        lock = loads(path.read_text(encoding="utf-8"), name=path.name)
    except MinglibcError:
        return False
    if any(package.directory or package.sdist or package.archive for package in lock.pylock.packages):
        return False  # the index of a test has no build backends
    return any(
        (target.python.minor, target.python.free_threaded) == (sys.version_info.minor, False)
        and (target.architecture, target.cap.libc) == (platform.machine(), "glibc")
        for target in lock.targets
    )


def _install(path: Path) -> None:
    """Install the lock at *path* in a copy of its folder."""
    from tests.support.commands import minglibc  # noqa: PLC0415  it calls this module

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(path.parent, folder, symlinks=True, ignore=shutil.ignore_patterns(".venv", "venv", "cache"))
        for options in ((), ("--check",)):
            ran: Ran = minglibc("sync", "--frozen", "--lock", str(folder / path.name), *options)
            assert ran.code == 0, f"the lock {path} does not install: {ran.err}"
