"""What a search of a conflict reports: the dependencies that take part, and what it tries."""

from collections.abc import Sequence
from typing import NamedTuple

from minglibc.resolve.candidates import Candidate, Dependency

# Of a specifier, more exclusions than this are not shown.
_MOST_EXCLUSIONS = 2
# A message lists as many ranges of releases; two releases are no range.
_MOST_RANGES = 4
_PAIR = 2


class Cause(NamedTuple):
    """A dependency that takes part in a conflict, and the candidate that has it; None for the project itself.

    *releases* are the versions of the parent that have it, newest first, and *ranges* are the same in few words.
    """

    requirement: Dependency
    parent: Candidate | None
    releases: tuple[str, ...] = ()
    ranges: str = ""

    def __str__(self) -> str:
        dependency, parent = self.requirement, self.parent
        requirement = dependency.requirement._replace(specifier=_shortened(dependency.requirement.specifier))
        text = requirement.without_marker
        if dependency.extra:
            text = f"{dependency.name}[{dependency.extra}]{requirement.specifier}"
        if parent is None:
            return f"{dependency.parent or 'the project'} requires {text}"
        verb = "require" if len(self.releases) > 1 else "requires"
        return f"{parent.identifier} {self.ranges} {verb} {text}"


def _shortened(specifier: str) -> str:
    """A specifier without its exclusions, if these are many."""
    clauses = specifier.split(",")
    kept = [clause for clause in clauses if not clause.startswith("!=")]
    return ",".join([*kept, "!=…"]) if kept and len(clauses) - len(kept) > _MOST_EXCLUSIONS else specifier


def ranges_of(texts: Sequence[str], positions: Sequence[int], skipped: int = 0) -> str:
    """The versions of *texts* at *positions*, newest first, such as ``3.2, 1.0 to 2.4 and 5 more``.

    Versions of the mask *skipped* do not interrupt a range.
    """
    runs: list[list[int]] = []
    for position in sorted(positions, reverse=True):
        if runs and all(skipped >> other & 1 for other in range(position + 1, runs[-1][-1])):
            runs[-1].append(position)
        else:
            runs.append([position])
    parts: list[tuple[str, int]] = []
    for run in runs:
        if len(run) > _PAIR:
            parts.append((f"{texts[run[-1]]} to {texts[run[0]]}", len(run)))
        else:
            parts += [(texts[position], 1) for position in run]
    rest = sum(count for _, count in parts[_MOST_RANGES:])
    more = f" and {rest} more" if rest else ""
    return f"{', '.join(text for text, _ in parts[:_MOST_RANGES])}{more}"


class Attempt(NamedTuple):
    """What a search does at the moment: the candidate that it tries, for how long it runs, and what would shorten it."""

    package: str
    version: str
    seconds: float
    bound: str
