"""One target's resolution by resolvelib: requirements and an index in, a wheel for each project out."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from operator import and_
from typing import Any, NamedTuple, Protocol

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver
from resolvelib.resolvers import Criterion, RequirementsConflicted
from resolvelib.structs import RequirementInformation

from minglibc import versions
from minglibc.errors import ProjectNotFound
from minglibc.requirements import Environment, InvalidRequirement, Requirement, parse
from minglibc.targets import Target
from minglibc.wheels import CoreMetadata, Judge, ProjectPage, Wheel, check_metadata

MAX_ROUNDS = 200_000
_EVERY_VERSION = -1
_LAST = (2,)
_FARTHEST_AHEAD = 16


class WheelIndex(Protocol):
    """Where the resolver asks; every call may block, and raises IndexUnreachable when the index could not be asked."""

    def project(self, name: str) -> ProjectPage:
        """The page of a project by its normalized name; raises ProjectNotFound."""
        ...

    def metadata(self, wheel: Wheel) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it can't be read."""
        ...

    def prefetch(self, wheels: Iterable[Wheel]) -> None:
        """A hint that the metadata of *wheels* may be asked for soon."""
        ...


class Root(NamedTuple):
    """A requirement of the project itself, and what in pyproject.toml asks for it ("the project", "group dev")."""

    requirement: Requirement
    asked_by: str


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


class Demand(NamedTuple):
    """A requirement in force in an answer, and who makes it: "the project", "extra x", "group dev" or "name 1.0"."""

    asked_by: str
    requirement: Requirement


class Resolution(NamedTuple):
    """The answer for one target; identifiers are ``name`` or ``name[extra]``, *demands* are by project name."""

    target: Target
    wheels: Mapping[str, Wheel]
    dependencies: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, tuple[str, ...]]
    demands: Mapping[str, tuple[Demand, ...]]
    warnings: tuple[str, ...] = ()


class Unresolvable(Exception):
    """resolvelib found no answer: the requirements in conflict, with the provider that knows the rest."""

    def __init__(self, causes: Sequence["Cause"], provider: "Provider", *, gave_up: bool = False) -> None:
        super().__init__("no resolution")
        self.causes = causes
        self.provider = provider
        self.gave_up = gave_up


class Ask:
    """A requirement on one identifier, narrowed to a bit mask of its project's versions."""

    __slots__ = ("asked_by", "exact", "extra", "identifier", "mask", "name", "requirement")

    def __init__(self, requirement: Requirement, extra: str = "", *, asked_by: str = "") -> None:
        self.requirement = requirement
        self.name = requirement.name
        self.extra = extra
        self.identifier = f"{requirement.name}[{extra}]" if extra else requirement.name
        self.exact = _is_exact(requirement.specifier)
        self.asked_by = asked_by
        self.mask = _EVERY_VERSION

    def __repr__(self) -> str:
        return f"Ask({self.requirement.without_marker!r}, {self.extra!r})"


class Candidate:
    """One version of a project, or of one of its extras, with the wheel that serves the target."""

    __slots__ = ("extra", "identifier", "index", "name", "wheel")

    def __init__(self, identifier: str, extra: str, index: int, wheel: Wheel) -> None:
        self.identifier = identifier
        self.name = wheel.name
        self.extra = extra
        self.index = index
        self.wheel = wheel

    def __repr__(self) -> str:
        return f"Candidate({self.identifier!r}, {self.wheel.version!r})"


Cause = RequirementInformation[Ask, Candidate]


def _is_exact(specifier: str) -> bool:
    return specifier.startswith("==") and "," not in specifier and not specifier.endswith(".*")


class Project:
    """What is known of one project during a resolution: its page and the best wheel of each version looked at."""

    __slots__ = ("_best", "_judge", "candidates", "missing", "page", "tried", "unusable")

    def __init__(self, page: ProjectPage, judge: Judge, *, missing: str = "") -> None:
        self.page = page
        self.missing = missing
        self.unusable: dict[int, str] = {}
        self.candidates: dict[tuple[str, int], Candidate] = {}
        self.tried: set[int] = set()
        self._judge = judge
        self._best: dict[tuple[int, bool], Wheel | None] = {}

    def best(self, index: int, *, yanked: bool) -> Wheel | None:
        """The best wheel of a version for the target, if it has one that can be used."""
        if index in self.unusable:
            return None
        if (index, yanked) not in self._best:
            self._best[index, yanked] = self._judge.best(self.page, index, yanked=yanked)
        return self._best[index, yanked]


class Provider(AbstractProvider[Ask, Candidate, str]):
    """resolvelib's questions, answered for one target."""

    def __init__(
        self,
        index: WheelIndex,
        judge: Judge,
        *,
        preferences: Mapping[str, str],
        policy: Policy = Policy(),  # noqa: B008  immutable
    ) -> None:
        self.index = index
        self.judge = judge
        self.environment = Environment(judge.target.environment)
        self.warnings: dict[str, None] = {}
        self._preferences = preferences
        self._policy = policy
        self._projects: dict[str, Project] = {}
        self._requirements: dict[tuple[str, int, str], tuple[Requirement, ...]] = {}
        self._conflicts: dict[str, int] = {}
        self._last_cause: Cause | None = None
        self._yielding: dict[str, int] = {}
        self._met: dict[str, int] = {}
        self._constraints: dict[str, list[str]] = {}
        for constraint in policy.constraints:
            if self.environment.admits(constraint.marker):
                self._constraints.setdefault(constraint.name, []).append(constraint.specifier)
        self._overrides = {r.name: r for r in policy.overrides if self.environment.admits(r.marker)}
        self._direct: set[str] = set()

    def asks(self, requirement: Requirement, *, asked_by: str = "") -> Iterator[Ask]:
        """A requirement as resolvelib sees it: one ask for the project, one more for each extra."""
        if requirement.name in self._policy.excludes:
            return
        override = self._overrides.get(requirement.name)
        if override is not None:
            requirement = override._replace(extras=requirement.extras)
        yield Ask(requirement, asked_by=asked_by)
        for extra in requirement.extras:
            yield Ask(requirement, extra, asked_by=asked_by)

    def roots(self, roots: Iterable[Root]) -> dict[str, list[Ask]]:
        """What the project itself asks of this target, by who asks."""
        asked: dict[str, list[Ask]] = {}
        for root in roots:
            asked.setdefault(root.asked_by, [])
            if self.environment.admits(root.requirement.marker):
                self._direct.add(root.requirement.name)
                asked[root.asked_by] += self.asks(root.requirement, asked_by=root.asked_by)
        return asked

    def order_quarrels(self, asked: Iterable[Ask]) -> None:
        """Where the newest of what is asked for can't agree on a third project, who wants that one oldest comes first.

        Older releases want older things, as a rule: the others come down and meet it, and it would never meet them.
        """
        wanted: dict[str, dict[str, int]] = {}
        matches = [first_match(self, ask.identifier, {ask.identifier: [ask]}) for ask in asked]
        newest = [candidate for candidate in matches if candidate is not None]
        for candidate in newest:
            for dependency in self._usable_dependencies(candidate):
                wishes = wanted.setdefault(dependency.name, {})
                wishes[candidate.name] = self.narrow(dependency) & wishes.get(candidate.name, -1)
        for wishes in wanted.values():
            if not reduce(and_, wishes.values()):
                for place, name in enumerate(sorted(wishes, key=wishes.__getitem__)):
                    self._yielding[name] = max(place, self._yielding.get(name, 0))
        for candidate in newest:
            if self._yielding.get(candidate.name):
                self._ask_ahead(self.project(candidate.name), candidate.index, _FARTHEST_AHEAD)

    def _usable_dependencies(self, candidate: Candidate) -> list[Ask]:
        try:
            return list(self.get_dependencies(candidate))
        except RequirementsConflicted:
            return []

    def project(self, name: str) -> Project:
        """What is known of a project; one that the index doesn't know has no versions, and ``missing`` says so."""
        found = self._projects.get(name)
        if found is None:
            try:
                found = Project(self.index.project(name), self.judge)
            except ProjectNotFound as error:
                found = Project(ProjectPage.empty(name), self.judge, missing=error.message)
            self._projects[name] = found
        return found

    def seen(self) -> list[Project]:
        """Every project that was looked at."""
        return list(self._projects.values())

    def most_conflicting(self, count: int) -> list[str]:
        """The projects that conflicted most often."""
        return sorted(self._conflicts, key=lambda name: -self._conflicts[name])[:count]

    # What resolvelib calls, always by keyword.

    def identify(self, requirement_or_candidate: Ask | Candidate) -> str:
        """The identifier that both an ask and a candidate carry."""
        return requirement_or_candidate.identifier

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[str],
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[Cause]],
        backtrack_causes: Sequence[Cause],
    ) -> Iterable[str]:
        """What has just conflicted is decided first: a wrong guess shows at once, not a hundred pins later."""
        names = identifiers if isinstance(identifiers, list) else list(identifiers)
        causes = {cause.requirement.identifier for cause in backtrack_causes}
        causes.update(cause.parent.identifier for cause in backtrack_causes if cause.parent is not None)
        self._count_conflicts(backtrack_causes)
        return [name for name in names if name in causes] or names

    def _count_conflicts(self, causes: Sequence[Cause]) -> None:
        """Who is in the way most: a project none of whose versions would do has as many causes as versions."""
        if causes and causes[0] is not self._last_cause:
            self._last_cause = causes[0]
            for cause in causes:
                self._conflicts[cause.requirement.name] = self._conflicts.get(cause.requirement.name, 0) + 1
                if cause.parent is not None:
                    self._conflicts[cause.parent.name] = self._conflicts.get(cause.parent.name, 0) + 1

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[Cause]],
        backtrack_causes: Sequence[Cause],
    ) -> Any:
        """What leaves no choice first, then what conflicted most, what others must yield to, what is narrowed, what was met first."""
        asks = [cause.requirement for cause in information[identifier]]
        if not asks:
            return _LAST  # whoever asked for it was taken back
        return (
            not any(ask.exact for ask in asks),
            -self._conflicts.get(asks[0].name, 0),
            self._yielding.get(asks[0].name, 0),
            not any("<" in ask.requirement.specifier or "~=" in ask.requirement.specifier for ask in asks),
            self._met.setdefault(identifier, len(self._met)),
        )

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Ask]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterable[Candidate]] | Sequence[Candidate]:
        """The candidates that every ask contains, best first, made as they are looked at."""
        asks = list(requirements[identifier])
        name, _, extra = identifier.removesuffix("]").partition("[")
        if extra and name in requirements:
            asks.extend(requirements[name])
        project = self.project(name)
        mask = project.page.versions.all
        for ask in asks:
            mask &= self.narrow(ask)
        if not mask or project.page.status == "quarantined":
            return ()
        excluded = {candidate.index for candidate in incompatibilities[identifier]}
        return lambda: self._candidates(project, identifier, extra, self._order(project, asks, mask), excluded)

    def narrow(self, ask: Ask) -> int:
        """The mask of the versions that *ask* contains, worked out once."""
        if ask.mask == _EVERY_VERSION:
            page = self.project(ask.name).page
            found = page.versions
            ask.mask = page.at(ask.requirement.url) if ask.requirement.url else found.mask(ask.requirement.specifier)
            for specifier in self._constraints.get(ask.name, ()):
                ask.mask &= found.mask(specifier)
        return ask.mask

    def _order(self, project: Project, asks: Sequence[Ask], mask: int) -> Iterator[tuple[int, bool]]:
        """(version, whether a yanked file will do), best first: the preferred version, then by the policy."""
        page = project.page
        # PEP 592: a yanked file may serve a requirement that pins it with ==.
        yanked = any(ask.exact for ask in asks)
        if not self._admits_prereleases(page.name, asks):
            finals = mask & ~page.versions.prereleases
            # PEP 440: pre-releases count where there is nothing else.
            if finals == mask or any(project.best(i, yanked=yanked) for i in self._sequence(page.name, finals)):
                mask = finals
        preferred = self._preferred(page)
        if preferred is not None and mask >> preferred & 1:
            yield preferred, True
            mask ^= 1 << preferred
        for index in self._sequence(page.name, mask):
            yield index, yanked

    def _admits_prereleases(self, name: str, asks: Iterable[Ask]) -> bool:
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
        self, project: Project, identifier: str, extra: str, order: Iterable[tuple[int, bool]], excluded: set[int]
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

    def is_satisfied_by(self, requirement: Ask, candidate: Candidate) -> bool:
        """Whether the candidate's version is in the ask's mask."""
        return bool(requirement.mask >> candidate.index & 1)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Ask]:
        """What the candidate's metadata asks of this target; metadata that can't be used makes the version unusable."""
        project = self.project(candidate.name)
        self._look_ahead(project, candidate)
        asked_by = f"{candidate.identifier} {candidate.wheel.version}"
        if candidate.extra:
            base = Ask(Requirement(candidate.name, specifier=f"=={candidate.wheel.version}"), asked_by=asked_by)
            base.mask = 1 << candidate.index
            yield base
        for requirement in self._requires(project, candidate):
            yield from self.asks(requirement, asked_by=asked_by)

    def _look_ahead(self, project: Project, candidate: Candidate) -> None:
        """The more of a project's versions have been tried, the more of the next ones are asked for at once."""
        project.tried.add(candidate.index)
        count = len(project.tried)
        if count < 2:
            return
        self._ask_ahead(project, candidate.index, min(2 * count, _FARTHEST_AHEAD))

    def _ask_ahead(self, project: Project, index: int, count: int) -> None:
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
                broken = Ask(Requirement(candidate.name), candidate.extra, asked_by="")
                raise RequirementsConflicted(Criterion([], [RequirementInformation(broken, candidate)], [])) from error
            self._requirements[asked] = known
        return known

    def _read_requires(self, candidate: Candidate) -> tuple[Requirement, ...]:
        wheel = candidate.wheel
        metadata = self.index.metadata(wheel)
        wrong = check_metadata(metadata, wheel)
        if wrong:
            raise ValueError(wrong)
        python = self.judge.target.python.full
        if metadata.requires_python and not versions.contains(metadata.requires_python, python):
            raise ValueError(f"its METADATA needs Python {metadata.requires_python}")
        if wheel.yanked is not None:
            self.warnings[f"{wheel.name} {wheel.version} is yanked{f': {wheel.yanked}' if wheel.yanked else ''}"] = None
        requirements = [parse(text) for text in metadata.requires_dist]
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


def resolve(
    roots: Iterable[Root],
    judge: Judge,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
    reporter: BaseReporter[Ask, Candidate, str] | None = None,
) -> Resolution:
    """The wheels that serve *roots* on the judge's target, *preferences* (name → version) first; raises Unresolvable."""
    roots = tuple(roots)
    settled = settle(roots, judge, index, preferences=preferences, policy=policy)
    if settled is not None:
        return settled
    provider = Provider(index, judge, preferences=preferences or {}, policy=policy)
    asked = provider.roots(roots)
    asks = [ask for found in asked.values() for ask in found]
    provider.order_quarrels(asks)
    resolver: Resolver[Ask, Candidate, str] = Resolver(provider, reporter or BaseReporter())
    try:
        result = resolver.resolve(asks, max_rounds=MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise Unresolvable(list(error.causes), provider) from error
    except ResolutionTooDeep as error:
        raise Unresolvable((), provider, gave_up=True) from error
    return _answer(provider, asked, result.mapping)


def _answer(provider: Provider, asked: Mapping[str, list[Ask]], pins: Mapping[str, Candidate]) -> Resolution:
    asks = {identifier: list(provider.get_dependencies(candidate)) for identifier, candidate in pins.items()}
    demands: dict[str, dict[Demand, None]] = {}
    for ask in (ask for found in (asked, asks) for each in found.values() for ask in each):
        # An extra's own project is pinned by the extra; that is no demand of anybody.
        if _own(ask.asked_by) != ask.name:
            demands.setdefault(ask.name, {})[Demand(ask.asked_by, ask.requirement)] = None
    for candidate in pins.values():
        page = provider.project(candidate.name).page
        if page.status != "active":
            reason = f": {page.status_reason}" if page.status_reason else ""
            provider.warnings[f"{page.name} is {page.status} by its maintainers (PEP 792){reason}"] = None
    return Resolution(
        target=provider.judge.target,
        wheels={candidate.name: candidate.wheel for candidate in pins.values()},
        dependencies={identifier: _identifiers(each) for identifier, each in asks.items()},
        roots={name: _identifiers(each) for name, each in asked.items()},
        demands={name: tuple(found) for name, found in demands.items()},
        warnings=tuple(provider.warnings),
    )


def _identifiers(asks: Iterable[Ask]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ask.identifier for ask in asks))


def _own(asked_by: str) -> str:
    return asked_by.partition("[")[0] if "[" in asked_by else ""


def carry_over(
    earlier: Resolution,
    roots: Iterable[Root],
    judge: Judge,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> Resolution | None:
    """*earlier*'s answer where it simply holds for the judge's target too, *preferences* over it; None where it does not."""
    chosen = {**{name: wheel.version for name, wheel in earlier.wheels.items()}, **(preferences or {})}
    return settle(roots, judge, index, preferences=chosen, policy=policy)


def settle(
    roots: Iterable[Root],
    judge: Judge,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> Resolution | None:
    """The answer where the first choice of everything does, breadth first and in one pass; None where something quarrels.

    resolvelib looks at every pin again after each pin: of a thousand packages that agree, this makes a second, not a minute.
    """
    provider = Provider(index, judge, preferences=preferences or {}, policy=policy)
    asked = provider.roots(roots)
    seen: dict[str, list[Ask]] = {}
    pins: dict[str, Candidate] = {}
    waiting = deque(ask for asks in asked.values() for ask in asks)
    order: deque[str] = deque()
    while waiting or order:
        while waiting:
            ask = waiting.popleft()
            pin = pins.get(ask.identifier)
            if pin is not None and not provider.narrow(ask) >> pin.index & 1:
                return None
            if ask.identifier not in seen:
                order.append(ask.identifier)
            seen.setdefault(ask.identifier, []).append(ask)
        if order:
            identifier = order.popleft()
            pin = first_match(provider, identifier, seen)
            if pin is None:
                return None
            pins[identifier] = pin
            try:
                waiting.extend(provider.get_dependencies(pin))
            except RequirementsConflicted:
                return None
    return _answer(provider, asked, pins)


def first_match(provider: Provider, identifier: str, seen: Mapping[str, list[Ask]]) -> Candidate | None:
    """The best candidate of *identifier* that all asks *seen* contain."""
    matches = provider.find_matches(identifier, _Iterators(seen), _Iterators({identifier: []}))
    return next(iter(matches() if callable(matches) else matches), None)


class _Iterators(Mapping[str, Iterator[Any]]):
    """What resolvelib hands to find_matches: a fresh iterator at each look."""

    def __init__(self, lists: Mapping[str, Sequence[Any]]) -> None:
        self._lists = lists

    def __getitem__(self, key: str) -> Iterator[Any]:
        return iter(self._lists[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)
