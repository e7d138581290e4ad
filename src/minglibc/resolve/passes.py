"""An answer without a search, where the first choice for every requirement works; one pass takes linear time."""

from collections import deque
from collections.abc import Iterable, Mapping

from minglibc.model.requirements import Requirement
from minglibc.resolve.candidates import (
    EVERY_VERSION,
    Candidate,
    Dependency,
    Provider,
    Unusable,
    dependencies_on,
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

    def run(self, dependencies: Iterable[Dependency]) -> bool:
        """Whether all dependencies admit what was chosen; ``late`` is one that does not."""
        waiting, order = deque(dependencies), deque[str]()
        while waiting or order:
            while waiting:
                dependency = waiting.popleft()
                if not self._admits(dependency):
                    self.late = dependency
                    return False
                if dependency.identifier not in self._seen:
                    order.append(dependency.identifier)
                self._seen.setdefault(dependency.identifier, []).append(dependency)
            if order:
                pin = self._choose(order.popleft())
                if pin is None:
                    return False
                try:
                    found = self.dependencies[pin.identifier] = list(self._provider.dependencies_of(pin))
                except Unusable:
                    return False
                waiting.extend(found)
        return True

    def _admits(self, dependency: Dependency) -> bool:
        pin = self.pins.get(dependency.identifier)
        return pin is None or bool(self._provider.narrow(dependency) >> pin.index & 1)

    def _choose(self, identifier: str) -> Candidate | None:
        dependencies = dependencies_on(identifier, self._seen)
        if identifier in self._narrowed:
            foreseen = Dependency(Requirement(identifier.partition("[")[0]))
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

    def _first(self, identifier: str) -> Candidate | None:
        return next(self._provider.candidates(identifier, dependencies_on(identifier, self._seen)), None)


def settle(provider: Provider, roots: Iterable[Dependency]) -> Pass | None:
    """The pass in which everything is the first choice of all its dependencies; None where a few passes find none."""
    roots = tuple(roots)
    narrowed: dict[str, int] = {}
    for _ in range(_PASSES):
        attempt = Pass(provider, narrowed)
        if attempt.run(roots):
            unneeded = attempt.unneeded()
            if not unneeded:
                return attempt
            narrowed = {name: mask for name, mask in narrowed.items() if name not in unneeded}
        elif attempt.late is not None:
            late = attempt.late
            narrowed[late.identifier] = narrowed.get(late.identifier, EVERY_VERSION) & late.mask
        else:
            return None
    return None
