"""What the cap holds back: newer releases that every requirement admits and that only need a newer glibc, or musl."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from minglibc.model.compatibility import Compatibility
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import WheelIndex
from minglibc.resolve.multi_target import jointly
from minglibc.resolve.resolver import Demand, Resolution


class HeldBack(NamedTuple):
    """A release that only the cap keeps from some targets, and the lowest cap that would let it in."""

    name: str
    locked: str
    newest: str
    needs: Cap
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.newest} → {self.locked}: newer releases need {self.needs.named}"


def held_back(
    resolutions: Iterable[Resolution], compatibilities: Sequence[Compatibility], index: WheelIndex
) -> list[HeldBack]:
    """What the cap holds back of each resolution, the same finding of several targets told once; by name."""
    found: dict[tuple[str, str, str, Cap], list[Target]] = {}
    for resolution, compatibility in zip(resolutions, jointly(compatibilities), strict=True):
        for name, newest in _of_one(resolution, compatibility, index).items():
            found.setdefault((name, resolution.wheels[name].version, *newest), []).append(resolution.target)
    return [HeldBack(*key, tuple(targets)) for key, targets in sorted(found.items())]


def _of_one(resolution: Resolution, compatibility: Compatibility, index: WheelIndex) -> dict[str, tuple[str, Cap]]:
    """The newest release that the cap keeps out, by name; what a held-back release pins is held back with it."""
    found: dict[str, tuple[str, Cap]] = {}
    waiting = list(resolution.wheels)
    while waiting:
        fresh = {
            name: newest
            for name in waiting
            if (newest := _newest(index.project(name), compatibility, resolution, found)) is not None
        }
        found |= fresh
        waiting = [name for name in resolution.wheels if name not in found and _is_held(name, resolution, fresh)]
    return found


def _is_held(name: str, resolution: Resolution, held: Container[str]) -> bool:
    """Whether one of *held* asks for *name*."""
    return any(_asker(demand) in held for demand in resolution.demands.get(name, ()))


def _asker(demand: Demand) -> str:
    """The project that makes a demand."""
    return demand.asked_by.partition("[")[0].partition(" ")[0]


def _newest(
    page: ProjectPage, compatibility: Compatibility, resolution: Resolution, held: Container[str]
) -> tuple[str, Cap] | None:
    newest = None
    for position in newer(page, resolution, held):
        if compatibility.best(page, position) is not None:
            return None  # something else than the cap kept the resolver from it
        if newest is None and (needs := needed_cap(compatibility, page, position)) is not None:
            newest = page.versions.texts[position], needs
    return newest


def newer(page: ProjectPage, resolution: Resolution, held: Container[str] = ()) -> Iterator[int]:
    """The versions above the answer's that every requirement but those of *held* admits, newest first.

    Pre-releases count only above a pre-release.
    """
    floor = page.versions.index_of(resolution.wheels[page.name].version)
    if floor is None or floor == len(page.versions) - 1:
        return
    mask = page.versions.all
    if not page.versions.prereleases >> floor & 1:
        mask &= ~page.versions.prereleases
    for demand in resolution.demands.get(page.name, ()):
        if _asker(demand) not in held:
            mask &= page.versions.mask(demand.requirement.specifier)
    for position in range(len(page.versions) - 1, floor, -1):
        if mask >> position & 1:
            yield position


def needed_cap(compatibility: Compatibility, page: ProjectPage, position: int) -> Cap | None:
    """The lowest higher cap with which a version would fit the compatibility's target; None where no cap would let it in."""
    caps = compatibility.wanted_caps(page, position)
    return next((cap for cap in sorted(caps) if compatibility.at_cap(cap).best(page, position) is not None), None)
