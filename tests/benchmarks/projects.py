"""Locks the dependency files of two lists of public projects, and reports which of them succeed."""

import subprocess
import sys
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

LISTS = {"1": Path(__file__).with_suffix(".toml"), "2": Path(__file__).with_name("projects-2.toml")}
# The first list was locked for the default Pythons, the second one as a new user does it: after `init`.
_DEFAULT_SETTINGS: Mapping[str, Mapping[str, Any] | None] = {"1": {}, "2": None}
CAP = "2.28"
# For requirements files, which do not say which Python they are for.
PYTHON = "3.12"


class Outcome(NamedTuple):
    """The result of locking one project."""

    repository: str
    locked: bool
    seconds: float
    output: str

    @property
    def row(self) -> str:
        """A row of the table in Markdown."""
        errors = [line for line in self.output.splitlines() if line.startswith("error: ")]
        result = "locked" if self.locked else (errors or ["no output"])[0]
        return f"| {self.repository} | {result} | {self.seconds:.1f} |"


def load(number: str = "1") -> list[dict[str, Any]]:
    """The projects of a list: repository, commit, file, and the facts in their dependency files."""
    projects: list[dict[str, Any]] = tomllib.loads(LISTS[number].read_text(encoding="utf-8"))["project"]
    return projects


def write(project: Mapping[str, Any], folder: Path, settings: Mapping[str, Any] | None) -> None:
    """Write the dependency files of *project* into *folder*, with *settings* as [tool.minglibc].

    Without *settings*, a pyproject.toml has no such table.
    """
    for path, document in project.get("documents", {}).items():
        tables = dict(document)
        if path == "pyproject.toml" and settings is not None:
            tables["tool"] = {**document.get("tool", {}), "minglibc": {"glibc": CAP, **settings}}
        _write(folder / path, tomli_w.dumps(tables))
    for path, lines in project.get("files", {}).items():
        _write(folder / path, "\n".join([*lines, ""]))
    if "documents" not in project:
        _write(folder / project["file"], "\n".join([*project["files"][project["file"]], ""]))
        table = {"glibc": CAP, "python": [PYTHON], **(settings or {})}
        _write((folder / project["file"]).parent / "pyproject.toml", tomli_w.dumps({"tool": {"minglibc": table}}))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def lock(project: Mapping[str, Any], folder: Path, cache: Path, settings: Mapping[str, Any] | None) -> Outcome:
    """Lock *project* in *folder* with *settings*, or with those that `init` writes."""
    write(project, folder, settings)
    program = [sys.executable, "-m", "minglibc"]
    if settings is None and "documents" in project:
        subprocess.run([*program, "init", "--glibc", CAP], cwd=folder, capture_output=True, check=True)
    command = [*program, "lock", "--cache-dir", str(cache)]
    if "documents" not in project:
        command += ["-r", project["file"]]
    started = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = done.stderr
    _write(folder / "output.txt", output)
    return Outcome(project["repository"], done.returncode == 0, time.monotonic() - started, output)


def run(arguments: Namespace) -> None:
    """Lock the chosen projects and print a table."""
    locked = 0
    projects = [p for p in load(arguments.list) if not arguments.only or p["repository"] in arguments.only]
    print("| Project | Result | Seconds |\n|---|---|---|")
    for project in projects:
        settings = project.get("settings", {}) if arguments.with_settings else _DEFAULT_SETTINGS[arguments.list]
        folder = arguments.folder / project["repository"].replace("/", "-")
        outcome = lock(project, folder, arguments.folder / "cache", settings)
        locked += outcome.locked
        print(outcome.row, flush=True)
    print(f"\n{locked} of {len(projects)} locked")


def configure(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--folder", type=Path, required=True, help="where projects and the cache are kept")
    parser.add_argument("--list", choices=LISTS, default="1", help="which of the two lists")
    parser.add_argument("--only", action="append", default=[], metavar="REPOSITORY", help="only this one; repeatable")
    parser.add_argument("--with-settings", action="store_true", help="add the settings that the hints suggest")
    parser.set_defaults(run=run)
