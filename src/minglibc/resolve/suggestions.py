"""Small changes to a project that has no answer, each verified by the resolver."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from minglibc.model.targets import Cap, GlibcVersion, PythonVersion, Target
from minglibc.resolve.candidates import PROJECT, Dependency, Policy, Provider, Root
from minglibc.resolve.explain import wanted_caps
from minglibc.resolve.resolution import Resolution, Unresolvable

# Every try is a resolution from pages that are here already; a user waits for all of them.
MOST_TRIES = 40
# Seconds of waiting, with an index that is too slow for suggestions.
_LONGEST_WAIT = 60.0
_MOST_OFFERS = 4
# Before a requirement of the project that has no solution: what it is for will be missing.
DROPPED = "without "
EXCLUDES = "tool.minglibc.excludes"
# Settings that keep a part of the project out of the lock, by the kind of the part in ``Root.parent``.
NO_PARTS = {"extra": "tool.minglibc.no-extras", "group": "tool.minglibc.no-groups"}
# A conflict hides what lies behind it: the caps that most wheels are built for are tried, whatever was seen.
_USUAL_CAPS = (GlibcVersion(2, 28), GlibcVersion(2, 34), GlibcVersion(2, 39))


class Kept(NamedTuple):
    """What no change may drop: *local* projects, such as a workspace's members, and *parts* such as ``group dev``.

    *skipped* are the parts that the settings keep out of the lock already.
    """

    local: Collection[str] = ()
    parts: Collection[str] = ()
    skipped: Collection[str] = ()


class Offers(NamedTuple):
    """The changes that work; if not *complete*, others could have been tried."""

    texts: tuple[str, ...] = ()
    complete: bool = True


class Proposal(NamedTuple):
    """A change, in the words of pyproject.toml, and what the project requires with it."""

    kind: str
    text: str
    roots: tuple[Root, ...]
    targets: tuple[Target, ...]
    policy: Policy
    names: tuple[str, ...] = ()
    """The packages whose locked release is shown."""


def offers(
    failure: Unresolvable,
    roots: Sequence[Root],
    targets: Sequence[Target],
    policy: Policy,
    attempt: Callable[[Proposal, float], Sequence[Resolution] | None],
    *,
    until: float,
    kept: Kept = Kept(),  # noqa: B008  immutable
) -> Offers:
    """The changes that work, each kind's smallest first.

    *attempt* resolves a proposal for all its targets in so many seconds of CPU time, or returns None. No attempt begins
    after *until*, in CPU seconds of the thread: what is suggested must not depend on the load of the machine.
    """
    latest = time.monotonic() + _LONGEST_WAIT
    working: list[str] = []
    settled: set[str] = set()
    tries = 0
    for proposal in proposals(failure, tuple(roots), tuple(targets), policy, kept):
        if proposal.kind in settled or (proposal.kind == "both" and working):
            continue
        if len(working) == _MOST_OFFERS:
            break
        patience = until - time.thread_time()
        if tries == MOST_TRIES or patience < 0 or time.monotonic() > latest:
            return Offers(tuple(working), complete=False)
        tries += 1
        # No single proposal takes the time of all.
        answers = attempt(proposal, patience / 2)
        if answers is not None:
            working.append(f"{proposal.text}{_locks(proposal.names, answers)}")
            if proposal.kind != "requirement":
                settled.add(proposal.kind)
            if proposal.kind in ("requirement", "part"):
                # Where a smaller change helps, dropping a requirement is not suggested.
                settled.add("drop")
    return Offers(tuple(working))


def _locks(names: Iterable[str], answers: Sequence[Resolution]) -> str:
    locked = []
    for name in names:
        versions = dict.fromkeys(answer.artifacts[name].version for answer in answers if name in answer.artifacts)
        locked += [f"{name} {', '.join(versions)}"] if versions else []
    return f" (locks {'; '.join(locked)})" if locked else ""


def proposals(
    failure: Unresolvable,
    roots: tuple[Root, ...],
    targets: tuple[Target, ...],
    policy: Policy,
    kept: Kept = Kept(),  # noqa: B008  immutable
) -> Iterator[Proposal]:
    """What could be changed, the smallest changes first."""
    provider = failure.provider
    by_name: dict[str, list[Dependency]] = {}
    for cause in failure.causes:
        by_name.setdefault(cause.requirement.name, []).append(cause.requirement)
    names = tuple(by_name)
    ends = tuple(name for name in names if next(provider.candidates(name, by_name[name]), None) is None)
    positions = concerned(failure, roots)
    for cap in capped(provider):
        raised = tuple(target.raised(cap) for target in targets)
        yield Proposal("cap", f'tool.minglibc.{cap.libc} = "{cap}"', roots, raised, policy, ends)
    yield from _loosened(positions, roots, targets, policy)
    for constraint in policy.constraints:
        if constraint.name in names:
            rest = tuple(other for other in policy.constraints if other != constraint)
            text = f'no constraint "{constraint.without_marker}"'
            yield Proposal("constraint", text, roots, targets, policy._replace(constraints=rest), (constraint.name,))
    yield from _fewer_targets(provider.compatibility.target, roots, targets, policy)
    before = _with_prereleases(failure, names)
    if before and policy.prereleases is False:
        listed = ", ".join(f'"{name}"' for name in before)
        admitted = policy._replace(prereleases=frozenset(before))
        yield Proposal("prereleases", f"tool.minglibc.prereleases = [{listed}]", roots, targets, admitted, before)
    yield from _shorter(positions, roots, targets, policy, kept)
    for fewer in _fewer_targets(provider.compatibility.target, roots, targets, policy):
        for cap in capped(provider):
            raised = tuple(target.raised(cap) for target in fewer.targets)
            text = f'{fewer.text} with tool.minglibc.{cap.libc} = "{cap}"'
            yield Proposal("both", text, roots, raised, policy, ends)


def _loosened(
    positions: Iterable[int], roots: tuple[Root, ...], targets: tuple[Target, ...], policy: Policy
) -> Iterator[Proposal]:
    for position in positions:
        requirement = roots[position].requirement
        if requirement.specifier:
            loosened = roots[position]._replace(requirement=requirement._replace(specifier=""))
            changed = (*roots[:position], loosened, *roots[position + 1 :])
            text = f'"{loosened.requirement.without_marker}" in place of "{requirement.without_marker}"'
            yield Proposal("requirement", text, changed, targets, policy, (requirement.name,))


def _shorter(
    positions: Iterable[int], roots: tuple[Root, ...], targets: tuple[Target, ...], policy: Policy, kept: Kept
) -> Iterator[Proposal]:
    for position in positions:
        rest_of_roots = (*roots[:position], *roots[position + 1 :])
        requirement, parent = roots[position].requirement, roots[position].parent
        if requirement.name in kept.local:
            continue
        others = tuple(root for root in roots if root.parent != parent)
        if parent.partition(" ")[0] in NO_PARTS and parent not in kept.parts and others:
            yield Proposal("part", without_part([parent], kept), others, targets, policy)
        if rest_of_roots and parent == PROJECT:
            yield Proposal("drop", f'{DROPPED}"{requirement.without_marker}"', rest_of_roots, targets, policy)
        elif rest_of_roots:
            # An extra or a group may be for other machines: the project need not lose its requirement.
            fewer = policy._replace(excludes=policy.excludes | {requirement.name})
            listed = ", ".join(f'"{name}"' for name in sorted(fewer.excludes))
            yield Proposal("drop", f"{EXCLUDES} = [{listed}] (of {parent})", rest_of_roots, targets, fewer)


def without_part(parts: Sequence[str], kept: Kept) -> str:
    """The settings that leave out *parts*, extras and groups as in ``Root.parent``, and what is left out already."""
    settings = []
    for kind, setting in NO_PARTS.items():
        if any(part.startswith(f"{kind} ") for part in parts):
            names = {name for k, _, name in (part.partition(" ") for part in (*parts, *kept.skipped)) if k == kind}
            listed = ", ".join(f'"{name}"' for name in sorted(names))
            settings.append(f"{setting} = [{listed}]")
    return " with ".join(settings)


def concerned(failure: Unresolvable, roots: Sequence[Root]) -> list[int]:
    """The positions of the roots that take part in the conflict; all of them where it is unknown.

    The others do not help: the requirements in conflict have no solution without them either.
    """
    named = {cause.requirement.name for cause in failure.causes if cause.parent is None}
    environment = failure.provider.environment
    return [
        position
        for position, root in enumerate(roots)
        if (root.requirement.name in named or not named) and environment.admits(root.requirement.marker)
    ]


def capped(provider: Provider) -> list[Cap]:
    """The higher caps that refused wheels ask for, and the usual ones."""
    caps = set(wanted_caps(provider))
    above = provider.compatibility.target.cap
    if any(cap.libc == above.libc == "glibc" for cap in caps):
        caps |= {cap for cap in _USUAL_CAPS if cap > above}
    return sorted(caps)


def _fewer_targets(
    failing: Target, roots: tuple[Root, ...], targets: tuple[Target, ...], policy: Policy
) -> Iterator[Proposal]:
    pythons = tuple(dict.fromkeys(target.python for target in targets))
    if len(pythons) > 1:
        for pythons_left in _without(pythons, failing.python):
            kept = tuple(target for target in targets if target.python in pythons_left)
            listed = ", ".join(f'"{python}"' for python in pythons_left)
            yield Proposal("python", f"tool.minglibc.python = [{listed}]", roots, kept, policy)
    architectures = tuple(dict.fromkeys(target.architecture for target in targets))
    if len(architectures) > 1:
        others = tuple(other for other in architectures if other != failing.architecture)
        kept = tuple(target for target in targets if target.architecture in others)
        listed = ", ".join(f'"{other}"' for other in others)
        yield Proposal("architectures", f"tool.minglibc.architectures = [{listed}]", roots, kept, policy)
    libcs = sorted({target.cap.libc for target in targets}, reverse=True)
    for libc in libcs if len(libcs) > 1 else ():
        kept = tuple(target for target in targets if target.cap.libc != libc)
        yield Proposal("libc", f"no tool.minglibc.{libc}", roots, kept, policy)


def _without(pythons: tuple[PythonVersion, ...], failing: PythonVersion) -> Iterator[tuple[PythonVersion, ...]]:
    """All but the failing one, then ever fewer of those above it, as what is too old for one is so for the older; then below."""
    above = [python for python in pythons if python > failing]
    below = [python for python in pythons if python < failing]
    sides = [
        tuple(python for python in pythons if python != failing),
        *(tuple(above[count:]) for count in range(len(above))),
        *(tuple(below[: len(below) - count]) for count in range(len(below))),
    ]
    yield from dict.fromkeys(side for side in sides if side)


def _with_prereleases(failure: Unresolvable, names: Iterable[str]) -> tuple[str, ...]:
    parents = (cause.parent.name for cause in failure.causes if cause.parent is not None)
    names, provider = dict.fromkeys((*names, *parents)), failure.provider
    pages = (provider.project(name).page for name in names)
    return tuple(page.name for page in pages if page.versions.prereleases)
