"""The differences between the versions of two locks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Change(NamedTuple):
    """A package whose versions or files differ; None if a lock does not have it."""

    name: str
    before: str | None
    after: str | None


def changes(
    before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]], replaced: Collection[str] = ()
) -> list[Change]:
    """The differences between the versions by name of two locks, sorted by name; *replaced* have other files."""
    differences = []
    for name in sorted({*before, *after}):
        old, new = ", ".join(before.get(name, ())) or None, ", ".join(after.get(name, ())) or None
        if old != new or name in replaced:
            differences.append(Change(name, old, new))
    return differences


def replaced_files(before: Mapping[str, Collection[str]], after: Mapping[str, Collection[str]]) -> set[str]:
    """The packages of which one lock has files that the other lacks, and the reverse: not those that only got more."""
    return {
        name for name in {*before} & {*after} if {*before[name]} - {*after[name]} and {*after[name]} - {*before[name]}
    }


def versions_of(packages: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The versions by name of a lock document's packages; a source tree is represented by its path."""
    versions: dict[str, list[str]] = {}
    for package in packages:
        version = package.get("version") or package["directory"]["path"]
        versions.setdefault(package["name"], []).append(version)
    return versions
