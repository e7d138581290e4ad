"""Compares each locked release with the newest: what blocks the newest, which cap allows it, and known vulnerabilities."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from minglibc.insight.held_back import HeldBack
from minglibc.insight.replay import CompatibilityAt
from minglibc.insight.vulnerabilities import Advisory, Known, Remedy, find_remedy
from minglibc.insight.why import Explainer, Obstacle
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.resolution import Resolution

_UNWANTED = frozenset(("pre-release", "yanked"))


class BlockedRelease(NamedTuple):
    """The newest release that only the cap blocks, and the lowest cap that allows it."""

    version: str
    needs: Cap


class Vulnerability(NamedTuple):
    """A known vulnerability of a locked release, and the release that fixes it."""

    advisory: Advisory
    remedy: Remedy | None


class ReleaseStatus(NamedTuple):
    """One locked release compared with the newest, for the targets with the same result."""

    name: str
    locked: str
    newest: str
    obstacle: Obstacle | None
    """None if the locked release is the newest."""
    held_back: BlockedRelease | None
    targets: tuple[Target, ...]
    locked_on: str
    newest_on: str
    vulnerabilities: tuple[Vulnerability, ...] | None = None
    """None if the index has no data."""

    @property
    def is_behind(self) -> bool:
        """Whether there is a newer release that is neither a pre-release nor yanked."""
        return self.obstacle is not None and self.obstacle.reason not in _UNWANTED


def outdated(resolutions: Sequence[Resolution], explainer: Explainer) -> list[ReleaseStatus]:
    """The status of each locked release, by name, without vulnerabilities."""
    targets: dict[ReleaseStatus, list[Target]] = {}
    for resolution in resolutions:
        for name in resolution.artifacts:
            targets.setdefault(_status(resolution, name, explainer), []).append(resolution.target)
    statuses = [status._replace(targets=tuple(affected)) for status, affected in targets.items()]
    return sorted(statuses, key=lambda status: (status.name, status.targets))


def _status(resolution: Resolution, name: str, explainer: Explainer) -> ReleaseStatus:
    wheel = resolution.artifacts[name]
    page = explainer.page(name)
    above = explainer.newer_than(name, wheel.version)
    newest = next(_without_unwanted(page, above), None)
    if newest is None:
        newest = next(iter(above), None)
    # Only the day: the files of one release are uploaded within minutes of each other.
    day = wheel.upload_time[:10]
    if newest is None:
        return ReleaseStatus(name, wheel.version, wheel.version, None, None, (), day, day)
    return ReleaseStatus(
        name=name,
        locked=wheel.version,
        newest=page.versions.texts[newest],
        obstacle=explainer.obstacle(resolution, name, newest),
        held_back=_blocked_release(resolution, name, explainer),
        targets=(),
        locked_on=day,
        newest_on=_upload_day(page, newest),
    )


def _without_unwanted(page: ProjectPage, positions: range) -> Iterator[int]:
    """The *positions* of releases that are neither pre-releases nor yanked."""
    for position in positions:
        wheels = page.wheels(position)
        yanked = bool(wheels) and all(wheel.yanked is not None for wheel in wheels)
        if not yanked and not page.versions.prereleases >> position & 1:
            yield position


def _blocked_release(resolution: Resolution, name: str, explainer: Explainer) -> BlockedRelease | None:
    """The newest release that only the cap blocks; None if a newer release is available under the current cap."""
    page = explainer.page(name)
    for position in explainer.newer_than(name, resolution.artifacts[name].version):
        obstacle = explainer.obstacle(resolution, name, position)
        if obstacle.needs is not None:
            return BlockedRelease(page.versions.texts[position], obstacle.needs)
        if obstacle.reason == "free":
            return None
    return None


def with_pinned(statuses: Sequence[ReleaseStatus], held_back: Iterable[HeldBack]) -> list[ReleaseStatus]:
    """The statuses with what is held back only because another package, which the cap blocks, pins it."""
    blocked = {(held.name, target): held for held in held_back for target in held.targets}

    def completed(status: ReleaseStatus) -> ReleaseStatus:
        held = [blocked[status.name, target] for target in status.targets if (status.name, target) in blocked]
        if status.held_back is not None or not held:
            return status
        return status._replace(held_back=BlockedRelease(held[0].newest, held[0].needs))

    return [completed(status) for status in statuses]


def _upload_day(page: ProjectPage, position: int) -> str:
    files = (*page.wheels(position), *page.sdists(position))
    return min((file.upload_time for file in files if file.upload_time), default="")[:10]


def with_vulnerabilities(
    statuses: Sequence[ReleaseStatus], known: Known, explainer: Explainer, compatibility_at: CompatibilityAt
) -> list[ReleaseStatus]:
    """The statuses with each release's known vulnerabilities; a remedy is one that works for all of a status's targets."""
    return [
        status._replace(vulnerabilities=_vulnerabilities(status, known, explainer, compatibility_at))
        for status in statuses
    ]


def _vulnerabilities(
    status: ReleaseStatus, known: Known, explainer: Explainer, compatibility_at: CompatibilityAt
) -> tuple[Vulnerability, ...] | None:
    advisories = known.get((status.name, status.locked))
    if advisories is None:
        return None
    page = explainer.page(status.name)
    return tuple(Vulnerability(advisory, _remedy(advisory, page, status, compatibility_at)) for advisory in advisories)


def _remedy(
    advisory: Advisory, page: ProjectPage, status: ReleaseStatus, compatibility_at: CompatibilityAt
) -> Remedy | None:
    """The remedy of the target that needs the highest cap, or else the newest release; None if a target has no remedy."""
    remedies = []
    for target in status.targets:
        remedy = find_remedy(advisory, page, status.locked, target, compatibility_at)
        if remedy is None:
            return None
        remedies.append(remedy)
    return max(remedies, key=lambda remedy: (remedy.needs or (0, 0), page.versions.index_of(remedy.version) or 0))


def releases(statuses: Sequence[ReleaseStatus]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The locked releases, and those of them that are their project's newest."""
    locked = [(status.name, status.locked) for status in statuses]
    return locked, [(status.name, status.locked) for status in statuses if not status.is_behind]


def condensed(statuses: Sequence[ReleaseStatus]) -> list[ReleaseStatus]:
    """For display: a status that only follows another target's ("other-target") is merged with that one."""
    leaders: dict[tuple[str, str, str], int] = {}
    merged: list[ReleaseStatus] = []
    for status in sorted(statuses, key=_follows_another_target):
        position = leaders.setdefault((status.name, status.locked, status.newest), len(merged))
        if position == len(merged) or not _follows_another_target(status):
            merged.append(status)
        else:
            merged[position] = _with_followers(merged[position], status)
    return sorted(merged, key=lambda status: status.name)


def _with_followers(status: ReleaseStatus, follower: ReleaseStatus) -> ReleaseStatus:
    """*status* with the targets of *follower*, which have the older release only because of it."""
    targets = (*status.targets, *follower.targets)
    if status.obstacle is None or _follows_another_target(status):
        return status._replace(targets=targets)
    pythons = ", ".join(dict.fromkeys(str(target.python) for target in follower.targets))
    text = f"{status.obstacle.text}; CPython {pythons} is kept the same"
    return status._replace(targets=targets, obstacle=status.obstacle._replace(text=text))


def _follows_another_target(status: ReleaseStatus) -> bool:
    return status.obstacle is not None and status.obstacle.reason == "other-target"


def age(day: str, now: datetime) -> int | None:
    """The days from *day* (ISO 8601) to *now*; None if *day* is empty, or no date on an index's page."""
    try:
        return max(0, (now.date() - datetime.fromisoformat(day).date()).days)
    except ValueError:
        return None
