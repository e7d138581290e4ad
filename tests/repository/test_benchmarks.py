"""The benchmarks work, with a small index and without other tools."""

from pathlib import Path

import pytest

from tests.benchmarks import clocked, locks, parts, projects, tools
from tests.benchmarks.measure import Run
from tests.benchmarks.synthetic import index, name, serving

ROOT = Path(__file__).parents[2]
PROJECT = tools.Project("tiny", (name(0),), "==3.11.*", "2.17", ("3.11",), ("x86_64",))


@pytest.mark.slow
def test_table_of_locks(tmp_path: Path) -> None:
    """All scenarios are measured; a tool that is not installed is reported."""
    with serving(index(2)) as url:
        bench = locks.Bench(tmp_path, url, tmp_path / "no tools")
        assert locks.Failed("is not installed") == bench.run(locks.cases(PROJECT, ["uv"])[0], "cold")
        here = locks.Bench(tmp_path, url, None)
        (table,) = locks.compare(here, [PROJECT], scenarios=locks.SCENARIOS, tools=["minglibc"], rounds=1)
    assert "### tiny, 1 target" == table.splitlines()[0]
    label, *figures, peak = table.splitlines()[-1].strip("| ").split(" | ")
    assert "minglibc" == label
    assert len(locks.SCENARIOS) == len([figure for figure in figures if float(figure) > 0])
    assert int(peak) > 10


def test_failures_have_a_reason(tmp_path: Path) -> None:
    """If a tool fails, the result is the last line of its output."""
    with serving({}) as url:
        (case,) = locks.cases(PROJECT, ["minglibc"])
        result = locks.Bench(tmp_path, url, None).run(case, "cold")
    assert not isinstance(result, Run)
    assert result.why.startswith("fails: ")
    assert "index" in result.why


def test_many_targets_and_one() -> None:
    """A project with many targets is measured with tools that support them, and with one target too."""
    project = PROJECT._replace(pythons=("3.11", "3.12"), machines=("x86_64", "aarch64"))
    labels = [case.label for case in locks.cases(project, [])]
    assert ["minglibc", "minglibc, one target", "uv", "nab", "pdm", "poetry"] == labels
    assert "pip lock" in [case.label for case in locks.cases(PROJECT, [])]


@pytest.mark.parametrize("tool", tools.TOOLS, ids=lambda tool: tool.name)
def test_tools_can_be_installed(tool: tools.Tool) -> None:
    """`install` creates the environment of each tool."""
    assert (tool.home or tool.name) in {"minglibc", *tools.INSTALLS}


@pytest.mark.slow
def test_parts_of_a_lock(tmp_path: Path) -> None:
    """All parts of a lock are measured, and a warm lock makes no requests."""
    with serving(index(2)) as url:
        head, _, columns, _, *rows = parts.table(tmp_path, url, PROJECT, rounds=1).splitlines()
        measured = parts.run(tmp_path, url, PROJECT, "cold")
    assert "### tiny" == head
    assert "| ms | cold | warm | revalidate |" == columns
    named = {part for those in clocked.PARTS.values() for part in those.values()}
    assert named | {clocked.START, clocked.REST, clocked.HTTPX} < measured.keys()
    assert all(seconds >= 0 for seconds in measured.values())
    cells = {part: figures for part, *figures in (row.strip("| ").split(" | ") for row in rows)}
    assert ["0", "0"] != cells[clocked.HTTPX][::2]
    assert "0" == cells[clocked.HTTPX][1]
    assert "whole" in cells


@pytest.mark.parametrize("number", projects.LISTS)
def test_forty_projects_are_listed(number: str) -> None:
    """Each project's files are complete, and the documentation lists it."""
    listed = projects.load(number)
    documented = (ROOT / "docs" / "explanation" / "forty-projects.md").read_text(encoding="utf-8")
    assert len({project["repository"] for project in listed}) == len(listed) == 40
    for project in listed:
        assert project["file"] in {*project.get("documents", {}), *project.get("files", {})}
        assert f"| {project['repository']} | `{project['file']}` |" in documented
