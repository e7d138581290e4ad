"""The whole curve: what each glibc cap would lock, one resolution for every cap at which any wheel comes in."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from minglibc.insight.replay import CompatibilityAt
from minglibc.insight.vulnerabilities import Known
from minglibc.lock.document import resolve_all
from minglibc.model.artifacts import Wheel
from minglibc.model.compatibility import Compatibility, Rejection
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import NEWEST_GLIBC, GlibcVersion, Target, oldest_glibc
from minglibc.resolve.candidates import Policy, Root, WheelIndex
from minglibc.resolve.resolver import Resolution, Unresolvable


class Step(NamedTuple):
    """A span of caps that lock the same releases."""

    lowest: GlibcVersion
    highest: GlibcVersion
    versions: Mapping[str, tuple[str, ...]]
    """By name, oldest first; more than one where targets differ. Empty where nothing can be locked."""
    problem: str = ""
    """The packages in conflict, where nothing can be locked."""
    vulnerable: int | None = None
    """How many known vulnerabilities these releases have; None as long as nobody asked, or no release is known of."""
    unknown: int = 0
    """Of how many releases the index does not say."""

    def __str__(self) -> str:
        return f"{self.lowest}" if self.lowest == self.highest else f"{self.lowest} to {self.highest}"

    @property
    def releases(self) -> Iterator[tuple[str, str]]:
        """Every name and version."""
        return ((name, version) for name, versions in self.versions.items() for version in versions)


class _Seen:
    """A WheelIndex that remembers which pages were looked at."""

    def __init__(self, index: WheelIndex) -> None:
        self._index = index
        self.pages: dict[str, ProjectPage] = {}

    def project(self, name: str) -> ProjectPage:
        page = self.pages[name] = self._index.project(name)
        return page

    def metadata(self, wheel: Wheel) -> CoreMetadata:
        return self._index.metadata(wheel)

    def prefetch(self, wheels: Iterable[Wheel]) -> None:
        self._index.prefetch(wheels)


def curve(
    roots: Sequence[Root],
    targets: Sequence[Target],
    compatibility_at: CompatibilityAt,
    index: WheelIndex,
    *,
    policy: Policy = Policy(),  # noqa: B008  immutable
    on_cap: Callable[[GlibcVersion], None] = lambda cap: None,  # noqa: ARG005
) -> list[Step]:
    """What every cap from the architectures' lowest to the newest glibc would lock anew, lowest cap first.

    Targets with musl stay as they are, and are locked together with the others; where there are no others, there is no curve.
    """
    seen = _Seen(index)
    floors = [oldest_glibc(target.architecture) for target in targets if target.cap.libc == "glibc"]
    if not floors:
        return []
    floor = min(floors)
    outcomes: dict[GlibcVersion, _Outcome] = {}
    # The newest releases' pages name the most caps: begin above, and go on until no page names another.
    waiting = {NEWEST_GLIBC, floor}
    while waiting:
        for cap in sorted(waiting, reverse=True):
            on_cap(cap)
            outcomes[cap] = _outcome(
                roots, [compatibility_at(_recapped(target, cap)) for target in targets], seen, policy
            )
        lowest = [compatibility_at(_recapped(target, floor)) for target in targets]
        waiting = {cap for cap in _turning_points(lowest, seen.pages.values()) if floor < cap <= NEWEST_GLIBC}
        waiting -= outcomes.keys()
    return list(_steps(outcomes))


def _recapped(target: Target, cap: GlibcVersion) -> Target:
    if target.cap.libc != cap.libc:
        return target
    return target._replace(cap=max(cap, oldest_glibc(target.architecture)))


def _turning_points(compatibilities: Sequence[Compatibility], pages: Iterable[ProjectPage]) -> Iterator[GlibcVersion]:
    """The caps at which some wheel of a page comes in: what wheels refused at the lowest cap ask for."""
    for page in pages:
        tails = {wheel.tail for position in range(len(page.versions)) for wheel in page.wheels(position)}
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
        names = sorted({cause.requirement.name for cause in failure.causes})
        return _Outcome({}, ", ".join(names) or ", ".join(failure.quarrelsome[:3]))
    return _Outcome(_versions(resolutions, index))


def _versions(resolutions: Sequence[Resolution], index: WheelIndex) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for resolution in resolutions:
        for name, wheel in resolution.wheels.items():
            found.setdefault(name, set()).add(wheel.version)
    return {name: _ordered(found[name], index.project(name)) for name in sorted(found)}


def _ordered(texts: Iterable[str], page: ProjectPage) -> tuple[str, ...]:
    return tuple(sorted(texts, key=lambda text: page.versions.index_of(text) or 0))


def _steps(outcomes: Mapping[GlibcVersion, _Outcome]) -> Iterator[Step]:
    """Neighbours that lock the same become one; a cap between two turning points locks what the lower one does."""
    caps = sorted(outcomes)
    starts = [cap for before, cap in zip([None, *caps], caps, strict=False) if outcomes.get(before) != outcomes[cap]]  # type: ignore[arg-type]  # None is no key
    for cap, following in zip(starts, [*starts[1:], None], strict=True):
        highest = NEWEST_GLIBC if following is None else GlibcVersion(2, following.minor - 1)
        yield Step(cap, highest, outcomes[cap].versions, outcomes[cap].problem)


def with_vulnerabilities(steps: Sequence[Step], known: Known) -> list[Step]:
    """The steps with the number of known vulnerabilities that each carries."""
    return [_counted(step, known) for step in steps]


def _counted(step: Step, known: Known) -> Step:
    told = [known.get(release) for release in step.releases]
    counts = [len(advisories) for advisories in told if advisories is not None]
    return step._replace(vulnerable=sum(counts) if counts else None, unknown=len(told) - len(counts))


def at(steps: Sequence[Step], cap: GlibcVersion) -> Step | None:
    """The step that *cap* is in."""
    return next((step for step in steps if step.lowest <= cap <= step.highest), None)


def moving(steps: Sequence[Step]) -> tuple[list[str], list[str]]:
    """The names whose release some cap changes, and those that all caps lock alike; both by name."""
    names = sorted({name for step in steps for name in step.versions})
    solved = [step for step in steps if step.versions]
    still = {name for name in names if len({step.versions.get(name) for step in solved}) == 1}
    return [name for name in names if name not in still], sorted(still)
