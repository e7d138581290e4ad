"""`minglibc caps`: the resolutions under each cap, computed only for the caps that change them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minglibc.errors import ProjectNotFound
from minglibc.index.pages import read_page
from minglibc.index.response import Response
from minglibc.insight.caps import CapRange, changed_and_unchanged, compare_caps, range_at, with_vulnerabilities
from minglibc.insight.vulnerabilities import Advisory
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import parse
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Unresolvable
from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A 2.0 requires b, and only b's page shows that the cap 2.31 changes the resolution."""
    index.add(build_wheel("a", "1.0", manylinux(12)))
    index.add(build_wheel("a", "2.0", manylinux(28), requires=["b"]))
    index.add(build_wheel("b", "1.0", manylinux(17)))
    index.add(build_wheel("b", "2.0", manylinux(31)))
    index.add(build_wheel("pure", "1.0"))
    return Project(tmp_path, index).write("a", "pure")


def test_table(project: Project) -> None:
    """There is a column for each range of caps with the same resolution; unchanged packages are only counted."""
    ran = project.run("caps")
    expected = """\
glibc            2.5 to 2.11  2.12 to 2.27 *  2.28 to 2.30  2.31 to 2.43
a                no solution  1.0             2.0           2.0
b                no solution  not needed      1.0           2.0
vulnerabilities  no solution  0               0             0
newest releases  no solution  1 of 2          2 of 3        3 of 3
glibc 2.5 to 2.11 has no solution: a
"""
    assert (0, expected) == (ran.code, ran.out)
    assert "2 packages depend on the cap (* marks the project's cap); 1 are the same under every cap\n" in ran.err
    assert "pure" in project.run("caps", "--all").out


def test_pages_are_requested_once(project: Project, tmp_path: Path) -> None:
    """`caps` requests pages as often as one `lock` does, and metadata and advisories once."""
    project.lock("--glibc", "2.43", "--cache-dir", str(tmp_path / "other"))
    one_lock = Counter(project.index.paths("/simple/*"))
    project.index.reset()
    project.run("caps")
    assert {"/simple/a/", "/simple/b/", "/simple/pure/"} == one_lock.keys()
    assert one_lock == Counter(project.index.paths("/simple/*"))
    others = [path for path in project.index.paths() if not path.startswith("/simple/")]
    assert 5 + 5 == len(others)
    assert sorted(set(others)) == sorted(others)


def test_ranges_match_lock(project: Project) -> None:
    """`lock` under any cap selects the releases of its range."""
    steps = project.json("caps")["steps"]
    for cap in ("2.12", "2.27", "2.28", "2.30", "2.31", "2.40"):
        (step,) = [entry for entry in steps if _minor(entry["lowest"]) <= _minor(cap) <= _minor(entry["highest"])]
        project.lock("--glibc", cap, "-U")
        outdated = {entry["name"]: [entry["locked"]] for entry in project.json("outdated", "--glibc", cap)}
        assert step["packages"] == outdated


def _minor(cap: str) -> int:
    return int(cap.partition(".")[2])


def test_vulnerabilities_of_ranges(project: Project) -> None:
    """Each range has the number of known vulnerabilities of its releases."""
    project.index.vulnerability("a", "1.0", "GHSA-1")
    project.index.vulnerability("a", "1.0", "GHSA-2")
    project.index.vulnerability("b", "1.0", "GHSA-3")
    counts = [step["vulnerabilities"]["known"] for step in project.json("caps")["steps"]]
    assert [None, 2, 1, 0] == counts


def test_missing_vulnerability_data(project: Project) -> None:
    """Without data from the index, the number is unknown."""
    project.index.version_json = False
    steps = project.json("caps")["steps"]
    assert {None} == {step["vulnerabilities"]["known"] for step in steps}
    assert "vulnerabilities  no solution  unknown         unknown       unknown\n" in project.run("caps").out


def test_no_solution_under_any_cap(project: Project) -> None:
    """If there is no solution under any cap, the exit code is 1."""
    ran = project.write("a>9").run("caps")
    assert 1 == ran.code
    assert "glibc 2.5 to 2.43 has no solution: a\n" in ran.out


def test_architectures_have_a_lowest_cap(project: Project) -> None:
    """The lowest cap is the oldest glibc of the architecture."""
    project.index.add(build_wheel("a", "1.0", manylinux(17, architecture="aarch64")))
    comparison = project.write("a", architectures=["aarch64"]).json("caps")
    assert ["2.17"] == [step["lowest"] for step in comparison["steps"]]


class Pages:
    """A WheelIndex in memory: versions by name, each with the glibc that its only wheel needs and its requirements."""

    def __init__(self, projects: Mapping[str, list[tuple[int, tuple[str, ...]]]]) -> None:
        self._requires: dict[str, tuple[str, ...]] = {}
        self._pages = {}
        for name, releases in projects.items():
            files = []
            for number, (minor, requires) in enumerate(releases, 1):
                filename = f"{name}-{number}.0-{manylinux(minor)}.whl"
                self._requires[filename] = requires
                files.append({"filename": filename, "url": f"https://example.invalid/{filename}", "hashes": {}})
            body = json.dumps({"name": name, "files": files}).encode()
            self._pages[name] = read_page(Response("", 200, {"content-type": "application/json"}, body), name)

    def project(self, name: str) -> ProjectPage:
        """The page of a project."""
        if name not in self._pages:
            raise ProjectNotFound(name)
        return self._pages[name]

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The requirements of a wheel."""
        return CoreMetadata(wheel.name, wheel.version, self._requires[wheel.filename])

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Everything is in memory."""


NAMES = ("a", "b", "c")
REQUIREMENTS = st.sampled_from(["a", "b", "c", "b>=2", "c<2", "c>=2", "b<3"])
RELEASE = st.tuples(st.sampled_from([5, 12, 17, 24, 28, 31, 34]), st.lists(REQUIREMENTS, max_size=2).map(tuple))
PROJECTS = st.fixed_dictionaries({name: st.lists(RELEASE, min_size=1, max_size=4) for name in NAMES})


@pytest.mark.slow
@settings(max_examples=60)
@example(  # b and c remain from a release of a that was rejected, and require each other
    {
        "a": [(31, ("b", "c<2")), (28, ("c<2",)), (28, ("a", "c"))],
        "b": [(31, ()), (28, ()), (24, ("b<3", "c>=2")), (31, ("b", "c<2"))],
        "c": [(31, ()), (28, ()), (24, ("b<3", "c>=2")), (31, ("b", "c<2"))],
    }
)
@given(PROJECTS)
def test_ranges_match_resolutions(projects: Mapping[str, list[tuple[int, tuple[str, ...]]]]) -> None:
    """The ranges cover each cap once, and match the resolution under each cap."""
    index = Pages(projects)
    roots = [Root(parse("a"), "the project")]
    target = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17))
    ranges = compare_caps(roots, [target], TargetCompatibility, index)
    for minor in range(5, NEWEST_GLIBC.minor + 1):
        cap = GlibcVersion(2, minor)
        (cap_range,) = [cap_range for cap_range in ranges if cap_range.lowest <= cap <= cap_range.highest]
        assert cap_range == range_at(ranges, cap)
        try:
            (resolution,) = resolve_all(roots, [TargetCompatibility(target._replace(cap=cap))], index)
            expected = {name: (wheel.version,) for name, wheel in resolution.artifacts.items()}
        except Unresolvable:
            expected = {}
        assert expected == cap_range.versions
    assert all(one.versions != other.versions or not one.versions for one, other in pairwise(ranges))


def test_changed_and_unchanged() -> None:
    """A package changes if a range has another version or none; ranges without a solution do not count."""
    caps = [GlibcVersion(2, minor) for minor in (5, 17, 28)]
    steps = [
        CapRange(caps[0], caps[0], {}, "a"),
        CapRange(caps[1], caps[1], {"a": ("1",), "b": ("1",)}),
        CapRange(caps[2], caps[2], {"a": ("2",), "b": ("1",), "c": ("1",)}),
    ]
    assert (["a", "c"], ["b"]) == changed_and_unchanged(steps)


def test_counts() -> None:
    """Vulnerabilities and releases without data are counted separately."""
    step = CapRange(GlibcVersion(2, 5), NEWEST_GLIBC, {"a": ("1",), "b": ("1", "2")})
    known = {("a", "1"): (Advisory("x"), Advisory("y")), ("b", "1"): (), ("b", "2"): None}
    (counted,) = with_vulnerabilities([step], known)
    assert (2, 1) == (counted.vulnerable, counted.unknown)
