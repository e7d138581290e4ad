"""Settings of uv and PDM as settings of [tool.minglibc]."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tomlkit

from minglibc.config import parser, settings
from minglibc.config.other_indexes import unnamed
from minglibc.config.other_rules import PRERELEASES, UV_SETTINGS, pdm_override
from minglibc.errors import SettingsError
from minglibc.model.targets import LIBCS

# uv's keys with the same meaning.
_UV_KEYS = {**UV_SETTINGS, "index-url": "index-url", "default-groups": "default-groups"}
# Keys that several of the other tool's settings contribute to.
_COMBINED = ("index", "sources")
_NO_EQUIVALENT = "minglibc has no equivalent"
_READ = "`lock` reads it"
# Keys of uv that have no setting of [tool.minglibc].
_READ_BY_LOCK = ("workspace", "dev-dependencies", "package")
_LINE = re.compile(r" \(line [0-9]+\)")
_CREDENTIALS = re.compile(r"//[^/?#]*@")


class Imported(NamedTuple):
    """A setting of another tool, with its equivalent."""

    source: str
    key: str
    value: Any


class Skipped(NamedTuple):
    """A setting of another tool that can't be imported, and why."""

    source: str
    reason: str


def import_settings(document: Mapping[str, Any], options: Mapping[str, str]) -> list[Imported | Skipped]:
    """The settings of uv and PDM in *document*; at most one for each key, unless *options* give it (key to option)."""
    tool = document.get("tool", {})
    candidates = [*_from_uv(tool.get("uv"), document), *_from_pdm(tool.get("pdm"))]
    sources = dict(options)
    results: list[Imported | Skipped] = []
    for candidate in candidates:
        result = _checked(candidate) if isinstance(candidate, Imported) else candidate
        if isinstance(result, Imported) and result.key == "sources" and not _has_index(result, results):
            result = Skipped(result.source, "its index is not imported")
        elif isinstance(result, Imported) and result.key not in _COMBINED:
            if result.key in sources:
                result = Skipped(result.source, f"{sources[result.key]} overrides it")
            else:
                sources[result.key] = result.source
        results.append(result)
    return results


def combine(results: list[Imported | Skipped]) -> dict[str, Any]:
    """The values of the imported settings by their keys."""
    values: dict[str, Any] = {}
    for result in results:
        if not isinstance(result, Imported):
            continue
        if result.key == "index":
            values["index"] = [*values.get("index", []), *result.value]
        elif result.key == "sources":
            values["sources"] = {**values.get("sources", {}), **result.value}
        else:
            values[result.key] = result.value
    return values


def _from_uv(table: object, document: Mapping[str, Any]) -> Iterator[Imported | Skipped]:
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        source = f"tool.uv.{key}"
        if key in _UV_KEYS:
            yield Imported(source, _UV_KEYS[key], value)
        elif key == "minimum-libc-version":
            yield from _uv_libc(source, value)
        elif key == "prerelease":
            yield (
                Imported(source, "prereleases", PRERELEASES[value])
                if isinstance(value, str) and value in PRERELEASES
                else Skipped(source, "minglibc supports allow and disallow")
            )
        elif key == "index":
            yield from _uv_indexes(value)
        elif key in ("extra-index-url", "find-links"):
            yield from _uv_addresses(key, value)
        elif key != "sources":
            yield Skipped(source, _READ if key in _READ_BY_LOCK else _NO_EQUIVALENT)
    # After the indexes, whatever their order in the file: a source needs its index.
    yield from _uv_sources(table.get("sources"))
    groups = document.get("dependency-groups")
    if "default-groups" not in table and isinstance(groups, dict) and "dev" in groups:
        yield Imported("uv's default group", "default-groups", ["dev"])


def _uv_libc(source: str, value: object) -> Iterator[Imported | Skipped]:
    caps = {libc: value[libc] for libc in LIBCS if value.get(libc)} if isinstance(value, dict) else {}
    yield from (Imported(f"{source}.{libc}" if libc == "musl" else source, libc, cap) for libc, cap in caps.items())
    if not caps:
        yield Skipped(source, "it names neither glibc nor musl")


def _uv_indexes(value: object) -> Iterator[Imported | Skipped]:
    for position, index in enumerate(value if isinstance(value, list) else []):
        source = f"tool.uv.index[{position}]"
        if not isinstance(index, dict):
            yield Skipped(source, "it is not a table")
        elif "name" not in index and index.get("default") is True:
            yield Imported(source, "index-url", index.get("url"))
        else:
            table = {"name": unnamed("index", position), **index}
            yield Imported(source, "index", [{key: table[key] for key in settings.INDEX_KEYS if key in table}])
            for key in index.keys() - settings.INDEX_KEYS:
                yield Skipped(f"{source}.{key}", _NO_EQUIVALENT)


def _uv_addresses(key: str, value: object) -> Iterator[Imported | Skipped]:
    flat = {"format": "flat"} if key == "find-links" else {}
    for position, url in enumerate(value if isinstance(value, list) else [value]):
        yield Imported(f"tool.uv.{key}[{position}]", "index", [{"name": unnamed(key, position), "url": url, **flat}])


def _uv_sources(value: object) -> Iterator[Imported | Skipped]:
    for name, table in (value if isinstance(value, dict) else {}).items():
        source = f"tool.uv.sources.{name}"
        if isinstance(table, dict) and table.keys() == {"index"}:
            yield Imported(source, "sources", {name: table})
        else:
            yield Skipped(source, _READ)


def _from_pdm(table: object) -> Iterator[Imported | Skipped]:
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        if key == "source":
            yield from _pdm_sources(value)
        elif key == "resolution" and isinstance(value, dict):
            yield from _pdm_resolution(value)
        else:
            yield Skipped(f"tool.pdm.{key}", _NO_EQUIVALENT)


def _pdm_sources(value: object) -> Iterator[Imported | Skipped]:
    tables = value if isinstance(value, list) else []
    # PDM uses the source of this name instead of PyPI.
    is_simple = all(isinstance(table, dict) and table.keys() <= {"name", "url"} for table in tables)
    if is_simple and [table.get("name") for table in tables] == ["pypi"]:
        yield Imported("tool.pdm.source[0]", "index-url", tables[0].get("url"))
    else:
        # If [tool.minglibc] had one of them, `lock` would not use the others.
        yield from (Skipped(f"tool.pdm.source[{position}]", _READ) for position in range(len(tables)))


def _pdm_resolution(table: dict[str, Any]) -> Iterator[Imported | Skipped]:
    for key, value in table.items():
        source = f"tool.pdm.resolution.{key}"
        if key == "excludes":
            yield Imported(source, "excludes", value)
        elif key == "allow-prereleases":
            yield Imported(source, "prereleases", value)
        elif key == "overrides" and isinstance(value, dict):
            yield Imported(source, "overrides", [pdm_override(name, version) for name, version in value.items()])
        else:
            yield Skipped(source, _NO_EQUIVALENT)


def _has_index(source: Imported, results: list[Imported | Skipped]) -> bool:
    """Whether the index of an entry of ``sources`` is imported."""
    (table,) = source.value.values()
    indexes = [result.value[0]["name"] for result in results if isinstance(result, Imported) and result.key == "index"]
    return table["index"] in indexes


def _checked(candidate: Imported) -> Imported | Skipped:
    """*candidate*, unless [tool.minglibc] would be invalid with its value or contain credentials."""
    if candidate.value is None:
        return Skipped(candidate.source, "it has no url")
    if candidate.key == "index-url" and isinstance(candidate.value, str) and _CREDENTIALS.search(candidate.value):
        return Skipped(candidate.source, "it contains credentials; set the URL with MINGLIBC_INDEX_URL")
    if candidate.key == "index" and _CREDENTIALS.search(str(candidate.value[0].get("url"))):
        return Skipped(
            candidate.source, "it contains credentials; add it without them, and use netrc or variables for them"
        )
    # Whether the groups exist is checked with the whole file.
    if candidate.key == "default-groups" and isinstance(candidate.value, list):
        return candidate
    table: dict[str, Any] = {"glibc": "2.17", candidate.key: candidate.value}
    if candidate.key == "sources":
        (source,) = candidate.value.values()
        table["index"] = [{"name": str(source["index"]), "url": "https://index.example.invalid/"}]
    trial = {"project": {"requires-python": ">=3.9"}, "tool": {"minglibc": table}}
    try:
        parser.parse(tomlkit.dumps(trial))
    except SettingsError as error:
        return Skipped(candidate.source, _LINE.sub("", error.message.partition("\n")[2].strip()))
    return candidate
