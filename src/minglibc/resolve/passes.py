"""An answer without a search, where the first choice for every requirement works; one pass takes linear time."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from minglibc.model.requirements import Requirement
from minglibc.resolve.candidates import (
    EVERY_VERSION,
    Candidate,
    Dependency,
    Provider,
    Unusable,
)

# Each pass but the last learns of one choice that was made too early.
_PASSES = 8


class Pass:
    """One breadth-first walk from the roots, which stops at the first conflict.

    *narrowed* is what an earlier pass learned too late: the versions that are admitted by a dependency which is met
    after the choice.
    """

    def __init__(self, provider: Provider, narrowed: Mapping[str, int]) -> None:
        self.pins: dict[str, Candidate] = {}
        self.dependencies: dict[str, list[Dependency]] = {}
        self.late: Dependency | None = None
        self._provider = provider
        self._narrowed = narrowed
        self._seen: dict[str, list[Dependency]] = {}
        # What might be chosen otherwise, as a dependency met after the choice admits releases that others don't.
        self._reopened: set[str] = set()

    def run(self, roots: Iterable[Dependency]) -> bool:
        """Whether all dependencies admit what was chosen; ``late`` is one that does not."""
        waiting, order = deque(roots), deque[str]()
        while waiting or order:
            while waiting:
                dependency = waiting.popleft()
                known = self._seen.get(dependency.identifier)
                if known is None:
                    order.append(dependency.identifier)
                    self._seen[dependency.identifier] = [dependency]
                    continue
                known.append(dependency)
                pin = self.pins.get(dependency.identifier)
                if pin is None:
                    continue
                if not self._provider.narrow(dependency) >> pin.index & 1:
                    self.late = dependency
                    return False
                if dependency.exact or self._provider.admits_prereleases(dependency.name, [dependency]):
                    self._reopened.add(dependency.name)
            if order:
                pin = self._choose(order.popleft())
                if pin is None:
                    return False
                try:
                    dependencies = self.dependencies[pin.identifier] = list(self._provider.dependencies_of(pin))
                except Unusable:
                    return False
                waiting.extend(dependencies)
        return True

    def _choose(self, identifier: str) -> Candidate | None:
        name, _, extra = identifier.removesuffix("]").partition("[")
        if extra:
            # What requires an extra requires its project first.
            base = self.pins[name]
            self.pins[identifier] = self._provider.project(name).candidate(extra, base.index, base.wheel)
            return self.pins[identifier]
        dependencies = list(self._seen[identifier])
        if identifier in self._narrowed:
            foreseen = Dependency(Requirement(name))
            foreseen.mask = self._narrowed[identifier]
            dependencies.append(foreseen)
        pin = next(self._provider.candidates(identifier, dependencies), None)
        if pin is not None:
            self.pins[identifier] = pin
        return pin

    def unneeded(self) -> set[str]:
        """What was narrowed without need, because the parent of the late dependency is not in the answer."""
        narrowed = self._narrowed.keys() & self.pins.keys()
        return {name for name in narrowed if self._first(name) is not self.pins[name]}

    def is_newest(self, roots: Sequence[Dependency]) -> bool:
        """Whether each pin is the first choice of all dependencies on it, and no root can be raised alone.

        A root can't, if it is the first choice of the roots' requirements, or of these and the dependencies of such
        roots. Where neither is so, it takes a search to know.
        """
        if any(self._first(identifier) is not self.pins[identifier] for identifier in self._reopened):
            return False
        by_root: dict[str, list[Dependency]] = {}
        for dependency in roots:
            if not dependency.extra:
                by_root.setdefault(dependency.name, []).append(dependency)
        behind = {
            identifier
            for identifier, required in by_root.items()
            if len(required) != len(self._seen[identifier])
            and self._best(identifier, by_root) is not self.pins[identifier]
        }
        if not behind:
            return True
        for identifier in {root.identifier for root in roots if root.name not in behind}:
            for dependency in self.dependencies[identifier]:
                if dependency.identifier in behind:
                    by_root[dependency.name].append(dependency)
        return all(self._best(identifier, by_root) is self.pins[identifier] for identifier in behind)

    def _best(self, identifier: str, dependencies: Mapping[str, list[Dependency]]) -> Candidate | None:
        return next(self._provider.candidates(identifier, dependencies[identifier]), None)

    def _first(self, identifier: str) -> Candidate | None:
        return self._best(identifier, self._seen)


def settle(provider: Provider, roots: Sequence[Dependency]) -> Pass | None:
    """The pass in which everything is the first choice of all its dependencies; None where a few passes find none."""
    narrowed: dict[str, int] = {}
    for _ in range(_PASSES):
        attempt = Pass(provider, narrowed)
        if attempt.run(roots):
            unneeded = attempt.unneeded()
            if not unneeded:
                return attempt if attempt.is_newest(roots) else None
            narrowed = {name: mask for name, mask in narrowed.items() if name not in unneeded}
        elif attempt.late is not None:
            late = attempt.late
            narrowed[late.identifier] = narrowed.get(late.identifier, EVERY_VERSION) & late.mask
        else:
            return None
    return None
