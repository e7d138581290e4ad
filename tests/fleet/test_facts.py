"""Files with machines that are damaged or hostile."""

import json
from typing import Any

import pytest

from minglibc.errors import SettingsError
from minglibc.fleet.facts import read_facts

MACHINE = {"name": "a", "architecture": "x86_64", "glibc": "2.28", "python": ["3.9.2"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "\ud800"},
        {"name": "a\x1b[31m"},
        {"name": ""},
        {"architecture": "a" * 100_000},
        {"libstdcxx": "x.y"},
        {"libstdcxx": "9" * 5000},
        {"glibc": "9" * 5000},
        {"python": ["9" * 5000]},
        {"python": ["3.9.2"] * 1000},
        {"distribution": "\x9b"},
        {"musl": "1.2"},
    ],
)
def test_invalid_values(changes: dict[str, Any]) -> None:
    """A value that is not what minglibc writes is an error with a short message, however often it occurs."""
    text = json.dumps({"version": 1, "machines": [MACHINE | changes | {"cpu": str(n)} for n in range(300)]})
    with pytest.raises(SettingsError) as caught:
        read_facts(text, "fleet.json")
    assert len(caught.value.message) < 7000


@pytest.mark.parametrize(
    "facts",
    [
        {"a\x1b": {"distribution": "Debian", "distribution_version": "11", "architecture": "x86_64"}},
        {"a": {"distribution": "x" * 100_000, "distribution_version": "1", "distribution_major_version": "1"}},
        {"a": {"distribution": [1], "distribution_version": {}, "distribution_major_version": None}},
        {"a": 1, "b": None, "c": []},
    ],
)
def test_invalid_facts(facts: dict[str, Any]) -> None:
    """Facts that Ansible did not write are an error with a short message."""
    with pytest.raises(SettingsError) as caught:
        read_facts(json.dumps(facts), "facts.json")
    assert len(caught.value.message) < 1000
