"""One target's answer: requirements and an index in, a wheel for each project out."""

from collections.abc import Iterable, Mapping, Sequence

from minglibc.model.compatibility import Compatibility
from minglibc.resolve.candidates import Candidate, Dependency, Policy, Provider, Root, WheelIndex
from minglibc.resolve.passes import settle
from minglibc.resolve.resolution import ActiveRequirement, OnTry, Resolution

# Seconds of CPU time; a longer search has run into something that no user waits for.
PATIENCE = 600.0


def resolve(
    roots: Iterable[Root],
    compatibility: Compatibility,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str] | None = None,
    policy: Policy = Policy(),  # noqa: B008  immutable
    patience: float = PATIENCE,
    on_try: OnTry = lambda attempt: None,  # noqa: ARG005
) -> Resolution:
    """The wheels that serve *roots* on the compatibility's target, *preferences* (name → version) first; raises Unresolvable.

    A search that takes more than *patience* seconds of CPU time is stopped.
    """
    provider = Provider(index, compatibility, preferences=preferences or {}, policy=policy)
    by_parent = provider.roots(roots)
    dependencies = [dependency for group in by_parent.values() for dependency in group]
    attempt = settle(provider, dependencies)
    if attempt is not None:
        return _answer(provider, by_parent, attempt.pins, attempt.dependencies)
    from minglibc.resolve.backtracking import Search  # noqa: PLC0415  3 ms; most locks have no conflict
    from minglibc.resolve.validity import problems  # noqa: PLC0415  as above

    search = Search(provider, dependencies, patience=patience, on_try=on_try, thorough=policy.thorough)
    pins, further = search.run()
    violations = problems(provider, dependencies, pins, further)
    assert not violations, violations
    return _answer(provider, by_parent, pins, further)


def _answer(
    provider: Provider,
    roots: Mapping[str, list[Dependency]],
    pins: Mapping[str, Candidate],
    dependencies: Mapping[str, Sequence[Dependency]],
) -> Resolution:
    requirements: dict[str, dict[ActiveRequirement, None]] = {}
    warnings: dict[str, None] = {}
    for group in (*roots.values(), *dependencies.values()):
        for dependency in group:
            # An extra's requirement on its own project does not count.
            if _project_of_extra(dependency.parent) != dependency.name:
                active = ActiveRequirement(dependency.parent, dependency.requirement)
                requirements.setdefault(dependency.name, {})[active] = None
    for candidate in pins.values():
        page = provider.project(candidate.name).page
        warnings.update(dict.fromkeys(provider.warnings_about(candidate)))
        if page.status != "active":
            reason = f": {page.status_reason}" if page.status_reason else ""
            warnings[f"{page.name} is {page.status} by its maintainers (PEP 792){reason}"] = None
    return Resolution(
        target=provider.compatibility.target,
        artifacts={candidate.name: candidate.wheel for candidate in pins.values()},
        dependencies={identifier: _identifiers(group) for identifier, group in dependencies.items()},
        roots={name: _identifiers(group) for name, group in roots.items()},
        requirements={name: tuple(active) for name, active in requirements.items()},
        warnings=tuple(warnings),
    )


def _identifiers(dependencies: Iterable[Dependency]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(dependency.identifier for dependency in dependencies))


def _project_of_extra(parent: str) -> str:
    return parent.partition("[")[0] if "[" in parent else ""
