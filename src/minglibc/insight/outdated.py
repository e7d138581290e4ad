"""Each locked release against the newest: what keeps the newest out, which cap would let it in, what is known against ours."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from minglibc.insight.replay import CompatibilityAt
from minglibc.insight.vulnerabilities import Advisory, Known, Remedy, remedy
from minglibc.insight.why import Inquiry, Obstacle
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.resolver import Resolution

_ASIDE = frozenset(("pre-release", "yanked"))


class Within(NamedTuple):
    """The newest release that only the cap keeps out, and the lowest cap that admits it."""

    version: str
    needs: Cap


class Weakness(NamedTuple):
    """A known vulnerability of a locked release, and where it is mended."""

    advisory: Advisory
    remedy: Remedy | None


class Row(NamedTuple):
    """One locked release, for the targets of which the same is to be said."""

    name: str
    locked: str
    newest: str
    obstacle: Obstacle | None
    """None where the locked release is the newest."""
    held_back: Within | None
    targets: tuple[Target, ...]
    locked_on: str
    newest_on: str
    weaknesses: tuple[Weakness, ...] | None = None
    """None where the index does not say."""

    @property
    def is_behind(self) -> bool:
        """Whether there is a newer release that a user may want: no pre-release, and not yanked."""
        return self.obstacle is not None and self.obstacle.reason not in _ASIDE


def outdated(resolutions: Sequence[Resolution], inquiry: Inquiry) -> list[Row]:
    """A row for each locked release, by name; nothing is said of vulnerabilities yet."""
    found: dict[Row, list[Target]] = {}
    for resolution in resolutions:
        for name in resolution.wheels:
            found.setdefault(_row(resolution, name, inquiry), []).append(resolution.target)
    rows = [row._replace(targets=tuple(targets)) for row, targets in found.items()]
    return sorted(rows, key=lambda row: (row.name, row.targets))


def _row(resolution: Resolution, name: str, inquiry: Inquiry) -> Row:
    wheel = resolution.wheels[name]
    page = inquiry.page(name)
    above = inquiry.above(name, wheel.version)
    newest = next(_wanted(page, above), None)
    if newest is None:
        newest = next(iter(above), None)
    # The day alone: the files of one release are uploaded within minutes of each other.
    day = wheel.upload_time[:10]
    if newest is None:
        return Row(name, wheel.version, wheel.version, None, None, (), day, day)
    obstacle = inquiry.obstacle(resolution, name, newest)
    held = _held(resolution, name, inquiry)
    return Row(name, wheel.version, page.versions.texts[newest], obstacle, held, (), day, _uploaded(page, newest))


def _wanted(page: ProjectPage, positions: range) -> Iterator[int]:
    for position in positions:
        wheels = page.wheels(position)
        yanked = bool(wheels) and all(wheel.yanked is not None for wheel in wheels)
        if not yanked and not page.versions.prereleases >> position & 1:
            yield position


def _held(resolution: Resolution, name: str, inquiry: Inquiry) -> Within | None:
    """The newest release that nothing but the cap keeps out; None where something within the cap is newer than it."""
    page = inquiry.page(name)
    for position in inquiry.above(name, resolution.wheels[name].version):
        obstacle = inquiry.obstacle(resolution, name, position)
        if obstacle.needs is not None:
            return Within(page.versions.texts[position], obstacle.needs)
        if obstacle.reason == "free":
            return None
    return None


def _uploaded(page: ProjectPage, position: int) -> str:
    files = (*page.wheels(position), *page.sdists(position))
    return min((file.upload_time for file in files if file.upload_time), default="")[:10]


def with_weaknesses(
    rows: Sequence[Row], known: Known, inquiry: Inquiry, compatibility_at: CompatibilityAt
) -> list[Row]:
    """The rows with what is known of each locked release; each remedy is one that all of the row's targets can have."""
    return [row._replace(weaknesses=_weaknesses(row, known, inquiry, compatibility_at)) for row in rows]


def _weaknesses(
    row: Row, known: Known, inquiry: Inquiry, compatibility_at: CompatibilityAt
) -> tuple[Weakness, ...] | None:
    advisories = known.get((row.name, row.locked))
    if advisories is None:
        return None
    page = inquiry.page(row.name)
    found = []
    for advisory in advisories:
        remedies = [remedy(advisory, page, row.locked, target, compatibility_at) for target in row.targets]
        certain = [each for each in remedies if each is not None]
        # The target that is worst off decides.
        worst = (
            max(certain, key=lambda each: (each.needs or (0, 0), each.version))
            if len(certain) == len(remedies)
            else None
        )
        found.append(Weakness(advisory, worst))
    return tuple(found)


def releases(rows: Sequence[Row]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The locked releases, and those of them that are their project's newest."""
    locked = [(row.name, row.locked) for row in rows]
    return locked, [(row.name, row.locked) for row in rows if not row.is_behind]


def condensed(rows: Sequence[Row]) -> list[Row]:
    """For people: a row that only follows another target's, as one release for all is preferred, is told with that one."""
    leaders: dict[tuple[str, str, str], int] = {}
    told: list[Row] = []
    for row in sorted(rows, key=lambda row: row.obstacle is not None and row.obstacle.reason == "other-target"):
        place = leaders.setdefault((row.name, row.locked, row.newest), len(told))
        if row.obstacle is None or row.obstacle.reason != "other-target" or place == len(told):
            told.append(row)
        else:
            told[place] = told[place]._replace(targets=(*told[place].targets, *row.targets))
    return sorted(told, key=lambda row: row.name)


def age(day: str, now: datetime) -> int | None:
    """The days from *day* (ISO) to *now*; None where there is no day."""
    if not day:
        return None
    return max(0, (now.date() - datetime.fromisoformat(day).date()).days)
