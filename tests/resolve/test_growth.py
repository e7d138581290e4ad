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
from minglibc.model.requirements import Requirement
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.multi_target import resolve_all
from tests.benchmarks import synthetic

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


@pytest.mark.slow
def test_targets_share_work() -> None:
    """The first target's resolution is tried for the others: eight targets need less than five times the work of one."""
    assert 5 * _calls(60, 1) > _calls(60, 8)
