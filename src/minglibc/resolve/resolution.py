"""What a resolution of one target results in: the answer, or the conflict that leaves none."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from minglibc.model.artifacts import Artifact
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Candidate, Dependency, Provider


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


class Unresolvable(Exception):
    """There is no answer, or none was found in time: the dependencies in conflict, and what was tried most.

    *seconds* is how long the search took where it was stopped; None where it is certain that there is no answer.
    """

    def __init__(
        self,
        causes: Sequence[Cause],
        provider: Provider,
        *,
        contested: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        super().__init__("no resolution")
        self.causes = causes
        self.provider = provider
        self.contested = contested
        self.seconds = seconds

    @property
    def gave_up(self) -> bool:
        """Whether the search was stopped before it was complete."""
        return self.seconds is not None


class Attempt(NamedTuple):
    """What a search does at the moment: the candidate that it tries, for how long it runs, and what conflicts most."""

    package: str
    version: str
    seconds: float
    contested: Sequence[str]


OnTry = Callable[[Attempt], None]
