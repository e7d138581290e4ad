"""Requirements that conflict late: synthetic families at growing sizes, and public sets, beside `uv pip compile`."""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log10
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.benchmarks import adversarial
from tests.benchmarks.measure import Run, measured
from tests.benchmarks.synthetic import serving
from tests.support.small_index import Case, Release

SIZES = (10, 20, 40, 80)
ADVERSARIAL_SIZES = (20, 80)
# A uv that asks an index at least as often as it is asked for a figure.
ROUNDS = 3
_SETS = Path(__file__).with_name("hard.toml")


def _case(requires: Mapping[str, Mapping[int, Sequence[str]]], *roots: str) -> Case:
    packages = {
        name: {str(version): Release(tuple(texts)) for version, texts in releases.items()}
        for name, releases in requires.items()
    }
    return Case(packages, roots)


def window(size: int) -> Case:
    """*size* plugins, whose releases each require one of two releases of a core that is pinned four levels deep."""
    requires = {f"m{n}": {v: [f"core>={v},<{v + 2}"] for v in range(1, 9)} for n in range(size)}
    requires |= {f"deep{n}": {1: [f"deep{n + 1}" if n < 3 else "core<=2"]} for n in range(4)}
    requires["core"] = {v: [] for v in range(1, 11)}
    return _case(requires, *(f"m{n}" for n in range(size)), "deep0")


def two_chains(size: int) -> Case:
    """Two chains of *size* packages, whose releases each require one or two of the next package, and which end in one package."""
    requires: dict[str, dict[int, list[str]]] = {"leaf": {v: [] for v in range(1, 9)}}
    for chain in "ab":
        for n in range(size):
            following = f"{chain}{n + 1}" if n < size - 1 else ""
            for v in range(1, 9):
                end = f"leaf<={v}" if chain == "a" else f"leaf>={9 - v}"
                requires.setdefault(f"{chain}{n}", {})[v] = (
                    [f"{following}<={v}", f"{following}>={v - 1}"] if following else [end]
                )
    return _case(requires, "a0", "b0", "leaf<2")


def diamonds(size: int) -> Case:
    """*size* diamonds in a row; at the end, all releases except for the oldest conflict with the project."""
    requires: dict[str, dict[int, list[str]]] = {}
    for n in range(size):
        requires[f"t{n}"] = {v: [f"l{n}<={v}", f"r{n}>={v - 1}"] for v in range(1, 9)}
        requires[f"l{n}"] = {v: [f"t{n + 1}=={v}"] for v in range(1, 9)}
        requires[f"r{n}"] = {v: [f"t{n + 1}<={v}"] for v in range(1, 9)}
    requires[f"t{size}"] = {v: ["end<2"] if v > 1 else ["end"] for v in range(1, 9)}
    requires["end"] = {1: [], 2: []}
    return _case(requires, "t0", "end>1")


def late(size: int) -> Case:
    """A chain of *size* packages, whose last one conflicts with the first root, except for one release."""
    requires = {
        f"q{n}": {v: [f"q{n + 1}" if n < size - 1 else f"clash=={v}"] for v in range(1, 9)} for n in range(size)
    }
    requires["first"] = {v: [f"clash<={v}"] for v in range(1, 9)}
    requires["clash"] = {v: [] for v in range(1, 9)}
    return _case(requires, "q0", "first<2")


def wide_extras(size: int) -> Case:
    """An application with *size* extras, each of which needs a library that requires one release of a base."""
    extras = [f"e{n}" for n in range(size)]
    packages = {
        "app": {str(v): Release((), {extra: (f"lib{n}>={v}",) for n, extra in enumerate(extras)}) for v in range(1, 9)},
        **{f"lib{n}": {str(v): Release((f"base>={v}",)) for v in range(1, 9)} for n in range(size)},
        "base": {str(v): Release() for v in range(1, 9)},
    }
    return Case(packages, (f"app[{','.join(extras)}]", "base<3"))


def nested_extras(size: int) -> Case:
    """An application with *size* extras, each of which names the next one, and an extra that names all; a base is old."""
    extras = {f"e{n}": (f"app[e{(n + 1) % size}]", f"lib{n}") for n in range(size)}
    packages = {
        "app": {
            str(v): Release((f"base>={v}",), {**extras, "all": tuple(f"app[{extra}]" for extra in extras)})
            for v in range(1, 9)
        },
        **{f"lib{n}": {str(v): Release((f"base>={v}",)) for v in range(1, 9)} for n in range(size)},
        "base": {str(v): Release() for v in range(1, 9)},
    }
    return Case(packages, ("app[all]", "base<3"))


def many_versions(size: int) -> Case:
    """A chain of three packages with 20 times *size* releases, each of which requires at least its own number; the last is old."""
    count = 20 * size
    requires = {name: {v: [f"{other}>={v}"] for v in range(1, count)} for name, other in (("a", "b"), ("b", "c"))}
    requires |= {"c": {v: [] for v in range(1, count)}, "old": {1: ["c<5"]}}
    return _case(requires, "a", "old")


def pigeons(size: int) -> Case:
    """*size* packages that each need one of *size* - 1 slots: there is no solution, and its proofs grow exponentially."""
    requires = {f"g{n}": {v: [f"slot{v}=={n + 1}"] for v in range(1, size)} for n in range(size)}
    requires |= {f"slot{v}": {n + 1: [] for n in range(size)} for v in range(1, size)}
    return _case(requires, *(f"g{n}" for n in range(size)))


FAMILIES: Mapping[str, Callable[[int], Case]] = {
    "window": window,
    "two-chains": two_chains,
    "diamonds": diamonds,
    "late": late,
    "wide-extras": wide_extras,
    "nested-extras": nested_extras,
    "many-versions": many_versions,
}


class Set(NamedTuple):
    """A public set of requirements that was known to be hard, with the date."""

    name: str
    requirements: Sequence[str]
    python: str
    exclude_newer: str


def sets() -> list[Set]:
    """The public sets of hard.toml."""
    tables = tomllib.loads(_SETS.read_text(encoding="utf-8"))
    return [Set(name, table["requires"], table["python"], table["exclude-newer"]) for name, table in tables.items()]


def bodies(case: Case) -> dict[str, bytes]:
    """The pages and metadata of a case, for ``serving``."""
    responses: dict[str, bytes] = {}
    for name, releases in case.packages.items():
        files = []
        for version, release in releases.items():
            lines = [
                *(f"Requires-Dist: {text}" for text in release.requires_dist()),
                *(f"Provides-Extra: {extra}" for extra in release.extras),
            ]
            metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""])
            for tag in release.tags:
                filename = f"{name}-{version}-{tag}.whl"
                responses[f"/files/{quote(filename)}.metadata"] = metadata.encode()
                files.append({
                    "filename": filename,
                    "url": f"../../files/{quote(filename)}",
                    "hashes": {"sha256": hashlib.sha256(filename.encode()).hexdigest()},
                    "core-metadata": True,
                    "yanked": release.yanked,
                    "requires-python": release.requires_python or None,
                })  # fmt: skip
        responses[f"/simple/{name}/"] = json.dumps(
            {"meta": {"api-version": "1.1"}, "name": name, "files": files}
        ).encode()
    return responses


def project(folder: Path, requires: Sequence[str], python: str, exclude_newer: str = "") -> None:
    """A project for both tools."""
    folder.mkdir(parents=True, exist_ok=True)
    cutoff = f"exclude-newer = {exclude_newer}\n" if exclude_newer else ""
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "hard"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = {json.dumps(list(requires))}\n'
        f'[tool.minglibc]\nglibc = "2.35"\npython = ["{python}"]\n{cutoff}'
    )
    (folder / "requirements.in").write_text("\n".join(requires) + "\n")


def compare(
    folder: Path, uv: str, python: str, *, index: str = "", exclude_newer: str = "", statuses: Sequence[int] = (0,)
) -> tuple[Run, Run]:
    """The warm locks of minglibc and of uv with the least CPU time; both must end with one of *statuses*.

    If that includes 124, a run is stopped after a minute.
    """
    ours = [sys.executable, "-m", "minglibc", "lock", "--quiet", "--upgrade", "--cache-dir", "cache"]
    theirs = [uv, "pip", "compile", "requirements.in", "-q", "--only-binary", ":all:", "-o", "out.txt", "--upgrade"]
    theirs += ["--cache-dir", "uv-cache", "--python-version", python, "--python-platform", "x86_64-manylinux_2_35"]
    theirs += ["--python", sys.executable]
    if index:
        ours += ["--index-url", index]
        theirs += ["--index-url", index]
    if exclude_newer:
        theirs += ["--exclude-newer", exclude_newer]
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}}
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    best = []
    for command in (ours, theirs):
        limited = ["timeout", "60", *command] if 124 in statuses else command
        accepted = "|".join(map(str, statuses))
        shell = ["/bin/sh", "-c", f'"$@"; case $? in {accepted}) ;; *) exit 1; esac', "sh", *limited]
        runs = [measured(shell, folder=folder, environment=environment) for _ in range(ROUNDS + 1)]
        best.append(min(runs[1:], key=lambda run: run.cpu))
    return best[0], best[1]


def family_rows(folder: Path, uv: str) -> Iterator[tuple[str, int, Run, Run]]:
    """Both tools' runs of each family by size."""
    python = f"3.{sys.version_info[1]}"
    for name, make in FAMILIES.items():
        for size in SIZES:
            case = make(size)
            where = folder / f"{name}-{size}"
            project(where, case.requires, python)
            with serving(bodies(case)) as url:
                yield name, size, *compare(where, uv, python, index=url)


def adversarial_rows(folder: Path, uv: str) -> Iterator[tuple[str, int, Run, Run]]:
    """Both tools' runs of each adversarial family by size, which end after a minute."""
    python = f"3.{sys.version_info[1]}"
    for name, make in adversarial.FAMILIES.items():
        for size in ADVERSARIAL_SIZES:
            case = make(size)
            where = folder / f"{name}-{size}"
            project(where, case.requires, python)
            with serving(bodies(case)) as url:
                yield name, size, *compare(where, uv, python, index=url, statuses=(0, 1, 124))


def public_rows(folder: Path, uv: str) -> Iterator[tuple[str, Run, Run]]:
    """Both tools' runs of each public set."""
    for workload in sets():
        project(
            folder / workload.name,
            workload.requirements,
            workload.python,
            workload.exclude_newer,
        )
        try:
            yield (
                workload.name,
                *compare(
                    folder / workload.name,
                    uv,
                    workload.python,
                    exclude_newer=workload.exclude_newer,
                    statuses=(0, 1),  # "no" is an answer of some public sets
                ),
            )
        except subprocess.CalledProcessError as error:
            print(f"{workload.name}: {error.stderr.strip()}", file=sys.stderr)


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 400, 70, 500, 40, 340
_COLORS = ("#1b6ac9", "#b5532b", "#2f7d3b", "#8a4fb0", "#777777", "#c2185b", "#8d6e00")
_SECONDS = (0.1, 1.0, 10.0)


def draw(rows: Sequence[tuple[str, int, Run, Run]]) -> str:
    """CPU seconds of each family by size as SVG: minglibc solid, uv dashed."""

    def x(size: float) -> float:
        low, high = log10(SIZES[0]), log10(SIZES[-1])
        return _LEFT + (log10(size) - low) / (high - low) * (_RIGHT - _LEFT)

    def y(seconds: float) -> float:
        low, high = log10(_SECONDS[0]), log10(_SECONDS[-1])
        return _BOTTOM - (log10(max(seconds, _SECONDS[0])) - low) / (high - low) * (_BOTTOM - _TOP)

    def text(left: float, top: float, words: str, anchor: str = "start", color: str = "#222") -> str:
        return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" fill="{color}">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13">',
        "<title>CPU time of a lock with late conflicts by size</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        text(_LEFT, _TOP - 16, "CPU seconds of a warm lock: minglibc (solid), uv pip compile (dashed)"),
        *(text(x(size), _BOTTOM + 22, str(size), "middle") for size in SIZES),
        text((_LEFT + _RIGHT) / 2, _BOTTOM + 44, "size of the family", "middle"),
    ]
    for seconds in _SECONDS:
        parts.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y(seconds):.1f}" y2="{y(seconds):.1f}" stroke="#ddd"/>')
        parts.append(text(_LEFT - 8, y(seconds) + 4, f"{seconds:g}", "end", "#555"))
    lowest = 0.0
    ends = []
    for color, family in zip(_COLORS, FAMILIES, strict=True):
        for position, dash in ((2, ""), (3, ' stroke-dasharray="6 5"')):
            values = [(row[1], row[position].cpu) for row in rows if row[0] == family]  # type: ignore[union-attr]  # both are runs
            points = " ".join(f"{x(size):.1f},{y(cpu):.1f}" for size, cpu in values)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
            if not dash:
                ends.append((y(values[-1][1]) + 4, f"{family}: {values[-1][1]:.2g} s", color))
    for due, words, color in sorted(ends):
        lowest = max(due, lowest + 15)
        parts.append(text(_RIGHT + 8, lowest, words, color=color))
    return "\n".join([*parts, "</svg>\n"])


def run(arguments: Any) -> None:
    """Print the table, and draw the families."""
    picture = Path(__file__).parents[2] / "docs" / "pictures" / "hard.svg"
    print(f"{'requirements':40} {'minglibc':>9} {'uv':>6}  CPU seconds, warm")
    if not arguments.public_only:
        rows = []
        for name, size, ours, theirs in family_rows(arguments.folder, arguments.uv):
            rows.append((name, size, ours, theirs))
            print(f"{f'{name}-{size}':40} {ours.cpu:9.2f} {theirs.cpu:6.2f}", flush=True)
        picture.write_text(draw(rows), encoding="utf-8")
        for name, size, ours, theirs in adversarial_rows(arguments.folder, arguments.uv):
            print(f"{f'{name}-{size}':40} {ours.cpu:9.2f} {theirs.cpu:6.2f}", flush=True)
    if not arguments.families_only:
        for name, ours, theirs in public_rows(arguments.folder, arguments.uv):
            print(f"{name:40} {ours.cpu:9.2f} {theirs.cpu:6.2f}", flush=True)
