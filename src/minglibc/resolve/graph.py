"""What a search knows: projects, extras and the dependencies of the versions read so far, as variables and incompatibilities.

A project's variable has a value for each version and one for its absence; an extra's is absent or present. What a version
requires is an incompatibility: "a 1.0 and a b that is not >=2". Versions with the same dependency share one.
"""

from collections.abc import Callable, Iterator, Sequence

from minglibc.errors import IndexUnreachable
from minglibc.resolve.candidates import FARTHEST_AHEAD, Candidate, Dependency, Provider, Unusable
from minglibc.resolve.solver import Incompatibility, Solver
from minglibc.resolve.validity import Dependencies, Pins
from minglibc.resolve.variables import ABSENT, PRESENT, Edge, Variable

# From so many versions of a project on, the next ones are read ahead.
_SEVERAL = 2
# Of a project with more versions than this, as few as possible are read.
MANY = 100


class DependencyGraph:
    """The variables of a solver, and the metadata that they come from."""

    def __init__(self, provider: Provider, solver: Solver) -> None:
        self.provider = provider
        self.solver = solver
        self.variables: dict[str, Variable] = {}
        # What is admitted although nothing in force admits it yet, by project: to be tried for a root, and checked at the end.
        self.hopes: dict[str, int] = {}
        # Called for each dependency that differs from all before it.
        self.on_dependency: Callable[[Dependency], None] = lambda dependency: None  # noqa: ARG005
        self._root = solver.add_variable(PRESENT)
        self._by_number: list[Variable | None] = [None]
        self._edges: dict[tuple[str, str, int, str], Edge] = {}
        self._read: dict[tuple[str, int], tuple[Candidate, list[Dependency]]] = {}

    def variable_of(self, number: int) -> Variable | None:
        """The variable with a solver's number; None for the root and for no variable (-1)."""
        return self._by_number[number] if number > 0 else None

    def all_variables(self) -> list[Variable | None]:
        """Every variable by its number; None for the root."""
        return self._by_number

    def usable_domains(self) -> list[int]:
        """The domain of each variable without the versions that were found to be unusable."""
        initial = self.solver.initial
        return [
            domain & variable.usable if variable else domain
            for domain, variable in zip(initial, self._by_number, strict=True)
        ]

    def require(self, dependency: Dependency) -> Variable:
        """Add a dependency of the project itself."""
        self._add("", "", 0, dependency)
        return self.variables[dependency.name]

    def read(self, candidate: Candidate) -> bool:
        """Turn what a candidate requires into incompatibilities; False if its metadata is invalid."""
        if self.is_read(candidate.identifier, candidate.index):
            return True
        try:
            dependencies = list(self.provider.dependencies_of(candidate))
        except Unusable:
            self._refuse(candidate)
            return False
        self._read[candidate.identifier, candidate.index] = candidate, dependencies
        for dependency in dependencies:
            self._add(candidate.name, candidate.extra, 1 << candidate.index + 1, dependency)
        return True

    def read_ahead(self, variable: Variable, index: int) -> None:
        """Read the next versions of a project below one that was read, about as many as were read before.

        Where several were excluded, the next ones often are for the same reason: one conflict excludes them together.
        Reading stops at a version that names another project, as its page may be a request.
        """
        project = variable.project
        budget = min(len(project.tried), FARTHEST_AHEAD)
        domain = self.solver.undecided_domain(variable.number)
        if budget < _SEVERAL or domain.bit_count() > MANY:
            return
        rest = (domain >> 1) & ((1 << index) - 1)
        while rest and budget:
            index = rest.bit_length() - 1
            rest ^= 1 << index
            if self.is_read(project.page.name, index):
                continue
            wheel = project.best(index, yanked=False)
            if wheel is not None and not self._read_if_known(project.candidate("", index, wheel)):
                return
            budget -= 1

    def _read_if_known(self, candidate: Candidate) -> bool:
        """Read a candidate if all projects and extras that it requires are known; whether that is so."""
        try:
            known = all(
                dependency.identifier in self.variables for dependency in self.provider.dependencies_of(candidate)
            )
        except (Unusable, IndexUnreachable):
            return False  # it may not be needed
        return known and self.read(candidate)

    def is_read(self, identifier: str, index: int) -> bool:
        """Whether the metadata of a version was read."""
        return (identifier, index) in self._read

    def dependencies_of(self, candidate: Candidate) -> list[Dependency]:
        """What a candidate that was read requires."""
        return self._read[candidate.identifier, candidate.index][1]

    def versions_read(self, name: str) -> list[int]:
        """The versions of a project whose metadata were read."""
        return [index for identifier, index in self._read if identifier == name]

    def unread(self, variable: Variable) -> Iterator[Candidate]:
        """The candidates of a variable that were not read, newest first."""
        project = variable.project
        for index in range(len(project.page.versions) - 1, -1, -1):
            wheel = project.best(index, yanked=True)
            if wheel is not None:
                candidate = project.candidate(variable.extra, index, wheel)
                if not self.is_read(candidate.identifier, index):
                    yield candidate

    def in_force(self, variable: Variable) -> list[Dependency]:
        """The dependencies on a variable that the decisions so far put in force."""
        domains, holds, number = self.solver.domains, self.solver.holds, variable.number
        return [
            edge.dependency
            for edge in variable.edges
            # Hundreds of versions of one parent may have edges of their own: most are excluded by the first term.
            if not domains[edge.number] & ~edge.incompatibility.terms[edge.number]
            and (not edge.extra or holds(edge.incompatibility, but=number))
        ]

    def admitted(self, variable: Variable) -> Iterator[tuple[int, bool]]:
        """The versions in the domain that the dependencies in force admit, best first, and whether as yanked ones."""
        project = variable.project
        rest = self.solver.domains[variable.number] >> 1
        for index in self.provider.ordered(project, rest):
            if self._is_usable(variable, index):
                # What is in force is only looked at where it matters: that takes time with many versions.
                if variable.special >> index + 1 & 1:
                    yield from self._specially_admitted(variable, rest)
                    return
                yield index, False
            rest ^= 1 << index

    def _specially_admitted(self, variable: Variable, values: int) -> Iterator[tuple[int, bool]]:
        """As ``admitted``, where pre-releases or yanked releases are among the versions *values*."""
        project = variable.project
        mask, yanked = self.provider.admitted(project, self.in_force(variable))
        hopes = self.hopes.get(project.page.name, 0)
        for index in self.provider.ordered(project, (mask | hopes) & values):
            may_be_yanked = yanked or bool(hopes >> index & 1)
            if self._is_usable(variable, index) and project.best(index, yanked=may_be_yanked):
                yield index, may_be_yanked

    def is_settled(self, variable: Variable) -> bool:
        """Whether the one version that is left was read with its extras, and is admitted."""
        domain = self.solver.domains[variable.number]
        index = domain.bit_length() - 2
        name = variable.project.page.name
        if not self.is_read(name, index):
            return False
        for extra in variable.extras:
            if self.solver.domains[extra.number] == PRESENT and not self.is_read(extra.identifier, index):
                return False
        return not domain & variable.special or any(True for _ in self.admitted(variable))

    def pins(self) -> tuple[Pins, Dependencies]:
        """The candidate of each identifier that is present, and what it requires; all of them were read."""
        pins: dict[str, Candidate] = {}
        dependencies: dict[str, list[Dependency]] = {}
        domains = self.solver.domains
        for identifier, variable in self.variables.items():
            if domains[variable.number] & ABSENT:
                continue
            base = domains[self.variables[variable.project.page.name].number]
            pins[identifier], dependencies[identifier] = self._read[identifier, base.bit_length() - 2]
        return pins, dependencies

    def _add(self, parent: str, extra: str, value: int, dependency: Dependency) -> None:
        """Add a dependency of the version *value* of *parent*, or of its *extra*; of the project itself without a parent."""
        target = self._variable(dependency.name, dependency.extra)
        mask = ABSENT if dependency.extra else target.full & ~(self.provider.narrow(dependency) << 1)
        if parent == dependency.name and not dependency.extra:
            self._add_on_itself(extra, value, mask, dependency)
            return
        key = (parent, extra, mask, dependency.identifier)
        edge = self._edges.get(key)
        if edge is not None and self._is_same_kind(edge.dependency, dependency):
            number = self.variables[parent].number if parent else self._root
            if edge.incompatibility.terms[number] & value == value:
                return
            edge.incompatibility.terms[number] |= value
            self.solver.grew(edge.incompatibility)
        else:
            terms = {self.variables[parent].number: value} if parent else {self._root: PRESENT}
            if extra:
                terms[self._variable(parent, extra).number] = PRESENT
            terms[target.number] = mask
            edge = self._edges[key] = Edge(parent, extra, dependency, Incompatibility(terms), next(iter(terms)))
            target.edges.append(edge)
            self.solver.add(edge.incompatibility)
        if not dependency.extra:
            self._exclude_unusable(target, dependency)
        self.on_dependency(dependency)

    def _is_same_kind(self, one: Dependency, other: Dependency) -> bool:
        """Whether two dependencies with the same mask admit the same pre-releases and yanked releases."""
        name, admits = one.name, self.provider.admits_prereleases
        return one.exact == other.exact and admits(name, [one]) == admits(name, [other])

    def _add_on_itself(self, extra: str, value: int, mask: int, dependency: Dependency) -> None:
        if value & mask:
            terms = {self.variables[dependency.name].number: value}
            if extra:
                terms[self.variables[f"{dependency.name}[{extra}]"].number] = PRESENT
            incompatibility = Incompatibility(terms)
            Edge(dependency.name, extra, dependency, incompatibility, self.variables[dependency.name].number)
            self.solver.add(incompatibility)

    def _exclude_unusable(self, target: Variable, dependency: Dependency) -> None:
        """Exclude unusable versions from the best one that *dependency* admits down to the first usable one."""
        mask = self.provider.narrow(dependency)
        if target.unusable is not None:
            mask &= ~(target.unusable.terms[target.number] >> 1)
        for index in self.provider.ordered(target.project, mask):
            if self._is_usable(target, index):
                return

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
            self.solver.add(variable.unusable)
        elif not variable.unusable.terms[variable.number] & value:
            variable.unusable.terms[variable.number] |= value
            self.solver.grew(variable.unusable)

    def _refuse(self, candidate: Candidate) -> None:
        variable = self.variables[candidate.name]
        if candidate.index in variable.project.unusable:
            self._exclude(variable, candidate.index)
        else:
            extra = self.variables[candidate.identifier]
            terms = {extra.number: PRESENT, variable.number: 1 << candidate.index + 1}
            self.solver.add(Incompatibility(terms, variable))

    def _variable(self, name: str, extra: str) -> Variable:
        identifier = f"{name}[{extra}]" if extra else name
        variable = self.variables.get(identifier)
        if variable is None:
            project = self.provider.project(name)
            variable = Variable(identifier, project, extra)
            quarantined = project.page.status == "quarantined"
            variable.number = self.solver.add_variable(ABSENT if quarantined else variable.full)
            self.variables[identifier] = variable
            self._by_number.append(variable)
            if extra:
                self._variable(name, "").extras.append(variable)
            else:
                variable.special = project.page.versions.prereleases << 1
        return variable


def names_of(candidates: Sequence[str]) -> list[str]:
    """The projects of identifiers, each once."""
    return list(dict.fromkeys(identifier.partition("[")[0] for identifier in candidates))
