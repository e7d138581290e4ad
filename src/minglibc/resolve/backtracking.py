"""The search where first choices conflict: packages and their dependencies as variables and incompatibilities of a Solver.

A project's variable has a value for each version and one for its absence; an extra's is absent or present. A version's
metadata is read when it is tried, and what it requires becomes an incompatibility: "a 1.0 and a b that is not >=2".
Versions with the same dependency share one. The roots are decided first, in their order, and each variable takes its best
version that is left, so that no root can be raised without lowering one before it.
"""

import time
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_

from minglibc.model import versions
from minglibc.resolve.candidates import Candidate, Dependency, Provider, Unusable
from minglibc.resolve.proof import causes_of
from minglibc.resolve.resolution import Attempt, OnTry, Unresolvable
from minglibc.resolve.solver import Incompatibility, Solver, Unsatisfiable
from minglibc.resolve.validity import active, is_admitted, reached
from minglibc.resolve.variables import ABSENT, PRESENT, Edge, Variable

# What may be read before "no", for a dependency that would admit a pre-release or a yanked release.
_MOST_READ = 200
_CONTESTED = 5
_REORDER = 5
_NO_ROOT = (1, 0)
# Seconds.
_REPORT_AFTER = 2.0
_REPORT_INTERVAL = 0.2

Pins = dict[str, Candidate]
Dependencies = dict[str, list[Dependency]]


class Search:
    """One target's search."""

    def __init__(self, provider: Provider, roots: Sequence[Dependency], *, patience: float, on_try: OnTry) -> None:
        self._provider = provider
        self._roots = roots
        self._solver = Solver()
        self._root = self._solver.add_variable(PRESENT)
        self._variables: dict[str, Variable] = {}
        self._by_number: list[Variable | None] = [None]
        self._edges: dict[tuple[str, str, int, str], Edge] = {}
        self._read: dict[tuple[str, int], tuple[Candidate, list[Dependency]]] = {}
        self._waiting: set[int] = set()
        # What is admitted although nothing in force admits it yet: to be tried for a root, and checked at the end.
        self._hopes: dict[str, int] = {}
        # The variables about which something was concluded from the edges that are known.
        self._concluded: dict[str, list[tuple[int, int] | None]] = {}
        # How often the choice of one project has excluded versions of another, and what is decided early for that.
        self._rejected: dict[tuple[int, int], int] = {}
        self._early: dict[int, int] = {}
        self._began = time.monotonic()
        self._patience = patience
        self._next_report = _REPORT_AFTER
        self._on_try = on_try

    def run(self) -> tuple[Pins, Dependencies]:
        """A candidate for each identifier, and what each of them requires; raises Unresolvable."""
        for rank, dependency in enumerate(self._roots):
            self._require("", "", 0, dependency)
            variable = self._variables[dependency.name]
            variable.rank = rank if variable.rank is None else variable.rank
        self._order_roots()
        try:
            while True:
                try:
                    answer = self._advance()
                except Unsatisfiable as error:
                    if not self._read_more(error.proof):
                        causes = causes_of(self._provider, error.proof, self._solver.initial, self._by_number)
                        raise Unresolvable(causes, self._provider, contested=self.contested()) from error
                else:
                    if answer is not None:
                        return answer
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(self._state())
            raise

    def contested(self) -> list[str]:
        """The projects that take part in most conflicts."""
        activity = self._solver.activity
        names = sorted(self._variables, key=lambda name: -activity[self._variables[name].number])
        return list(dict.fromkeys(name.partition("[")[0] for name in names[: 2 * _CONTESTED]))[:_CONTESTED]

    def _state(self) -> str:
        return f"the packages that conflict most are {', '.join(self.contested())}"

    def _report(self, name: str, version: str) -> None:
        """Tell of a search that takes long what it tries, some times a second."""
        seconds = time.monotonic() - self._began
        if seconds > self._next_report:
            self._next_report = seconds + _REPORT_INTERVAL
            self._on_try(Attempt(name, version, seconds, self.contested()))

    def _advance(self) -> tuple[Pins, Dependencies] | None:
        """One step of the search; the answer, once there is one."""
        seconds = time.monotonic() - self._began
        if seconds > self._patience:
            raise Unresolvable((), self._provider, contested=self.contested(), seconds=seconds)
        if not self._solver.propagate():
            self._learn_order()
            return None
        number = self._next()
        if number is not None:
            variable = self._by_number[number]
            assert variable is not None
            if not self._try(variable) and not self._conclude_early(variable):
                self._waiting.add(number)
            return None
        if self._waiting:
            variable = self._by_number[min(self._waiting)]
            self._waiting.clear()
            assert variable is not None
            if not any(True for _ in self._admitted(variable)):
                self._conclude(variable)
            return None
        return self._answer()

    # Choosing.

    def _order_roots(self) -> None:
        """Where the first choices of the roots can't agree on another project, decide the one that needs older versions first.

        Older releases need older releases, as a rule: the other roots come down and meet them.
        """
        wanted: dict[str, dict[str, int]] = {}
        for dependency in self._roots:
            variable = self._variables[dependency.name]
            first = next(self._provider.candidates(dependency.name, [e.dependency for e in variable.edges]), None)
            if first is None:
                continue
            candidate = variable.project.candidate(dependency.extra, first.index, first.wheel)
            if not self._read_candidate(candidate):
                continue
            for needed in self._read[candidate.identifier, candidate.index][1]:
                wishes = wanted.setdefault(needed.name, {})
                wishes[dependency.name] = wishes.get(dependency.name, -1) & self._provider.narrow(needed)
        later: dict[str, int] = {}
        for wishes in wanted.values():
            if len(wishes) > 1 and not reduce(and_, wishes.values()):
                for place, name in enumerate(sorted(wishes, key=wishes.__getitem__)):
                    later[name] = max(place, later.get(name, 0))
        latest = max(later.values(), default=0)
        for dependency in self._roots:
            if latest:
                self._early[self._variables[dependency.name].number] = latest - later.get(dependency.name, 0)

    def _next(self) -> int | None:
        """The variable to decide next: one without a choice first, then the roots, then what conflicted most."""
        best, best_weight, best_rank = None, (-1, -1.0), _NO_ROOT
        domains, activity = self._solver.domains, self._solver.activity
        for number in range(1, len(domains)):
            domain = domains[number]
            if domain & ABSENT or number in self._waiting:
                continue
            variable = self._by_number[number]
            assert variable is not None
            if variable.extra:
                continue
            if not domain & (domain - 1):
                if self._is_settled(variable, domain):
                    continue
                return number
            if variable.rank is not None:
                rank = (-self._early.get(number, 0), variable.rank)
                if rank < best_rank:
                    best, best_rank = number, rank
            elif best_rank == _NO_ROOT:
                weight = (self._early.get(number, 0), activity[number])
                if weight > best_weight:
                    best, best_weight = number, weight
        return best

    def _learn_order(self) -> None:
        """Decide a project earlier than another whose choice has excluded its versions again and again."""
        self._waiting.clear()
        pairs = self._solver.pairs
        while pairs:
            affected, culprit = pair = pairs.pop()
            one, other = self._by_number[max(affected, 0)], self._by_number[max(culprit, 0)]
            if one is None or other is None or one.extra or other.extra:
                continue
            # All roots are decided before all other projects.
            if (one.rank is None) != (other.rank is None):
                continue
            self._rejected[pair] = self._rejected.get(pair, 0) + 1
            if self._rejected[pair] == _REORDER:
                self._rejected[pair] = 0
                self._early[affected] = max(self._early.get(affected, 0), self._early.get(culprit, 0) + 1)
                self._solver.backjump(max(self._solver.level_of(culprit) - 1, 0))

    def _is_settled(self, variable: Variable, domain: int) -> bool:
        """Whether the one version that is left was read with its extras, and is admitted."""
        index = domain.bit_length() - 2
        name = variable.project.page.name
        if (name, index) not in self._read:
            return False
        for extra in variable.extras:
            if self._solver.domains[extra.number] == PRESENT and (f"{name}[{extra.extra}]", index) not in self._read:
                return False
        return not domain & variable.special or any(True for _ in self._admitted(variable))

    def _try(self, variable: Variable) -> bool:
        """Read the best candidate's metadata and decide for it; False where nothing in force admits what is left."""
        solver, number = self._solver, variable.number
        for index, yanked in self._admitted(variable):
            wheel = variable.project.best(index, yanked=yanked)
            assert wheel is not None
            name = variable.project.page.name
            self._report(name, wheel.version)
            present = [""] + [extra.extra for extra in variable.extras if solver.domains[extra.number] == PRESENT]
            candidates = [variable.project.candidate(extra, index, wheel) for extra in present]
            if not all(self._read_candidate(candidate) for candidate in candidates):
                return True
            if not solver.propagate():
                self._learn_order()
                return True
            domain, value = solver.domains[number], 1 << index + 1
            if not domain & value:
                self._note_exclusion(variable, candidates)
            elif domain != value:
                solver.decide(number, value)
            return True
        return solver.has_pending

    def _note_exclusion(self, variable: Variable, candidates: Sequence[Candidate]) -> None:
        """Count the projects whose choice excludes *candidates* as soon as these are read; that is no conflict to the solver."""
        for candidate in candidates:
            for dependency in self._read[candidate.identifier, candidate.index][1]:
                target = self._variables[dependency.name]
                if not self._solver.domains[target.number] & self._provider.narrow(dependency) << 1:
                    self._solver.pairs.append((variable.number, target.number))
        self._learn_order()

    def _admitted(self, variable: Variable) -> Iterator[tuple[int, bool]]:
        """The versions in the domain that the dependencies in force admit, best first, and whether as yanked ones."""
        solver, project = self._solver, variable.project
        in_force = [e.dependency for e in variable.edges if solver.holds(e.incompatibility, but=variable.number)]
        mask, yanked = self._provider.admitted(project, in_force)
        hopes = self._hopes.get(project.page.name, 0)
        for index in self._provider.ordered(project, (mask | hopes) & solver.domains[variable.number] >> 1):
            may_be_yanked = yanked or bool(hopes >> index & 1)
            if self._is_usable(variable, index) and project.best(index, yanked=may_be_yanked):
                yield index, may_be_yanked

    def _is_usable(self, variable: Variable, index: int) -> bool:
        """Whether a version has a wheel for the target, a yanked one included; remembered for the solver."""
        project = variable.project
        if project.best(index, yanked=False) is not None:
            return True
        if project.best(index, yanked=True) is not None:
            variable.special |= 1 << index + 1
            return True
        self._exclude(variable, index)
        return False

    def _exclude(self, variable: Variable, index: int) -> None:
        value = 1 << index + 1
        if variable.unusable is None:
            variable.unusable = Incompatibility({variable.number: value}, variable)
            self._solver.add(variable.unusable)
        elif not variable.unusable.terms[variable.number] & value:
            variable.unusable.terms[variable.number] |= value
            self._solver.grew(variable.unusable)

    # Reading.

    def _read_candidate(self, candidate: Candidate) -> bool:
        """Turn what a candidate requires into incompatibilities; False where its metadata can't be used."""
        key = (candidate.identifier, candidate.index)
        if key in self._read:
            return True
        try:
            dependencies = list(self._provider.dependencies_of(candidate))
        except Unusable:
            self._refuse(candidate)
            return False
        self._read[key] = candidate, dependencies
        for dependency in dependencies:
            self._require(candidate.name, candidate.extra, 1 << candidate.index + 1, dependency)
        return True

    def _refuse(self, candidate: Candidate) -> None:
        variable = self._variables[candidate.name]
        if candidate.index in variable.project.unusable:
            self._exclude(variable, candidate.index)
        else:
            extra = self._variables[candidate.identifier]
            terms = {extra.number: PRESENT, variable.number: 1 << candidate.index + 1}
            self._solver.add(Incompatibility(terms, variable))

    def _require(self, parent: str, extra: str, value: int, dependency: Dependency) -> None:
        """Add a dependency of the version *value* of *parent*, or of its *extra*; of the project itself without a parent."""
        target = self._variable(dependency.name, dependency.extra)
        mask = ABSENT if dependency.extra else target.full & ~(self._provider.narrow(dependency) << 1)
        if parent == dependency.name and not dependency.extra:
            self._require_itself(extra, value, mask, dependency)
            return
        key = (parent, extra, mask, dependency.identifier)
        edge = self._edges.get(key)
        if edge is not None and self._is_same_kind(edge.dependency, dependency):
            number = self._variables[parent].number if parent else self._root
            if edge.incompatibility.terms[number] & value == value:
                return
            edge.incompatibility.terms[number] |= value
            self._solver.grew(edge.incompatibility)
        else:
            terms = {self._variables[parent].number: value} if parent else {self._root: PRESENT}
            if extra:
                terms[self._variable(parent, extra).number] = PRESENT
            terms[target.number] = mask
            edge = self._edges[key] = Edge(parent, extra, dependency, Incompatibility(terms))
            target.edges.append(edge)
            self._solver.add(edge.incompatibility)
        if not dependency.extra:
            self._look_at(target, dependency)
        self._reconsider(dependency)

    def _is_same_kind(self, one: Dependency, other: Dependency) -> bool:
        """Whether two dependencies with the same mask admit the same pre-releases and yanked releases."""
        name, admits = one.name, self._provider.admits_prereleases
        return one.exact == other.exact and admits(name, [one]) == admits(name, [other])

    def _require_itself(self, extra: str, value: int, mask: int, dependency: Dependency) -> None:
        if value & mask:
            terms = {self._variables[dependency.name].number: value}
            if extra:
                terms[self._variables[f"{dependency.name}[{extra}]"].number] = PRESENT
            incompatibility = Incompatibility(terms)
            Edge(dependency.name, extra, dependency, incompatibility)
            self._solver.add(incompatibility)

    def _look_at(self, target: Variable, dependency: Dependency) -> None:
        """Exclude what can't be used from the best version that *dependency* admits down to the first that can."""
        mask = self._provider.narrow(dependency)
        if target.unusable is not None:
            mask &= ~(target.unusable.terms[target.number] >> 1)
        for index in self._provider.ordered(target.project, mask):
            if self._is_usable(target, index):
                return

    def _variable(self, name: str, extra: str) -> Variable:
        identifier = f"{name}[{extra}]" if extra else name
        variable = self._variables.get(identifier)
        if variable is None:
            project = self._provider.project(name)
            variable = Variable(0, project, extra)
            quarantined = project.page.status == "quarantined"
            variable.number = self._solver.add_variable(ABSENT if quarantined else variable.full)
            self._variables[identifier] = variable
            self._by_number.append(variable)
            if extra:
                self._variable(name, "").extras.append(variable)
            else:
                variable.special = project.page.versions.prereleases << 1
        return variable

    # Conclusions from what is known: what no known dependency admits, and what no known dependency needs.

    def _conclude(self, variable: Variable) -> None:
        """Exclude the pre-releases and yanked releases that wait for a dependency which admits them."""
        left, final, enabling = self._enabling(variable)
        self._assume({variable.number: left}, enabling, [variable.project.page.name], (left, final))

    def _conclude_early(self, variable: Variable) -> bool:
        """Exclude them at once where no known dependency would admit them; False where one would."""
        left, final, enabling = self._enabling(variable)
        if not enabling:
            self._assume({variable.number: left}, (), [variable.project.page.name], (left, final))
        return not enabling

    def _enabling(self, variable: Variable) -> tuple[int, int, list[Edge]]:
        """What is left of a variable, its newest final release, and the edges not in force that would admit what is left."""
        number = variable.number
        left = self._solver.domains[number]
        final = self._newest_final(variable) if left & variable.project.page.versions.prereleases << 1 else 0
        enabling = [
            edge
            for edge in variable.edges
            if self._is_enabling(edge.dependency, left, final)
            and not self._solver.holds(edge.incompatibility, but=number)
        ]
        return left, final, enabling

    def _assume(
        self, terms: dict[int, int], edges: Sequence[Edge], names: Sequence[str], concluded: tuple[int, int] | None
    ) -> None:
        """Add that *terms* can't hold where none of *edges* is in force, as far as is known."""
        solver = self._solver
        for edge in edges:
            number, without = self._way_out(edge)
            if without is None:
                # A closed world: what nothing needs yet is absent.
                solver.decide(number, ABSENT)
                return
            terms[number] = terms.get(number, without) & without
        for name in names:
            self._concluded.setdefault(name, []).append(concluded)
        solver.add(Incompatibility(terms, assumptions=frozenset(names)))

    def _way_out(self, edge: Edge) -> tuple[int, int | None]:
        """A term that holds where *edge* is not in force; None where its variable must be decided to be absent first."""
        domains = self._solver.domains
        sources = [n for n in edge.incompatibility.terms if n != self._variables[edge.dependency.identifier].number]
        fallback: tuple[int, int | None] | None = None
        for number in sources:
            variable = self._by_number[number]
            if variable is None:
                continue
            without = variable.full & ~edge.incompatibility.terms[number]
            if not domains[number] & ~without:
                return number, without
            if domains[number] & ABSENT and domains[number] != ABSENT:
                fallback = number, None
            fallback = fallback or (number, without)
        assert fallback is not None
        return fallback

    def _is_enabling(self, dependency: Dependency, left: int, final: int) -> bool:
        """Whether *dependency*, if it were in force, might admit a pre-release or a yanked release of *left*."""
        mask = self._provider.narrow(dependency) << 1
        return bool(
            (dependency.exact and mask & left)
            or versions.names_prerelease(dependency.requirement.specifier)
            or final & ~mask
        )

    def _newest_final(self, variable: Variable) -> int:
        """A final release that all dependencies in force admit, as few others as possible do not."""
        in_force = [e.dependency for e in variable.edges if self._solver.holds(e.incompatibility, but=variable.number)]
        mask, yanked = self._provider.admitted(variable.project, in_force)
        usable = [
            index
            for index in self._provider.ordered(variable.project, mask)
            if variable.project.best(index, yanked=yanked) is not None
        ]
        if not usable:
            return 0
        masks = [self._provider.narrow(edge.dependency) for edge in variable.edges]
        return 2 << min(usable, key=lambda index: sum(not mask >> index & 1 for mask in masks))

    def _reconsider(self, dependency: Dependency) -> None:
        """Drop what was concluded, where a dependency that was not known then could make a difference."""
        known = self._concluded.get(dependency.name, ())
        if any(left is None or self._is_enabling(dependency, *left) for left in known):
            del self._concluded[dependency.name]
            self._solver.retract(dependency.name)

    def _read_more(self, proof: Incompatibility) -> bool:
        """Read versions that were not tried, until one has a dependency that was not known to the proof of "no"."""
        left = _MOST_READ if proof.assumptions else 0
        # The list grows while it is read.
        for variable in filter(None, self._by_number):
            for candidate in self._unread(variable):
                if not left:
                    return False
                left -= 1
                self._read_candidate(candidate)
                if not proof.assumptions <= self._concluded.keys():
                    return True
        return False

    def _unread(self, variable: Variable) -> Iterator[Candidate]:
        project = variable.project
        for index in range(len(project.page.versions) - 1, -1, -1):
            wheel = project.best(index, yanked=True)
            if wheel is not None:
                candidate = project.candidate(variable.extra, index, wheel)
                if (candidate.identifier, index) not in self._read:
                    yield candidate

    # The answer.

    def _answer(self) -> tuple[Pins, Dependencies] | None:
        """The pins; None where something is not as it has to be, and the search goes on."""
        pins, dependencies = self._pins()
        needed = reached(self._roots, dependencies)
        if needed != pins.keys():
            self._refute_unneeded(set(pins) - needed)
            return None
        in_force = active(self._roots, dependencies)
        for pin in pins.values():
            if not pin.extra and not is_admitted(self._provider, pin, in_force):
                self._conclude(self._variables[pin.name])
                return None
        if self._hope(pins, in_force):
            return None
        return pins, dependencies

    def _pins(self) -> tuple[Pins, Dependencies]:
        pins: Pins = {}
        dependencies: Dependencies = {}
        domains = self._solver.domains
        for variable in self._variables.values():
            name = variable.project.page.name
            if domains[variable.number] & ABSENT:
                continue
            base = domains[self._variables[name].number]
            identifier = f"{name}[{variable.extra}]" if variable.extra else name
            pins[identifier], dependencies[identifier] = self._read[identifier, base.bit_length() - 2]
        return pins, dependencies

    def _refute_unneeded(self, unneeded: set[str]) -> None:
        """What needs itself alone is absent, unless something else needs it."""
        variable = self._variables[min(unneeded)]
        outside = [
            edge
            for identifier in unneeded
            for edge in self._variables[identifier].edges
            if (f"{edge.parent}[{edge.extra}]" if edge.extra else edge.parent) not in unneeded
        ]
        names = sorted({identifier.partition("[")[0] for identifier in unneeded})
        self._assume({variable.number: variable.full & ~ABSENT}, outside, names, None)

    def _hope(self, pins: Pins, in_force: dict[str, list[Dependency]]) -> bool:
        """Whether a root is to be tried again with a release that only the dependencies of the answer admit."""
        for dependency in self._roots:
            name = dependency.name
            first = next(self._provider.candidates(name, in_force[name]), None)
            if first is None or first.index == pins[name].index:
                continue
            value = 1 << first.index
            if value << 1 & self._variables[name].special and not self._hopes.get(name, 0) & value:
                self._hopes[name] = self._hopes.get(name, 0) | value
                self._solver.backjump(0)
                return True
        return False
