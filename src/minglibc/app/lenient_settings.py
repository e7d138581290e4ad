"""Settings of commands that use a lock and do not parse pyproject.toml, whose other mistakes they ignore."""

import re
from collections.abc import Sequence
from typing import Any

from minglibc.config.toml_file import nested_table
from minglibc.errors import SettingsError
from minglibc.model import toml
from minglibc.model.requirements import normalize_name


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


def project_name(pyproject: str | None) -> str:
    """The project's name: if it was installed by hand for development, a sync keeps it."""
    name = table(pyproject, "project").get("name") or table(pyproject, "tool", "poetry").get("name", "")
    return normalize_name(str(name))


def overridden_names(pyproject: str | None) -> frozenset[str]:
    """The packages for which settings replace what the metadata of others requires."""
    settings = table(pyproject, "tool", "minglibc")
    overrides = [
        re.split(r"[^A-Za-z0-9._-]", str(text).strip(), maxsplit=1)[0] for text in settings.get("overrides", ())
    ]
    return frozenset(normalize_name(str(name)) for name in [*overrides, *settings.get("excludes", ())])
