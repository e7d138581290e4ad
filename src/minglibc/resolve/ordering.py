"""Which variable a search decides next: the roots in their order, and what conflicts most as early as possible."""

from collections.abc import Collection, Sequence
from functools import reduce
from operator import and_

from minglibc.resolve.candidates import Candidate, Dependency
from minglibc.resolve.graph import MANY, DependencyGraph, names_of
from minglibc.resolve.variables import ABSENT, Variable

_REORDER = 5
_CONTESTED = 5


class Ordering:
    """The order of a search's decisions, which changes with its conflicts."""

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph
        self._solver = graph.solver
        # How often the choice of one project has excluded versions of another, and what is decided early for that.
        self._exclusions: dict[tuple[int, int], int] = {}
        self._priorities: dict[int, int] = {}
        # The needed projects with several versions left, and those with one that may not be settled.
        self._undecided: set[int] = set()
        self._single: set[int] = set()
        self._roots: list[Variable] | None = None
        # Settled on a pre-release or a yanked release, since the last time that decisions were taken back.
        self._admitted: set[int] = set()
        self._jumps = 0

    def order_roots(self, roots: Sequence[Dependency]) -> None:
        """Where the first choices of the roots can't agree on another project, decide the one that needs older versions first.

        Older releases need older releases, as a rule: the other roots come down and meet them.
        """
        graph, provider = self._graph, self._graph.provider
        wanted: dict[str, dict[str, int]] = {}
        for root in roots:
            variable = graph.variables[root.name]
            first = next(provider.candidates(root.name, [edge.dependency for edge in variable.edges]), None)
            if first is None:
                continue
            candidate = variable.project.candidate(root.extra, first.index, first.wheel)
            if not graph.read(candidate):
                continue
            for dependency in graph.dependencies_of(candidate):
                wishes = wanted.setdefault(dependency.name, {})
                wishes[root.name] = wishes.get(root.name, -1) & provider.narrow(dependency)
        later: dict[str, int] = {}
        for wishes in wanted.values():
            if len(wishes) > 1 and not reduce(and_, wishes.values()):
                for position, name in enumerate(sorted(wishes, key=wishes.__getitem__)):
                    later[name] = max(position, later.get(name, 0))
        latest = max(later.values(), default=0)
        for root in roots if latest else ():
            self._prioritize(graph.variables[root.name].number, latest - later.get(root.name, 0))

    def next(self, waiting: Collection[int]) -> Variable | None:
        """The variable to decide next: one without a choice first, then the roots, then what conflicted most.

        None where all are decided but those that are *waiting* for a dependency which admits what is left of them.
        """
        self._update()
        skipped = self._admitted.union(waiting)
        variable = self._unsettled(skipped)
        if variable is not None:
            return variable
        undecided = self._undecided - skipped
        for root in self._ordered_roots():
            if root.number in undecided:
                return root
        best = max(sorted(undecided), key=self._weight, default=None)
        return None if best is None else self._graph.variable_of(best)

    def _weight(self, number: int) -> tuple[int, float]:
        # Of what is decided late, that with the fewest versions first: these may show a conflict soonest.
        priority = self._priorities.get(number, 0)
        return priority, self._solver.activity[number] if priority >= 0 else -self._solver.domains[number].bit_count()

    def _ordered_roots(self) -> list[Variable]:
        """The roots in the order in which they are decided."""
        if self._roots is None:
            roots = [variable for variable in self._graph.all_variables() if variable and variable.rank is not None]
            self._roots = sorted(roots, key=lambda root: (-self._priorities.get(root.number, 0), root.rank))
        return self._roots

    def _prioritize(self, number: int, priority: int) -> None:
        self._priorities[number] = priority
        self._roots = None

    def _update(self) -> None:
        """Sort what has changed since the last time into what has several versions left, and what has one."""
        touched, variables, domains = self._solver.touched, self._graph.variables, self._solver.domains
        for variable in filter(None, map(self._graph.variable_of, touched)):
            number = variables[variable.project.page.name].number
            domain = domains[number]
            self._admitted.discard(number)
            self._single.discard(number)
            self._undecided.discard(number)
            if not domain & ABSENT:
                (self._undecided if domain & (domain - 1) else self._single).add(number)
        touched.clear()
        if self._jumps != self._solver.jumps:
            self._jumps = self._solver.jumps
            self._admitted.clear()

    def _unsettled(self, skipped: Collection[int]) -> Variable | None:
        """A project with one version left that is not settled."""
        for number in sorted(self._single):
            if number in skipped:
                continue
            project = self._graph.variable_of(number)
            assert project is not None
            if not self._graph.is_settled(project):
                return project
            if not self._solver.domains[number] & project.special:
                # What admits a special release can be taken back.
                self._single.discard(number)
            else:
                # More dependencies in force admit more; only where some are taken back, it must be checked again.
                self._admitted.add(number)
        return None

    def learn(self) -> None:
        """Decide a project earlier than another whose choice has excluded its versions again and again."""
        pairs = self._solver.pairs
        while pairs:
            affected, culprit = pair = pairs.pop()
            one, other = self._graph.variable_of(affected), self._graph.variable_of(culprit)
            if one is None or other is None or one.extra or other.extra:
                continue
            # All roots are decided before all other projects.
            if (one.rank is None) != (other.rank is None):
                continue
            self._exclusions[pair] = self._exclusions.get(pair, 0) + 1
            if self._exclusions[pair] == _REORDER:
                self._exclusions[pair] = 0
                earlier = self._priorities.get(culprit, 0) + 1
                self._prioritize(affected, max(self._priorities.get(affected, 0), earlier))
                self._solver.backjump(max(self._solver.level_of(culprit) - 1, 0))

    def note_exclusion(self, variable: Variable, candidates: Sequence[Candidate]) -> None:
        """Count the projects whose choice excludes *candidates* as soon as these are read; that is no conflict to the solver."""
        graph = self._graph
        for candidate in candidates:
            for dependency in graph.dependencies_of(candidate):
                target = graph.variables[dependency.name]
                values = graph.provider.narrow(dependency) << 1
                if self._solver.domains[target.number] & values:
                    continue
                if not target.usable & values or not self._solver.level_of(target.number):
                    self._note_unconditional(variable)
                else:
                    self._solver.pairs.append((variable.number, target.number))
        self.learn()

    def _note_unconditional(self, variable: Variable) -> None:
        """Decide a project with many versions late if they are excluded whatever is chosen.

        A conflict between other projects may spare reading all of them. Roots keep their order.
        """
        if variable.rank is not None:
            return
        pair = variable.number, -1
        self._exclusions[pair] = self._exclusions.get(pair, 0) + 1
        if self._exclusions[pair] == _REORDER and self._solver.domains[variable.number].bit_count() > MANY:
            self._prioritize(variable.number, -1)

    def contested(self) -> list[str]:
        """The projects that take part in most conflicts."""
        activity, variables = self._solver.activity, self._graph.variables
        names = sorted(variables, key=lambda name: -activity[variables[name].number])
        return names_of(names[: 2 * _CONTESTED])[:_CONTESTED]
