"""Run a part of a test as another user, which needs root."""

import os
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

USER, GROUP = 54321, 54322
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def run_as(user: int, group: int, function: Callable[[], Any], *, groups: Iterable[int] = ()) -> None:
    """Call *function* in a child process of *user*; it must have imported all modules before."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(list(groups))
            os.setgid(group)
            os.setuid(user)
            function()
            os._exit(0)
        except BaseException:  # noqa: BLE001  the parent's stack must not be unwound here
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="minglibc-test-"))
    folder.chmod(0o755)
    yield folder
    rmtree(folder)
