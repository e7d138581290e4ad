"""`minglibc sync` beside `uv pip sync` on one lock, whose wheels a server on loopback has: cold, warm, nothing to do."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.locks import Bench
from tests.benchmarks.measure import Run, measured
from tests.benchmarks.synthetic import serving
from tests.benchmarks.tools import TOOLS, Project, prepare

SCENARIOS = ("cold", "warm", "nothing to do")


def compare(folder: Path, source: Path, wheels: Path, installed: Path | None, *, rounds: int) -> str:
    """A Markdown table for the project in *source*, locked for one target and installed over and over."""
    project = Project.load(source / "pyproject.toml").one_target
    bench = Bench(folder, "", installed)
    ours, uv = (bench.program(tool) for tool in TOOLS[:2])
    assert ours is not None
    with serving(_index(_wheels(project, wheels, ours))) as url:
        locked = folder / project.name
        locked.mkdir()
        prepare(TOOLS[0], project, url, locked)
        options = ["--quiet", "--project", str(locked), "--cache-dir", str(folder / "locking")]
        subprocess.run([ours, "lock", *options, "--index-url", url], check=True)
        rows = {"minglibc": _ours(ours, locked)} | ({"uv": _uv(uv, locked)} if uv else {})
        figures = {(name, scenario): list[Run]() for name in rows for scenario in SCENARIOS}
        for turn in range(rounds + 1):
            for name, command in rows.items():
                for scenario, run in zip(SCENARIOS, _runs(folder / f"{project.name}-{name}", command), strict=True):
                    figures[name, scenario] += [run] if turn else []
        counts = {name: len(list((folder / f"{project.name}-{name}" / "venv").rglob("*.dist-info"))) for name in rows}
    assert 1 == len(set(counts.values())), counts
    lines = [
        f"### {project.name}, {next(iter(counts.values()))} packages\n",
        f"| | {' | '.join(SCENARIOS)} | peak MiB |",
    ]
    lines.append(f"|---|{'---|' * len(SCENARIOS)}---|")
    for name in rows:
        cells = [f"{statistics.median(run.wall for run in figures[name, s]):.3f}" for s in SCENARIOS]
        peak = max(run.peak for s in SCENARIOS for run in figures[name, s])
        lines.append(f"| {name} | {' | '.join(cells)} | {peak:.0f} |")
    return "\n".join([*lines, *_ratios(figures, rows)])


def _ratios(figures: dict[tuple[str, str], list[Run]], rows: Iterable[str]) -> list[str]:
    if "uv" not in rows:
        return []
    pairs = [zip(figures["minglibc", s], figures["uv", s], strict=True) for s in SCENARIOS]
    cells = [f"{statistics.median(a.wall / b.wall for a, b in pair):.2f}" for pair in pairs]
    return [f"| minglibc / uv | {' | '.join(cells)} | |"]


def _ours(program: str, locked: Path) -> list[str]:
    return [program, "sync", "--quiet", "--frozen", "--no-install-project", "--project", str(locked), "--python"]


def _uv(program: str, locked: Path) -> list[str]:
    return [program, "pip", "sync", "--quiet", str(locked / "pylock.toml"), "--python"]


def _runs(folder: Path, command: Sequence[str]) -> list[Run]:
    """A run of each scenario, in the order of SCENARIOS."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = {**os.environ, "MINGLIBC_CACHE_DIR": str(folder / "cache"), "UV_CACHE_DIR": str(folder / "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    runs = []
    for anew in (True, True, False):
        if anew:
            shutil.rmtree(folder / "venv", ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        runs.append(measured([*command, str(folder / "venv")], folder=folder, environment=environment))
    return runs


def _wheels(project: Project, kept: Path, program: str) -> list[Path]:
    """The wheels of *project*, from the public index where they were not kept by a run before."""
    folder = kept / project.name
    if not folder.exists():
        work = kept / f"{project.name}.locking"
        work.mkdir(parents=True, exist_ok=True)
        prepare(TOOLS[0], project, "", work)
        options = ["--quiet", "--project", str(work), "--cache-dir", str(kept / "cache")]
        subprocess.run([program, "lock", *options], check=True)
        subprocess.run([program, "bundle", *options, "-o", str(folder)], check=True)
    return sorted(folder.rglob("*.whl"))


def _index(wheels: Iterable[Path]) -> dict[str, bytes]:
    """Paths and bodies of an index of *wheels*."""
    pages: dict[str, list[dict[str, object]]] = {}
    responses: dict[str, bytes] = {}
    for wheel in wheels:
        content = wheel.read_bytes()
        with zipfile.ZipFile(wheel) as archive:
            (path,) = (
                member
                for member in archive.namelist()
                if member.count("/") == 1 and member.endswith(".dist-info/METADATA")
            )
            metadata = archive.read(path)
        name = wheel.name.partition("-")[0].replace("_", "-").replace(".", "-").lower()
        responses[f"/files/{wheel.name}"] = content
        responses[f"/files/{wheel.name}.metadata"] = metadata
        entry = {
            "filename": wheel.name,
            "url": f"../../files/{wheel.name}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
        }
        pages.setdefault(name, []).append(entry)
    for name, files in pages.items():
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
        responses[f"/simple/{name}/"] = json.dumps(page).encode()
    return responses
