"""The search where first choices conflict: it decides, reads metadata, and learns from each conflict.

The roots are decided first, in their order, and each variable takes its best version that is left, so that no root can be
raised without lowering one before it.
"""

import time
from collections.abc import Mapping, Sequence

from minglibc.resolve.assumptions import Assumptions
from minglibc.resolve.candidates import Dependency, Provider
from minglibc.resolve.conflict import Attempt, Cause
from minglibc.resolve.graph import DependencyGraph
from minglibc.resolve.ordering import Ordering
from minglibc.resolve.proof import causes_of, conflict_of
from minglibc.resolve.resolution import OnTry, Unresolvable
from minglibc.resolve.solver import Incompatibility, Solver, Unsatisfiable
from minglibc.resolve.validity import Dependencies, Pins, active, is_admitted, reached
from minglibc.resolve.variables import PRESENT, Variable

# Seconds.
_REPORT_AFTER = 2.0
_REPORT_INTERVAL = 0.2
_NOTE_INTERVAL = 0.1
_SHOWN = 8
# Steps of the search after which its time is looked at: a system call, which takes milliseconds on some virtual machines.
_CLOCK_INTERVAL = 128


class Search:
    """One target's search."""

    def __init__(
        self, provider: Provider, roots: Sequence[Dependency], *, patience: float, on_try: OnTry, thorough: bool = True
    ) -> None:
        self._provider = provider
        self._roots = roots
        self._solver = Solver()
        self._graph = DependencyGraph(provider, self._solver)
        self._assumptions = Assumptions(self._graph)
        self._ordering = Ordering(self._graph)
        # What nothing in force admits yet.
        self._waiting: set[int] = set()
        self._trying = ""
        self._conflict: Incompatibility | None = None
        self._began = time.monotonic()
        # CPU time of the thread: how long a machine with other work takes must not change the answer.
        self._end = time.thread_time() + patience
        self._steps = 0
        self._thorough = thorough
        self._next_report = _REPORT_AFTER
        self._next_note = self._began
        self._on_try = on_try

    def run(self) -> tuple[Pins, Dependencies]:
        """A candidate for each identifier, and what each of them requires; raises Unresolvable."""
        self._check_names()
        for rank, dependency in enumerate(self._roots):
            variable = self._graph.require(dependency)
            variable.rank = rank if variable.rank is None else variable.rank
        self._ordering.order_roots(self._roots)
        try:
            while True:
                try:
                    answer = self._advance()
                except Unsatisfiable as error:
                    if not self._thorough or not self._assumptions.disprove(error.proof):
                        raise Unresolvable(causes_of(self._graph, error.proof), self._provider) from error
                else:
                    if answer is not None:
                        return answer
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(self._state())
            raise

    def _check_names(self) -> None:
        """Raise Unresolvable for all names that no index has, which are likely misspelt, before anything else conflicts."""
        missing = [root for root in self._roots if self._provider.project(root.name).missing]
        if missing:
            raise Unresolvable([Cause(root, None) for root in missing], self._provider)

    def _advance(self) -> tuple[Pins, Dependencies] | None:
        """One step of the search; the answer, once there is one."""
        self._steps += 1
        if self._steps % _CLOCK_INTERVAL == 1 and time.thread_time() > self._end:
            seconds = time.monotonic() - self._began
            raise Unresolvable(
                (), self._provider, contested=self._ordering.contested(), seconds=seconds, bound=self._bound()
            )
        if not self._propagate():
            return None
        variable = self._ordering.next(self._waiting)
        if variable is not None:
            if not self._try(variable) and not self._assumptions.exclude_special(variable, unconditionally=True):
                self._waiting.add(variable.number)
            return None
        if self._waiting:
            waiting = self._graph.variable_of(min(self._waiting))
            self._waiting.clear()
            assert waiting is not None
            if not any(True for _ in self._graph.admitted(waiting)):
                self._assumptions.exclude_special(waiting)
            return None
        return self._answer()

    def _propagate(self) -> bool:
        """Remove what can't be; False where a decision was taken back because of a conflict."""
        if self._solver.propagate():
            return True
        self._note_conflict(self._solver.last_learned)
        self._waiting.clear()
        self._ordering.learn()
        return False

    def _try(self, variable: Variable) -> bool:
        """Read the best candidate's metadata and decide for it; False where nothing in force admits what is left."""
        solver, number, project = self._solver, variable.number, variable.project
        for index, yanked in self._graph.admitted(variable):
            wheel = project.best(index, yanked=yanked)
            assert wheel is not None
            self._trying = f"{project.page.name} {wheel.version}"
            self._report(project.page.name, wheel.version)
            present = [extra.extra for extra in variable.extras if solver.domains[extra.number] == PRESENT]
            candidates = [project.candidate(extra, index, wheel) for extra in ("", *present)]
            if not all(self._graph.read(candidate) for candidate in candidates):
                return True
            self._graph.read_ahead(variable, index)
            if not self._propagate():
                return True
            domain, value = solver.domains[number], 1 << index + 1
            if not domain & value:
                self._note_conflict(solver.last_reason(number))
                self._waiting.clear()
                self._ordering.note_exclusion(variable, candidates)
            elif domain != value:
                solver.decide(number, value)
            return True
        return solver.has_pending

    # The answer.

    def _answer(self) -> tuple[Pins, Dependencies] | None:
        """The pins; None where something is not as it has to be, and the search goes on."""
        pins, dependencies = self._graph.pins()
        needed = reached(self._roots, dependencies)
        if needed != pins.keys():
            self._assumptions.exclude_unneeded(set(pins) - needed)
            return None
        in_force = active(self._roots, dependencies)
        for pin in pins.values():
            if not pin.extra and not is_admitted(self._provider, pin, in_force):
                self._assumptions.exclude_special(self._graph.variables[pin.name])
                return None
        if self._hope(pins, in_force):
            return None
        return pins, dependencies

    def _hope(self, pins: Pins, in_force: Mapping[str, Sequence[Dependency]]) -> bool:
        """Whether a root is to be tried again with a release that only the dependencies of the answer admit."""
        hopes = self._graph.hopes
        for dependency in self._roots:
            name = dependency.name
            first = next(self._provider.candidates(name, in_force[name]), None)
            if first is None or first.index == pins[name].index:
                continue
            value = 1 << first.index
            if value << 1 & self._graph.variables[name].special and not hopes.get(name, 0) & value:
                hopes[name] = hopes.get(name, 0) | value
                self._solver.backjump(0)
                return True
        return False

    # Progress.

    def _report(self, name: str, version: str) -> None:
        """Report what a long search tries, some times a second."""
        seconds = time.monotonic() - self._began
        if seconds > self._next_report:
            self._next_report = seconds + _REPORT_INTERVAL
            self._on_try(Attempt(name, version, seconds, self._bound()))

    def _note_conflict(self, incompatibility: Incompatibility | None) -> None:
        """Keep why something was excluded, a few times a second; Ctrl-C prints the last one."""
        now = time.monotonic()
        if incompatibility is not None and now > self._next_note:
            self._conflict = self._solver.explained(incompatibility)
            self._next_note = now + _NOTE_INTERVAL

    def _bound(self) -> str:
        """A lower bound that would shorten the search: on the contested project of which most versions were read."""
        read = {name: self._graph.versions_read(name) for name in self._ordering.contested()}
        name = max(read, key=lambda name: len(read[name]), default="")
        # A bound at the only version that was tried excludes nothing.
        if len(read.get(name, ())) <= 1:
            return ""
        return f"{name}>={self._provider.project(name).page.versions.texts[max(read[name])]}"

    def _state(self) -> str:
        """What is being tried, and the requirements of the last conflict."""
        causes = conflict_of(self._graph, self._conflict) if self._conflict is not None else []
        lines = [f"  {cause}" for cause in causes]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f"  and {len(lines) - _SHOWN} more"]
        return "\n".join([f"while trying {self._trying}{'; the last conflict:' if lines else ''}", *lines])
