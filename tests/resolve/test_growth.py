"""The work of a lock grows linearly with packages and targets, measured in function calls."""

import os
import sys
from collections.abc import Iterable
from typing import Any

import pytest

import minglibc
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata, parse_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, Requirement, parse
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.prefetch import Speculation
from tests.benchmarks import synthetic
from tests.support.small_index import MemoryIndex, Release

SOURCES = os.path.dirname(minglibc.__file__) + os.sep


class Memory:
    """The synthetic index as a WheelIndex."""

    def __init__(self, packages: int) -> None:
        self._bodies = synthetic.index(packages)
        self._pages: dict[str, ProjectPage] = {}
        self.read = 0

    def project(self, name: str) -> ProjectPage:
        """The page, parsed once."""
        if name not in self._pages:
            url = f"http://127.0.0.1/simple/{name}/"
            response = Response(url, 200, {"content-type": JSON_TYPE}, self._bodies[f"/simple/{name}/"])
            self._pages[name] = read_page(response, name)
        return self._pages[name]

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The metadata of a wheel."""
        self.read += 1
        return parse_metadata(self._bodies[f"/files/{wheel.filename}.metadata"].decode())

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Everything is in memory."""


def _calls(packages: int, pythons: int) -> int:
    """The number of calls of minglibc's functions in a resolution of *packages* for *pythons* targets.

    Comprehensions do not count, since Python 3.12 and newer do not call them.
    """
    targets = [Target(PythonVersion(minor), "x86_64", GlibcVersion(2, 17)) for minor in range(8, 8 + pythons)]
    memory = Memory(packages)
    count = 0

    def counting(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        code = frame.f_code
        count += event == "call" and code.co_filename.startswith(SOURCES) and not code.co_name.startswith("<")

    sys.setprofile(counting)
    try:
        resolutions = resolve_all(
            [Root(Requirement(synthetic.name(0)), "the project")], [TargetCompatibility(t) for t in targets], memory
        )
    finally:
        sys.setprofile(None)
    assert [packages] * pythons == [len(resolution.artifacts) for resolution in resolutions]
    return count


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Values that are cached for the process (tags, versions) are not counted."""
    _calls(8, 8)


def test_work_grows_linearly_with_packages() -> None:
    """Ten times the packages are less than twelve times the work."""
    assert 10 * 1.2 * _calls(20, 1) > _calls(200, 1)


def _markers_of_extras(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many markers are evaluated to prefetch what a project with *count* extras, each of which names the next, requires."""
    extras: dict[str, tuple[str, ...]] = {f"e{n}": (f"app[e{n + 1}]", f"lib{n}") for n in range(count)}
    extras["all"] = tuple(f"app[e{n}]" for n in range(count))
    index = MemoryIndex({"app": {"1": Release((), extras)}})
    compatibility = TargetCompatibility(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)))
    wheel = compatibility.best(index.project("app"), 0)
    assert wheel is not None
    count_of_markers = 0
    admits = Environment.admits

    def counting(environment: Environment, marker: str, extra: str = "") -> bool:
        nonlocal count_of_markers
        count_of_markers += 1
        return admits(environment, marker, extra)

    with monkeypatch.context() as patch:
        patch.setattr(Environment, "admits", counting)
        speculation = Speculation([compatibility], [Root(parse("app[all]"), "the project")])
        speculation.start()
        names = speculation.metadata(wheel, index.metadata(wheel))
    assert {"app", *(f"lib{n}" for n in range(count))} == set(names)
    return count_of_markers


def test_prefetching_follows_each_extra_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras that name each other, as apache-airflow[all]'s, are followed in linear time, and to any depth."""
    assert 10 * 1.2 * _markers_of_extras(100, monkeypatch) > _markers_of_extras(1000, monkeypatch)


@pytest.mark.slow
def test_targets_share_work() -> None:
    """The first target's resolution is tried for the others: eight targets need less than five times the work of one."""
    assert 5 * _calls(60, 1) > _calls(60, 8)
