"""The processes that read pages for the one that has them: crowded, and killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core there is no second process")


# Many threads give their pages at once: argv are a folder for the cache, and whom to kill before that.
CROWD = """
import json, os, signal, sys, threading
from minglibc.adapters.answers import JSON_TYPE, Answer
from minglibc.adapters.children import ways
from minglibc.adapters.pagereader import PageReader, ReaderGone, fork
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
mine, theirs = ways()
first = fork(theirs, Store(sys.argv[1]), other=mine.first)
reader = PageReader(mine)
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
os.waitpid(first, 0)
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
