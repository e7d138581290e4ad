"""Which variable a search decides next: the roots in their order, and what conflicts most as early as possible."""

from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from operator import and_

from minglibc.resolve.candidates import Candidate, Dependency
from minglibc.resolve.graph import MANY, DependencyGraph, names_of
from minglibc.resolve.variables import ABSENT, Variable

_REORDER = 5
_NO_ROOT = (1, 0)
_CONTESTED = 5


class Ordering:
    """The order of a search's decisions, which changes with its conflicts."""

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph
        self._solver = graph.solver
        # How often the choice of one project has excluded versions of another, and what is decided early for that.
        self._exclusions: dict[tuple[int, int], int] = {}
        self._priorities: dict[int, int] = {}
        # The projects that may be undecided: not those that are settled, or that nothing needs so far.
        self._open: set[int] = set()
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
            self._priorities[graph.variables[root.name].number] = latest - later.get(root.name, 0)

    def next(self, waiting: Collection[int]) -> Variable | None:
        """The variable to decide next: one without a choice first, then the roots, then what conflicted most.

        None where all are decided but those that are *waiting* for a dependency which admits what is left of them.
        """
        best: Variable | None = None
        best_weight: tuple[int, float] | None = None
        best_rank = _NO_ROOT
        activity, priorities, domains = self._solver.activity, self._priorities, self._solver.domains
        for variable in self._undecided(waiting):
            number, domain = variable.number, domains[variable.number]
            if not domain & (domain - 1):
                return variable
            if variable.rank is not None:
                rank = (-priorities.get(number, 0), variable.rank)
                if rank < best_rank:
                    best, best_rank = variable, rank
            elif best_rank == _NO_ROOT:
                priority = priorities.get(number, 0)
                # Of what is decided late, that with the fewest versions first: these may show a conflict soonest.
                weight = (priority, activity[number] if priority >= 0 else -domain.bit_count())
                if best_weight is None or weight > best_weight:
                    best, best_weight = variable, weight
        return best

    def _undecided(self, waiting: Collection[int]) -> Iterator[Variable]:
        """The projects that are needed and not settled, without those that are *waiting*."""
        touched, variables = self._solver.touched, self._graph.variables
        for variable in filter(None, map(self._graph.variable_of, touched)):
            number = variables[variable.project.page.name].number
            self._open.add(number)
            self._admitted.discard(number)
        touched.clear()
        if self._jumps != self._solver.jumps:
            self._jumps = self._solver.jumps
            self._admitted.clear()
        domains = self._solver.domains
        for number in sorted(self._open):
            domain = domains[number]
            if domain & ABSENT:
                self._open.discard(number)
                continue
            if number in waiting or number in self._admitted:
                continue
            project = self._graph.variable_of(number)
            assert project is not None
            if domain & (domain - 1) or not self._graph.is_settled(project):
                yield project
            elif not domain & project.special:
                # What admits a special release can be taken back.
                self._open.discard(number)
            else:
                # More dependencies in force admit more; only where some are taken back, it must be checked again.
                self._admitted.add(number)

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
                self._priorities[affected] = max(self._priorities.get(affected, 0), earlier)
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
            self._priorities[variable.number] = -1

    def contested(self) -> list[str]:
        """The projects that take part in most conflicts."""
        activity, variables = self._solver.activity, self._graph.variables
        names = sorted(variables, key=lambda name: -activity[variables[name].number])
        return names_of(names[: 2 * _CONTESTED])[:_CONTESTED]
