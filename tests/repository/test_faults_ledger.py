"""faults.md lists every fault, and the tests that it names exist."""

import ast
import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROW = re.compile(r"\| (?P<id>[NXSCLIR][0-9]+) \| (?P<description>[^|]+) \| (?P<tests>[^|]+) \|")
TEST = re.compile(r"`(\w+/\w+\.py)::(\w+)(?:\[([^\]]+)\])?`")
# The number of faults of each section.
SIZES = {"N": 82, "X": 8, "S": 20, "C": 16, "L": 7, "I": 6, "R": 6}


def rows() -> dict[str, re.Match[str]]:
    """The rows of faults.md by id; ids are unique."""
    matches = [match for line in (FOLDER / "faults.md").read_text("utf-8").splitlines() if (match := ROW.match(line))]
    by_id = {match["id"]: match for match in matches}
    assert len(by_id) == len(matches)
    return by_id


@cache
def functions_of(file: str) -> tuple[frozenset[str], str]:
    """The test functions of a file, and its text."""
    text = (FOLDER.parent / file).read_text("utf-8")
    functions = (node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in functions if name.startswith("test_")), text


def test_all_faults_are_listed() -> None:
    """No fault is missing, and there are no others."""
    expected = chain.from_iterable(
        (f"{section}{number:02d}" if section == "N" else f"{section}{number}" for number in range(1, size + 1))
        for section, size in SIZES.items()
    )
    assert set(expected) == set(rows())


@pytest.mark.parametrize("row", rows())
def test_the_tests_of_a_fault_exist(row: str) -> None:
    """A row names at least one test, and its tests and their cases exist."""
    tests = rows()[row]["tests"]
    references = TEST.findall(tests)
    assert references
    assert len(references) == tests.count("::")
    for file, function, case in references:
        functions, text = functions_of(file)
        assert function in functions, f"{file} has no {function}"
        assert not case or re.search(rf"[\"']{re.escape(case)}[\"']", text), f"{file} has no case {case}"
