"""The benchmarks measure what they say: the harness itself, on a tiny index and without other tools."""

from pathlib import Path

import pytest

from tests.benchmarks import clocked, locks, parts, tools
from tests.benchmarks.measure import Run
from tests.benchmarks.synthetic import index, name, serving

PROJECT = tools.Project("tiny", (name(0),), "==3.11.*", "2.17", ("3.11",), ("x86_64",))


def test_a_table_of_locks(tmp_path: Path) -> None:
    """Each scenario is measured, a tool that is not installed is told apart from one that fails."""
    with serving(index(2)) as url:
        bench = locks.Bench(tmp_path, url, tmp_path / "nothing is installed here")
        assert locks.Failed("is not installed") == bench.run(locks.cases(PROJECT, ["uv"])[0], "cold")
        here = locks.Bench(tmp_path, url, None)
        (table,) = locks.compare(here, [PROJECT], scenarios=locks.SCENARIOS, tools=["minglibc"], rounds=1)
    assert "### tiny, 1 target" == table.splitlines()[0]
    label, *figures, peak = table.splitlines()[-1].strip("| ").split(" | ")
    assert "minglibc" == label
    assert len(locks.SCENARIOS) == len([figure for figure in figures if float(figure) > 0])
    assert int(peak) > 10


def test_what_fails_says_why(tmp_path: Path) -> None:
    """A lock that can't be made is no figure, and the tool's last word stands beside the table."""
    with serving({}) as url:
        (case,) = locks.cases(PROJECT, ["minglibc"])
        found = locks.Bench(tmp_path, url, None).run(case, "cold")
    assert not isinstance(found, Run)
    assert found.why.startswith("fails: ")
    assert "requirements" in found.why


def test_ten_targets_stand_beside_one() -> None:
    """A project for many targets is measured for one of them too, and only by tools that know many."""
    project = PROJECT._replace(pythons=("3.11", "3.12"), machines=("x86_64", "aarch64"))
    labels = [case.label for case in locks.cases(project, [])]
    assert ["minglibc", "minglibc, one target", "uv", "nab", "pdm", "poetry"] == labels
    assert "pip lock" in [case.label for case in locks.cases(PROJECT, [])]


@pytest.mark.parametrize("tool", tools.TOOLS, ids=lambda tool: tool.name)
def test_every_tool_is_installed_by_a_name(tool: tools.Tool) -> None:
    """`install` makes the venv in which a tool's program is looked for."""
    assert (tool.home or tool.name) in {"minglibc", *tools.INSTALLS}


def test_the_parts_of_a_lock(tmp_path: Path) -> None:
    """Every part of a lock is found where it is, and together they are the whole; a warm one asks for nothing."""
    with serving(index(2)) as url:
        head, _, columns, _, *rows = parts.table(tmp_path, url, PROJECT, rounds=1).splitlines()
        found = parts.run(tmp_path, url, PROJECT, "cold")
    assert "### tiny" == head
    assert "| ms | cold | warm | revalidate |" == columns
    named = {part for those in clocked.PARTS.values() for part in those.values()}
    assert named | {clocked.START, clocked.REST, clocked.HTTPX} < found.keys()
    assert all(seconds >= 0 for seconds in found.values())
    cells = {part: figures for part, *figures in (row.strip("| ").split(" | ") for row in rows)}
    assert ["0", "0"] != cells[clocked.HTTPX][::2]
    assert "0" == cells[clocked.HTTPX][1]
    assert "whole" in cells
