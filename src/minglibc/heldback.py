"""What the cap holds back: newer releases that every requirement admits and that only need a newer glibc."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from minglibc.resolver import Resolution, WheelIndex
from minglibc.targets import GlibcVersion, Target
from minglibc.wheels import Judge, ProjectPage, Reason


class HeldBack(NamedTuple):
    """A release that only the cap keeps from some targets, and the lowest cap that would let it in."""

    name: str
    locked: str
    newest: str
    needs: GlibcVersion
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.newest} → {self.locked}: newer releases need glibc {self.needs}"


def held_back(resolutions: Iterable[Resolution], judges: Sequence[Judge], index: WheelIndex) -> list[HeldBack]:
    """What the cap holds back of each resolution, the same finding of several targets told once; by name."""
    found: dict[tuple[str, str, str, GlibcVersion], list[Target]] = {}
    for resolution, judge in zip(resolutions, judges, strict=True):
        for name, wheel in resolution.wheels.items():
            newest = _newest(index.project(name), judge, resolution, wheel.version)
            if newest is not None:
                found.setdefault((name, wheel.version, *newest), []).append(resolution.target)
    return [HeldBack(*key, tuple(targets)) for key, targets in sorted(found.items())]


def _newest(page: ProjectPage, judge: Judge, resolution: Resolution, locked: str) -> tuple[str, GlibcVersion] | None:
    for position in newer(page, resolution, locked):
        if judge.best(page, position) is not None:
            return None  # something else than the cap kept the resolver from it
        needs = needed_cap(judge, page, position)
        if needs is not None:
            return page.versions.texts[position], needs
    return None


def newer(page: ProjectPage, resolution: Resolution, locked: str) -> Iterator[int]:
    """The versions above *locked* that everyone's requirement admits, newest first; pre-releases only above a pre-release."""
    mask = page.versions.all
    for demand in resolution.demands.get(page.name, ()):
        mask &= page.versions.mask(demand.requirement.specifier)
    floor = page.versions.index_of(locked)
    if floor is None:
        return
    if not page.versions.prereleases >> floor & 1:
        mask &= ~page.versions.prereleases
    for position in range(len(page.versions) - 1, floor, -1):
        if mask >> position & 1:
            yield position


def needed_cap(judge: Judge, page: ProjectPage, position: int) -> GlibcVersion | None:
    """The lowest cap with which a version would fit the judge's target; None where the cap is not what refuses it."""
    for rejection in judge.rejections(page, position):
        if rejection.reason is Reason.GLIBC:
            return GlibcVersion.parse(rejection.detail)
    return None
