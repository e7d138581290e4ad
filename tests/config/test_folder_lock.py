"""One process at a time in a folder, with real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.config import files, folder_lock
from minglibc.config.processes import host
from minglibc.errors import LockError
from tests.support.processes import HOLD_LOCK, names, start

COUNT = """
import sys, time
from minglibc.config import folder_lock, project_files
with folder_lock.lock(sys.argv[1]):
    path = sys.argv[1] + "/count"
    number = int(open(path).read())
    time.sleep(0.01)
    project_files.write_lock(path, str(number + 1))
"""


def test_concurrent_writers(tmp_path: Path) -> None:
    """Eight processes that read and rewrite one file lose no update, although a killed process left its busy file."""
    (tmp_path / "count").write_text("0")
    killed = start(HOLD_LOCK, tmp_path)
    killed.kill()
    killed.communicate()
    assert files.BUSY in names(tmp_path)
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(8)]
    assert [0] * 8 == [process.wait() for process in processes]
    assert (["count"], "8") == (names(tmp_path), (tmp_path / "count").read_text())


def test_busy_folder(tmp_path: Path) -> None:
    """The error after a timeout has the process that uses the folder; an interrupted process removes its busy file."""
    holder = start(HOLD_LOCK, tmp_path)
    waited: list[str] = []
    with pytest.raises(LockError) as caught, folder_lock.lock(str(tmp_path), patience=0.2, on_wait=waited.append):
        pass
    holder.send_signal(signal.SIGINT)
    holder.communicate()
    assert f"process {holder.pid} on" in caught.value.message
    assert 1 == len(waited)
    assert [] == names(tmp_path)


def test_busy_file_of_another_machine(tmp_path: Path) -> None:
    """A busy file of another machine is never stale, regardless of its age."""
    busy = tmp_path / files.BUSY
    busy.write_text("controller-7~1~2 1 5")
    os.utime(busy, (0, 0))
    with pytest.raises(LockError, match=r"process 1 on controller-7"), folder_lock.lock(str(tmp_path), patience=0.1):
        pass
    assert busy.exists()


def test_reused_process_id(tmp_path: Path) -> None:
    """A busy file is stale if its process ID now belongs to a later process."""
    (tmp_path / files.BUSY).write_text(f"{host()} {os.getpid()} 1")
    with folder_lock.lock(str(tmp_path), patience=1):
        assert [files.BUSY] == names(tmp_path)
    assert [] == names(tmp_path)


def test_error_releases_lock(tmp_path: Path) -> None:
    """The folder is released if the block raises an exception."""
    with pytest.raises(ZeroDivisionError), folder_lock.lock(str(tmp_path)):
        _ = 1 // 0
    assert [] == names(tmp_path)
