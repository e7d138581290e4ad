"""Time grows with packages and targets no faster than they do: counted in calls, which no busy machine changes."""

import sys
from collections.abc import Iterable
from typing import Any

import pytest

from minglibc.index.json_page import read_page
from minglibc.index.response import JSON_TYPE, Answer
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata, parse_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Requirement
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.multi_target import resolve_all
from tests.benchmarks import synthetic


class Memory:
    """The synthetic index as a WheelIndex."""

    def __init__(self, packages: int) -> None:
        self._bodies = synthetic.index(packages)
        self._pages: dict[str, ProjectPage] = {}
        self.read = 0

    def project(self, name: str) -> ProjectPage:
        """The page, read once."""
        if name not in self._pages:
            url = f"http://127.0.0.1/simple/{name}/"
            answer = Answer(url, 200, {"content-type": JSON_TYPE}, self._bodies[f"/simple/{name}/"])
            self._pages[name] = read_page(answer, name)
        return self._pages[name]

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The metadata of a wheel."""
        self.read += 1
        return parse_metadata(self._bodies[f"/files/{wheel.filename}.metadata"].decode())

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Nothing is ever late here."""


def _calls(packages: int, pythons: int) -> int:
    """How many Python functions a lock of so many packages for so many targets calls."""
    targets = [Target(PythonVersion(minor), "x86_64", GlibcVersion(2, 17)) for minor in range(8, 8 + pythons)]
    memory = Memory(packages)
    count = 0

    def counting(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        answers = resolve_all(
            [Root(Requirement(synthetic.name(0)), "the project")], [TargetCompatibility(t) for t in targets], memory
        )
    finally:
        sys.setprofile(None)
    assert [packages] * pythons == [len(answer.wheels) for answer in answers]
    return count


@pytest.fixture(autouse=True)
def _warm() -> None:
    """What is remembered for good (tags, versions) is not counted."""
    _calls(8, 8)


def test_ten_times_the_packages_are_ten_times_the_work() -> None:
    """From 20 to 200 packages, the work grows ten times, give or take a fifth; resolvelib alone would take a hundred."""
    assert 10 * 1.2 * _calls(20, 1) > _calls(200, 1)


def test_eight_targets_cost_less_than_eight() -> None:
    """The first target's answer is tried on the others: eight take less than four times the work of one."""
    assert 4 * _calls(60, 1) > _calls(60, 8)
