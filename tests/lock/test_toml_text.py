"""The text of a lock is that of tomli-w."""

from datetime import UTC, date, datetime, time
from typing import Any

import hypothesis.strategies as st
import pytest
import tomli_w
from hypothesis import example, given

from minglibc.lock.toml_text import dumps

keys = st.text(max_size=8) | st.sampled_from(["name", "url", "a.b", "", "é", 'a"b'])
scalars = (
    st.text(max_size=120)
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.dates()
    | st.times()
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3), max_leaves=12)


@given(st.dictionaries(keys, values, max_size=4))
@example({"packages": [{"name": "a", "wheels": [{"name": "x" * 100, "hashes": {"sha256": "0"}}]}]})
@example({"a": {"b": {"c": 1}}, "d": [{}, {}], "e": [{"f": [1]}], "g": [], "h": {}})
@example({"a": [[{"b": [1, [2]]}]], "c": datetime(2026, 1, 2, tzinfo=UTC), "d": date(2026, 1, 2), "e": time(1)})
def test_the_same_text_as_tomli_w(document: dict[str, Any]) -> None:
    """Any document has the text that tomli-w gives it."""
    assert tomli_w.dumps(document) == dumps(document)


@pytest.mark.parametrize("text", ["", 'a"b', "a\\b", "a\nb", "\x7f", "é", "\u2028", "\t", "\ud7ff", "😀"])
def test_strings(text: str) -> None:
    """Characters are escaped as tomli-w escapes them."""
    assert tomli_w.dumps({"a": text}) == dumps({"a": text})
