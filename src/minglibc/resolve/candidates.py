"""The candidates of one target: requirements narrowed to versions, the best wheel of each version, and its dependencies."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple, Protocol

from minglibc.errors import ProjectNotFound
from minglibc.model import versions
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility, Reason
from minglibc.model.core_metadata import CoreMetadata, check_metadata
from minglibc.model.lenient import lenient_specifier, parse_lenient
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import (
    Environment,
    InvalidRequirement,
    Requirement,
    kernel_variable,
    may_admit,
    normalize_name,
    parse,
)

EVERY_VERSION = -1
FARTHEST_AHEAD = 16
_QUOTED = re.compile("\"[^\"]*\"|'[^']*'")


class WheelIndex(Protocol):
    """The packages that can be chosen; every call may block, and raises IndexUnreachable when the index does not respond."""

    def project(self, name: str) -> ProjectPage:
        """The page of a project by its normalized name; raises ProjectNotFound."""
        ...

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it can't be read."""
        ...

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """A hint that the metadata of *wheels* may be asked for soon."""
        ...


# The parent of the requirements that are in no extra or group.
PROJECT = "the project"


class Root(NamedTuple):
    """A requirement of the project itself, and what in pyproject.toml has it ("the project", "group dev")."""

    requirement: Requirement
    parent: str


class Policy(NamedTuple):
    """What the settings say of the choice between candidates."""

    prereleases: bool | frozenset[str] = False
    resolution: str = "highest"
    constraints: tuple[Requirement, ...] = ()
    overrides: tuple[Requirement, ...] = ()
    excludes: frozenset[str] = frozenset()
    pins: Mapping[str, str] = {}
    """Versions that are not changed, by name; a pre-release or a yanked release is kept as well."""
    nearest: bool = False
    """Whether a version that can't be preferred is replaced by the one that is closest to it, not by the newest."""

    thorough: bool = True
    """Whether versions that were not tried are read before "no", as one could admit a pre-release or a yanked release."""
    fewest: bool = True
    """Whether all targets share versions where possible; otherwise only those with the same Python do."""

    def admits_prereleases(self, name: str) -> bool:
        """Whether pre-releases of *name* count like any other release."""
        return self.prereleases if isinstance(self.prereleases, bool) else name in self.prereleases


class Dependency:
    """A requirement on one identifier, narrowed to a bit mask of its project's versions."""

    __slots__ = ("exact", "extra", "identifier", "mask", "name", "parent", "requirement")

    def __init__(self, requirement: Requirement, extra: str = "", *, parent: str = "") -> None:
        self.requirement = requirement
        self.name = requirement.name
        self.extra = extra
        self.identifier = f"{requirement.name}[{extra}]" if extra else requirement.name
        self.exact = _is_exact(requirement.specifier)
        self.parent = parent
        self.mask = EVERY_VERSION

    def __repr__(self) -> str:
        return f"Dependency({self.requirement.without_marker!r}, {self.extra!r})"


class Candidate:
    """One version of a project, or of one of its extras, with the wheel that serves the target."""

    __slots__ = ("extra", "identifier", "index", "name", "wheel")

    def __init__(self, identifier: str, extra: str, index: int, wheel: Artifact) -> None:
        self.identifier = identifier
        self.name = wheel.name
        self.extra = extra
        self.index = index
        self.wheel = wheel

    def __repr__(self) -> str:
        return f"Candidate({self.identifier!r}, {self.wheel.version!r})"


class Unusable(Exception):
    """A candidate turned out to have metadata that can't be used."""

    def __init__(self, candidate: Candidate) -> None:
        super().__init__(repr(candidate))
        self.candidate = candidate


def _is_exact(specifier: str) -> bool:
    return any(clause.startswith("==") and not clause.endswith(".*") for clause in specifier.split(","))


class Project:
    """What is known of one project during a resolution: its page and the best wheel of each version looked at."""

    __slots__ = ("_best", "_candidates", "_compatibility", "missing", "page", "tried", "unusable", "unusable_extras")

    def __init__(self, page: ProjectPage, compatibility: Compatibility, *, missing: str = "") -> None:
        self.page = page
        self.missing = missing
        self.unusable: dict[int, str] = {}
        # Versions with an extra that can't be used; without it they can.
        self.unusable_extras: dict[int, str] = {}
        self.tried: set[int] = set()
        self._compatibility = compatibility
        self._best: dict[tuple[int, bool], Artifact | None] = {}
        self._candidates: dict[tuple[str, int], Candidate] = {}

    def best(self, index: int, *, yanked: bool) -> Artifact | None:
        """The best wheel of a version for the target, if it has one that can be used."""
        if index in self.unusable:
            return None
        if (index, yanked) not in self._best:
            self._best[index, yanked] = self._compatibility.best(self.page, index, yanked=yanked)
        return self._best[index, yanked]

    def rejected(self) -> list[int]:
        """The versions that were considered and have no file for the target."""
        return [index for (index, yanked), wheel in self._best.items() if wheel is None and not yanked]

    def candidate(self, extra: str, index: int, wheel: Artifact) -> Candidate:
        """The candidate for a version of the project or of one of its extras, made once."""
        candidate = self._candidates.get((extra, index))
        if candidate is None:
            identifier = f"{self.page.name}[{extra}]" if extra else self.page.name
            candidate = self._candidates[extra, index] = Candidate(identifier, extra, index, wheel)
        return candidate


class Provider:
    """The candidates for one target and their dependencies."""

    def __init__(
        self,
        index: WheelIndex,
        compatibility: Compatibility,
        *,
        preferences: Mapping[str, str],
        policy: Policy = Policy(),  # noqa: B008  immutable
    ) -> None:
        self.index = index
        self.compatibility = compatibility
        self.environment = Environment(compatibility.target.environment)
        self._preferences = preferences
        self._policy = policy
        self._projects: dict[str, Project] = {}
        self._requirements: dict[tuple[str, int], tuple[Requirement, ...]] = {}
        self._metadata: dict[tuple[str, int], CoreMetadata] = {}
        self._missing_extras: set[tuple[str, int]] = set()
        self._by_distance: dict[str, list[int]] = {}
        self._constraints: dict[str, list[str]] = {}
        for constraint in policy.constraints:
            if self.environment.admits(constraint.marker):
                self._constraints.setdefault(constraint.name, []).append(constraint.specifier)
        self._overrides = {r.name: r for r in policy.overrides if self.environment.admits(r.marker)}
        self._direct: set[str] = set()

    def expand(self, requirement: Requirement, *, parent: str = "") -> Iterator[Dependency]:
        """The dependencies that a requirement makes: one on the project, one more on each extra."""
        if requirement.name in self._policy.excludes:
            return
        override = self._overrides.get(requirement.name)
        if override is not None:
            requirement = override._replace(extras=requirement.extras)
        yield Dependency(requirement, parent=parent)
        for extra in requirement.extras:
            yield Dependency(requirement, extra, parent=parent)

    def roots(self, roots: Iterable[Root]) -> dict[str, list[Dependency]]:
        """The dependencies of the project itself on this target, by their source."""
        by_parent: dict[str, list[Dependency]] = {}
        for root in roots:
            dependencies = by_parent.setdefault(root.parent, [])
            if self.environment.admits(root.requirement.marker):
                self._direct.add(root.requirement.name)
                dependencies += self.expand(root.requirement, parent=root.parent)
        return by_parent

    def project(self, name: str) -> Project:
        """What is known of a project; one that is not on the index has no versions, and ``missing`` says so."""
        project = self._projects.get(name)
        if project is None:
            try:
                project = Project(self.index.project(name), self.compatibility)
            except ProjectNotFound as error:
                project = Project(ProjectPage.empty(name), self.compatibility, missing=error.message)
            self._projects[name] = project
        return project

    def seen(self) -> list[Project]:
        """Every project whose page was needed."""
        return list(self._projects.values())

    def candidates(self, name: str, dependencies: Sequence[Dependency]) -> Iterator[Candidate]:
        """The candidates of a project that all *dependencies* admit, best first, made as they are needed."""
        project = self.project(name)
        mask, yanked = self.admitted(project, dependencies)
        for index in self.ordered(project, mask):
            wheel = project.best(index, yanked=yanked)
            if wheel is not None:
                yield project.candidate("", index, wheel)

    def narrow(self, dependency: Dependency) -> int:
        """The mask of the versions that *dependency* and the constraints contain, computed once."""
        if dependency.mask == EVERY_VERSION:
            page, requirement = self.project(dependency.name).page, dependency.requirement
            dependency.mask = page.at(requirement.url) if requirement.url else page.versions.mask(requirement.specifier)
            for specifier in self.constraints_on(dependency.name):
                dependency.mask &= page.versions.mask(specifier)
            if dependency.name in self._policy.pins:
                pinned = page.versions.index_of(self._policy.pins[dependency.name])
                dependency.mask &= 0 if pinned is None else 1 << pinned
        return dependency.mask

    def constraints_on(self, name: str) -> Sequence[str]:
        """The specifiers that the settings add to each requirement on a project."""
        return self._constraints.get(name, ())

    def admitted(self, project: Project, dependencies: Sequence[Dependency]) -> tuple[int, bool]:
        """The versions that *dependencies* admit together (PEP 440), and whether they admit yanked files (PEP 592)."""
        page = project.page
        mask = page.versions.all if page.status != "quarantined" else 0
        for dependency in dependencies:
            mask &= self.narrow(dependency)
        # PEP 592: a yanked file may serve a requirement that pins it with ==.
        yanked = page.name in self._policy.pins or any(dependency.exact for dependency in dependencies)
        finals = mask & ~page.versions.prereleases
        # PEP 440: pre-releases count where there is nothing else.
        if finals == mask or self.admits_prereleases(page.name, dependencies):
            return mask, yanked
        has_final = any(project.best(index, yanked=yanked) for index in self.ordered(project, finals))
        return finals if has_final else mask, yanked

    def admits_prereleases(self, name: str, dependencies: Iterable[Dependency]) -> bool:
        """Whether the settings or a specifier admit pre-releases of *name* beside final releases."""
        if self._policy.admits_prereleases(name) or name in self._policy.pins:
            return True
        return any(versions.names_prerelease(dependency.requirement.specifier) for dependency in dependencies)

    def ordered(self, project: Project, mask: int) -> Iterator[int]:
        """The versions of *mask*: the preferred one first, then by the policy."""
        name = project.page.name
        preferred = self._preferred(project.page)
        if preferred is not None and mask >> preferred & 1:
            yield preferred
            mask ^= 1 << preferred
        if self._policy.nearest and name in self._preferences:
            yield from (index for index in self._nearest(project.page) if mask >> index & 1)
            return
        lowest = self._policy.resolution == "lowest" or (
            self._policy.resolution == "lowest-direct" and name in self._direct
        )
        while mask:
            index = (mask & -mask if lowest else mask).bit_length() - 1
            yield index
            mask ^= 1 << index

    def _preferred(self, page: ProjectPage) -> int | None:
        version = self._preferences.get(page.name)
        return None if version is None else page.versions.index_of(version)

    def _nearest(self, page: ProjectPage) -> list[int]:
        """All versions of a project, the one closest to the preferred version first, in this order only computed once."""
        order = self._by_distance.get(page.name)
        if order is None:
            order = self._by_distance[page.name] = by_distance(page.versions.texts, self._preferences[page.name])
        return order

    def dependencies_of(self, candidate: Candidate) -> Iterator[Dependency]:
        """What the candidate's metadata requires on this target; raises Unusable if the metadata can't be used."""
        project = self.project(candidate.name)
        self._look_ahead(project, candidate)
        parent = f"{candidate.identifier} {candidate.wheel.version}"
        for requirement in self._requires(project, candidate):
            yield from self.expand(requirement, parent=parent)

    def warnings_about(self, candidate: Candidate) -> Iterator[str]:
        """What the user should know of a candidate that is locked."""
        wheel = candidate.wheel
        if wheel.yanked is not None:
            yield f"{wheel.name} {wheel.version} is yanked{f': {wheel.yanked}' if wheel.yanked else ''}"
        if (candidate.identifier, candidate.index) in self._missing_extras:
            yield f"{wheel.name} {wheel.version} has no extra {candidate.extra!r}"
        for text in self._kernel_requirements(candidate):
            yield f"{wheel.name} {wheel.version} requires {text!r}; targets have no kernel version, so it is taken as empty"
        if not candidate.extra and self._policy.resolution == "highest":
            yield from self._skipped_above(candidate)

    def _kernel_requirements(self, candidate: Candidate) -> list[str]:
        """The requirements of *candidate* whose markers depend on the kernel."""
        requirements: list[Requirement] = []
        for text in self._metadata[candidate.name, candidate.index].requires_dist:
            if "platform_" not in text or not kernel_variable(text):
                continue
            marker = text.partition(";")[2]
            if kernel_variable(marker) and (candidate.extra if "extra" in marker else not candidate.extra):
                requirements += by_extra((text,)).get(candidate.extra, ())
        return [str(requirement) for requirement in requirements]

    def _skipped_above(self, candidate: Candidate) -> Iterator[str]:
        """The newer releases that were not selected because their metadata is invalid."""
        project = self.project(candidate.name)
        reasons = {index: reason for index, reason in project.unusable.items() if index > candidate.index}
        for index in project.rejected():
            if index > candidate.index and index not in reasons:
                rejection = next(iter(self.compatibility.rejections(project.page, index)), None)
                if rejection is not None and rejection.reason is Reason.UNUSABLE:
                    reasons[index] = rejection.detail
        if reasons:
            newest = max(reasons)
            more = f" (and {len(reasons) - 1} more releases)" if len(reasons) > 1 else ""
            yield f"{candidate.name} {project.page.versions.texts[newest]} was skipped{more}: {reasons[newest]}"

    def _look_ahead(self, project: Project, candidate: Candidate) -> None:
        """Prefetch more of the next versions' metadata the more versions of the project were tried."""
        project.tried.add(candidate.index)
        count = len(project.tried)
        if count > 1:
            self._prefetch_below(project, candidate.index, min(2 * count, FARTHEST_AHEAD))

    def _prefetch_below(self, project: Project, index: int, count: int) -> None:
        below = (i for i in range(index - 1, -1, -1) if i not in project.tried)
        wheels = (project.best(i, yanked=False) for i in islice(below, 2 * count))
        self.index.prefetch(islice((wheel for wheel in wheels if wheel is not None), count))

    def _requires(self, project: Project, candidate: Candidate) -> tuple[Requirement, ...]:
        key = (candidate.identifier, candidate.index)
        requirements = self._requirements.get(key)
        if requirements is None:
            reasons = project.unusable_extras if candidate.extra else project.unusable
            try:
                if candidate.extra:
                    self._requires(project, project.candidate("", candidate.index, candidate.wheel))
                requirements = self._read_requires(candidate)
            except (ValueError, InvalidRequirement) as error:
                reasons[candidate.index] = str(error)
                raise Unusable(candidate) from error
            self._requirements[key] = requirements
        return requirements

    def _read_requires(self, candidate: Candidate) -> tuple[Requirement, ...]:
        wheel = candidate.wheel
        if candidate.extra:
            # Its project's were read before, and are sound.
            return self._read_extra(candidate)
        metadata = self._metadata[candidate.name, candidate.index] = self.index.metadata(wheel)
        problem = check_metadata(metadata, wheel)
        if problem:
            raise ValueError(problem)
        python = self.compatibility.target.python.full
        if metadata.requires_python and not versions.contains(lenient_specifier(metadata.requires_python), python):
            raise ValueError(f"its METADATA needs Python {metadata.requires_python}")
        return tuple(r for r in by_extra(metadata.requires_dist)[""] if self._admits(r))

    def _read_extra(self, candidate: Candidate) -> tuple[Requirement, ...]:
        metadata = self._metadata[candidate.name, candidate.index]
        if candidate.extra not in _names_of_extras(metadata.provides_extra):
            self._missing_extras.add((candidate.identifier, candidate.index))
        requirements = by_extra(metadata.requires_dist).get(candidate.extra, ())
        return tuple(r for r in requirements if self._admits(r, candidate.extra) and not self._admits(r))

    def _admits(self, requirement: Requirement, extra: str = "") -> bool:
        admitted = self.environment.admits(requirement.marker, extra)
        if admitted and requirement.url:
            raise ValueError(f"it requires {requirement.without_marker}, an address outside the index")
        return admitted


def by_distance(texts: Sequence[str], version: str) -> list[int]:
    """The positions of *texts*, sorted versions, the closest to *version* first.

    The same minor release is closer than the same major release, and then the fewest releases between; of two that are
    equally close, the older one comes first.
    """
    keys = [versions.key(text) for text in texts]
    wanted = versions.key(version)
    position = bisect_left(keys, wanted)

    def distance(index: int) -> tuple[int, int, bool]:
        between = index - position if index >= position else position - 1 - index
        return -_common_parts(keys[index], wanted), between, index >= position

    return sorted(range(len(texts)), key=distance)


def _common_parts(one: versions.Key, other: versions.Key) -> int:
    """How many of the epoch, the major and the minor number are equal."""
    parts, others = ((key[0], *key[1], 0, 0)[:3] for key in (one, other))
    return next((count for count in range(3) if parts[count] != others[count]), 3)


@cache
def by_extra(requires_dist: tuple[str, ...]) -> Mapping[str, Sequence[Requirement]]:
    """The requirements that some target may have to meet without an extra (under ""), and with each extra."""
    by_extra: dict[str, list[Requirement]] = {"": []}
    for requirement in map(parse_lenient, requires_dist):
        for extra in _extras_of(requirement.marker):
            requirements = by_extra.setdefault(extra, [])
            if not extra or requirement not in requirements[-1:]:
                requirements.append(requirement)
    return by_extra


@cache
def _names_of_extras(provides_extra: tuple[str, ...]) -> frozenset[str]:
    return frozenset(parse(extra).name for extra in provides_extra)


@cache
def _extras_of(marker: str) -> Sequence[str]:
    """The extras that *marker* names, which are few for many requirements, and "" if it may be true without one."""
    # Without an extra in the marker, the extra adds nothing.
    named = _QUOTED.findall(marker) if "extra" in marker else ()
    extras = tuple(dict.fromkeys(normalize_name(name[1:-1]) for name in named))
    return ("", *extras) if may_admit(marker, "") else extras
