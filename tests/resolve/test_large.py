"""Pages and conflicts of a size that nobody should publish: done in bounded time and memory."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.commands import read_lock
from tests.support.faults import Fault
from tests.support.index import HTML_PAGE, JSON_PAGE, Answer, IndexServer
from tests.support.wheels import build_wheel

# A busy machine may take so many times as long; memory is not shared with anybody.
PATIENCE = float(os.environ.get("MINGLIBC_TEST_PATIENCE", "4"))


class Cost(NamedTuple):
    """What a command took: seconds of processor, and MiB at its largest."""

    seconds: float
    memory: float


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> Path:
    """A project that requires big, whose newest release is 99999.0."""
    index.add(build_wheel("big", "99999.0"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["big"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{index.url}"\n'
    )
    return tmp_path


# A child's ru_maxrss begins with its parent's size; VmHWM is the program's own. The second process is its child, and counts.
MEASURED = """
import resource, sys
from minglibc.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(used.ru_utime + used.ru_stime for used in both), max(int(peak), both[1].ru_maxrss) / 1024)
sys.exit(code)
"""


def lock(project: Path, *options: str) -> Cost:
    """Lock in a process of its own, which must succeed."""
    command = [sys.executable, "-c", MEASURED, "lock", "--project", str(project), *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    seconds, memory = map(float, ran.stdout.split())
    return Cost(seconds, memory)


def locked(project: Path) -> dict[str, str]:
    """What the one target has."""
    lock_file = read_lock(project)
    return lock_file.versions(lock_file.targets[0])


def files(releases: int, per_release: int) -> Iterator[dict[str, Any]]:
    """So many files of so many releases of big."""
    for release in range(releases):
        for build in range(per_release):
            name = f"big-1.{release}-{build}-py3-none-any.whl"
            yield {
                "filename": name,
                "url": f"../../files/{name}",
                # As real ones, they don't shrink.
                "hashes": {"sha256": hashlib.sha256(name.encode()).hexdigest()},
            }


def serve(index: IndexServer, listed: Iterator[dict[str, Any]], *, html: bool = False) -> int:
    """Put files into big's page, beside its newest release; how long the page is."""
    newest = build_wheel("big", "99999.0")
    last = {
        "filename": newest.filename,
        "url": f"{index.origin}/files/{newest.filename}",
        "hashes": {"sha256": newest.sha256},
    }
    if html:
        links = (
            f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}">{file["filename"]}</a><br/>'
            for file in (*listed, last)
        )
        body = ("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>").encode()
    else:
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": "big", "files": [*listed, last]}).encode()
    kind = HTML_PAGE if html else JSON_PAGE
    index.project_json = False
    headers = {"Content-Type": kind, "Content-Encoding": "gzip", "Cache-Control": "max-age=600"}
    index.fault("/simple/big/", Fault.answer(Answer(200, gzip.compress(body, 1), headers)))
    return len(body)


# Releases of a page, files of each, whether it is HTML, and the bounds: seconds, and 1.8 times the memory when they were set.
PAGES = [
    pytest.param(2500, 100, False, Cost(1.3, 424.0), id="250000-files"),
    pytest.param(1000, 100, False, Cost(0.6, 187.0), id="100000-files"),
    pytest.param(1000, 100, True, Cost(3.0, 241.0), id="100000-files-html"),
    pytest.param(13000, 4, False, Cost(0.5, 125.0), id="13000-releases"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("releases", "per_release", "html", "bound"), PAGES)
def test_large_pages(  # noqa: PLR0917  a table's columns
    index: IndexServer,
    project: Path,
    releases: int,
    per_release: int,
    html: bool,  # noqa: FBT001  a table's column
    bound: Cost,
) -> None:
    """A page of hundreds of thousands of files is read in bounded time and memory, and from the cache in less."""
    size = serve(index, files(releases, per_release), html=html)
    cost = lock(project)
    again = lock(project, "--upgrade")
    print(f"{size / 1e6:.0f} MB: {cost}; from the cache {again}")
    assert {"big": "99999.0"} == locked(project)
    assert cost.memory < bound.memory
    assert cost.seconds < bound.seconds * PATIENCE
    assert again.memory < bound.memory
    assert again.seconds < bound.seconds * PATIENCE


@pytest.mark.slow
def test_a_large_page(index: IndexServer, project: Path) -> None:
    """Ten thousand files of two thousand releases cost no second."""
    serve(index, files(2000, 5))
    cost = lock(project)
    assert {"big": "99999.0"} == locked(project)
    assert cost.seconds < 1.0 * PATIENCE
    assert cost.memory < 80


@pytest.mark.parametrize("html", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["json", "html"])
def test_memory_grows_with_a_page_in_proportion(index: IndexServer, project: Path, html: bool) -> None:  # noqa: FBT001  a parameter
    """Each file adds less than 3 KiB while a page is read, and nothing when it comes from the cache."""
    costs = []
    for per_release in (25, 100):
        serve(index, files(250, per_release), html=html)
        cold = lock(project, "--refresh", "--upgrade")
        costs.append((cold, lock(project, "--upgrade")))
        assert {"big": "99999.0"} == locked(project)
    (cold, warm), (later_cold, later_warm) = costs
    assert later_cold.memory < cold.memory + 250 * (100 - 25) * 3 / 1024
    assert later_warm.memory < warm.memory + 4


def test_two_hundred_releases_of_backtracking(index: IndexServer, project: Path) -> None:
    """Where only the oldest of two hundred releases has no conflict, it is found, each metadata asked for once."""
    for number in range(1, 201):
        index.add(build_wheel("deep", f"{number}.0", requires=[f"base=={number}.0"]))
        index.add(build_wheel("base", f"{number}.0"))
    index.add(build_wheel("pin", "1.0", requires=["base<2"]))
    text = (project / "pyproject.toml").read_text().replace('["big"]', '["deep", "pin"]')
    (project / "pyproject.toml").write_text(text)
    began = time.monotonic()
    cost = lock(project)
    assert {"deep": "1.0", "base": "1.0", "pin": "1.0"} == locked(project)
    assert cost.seconds < 1.5 * PATIENCE
    assert time.monotonic() - began < 30
    paths = [request.path for request in index.requests if request.path.endswith(".metadata")]
    assert len(paths) == len(set(paths))


@pytest.mark.slow
def test_backtracking_without_an_answer(index: IndexServer, project: Path) -> None:
    """Three projects of sixty releases each, of which no three agree, are refused in bounded time."""
    for number in range(60):
        index.add(build_wheel("one", f"{number}.0", requires=[f"two=={number}.0"]))
        index.add(build_wheel("two", f"{number}.0", requires=[f"three=={number}.0"]))
        index.add(build_wheel("three", f"{number}.0", requires=[f"one=={(number + 1) % 60}.0"]))
    text = (project / "pyproject.toml").read_text().replace('["big"]', '["one", "two", "three"]')
    (project / "pyproject.toml").write_text(text)
    command = [sys.executable, "-m", "minglibc", "lock", "--project", str(project)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * PATIENCE)
    assert 1 == ran.returncode
    assert "one" in ran.stderr
    assert "Traceback" not in ran.stderr
