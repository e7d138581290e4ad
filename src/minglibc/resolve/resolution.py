"""What a resolution of one target results in: the answer, or the conflict that leaves none."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from minglibc.model.artifacts import Artifact
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Candidate, Dependency, Provider

# A message lists as many releases.
SHOWN = 6


class ActiveRequirement(NamedTuple):
    """A requirement in force in an answer, and its parent: "the project", "extra x", "group dev" or "name 1.0"."""

    parent: str
    requirement: Requirement


class Resolution(NamedTuple):
    """The answer for one target; identifiers are ``name`` or ``name[extra]``, *requirements* are by project name."""

    target: Target
    wheels: Mapping[str, Artifact]
    dependencies: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, tuple[str, ...]]
    requirements: Mapping[str, tuple[ActiveRequirement, ...]]
    warnings: tuple[str, ...] = ()


class Cause(NamedTuple):
    """A dependency that takes part in a conflict, and the candidate that has it; None for the project itself.

    *releases* are the versions of the parent that have it, newest first.
    """

    requirement: Dependency
    parent: Candidate | None
    releases: tuple[str, ...] = ()

    def __str__(self) -> str:
        dependency, parent = self.requirement, self.parent
        text = dependency.requirement.without_marker
        if dependency.extra:
            text = f"{dependency.name}[{dependency.extra}]{dependency.requirement.specifier}"
        if parent is None:
            return f"{dependency.parent or 'the project'} requires {text}"
        more = f" and {len(self.releases) - SHOWN} more" if len(self.releases) > SHOWN else ""
        verb = "require" if len(self.releases) > 1 else "requires"
        return f"{parent.identifier} {', '.join(self.releases[:SHOWN])}{more} {verb} {text}"


class Unresolvable(Exception):
    """There is no answer: the dependencies in conflict. Or the search was stopped after *seconds*.

    Of a stopped search, *contested* are the packages that conflict most, and *bound* is a requirement that would shorten it.
    """

    def __init__(
        self,
        causes: Sequence[Cause],
        provider: Provider,
        *,
        contested: Sequence[str] = (),
        seconds: float | None = None,
        bound: str = "",
    ) -> None:
        super().__init__("no resolution")
        self.causes = causes
        self.provider = provider
        self.contested = contested
        self.seconds = seconds
        self.bound = bound

    @property
    def gave_up(self) -> bool:
        """Whether the search was stopped before it was complete."""
        return self.seconds is not None


class Attempt(NamedTuple):
    """What a search does at the moment: the candidate that it tries, for how long it runs, and what would shorten it."""

    package: str
    version: str
    seconds: float
    bound: str


OnTry = Callable[[Attempt], None]
