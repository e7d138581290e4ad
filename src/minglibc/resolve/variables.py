"""Projects, extras and dependencies as a Solver's variables and incompatibilities."""

from minglibc.resolve.candidates import Dependency, Project
from minglibc.resolve.solver import Incompatibility

ABSENT, PRESENT = 1, 2


class Edge:
    """A dependency that some versions of a project have in common, or of one of its extras."""

    __slots__ = ("dependency", "extra", "incompatibility", "number", "parent")

    def __init__(
        self, parent: str, extra: str, dependency: Dependency, incompatibility: Incompatibility, number: int
    ) -> None:
        # The parent's project and its variable's number; empty and the root's for the roots.
        self.parent = parent
        self.number = number
        self.extra = extra
        self.dependency = dependency
        self.incompatibility = incompatibility
        incompatibility.origin = self

    @property
    def parent_identifier(self) -> str:
        """The parent's project, or its extra that has the dependency."""
        return f"{self.parent}[{self.extra}]" if self.extra else self.parent


class Variable:
    """A project, or an extra of one, as the solver sees it."""

    __slots__ = ("edges", "extra", "extras", "identifier", "number", "project", "rank", "special", "unusable")

    def __init__(self, identifier: str, project: Project, extra: str) -> None:
        self.identifier = identifier
        self.project = project
        self.extra = extra
        self.number = 0
        # The edges that lead here.
        self.edges: list[Edge] = []
        self.extras: list[Variable] = []
        self.rank: int | None = None
        self.unusable: Incompatibility | None = None
        # Pre-releases and yanked releases, which need a dependency that admits them.
        self.special = 0

    @property
    def usable(self) -> int:
        """The values that were not found to be unusable."""
        return self.full & ~self.unusable.terms[self.number] if self.unusable is not None else self.full

    @property
    def full(self) -> int:
        """Its whole domain."""
        return ABSENT | PRESENT if self.extra else ABSENT | self.project.page.versions.all << 1
