"""Whether an answer is what its own requirements ask for: each found problem in words, and none where it is valid."""

from collections.abc import Mapping, Sequence

from minglibc.resolve.candidates import Candidate, Dependency, Provider

Pins = Mapping[str, Candidate]
Dependencies = Mapping[str, Sequence[Dependency]]


def problems(provider: Provider, roots: Sequence[Dependency], pins: Pins, dependencies: Dependencies) -> list[str]:
    """What is wrong with an answer: it must be closed, minimal, and admitted by the requirements that are in it."""
    in_force = active(roots, dependencies)
    missing = in_force.keys() - pins.keys()
    unneeded = pins.keys() - reached(roots, dependencies)
    return [
        *(f"{identifier} is missing" for identifier in sorted(missing)),
        *(f"nothing needs {identifier}" for identifier in sorted(unneeded)),
        *(f"{pin} is not admitted" for pin in pins.values() if not is_admitted(provider, pin, in_force)),
    ]


def active(roots: Sequence[Dependency], dependencies: Dependencies) -> dict[str, list[Dependency]]:
    """The dependencies of an answer by the identifier that they are on."""
    in_force: dict[str, list[Dependency]] = {}
    for group in (roots, *dependencies.values()):
        for dependency in group:
            in_force.setdefault(dependency.identifier, []).append(dependency)
    return in_force


def reached(roots: Sequence[Dependency], dependencies: Dependencies) -> set[str]:
    """The identifiers that the roots need, directly or not."""
    seen = {dependency.identifier for dependency in roots}
    waiting = list(seen)
    while waiting:
        further = {dependency.identifier for dependency in dependencies.get(waiting.pop(), ())} - seen
        seen |= further
        waiting.extend(further)
    return seen


def is_admitted(provider: Provider, pin: Candidate, in_force: Mapping[str, Sequence[Dependency]]) -> bool:
    """Whether the dependencies in force admit a pin, as a pre-release or a yanked release too (PEP 440, PEP 592)."""
    on_project = in_force.get(pin.name, ())
    mask, yanked = provider.admitted(provider.project(pin.name), on_project)
    return bool(mask >> pin.index & 1) and (pin.wheel.yanked is None or yanked)
