"""Package indexes in the tables of uv, PDM and Poetry, with the rules of [[tool.minglibc.index]].

These tools may compare the versions of several indexes; here, a project comes from one, and the order is theirs.
"""

from collections.abc import Mapping
from typing import Any

from minglibc.config.index_settings import KnownIndexes, check_unique, parse_index
from minglibc.config.problems import Problems, quoted
from minglibc.config.settings import NamedIndex
from minglibc.config.toml_file import nested_table
from minglibc.model.requirements import normalize_name
from minglibc.model.urls import DEFAULT_INDEX_URL

_PYPI = "pypi"
# The key of an index that is an option in a requirements file, for messages.
OPTION = "option"
_OWN_INDEX = "write the index as [[tool.minglibc.index]]"


def read_other_indexes(
    document: Mapping[str, Any], problems: Problems, own: tuple[NamedIndex, ...] = (), *, only_named: bool = False
) -> KnownIndexes:
    """The project's *own* indexes, and those of the first of uv, PDM and Poetry that *document* has some of.

    All others are explicit. With *only_named*, all but the own ones are.
    """
    known = {normalize_name(index.name): index for index in own}
    pinned: dict[str, str] = {}
    selected = ""
    for key, read in _READERS.items():
        reader = _Reader(problems)
        read(reader, document)
        is_general = not all(index.explicit for index in reader.indexes)
        if only_named or (is_general and selected):
            reader.indexes = [i._replace(default=False, explicit=True, after=False) for i in reader.indexes]
        if is_general and selected and not only_named:
            problems.warnings.append(f"{key} is only read for the packages that name it, because there is {selected}")
        elif is_general:
            selected = selected or key
        for index in reader.indexes:
            known.setdefault(normalize_name(index.name), index)
        pinned = {name: known[normalize_name(index)].name for name, index in reader.pinned.items()} | pinned
    return KnownIndexes(tuple(known.values()), pinned, own)


class _Reader:
    """Collects the indexes of one tool."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.indexes: list[NamedIndex] = []
        self.pinned: dict[str, str] = {}

    def tables(self, parent: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
        """The tables in the list *key* of *parent*."""
        value = parent.get(key, [])
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
        self.problems.unexpected(where, value, f"expected tables: [[{where}]]")
        return []

    def texts(self, parent: Mapping[str, Any], key: str, where: str) -> list[str]:
        """The strings in the list *key* of *parent*."""
        value = parent.get(key, [])
        return [
            text
            for _, text in self.problems.strings([value] if isinstance(value, str) else value, where, f'{key} = ["…"]')
        ]

    def add(self, item: Mapping[str, Any], where: str, *, url_key: str = "") -> NamedIndex | None:
        """Read an index from the keys that [[tool.minglibc.index]] has too; other keys are ignored."""
        index = parse_index(self.problems, item, where, url_key=url_key)
        if index is not None:
            check_unique(self.problems, index, self.indexes, where)
            self.indexes.append(index)
        return index


def unnamed(key: str, position: int) -> str:
    """The name of an index of uv that has none there."""
    return f"uv-{key.removesuffix('-url')}-{position + 1}"


def _read_uv(reader: _Reader, document: Mapping[str, Any]) -> None:
    uv = nested_table(document, "tool", "uv")
    folders, is_alone = reader.texts(uv, "find-links", "tool.uv.find-links"), uv.get("no-index") is True
    for number, url in enumerate(folders):
        item = {"name": unnamed("find-links", number), "url": url, "format": "flat"}
        key = f"tool.uv.find-links[{number}]"
        reader.add({**item, "default": is_alone and number == len(folders) - 1}, key, url_key=key)
    if is_alone and not folders:
        reader.problems.add("tool.uv.no-index", f"leaves no index, because there is no find-links; {_OWN_INDEX}")
    for number, table in enumerate(reader.tables(uv, "index", "tool.uv.index")):
        only_named = {"default": False, "explicit": True} if is_alone else {}
        named: dict[str, Any] = {"name": unnamed("index", number), **table, **only_named}
        reader.add(named, f"tool.uv.index[{number}]", url_key=str(table.get(OPTION, "")))
    for number, url in enumerate(reader.texts(uv, "extra-index-url", "tool.uv.extra-index-url")):
        key = f"tool.uv.extra-index-url[{number}]"
        reader.add({"name": unnamed("extra-index-url", number), "url": url, "explicit": is_alone}, key, url_key=key)
    if "index-url" in uv and not any(index.default for index in reader.indexes):
        key = "tool.uv.index-url"
        reader.add({"name": "uv-index-url", "url": uv["index-url"], "default": True}, key, url_key=key)


def _read_pdm(reader: _Reader, document: Mapping[str, Any]) -> None:
    for number, table in enumerate(reader.tables(nested_table(document, "tool", "pdm"), "source", "tool.pdm.source")):
        key = f"tool.pdm.source[{number}]"
        if "${" in str(table.get("url")):
            advice = "remove user and password, and store them in netrc or environment variables"
            reader.problems.add(f"{key}.url", f"contains a variable, which minglibc does not replace; {advice}")
            continue
        excluded = reader.texts(table, "exclude_packages", f"{key}.exclude_packages")
        included = reader.texts(table, "include_packages", f"{key}.include_packages")
        item = {"name": table.get("name"), "url": table.get("url"), "explicit": excluded == ["*"]}
        item |= {"format": "flat"} if table.get("type") == "find_links" else {}
        item |= {"default": True, "explicit": False} if str(table.get("name")).lower() == _PYPI else {}
        index = reader.add(item, key)
        if index is None:
            continue
        names = [name for name in included if not {*"*?["} & {*name}]
        # An index that is not explicit is asked first, so it needs no patterns.
        if (index.explicit and names != included) or excluded not in ([], ["*"]):
            advice = f"{_OWN_INDEX} with explicit = true, and its packages under [tool.minglibc.sources]"
            reader.problems.add(key, f"has patterns of packages, which minglibc does not read; {advice}")
        reader.pinned |= {normalize_name(name): index.name for name in names}


def _read_poetry(reader: _Reader, document: Mapping[str, Any]) -> None:
    """The order is: primary, PyPI if it is one of them or there are none, supplemental."""
    listed = reader.tables(nested_table(document, "tool", "poetry"), "source", "tool.poetry.source")
    tables = [(_priority(reader, table, number), number, table) for number, table in enumerate(listed)]
    # `default` was a priority of Poetry before 2.0.
    replaces_default = any(priority in ("default", "primary") for priority, _, _ in tables)
    has_pypi = any(priority == "primary" and _is_pypi(table) for priority, _, table in tables)
    is_after = not replaces_default
    for priority, number, table in sorted(tables, key=lambda entry: (_PRIORITIES.index(entry[0]), entry[1])):
        if priority == "primary" and _is_pypi(table):
            is_after = True
            continue
        url = DEFAULT_INDEX_URL if _is_pypi(table) else table.get("url")
        item = {"name": table.get("name"), "url": url, "explicit": priority == "explicit"}
        index = reader.add(item, f"tool.poetry.source[{number}]")
        if index is not None and not index.explicit:
            reader.indexes[-1] = index._replace(after=is_after or priority == "supplemental")
    if replaces_default and not has_pypi:
        first = [position for position, index in enumerate(reader.indexes) if not index.explicit and not index.after]
        if first:
            reader.indexes[first[-1]] = reader.indexes[first[-1]]._replace(default=True)


_PRIORITIES = ("default", "primary", "supplemental", "explicit")


def _priority(reader: _Reader, table: Mapping[str, Any], number: int) -> str:
    former = next((flag for flag in ("default", "secondary") if table.get(flag) is True), "primary")
    priority = table.get("priority", former)
    # `secondary` compared versions with the primary ones, which no index does here.
    priority = "supplemental" if priority == "secondary" else priority
    if priority in _PRIORITIES:
        return str(priority)
    reader.problems.unexpected(
        f"tool.poetry.source[{number}].priority", priority, f"expected one of {quoted(_PRIORITIES)}"
    )
    return "explicit"


def _is_pypi(table: Mapping[str, Any]) -> bool:
    return str(table.get("name")).lower() == _PYPI


_READERS = {"tool.uv.index": _read_uv, "tool.pdm.source": _read_pdm, "tool.poetry.source": _read_poetry}
