"""The JSON Schema of [tool.minglibc] accepts what the parser accepts."""

import re
from datetime import UTC, date, datetime
from typing import Any

import hypothesis
import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from website import settings_schema

from minglibc.config import from_setting, parser, settings
from minglibc.config.problems import Problems

VALIDATOR = jsonschema.Draft7Validator(settings_schema.settings_schema())
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
# What depends on several keys, on other tables or on data, which a schema does not describe.
SEMANTIC = re.compile(
    r"not (a dependency group|an extra;)|refers to the index|is a duplicate|twice|too low|'[A-Za-z][A-Za-z _-]*[0-9.]+' (is not a glibc version|has no glibc)"
    r"|not a valid requirement|a constraint has|only one can apply|requires toolchain|can't be combined|both default and"
    r"|which project.requires-python|earlier (index|target)|tell apart|has no entry for|not in tool.minglibc.architectures"
    r"|has (both|neither) glibc|glibc is missing|is the default, and so|is for targets with glibc"
)

STRINGS = (
    *("2.27", "2.9.1", "3.5", "manylinux_2_28", "manylinux2014", "manylinux_3_1", "debian-11", "RHEL 8", "1.2", "musllinux_1_2"),
    *("3.9", "3.11.4", "3.13t", "3.12t", "3.5", ">=3.9", "x86_64", "aarch64", "arm64", "numpy", "a.b-c", "-a", "group", "two words"),
    *("https://index.example.invalid/simple", "HTTP://user:pw@h:80/a", "https://h/?q", "ftp://h/", "file:///wheels", "./wheels"),
    *("wheels", "../wheels", "a/../b", ".", "./", "...", "/wheels", "", "uv.lock", "a\nb", "c:d", "a/b:c"),
    *("2026-11-01", "2026-11-01T12:00:00Z", "2026-11-01T12:00", "7 days", "1 week", "P7D", "PT5H", "7 months"),
    *("3.4.22", "GLIBCXX_3.4.9", "3.4", "4.0.1"),
    *("highest", "lowest-direct", "zig", "system", "flat", "simple", "x86-64-v3", "nearest", "warn", "error", "fewest"),
    *("pq", "libpq.so.5", "lib pq", "cffi>=2", "cffi==2; python_version < '3.9'"),
)  # fmt: skip
KEYS = sorted(
    {
        *settings.INDEX_KEYS,
        *settings.TARGET_KEYS,
        "path",
        "editable",
        "file",
        "policy",
        "groups",
        "numpy",
        "x86_64",
        "a b",
    }
)
SCALARS = st.one_of(
    st.sampled_from(STRINGS),
    st.booleans(),
    st.sampled_from([2.27, 3, date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=UTC)]),
)
TABLES = st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=3)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), TABLES, st.dictionaries(st.sampled_from(KEYS), TABLES, max_size=2)
)
TARGET = {"name": st.just("a"), "python": st.sampled_from(STRINGS)}
INDEX = {"name": st.just("a"), "url": st.sampled_from(STRINGS)}
SPECIAL = {
    "target": st.lists(st.builds(lambda a, b: {**a, **b}, st.fixed_dictionaries(TARGET), TABLES), max_size=2),
    "index": st.lists(st.builds(lambda a, b: {**a, **b}, st.fixed_dictionaries(INDEX), TABLES), max_size=2),
}


def test_the_file_is_up_to_date() -> None:
    """`python -m website.settings_schema` writes the committed file."""
    assert settings_schema.text() == settings_schema.SCHEMA.read_text(encoding="utf-8")


def test_the_schema_describes_all_keys() -> None:
    """Each key has a description of one sentence."""
    jsonschema.Draft7Validator.check_schema(VALIDATOR.schema)
    properties = VALIDATOR.schema["properties"]
    assert list(settings.KEYS) == list(properties)
    for value in properties.values():
        assert 10 < len(value["description"]) < 200


@given(data=st.data(), key=st.sampled_from([*settings.KEYS, "glib"]))
@hypothesis.settings(max_examples=150)
def test_schema_and_parser_agree(data: st.DataObject, key: str) -> None:
    """A value is valid by the schema if the parser has no problem with its form, and the reverse."""
    value = data.draw(st.one_of(VALUES, SPECIAL[key]) if key in SPECIAL else VALUES)
    messages = problems_of({key: value})
    assert VALIDATOR.is_valid({key: as_json(value) if key.startswith("exclude-newer") else value}) == (not messages), (
        messages
    )


@pytest.mark.parametrize("key", ["glibc", "musl", "python", "index-url", "exclude-newer", "from", "built-wheels"])
def test_strings(key: str) -> None:
    """The patterns of strings are those of the parser."""
    for value in STRINGS:
        messages = problems_of({key: value})
        assert VALIDATOR.is_valid({key: value}) == (not messages), (value, messages)


def problems_of(table: dict[str, Any]) -> list[str]:
    """The messages of the parser and of `from`'s parser, without those that the schema leaves to them."""
    caps = {} if {"glibc", "musl", "target"} & set(table) else {"glibc": "2.28"}
    document = {"project": {"requires-python": ">=3.6"}, "tool": {"minglibc": {**caps, **table}}}
    problems = Problems("", {})
    parser.parse_document(document, problems, NOW)
    if "from" in table:
        from_setting._parse(table["from"], problems)
    return [message for message in problems.messages if not SEMANTIC.search(message)]


def as_json(value: Any) -> Any:
    """*value* with TOML's dates as strings, as editors represent them."""
    match value:
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case list():
            return [as_json(item) for item in value]
        case date():
            return value.isoformat()
        case _:
            return value
