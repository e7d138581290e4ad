"""Tools side by side on one index: interleaved, cold, warm, and so on; medians and ratios as Markdown."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import Run, measured
from tests.benchmarks.tools import PEX_SEED, TOOLS, Command, Project, Tool, prepare

SCENARIOS = ("cold", "warm", "revalidate", "unchanged", "check")

_NONE_SUCH = "has no command for it"


class Failed(NamedTuple):
    """Why a tool has no result."""

    why: str


class Case(NamedTuple):
    """One tool on one project in one scenario; *label* is the name of its row."""

    label: str
    tool: Tool
    project: Project


class Bench:
    """The folders in which tools run, each with its own cache and home."""

    def __init__(self, folder: Path, index: str, installed: Path | None) -> None:
        self._folder = folder
        self._index = index
        self._installed = installed

    def program(self, tool: Tool) -> str | None:
        """The path of *tool*'s program: in its venv, else where this Python's scripts or PATH have it."""
        own = [str(self._installed / (tool.home or tool.name) / "bin")] if self._installed else []
        search = [*own, os.path.dirname(sys.executable), *([] if own else [os.environ.get("PATH", "")])]
        return shutil.which(tool.program, path=os.pathsep.join(search[: 1 if own else None]))

    def run(self, case: Case, scenario: str) -> Run | Failed:
        """One run of *case*; what it needs from a run before is made first."""
        program = self.program(case.tool)
        if program is None:
            return Failed("is not installed")
        command = {"check": case.tool.check, "revalidate": case.tool.refresh}.get(scenario, case.tool.lock)
        if command is None:
            return Failed(_NONE_SUCH)
        folder = self._folder / f"{case.project.name}-{case.label}-{'cold' if scenario == 'cold' else 'kept'}".replace(
            " ", "-"
        )
        cache, lock = folder / "cache", folder / "project" / case.tool.locks
        if scenario == "cold":
            shutil.rmtree(folder, ignore_errors=True)
        if not cache.exists():
            self._make(case, folder)
            if scenario != "cold":
                first = self._lock(case, program, folder, case.tool.lock)
                if isinstance(first, Failed):
                    return first
        if scenario in {"warm", "revalidate"}:
            lock.unlink(missing_ok=True)
        elif scenario in {"unchanged", "check"} and not lock.exists():
            self._lock(case, program, folder, case.tool.lock)
        return self._lock(case, program, folder, command)

    def _make(self, case: Case, folder: Path) -> None:
        for name in ("project", "home", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        seed = self._installed / PEX_SEED if self._installed and case.tool.name == "pex" else None
        if seed is not None and seed.exists():
            shutil.copytree(seed, folder / "cache", symlinks=True)
        else:
            (folder / "cache").mkdir()
        prepare(case.tool, case.project, self._index, folder / "project")

    def _lock(self, case: Case, program: str, folder: Path, command: Command) -> Run | Failed:
        cache = str(folder / "cache")
        arguments = command(case.project, self._index, cache)
        environment = {
            "PATH": os.pathsep.join((os.path.dirname(program), "/usr/local/bin", "/usr/bin", "/bin")),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "XDG_CACHE_HOME": f"{cache}/xdg",
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            **case.tool.variables(cache, self._index),
        }
        try:
            return measured([program, *arguments], folder=folder / "project", environment=environment)
        except subprocess.CalledProcessError as error:
            lines = str(error.stderr).strip().splitlines() or ["says nothing"]
            return Failed(f"fails: {lines[-1][:120]}")


def cases(project: Project, tools: Sequence[str]) -> list[Case]:
    """The cases of *project*: the tools that support it, and, if it has several targets, minglibc with one of them."""
    chosen = [tool for tool in TOOLS if not tools or tool.name in tools]
    selected = [Case(tool.name, tool, project) for tool in chosen if tool.many or project.is_single]
    if not project.is_single:
        selected[1:1] = [Case("minglibc, one target", TOOLS[0], project.one_target)]
    return selected


def compare(
    bench: Bench, projects: Sequence[Project], *, scenarios: Sequence[str], tools: Sequence[str], rounds: int
) -> Iterator[str]:
    """A Markdown table for each project; every round runs each tool once, in turn; a first round is not counted."""
    for project in projects:
        rows = cases(project, tools)
        figures: dict[tuple[str, str], list[Run] | Failed] = {}
        for scenario in scenarios:
            for turn in range(rounds + 1):
                for case in rows:
                    _note(figures, (case.label, scenario), bench, case, counted=turn > 0)
        yield "\n".join(_table(project, rows, scenarios, figures))


def _note(
    figures: dict[tuple[str, str], list[Run] | Failed], key: tuple[str, str], bench: Bench, case: Case, *, counted: bool
) -> None:
    known = figures.setdefault(key, [])
    if isinstance(known, Failed):
        return
    run = bench.run(case, key[1])
    if isinstance(run, Failed):
        figures[key] = run
    elif counted:
        known.append(run)


def _table(
    project: Project,
    rows: Sequence[Case],
    scenarios: Sequence[str],
    figures: Mapping[tuple[str, str], list[Run] | Failed],
) -> Iterator[str]:
    targets = len(project.pythons) * len(project.machines)
    yield f"### {project.name}, {targets} target{'s' if targets > 1 else ''}\n"
    yield f"| | {' | '.join(scenarios)} | peak MiB |"
    yield f"|---|{'---|' * len(scenarios)}---|"
    notes = []
    for case in rows:
        cells = [_cell(figures[case.label, s], figures[rows[0].label, s]) for s in scenarios]
        done = [run for s in scenarios for run in _runs(figures[case.label, s])]
        peak = f"{max(run.peak for run in done):.0f}" if done else "-"
        yield f"| {case.label} | {' | '.join(cells)} | {peak} |"
        for scenario in scenarios:
            result = figures[case.label, scenario]
            if isinstance(result, Failed) and result.why != _NONE_SUCH:
                notes.append(f"\n{case.label}, {scenario}: {result.why}")
    yield from dict.fromkeys(notes)


def _runs(result: list[Run] | Failed) -> list[Run]:
    return [] if isinstance(result, Failed) else result


def _cell(result: list[Run] | Failed, first: list[Run] | Failed) -> str:
    """Seconds, and the median of the ratios to the first tool."""
    runs, firsts = _runs(result), _runs(first)
    if not runs:
        return "-"
    seconds = f"{statistics.median(run.wall for run in runs):.2f}"
    if runs is firsts or not firsts:
        return seconds
    return f"{seconds} ({statistics.median(a.wall / b.wall for a, b in zip(runs, firsts, strict=False)):.1f} times)"
