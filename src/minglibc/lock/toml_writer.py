"""TOML exactly as tomli-w writes it, in a third of the time: tomli-w takes a tenth of a large warm lock."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

# tomli-w writes the tables of an array in lines if none is longer.
_LONGEST_LINE = 100
_INDENT = "    "


def dumps(document: Mapping[str, Any]) -> str:
    """*document* as TOML; tomli-w formats all values but strings, integers, times, lists and dictionaries."""
    lines: list[str] = []
    _add_table(lines, document, "", "")
    return "".join(lines)


def _add_table(lines: list[str], table: Mapping[str, Any], name: str, header: str) -> None:
    tables: list[tuple[str, Mapping[str, Any], bool]] = []
    literals: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict):
            tables.append((key, value, False))
        elif isinstance(value, list) and value and _are_long_tables(value):
            tables += [(key, item, True) for item in value]
        else:
            literals.append(f"{_key(key)} = {literal(value)}\n")
    if header and (header.startswith("[[") or literals or not tables):
        literals.insert(0, header)
    lines += literals
    for position, (key, value, is_item) in enumerate(tables):
        if literals or position:
            lines.append("\n")
        path = f"{name}.{_key(key)}" if name else _key(key)
        _add_table(lines, value, path, f"[[{path}]]\n" if is_item else f"[{path}]\n")


def _are_long_tables(values: Sequence[Any]) -> bool:
    """Whether *values* are tables, and one of them does not fit into a line."""
    return {*map(type, values)} == {dict} and not all(map(_fits, values))


def _fits(table: Mapping[str, Any]) -> bool:
    # Most tables are files, whose strings alone are longer than a line.
    if sum(len(value) for value in table.values() if isinstance(value, str)) > _LONGEST_LINE:
        return False
    line = f"{_INDENT}{_inline_table(table)},"
    return len(line) <= _LONGEST_LINE and "\n" not in line


def literal(value: Any, depth: int = 0) -> str:
    """*value* as it is written after "=", inside of *depth* arrays."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return _inline_table(value)
    if isinstance(value, list) and value:
        items = "".join(f"{_INDENT * (depth + 1)}{literal(item, depth + 1)},\n" for item in value)
        return f"[\n{items}{_INDENT * depth}]"
    if isinstance(value, datetime) or type(value) is int:
        return str(value)
    return _by_library(value)


def _inline_table(table: Mapping[str, Any]) -> str:
    if not table:
        return "{}"
    return f"{{ {', '.join([f'{_key(key)} = {literal(value)}' for key, value in table.items()])} }}"


def _string(text: str) -> str:
    is_plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if is_plain else _by_library(text)


@cache
def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()
    return name if is_bare else _string(name)


def _by_library(value: Any) -> str:
    import tomli_w  # noqa: PLC0415  1 ms; most locks only have plain values

    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
