"""TOML in the layout of tomli-w, which takes several times as long for a lock: it reads each string by its characters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
# A table in an array is written in one line if it is not longer.
_LONGEST_LINE = 100
_INDENT = "    "


def dumps(document: Mapping[str, Any]) -> str:
    """The text of *document*, the same as that of ``tomli_w.dumps``."""
    return _table(document, "")


def _table(table: Mapping[str, Any], name: str, *, in_array: bool = False) -> str:
    lines: list[str] = []
    tables: list[tuple[str, Mapping[str, Any], bool]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            tables.append((key, value, False))
        elif _is_array_of_tables(value):
            tables += [(key, item, True) for item in value]
        else:
            lines.append(f"{_key(key)} = {_value(value)}\n")
    header = ""
    if in_array or (name and (lines or not tables)):
        header = f"[[{name}]]\n" if in_array else f"[{name}]\n"
    parts = [header + "".join(lines)] if header or lines else []
    parts += [_table(item, f"{name}.{_key(key)}" if name else _key(key), in_array=many) for key, item, many in tables]
    return "\n".join(parts)


def _is_array_of_tables(value: object) -> bool:
    """Whether *value* is an array of tables, of which one is too long for a line."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return False
    lines = (f"{_INDENT}{_value(item)}," for item in value)
    return not all(len(line) <= _LONGEST_LINE and "\n" not in line for line in lines)


def _value(value: object, nesting: int = 0) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list) and value:
        indent = _INDENT * nesting
        items = ",\n".join(f"{indent}{_INDENT}{_value(item, nesting + 1)}" for item in value)
        return f"[\n{items},\n{indent}]"
    if isinstance(value, dict) and value:
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, datetime) or type(value) is int:
        return str(value)
    return _by_tomli_w(value)


def _key(key: str) -> str:
    return key if key and _BARE.issuperset(key) else _string(key)


def _string(text: str) -> str:
    is_plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if is_plain else _by_tomli_w(text)


def _by_tomli_w(value: object) -> str:
    import tomli_w  # noqa: PLC0415  1 ms; few locks have other values

    return tomli_w.dumps({"x": [value]}).removeprefix("x = [\n    ").removesuffix(",\n]\n")
