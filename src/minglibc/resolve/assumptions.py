"""What follows from the dependencies that are known so far, and is dropped when another one is read.

A pre-release or a yanked release needs a dependency in force that admits it, and a project needs a dependency at all.
"""

from collections.abc import Collection, Sequence

from minglibc.model import versions
from minglibc.resolve.candidates import Dependency
from minglibc.resolve.graph import DependencyGraph, names_of
from minglibc.resolve.solver import Incompatibility
from minglibc.resolve.variables import ABSENT, PRESENT, Edge, Variable

# What may be read before "no", for a dependency that would admit a pre-release or a yanked release: of projects that require
# its project in another release, and of all others together.
_MOST_LIKELY, _MOST_OTHERS = 200, 30


class Assumptions:
    """Incompatibilities that hold as far as is known."""

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph
        self._solver = graph.solver
        graph.on_dependency = self._reconsider
        # By project: the values that were excluded and the newest final release; None for a project that nothing needs.
        self._excluded: dict[str, list[tuple[int, int] | None]] = {}

    def exclude_special(self, variable: Variable, *, unconditionally: bool = False) -> bool:
        """Exclude the pre-releases and yanked releases that are left, where no dependency that admits them is in force.

        With *unconditionally*, only if no known dependency would admit them; whether they were excluded.
        """
        values = self._solver.domains[variable.number]
        final = self._newest_final(variable) if values & variable.project.page.versions.prereleases << 1 else 0
        enabling = [
            edge
            for edge in variable.edges
            if self._is_enabling(edge.dependency, values, final)
            and not self._solver.holds(edge.incompatibility, but=variable.number)
        ]
        if unconditionally and enabling:
            return False
        self._assume({variable.number: values}, enabling, [variable.project.page.name], (values, final))
        return True

    def exclude_unneeded(self, unneeded: set[str]) -> None:
        """Exclude identifiers that need only each other, unless something else needs them."""
        graph = self._graph
        variable = graph.variables[min(unneeded)]
        outside = [
            edge
            for identifier in unneeded
            for edge in graph.variables[identifier].edges
            if edge.parent_identifier not in unneeded
        ]
        self._assume({variable.number: variable.full & ~ABSENT}, outside, names_of(sorted(unneeded)), None)

    def disprove(self, proof: Incompatibility) -> bool:
        """Read versions that were not tried, until one has a dependency that a proof of "no" did not know.

        What is excluded in any case is not read.
        """
        if not proof.assumptions:
            return False
        likely = {edge.parent for name in map(str, proof.assumptions) for edge in self._graph.variables[name].edges}
        return self._read_more(proof, likely, _MOST_LIKELY) or self._read_more(proof, None, _MOST_OTHERS)

    def _read_more(self, proof: Incompatibility, names: Collection[str] | None, budget: int) -> bool:
        """Read up to *budget* versions, only of the projects *names* if given; whether one has such a dependency."""
        possible = dict(enumerate(self._solver.unconditional()))
        # The list grows while it is read.
        for variable in filter(None, self._graph.all_variables()):
            name = variable.project.page.name
            if names is not None and name not in names:
                continue
            if variable.extra and not possible.get(variable.number, PRESENT) & PRESENT:
                continue
            project = self._graph.variables[name].number
            for candidate in self._graph.unread(variable):
                if not possible.get(project, -1) >> candidate.index + 1 & 1:
                    continue
                if not budget:
                    return False
                budget -= 1
                self._graph.read(candidate)
                if not proof.assumptions <= self._excluded.keys():
                    return True
        return False

    def _reconsider(self, dependency: Dependency) -> None:
        """Drop what was assumed, where a dependency that was not known then makes a difference."""
        assumed = self._excluded.get(dependency.name, ())
        if any(excluded is None or self._is_enabling(dependency, *excluded) for excluded in assumed):
            del self._excluded[dependency.name]
            self._solver.retract(dependency.name)

    def _assume(
        self, terms: dict[int, int], edges: Sequence[Edge], names: Sequence[str], excluded: tuple[int, int] | None
    ) -> None:
        """Add that *terms* can't hold where none of *edges* is in force."""
        solver = self._solver
        for edge in edges:
            number, without = self._way_out(edge)
            if without is None:
                # What nothing needs yet is absent.
                solver.decide(number, ABSENT)
                return
            terms[number] = terms.get(number, without) & without
        for name in names:
            self._excluded.setdefault(name, []).append(excluded)
        solver.add(Incompatibility(terms, assumptions=frozenset(names)))

    def _way_out(self, edge: Edge) -> tuple[int, int | None]:
        """A term that holds where *edge* is not in force; None where its variable must be decided to be absent first."""
        domains = self._solver.domains
        target = self._graph.variables[edge.dependency.identifier].number
        fallback: tuple[int, int | None] | None = None
        for number in edge.incompatibility.terms:
            variable = self._graph.variable_of(number)
            if variable is None or number == target:
                continue
            without = variable.full & ~edge.incompatibility.terms[number]
            if not domains[number] & ~without:
                return number, without
            if domains[number] & ABSENT and domains[number] != ABSENT:
                fallback = number, None
            fallback = fallback or (number, without)
        assert fallback is not None
        return fallback

    def _is_enabling(self, dependency: Dependency, values: int, final: int) -> bool:
        """Whether *dependency*, if it were in force, might admit a pre-release or a yanked release of *values*."""
        mask = self._graph.provider.narrow(dependency) << 1
        return bool(
            (dependency.exact and mask & values)
            or versions.names_prerelease(dependency.requirement.specifier)
            or final & ~mask
        )

    def _newest_final(self, variable: Variable) -> int:
        """A final release that all dependencies in force admit, as few others as possible do not."""
        provider, project = self._graph.provider, variable.project
        mask, yanked = provider.admitted(project, self._graph.in_force(variable))
        usable = [index for index in provider.ordered(project, mask) if project.best(index, yanked=yanked) is not None]
        if not usable:
            return 0
        masks = [provider.narrow(edge.dependency) for edge in variable.edges]
        return 2 << min(usable, key=lambda index: sum(not mask >> index & 1 for mask in masks))
