"""The indexes of a project, and the packages that come from a certain index or path."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from minglibc.config.problems import NAME_EXPECTED, Problems, is_name
from minglibc.config.settings import INDEX_FORMATS, INDEX_KEYS, NamedIndex, PathSource
from minglibc.config.toml_file import load
from minglibc.errors import SettingsError
from minglibc.model.requirements import normalize_name
from minglibc.model.urls import display_url

# Compiled on first use: most projects use PyPI.
_URL = (
    r"(?i:https?)://(?P<credentials>[^/?#\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^/?#\s@:\[\]]+)(?::[0-9]{1,5})?(?:/[^?#\s@]*)?"
)
_URL_EXPECTED = 'expected a URL such as "https://index.example.invalid/simple", without # or ?; in a password, write / as %2F, ? as %3F, # as %23, and @ as %40'


class IndexSettings(NamedTuple):
    """The indexes of a project, without its other settings."""

    index_url: str | None = None
    indexes: tuple[NamedIndex, ...] = ()
    sources: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()


class KnownIndexes(NamedTuple):
    """The indexes that a project can name, *own* ones first, and the packages that another tool pins to one of them."""

    indexes: tuple[NamedIndex, ...] = ()
    pinned: Mapping[str, str] = {}
    own: tuple[NamedIndex, ...] = ()

    def named(self, name: object) -> NamedIndex | None:
        """The index *name*; None if there is none."""
        key = normalize_name(str(name))
        return next((index for index in self.indexes if normalize_name(index.name) == key), None)

    def used(self, pinned: Collection[str], others: Iterable[NamedIndex]) -> tuple[NamedIndex, ...]:
        """These and *others*, without explicit ones of other tools that no package is *pinned* to."""
        by_name = {index.name: index for index in (*others, *self.indexes)}
        ordered = [by_name[name] for name in dict.fromkeys(index.name for index in (*self.indexes, *others))]
        return tuple(index for index in ordered if index in self.own or not index.explicit or index.name in pinned)


def read_index_settings(text: str, name: str) -> IndexSettings:
    """The indexes in the *text* of pyproject.toml; raises one SettingsError that lists every mistake in them."""
    problems = Problems(text, {})
    table = load(text.removeprefix("\ufeff"), name)
    own = problems.table(problems.table(table, "tool", "tool"), "minglibc", "tool.minglibc")
    url, indexes = parse_index_url(problems, own), parse_indexes(problems, own)
    pinned, _ = parse_sources(problems, own, indexes)
    if problems.messages:
        lines = "\n".join(f"  {message}" for message in dict.fromkeys(problems.messages))
        raise SettingsError(f"{name} is invalid:\n{lines}", hint=problems.hint)
    return IndexSettings(url, indexes, pinned, tuple(dict.fromkeys(problems.warnings)))


def parse_index_url(problems: Problems, table: Mapping[str, Any]) -> str | None:
    """The ``index-url`` of [tool.minglibc], if there is one."""
    value = table.get("index-url")
    if value is None:
        return None
    return _url(problems, value, problems.key("index-url"), committed="index-url" not in problems.given)


def _url(problems: Problems, value: object, key: str, *, committed: bool = True) -> str | None:
    if not isinstance(value, str):
        problems.unexpected(key, value, _URL_EXPECTED)
        return None
    match = re.fullmatch(_URL, value)
    if not match:
        problems.unexpected(key, display_url(value), _URL_EXPECTED)
    elif match["credentials"] and committed:
        problems.warnings.append(
            f"{key} contains credentials, and the file is committed; store them in netrc or in environment variables"
        )
    return value


def parse_indexes(problems: Problems, table: Mapping[str, Any]) -> tuple[NamedIndex, ...]:
    """The indexes of the [[tool.minglibc.index]] tables, in their order."""
    tables = table.get("index", [])
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        problems.unexpected("tool.minglibc.index", tables, "expected tables: [[tool.minglibc.index]]")
        return ()
    indexes: list[NamedIndex] = []
    for position, item in enumerate(tables):
        where = f"tool.minglibc.index[{position}]"
        problems.check_keys(item, INDEX_KEYS, where)
        index = parse_index(problems, item, where)
        if index:
            check_unique(problems, index, indexes, where)
            indexes.append(index)
    if any(index.default for index in indexes) and "index-url" in table and "index-url" not in problems.given:
        message = "can't be combined with an index that has default = true; keep one of them"
        problems.add("tool.minglibc.index-url", message)
    return tuple(indexes)


def parse_index(problems: Problems, item: Mapping[str, Any], where: str, *, url_key: str = "") -> NamedIndex | None:
    """The index of the table *item*; *url_key* is the key of its URL, if it is in another place."""
    name = item.get("name")
    default, explicit = (problems.flag(item, flag, f"{where}.{flag}") for flag in ("default", "explicit"))
    index_format = problems.choice(item, "format", INDEX_FORMATS, f"{where}.format")
    if default and explicit:
        message = "has both default and explicit; the default index is used for packages that no other index has"
        problems.add(where, message)
    url = _index_url(problems, item.get("url"), url_key or f"{where}.url", flat=index_format == "flat")
    if isinstance(name, str) and is_name(name):
        return NamedIndex(name, url, default, explicit, index_format) if url else None
    problems.unexpected(f"{where}.name", name, NAME_EXPECTED)
    return None


def _index_url(problems: Problems, value: object, key: str, *, flat: bool) -> str | None:
    """The URL of an index, which can be a path if it is *flat*."""
    if not isinstance(value, str) or not value.isprintable() or not is_path(value):
        return _url(problems, value, key)
    if flat:
        return value
    problems.unexpected(key, value, 'expected a URL; for a folder of wheels, add format = "flat"')
    return None


def name_of(text: str, taken: Collection[str]) -> str:
    """A name for the index whose host or folder is *text*: with a number if it is *taken*."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "index"
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def is_path(url: str) -> bool:
    """Whether *url* is a path, or a file: URL."""
    scheme, colon, rest = url.partition(":")
    return bool(url) if not colon or "/" in scheme else scheme.lower() == "file" and bool(rest)


def check_unique(problems: Problems, index: NamedIndex, earlier: Iterable[NamedIndex], where: str) -> None:
    """Record the name or the default of *index* that an earlier one has too."""
    for other in earlier:
        # The environment variables with an index's credentials use the normalized name.
        if normalize_name(other.name) == normalize_name(index.name):
            problems.add(f"{where}.name", f"is {index.name!r}, the name of an earlier index")
        if other.default and index.default:
            problems.add(where, f"is the default, and so is {other.name}; keep one of them")


def parse_sources(
    problems: Problems, table: Mapping[str, Any], indexes: Iterable[NamedIndex]
) -> tuple[dict[str, str], dict[str, PathSource]]:
    """The ``sources`` table: the index of some projects by their names, and the path of others."""
    known = {index.name for index in indexes}
    pinned: dict[str, str] = {}
    paths: dict[str, PathSource] = {}
    for project, item in problems.table(table, "sources", "tool.minglibc.sources").items():
        where = f"tool.minglibc.sources.{project}"
        name = problems.name(project, where)
        index = item.get("index") if isinstance(item, dict) else None
        path = _path_source(item)
        if name in pinned or name in paths:
            problems.add(where, f"is a duplicate: an earlier entry is for {name} too")
        elif path is not None:
            paths[name] = path
        elif not isinstance(item, dict) or set(item) != {"index"} or not isinstance(index, str):
            problems.unexpected(where, item, 'expected { index = "name" } or { path = "libs/name" }')
        elif index not in known:
            names = f"defined are {', '.join(sorted(known))}" if known else "there is no [[tool.minglibc.index]]"
            problems.add(where, f"refers to the index {index!r}, which is not defined; {names}")
        else:
            pinned[name] = index
    return pinned, paths


def _path_source(item: object) -> PathSource | None:
    if not isinstance(item, dict) or not {"path"} <= set(item) <= {"path", "editable"}:
        return None
    path, editable = item["path"], item.get("editable", False)
    is_valid = isinstance(path, str) and path and path.isprintable() and isinstance(editable, bool)
    return PathSource(path, editable) if is_valid else None
