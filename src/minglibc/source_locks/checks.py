"""Values of a lock's tables, checked for their types."""

from collections.abc import Callable, Mapping
from typing import Any

from minglibc.model.artifacts import printable
from minglibc.source_locks.model import Invalid


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
