"""The search where first choices quarrel, by resolvelib: it asks, and a Provider answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Criterion, RequirementsConflicted, Resolution
from resolvelib.structs import RequirementInformation

from minglibc.model.compatibility import Compatibility
from minglibc.model.requirements import Requirement
from minglibc.resolve.candidates import (
    FARTHEST_AHEAD,
    Candidate,
    Dependency,
    Policy,
    Provider,
    Unusable,
    WheelIndex,
    dependencies_on,
)

MAX_ROUNDS = 200_000
_LAST = (2,)

Cause = RequirementInformation[Dependency, Candidate]


class Stuck(Exception):
    """resolvelib found no answer: the requirements in conflict; none where it gave up."""

    def __init__(self, causes: Sequence[Cause], *, gave_up: bool = False) -> None:
        super().__init__("no resolution")
        self.causes = causes
        self.gave_up = gave_up


class _Search(Resolution[Dependency, Candidate, str]):
    """resolvelib's search, which after each pin asks again whether every other pin agrees with all that is asked of it.

    What agreed does so still: a criterion is never changed, only replaced. Where another resolvelib has no such method, this
    remembers nothing, and takes longer.
    """

    def __init__(self, provider: "Backtracking") -> None:
        super().__init__(provider, BaseReporter())
        self._agreed: dict[str, tuple[Criterion[Dependency, Candidate], Candidate]] = {}

    def _is_current_pin_satisfying(self, name: str, criterion: Criterion[Dependency, Candidate]) -> bool:
        pin = self.state.mapping.get(name)
        if pin is None:
            return False
        agreed = self._agreed.get(name)
        if agreed is not None and agreed[0] is criterion and agreed[1] is pin:
            return True
        if not super()._is_current_pin_satisfying(name, criterion):
            return False
        self._agreed[name] = criterion, pin
        return True


class Backtracking(Provider, AbstractProvider[Dependency, Candidate, str]):
    """resolvelib's questions, answered for one target; it calls these methods by keyword."""

    def __init__(
        self, index: WheelIndex, compatibility: Compatibility, *, preferences: Mapping[str, str], policy: Policy
    ) -> None:
        super().__init__(index, compatibility, preferences=preferences, policy=policy)
        self._conflicts: dict[str, int] = {}
        self._last_cause: Cause | None = None
        self._yielding: dict[str, int] = {}
        self._met: dict[str, int] = {}

    def search(self, asks: Sequence[Dependency]) -> tuple[dict[str, Candidate], dict[str, list[Dependency]]]:
        """A candidate for each identifier, and what each of them asks for; raises Stuck."""
        self._order_quarrels(asks)
        try:
            return self._reached(asks, _Search(self).resolve(asks, max_rounds=MAX_ROUNDS).mapping)
        except ResolutionImpossible as error:
            raise Stuck(list(error.causes)) from error
        except ResolutionTooDeep as error:
            raise Stuck((), gave_up=True) from error

    def _reached(
        self, asks: Iterable[Dependency], pins: Mapping[str, Candidate]
    ) -> tuple[dict[str, Candidate], dict[str, list[Dependency]]]:
        """The *pins* that somebody still asks for, and what they ask for.

        resolvelib's Resolver does this by recursion, which has no end where pins that nobody asks for ask for each other.
        """
        reached: dict[str, list[Dependency]] = {}
        waiting = [ask.identifier for ask in asks]
        while waiting:
            identifier = waiting.pop()
            if identifier not in reached:
                reached[identifier] = list(super().get_dependencies(pins[identifier]))
                waiting.extend(ask.identifier for ask in reached[identifier])
        kept = {identifier: pin for identifier, pin in pins.items() if identifier in reached}
        return kept, {identifier: reached[identifier] for identifier in kept}

    def most_conflicting(self) -> list[str]:
        """The projects that conflicted, most often first."""
        return sorted(self._conflicts, key=lambda name: -self._conflicts[name])

    def _order_quarrels(self, asked: Iterable[Dependency]) -> None:
        """Where the newest of what is asked for can't agree on a third project, who wants that one oldest comes first.

        Older releases want older things, as a rule: the others come down and meet it, and it would never meet them.
        """
        wanted: dict[str, dict[str, int]] = {}
        matches = [next(self.matches(ask.identifier, [ask]), None) for ask in asked]
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
                self.ask_ahead(self.project(candidate.name), candidate.index, FARTHEST_AHEAD)

    def _usable_dependencies(self, candidate: Candidate) -> list[Dependency]:
        try:
            return list(super().get_dependencies(candidate))
        except Unusable:
            return []

    def identify(self, requirement_or_candidate: Dependency | Candidate) -> str:
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
        requirements: Mapping[str, Iterator[Dependency]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterable[Candidate]] | Sequence[Candidate]:
        """The candidates that every ask contains, best first, made as they are looked at."""
        asks = dependencies_on(identifier, requirements)
        excluded = {candidate.index for candidate in incompatibilities[identifier]}
        return lambda: self.matches(identifier, asks, excluded=excluded)

    def is_satisfied_by(self, requirement: Dependency, candidate: Candidate) -> bool:
        """Whether the candidate's version is in the ask's mask."""
        return bool(requirement.mask >> candidate.index & 1)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Dependency]:
        """What the candidate's metadata asks of this target; a version that can't be used is a conflict like any other."""
        try:
            yield from super().get_dependencies(candidate)
        except Unusable as error:
            broken = Dependency(Requirement(candidate.name), candidate.extra, parent="")
            raise RequirementsConflicted(Criterion([], [RequirementInformation(broken, candidate)], [])) from error
