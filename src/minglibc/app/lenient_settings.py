"""Settings of commands that use a lock and do not parse pyproject.toml, whose other mistakes they ignore."""

from collections.abc import Sequence
from typing import Any

from minglibc.config.toml_file import nested_table
from minglibc.errors import SettingsError
from minglibc.model import toml


def table(pyproject: str | None, *names: str) -> dict[str, Any]:
    """The table below *names*; empty if it is missing or the text is invalid."""
    try:
        document = toml.loads(pyproject or "")
    except (ValueError, RecursionError):
        return {}
    return nested_table(document, *names)


def choice(pyproject: str | None, key: str, choices: Sequence[str]) -> str:
    """The value of *key* in [tool.minglibc], by default the first of *choices*; raises SettingsError for another value."""
    value = table(pyproject, "tool", "minglibc").get(key, choices[0])
    if not isinstance(value, str) or value not in choices:
        expected = " or ".join(f'"{name}"' for name in choices)
        raise SettingsError(f"tool.minglibc.{key} is {value!r}; expected {expected}")
    return value
