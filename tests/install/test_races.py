"""Concurrent processes in one folder, cache and environment, and on two machines that share a folder without flock."""

import os
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

import minglibc
from minglibc.config import files
from tests.support import child
from tests.support.environments import LockedProject, check_whole, installed, locked_pair
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

# Increments the number in a file while it has locked the folder.
COUNT = """
import sys, time
from minglibc.config import atomic_file, folder_lock
folder, times = sys.argv[1], int(sys.argv[2])
for _ in range(times):
    with folder_lock.lock(folder):
        with open(f"{folder}/count") as file:
            number = int(file.read())
        time.sleep(0.002)
        atomic_file.replace(f"{folder}/count", str(number + 1).encode())
"""
HOLD = """
import sys, time
from minglibc.config import folder_lock
with folder_lock.lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
TRY = """
import sys
from minglibc.config import folder_lock
from minglibc.errors import LockError
try:
    with folder_lock.lock(sys.argv[1], patience=0.3):
        print("entered")
except LockError as error:
    print(error.message, error.hint)
"""


@cache
def other_hosts() -> bool:
    """Whether a process may get its own host name."""
    ran = subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False)
    return ran.returncode == 0


needs_hosts = pytest.mark.skipif(not other_hosts(), reason="a host name of one's own (unshare --uts) needs root")


def on_host(name: str, *command: str) -> list[str]:
    """The command line that runs *command* with the host name *name*."""
    return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]


def python(code: str, *arguments: object) -> list[str]:
    """The command line that runs *code* in a new Python process."""
    return [sys.executable, "-c", code, *map(str, arguments)]


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> LockedProject:
    """A project of a, which requires b, locked."""
    return locked_pair(tmp_path / "project", index)


def command(project: LockedProject, name: str, *arguments: str) -> list[str]:
    """The arguments of a minglibc command for *project*."""
    return [name, "--project", str(project.folder), *arguments]


def together(*commands: list[str]) -> None:
    """Run all minglibc commands at once; all must succeed."""
    wait_for_all([child.start(*arguments) for arguments in commands])


def start(command_line: list[str]) -> "subprocess.Popen[str]":
    """A process of another program."""
    return subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_all(processes: list["subprocess.Popen[str]"]) -> None:
    """Wait until all *processes* have ended; all must succeed."""
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [0] * len(processes) == [process.returncode for process in processes], "\n".join(errors)


def names(folder: Path) -> list[str]:
    """The entries of a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_concurrent_locks(project: LockedProject, count: int) -> None:
    """S11: many locks in one folder with one cold cache succeed, write the bytes of a single one, and leave no temporary files."""
    path = project.folder / "pylock.toml"
    expected = path.read_bytes()
    path.unlink()
    cold = project.folder.parent / "cold"
    together(*[command(project, "lock", "--quiet", "--cache-dir", str(cold))] * count)
    assert expected == path.read_bytes()
    assert ["pylock.toml", "pyproject.toml"] == names(project.folder)
    assert [] == [entry for entry in cold.rglob("*") if entry.name.endswith(".tmp")]


@pytest.mark.slow
def test_concurrent_locks_and_additions(project: LockedProject, index: IndexServer) -> None:
    """A process that waited locks the current pyproject.toml: no concurrent addition is lost."""
    for name in ("c", "d", "e"):
        index.add(build_wheel(name, "1.0"))
    upgrade = command(project, "lock", "--upgrade")
    together(upgrade, *(command(project, "add", name, "--no-sync") for name in ("c", "d", "e")), upgrade, upgrade)
    assert 0 == project.command("lock", "--check").code
    text = (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    assert ["c", "d", "e"] == re.findall(r'"([cde])>=1.0"', text)
    assert ["pylock.toml", "pyproject.toml"] == names(project.folder)


def test_concurrent_syncs_and_locks(project: LockedProject) -> None:
    """Of two syncs and two locks, each sync reads a complete lock, and the environment is complete."""
    sync = command(project, "sync")
    together(sync, command(project, "lock", "--upgrade"), sync, command(project, "lock", "--upgrade"))
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)
    check_whole(project.venv)


def test_flock_is_not_used() -> None:
    """S17: locking uses O_EXCL, which works on NFS (RFC 1813, CREATE EXCLUSIVE); nothing locks a file's content."""
    sources = Path(minglibc.__file__).parent.rglob("*.py")
    assert [] == [path for path in sources if re.search(r"\b(flock|lockf)\(|F_(OFD_)?SETLK", path.read_text("utf-8"))]


@needs_hosts
def test_two_hosts_lock_one_folder(tmp_path: Path) -> None:
    """S17: processes on two machines that share a folder do not lose updates."""
    (tmp_path / "count").write_text("0")
    wait_for_all([start(on_host(host, *python(COUNT, tmp_path, 15))) for host in ("alpha", "beta", "alpha", "beta")])
    assert "60" == (tmp_path / "count").read_text()
    assert ["count"] == names(tmp_path)


@needs_hosts
def test_locks_of_other_hosts_are_kept(tmp_path: Path) -> None:
    """S17: the lock of a killed process is removed only by its own machine; others name the host and the process."""
    with subprocess.Popen(on_host("alpha", *python(HOLD, tmp_path)), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        holder.kill()
    elsewhere = subprocess.run(
        on_host("beta", *python(TRY, tmp_path)), capture_output=True, text=True, check=True
    ).stdout
    assert f"process {holder.pid} on alpha" in elsewhere
    assert f"delete {tmp_path / files.BUSY}" in elsewhere
    there = subprocess.run(on_host("alpha", *python(TRY, tmp_path)), capture_output=True, text=True, check=True).stdout
    assert "entered\n" == there
    assert [] == names(tmp_path)


@pytest.mark.slow
@needs_hosts
def test_two_hosts_sync_one_environment(project: LockedProject) -> None:
    """S18: syncs from two machines into one environment run one after the other, and it is complete."""
    sync = [sys.executable, "-m", "minglibc", *command(project, "sync")]
    wait_for_all([start(on_host(host, *sync)) for host in ("alpha", "beta", "alpha")])
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)
    check_whole(project.venv)


def test_clocks_may_differ(project: LockedProject, index: IndexServer) -> None:
    """S17: files dated an hour ahead or a day back, as by another machine, change no result."""
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    assert 0 == project.sync().code
    index.add(build_wheel("b", "2.0"))
    for shift in (3600, -86_400):
        moment = time.time() + shift
        for path in [*project.folder.rglob("*"), *cache.rglob("*")]:
            os.utime(path, (moment, moment), follow_symlinks=False)
        assert 0 == project.command("lock", "--check").code
        assert "up to date" in project.command("lock").err
        assert 0 == project.sync("--check").code
    index.max_age = 600
    assert 0 == project.command("lock", "--upgrade").code
    assert 0 == project.sync().code
    assert {"a": "1.0", "b": "2.0"} == installed(project.venv)
