"""What a search of a conflict reports: the dependencies that take part, and what it tries."""

from typing import NamedTuple

from minglibc.resolve.candidates import Candidate, Dependency

# A message lists as many releases.
SHOWN = 6


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


class Attempt(NamedTuple):
    """What a search does at the moment: the candidate that it tries, for how long it runs, and what would shorten it."""

    package: str
    version: str
    seconds: float
    bound: str
