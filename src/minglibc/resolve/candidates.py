"""What one target may choose from: requirements narrowed to versions, the wheels that serve them, and what those ask for."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple, Protocol

from minglibc.errors import ProjectNotFound
from minglibc.model import versions
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility
from minglibc.model.core_metadata import CoreMetadata, check_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, Requirement, may_admit, parse

EVERY_VERSION = -1
FARTHEST_AHEAD = 16


class WheelIndex(Protocol):
    """Where the resolver asks; every call may block, and raises IndexUnreachable when the index could not be asked."""

    def project(self, name: str) -> ProjectPage:
        """The page of a project by its normalized name; raises ProjectNotFound."""
        ...

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it can't be read."""
        ...

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """A hint that the metadata of *wheels* may be asked for soon."""
        ...


class Root(NamedTuple):
    """A requirement of the project itself, and what in pyproject.toml asks for it ("the project", "group dev")."""

    requirement: Requirement
    parent: str


class Policy(NamedTuple):
    """What the settings say of the choice between candidates."""

    prereleases: bool | frozenset[str] = False
    resolution: str = "highest"
    constraints: tuple[Requirement, ...] = ()
    overrides: tuple[Requirement, ...] = ()
    excludes: frozenset[str] = frozenset()

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
    return specifier.startswith("==") and "," not in specifier and not specifier.endswith(".*")


class Project:
    """What is known of one project during a resolution: its page and the best wheel of each version looked at."""

    __slots__ = ("_best", "_compatibility", "candidates", "missing", "page", "tried", "unusable")

    def __init__(self, page: ProjectPage, compatibility: Compatibility, *, missing: str = "") -> None:
        self.page = page
        self.missing = missing
        self.unusable: dict[int, str] = {}
        self.candidates: dict[tuple[str, int], Candidate] = {}
        self.tried: set[int] = set()
        self._compatibility = compatibility
        self._best: dict[tuple[int, bool], Artifact | None] = {}

    def best(self, index: int, *, yanked: bool) -> Artifact | None:
        """The best wheel of a version for the target, if it has one that can be used."""
        if index in self.unusable:
            return None
        if (index, yanked) not in self._best:
            self._best[index, yanked] = self._compatibility.best(self.page, index, yanked=yanked)
        return self._best[index, yanked]


class Provider:
    """The candidates for one target, and what each of them asks for."""

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
        self.warnings: dict[str, None] = {}
        self._preferences = preferences
        self._policy = policy
        self._projects: dict[str, Project] = {}
        self._requirements: dict[tuple[str, int, str], tuple[Requirement, ...]] = {}
        self._constraints: dict[str, list[str]] = {}
        for constraint in policy.constraints:
            if self.environment.admits(constraint.marker):
                self._constraints.setdefault(constraint.name, []).append(constraint.specifier)
        self._overrides = {r.name: r for r in policy.overrides if self.environment.admits(r.marker)}
        self._direct: set[str] = set()

    def asks(self, requirement: Requirement, *, parent: str = "") -> Iterator[Dependency]:
        """What a requirement comes to: one ask for the project, one more for each extra."""
        if requirement.name in self._policy.excludes:
            return
        override = self._overrides.get(requirement.name)
        if override is not None:
            requirement = override._replace(extras=requirement.extras)
        yield Dependency(requirement, parent=parent)
        for extra in requirement.extras:
            yield Dependency(requirement, extra, parent=parent)

    def roots(self, roots: Iterable[Root]) -> dict[str, list[Dependency]]:
        """What the project itself asks of this target, by who asks."""
        asked: dict[str, list[Dependency]] = {}
        for root in roots:
            asked.setdefault(root.parent, [])
            if self.environment.admits(root.requirement.marker):
                self._direct.add(root.requirement.name)
                asked[root.parent] += self.asks(root.requirement, parent=root.parent)
        return asked

    def project(self, name: str) -> Project:
        """What is known of a project; one that the index doesn't know has no versions, and ``missing`` says so."""
        found = self._projects.get(name)
        if found is None:
            try:
                found = Project(self.index.project(name), self.compatibility)
            except ProjectNotFound as error:
                found = Project(ProjectPage.empty(name), self.compatibility, missing=error.message)
            self._projects[name] = found
        return found

    def seen(self) -> list[Project]:
        """Every project that was looked at."""
        return list(self._projects.values())

    def matches(
        self, identifier: str, asks: Sequence[Dependency], *, excluded: Collection[int] = ()
    ) -> Iterator[Candidate]:
        """The candidates of *identifier* that every ask contains, best first, made as they are looked at."""
        name, _, extra = identifier.removesuffix("]").partition("[")
        project = self.project(name)
        mask = project.page.versions.all
        for ask in asks:
            mask &= self.narrow(ask)
        if mask and project.page.status != "quarantined":
            yield from self._candidates(project, identifier, extra, self._order(project, asks, mask), excluded)

    def narrow(self, ask: Dependency) -> int:
        """The mask of the versions that *ask* contains, worked out once."""
        if ask.mask == EVERY_VERSION:
            page = self.project(ask.name).page
            found = page.versions
            ask.mask = page.at(ask.requirement.url) if ask.requirement.url else found.mask(ask.requirement.specifier)
            for specifier in self._constraints.get(ask.name, ()):
                ask.mask &= found.mask(specifier)
        return ask.mask

    def _order(self, project: Project, asks: Sequence[Dependency], mask: int) -> Iterator[tuple[int, bool]]:
        """(version, whether a yanked file will do), best first: the preferred version, then by the policy."""
        page = project.page
        # PEP 592: a yanked file may serve a requirement that pins it with ==.
        yanked = any(ask.exact for ask in asks)
        preferred = self._preferred(page)
        if not self._admits_prereleases(page.name, asks):
            finals = mask & ~page.versions.prereleases
            # PEP 440: pre-releases count where there is nothing else.
            if finals == mask or self._has_any(project, finals, preferred, yanked=yanked):
                mask = finals
        if preferred is not None and mask >> preferred & 1:
            yield preferred, True
            mask ^= 1 << preferred
        for index in self._sequence(page.name, mask):
            yield index, yanked

    def _has_any(self, project: Project, mask: int, preferred: int | None, *, yanked: bool) -> bool:
        """Whether a version of *mask* can be used; the preferred one, which mostly can, is looked at first."""
        if preferred is not None and mask >> preferred & 1 and project.best(preferred, yanked=yanked):
            return True
        return any(project.best(index, yanked=yanked) for index in self._sequence(project.page.name, mask))

    def _admits_prereleases(self, name: str, asks: Iterable[Dependency]) -> bool:
        if self._policy.admits_prereleases(name):
            return True
        return any(versions.names_prerelease(ask.requirement.specifier) for ask in asks)

    def _preferred(self, page: ProjectPage) -> int | None:
        version = self._preferences.get(page.name)
        if version is None:
            return None
        return page.versions.index_of(version)

    def _sequence(self, name: str, mask: int) -> Iterator[int]:
        lowest = self._policy.resolution == "lowest" or (
            self._policy.resolution == "lowest-direct" and name in self._direct
        )
        while mask:
            index = (mask & -mask if lowest else mask).bit_length() - 1
            yield index
            mask ^= 1 << index

    def _candidates(
        self,
        project: Project,
        identifier: str,
        extra: str,
        order: Iterable[tuple[int, bool]],
        excluded: Collection[int],
    ) -> Iterator[Candidate]:
        for index, yanked in order:
            if index in excluded:
                continue
            known = project.candidates.get((identifier, index))
            if known is None:
                wheel = project.best(index, yanked=yanked)
                if wheel is None:
                    continue
                known = project.candidates[identifier, index] = Candidate(identifier, extra, index, wheel)
            elif index in project.unusable or (known.wheel.yanked is not None and not yanked):
                continue
            yield known

    def get_dependencies(self, candidate: Candidate) -> Iterable[Dependency]:
        """What the candidate's metadata asks of this target; raises Unusable, where it can't be used, now and ever after."""
        project = self.project(candidate.name)
        self._look_ahead(project, candidate)
        parent = f"{candidate.identifier} {candidate.wheel.version}"
        if candidate.extra:
            base = Dependency(Requirement(candidate.name, specifier=f"=={candidate.wheel.version}"), parent=parent)
            base.mask = 1 << candidate.index
            yield base
        for requirement in self._requires(project, candidate):
            yield from self.asks(requirement, parent=parent)

    def _look_ahead(self, project: Project, candidate: Candidate) -> None:
        """The more of a project's versions have been tried, the more of the next ones are asked for at once."""
        project.tried.add(candidate.index)
        count = len(project.tried)
        if count < 2:
            return
        self.ask_ahead(project, candidate.index, min(2 * count, FARTHEST_AHEAD))

    def ask_ahead(self, project: Project, index: int, count: int) -> None:
        """Dependency for the metadata of the *count* candidates below a version, which may be tried next."""
        below = (i for i in range(index - 1, -1, -1) if i not in project.tried)
        wheels = (project.best(i, yanked=False) for i in islice(below, 2 * count))
        self.index.prefetch(islice((wheel for wheel in wheels if wheel is not None), count))

    def _requires(self, project: Project, candidate: Candidate) -> tuple[Requirement, ...]:
        asked = (candidate.name, candidate.index, candidate.extra)
        known = self._requirements.get(asked)
        if known is None:
            try:
                known = self._read_requires(candidate)
            except (ValueError, InvalidRequirement) as error:
                project.unusable[candidate.index] = str(error)
                raise Unusable(candidate) from error
            self._requirements[asked] = known
        return known

    def _read_requires(self, candidate: Candidate) -> tuple[Requirement, ...]:
        wheel = candidate.wheel
        metadata = self.index.metadata(wheel)
        wrong = check_metadata(metadata, wheel)
        if wrong:
            raise ValueError(wrong)
        python = self.compatibility.target.python.full
        if metadata.requires_python and not versions.contains(metadata.requires_python, python):
            raise ValueError(f"its METADATA needs Python {metadata.requires_python}")
        if wheel.yanked is not None:
            self.warnings[f"{wheel.name} {wheel.version} is yanked{f': {wheel.yanked}' if wheel.yanked else ''}"] = None
        requirements = _conceivable(tuple(metadata.requires_dist), candidate.extra)
        if not candidate.extra:
            return tuple(r for r in requirements if self._admits(r))
        if candidate.extra not in {parse(extra).name for extra in metadata.provides_extra}:
            self.warnings[f"{wheel.name} {wheel.version} has no extra {candidate.extra!r}"] = None
        return tuple(r for r in requirements if self._admits(r, candidate.extra) and not self._admits(r))

    def _admits(self, requirement: Requirement, extra: str = "") -> bool:
        admitted = self.environment.admits(requirement.marker, extra)
        if admitted and requirement.url:
            raise ValueError(f"it requires {requirement.without_marker}, an address outside the index")
        return admitted


@cache
def _conceivable(requires_dist: tuple[str, ...], extra: str) -> tuple[Requirement, ...]:
    """The requirements that some target may have to meet: most of the others are those of extras that nobody asks for."""
    return tuple(r for r in map(parse, requires_dist) if may_admit(r.marker, extra))


def dependencies_on(identifier: str, asked: Mapping[str, Iterable[Dependency]]) -> list[Dependency]:
    """The asks of *asked* that *identifier* has to meet: its own, and for an extra its project's too."""
    asks = list(asked[identifier])
    name, bracket, _ = identifier.partition("[")
    if bracket and name in asked:
        asks.extend(asked[name])
    return asks
