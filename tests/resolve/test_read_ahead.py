"""Which releases a search reads and fetches before it needs them, and how many at most."""

from collections.abc import Iterable

import pytest

from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve.assumptions import _MOST_LIKELY, _MOST_OTHERS
from minglibc.resolve.candidates import FARTHEST_AHEAD
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.resolver import resolve
from tests.support.small_index import TOO_NEW, Case, MemoryIndex, Packages, Release

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 28))


class RecordingIndex(MemoryIndex):
    """Also lists what is prefetched: the number of reads before, and the releases."""

    def __init__(self, packages: Packages) -> None:
        super().__init__(packages)
        self.prefetched: list[tuple[int, list[str]]] = []

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Record the wheels."""
        self.prefetched.append((len(self.read), [f"{wheel.name} {wheel.version}" for wheel in wheels]))


def versions(case: Case, index: MemoryIndex) -> dict[str, str]:
    """The resolver's answer."""
    answer = resolve(case.roots, TargetCompatibility(TARGET), index)
    return {name: wheel.version for name, wheel in answer.artifacts.items()}


def descending(count: int) -> Packages:
    """A package with *count* releases that conflict with the project, except for the oldest."""
    app = {str(version): Release(("base<2",) if version else ()) for version in range(count)}
    return {"app": app, "base": {"1": Release(), "2": Release()}}


def test_the_next_releases_are_fetched() -> None:
    """After each release that was tried, twice as many older ones as were tried are fetched, at most FARTHEST_AHEAD."""
    index = RecordingIndex(descending(60))
    assert "0" == versions(Case(index.packages, ("app", "base>=2")), index)["app"]
    sizes = [len(releases) for _, releases in index.prefetched]
    assert sizes[0] == 4
    assert max(sizes) == FARTHEST_AHEAD
    for read, releases in index.prefetched:
        tried = {text for text in index.read[:read] if text.startswith("app ")}
        assert len(releases) <= 2 * (len(tried) + 1)
        # Newest first, and none that was tried.
        assert releases == sorted(releases, key=lambda text: -int(text.removeprefix("app ")))
        assert tried.isdisjoint(releases)


def test_releases_without_a_usable_wheel_are_not_fetched() -> None:
    """Only what could be selected is fetched."""
    packages = {**descending(30)}
    packages["app"] = {
        version: release._replace(tags=(TOO_NEW,)) if int(version) % 2 else release
        for version, release in packages["app"].items()
    }
    index = RecordingIndex(packages)
    assert "0" == versions(Case(packages, ("app", "base>=2")), index)["app"]
    fetched = {text for _, releases in index.prefetched for text in releases}
    assert fetched
    assert not any(int(text.split()[1]) % 2 for text in fetched)


def test_nothing_is_fetched_for_a_first_choice() -> None:
    """A lock without conflicts reads one release of each package."""
    index = RecordingIndex(descending(60))
    assert {"app": "59", "base": "1"} == versions(Case(index.packages, ("app",)), index)
    assert [] == index.prefetched
    assert ["app 59", "base 1"] == index.read


@pytest.mark.parametrize("count", [60, 300])
def test_each_release_is_read_once(count: int) -> None:
    """Reading ahead reads no release twice, also of a project with very many."""
    index = RecordingIndex(descending(count))
    versions(Case(index.packages, ("app", "base>=2")), index)
    assert len(set(index.read)) == len(index.read)


def test_reading_ahead_stops_at_an_unknown_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is below a release that names a project which is not known yet is not read: its page may be a request."""
    packages = {**descending(40), "rare": {"1": Release()}}
    packages["app"] = {**packages["app"], "30": Release(("base<2", "rare"))}
    index = RecordingIndex(packages)
    project = index.project

    def reading(name: str) -> ProjectPage:
        if name == "rare":
            assert "app 31" in index.read
            assert "app 29" not in index.read
        return project(name)

    monkeypatch.setattr(index, "project", reading)
    assert "0" == versions(Case(packages, ("app", "base>=2")), index)["app"]
    assert "app 29" in index.read


def many(name: str, count: int, *requires: str) -> Packages:
    """A package with *count* releases that all have the same requirements."""
    return {name: {str(version): Release(requires) for version in range(1, count + 1)}}


def test_releases_that_are_read_before_a_refusal() -> None:
    """For a pre-release that a dependency could admit, few releases are read of projects that never required its project."""
    packages: Packages = {
        **many("parent", 80, "lib", "unrelated"),
        **many("unrelated", 80),
        "lib": {"1": Release(("clash<2",)), "2rc1": Release()},
        "clash": {"1": Release(), "2": Release()},
    }
    index = RecordingIndex(packages)
    with pytest.raises(Unresolvable):
        versions(Case(packages, ("parent", "clash>=2")), index)
    counts = {name: sum(text.startswith(f"{name} ") for text in index.read) for name in packages}
    assert 80 == counts["parent"] <= _MOST_LIKELY
    assert counts["unrelated"] <= _MOST_OTHERS + 1
