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


def is_first_choice(provider: Provider, roots: Sequence[Dependency], pins: Pins, dependencies: Dependencies) -> bool:
    """Whether each pin is the first choice of all dependencies in force, and no root can be raised alone.

    A root can't, where it is the first choice of what the project requires, or of that and of the dependencies of
    such roots. Where neither holds, it takes a search to know.
    """
    in_force = active(roots, dependencies)
    wheels = {pin.name: pin.wheel for pin in pins.values()}
    if any(_first(provider, name, in_force[name]) is not wheel for name, wheel in wheels.items()):
        return False
    by_root: dict[str, list[Dependency]] = {}
    for dependency in roots:
        by_root.setdefault(dependency.name, []).append(dependency)
    behind = {name for name in by_root if _first(provider, name, by_root[name]) is not wheels[name]}
    for identifier in {dependency.identifier for dependency in roots if behind and dependency.name not in behind}:
        for dependency in dependencies[identifier]:
            if dependency.name in behind:
                by_root[dependency.name].append(dependency)
    return all(_first(provider, name, by_root[name]) is wheels[name] for name in behind)


def _first(provider: Provider, name: str, dependencies: Sequence[Dependency]) -> object:
    first = next(provider.candidates(name, dependencies), None)
    return None if first is None else first.wheel
