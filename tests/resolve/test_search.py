"""The search where first choices conflict: hard families in few steps, progress, interrupts, and its limit."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import permutations

import pytest

from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.resolve import backtracking
from minglibc.resolve.conflict import Attempt
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.resolver import resolve
from tests.benchmarks import adversarial, hard
from tests.support.small_index import Case, MemoryIndex, Release

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 28))


def solved(case: Case, index: MemoryIndex | None = None, **options: object) -> Resolution:
    """The resolver's answer."""
    index = index or MemoryIndex(case.packages)
    return resolve(case.roots, TargetCompatibility(TARGET), index, **options)  # type: ignore[arg-type]  # as resolve has them


def packages(requires: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, Release]]:
    """Releases without extras."""
    return {name: {v: Release(tuple(texts)) for v, texts in releases.items()} for name, releases in requires.items()}


@pytest.mark.parametrize("family", hard.FAMILIES)
def test_reads_grow_linearly(family: str) -> None:
    """Four times the size needs at most five times the metadata, though a search without learning needs exponentially many."""
    reads = []
    for size in (5, 20):
        case = hard.FAMILIES[family](size)
        index = MemoryIndex(case.packages)
        solved(case, index)
        assert len(index.read) == len(set(index.read))
        reads.append(len(index.read))
    small, large = reads
    assert large <= 5 * small


@pytest.mark.parametrize("family", adversarial.FAMILIES)
def test_reads_of_adversarial_families_grow_linearly(family: str) -> None:
    """Nor do cycles of extras, pre-releases, markers, yanked releases, stars and refusals read a release twice."""
    reads = []
    for size in (3, 9):
        case = adversarial.FAMILIES[family](size)
        index = MemoryIndex(case.packages)
        with pytest.raises(Unresolvable) if family.endswith("-no") else nullcontext():
            solved(case, index)
        assert len(index.read) == len(set(index.read))
        reads.append(len(index.read))
    small, large = reads
    # Exclusions have as many releases as packages.
    assert large <= (9 if family == "exclusions-no" else 5) * small


def test_no_root_can_be_raised_alone() -> None:
    """The first root gets its newest release that leaves an answer, the next one its newest beside it."""
    case = hard.window(8)
    versions = {name: wheel.version for name, wheel in solved(case).artifacts.items()}
    assert {"2"} == {versions[f"m{number}"] for number in range(8)}


def daily_builds(count: int, root: str) -> Case:
    """An application whose newest release needs a project with *count* pre-releases, none of which is usable; the last is."""
    builds: dict[str, list[str]] = {f"1.dev{number}": ["sources"] for number in range(1, count)} | {"1.dev0": []}
    requires: dict[str, dict[str, list[str]]] = {
        "app": {"1": [], "2": ["nightly", "other"]},
        "nightly": builds,
        "sources": {},
        "other": {"1": ["clash<2"], "2": ["clash<2"]},
        "clash": {"1": [], "2": []},
    }
    return Case(packages(requires), (root, "clash>=2"))


def test_what_is_excluded_anyway_is_read_late() -> None:
    """A conflict between other projects is found before all of many unusable versions are read."""
    case = daily_builds(300, "app")
    index = MemoryIndex(case.packages)
    assert {"app": "1", "clash": "2"} == {name: wheel.version for name, wheel in solved(case, index).artifacts.items()}
    assert len(set(index.read)) < 20


def test_a_requirement_that_nothing_meets_is_the_whole_explanation() -> None:
    """A root without a matching release is named alone, whatever else conflicts, and in any order."""
    requires: dict[str, dict[str, list[str]]] = {"a": {"1": ["b<2"]}, "b": {"1": [], "2": []}, "c": {"1": []}}
    for roots in permutations(("a", "b>=2", "c>=9")):
        with pytest.raises(Unresolvable) as failure:
            solved(Case(packages(requires), roots))
        assert ["the project requires c>=9"] == [str(cause) for cause in failure.value.causes]


def test_a_root_that_is_excluded_anyway_is_read_to_the_end() -> None:
    """The only usable version of many is selected for a root."""
    resolution = solved(daily_builds(300, "nightly"))
    assert "1.dev0" == resolution.artifacts["nightly"].version


def test_excluded_versions_are_not_read_before_a_refusal() -> None:
    """For a dependency that would admit a pre-release, only versions that the project's requirements leave are read."""
    requires: dict[str, dict[str, list[str]]] = {
        "app": {str(number): ["lib"] for number in range(1, 50)},
        "lib": {"1": ["clash<2"], "2": ["clash<2"], "3rc1": []},
        "clash": {"1": [], "2": []},
    }
    index = MemoryIndex(packages(requires))
    with pytest.raises(Unresolvable) as failure:
        solved(Case(packages(requires), ("app==1", "clash>=2")), index)
    assert not failure.value.gave_up
    assert {"app 1"} == {text for text in index.read if text.startswith("app ")}
    requires["app"]["40"] = ["lib>=1rc1"]
    index = MemoryIndex(packages(requires))
    answer = solved(Case(packages(requires), ("app", "clash>=2")), index)
    assert {"app": "40", "clash": "2", "lib": "3rc1"} == {
        name: wheel.version for name, wheel in answer.artifacts.items()
    }


def endless() -> Case:
    """Nine packages that need eight distinct slots: there is no answer, and no short proof of it."""
    return hard.pigeons(9)


def test_a_search_reports_what_it_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback gets the release, the seconds, and a bound that would shorten the search."""
    monkeypatch.setattr(backtracking, "_REPORT_AFTER", -1.0)
    monkeypatch.setattr(backtracking, "_REPORT_INTERVAL", 0.0)
    attempts: list[Attempt] = []
    with pytest.raises(Unresolvable):
        solved(hard.pigeons(5), on_try=attempts.append)
    assert "g0" == attempts[0].package
    assert any(attempt.bound.endswith(">=4") for attempt in attempts)
    assert sorted(attempt.seconds for attempt in attempts) == [attempt.seconds for attempt in attempts]


def interrupted(case: Case, release: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The note of a search that is interrupted while it tries *release*."""
    monkeypatch.setattr(backtracking, "_REPORT_AFTER", -1.0)
    monkeypatch.setattr(backtracking, "_REPORT_INTERVAL", 0.0)

    def interrupt(attempt: Attempt) -> None:
        if f"{attempt.package} {attempt.version}" == release:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interruption:
        solved(case, on_try=interrupt)
    (note,) = interruption.value.__notes__
    return note


def test_an_interrupted_search_names_the_last_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt carries the release that is tried, and the requirements that conflicted last, as a note."""
    case = Case(
        packages({
            "a": {"1": [], "2": ["b"]},
            "b": {"1": ["c<2"]},
            "c": {"1": [], "2": []},
            "d": {"1": ["c>=2"]},
        }),
        ("a", "d"),
    )  # fmt: skip
    note = interrupted(case, "a 1", monkeypatch)
    assert note == "while trying a 1; the last conflict:\n  d 1 requires c>=2\n  b 1 requires c<2"


def test_a_long_conflict_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a conflict between many requirements, eight are printed."""
    note = interrupted(hard.pigeons(6), "g0 3", monkeypatch)
    assert 10 >= len(note.splitlines())


def test_a_stopped_search_is_no_refusal() -> None:
    """A search that runs out of time says after how long, and does not say that there is no answer."""
    with pytest.raises(Unresolvable) as stopped:
        solved(endless(), patience=0.05)
    assert stopped.value.gave_up
    assert stopped.value.seconds is not None
    assert 0.05 <= stopped.value.seconds < 5


def test_the_causes_are_the_shortest_chain() -> None:
    """Of an index with other conflicts, only the requirements that lead to the conflict are causes, roots first."""
    case = Case(
        packages({
            "app": {"1": ["lib", "noise"]},
            "lib": {"1": ["deep"], "2": ["deep"]},
            "deep": {"1": ["base<2"]},
            "noise": {"1": ["other<2"], "2": ["other>=2"]},
            "other": {"1": [], "2": []},
            "base": {"1": [], "2": []},
        }),
        ("app", "base>=2"),
    )  # fmt: skip
    with pytest.raises(Unresolvable) as failure:
        solved(case)
    names = [cause.requirement.name for cause in failure.value.causes]
    assert {"app", "lib", "deep", "base"} == set(names)
    assert names.index("app") < names.index("lib") < names.index("deep")
    (of_lib,) = [cause for cause in failure.value.causes if cause.requirement.name == "deep"]
    assert ("2", "1") == of_lib.releases
