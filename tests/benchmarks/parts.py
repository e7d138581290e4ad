"""Where the time of minglibc's own processor goes in a lock, by part: a table in Markdown."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks import tools
from tests.benchmarks.clocked import REST, START

SCENARIOS = ("cold", "warm", "revalidate")
_CLOCKED = Path(__file__).parent / "clocked.py"


def table(folder: Path, index: str, project: tools.Project, *, rounds: int) -> str:
    """A table of the milliseconds of each part and in total, the medians of *rounds*."""
    columns = []
    for scenario in SCENARIOS:
        runs = [run(folder, index, project, scenario) for _ in range(rounds + 1)][1:]
        parts = dict.fromkeys(part for run in runs for part in run)
        columns.append({part: 1000 * statistics.median(run.get(part, 0.0) for run in runs) for part in parts})
    return "\n".join([f"### {project.name}\n", *_lines(columns)])


def _lines(columns: Sequence[Mapping[str, float]]) -> list[str]:
    named = sorted({part for column in columns for part in column} - {START, REST})
    rows = [
        f"| {part} | {' | '.join(f'{column.get(part, 0.0):.0f}' for column in columns)} |"
        for part in (START, *named, REST)
    ]
    whole = " | ".join(f"{sum(column.values()):.0f}" for column in columns)
    return [f"| ms | {' | '.join(SCENARIOS)} |", f"|---|{'---|' * len(columns)}", *rows, f"| whole | {whole} |"]


def run(folder: Path, index: str, project: tools.Project, scenario: str) -> dict[str, float]:
    """Seconds by part of one lock, which must succeed."""
    tool, cache, result = tools.TOOLS[0], folder / "cache", folder / "parts"
    tools.prepare(tool, project, index, folder)
    (folder / tool.locks).unlink(missing_ok=True)
    if scenario == "cold":
        shutil.rmtree(cache, ignore_errors=True)
    command = (tool.refresh if scenario == "revalidate" else None) or tool.lock
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-c", _CLOCKED.read_text(encoding="utf-8"), result, *command(project, index, str(cache))],
        cwd=folder,
        env=environment,
        check=True,
    )
    lines = [line.split("\t") for line in result.read_text(encoding="utf-8").splitlines()]
    return {part: float(seconds) for seconds, part in lines}
