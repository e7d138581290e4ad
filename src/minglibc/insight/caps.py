"""Compares the resolutions under every glibc cap, resolving once for each cap that makes a wheel compatible."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from minglibc.insight.replay import CompatibilityAt
from minglibc.insight.vulnerabilities import Known
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility, Rejection, TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, Target, oldest_glibc
from minglibc.resolve.candidates import Policy, Root, WheelIndex
from minglibc.resolve.explain import explain
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable


class CapRange(NamedTuple):
    """A range of caps under which the same releases are locked."""

    lowest: GlibcVersion
    highest: GlibcVersion
    versions: Mapping[str, tuple[str, ...]]
    """By name, oldest first; more than one if targets differ. Empty if there is no solution."""
    problem: str = ""
    """The packages in conflict, if there is no solution."""
    vulnerable: int | None = None
    """The number of known vulnerabilities of these releases; None if the index has no data on any of them."""
    unknown: int = 0
    """The number of releases on which the index has no data."""

    def __str__(self) -> str:
        return f"{self.lowest}" if self.lowest == self.highest else f"{self.lowest} to {self.highest}"

    @property
    def releases(self) -> Iterator[tuple[str, str]]:
        """Every name and version."""
        return ((name, version) for name, versions in self.versions.items() for version in versions)


class _RecordingIndex:
    """A WheelIndex that records the pages that were requested."""

    def __init__(self, index: WheelIndex) -> None:
        self._index = index
        self.pages: dict[str, ProjectPage] = {}

    def project(self, name: str) -> ProjectPage:
        page = self.pages[name] = self._index.project(name)
        return page

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        return self._index.metadata(wheel)

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        self._index.prefetch(wheels)


def compare_caps(
    roots: Sequence[Root],
    targets: Sequence[Target],
    compatibility_at: CompatibilityAt,
    index: WheelIndex,
    *,
    policy: Policy = Policy(),  # noqa: B008  immutable
    on_cap: Callable[[GlibcVersion], None] = lambda cap: None,  # noqa: ARG005
) -> list[CapRange]:
    """What a new lock would contain under every cap from the architectures' oldest to the newest glibc, lowest cap first.

    Targets with musl keep their cap and are resolved together with the others. The list is empty if all targets have musl.
    """
    recording = _RecordingIndex(index)
    floors = [oldest_glibc(target.architecture) for target in targets if target.cap.libc == "glibc"]
    if not floors:
        return []
    floor = min(floors)
    outcomes: dict[GlibcVersion, _Outcome] = {}
    # The newest releases' pages have the most caps: start at the highest and continue until no page adds one.
    waiting = {NEWEST_GLIBC, floor}
    while waiting:
        for cap in sorted(waiting, reverse=True):
            on_cap(cap)
            outcomes[cap] = _outcome(
                roots, [compatibility_at(_with_cap(target, cap)) for target in targets], recording, policy
            )
        lowest = [compatibility_at(_with_cap(target, floor)) for target in targets]
        waiting = {cap for cap in _decisive_caps(lowest, recording.pages.values()) if floor < cap <= NEWEST_GLIBC}
        waiting -= outcomes.keys()
    return list(_merge_ranges(outcomes))


def _with_cap(target: Target, cap: GlibcVersion) -> Target:
    if target.cap.libc != cap.libc:
        return target
    return target._replace(cap=max(cap, oldest_glibc(target.architecture)))


def _decisive_caps(
    compatibilities: Sequence[TargetCompatibility], pages: Iterable[ProjectPage]
) -> Iterator[GlibcVersion]:
    """The caps at which a wheel becomes compatible: what the wheels rejected at the lowest cap need."""
    for page in pages:
        tails = {tags for position in range(len(page.versions)) for tags in page.tag_sets(position)}
        for compatibility in compatibilities:
            for tail in tails:
                verdict = compatibility.check_tags(tail)
                if isinstance(verdict, Rejection) and isinstance(verdict.needs, GlibcVersion):
                    yield verdict.needs


class _Outcome(NamedTuple):
    versions: Mapping[str, tuple[str, ...]]
    problem: str = ""


def _outcome(
    roots: Sequence[Root], compatibilities: Sequence[Compatibility], index: WheelIndex, policy: Policy
) -> _Outcome:
    try:
        resolutions = resolve_all(roots, compatibilities, index, policy=policy)
    except Unresolvable as failure:
        if failure.gave_up:
            raise explain(failure) from failure
        names = sorted({cause.requirement.name for cause in failure.causes})
        return _Outcome({}, ", ".join(names) or ", ".join(failure.contested[:3]))
    return _Outcome(_versions(resolutions, index))


def _versions(resolutions: Sequence[Resolution], index: WheelIndex) -> dict[str, tuple[str, ...]]:
    versions: dict[str, set[str]] = {}
    for resolution in resolutions:
        for name, wheel in resolution.artifacts.items():
            versions.setdefault(name, set()).add(wheel.version)
    return {name: _in_order(versions[name], index.project(name)) for name in sorted(versions)}


def _in_order(versions: Iterable[str], page: ProjectPage) -> tuple[str, ...]:
    return tuple(sorted(versions, key=lambda version: page.versions.index_of(version) or 0))


def _merge_ranges(outcomes: Mapping[GlibcVersion, _Outcome]) -> Iterator[CapRange]:
    """Merges neighbouring caps with the same outcome; a cap that was not resolved has the outcome of the next lower one."""
    caps = sorted(outcomes)
    starts = [cap for before, cap in zip([None, *caps], caps, strict=False) if outcomes.get(before) != outcomes[cap]]  # type: ignore[arg-type]  # None is no key
    for cap, following in zip(starts, [*starts[1:], None], strict=True):
        highest = NEWEST_GLIBC if following is None else GlibcVersion(2, following.minor - 1)
        yield CapRange(cap, highest, outcomes[cap].versions, outcomes[cap].problem)


def with_vulnerabilities(ranges: Sequence[CapRange], known: Known) -> list[CapRange]:
    """The ranges with the number of known vulnerabilities of each."""
    return [_with_vulnerabilities(cap_range, known) for cap_range in ranges]


def _with_vulnerabilities(cap_range: CapRange, known: Known) -> CapRange:
    advisories = [known.get(release) for release in cap_range.releases]
    counts = [len(listed) for listed in advisories if listed is not None]
    return cap_range._replace(vulnerable=sum(counts) if counts else None, unknown=len(advisories) - len(counts))


def range_at(ranges: Sequence[CapRange], cap: GlibcVersion) -> CapRange | None:
    """The range that contains *cap*."""
    return next((cap_range for cap_range in ranges if cap_range.lowest <= cap <= cap_range.highest), None)


def changed_and_unchanged(ranges: Sequence[CapRange]) -> tuple[list[str], list[str]]:
    """The packages whose version depends on the cap, and those with one version under all caps; both by name."""
    names = sorted({name for cap_range in ranges for name in cap_range.versions})
    solved = [cap_range for cap_range in ranges if cap_range.versions]
    unchanged = {name for name in names if len({cap_range.versions.get(name) for cap_range in solved}) == 1}
    return [name for name in names if name not in unchanged], sorted(unchanged)
