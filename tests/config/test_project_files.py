"""pyproject.toml and pylock.toml on a real disk, with real second processes."""

# The expected value stands on the left.

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minglibc.config import project_files
from minglibc.config.processes import host
from minglibc.errors import LockError, SettingsError

HOLD = """
import sys, time
from minglibc.config import project_files as project
with project.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys, time
from minglibc.config import project_files as project
with project.lock(sys.argv[1]):
    path = sys.argv[1] + "/count"
    number = int(open(path).read())
    time.sleep(0.01)
    project.write_lock(path, str(number + 1))
"""
REWRITE = """
import sys
from minglibc.config import project_files as project
print("begun", flush=True)
while True:
    for letter in "ab":
        project.write_lock(sys.argv[1], letter * 300_000)
"""


def start(code: str, argument: Path) -> "subprocess.Popen[str]":
    """A second process, past its first line of output."""
    process = subprocess.Popen([sys.executable, "-c", code, str(argument)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline()
    return process


def names(folder: Path) -> list[str]:
    """What is in *folder*, hidden files too."""
    return sorted(os.listdir(folder))


def test_the_project_is_found_upwards(tmp_path: Path) -> None:
    """From any folder of a project its own pyproject.toml is found."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert str(tmp_path) == project_files.find(start=str(tmp_path / "a" / "b"))


def test_a_named_folder_is_the_project(tmp_path: Path) -> None:
    """--project DIR means that folder, never one above it."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "a").mkdir()
    assert str(tmp_path) == project_files.find(str(tmp_path))
    for wrong, said in (("a", "has no pyproject.toml"), ("b", "is not a folder")):
        with pytest.raises(SettingsError, match=said):
            project_files.find(str(tmp_path / wrong))


def test_no_project_anywhere() -> None:
    """Where no folder has a pyproject.toml the hint names `minglibc init`."""
    with pytest.raises(SettingsError) as caught:
        project_files.find(start="/proc/self")
    assert "minglibc init" in caught.value.hint


def test_line_ends_and_marks_survive_reading(tmp_path: Path) -> None:
    """Text comes back as it stands in the file: CRLF, BOM and all."""
    (tmp_path / "pyproject.toml").write_bytes("\ufeffa = 'ü'\r\n".encode())
    assert "\ufeffa = 'ü'\r\n" == project_files.read_pyproject(str(tmp_path))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a folder, a dangling link and bytes that are no UTF-8 each have their error."""
    path = tmp_path / "pyproject.toml"
    with pytest.raises(SettingsError, match=r"there is no pyproject\.toml"):
        project_files.read_pyproject(str(tmp_path))
    path.symlink_to("nowhere")
    with pytest.raises(SettingsError, match="link to nowhere"):
        project_files.read_pyproject(str(tmp_path))
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        project_files.read_pyproject(str(tmp_path))
    path.rmdir()
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(SettingsError, match=r"not UTF-8 text \(line 2, column 6\)"):
        project_files.read_pyproject(str(tmp_path))


def test_a_forbidden_file_is_named(tmp_path: Path) -> None:
    """A file without read permission is an error and never a missing lock."""
    path = tmp_path / "pylock.toml"
    path.touch(mode=0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(LockError, match="Permission denied"):
            project_files.read_lock(str(path))
    finally:
        os.seteuid(user)


def test_a_missing_lock_is_none(tmp_path: Path) -> None:
    """No lock is no error; a binary one is."""
    path = tmp_path / "pylock.toml"
    assert project_files.read_lock(str(path)) is None
    path.write_bytes(b"\x80\0")
    with pytest.raises(LockError, match="not UTF-8"):
        project_files.read_lock(str(path))


def test_replacing_keeps_the_mode_and_the_link(tmp_path: Path) -> None:
    """A file stays as private as it was, a link stays a link, and nothing else is left in the folder."""
    real = tmp_path / "real.toml"
    real.touch()
    real.chmod(0o640)
    link = tmp_path / "pylock.toml"
    link.symlink_to("real.toml")
    project_files.write_lock(str(link), "ü\n")
    assert link.is_symlink()
    assert ("ü\n".encode(), 0o640) == (real.read_bytes(), real.stat().st_mode & 0o777)
    assert ["pylock.toml", "real.toml"] == names(tmp_path)


def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    """A new lock is as readable as the user's other new files."""
    before = os.umask(0o027)
    try:
        project_files.write_lock(str(tmp_path / "pylock.toml"), "a")
    finally:
        os.umask(before)
    assert 0o640 == (tmp_path / "pylock.toml").stat().st_mode & 0o777


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    """When the disk is full or the user gives up, the old file is there byte for byte, and no leftovers."""
    path = tmp_path / "pylock.toml"
    path.write_text("old")

    def fail(descriptor: int) -> None:
        raise problem

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LockError if isinstance(problem, OSError) else KeyboardInterrupt):
        project_files.write_lock(str(path), "new")
    assert (["pylock.toml"], "old") == (names(tmp_path), path.read_text())


def test_a_disk_that_takes_no_more_is_named(tmp_path: Path) -> None:
    """When the system itself refuses the bytes, the error names the file, the old one stands, and nothing is left."""
    path = tmp_path / "pylock.toml"
    path.write_text("old")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from minglibc.config import project_files as project; from minglibc.errors import LockError\n"
        "try: project.write_lock(sys.argv[1], 'a' * 5000)\n"
        "except LockError as error: print(error.message)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert f"can't write {path}: File too large\n" == done.stdout
    assert (["pylock.toml"], "old") == (names(tmp_path), path.read_text())


def test_a_killed_writer_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    """After kill -9 while writing, the file is one of the two, whole; what it left is gone after the next write."""
    path = tmp_path / "pylock.toml"
    whole = {letter * 300_000 for letter in "ab"}
    for delay in (0.003, 0.011, 0.02, 0.037):
        process = start(REWRITE, path)
        while not path.exists():
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert path.read_text() in whole
    # A write that was cut for certain, as the name of a process that is gone shows.
    (tmp_path / f".pylock.toml.{host()}.{process.pid}.tmp").touch()
    (tmp_path / f".pylock.toml.elsewhere.{process.pid}.tmp").touch()
    project_files.write_lock(str(path), "c")
    assert [f".pylock.toml.elsewhere.{process.pid}.tmp", "pylock.toml"] == names(tmp_path)


def test_eight_writers_take_turns(tmp_path: Path) -> None:
    """Eight processes that each read and rewrite one file lose nothing, though a killed one left its busy file."""
    (tmp_path / "count").write_text("0")
    killed = start(HOLD, tmp_path)
    killed.kill()
    killed.communicate()
    assert project_files.BUSY in names(tmp_path)
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(8)]
    assert [0] * 8 == [process.wait() for process in processes]
    assert (["count"], "8") == (names(tmp_path), (tmp_path / "count").read_text())


def test_a_busy_project_is_named(tmp_path: Path) -> None:
    """Who waits in vain learns which process works there; who is told to stop leaves no busy file."""
    holder = start(HOLD, tmp_path)
    waited: list[str] = []
    with pytest.raises(LockError) as caught, project_files.lock(str(tmp_path), patience=0.2, on_wait=waited.append):
        pass
    holder.send_signal(signal.SIGINT)
    holder.communicate()
    assert f"process {holder.pid} on" in caught.value.message
    assert 1 == len(waited)
    assert [] == names(tmp_path)


def test_another_machine_is_never_judged(tmp_path: Path) -> None:
    """A busy file from elsewhere stands until its owner or the user removes it, whatever the clocks say."""
    busy = tmp_path / project_files.BUSY
    busy.write_text("controller-7~1~2 1 5")
    os.utime(busy, (0, 0))
    with pytest.raises(LockError, match=r"process 1 on controller-7"), project_files.lock(str(tmp_path), patience=0.1):
        pass
    assert busy.exists()


def test_a_reused_process_number_is_stale(tmp_path: Path) -> None:
    """A later process with the number of the dead one does not keep the project busy."""
    (tmp_path / project_files.BUSY).write_text(f"{host()} {os.getpid()} 1")
    with project_files.lock(str(tmp_path), patience=1):
        assert [project_files.BUSY] == names(tmp_path)
    assert [] == names(tmp_path)


def test_the_lock_is_freed_by_an_error(tmp_path: Path) -> None:
    """Whatever ends the work, the next one can begin."""
    with pytest.raises(ZeroDivisionError), project_files.lock(str(tmp_path)):
        _ = 1 // 0
    assert [] == names(tmp_path)


def test_nothing_heavy_is_imported() -> None:
    """Finding, reading and writing files needs none of the slow modules."""
    slow = "{'tomllib', 'packaging', 'pathlib', 'dataclasses', 'tempfile', 'socket', 'inspect', 'asyncio'}"
    code = f"import sys; before = set(sys.modules); import minglibc.config.project_files; print(*({slow} & set(sys.modules) - before))"
    assert "" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
