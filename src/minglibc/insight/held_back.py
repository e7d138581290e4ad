"""Finds what the cap holds back: newer releases that meet every requirement and only need a newer glibc or musl."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from minglibc.model.compatibility import Compatibility
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import WheelIndex
from minglibc.resolve.multi_target import jointly
from minglibc.resolve.resolution import ActiveRequirement, Resolution


class HeldBack(NamedTuple):
    """A release that only the cap blocks for some targets, and the lowest cap that allows it."""

    name: str
    locked: str
    newest: str
    needs: Cap
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.locked} ({self.newest} needs {self.needs.named})"


def held_back(
    resolutions: Iterable[Resolution], compatibilities: Sequence[Compatibility], index: WheelIndex
) -> list[HeldBack]:
    """What the cap holds back, by name; targets with the same result share one entry."""
    targets: dict[tuple[str, str, str, Cap], list[Target]] = {}
    for resolution, compatibility in zip(resolutions, jointly(compatibilities), strict=True):
        for name, newest in _held_back_for_target(resolution, compatibility, index).items():
            targets.setdefault((name, resolution.artifacts[name].version, *newest), []).append(resolution.target)
    return [HeldBack(*key, tuple(affected)) for key, affected in sorted(targets.items())]


def _held_back_for_target(
    resolution: Resolution, compatibility: Compatibility, index: WheelIndex
) -> dict[str, tuple[str, Cap]]:
    """The newest release that the cap blocks, by name; what a held-back release pins is held back with it."""
    held: dict[str, tuple[str, Cap]] = {}
    waiting = list(resolution.artifacts)
    while waiting:
        added = {
            name: newest
            for name in waiting
            if (newest := _newest_blocked(index.project(name), compatibility, resolution, held)) is not None
        }
        held |= added
        waiting = [
            name for name in resolution.artifacts if name not in held and _is_required_by(name, resolution, added)
        ]
    return held


def _is_required_by(name: str, resolution: Resolution, projects: Container[str]) -> bool:
    return any(_requiring_project(active) in projects for active in resolution.requirements.get(name, ()))


def _requiring_project(active: ActiveRequirement) -> str:
    return active.parent.partition("[")[0].partition(" ")[0]


def _newest_blocked(
    page: ProjectPage, compatibility: Compatibility, resolution: Resolution, held: Container[str]
) -> tuple[str, Cap] | None:
    newest = None
    for position in newer(page, resolution, held):
        if compatibility.best(page, position) is not None:
            return None  # the cap allows this release, so the resolver rejected it for another reason
        if newest is None and (needs := needed_cap(compatibility, page, position)) is not None:
            newest = page.versions.texts[position], needs
    return newest


def newer(page: ProjectPage, resolution: Resolution, held: Container[str] = ()) -> Iterator[int]:
    """The versions above the locked one that every requirement allows, newest first.

    Requirements of the projects in *held* are ignored. Pre-releases count only if the locked version is one.
    """
    floor = page.versions.index_of(resolution.artifacts[page.name].version)
    if floor is None or floor == len(page.versions) - 1:
        return
    mask = page.versions.all
    if not page.versions.prereleases >> floor & 1:
        mask &= ~page.versions.prereleases
    for active in resolution.requirements.get(page.name, ()):
        if _requiring_project(active) not in held:
            mask &= page.versions.mask(active.requirement.specifier)
    for position in range(len(page.versions) - 1, floor, -1):
        if mask >> position & 1:
            yield position


def needed_cap(compatibility: Compatibility, page: ProjectPage, position: int) -> Cap | None:
    """The lowest higher cap under which a version is compatible with the target; None if there is no such cap."""
    caps = compatibility.wanted_caps(page, position)
    return next((cap for cap in sorted(caps) if compatibility.at_cap(cap).best(page, position) is not None), None)
