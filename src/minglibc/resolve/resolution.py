"""What a resolution of one target results in: the answer, or the conflict that leaves none."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minglibc.model.artifacts import Artifact
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Provider

if TYPE_CHECKING:
    from minglibc.resolve.conflict import Attempt, Cause


class ActiveRequirement(NamedTuple):
    """A requirement in force in an answer, and its parent: "the project", "extra x", "group dev" or "name 1.0"."""

    parent: str
    requirement: Requirement


class Resolution(NamedTuple):
    """The answer for one target; identifiers are ``name`` or ``name[extra]``, *requirements* are by project name."""

    target: Target
    artifacts: Mapping[str, Artifact]
    dependencies: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, tuple[str, ...]]
    requirements: Mapping[str, tuple[ActiveRequirement, ...]]
    warnings: tuple[str, ...] = ()


class Unresolvable(Exception):
    """There is no answer: the dependencies in conflict. Or the search was stopped after *seconds*.

    Of a stopped search, *contested* are the packages that conflict most, and *bound* is a requirement that would shorten it.
    """

    def __init__(
        self,
        causes: "Sequence[Cause]",
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


OnTry = Callable[["Attempt"], None]
