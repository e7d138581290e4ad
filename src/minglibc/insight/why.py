"""Why this release: the chains of requirements that lead to it, and what keeps out each release above it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from minglibc.errors import MinglibcError, ProjectNotFound
from minglibc.insight.held_back import needed_cap
from minglibc.insight.replay import CompatibilityAt
from minglibc.model import versions
from minglibc.model.artifacts import Wheel
from minglibc.model.compatibility import Reason
from minglibc.model.core_metadata import CoreMetadata, check_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, Requirement, parse
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import Policy, WheelIndex
from minglibc.resolve.resolver import Resolution


class Obstacle(NamedTuple):
    """What keeps a release out: the reason's name, its sentence, and the lowest cap that alone would let it in."""

    reason: str
    text: str
    needs: Cap | None = None


class Link(NamedTuple):
    """One step of a chain: who requires what; the last one's requirement is on the package in question."""

    asked_by: str
    requirement: Requirement


class Refusal(NamedTuple):
    """A release above the locked one, and what keeps it out."""

    version: str
    obstacle: Obstacle


class Answer(NamedTuple):
    """Why some targets have this release of a package."""

    targets: tuple[Target, ...]
    wheel: Wheel
    chains: tuple[tuple[Link, ...], ...]
    above: tuple[Refusal, ...]


class Inquiry:
    """Questions about one lock's releases, asked of the pages that it was made from."""

    def __init__(
        self,
        index: WheelIndex,
        compatibility_at: CompatibilityAt,
        policy: Policy = Policy(),  # noqa: B008  immutable
        *,
        resolutions: Sequence[Resolution] = (),
    ) -> None:
        self._index = index
        self._resolutions = resolutions
        self._compatibility_at = compatibility_at
        self._policy = policy

    def page(self, name: str) -> ProjectPage:
        """The page of a project; an empty one where the index no longer has it."""
        try:
            return self._index.project(name)
        except ProjectNotFound:
            return ProjectPage.empty(name)

    def above(self, name: str, locked: str) -> range:
        """The positions of the releases above *locked*, newest first."""
        page = self.page(name)
        floor = page.versions.index_of(locked)
        # A release that was taken off the index is below all that is newer than it.
        start = floor + 1 if floor is not None else _after(page, locked)
        return range(len(page.versions) - 1, start - 1, -1)

    def obstacle(self, resolution: Resolution, name: str, position: int) -> Obstacle:
        """What keeps the release at *position* out of *resolution*: the first that holds of the project's status, the release's, the rules, the files and the metadata."""
        obstacle = self._hard_obstacle(resolution, name, position)
        if obstacle is None or obstacle.needs is not None:
            # No cap alone lets in what an earlier target keeps out.
            return self._of_others(resolution, name, position) or obstacle or _free(name)
        return obstacle

    def _hard_obstacle(self, resolution: Resolution, name: str, position: int) -> Obstacle | None:
        page = self.page(name)
        return (
            self._of_status(page)
            or _of_yanked(page, position)
            or self._of_prerelease(page, resolution, position)
            or self._of_requirements(page, resolution, position)
            or self._of_files(page, resolution.target, position)
            or self._of_metadata(page, resolution, position)
        )

    def needs(self, name: str, position: int, target: Target) -> Cap | None:
        """The lowest cap above the target's that admits the release's files."""
        return needed_cap(self._compatibility_at(target), self.page(name), position)

    def _of_others(self, resolution: Resolution, name: str, position: int) -> Obstacle | None:
        """One release for all targets is preferred: what the targets before this one can't have whatever the cap is out here, too.

        Of targets that no marker tells from this one, it is out whatever their order, and whatever they can't have it for.
        """
        locked = resolution.wheels[name].version
        passed = False
        for other in self._resolutions:
            beside = other.wheels.get(name)
            passed = passed or other.target == resolution.target
            alike = other.target != resolution.target and other.target.marker == resolution.target.marker
            if beside is None or beside.version != locked or (passed and not alike):
                continue
            obstacle = self._hard_obstacle(other, name, position)
            if obstacle is not None and (obstacle.needs is None or alike):
                return Obstacle(
                    "other-target", f"kept the same as on {_where(other.target, alike=alike)}, where it {obstacle.text}"
                )
        return None

    def _of_status(self, page: ProjectPage) -> Obstacle | None:
        if page.status != "quarantined":
            return None
        why = f": {page.status_reason}" if page.status_reason else ""
        return Obstacle("quarantined", f"the index has quarantined the project{why}")

    def _of_prerelease(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        if not page.versions.prereleases >> position & 1 or self._policy.admits_prereleases(page.name):
            return None
        asked = [demand.requirement.specifier for demand in resolution.demands.get(page.name, ())]
        locked = resolution.wheels[page.name].version if page.name in resolution.wheels else ""
        if any(versions.names_prerelease(specifier) for specifier in asked) or (
            locked and versions.is_prerelease(locked)
        ):
            return None
        return Obstacle("pre-release", "is a pre-release")

    def _of_requirements(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        against = [
            f"{demand.asked_by} requires {demand.requirement.without_marker}"
            for demand in resolution.demands.get(page.name, ())
            if not _holds(page, demand.requirement, position)
        ]
        environment = Environment(resolution.target.environment)
        against += [
            f"a constraint says {each.without_marker}"
            for each in self._policy.constraints
            if each.name == page.name and environment.admits(each.marker) and not _holds(page, each, position)
        ]
        return Obstacle("requirement", "; ".join(dict.fromkeys(against))) if against else None

    def _of_files(self, page: ProjectPage, target: Target, position: int) -> Obstacle | None:
        rejections = self._compatibility_at(target).rejections(page, position)
        if not rejections:
            return None
        needs = needed_cap(self._compatibility_at(target), page, position)
        if needs:
            reason = Reason.GLIBC if needs.libc == "glibc" else Reason.NEWER_MUSL
            return Obstacle(reason.value, f"needs {needs.named}", needs)
        # What no cap can give is seen under the highest of them.
        beyond = self._compatibility_at(target.uncapped).rejections(page, position)
        told = (beyond or rejections)[0]
        missing = {
            Reason.INTERPRETER: f"CPython {target.python}",
            Reason.ARCHITECTURE: target.architecture,
            Reason.FOR_GLIBC: "musl",
        }
        text = f"has no wheel for {missing[told.reason]}" if told.reason in missing else str(told)
        return Obstacle(told.reason.value, text)

    def _of_metadata(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        wheel = self._compatibility_at(resolution.target).best(page, position)
        assert wheel is not None  # the files were looked at
        try:
            metadata = self._index.metadata(wheel)
            wrong = check_metadata(metadata, wheel)
            conflicts = list(self._conflicts(metadata, resolution))
        except (MinglibcError, ValueError) as error:
            wrong, conflicts = str(error), []
        if wrong:
            return Obstacle("unusable", f"can't be used: {wrong}")
        if not conflicts:
            return None
        caps = [conflict.needs for conflict in conflicts]
        needs = max((cap for cap in caps if cap), default=None) if all(caps) else None
        return Obstacle("conflict", "; ".join(conflict.text for conflict in conflicts), needs)

    def _conflicts(self, metadata: CoreMetadata, resolution: Resolution) -> Iterator[Obstacle]:
        """What a release requires that the locked releases beside it are not."""
        environment = Environment(resolution.target.environment)
        for text in metadata.requires_dist:
            try:
                requirement = parse(text)
            except InvalidRequirement as error:
                raise ValueError(str(error)) from error
            beside = resolution.wheels.get(requirement.name)
            if beside is None or not environment.admits(requirement.marker):
                continue
            page = self.page(requirement.name)
            position = page.versions.index_of(beside.version)
            if position is not None and not _holds(page, requirement, position):
                yield self._conflict(page, requirement, beside, resolution.target)

    def _conflict(self, page: ProjectPage, requirement: Requirement, beside: Wheel, target: Target) -> Obstacle:
        asked = f"requires {requirement.without_marker}"
        mask = page.versions.mask(requirement.specifier)
        fitting = [position for position in range(len(page.versions)) if mask >> position & 1]
        compatibility = self._compatibility_at(target)
        if not any(compatibility.best(page, position) for position in fitting):
            caps = [cap for position in fitting if (cap := self.needs(page.name, position, target))]
            if caps:
                return Obstacle("conflict", f"{asked}, which needs {min(caps).named}", min(caps))
        return Obstacle("conflict", f"{asked}, and {beside.version} is locked")


def _where(target: Target, *, alike: bool) -> str:
    where = f"CPython {target.python}, {target.architecture}"
    return f"{where}, {target.cap.named}" if alike else where


def _of_yanked(page: ProjectPage, position: int) -> Obstacle | None:
    """A release all of whose wheels were taken back; PEP 592 leaves it to those who pin it with ==."""
    wheels = page.wheels(position)
    if not wheels or any(wheel.yanked is None for wheel in wheels):
        return None
    return Obstacle(Reason.YANKED.value, f"is yanked{f': {wheels[0].yanked}' if wheels[0].yanked else ''}")


def _free(name: str) -> Obstacle:
    return Obstacle("free", f"nothing known keeps it out: `minglibc lock -P {name}` tries it")


def _holds(page: ProjectPage, requirement: Requirement, position: int) -> bool:
    return bool(page.versions.mask(requirement.specifier) >> position & 1)


def _after(page: ProjectPage, locked: str) -> int:
    bound = versions.key(locked)
    return sum(1 for text in page.versions.texts if versions.key(text) <= bound)


def why(name: str, resolutions: Sequence[Resolution], inquiry: Inquiry) -> list[Answer]:
    """Why *name* is locked as it is; targets with one answer share it, and those without the package have none."""
    found: dict[tuple[Wheel, tuple[tuple[Link, ...], ...], tuple[Refusal, ...]], list[Target]] = {}
    for resolution in resolutions:
        wheel = resolution.wheels.get(name)
        if wheel is None:
            continue
        page = inquiry.page(name)
        above = tuple(
            Refusal(page.versions.texts[position], inquiry.obstacle(resolution, name, position))
            for position in inquiry.above(name, wheel.version)
        )
        found.setdefault((wheel, chains(name, resolution), above), []).append(resolution.target)
    return [Answer(tuple(targets), *key) for key, targets in found.items()]


def chains(name: str, resolution: Resolution) -> tuple[tuple[Link, ...], ...]:
    """For everyone who requires *name*, the shortest chain that leads from the project to it; the shortest of them first."""
    reached = _reached(resolution)
    found = []
    for demand in resolution.demands.get(name, ()):
        links = [Link(demand.asked_by, demand.requirement)]
        while asker := reached.get(links[0].asked_by):
            links.insert(0, asker)
        found.append(tuple(links))
    return tuple(sorted(found, key=lambda chain: (len(chain), chain)))


def _reached(resolution: Resolution) -> Mapping[str, Link | None]:
    """For each asker ("paramiko 5.1.0"), the demand that first brings it in, walking from the roots; None for a root."""
    reached: dict[str, Link | None] = dict.fromkeys(resolution.roots)
    waiting: list[tuple[str, str]] = [
        (asker, identifier) for asker, ids in resolution.roots.items() for identifier in ids
    ]
    for asker, identifier in waiting:
        owner = identifier.partition("[")[0]
        label = f"{identifier} {resolution.wheels[owner].version}"
        if label in reached:
            continue
        asked = [each.requirement for each in resolution.demands.get(owner, ()) if each.asked_by == asker]
        extra = identifier.partition("[")[2].rstrip("]")
        # An extra asks for its own project, too: what brought the extra brought that.
        requirement = next((each for each in asked if extra in each.extras), asked[0] if asked else None)
        reached[label] = Link(asker, requirement) if requirement else reached.get(asker)
        waiting += [(label, each) for each in resolution.dependencies.get(identifier, ())]
    return reached
