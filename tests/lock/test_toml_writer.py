"""TOML is written as tomli-w writes it."""

from datetime import UTC
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from minglibc.lock import toml_writer

KEYS = st.sampled_from(["name", "a-b", "with space", "", "é"]) | st.text(max_size=3)
# Tables that fill a line exactly, and strings that have to be escaped, are rare in what Hypothesis draws.
STRINGS = st.text(max_size=8) | st.sampled_from(
    ["x" * 83, "x" * 84, "x" * 101, "\t", '"', "\\", "\x7f", "\u2028", "\ud7ff"]
)
TIMES = st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.dates() | st.times()
LEAVES = STRINGS | st.integers() | st.booleans() | st.floats() | TIMES
VALUES = st.recursive(
    LEAVES, lambda values: st.lists(values, max_size=3) | st.dictionaries(KEYS, values, max_size=3), max_leaves=12
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_documents_are_written_as_by_the_library(document: dict[str, Any]) -> None:
    """Any document has the same text."""
    assert tomli_w.dumps(document) == toml_writer.dumps(document)


@given(LEAVES | st.lists(LEAVES, max_size=3))
def test_literals_are_written_as_by_the_library(value: Any) -> None:
    """So has a single value."""
    assert tomli_w.dumps({"x": value}) == f"x = {toml_writer.literal(value)}\n"
