"""The process that reads pages beside the one that asks: seen in real runs, killed, and told bad pages."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.faults import Fault
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.locked import write_project
from tests.support.wheels import build_wheel

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core there is no second process")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project that needs a, and a needs b and c."""
    index.add(build_wheel("a", "1.0", requires=["b", "c"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("c", "1.0"))
    folder = tmp_path / "project"
    write_project(folder, index, ["a"], python=["3.11"])
    return folder


def command(project: Path, cache: Path) -> list[str]:
    """`lock` in a process of its own."""
    options = ["--project", str(project), "--cache-dir", str(cache)]
    return [sys.executable, "-m", "minglibc", "lock", *options]


def children(pid: int) -> list[int]:
    """The processes that *pid* has started and that run still."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@TWO_CORES
def test_both_ways_make_the_same_lock_and_cache(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """With a second process and without one (on one core), the lock and the kept pages are the same bytes."""
    kept = []
    for number, pinned in enumerate(([], ["taskset", "-c", str(min(os.sched_getaffinity(0)))])):
        cache = tmp_path / f"cache{number}"
        subprocess.run([*pinned, *command(project, cache)], check=True)
        pages = {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("pages/*/*")}
        kept.append((pages, (project / "pylock.toml").read_bytes()))
        (project / "pylock.toml").unlink()
    assert 3 == len(kept[0][0])
    assert kept[0] == kept[1]


@TWO_CORES
@pytest.mark.parametrize("times", [1, 3])
def test_a_killed_reader_is_done_without(project: Path, index: IndexServer, tmp_path: Path, times: int) -> None:
    """Whoever kills the second process, before a page or after some, gets the same lock and no word about it."""
    pids: list[int] = []

    def kill_first(exchange: Exchange) -> None:
        if len(index.paths("/simple/*")) == times:
            (reader,) = children(pids[0])
            os.kill(reader, signal.SIGKILL)
            time.sleep(0.05)
        exchange.send(exchange.honest())

    index.fault("/simple/*", kill_first)
    with subprocess.Popen(command(project, tmp_path / "cache"), stderr=subprocess.PIPE, text=True) as process:
        pids.append(process.pid)
        _, said = process.communicate(timeout=60)
    assert 0 == process.returncode, said
    assert "warning" not in said
    assert "Traceback" not in said
    assert (project / "pylock.toml").exists()


@TWO_CORES
def test_nobody_is_left_behind(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """A killed lock takes its second process with it, also while the index keeps it waiting."""
    index.fault("/simple/b/", Fault.hang())
    with subprocess.Popen(command(project, tmp_path / "cache"), stderr=subprocess.DEVNULL) as process:
        while not index.paths("/simple/b/"):
            time.sleep(0.01)
        (reader,) = children(process.pid)
        process.kill()
    end = time.monotonic() + 20
    while Path(f"/proc/{reader}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not Path(f"/proc/{reader}").exists()


# Many threads give their pages at once: argv are a folder for the cache, and whom to kill before that.
CROWD = """
import json, os, signal, sys, threading
from minglibc.adapters.answers import JSON_TYPE, Answer
from minglibc.adapters.pagereader import PageReader, ReaderGone
from minglibc.adapters.store import Store

def page(name):
    files = [{"filename": f"{name}-{n}-py3-none-any.whl", "url": f"{name}-{n}.whl", "hashes": {}} for n in range(2000)]
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": files}).encode()
    return Answer(f"http://127.0.0.1/simple/{name}/", 200, {"content-type": JSON_TYPE}, body)

def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]

def keep(name):
    try:
        reader.keep(answers[name], "pages", name, {"etag": name, "max-age": 0})
        told.append("kept")
    except ReaderGone:
        told.append("gone")

answers = {f"p{n}": page(f"p{n}") for n in range(20)}
told = []
reader = PageReader.start(Store(sys.argv[1]))
(first,) = children(os.getpid())
threads = [threading.Thread(target=keep, args=(name,)) for name in answers]
for thread in threads:
    thread.start()
while sys.argv[2] == "first" and "kept" not in told:
    pass
if sys.argv[2] == "first":
    os.kill(first, signal.SIGKILL)
for thread in threads:
    thread.join()
seconds = children(first) if sys.argv[2] != "first" else []
reader.close()
left = [pid for pid in (first, *seconds) if os.path.exists(f"/proc/{pid}")]
print(told.count("kept"), told.count("gone"), len(seconds), len(left))
"""


def crowd(cache: Path, killed: str) -> list[int]:
    """How many pages were kept and how many not, how many processes were added, and how many are left."""
    command = [sys.executable, "-c", CROWD, str(cache), killed]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [int(each) for each in ran.stdout.split()]


@TWO_CORES
def test_a_crowd_of_pages_is_worth_a_second_reader(tmp_path: Path) -> None:
    """Where pages come faster than one process reads them, a second one helps; each page is kept, and both end."""
    assert [20, 0, 1, 0] == crowd(tmp_path, "nobody")
    assert {f"p{number}" for number in range(20)} == {path.name for path in tmp_path.glob("*/pages/*")}


@TWO_CORES
def test_a_killed_reader_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Whoever waits for a process that is killed is told that it has gone; the other one's pages are kept."""
    kept, gone, _, _ = crowd(tmp_path, "first")
    assert 20 == kept + gone
    assert kept
    assert gone


@pytest.mark.parametrize("pinned", [False, pytest.param(True, marks=TWO_CORES)])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(200, b"{", {"Content-Type": "application/vnd.pypi.simple.v1+json"}), "it is not"),
        (Answer(200, b"no gzip", {"Content-Type": "text/html", "Content-Encoding": "gzip"}), "is not the gzip"),
        (Answer(200, b"%PDF", {"Content-Type": "application/pdf"}), "content type application/pdf"),
    ],
)
def test_bad_pages_are_refused_in_the_same_words(
    project: Path, index: IndexServer, tmp_path: Path, answer: Answer, said: str, *, pinned: bool
) -> None:
    """What is wrong with a page reaches the user with its hint, whichever process found it."""
    index.fault("/simple/b/", Fault.answer(answer))
    prefix = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if pinned else []
    ran = subprocess.run([*prefix, *command(project, tmp_path / "cache")], capture_output=True, text=True, check=False)
    assert 3 == ran.returncode, ran.stderr
    assert "/simple/b/: the " in ran.stderr
    assert said in ran.stderr
    assert 1 == ran.stderr.count("error:")
    assert not (project / "pylock.toml").exists()
