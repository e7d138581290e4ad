"""One target's answer: requirements and an index in, a wheel for each project out."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from minglibc.candidates import Ask, Candidate, Policy, Provider, Root, Unusable, WheelIndex, asks_for
from minglibc.requirements import Requirement
from minglibc.targets import Target
from minglibc.wheels import Judge, Wheel


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


class Cause(Protocol):
    """A requirement that has a part in a conflict, and the candidate that makes it; resolvelib's RequirementInformation."""

    @property
    def requirement(self) -> Ask:
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
    judge: Judge,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> Resolution:
    """The wheels that serve *roots* on the judge's target, *preferences* (name → version) first; raises Unresolvable."""
    roots = tuple(roots)
    settled = settle(roots, judge, index, preferences=preferences, policy=policy)
    if settled is not None:
        return settled
    from minglibc.backtracking import Backtracking, Stuck  # noqa: PLC0415  resolvelib is for what quarrels

    provider = Backtracking(index, judge, preferences=preferences or {}, policy=policy)
    asked = provider.roots(roots)
    try:
        pins = provider.search([ask for found in asked.values() for ask in found])
    except Stuck as stuck:
        raise Unresolvable(
            stuck.causes, provider, quarrelsome=provider.most_conflicting(), gave_up=stuck.gave_up
        ) from stuck
    return _answer(provider, asked, pins)


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
            pin = next(provider.matches(identifier, asks_for(identifier, seen)), None)
            if pin is None:
                return None
            pins[identifier] = pin
            try:
                waiting.extend(provider.get_dependencies(pin))
            except Unusable:
                return None
    return _answer(provider, asked, pins)
