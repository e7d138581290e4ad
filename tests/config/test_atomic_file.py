"""Writing pyproject.toml and pylock.toml atomically, with real processes."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minglibc.config import project_files
from minglibc.config.processes import host
from minglibc.errors import LockError
from tests.support.processes import names, start

REWRITE = """
import sys
from minglibc.config import project_files
print("started", flush=True)
while True:
    for letter in "ab":
        project_files.write_lock(sys.argv[1], letter * 300_000)
"""


def test_replace_preserves_mode_and_link(tmp_path: Path) -> None:
    """Permissions and symbolic links are preserved, and no temporary file remains."""
    real = tmp_path / "real.toml"
    real.touch()
    real.chmod(0o640)
    link = tmp_path / "pylock.toml"
    link.symlink_to("real.toml")
    project_files.write_lock(str(link), "ü\n")
    assert link.is_symlink()
    assert ("ü\n".encode(), 0o640) == (real.read_bytes(), real.stat().st_mode & 0o777)
    assert ["pylock.toml", "real.toml"] == names(tmp_path)


def test_umask_of_new_file(tmp_path: Path) -> None:
    """The permissions of a new lock follow the umask."""
    before = os.umask(0o027)
    try:
        project_files.write_lock(str(tmp_path / "pylock.toml"), "a")
    finally:
        os.umask(before)
    assert 0o640 == (tmp_path / "pylock.toml").stat().st_mode & 0o777


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    """If the disk is full or the user interrupts, the old file is unchanged and no temporary file remains."""
    path = tmp_path / "pylock.toml"
    path.write_text("old")

    def fail(descriptor: int) -> None:
        raise problem

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(LockError if isinstance(problem, OSError) else KeyboardInterrupt):
        project_files.write_lock(str(path), "new")
    assert (["pylock.toml"], "old") == (names(tmp_path), path.read_text())


def test_file_size_limit(tmp_path: Path) -> None:
    """A write that the system rejects is an error with the path; the old file is unchanged."""
    path = tmp_path / "pylock.toml"
    path.write_text("old")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from minglibc.config import project_files; from minglibc.errors import LockError\n"
        "try: project_files.write_lock(sys.argv[1], 'a' * 5000)\n"
        "except LockError as error: print(error.message)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert f"can't write {path}: File too large\n" == done.stdout
    assert (["pylock.toml"], "old") == (names(tmp_path), path.read_text())


def test_killed_writer(tmp_path: Path) -> None:
    """After SIGKILL the file is the complete old or new one; the next write removes temporary files."""
    path = tmp_path / "pylock.toml"
    complete = {letter * 300_000 for letter in "ab"}
    for delay in (0.003, 0.011, 0.02, 0.037):
        process = start(REWRITE, path)
        while not path.exists():
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert path.read_text() in complete
    # The temporary file of a process that no longer runs.
    (tmp_path / f".pylock.toml.{host()}.{process.pid}.tmp").touch()
    (tmp_path / f".pylock.toml.elsewhere.{process.pid}.tmp").touch()
    project_files.write_lock(str(path), "c")
    assert [f".pylock.toml.elsewhere.{process.pid}.tmp", "pylock.toml"] == names(tmp_path)
