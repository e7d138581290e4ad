"""One target's answer: requirements and an index in, a wheel for each project out."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import (
    EVERY_VERSION,
    Candidate,
    Dependency,
    Policy,
    Provider,
    Root,
    Unusable,
    WheelIndex,
    dependencies_on,
)

# Each pass but the last learns of one choice that was made too early.
_PASSES = 8


class ActiveRequirement(NamedTuple):
    """A requirement in force in an answer, and who makes it: "the project", "extra x", "group dev" or "name 1.0"."""

    parent: str
    requirement: Requirement


class Resolution(NamedTuple):
    """The answer for one target; identifiers are ``name`` or ``name[extra]``, *requirements* are by project name."""

    target: Target
    wheels: Mapping[str, Artifact]
    dependencies: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, tuple[str, ...]]
    requirements: Mapping[str, tuple[ActiveRequirement, ...]]
    warnings: tuple[str, ...] = ()


class Cause(Protocol):
    """A requirement that has a part in a conflict, and the candidate that makes it; resolvelib's RequirementInformation."""

    @property
    def requirement(self) -> Dependency:
        """What is asked."""
        ...

    @property
    def parent(self) -> Candidate | None:
        """Who asks; None for the project itself."""
        ...


class Unresolvable(Exception):
    """There is no answer: the requirements in conflict, what quarrelled most, and the provider that knows the rest."""

    def __init__(
        self, causes: Sequence[Cause], provider: Provider, *, quarrelsome: Sequence[str] = (), gave_up: bool = False
    ) -> None:
        super().__init__("no resolution")
        self.causes = causes
        self.provider = provider
        self.quarrelsome = quarrelsome
        self.gave_up = gave_up


def resolve(
    roots: Iterable[Root],
    compatibility: Compatibility,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> Resolution:
    """The wheels that serve *roots* on the compatibility's target, *preferences* (name → version) first; raises Unresolvable."""
    roots = tuple(roots)
    settled = settle(roots, compatibility, index, preferences=preferences, policy=policy)
    if settled is not None:
        return settled
    from minglibc.resolve.backtracking import Backtracking, Stuck  # noqa: PLC0415  resolvelib is for what quarrels

    provider = Backtracking(index, compatibility, preferences=preferences or {}, policy=policy)
    asked = provider.roots(roots)
    try:
        pins, further = provider.search([ask for found in asked.values() for ask in found])
    except Stuck as stuck:
        raise Unresolvable(
            stuck.causes, provider, quarrelsome=provider.most_conflicting(), gave_up=stuck.gave_up
        ) from stuck
    return _answer(provider, asked, pins, further)


def _answer(
    provider: Provider,
    asked: Mapping[str, list[Dependency]],
    pins: Mapping[str, Candidate],
    asks: Mapping[str, list[Dependency]],
) -> Resolution:
    requirements: dict[str, dict[ActiveRequirement, None]] = {}
    for ask in (ask for found in (asked, asks) for each in found.values() for ask in each):
        # An extra's own project is pinned by the extra; that is no demand of anybody.
        if _own(ask.parent) != ask.name:
            requirements.setdefault(ask.name, {})[ActiveRequirement(ask.parent, ask.requirement)] = None
    for candidate in pins.values():
        page = provider.project(candidate.name).page
        if page.status != "active":
            reason = f": {page.status_reason}" if page.status_reason else ""
            provider.warnings[f"{page.name} is {page.status} by its maintainers (PEP 792){reason}"] = None
    return Resolution(
        target=provider.compatibility.target,
        wheels={candidate.name: candidate.wheel for candidate in pins.values()},
        dependencies={identifier: _identifiers(each) for identifier, each in asks.items()},
        roots={name: _identifiers(each) for name, each in asked.items()},
        requirements={name: tuple(found) for name, found in requirements.items()},
        warnings=tuple(provider.warnings),
    )


def _identifiers(asks: Iterable[Dependency]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ask.identifier for ask in asks))


def _own(parent: str) -> str:
    return parent.partition("[")[0] if "[" in parent else ""


def settle(
    roots: Iterable[Root],
    compatibility: Compatibility,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> Resolution | None:
    """The answer in which everything is the first choice of all who ask for it; None where a few passes find none.

    resolvelib looks at every pin again after each pin: of a thousand packages that agree, this makes a second, not a minute.
    """
    provider = Provider(index, compatibility, preferences=preferences or {}, policy=policy)
    asked = provider.roots(roots)
    narrowed: dict[str, int] = {}
    for _ in range(_PASSES):
        attempt = _Pass(provider, narrowed)
        if attempt.run(ask for asks in asked.values() for ask in asks):
            idle = attempt.idle()
            if not idle:
                return _answer(provider, asked, attempt.pins, attempt.asks)
            narrowed = {name: mask for name, mask in narrowed.items() if name not in idle}
        elif attempt.late is not None:
            late = attempt.late
            narrowed[late.identifier] = narrowed.get(late.identifier, EVERY_VERSION) & late.mask
        else:
            return None
    return None


class _Pass:
    """One walk from the roots, breadth first, that gives up at the first quarrel.

    *narrowed* is what a pass before learned too late: the versions that an ask admits which comes after the choice.
    """

    def __init__(self, provider: Provider, narrowed: Mapping[str, int]) -> None:
        self.pins: dict[str, Candidate] = {}
        self.asks: dict[str, list[Dependency]] = {}
        self.late: Dependency | None = None
        self._provider = provider
        self._narrowed = narrowed
        self._seen: dict[str, list[Dependency]] = {}

    def run(self, asks: Iterable[Dependency]) -> bool:
        """Whether everything that is asked for, in the end, admits what was chosen; ``late`` is what does not."""
        waiting, order = deque(asks), deque[str]()
        while waiting or order:
            while waiting:
                ask = waiting.popleft()
                if not self._admits(ask):
                    self.late = ask
                    return False
                if ask.identifier not in self._seen:
                    order.append(ask.identifier)
                self._seen.setdefault(ask.identifier, []).append(ask)
            if order:
                pin = self._choose(order.popleft())
                if pin is None:
                    return False
                try:
                    asks = self.asks[pin.identifier] = list(self._provider.get_dependencies(pin))
                except Unusable:
                    return False
                waiting.extend(asks)
        return True

    def _admits(self, ask: Dependency) -> bool:
        pin = self.pins.get(ask.identifier)
        return pin is None or bool(self._provider.narrow(ask) >> pin.index & 1)

    def _choose(self, identifier: str) -> Candidate | None:
        asks = dependencies_on(identifier, self._seen)
        if identifier in self._narrowed:
            foreseen = Dependency(Requirement(identifier.partition("[")[0]))
            foreseen.mask = self._narrowed[identifier]
            asks.append(foreseen)
        pin = next(self._provider.matches(identifier, asks), None)
        if pin is not None:
            self.pins[identifier] = pin
        return pin

    def idle(self) -> set[str]:
        """What was narrowed for nothing, because who asked for it has gone: all that is asked in the end admits better."""
        narrowed = self._narrowed.keys() & self.pins.keys()
        return {name for name in narrowed if self._first(name) is not self.pins[name]}

    def _first(self, identifier: str) -> Candidate | None:
        return next(self._provider.matches(identifier, dependencies_on(identifier, self._seen)), None)
