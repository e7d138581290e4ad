"""faults.md, the ledger of the catalogue of faults, can't lag behind the tests that it names."""

import ast
import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROW = re.compile(r"\| (?P<id>[NXSCLIR][0-9]+)\b[^|]*\| (?P<tests>[^|]*)\| (?P<state>[^|]*)\|")
TEST = re.compile(r"`(\w+/\w+\.py)::(\w+)(?:\[([^\]]+)\])?`")
# How many rows each part of the catalogue has.
SIZES = {"N": 82, "X": 8, "S": 20, "C": 16, "L": 7, "I": 6, "R": 6}


def rows() -> dict[str, re.Match[str]]:
    """The rows of the ledger by their ids; no id stands there twice."""
    found = [match for line in (FOLDER / "faults.md").read_text("utf-8").splitlines() if (match := ROW.match(line))]
    by_id = {match["id"]: match for match in found}
    assert len(by_id) == len(found)
    return by_id


@cache
def functions_of(file: str) -> tuple[frozenset[str], str]:
    """The test functions of a file, and its text."""
    text = (FOLDER.parent / file).read_text("utf-8")
    functions = (node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in functions if name.startswith("test_")), text


def test_every_row_of_the_catalogue_is_there() -> None:
    """No row is missing, and none is made up."""
    wanted = chain.from_iterable(
        (f"{part}{number:02d}" if part == "N" else f"{part}{number}" for number in range(1, size + 1))
        for part, size in SIZES.items()
    )
    assert set(wanted) == set(rows())


@pytest.mark.parametrize("row", rows())
def test_a_row_is_proved_or_says_what_is_so(row: str) -> None:
    """The tests that a row names exist, with the case that it names; a row without any says what happens instead."""
    match = rows()[row]
    named = TEST.findall(match["tests"])
    assert len(named) == match["tests"].count("::")
    assert named or match["state"].strip()
    for file, function, case in named:
        functions, text = functions_of(file)
        assert function in functions, f"{file} has no {function}"
        assert not case or re.search(rf"[\"']{re.escape(case)}[\"']", text), f"{file} has no case {case}"
