"""The processes that fetch and decode pages: in real runs, killed, and where there are none."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from minglibc.index.limits import Limits
from tests.support import child
from tests.support.commands import minglibc
from tests.support.faults import FAULTS, Fault
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.locked import write_project
from tests.support.parameters import one_in
from tests.support.wheels import build_wheel

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="threads fetch with one core")
# Without a second core, threads fetch.
CORES: tuple[frozenset[int], ...] = (frozenset(), child.ONE_CORE)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project that requires a, which requires b and c."""
    index.add(build_wheel("a", "1.0", requires=["b", "c"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("c", "1.0"))
    folder = tmp_path / "project"
    write_project(folder, index, ["a"], python=["3.11"])
    return folder


def start(project: Path, cache: Path) -> "subprocess.Popen[str]":
    """A process that runs `minglibc lock`."""
    return child.start("lock", "--project", str(project), "--cache-dir", str(cache))


def run(project: Path, cache: Path, *options: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """Run `minglibc lock` in a process of its own; *settings* are those of `child.start`."""
    return child.run("lock", "--project", str(project), "--cache-dir", str(cache), *options, **settings)


def run_code(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run *code* in a new interpreter."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def descendants(pid: int) -> list[int]:
    """The running processes that *pid* and its children have started: the fetching process, and the page workers."""
    pids = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return pids + [descendant for child in pids for descendant in descendants(child)]


def have_ended(pids: list[int], *, within: float = 30) -> bool:
    """Whether all of *pids* end in time."""
    end = time.monotonic() + within
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@TWO_CORES
def test_processes_and_threads_write_the_same_lock_and_cache(project: Path, tmp_path: Path) -> None:
    """With processes and without them, the lock and the cached pages are the same bytes."""
    results = []
    for number, cores in enumerate(CORES):
        cache = tmp_path / f"cache{number}"
        assert 0 == run(project, cache, cores=cores).returncode
        pages = {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("pages/*/*")}
        results.append((pages, (project / "pylock.toml").read_bytes()))
        (project / "pylock.toml").unlink()
    assert 3 == len(results[0][0])
    assert results[0] == results[1]


def all_processes(parent: int) -> list[int]:
    """The three processes of *parent*; the first request may arrive before the last one is started."""
    end = time.monotonic() + 30
    while len(processes := descendants(parent)) < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert 3 == len(processes)
    return processes


@TWO_CORES
@pytest.mark.parametrize(
    "victims", [slice(0, 1), slice(1, 2), slice(2, 3), slice(3)], ids=["fetch", "page", "page2", "all"]
)
@pytest.mark.parametrize("times", one_in(2, [1, 3]))
def test_killed_processes_are_replaced_by_threads(
    project: Path, index: IndexServer, tmp_path: Path, victims: slice, times: int
) -> None:
    """When a process is killed, before a page or after some, the lock is made without a warning."""
    pids: list[int] = []
    killed: list[int] = []

    def kill(exchange: Exchange) -> None:
        if len(index.paths("/simple/*")) >= times and not killed:
            processes = all_processes(pids[0])
            killed.extend(processes[victims])
            for victim in killed:
                os.kill(victim, signal.SIGKILL)
            time.sleep(0.05)
        exchange.send(exchange.correct())

    index.fault("/simple/*", kill)
    with start(project, tmp_path / "cache") as process:
        pids.append(process.pid)
        _, stderr = process.communicate(timeout=120)
    assert 0 == process.returncode, stderr
    assert killed
    assert "warning" not in stderr
    assert "Traceback" not in stderr
    assert (project / "pylock.toml").exists()


@pytest.mark.slow
@TWO_CORES
def test_processes_end_with_their_parent(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """When a lock is killed while it waits for the index, its processes end too."""
    index.fault("/simple/b/", Fault.hang())
    with start(project, tmp_path / "cache") as process:
        while not index.paths("/simple/b/"):
            time.sleep(0.01)
        processes = all_processes(process.pid)
        process.kill()
    assert have_ended(processes)


@pytest.mark.slow
@TWO_CORES
def test_an_unused_process_ends(project: Path, tmp_path: Path) -> None:
    """The process that is started early ends where it turns out that nothing can be locked."""
    (project / "pyproject.toml").write_text("[project]\n")
    with start(project, tmp_path / "cache") as process:
        processes: list[int] = []
        with suppress(FileNotFoundError):
            while not processes:
                processes = descendants(process.pid)
        # The stream of the parent is not kept open.
        assert process.stdout is not None
        process.stdout.read()
        assert 2 == process.wait(30)
    assert have_ended(processes)


# Prints the exit code of `lock` and how many processes it forked.
FORKS = """
import os, sys
forks = []
os.register_at_fork(before=lambda: forks.append(1))
from minglibc.cli import main
print(main(sys.argv[1:]), len(forks))
"""


@TWO_CORES
def test_processes_are_only_started_for_requests(project: Path, tmp_path: Path) -> None:
    """There are processes where the cache is empty or stale, and none where it has all pages."""

    def forks(*options: str) -> str:
        (project / "pylock.toml").unlink(missing_ok=True)
        arguments = ["lock", "-q", "--project", str(project), "--cache-dir", str(tmp_path / "cache"), *options]
        return run_code(FORKS, *arguments).stdout.strip()

    assert "3 0" == forks("--offline")
    assert "0 2" == forks()
    assert "0 0" == forks()
    assert "0 2" == forks("--refresh")


@TWO_CORES
@pytest.mark.parametrize(
    "row",
    [
        *("N03", "N12", "N16", "N22", "N52"),
        *(pytest.param(row, marks=pytest.mark.slow) for row in ("N04", "N21", "N24", "N34", "N39", "N40")),
    ],
)
def test_faults_have_the_same_messages(project: Path, index: IndexServer, tmp_path: Path, row: str) -> None:
    """An error of the index is reported in the same words with processes and without them."""
    FAULTS[row](index)
    environment = {"MINGLIBC_HTTP_TIMEOUT": "20", "MINGLIBC_HTTP_RETRIES": "0"}
    results = []
    for number, cores in enumerate(CORES):
        (project / "pylock.toml").unlink(missing_ok=True)
        ran = run(project, tmp_path / f"cache{number}", variables=environment, cores=cores)
        results.append((ran.returncode, [line for line in ran.stderr.splitlines() if not line.startswith("Locked")]))
    assert results[0] == results[1]


@pytest.mark.slow
def test_headers_that_never_end_are_abandoned(
    project: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sends the headers of a response byte by byte is abandoned after the deadline."""

    def trickle(exchange: Exchange) -> None:
        exchange.send_bytes(b"HTTP/1.1 200 OK\r\nX: ")
        while exchange.wait(0.1):
            exchange.send_bytes(b"x")

    index.fault("/simple/b/", trickle)
    limits = Limits(timeout=2.0, deadline=2.5, retries=0)
    monkeypatch.setattr(Limits, "from_environment", lambda: limits)
    ran = minglibc("lock", "--project", str(project))
    assert 3 == ran.code
    assert "no complete response within 2.5 s" in ran.err


@pytest.mark.slow
def test_a_cache_that_is_emptied_meanwhile(project: Path, tmp_path: Path) -> None:
    """A process that deletes pages as soon as they are written does not keep a lock from being made."""
    cache = tmp_path / "cache"
    assert 0 == run(project, cache).returncode
    expected = (project / "pylock.toml").read_bytes()
    loop = "while true; do rm -rf index-*/pages/*/[abc]; done"
    with subprocess.Popen(["sh", "-c", loop], cwd=cache, stderr=subprocess.DEVNULL) as remover:
        try:
            runs = [run(project, cache, "--refresh", "--upgrade") for _ in range(3)]
        finally:
            remover.kill()
    assert [(0, "")] * 3 == [(ran.returncode, "".join(re.findall("(?:warning|error): .*", ran.stderr))) for ran in runs]
    assert expected == (project / "pylock.toml").read_bytes()


# `lock` in a process that cannot fork.
NO_FORK = """
import os, sys

def fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")

os.fork = fork
from minglibc.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_where_processes_are_limited(project: Path, tmp_path: Path) -> None:
    """Where the system allows no further process, threads do the work, without a warning."""
    options = ["--project", str(project), "--cache-dir", str(tmp_path / "cache")]
    ran = run_code(NO_FORK, "lock", "-q", *options)
    assert (0, "") == (ran.returncode, ran.stderr)
    assert (project / "pylock.toml").exists()


def test_an_invalid_limit(project: Path, tmp_path: Path) -> None:
    """An invalid value of a variable for the network ends with exit code 2."""
    for cores in CORES:
        ran = run(project, tmp_path / "cache", variables={"MINGLIBC_HTTP_TIMEOUT": "soon"}, cores=cores)
        assert 2 == ran.returncode, ran.stderr
        assert "MINGLIBC_HTTP_TIMEOUT is 'soon'" in ran.stderr


def test_a_full_disk_loses_no_page(project: Path, tmp_path: Path) -> None:
    """Where the cache cannot be written, threads fetch, with one warning."""
    cache = tmp_path / "cache"
    assert 0 == run(project, cache).returncode
    shutil.rmtree(next(cache.glob("*/pages")))
    next(cache.glob("index-*")).joinpath("pages").write_text("not a folder")
    (project / "pylock.toml").unlink()
    ran = run(project, cache)
    assert 0 == ran.returncode, ran.stderr
    assert 1 == ran.stderr.count("warning: ")
    assert (project / "pylock.toml").exists()


@pytest.mark.parametrize("one_core", [False, pytest.param(True, marks=TWO_CORES)])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, b"{", {"Content-Type": "application/vnd.pypi.simple.v1+json"}), "the body is not"),
        (Answer(200, b"no gzip", {"Content-Type": "text/html", "Content-Encoding": "gzip"}), "is not valid gzip"),
        (Answer(200, b"%PDF", {"Content-Type": "application/pdf"}), "content type application/pdf"),
    ],
)
def test_invalid_pages_have_the_same_messages(
    project: Path, index: IndexServer, tmp_path: Path, answer: Answer, message: str, *, one_core: bool
) -> None:
    """An invalid page is reported with its hint, with processes and without them."""
    index.fault("/simple/b/", Fault.answer(answer))
    ran = run(project, tmp_path / "cache", cores=CORES[one_core])
    assert 3 == ran.returncode, ran.stderr
    assert "/simple/b/: the " in ran.stderr
    assert message in ran.stderr
    assert 1 == ran.stderr.count("error:")
    assert not (project / "pylock.toml").exists()
