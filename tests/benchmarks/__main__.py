"""`python -m tests.benchmarks`: growth in packages and targets, and the memory that a large page takes.

Prints both tables and draws docs/pictures/growth.svg. tests/benchmarks/README.md says how other tools are compared.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.plot import draw
from tests.benchmarks.synthetic import ARCHITECTURES, PYTHONS, index, name, serving

SIZES = (10, 100, 1000)
TARGETS = {1: (1, 1), 4: (2, 2), 16: (8, 2)}
PAGE_FILES = 100_000
PICTURE = Path(__file__).parent.parent.parent / "docs" / "pictures" / "growth.svg"


# A process begins with its parent's peak: a small one starts what is measured.
_MEASURE = """
import os, sys, time
began = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Run(NamedTuple):
    """What one lock took: seconds by the clock, seconds of processors, MiB at its peak."""

    wall: float
    cpu: float
    peak: float


def lock(folder: Path, url: str, *, cold: bool) -> Run:
    """Lock the project in *folder* anew, as a command of its own."""
    (folder / "pylock.toml").unlink(missing_ok=True)
    if cold:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    command = [sys.executable, "-m", "minglibc", "lock", "--quiet", "--index-url", url, "--cache-dir", "cache"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Run(*(float(figure) for figure in ran.stdout.split()))


def project(folder: Path, targets: int) -> None:
    """A project that requires the first of the synthetic projects, and so all of them."""
    pythons, machines = TARGETS[targets]
    chosen = [f"3.{minor}" for minor in PYTHONS[-pythons:]]
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "growth"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["{name(0)}"]\n\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = {chosen}\narchitectures = {list(ARCHITECTURES[:machines])}\n',
        encoding="utf-8",
    )


def median(runs: list[Run]) -> Run:
    """The median of each figure."""
    return Run(*(statistics.median(figures) for figures in zip(*runs, strict=True)))


def measure(folder: Path, url: str, *, rounds: int = 3) -> tuple[Run, Run]:
    """The medians of a cold and a warm lock; one run before compiles the bytecode."""
    lock(folder, url, cold=True)
    return tuple(median([lock(folder, url, cold=cold) for _ in range(rounds)]) for cold in (True, False))  # type: ignore[return-value]  # two are made


def growth(folder: Path) -> dict[tuple[str, int], list[float]]:
    """Seconds of a cold and a warm lock by number of targets, in the order of SIZES."""
    found: dict[tuple[str, int], list[float]] = {}
    print(f"{'packages':>8} {'targets':>7} {'cold s':>8} {'warm s':>8} {'peak MiB':>8}")
    for size in SIZES:
        with serving(index(size)) as url:
            for targets in TARGETS:
                project(folder, targets)
                cold, warm = measure(folder, url)
                print(f"{size:8} {targets:7} {cold.wall:8.3f} {warm.wall:8.3f} {cold.peak:8.0f}", flush=True)
                found.setdefault(("cold", targets), []).append(cold.wall)
                found.setdefault(("warm", targets), []).append(warm.wall)
    return found


def memory(folder: Path) -> None:
    """Peak memory for a project whose page lists many files."""
    print(f"{'files':>8} {'cold s':>8} {'warm s':>8} {'cold MiB':>8} {'warm MiB':>8}")
    project(folder, 1)
    for files in (0, PAGE_FILES // 10, PAGE_FILES):
        with serving(index(1, files=files)) as url:
            cold, warm = measure(folder, url)
            print(f"{files:8} {cold.wall:8.3f} {warm.wall:8.3f} {cold.peak:8.0f} {warm.peak:8.0f}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        PICTURE.write_text(draw(SIZES, growth(Path(temporary))), encoding="utf-8")
        memory(Path(temporary))
