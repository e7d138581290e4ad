"""The JSON Schema of [tool.minglibc], in the form of SchemaStore: ``python -m website.settings_schema`` writes it.

Names, choices and patterns are those of the parser; descriptions are the first paragraphs of the settings reference. What
depends on several keys, such as duplicate names, is left to the parser.
"""

import json
import re
from pathlib import Path
from typing import Any

from minglibc.config import index_settings, moments, problems, settings
from minglibc.config.lock_source import POLICIES
from minglibc.model import library_names, targets
from minglibc.model.architectures import ARCHITECTURES, CPU_LEVELS
from minglibc.model.distributions import distributions

REFERENCE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
SCHEMA = REFERENCE.with_name("minglibc.schema.json")

Schema = dict[str, Any]

_NAME: Schema = {"$ref": "#/definitions/name"}
_GLIBC: Schema = {"$ref": "#/definitions/glibc"}
_LIMIT: Schema = {"$ref": "#/definitions/limit"}
_NAMES: Schema = {"type": "array", "items": _NAME}
_BOOLEAN: Schema = {"type": "boolean", "default": False}
# No control characters, which the parser refuses as unprintable.
_PRINTABLE = r"[^\u0000-\u001f\u007f]"
_INSIDE = rf"(?![/\\])(?!(?:.*[/\\])?\.\.(?:[/\\]|$)){_PRINTABLE}"
_REQUIREMENTS: Schema = {"type": "array", "items": {"type": "string"}, "examples": [["cryptography<46"]]}


def settings_schema() -> Schema:
    """The schema, with a property for each key of [tool.minglibc]."""
    described = _descriptions(REFERENCE.read_text(encoding="utf-8"))
    shapes = _shapes()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://json.schemastore.org/minglibc.json",
        "title": "minglibc",
        "description": "Settings of minglibc: the table [tool.minglibc] of pyproject.toml",
        "type": "object",
        "additionalProperties": False,
        "definitions": {
            "name": {"type": "string", "pattern": f"^{problems._NAME.pattern}$"},  # noqa: SLF001  the parser's own pattern
            "glibc": _glibc(),
            "limit": _limit(),
        },
        "properties": {key: {"description": described[key], **shapes[key]} for key in settings.KEYS},
    }


def text() -> str:
    """The content of the schema's file."""
    return json.dumps(settings_schema(), indent=2) + "\n"


def _descriptions(reference: str) -> dict[str, str]:
    """The first sentence of each key's section, without markup."""
    sections = re.findall(r"^### `([a-z-]+)`\n\n(.+?)(?:\.\s|\n\n)", reference, re.MULTILINE | re.DOTALL)
    return {key: _plain(sentence).removesuffix(".") for key, sentence in sections}


def _plain(markdown: str) -> str:
    without_links = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"[`*]", "", without_links).replace("\n", " ")


def _shapes() -> dict[str, Schema]:
    """The schema of each key without its description."""
    packages = {"type": "array", "items": _NAME, "default": []}
    return {
        "glibc": _cap("glibc"),
        "musl": _cap("musl"),
        "python": {"anyOf": [_python(), {"type": "array", "items": _python(), "minItems": 1}]},
        "architectures": {"type": "array", "items": {"enum": list(ARCHITECTURES)}, "minItems": 1},
        "target": {"type": "array", "minItems": 1, "items": _target()},
        "index-url": _url(),
        "index": {"type": "array", "items": _index()},
        "sources": {"type": "object", "propertyNames": _NAME, "additionalProperties": _source()},
        "prereleases": {"anyOf": [{"type": "boolean"}, _NAMES], "default": False},
        "exclude-newer": {"anyOf": [_LIMIT]},
        "exclude-newer-package": {
            "type": "object",
            "propertyNames": _NAME,
            "additionalProperties": {"anyOf": [{"const": False}, _LIMIT]},
        },
        "allow-linux-tag": packages,
        "allow-sdist": packages,
        "verify": _BOOLEAN,
        "default-groups": packages,
        "from": {"anyOf": [{"type": "string", "pattern": f"^{_INSIDE}+$"}, _source_lock()]},
        "constraints": _REQUIREMENTS,
        "overrides": _REQUIREMENTS,
        "excludes": packages,
        "no-extras": packages,
        "no-groups": packages,
        "file-conflicts": _choice(settings.FILE_CONFLICTS),
        "cpu": _choice(CPU_LEVELS),
        "libstdcxx": _libstdcxx(),
        "resolution": _choice(settings.RESOLUTIONS),
        "fork-strategy": _choice(settings.FORK_STRATEGIES),
        "toolchain": _choice(settings.TOOLCHAINS),
        "built-wheels": {"type": "string", "pattern": rf"^(?!\.(?:/+\.?)*$){_INSIDE}*$", "examples": ["wheels"]},
        "graft": {"type": "array", "items": {"type": "string", "pattern": f"^{library_names._LIBRARY.pattern}$"}},  # noqa: SLF001  as above
        "build-newer": packages,
    }


def _choice(values: tuple[str, ...]) -> Schema:
    """The first value is the default, as in the parser."""
    return {"type": "string", "enum": list(values), "default": values[0]}


def _cap(libc: str) -> Schema:
    """A cap for all architectures, or one for each."""
    version = _GLIBC if libc == "glibc" else _musl()
    by_architecture = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"enum": list(ARCHITECTURES)},
        "additionalProperties": version,
    }
    return {"anyOf": [version, by_architecture]}


def _musl() -> Schema:
    musllinux = targets._MUSLLINUX.replace("[1-9][0-9]{0,2}", "1", 1)  # noqa: SLF001  as above
    return _one_of_patterns(rf"1\.(?:0|[1-9][0-9]{{0,2}})|{musllinux}", ["1.2", "musllinux_1_2"])


def _glibc() -> Schema:
    manylinux = targets._MANYLINUX.replace("[1-9][0-9]{0,2}", "2", 1)  # noqa: SLF001  as above
    examples = ["2.17", "2.28", "manylinux_2_28"]
    return {
        "anyOf": [
            _one_of_patterns(rf"2\.(?:0|[1-9][0-9]{{0,2}})|{manylinux}", examples),
            {"enum": [*targets.LEGACY_NAMES.values(), *distributions()]},
            # Other spellings, such as "RHEL 8" and "ubuntu-18".
            {"type": "string", "pattern": r"^(?!manylinux)[A-Za-z][A-Za-z _-]*[A-Za-z][ _-]?[0-9]+(?:\.[0-9]+)*$"},
        ]
    }


def _one_of_patterns(alternatives: str, examples: list[str]) -> Schema:
    return {"type": "string", "pattern": f"^(?:{alternatives})$", "examples": examples}


def _python() -> Schema:
    minors = range(targets.OLDEST_PYTHON, targets.NEWEST_PYTHON + 1)
    all_minors = "|".join(f"0?{minor}" if minor < 10 else str(minor) for minor in minors)
    free_threaded = "|".join(map(str, range(targets.FIRST_FREE_THREADED, targets.NEWEST_PYTHON + 1)))
    patch = r"(?:\.[0-9]{1,3})?"
    pattern = rf"3\.(?:(?:{all_minors}){patch}|(?:{free_threaded}){patch}t)"
    return _one_of_patterns(pattern, ["3.9", "3.11.4", "3.13t"])


def _url() -> Schema:
    """The parser's pattern without the parts of Python's syntax that ECMAScript lacks."""
    pattern = re.sub(r"\?P<\w+>", "?:", index_settings._URL)  # noqa: SLF001  as above
    return {"type": "string", "pattern": f"^{pattern.replace('(?i:https?)', '[Hh][Tt][Tt][Pp][Ss]?')}$"}


def _limit() -> Schema:
    """Strings, and TOML's dates and times, which editors know by their format."""
    duration = re.sub(r"\?P<\w+>", "?:", moments._DURATION)  # noqa: SLF001  as above
    date = moments._DATE  # noqa: SLF001  as above
    time = rf"{date}[T ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,6}})?)?(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})"
    return {
        "anyOf": [
            _one_of_patterns(f"{date}|{time}|{duration}", ["2026-11-01", "2026-11-01T12:00:00Z", "7 days"]),
            {"type": "string", "format": "date", "pattern": f"^{date}$"},
            {"type": "string", "format": "date-time", "pattern": f"^{time}$"},
        ]
    }


def _target() -> Schema:
    properties = {
        "name": _NAME,
        "glibc": _GLIBC,
        "musl": _musl(),
        "python": _python(),
        "architecture": {"enum": list(ARCHITECTURES), "default": settings.DEFAULT_ARCHITECTURES[0]},
        "libstdcxx": _libstdcxx(),
    }
    return _table({key: properties[key] for key in settings.TARGET_KEYS}, ["name", "python"])


def _libstdcxx() -> Schema:
    return _one_of_patterns(f"(?:GLIBCXX_)?{targets._LIBSTDCXX}", ["3.4.22"])  # noqa: SLF001  as above


def _index() -> Schema:
    path = rf"^(?:[^\u0000-\u001f\u007f:]+|[^\u0000-\u001f\u007f:]*/[^\u0000-\u001f\u007f:]*:{_PRINTABLE}*|[Ff][Ii][Ll][Ee]:{_PRINTABLE}+)$"
    properties = {
        "name": _NAME,
        "url": {"type": "string"},
        "default": _BOOLEAN,
        "explicit": _BOOLEAN,
        "format": _choice(settings.INDEX_FORMATS),
    }
    return {
        **_table({key: properties[key] for key in settings.INDEX_KEYS}, ["name", "url"]),
        "if": {"properties": {"format": {"const": "flat"}}, "required": ["format"]},
        "then": {"properties": {"url": {"anyOf": [_url(), {"type": "string", "pattern": path}]}}},
        "else": {"properties": {"url": _url()}},
    }


def _source() -> Schema:
    path = {"path": {"type": "string", "pattern": f"^{_PRINTABLE}+$"}, "editable": _BOOLEAN}
    return {"anyOf": [_table({"index": {"type": "string"}}, ["index"]), _table(path, ["path"])]}


def _source_lock() -> Schema:
    names = {"type": "array", "items": {"type": "string"}}
    file = {"type": "string", "pattern": f"^{_INSIDE}+$"}
    return _table({"file": file, "policy": _choice(POLICIES), "extras": names, "groups": names}, ["file"])


def _table(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
