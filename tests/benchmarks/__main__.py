"""`python -m tests.benchmarks COMMAND`: what tests/benchmarks/README.md describes."""

import os
import shutil
import statistics
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import builds, clients, hard, locks, parts, projects, public_locks, servers, syncs, tools
from tests.benchmarks.measure import Run, measured
from tests.benchmarks.plot import draw
from tests.benchmarks.synthetic import ARCHITECTURES, JSON, PYTHONS, as_html, index, name, serving

SIZES = (10, 100, 1000)
TARGETS = {1: (1, 1), 4: (2, 2), 16: (8, 2)}
PAGE_FILES = (1_000, 10_000, 100_000, 250_000)
PICTURE = Path(__file__).parent.parent.parent / "docs" / "pictures" / "growth.svg"


def lock(folder: Path, url: str, *, cold: bool) -> Run:
    """Lock the project in *folder* in a new process."""
    (folder / "pylock.toml").unlink(missing_ok=True)
    if cold:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    command = [sys.executable, "-m", "minglibc", "lock", "--quiet", "--index-url", url, "--cache-dir", "cache"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return measured(command, folder=folder, environment=environment)


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
    """CPU seconds of a cold and a warm lock by number of targets, in the order of SIZES; they hardly depend on the load."""
    seconds: dict[tuple[str, int], list[float]] = {}
    print(f"{'packages':>8} {'targets':>7} {'cold s':>8} {'CPU s':>8} {'warm s':>8} {'CPU s':>8} {'peak MiB':>8}")
    for size in SIZES:
        with serving(index(size)) as url:
            for targets in TARGETS:
                project(folder, targets)
                cold, warm = measure(folder, url)
                figures = f"{cold.wall:8.3f} {cold.cpu:8.3f} {warm.wall:8.3f} {warm.cpu:8.3f} {cold.peak:8.0f}"
                print(f"{size:8} {targets:7} {figures}", flush=True)
                seconds.setdefault(("cold", targets), []).append(cold.cpu)
                seconds.setdefault(("warm", targets), []).append(warm.cpu)
    return seconds


def memory(folder: Path) -> None:
    """Peak memory for a project whose page lists many files, in JSON and in HTML."""
    print(f"{'files':>8} {'page':>5} {'cold s':>8} {'warm s':>8} {'cold MiB':>8} {'warm MiB':>8}")
    project(folder, 1)
    for files in (0, *PAGE_FILES):
        bodies = index(1, files=files)
        page = f"/simple/{name(0)}/"
        for label, kind, body in (("JSON", JSON, bodies[page]), ("HTML", "text/html", as_html(bodies[page]))):
            with serving({**bodies, page: body}, kind=kind) as url:
                cold, warm = measure(folder, url)
            figures = f"{cold.wall:8.3f} {warm.wall:8.3f} {cold.peak:8.0f} {warm.peak:8.0f}"
            print(f"{files:8} {label:>5} {figures}", flush=True)


def synthetic(targets: int) -> tools.Project:
    """A hundred synthetic projects, as input for other tools."""
    pythons, machines = TARGETS[targets]
    chosen = tuple(f"3.{minor}" for minor in PYTHONS[-pythons:]) if targets > 1 else (f"3.{sys.version_info[1]}",)
    bound = f">={chosen[0]}" if targets > 1 else f"=={chosen[0]}.*"
    return tools.Project(f"synthetic-{targets}", (name(0),), bound, "2.17", chosen, ARCHITECTURES[:machines])


@contextmanager
def selected_index(arguments: Namespace) -> Iterator[tuple[str, list[tools.Project]]]:
    """The index that is used, and its projects."""
    if arguments.index:
        folders = [arguments.workloads / name for name in arguments.workload] or sorted(arguments.workloads.iterdir())
        yield arguments.index, [tools.Project.load(folder / "pyproject.toml") for folder in folders]
    else:
        with serving(index(100), latency=arguments.latency_ms / 1000) as url:
            yield url, [synthetic(1), synthetic(4)]


def run_growth(arguments: Namespace) -> None:
    """Draw the picture of growth."""
    with tempfile.TemporaryDirectory() as temporary:
        PICTURE.write_text(draw(SIZES, growth(Path(temporary))), encoding="utf-8")


def run_memory(arguments: Namespace) -> None:
    """Print the peak memory for large pages."""
    with tempfile.TemporaryDirectory() as temporary:
        memory(Path(temporary))


def run_locks(arguments: Namespace) -> None:
    """Print how long tools take to lock the same projects."""
    with selected_index(arguments) as (url, projects), tempfile.TemporaryDirectory() as temporary:
        bench = locks.Bench(Path(temporary), url, arguments.tools)
        for table in locks.compare(
            bench,
            projects,
            scenarios=arguments.scenario or locks.SCENARIOS,
            tools=arguments.tool,
            rounds=arguments.rounds,
        ):
            print(table, end="\n\n", flush=True)


def run_profile(arguments: Namespace) -> None:
    """Print the CPU time of each part of minglibc."""
    with selected_index(arguments) as (url, projects), tempfile.TemporaryDirectory() as temporary:
        for project in projects:
            print(parts.table(Path(temporary), url, project, rounds=arguments.rounds), end="\n\n", flush=True)


def run_syncs(arguments: Namespace) -> None:
    """Print how long tools take to install the same locks."""
    with tempfile.TemporaryDirectory() as temporary:
        for project in arguments.project:
            print(syncs.compare(Path(temporary), project, arguments.wheels, arguments.tools, rounds=arguments.rounds))


def main() -> None:
    """Run the selected benchmark."""
    parser = ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("growth", help="seconds by packages and targets, as a picture").set_defaults(run=run_growth)
    commands.add_parser("memory", help="the memory that large pages take").set_defaults(run=run_memory)
    install = commands.add_parser("install", help="install minglibc and the tools to compare into virtual environments")
    install.add_argument("tools", type=Path, help="the folder for them")
    install.set_defaults(run=lambda arguments: tools.install(arguments.tools))
    lock = commands.add_parser("locks", help="compare the locks of all tools")
    lock.add_argument("--tools", type=Path, help="the folder that `install` filled")
    lock.add_argument("--tool", action="append", default=[], help="only this one")
    lock.add_argument("--scenario", action="append", default=[], choices=locks.SCENARIOS, help="only this one")
    lock.add_argument("--rounds", type=int, default=5)
    lock.set_defaults(run=run_locks)
    profile = commands.add_parser("profile", help="CPU time of a lock by part")
    profile.add_argument("--rounds", type=int, default=5)
    profile.set_defaults(run=run_profile)
    for subparser in (lock, profile):
        subparser.add_argument(
            "--index", help="a simple index that has what the workloads need; without it, a synthetic index is served"
        )
        subparser.add_argument(
            "--latency-ms", type=float, default=0, help="how long the synthetic index waits before each response"
        )
        subparser.add_argument(
            "--workloads", type=Path, help="a folder with a folder for each workload's pyproject.toml"
        )
        subparser.add_argument("--workload", action="append", default=[], help="only this one")
    sync = commands.add_parser("syncs", help="`sync` beside `uv pip sync`, on the same lock")
    sync.add_argument("project", nargs="+", type=Path, help="a folder with a pyproject.toml")
    sync.add_argument("--tools", type=Path, help="the folder that `install` filled")
    sync.add_argument(
        "--wheels", type=Path, required=True, help="where wheels are kept, so that they are downloaded once"
    )
    sync.add_argument("--rounds", type=int, default=5)
    sync.set_defaults(run=run_syncs)
    hard_parser = commands.add_parser("hard", help="requirements that conflict late, beside `uv pip compile`")
    hard_parser.add_argument("--uv", default=shutil.which("uv"), help="the uv to compare with")
    hard_parser.add_argument("--folder", type=Path, required=True, help="the folder for projects and caches")
    hard_parser.add_argument("--families-only", action="store_true", help="not the public sets")
    hard_parser.add_argument("--public-only", action="store_true", help="not the synthetic families")
    hard_parser.set_defaults(run=hard.run)
    projects.configure(commands.add_parser("projects", help="lock the dependency files of forty public projects"))
    public_locks.configure(
        commands.add_parser("public-locks", help="cap the locks of public projects, and compare versions")
    )
    clients.configure(commands.add_parser("clients", help="pip, uv, poetry and pdm with an index of `serve`"))
    servers.configure(commands.add_parser("servers", help="`serve` beside other index servers, under load"))
    builds.configure(commands.add_parser("builds", help="compiled packages built with zig and with gcc"))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
