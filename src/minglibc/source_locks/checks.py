"""Values of a lock's tables, checked for their types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from minglibc.model.artifacts import printable
from minglibc.source_locks.model import Invalid

_MOST_PROBLEMS = 10
_T = TypeVar("_T")


def check_version(name: str, version: object, known: str, is_known: Callable[[Any], bool]) -> None:
    """Raise Invalid unless *version*, of the format *name*, is one that this minglibc reads."""
    if isinstance(version, bool) or not is_known(version):
        described = printable(str(version)[:40]) if version is not None else "without a version"
        raise Invalid(f"its format is {name} {described}; this minglibc reads version {known}")


def table(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table *key* of *parent*; an empty one if it is missing."""
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise Invalid(f"{key} is not a table")
    return value


def tables(parent: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of tables *key* of *parent*; an empty one if it is missing."""
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Invalid(f"{key} is not a list of tables")
    return value


def text(parent: Mapping[str, Any], key: str, *, required: bool = False) -> str:
    """The string *key* of *parent*, without control characters; empty if it is missing."""
    value = parent.get(key, "")
    if not isinstance(value, str) or not value.isprintable() or (required and not value):
        raise Invalid(f"{key} {'is missing' if key not in parent else 'is not a valid string'}")
    return value


def strings(parent: Mapping[str, Any], key: str) -> list[str]:
    """The list of strings *key* of *parent*; an empty one if it is missing."""
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"{key} is not a list of strings")
    return value


def packages_of(rows: Sequence[Mapping[str, Any]], convert: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    """The *rows* of packages as *convert* returns them; raises Invalid that names the packages that are not valid."""
    packages: list[_T] = []
    problems: list[str] = []
    for row in rows:
        try:
            packages.append(convert(row))
        except Invalid as error:
            problems.append(in_package(row, error))
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more packages"]
    if problems:
        raise Invalid("\n".join(problems))
    return packages


def in_package(row: Mapping[str, Any], error: Invalid) -> str:
    """The message of *error* with the name of the package in whose table it is."""
    name = row.get("name")
    return f"{name[:100]}: {error}" if isinstance(name, str) and name else f"a package without a name: {error}"


def filename_of(address: str) -> str:
    """The name of the file at a URL or path."""
    if any(mark in address for mark in "%?#;"):
        address = unquote(urlsplit(address).path)
    return address.rpartition("/")[2]
