"""Explains why a version was selected: its requirement chains, and what blocks each newer release."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from minglibc.errors import MinglibcError, ProjectNotFound
from minglibc.insight.held_back import needed_cap
from minglibc.insight.replay import CompatibilityAt
from minglibc.model import versions
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Reason
from minglibc.model.core_metadata import CoreMetadata, check_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, Requirement, parse
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import Policy, WheelIndex
from minglibc.resolve.resolution import Resolution


class Obstacle(NamedTuple):
    """What blocks a release: a reason's name, a text, and the lowest cap that alone allows the release."""

    reason: str
    text: str
    needs: Cap | None = None


class Link(NamedTuple):
    """One requirement of a chain and its origin; the last requirement is on the explained package."""

    parent: str
    requirement: Requirement


class NewerRelease(NamedTuple):
    """A release newer than the locked one, and what blocks it."""

    version: str
    obstacle: Obstacle


class Explanation(NamedTuple):
    """Why a version of a package was selected for some targets."""

    targets: tuple[Target, ...]
    wheel: Artifact
    chains: tuple[tuple[Link, ...], ...]
    newer: tuple[NewerRelease, ...]


class Explainer:
    """Explains the releases of one lock, with the index pages that the lock was made from."""

    def __init__(
        self,
        index: WheelIndex,
        compatibility_at: CompatibilityAt,
        policy: Policy = Policy(),  # noqa: B008  immutable
        *,
        resolutions: Sequence[Resolution] = (),
        builds: bool = False,
    ) -> None:
        """With *builds*, source distributions can be built for the cap."""
        self._builds = builds
        self._index = index
        self._resolutions = resolutions
        self._compatibility_at = compatibility_at
        self._policy = policy

    def page(self, name: str) -> ProjectPage:
        """The page of a project; an empty one if the index no longer has the project."""
        try:
            return self._index.project(name)
        except ProjectNotFound:
            return ProjectPage.empty(name)

    def newer_than(self, name: str, locked: str) -> range:
        """The positions of the releases newer than *locked*, newest first."""
        page = self.page(name)
        floor = page.versions.index_of(locked)
        # The locked release may have been removed from the index.
        start = floor + 1 if floor is not None else _position_after(page, locked)
        return range(len(page.versions) - 1, start - 1, -1)

    def obstacle(self, resolution: Resolution, name: str, position: int) -> Obstacle:
        """What blocks the release at *position* in *resolution*.

        The first of: project status, release status, requirements and constraints, files, metadata.
        """
        obstacle = self._own_obstacle(resolution, name, position)
        if obstacle is None or obstacle.needs is not None:
            # A cap alone does not allow a release that another target blocks.
            return self._other_target(resolution, name, position) or obstacle or _upgrade_available(name)
        return obstacle

    def _own_obstacle(self, resolution: Resolution, name: str, position: int) -> Obstacle | None:
        page = self.page(name)
        return (
            self._quarantined(page)
            or _yanked(page, position)
            or self._prerelease(page, resolution, position)
            or self._requirement_conflict(page, resolution, position)
            or self._incompatible_files(page, resolution.target, position)
            or self._metadata_conflict(page, resolution, position)
        )

    def needs(self, name: str, position: int, target: Target) -> Cap | None:
        """The lowest cap above the target's that allows the release's files."""
        return needed_cap(self._compatibility_at(target), self.page(name), position)

    def _other_target(self, resolution: Resolution, name: str, position: int) -> Obstacle | None:
        """One version for all targets is preferred: an earlier target's obstacle that no cap removes applies here too.

        If the targets have the same marker, any obstacle of either applies to both.
        """
        locked = resolution.artifacts[name].version
        is_later = False
        for other in self._resolutions:
            wheel = other.artifacts.get(name)
            is_later = is_later or other.target == resolution.target
            same_marker = other.target != resolution.target and other.target.marker == resolution.target.marker
            is_separate = not self._policy.fewest and other.target.python[:2] != resolution.target.python[:2]
            if wheel is None or wheel.version != locked or is_separate or (is_later and not same_marker):
                continue
            obstacle = self._own_obstacle(other, name, position)
            if obstacle is not None and (obstacle.needs is None or same_marker):
                where = _describe(other.target, with_cap=same_marker)
                return Obstacle("other-target", f"kept the same as on {where} ({obstacle.text})")
        return None

    def _quarantined(self, page: ProjectPage) -> Obstacle | None:
        if page.status != "quarantined":
            return None
        reason = f": {page.status_reason}" if page.status_reason else ""
        return Obstacle("quarantined", f"the index has quarantined the project{reason}")

    def _prerelease(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        if not page.versions.prereleases >> position & 1 or self._policy.admits_prereleases(page.name):
            return None
        specifiers = [active.requirement.specifier for active in resolution.requirements.get(page.name, ())]
        locked = resolution.artifacts[page.name].version if page.name in resolution.artifacts else ""
        if any(versions.names_prerelease(specifier) for specifier in specifiers) or (
            locked and versions.is_prerelease(locked)
        ):
            return None
        return Obstacle("pre-release", "is a pre-release")

    def _requirement_conflict(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        conflicts = [
            f"{active.parent} requires {active.requirement.without_marker}"
            for active in resolution.requirements.get(page.name, ())
            if not _allows(page, active.requirement, position)
        ]
        environment = Environment(resolution.target.environment)
        conflicts += [
            f"a constraint requires {constraint.without_marker}"
            for constraint in self._policy.constraints
            if constraint.name == page.name
            and environment.admits(constraint.marker)
            and not _allows(page, constraint, position)
        ]
        return Obstacle("requirement", "; ".join(dict.fromkeys(conflicts))) if conflicts else None

    def _incompatible_files(self, page: ProjectPage, target: Target, position: int) -> Obstacle | None:
        rejections = self._compatibility_at(target).rejections(page, position)
        if not rejections:
            return None
        needs = needed_cap(self._compatibility_at(target), page, position)
        if needs:
            reason = Reason.GLIBC if needs.libc == "glibc" else Reason.NEWER_MUSL
            return Obstacle(reason.value, f"needs {needs.named}{self._build(page, target, position)}", needs)
        # No cap helps: report what blocks the release even without a cap.
        without_cap = self._compatibility_at(target.uncapped).rejections(page, position)
        rejection = (without_cap or rejections)[0]
        missing = {
            Reason.INTERPRETER: f"CPython {target.python}",
            Reason.ARCHITECTURE: target.architecture,
            Reason.FOR_GLIBC: "musl",
        }
        text = f"has no wheel for {missing[rejection.reason]}" if rejection.reason in missing else str(rejection)
        return Obstacle(rejection.reason.value, text)

    def _build(self, page: ProjectPage, target: Target, position: int) -> str:
        """Whether a build would allow a release that the cap blocks, and whether that was tried; empty if it can't."""
        if not self._builds or not page.sdists(position):
            return ""
        compatibility = self._compatibility_at(target)
        if not compatibility.allows_sdist(page.name):
            return f'; a build was not tried: build-newer = ["{page.name}"]'
        unusable = [r for r in compatibility.rejections(page, position) if r.reason is Reason.UNUSABLE]
        return f"; {unusable[0].detail}" if unusable else "; its build exceeds the cap"

    def _metadata_conflict(self, page: ProjectPage, resolution: Resolution, position: int) -> Obstacle | None:
        wheel = self._compatibility_at(resolution.target).best(page, position)
        assert wheel is not None  # _incompatible_files comes first
        try:
            metadata = self._index.metadata(wheel)
            problem = check_metadata(metadata, wheel)
            conflicts = list(self._conflicts(metadata, resolution))
        except (MinglibcError, ValueError) as error:
            problem, conflicts = str(error), []
        if problem:
            return Obstacle("unusable", f"is unusable: {problem}")
        if not conflicts:
            return None
        caps = [conflict.needs for conflict in conflicts]
        needs = max((cap for cap in caps if cap), default=None) if all(caps) else None
        return Obstacle("conflict", "; ".join(conflict.text for conflict in conflicts), needs)

    def _conflicts(self, metadata: CoreMetadata, resolution: Resolution) -> Iterator[Obstacle]:
        """The requirements of a release that other locked packages do not meet."""
        environment = Environment(resolution.target.environment)
        for text in metadata.requires_dist:
            try:
                requirement = parse(text)
            except InvalidRequirement as error:
                raise ValueError(str(error)) from error
            locked = resolution.artifacts.get(requirement.name)
            if locked is None or not environment.admits(requirement.marker):
                continue
            page = self.page(requirement.name)
            position = page.versions.index_of(locked.version)
            if position is not None and not _allows(page, requirement, position):
                yield self._conflict(page, requirement, locked, resolution.target)

    def _conflict(self, page: ProjectPage, requirement: Requirement, locked: Artifact, target: Target) -> Obstacle:
        text = f"requires {requirement.without_marker}"
        mask = page.versions.mask(requirement.specifier)
        allowed = [position for position in range(len(page.versions)) if mask >> position & 1]
        compatibility = self._compatibility_at(target)
        if not any(compatibility.best(page, position) for position in allowed):
            caps = [cap for position in allowed if (cap := self.needs(page.name, position, target))]
            if caps:
                return Obstacle("conflict", f"{text}, which needs {min(caps).named}", min(caps))
        return Obstacle("conflict", f"{text}, but {locked.version} is locked")


def _describe(target: Target, *, with_cap: bool) -> str:
    text = f"CPython {target.python}, {target.architecture}"
    return f"{text}, {target.cap.named}" if with_cap else text


def _yanked(page: ProjectPage, position: int) -> Obstacle | None:
    """The obstacle of a release whose wheels are all yanked; by PEP 592 only a requirement with == may select it."""
    wheels = page.wheels(position)
    if not wheels or any(wheel.yanked is None for wheel in wheels):
        return None
    return Obstacle(Reason.YANKED.value, f"is yanked{f': {wheels[0].yanked}' if wheels[0].yanked else ''}")


def _upgrade_available(name: str) -> Obstacle:
    return Obstacle("free", f"an upgrade is available: run `minglibc lock -P {name}`")


def _allows(page: ProjectPage, requirement: Requirement, position: int) -> bool:
    return bool(page.versions.mask(requirement.specifier) >> position & 1)


def _position_after(page: ProjectPage, locked: str) -> int:
    bound = versions.key(locked)
    return sum(1 for text in page.versions.texts if versions.key(text) <= bound)


def explain(name: str, resolutions: Sequence[Resolution], explainer: Explainer) -> list[Explanation]:
    """Why *name* is locked at its version; targets with the same explanation share one."""
    targets: dict[tuple[Artifact, tuple[tuple[Link, ...], ...], tuple[NewerRelease, ...]], list[Target]] = {}
    for resolution in resolutions:
        wheel = resolution.artifacts.get(name)
        if wheel is None:
            continue
        page = explainer.page(name)
        newer = tuple(
            NewerRelease(page.versions.texts[position], explainer.obstacle(resolution, name, position))
            for position in explainer.newer_than(name, wheel.version)
        )
        targets.setdefault((wheel, requirement_chains(name, resolution), newer), []).append(resolution.target)
    return [Explanation(tuple(affected), *key) for key, affected in targets.items()]


def requirement_chains(name: str, resolution: Resolution) -> tuple[tuple[Link, ...], ...]:
    """For each requirement on *name*, the shortest chain from the project to it; the shortest chains first."""
    parents = _first_requirements(resolution)
    chains = []
    for active in resolution.requirements.get(name, ()):
        links = [Link(active.parent, active.requirement)]
        while parent := parents.get(links[0].parent):
            links.insert(0, parent)
        chains.append(tuple(links))
    return tuple(sorted(chains, key=lambda chain: (len(chain), chain)))


def _first_requirements(resolution: Resolution) -> Mapping[str, Link | None]:
    """For each package ("paramiko 5.1.0"), the requirement that reaches it first from the roots; None for a root."""
    first: dict[str, Link | None] = dict.fromkeys(resolution.roots)
    waiting: list[tuple[str, str]] = [
        (root, identifier) for root, identifiers in resolution.roots.items() for identifier in identifiers
    ]
    for parent, identifier in waiting:
        project = identifier.partition("[")[0]
        label = f"{identifier} {resolution.artifacts[project].version}"
        if label in first:
            continue
        requirements = [
            active.requirement for active in resolution.requirements.get(project, ()) if active.parent == parent
        ]
        extra = identifier.partition("[")[2].rstrip("]")
        # An extra also requires its own project: that link has the parent of the extra.
        requirement = next(
            (one for one in requirements if extra in one.extras), requirements[0] if requirements else None
        )
        first[label] = Link(parent, requirement) if requirement else first.get(parent)
        waiting += [(label, dependency) for dependency in resolution.dependencies.get(identifier, ())]
    return first
