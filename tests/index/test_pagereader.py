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
from minglibc.index.response import JSON_TYPE, Answer
from minglibc.index.children import ways
from minglibc.index.pagereader import PageReader, ReaderGone, fork
from minglibc.cache.pages import Store

def page(name):
    files = [{"filename": f"{name}-{n}-py3-none-any.whl", "url": f"{name}-{n}.whl", "hashes": {}} for n in range(2000)]
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": files}).encode()
    return Answer(f"http://127.0.0.1/simple/{name}/", 200, {"content-type": JSON_TYPE}, body)

def keep(name):
    try:
        reader.keep(answers[name], "pages", name, {"etag": name, "max-age": 0})
        told.append("kept")
    except ReaderGone:
        told.append("gone")

def used(pid):
    with open(f"/proc/{pid}/stat") as file:
        return sum(int(each) for each in file.read().rpartition(")")[2].split()[11:13])

answers = {f"p{n}": page(f"p{n}") for n in range(20)}
told = []
mine, theirs = ways(2)
first, second = fork(theirs, Store(sys.argv[1]), others=mine)
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
keep("p0")
last = told.pop()
worked = sys.argv[2] == "nobody" and min(used(first), used(second)) > 0
reader.close()
ends = [os.waitpid(pid, 0)[1] for pid in (first, second)]
print(told.count("kept"), told.count("gone"), int(worked), ends.count(0), last)
"""


def crowd(cache: Path, killed: str) -> list[str]:
    """How many pages were kept and how many not, whether both processes had work, how many of them ended by themselves, and a late page's fate."""
    command = [sys.executable, "-c", CROWD, str(cache), killed]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.split()


@TWO_CORES
def test_a_crowd_of_pages_is_shared_out(tmp_path: Path) -> None:
    """Two processes read what comes faster than one reads it; each page is kept, and both end."""
    assert ["20", "0", "1", "2", "kept"] == crowd(tmp_path, "nobody")
    assert {f"p{number}" for number in range(20)} == {path.name for path in tmp_path.glob("*/pages/*")}


@TWO_CORES
def test_a_killed_reader_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Whoever waits for a process that is killed is told that it has gone, and whoever comes later is not sent there."""
    kept, gone, _, ended, last = crowd(tmp_path, "first")
    assert 20 == int(kept) + int(gone)
    assert 0 < int(gone) < 20
    assert "1" == ended
    assert "kept" == last
