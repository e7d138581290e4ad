"""TOML text into tables, with error messages that name the line."""

import re
from typing import Any

from minglibc.errors import SettingsError
from minglibc.model import toml

_CONFLICT = r"(?m)^(?:<{7}|>{7})(?: .*)?$"


def load(text: str, name: str = "pyproject.toml") -> dict[str, Any]:
    """The tables of *text*; raises a SettingsError that says where the text is not valid TOML."""
    try:
        return toml.loads(text)
    except RecursionError as error:
        raise SettingsError(f"{name} is not valid TOML: it is nested too deeply") from error
    except ValueError as error:
        marker = re.search(_CONFLICT, text)
        if marker:
            line = text.count("\n", 0, marker.start()) + 1
            raise SettingsError(
                f"{name} has a merge-conflict marker at line {line}, column 1",
                hint="resolve the conflict, then run the command again",
            ) from error
        raise SettingsError(f"{name} is not valid TOML: {_describe(error)}") from error


def nested_table(document: object, *names: str) -> dict[str, Any]:
    """The table below *names*; an empty one where it is missing or no table, which others report."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _describe(error: ValueError) -> str:
    message = str(error)
    duplicate = re.match(r"Cannot declare \((.*?),?\) twice", message)
    if duplicate:
        table = ".".join(part.strip(" '\"") for part in duplicate[1].split(","))
        message = f"the table [{table}] is defined twice{message[duplicate.end() :]}"
    elif message.startswith("Exceeds the limit"):  # of int(), for which tomllib gives no position
        message = "it contains a number that is too long"
    return message.replace("(at ", "(")
