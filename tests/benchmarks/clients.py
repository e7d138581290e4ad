"""Unmodified tools install projects from `minglibc serve`: every environment is checked and compared with `minglibc lock`."""

import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from minglibc.model.requirements import normalize_name

CAPS = ("2.17", "2.28")
# What each project requires: wheels with several caps, with ABIs of their own or abi3, and pure dependencies.
PROJECTS: Mapping[str, Sequence[str]] = {
    "paramiko": ("paramiko",),
    "pydantic": ("pydantic",),
    "lxml": ("lxml", "beautifulsoup4"),
    "jsonschema": ("jsonschema", "pyyaml"),
    "aiohttp": ("aiohttp",),
    "sqlalchemy": ("sqlalchemy", "psycopg2-binary"),
    "uvicorn": ("uvicorn[standard]",),
    "orjson": ("orjson", "msgpack", "ujson"),
    "psutil": ("psutil", "regex", "zstandard"),
    "pillow": ("pillow",),
    "numpy": ("numpy",),
    "flask": ("flask", "gevent"),
}
# The environments' own tools, which a project does not require.
_OWN = {"pip", "setuptools", "wheel"}
_SECONDS = 900
# Variables that could add other indexes, or select another environment.
_REMOVED = ("PYTHONDONTWRITEBYTECODE", "PIP_", "UV_", "PDM_", "POETRY_", "VIRTUAL_ENV")


class Case(NamedTuple):
    """A project that a tool installs under a cap."""

    folder: Path
    requirements: Sequence[str]
    url: str
    python: str
    """The path of the interpreter."""
    version: str
    """The version of it, as in 3.11."""

    @property
    def environment(self) -> Path:
        """Where the tool's environment is."""
        return self.folder / ".venv"

    def write(self, table: str = "") -> None:
        """Write a pyproject.toml with *table* at its end."""
        # Some releases require a later patch release than 3.11.0.
        running = platform.python_version()
        lowest = running if running.startswith(f"{self.version}.") else self.version
        bounds = f">={lowest},=={self.version}.*"
        (self.folder / "pyproject.toml").write_text(
            f'[project]\nname = "client"\nversion = "0"\nrequires-python = "{bounds}"\n'
            f"dependencies = {json.dumps(list(self.requirements))}\n{table}",
            encoding="utf-8",
        )


def execute(command: Sequence[object], folder: Path, **variables: str) -> None:
    """Run *command*, with its output in a file; raises CalledProcessError."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_REMOVED)}
    environment = {**kept, "PIP_CONFIG_FILE": os.devnull, **variables}
    with (folder / "output.txt").open("ab") as output:
        subprocess.run(
            [str(argument) for argument in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_SECONDS,
            check=True,
        )


Install = Callable[[Case, Path], None]
"""Installs a project with the program of a tool."""


def with_pip(case: Case, program: Path) -> None:
    """`pip install` in an environment that is a copy of the tool's own."""
    execute([case.python, "-m", "venv", "--without-pip", case.environment], case.folder)
    (packages,) = (case.environment / "lib").glob("python3*/site-packages")
    (own,) = (program.parent.parent / "lib").glob("python3*/site-packages")
    shutil.copytree(own, packages, dirs_exist_ok=True)
    pip = (case.environment / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    execute([*pip, "--index-url", case.url, *case.requirements], case.folder)


def with_uv_pip(case: Case, program: Path) -> None:
    """`uv pip install`."""
    execute([program, "venv", "-q", "--python", case.python, case.environment], case.folder)
    command = (program, "pip", "install", "-q", "--python", case.environment / "bin" / "python")
    execute([*command, *case.requirements], case.folder, UV_DEFAULT_INDEX=case.url)


def with_uv_sync(case: Case, program: Path) -> None:
    """`uv sync`."""
    case.write("\n[tool.uv]\npackage = false\n")
    execute([program, "sync", "-q", "--python", case.python], case.folder, UV_DEFAULT_INDEX=case.url)


def with_poetry(case: Case, program: Path) -> None:
    """`poetry install`, which locks first."""
    source = f'[[tool.poetry.source]]\nname = "capped"\nurl = "{case.url}"\npriority = "primary"\n'
    case.write(f"\n[tool.poetry]\npackage-mode = false\n\n{source}")
    execute([case.python, "-m", "venv", "--without-pip", case.environment], case.folder)
    execute([program, "-q", "install"], case.folder, POETRY_VIRTUALENVS_IN_PROJECT="true")


def with_pdm(case: Case, program: Path) -> None:
    """`pdm install`, which locks first."""
    case.write(f'\n[tool.pdm]\ndistribution = false\n\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{case.url}"\n')
    execute([case.python, "-m", "venv", "--without-pip", case.environment], case.folder)
    execute([program, "use", "-q", case.environment / "bin" / "python"], case.folder)
    execute([program, "install", "-q"], case.folder)


class Tool(NamedTuple):
    """A tool: the packages that its environment has, the Python it is run with, and how it installs."""

    label: str
    packages: Sequence[str]
    install: Install
    program: str = "python"
    python: str = "3.11"


TOOLS = (
    Tool("pip 20.3", ("pip==20.3.4",), with_pip, python="3.9"),
    Tool("pip 23", ("pip==23.3.2",), with_pip),
    Tool("pip 26", ("pip>=26",), with_pip),
    Tool("uv pip", ("uv",), with_uv_pip, "uv"),
    Tool("uv sync", ("uv",), with_uv_sync, "uv"),
    Tool("Poetry", ("poetry",), with_poetry, "poetry"),
    # pdm 2.29 fails with hishel 2.
    Tool("pdm", ("pdm", "hishel<2"), with_pdm, "pdm"),
)


def run_case(tool: Tool, case: Case, program: Path, cap: str) -> str:
    """Install *case*, and compare it with a lock; empty if everything is as it should be."""
    shutil.rmtree(case.folder, ignore_errors=True)
    locking = case.folder.parent / f"lock-{'-'.join(case.requirements)}-{cap}-{case.version}"
    for folder in (case.folder, locking):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        locked = lock(locking, case.requirements, cap, case.version)
        tool.install(case, program)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return f"failed: {error}"
    command = [sys.executable, "-m", "minglibc", "check", "--glibc", cap, "--environment", str(case.environment)]
    checked = subprocess.run(command, cwd=case.folder, capture_output=True, text=True, check=False)
    # An environment with a pip of its own has that pip's packages too.
    own = installed(program.parent.parent) if tool.install is with_pip else {}
    versions = {key: version for key, version in installed(case.environment).items() if key in locked or key not in own}
    shutil.rmtree(case.environment, ignore_errors=True)
    if checked.returncode:
        return f"check: {checked.stderr.strip()}"
    names = [name for name in {*versions, *locked} if versions.get(name) != locked.get(name)]
    return "; ".join(f"{name} {versions.get(name)} instead of {locked.get(name)}" for name in names)


def installed(environment: Path) -> dict[str, str]:
    """The versions in *environment*, without its own tools."""
    folders = [
        path.name.removesuffix(".dist-info") for path in environment.glob("lib/python3*/site-packages/*.dist-info")
    ]
    pairs = (name.rpartition("-") for name in folders)
    return {key: version for name, _, version in pairs if (key := normalize_name(name)) not in _OWN}


def lock(folder: Path, requirements: Sequence[str], cap: str, version: str) -> Mapping[str, str]:
    """The versions that `minglibc lock` selects."""
    case = Case(folder, requirements, "", sys.executable, version)
    case.write(f'\n[tool.minglibc]\nglibc = "{cap}"\npython = ["{version}"]\narchitectures = ["x86_64"]\n')
    execute([sys.executable, "-m", "minglibc", "lock", "-q"], folder)
    packages = tomllib.loads((folder / "pylock.toml").read_text(encoding="utf-8"))["packages"]
    return {package["name"]: package["version"] for package in packages if package["name"] not in _OWN}


def run(arguments: Namespace) -> None:
    """Run all cases, and print a table."""
    tools = [tool for tool in TOOLS if not arguments.tool or tool.label in arguments.tool]
    names = [name for name in PROJECTS if not arguments.project or name in arguments.project]
    pythons = {"3.11": sys.executable, "3.9": arguments.python39}
    runs = [(tool, pythons[tool.python], install(tool, pythons[tool.python], arguments.folder)) for tool in tools]
    server = [sys.executable, "-m", "minglibc", "serve", "-q", "--port", str(arguments.port)]
    process = subprocess.Popen(server, cwd=arguments.folder, stdin=subprocess.DEVNULL)
    try:
        wait_for_server(arguments.port)
        print(f"| Project | Cap | {' | '.join(tool.label for tool in tools)} |\n|{'---|' * (len(tools) + 2)}")
        for name, cap in itertools.product(names, CAPS):
            print(f"| {name} | {cap} |", end="", flush=True)
            for tool, python, program in runs:
                folder = arguments.folder.resolve() / "cases" / f"{name}-{cap}-{tool.label.replace(' ', '-')}"
                url = f"http://127.0.0.1:{arguments.port}/glibc-{cap}/simple/"
                case = Case(folder, PROJECTS[name], url, python, tool.python)
                print(f" {run_case(tool, case, program, cap) or '✓'} |", end="", flush=True)
            print()
    finally:
        process.terminate()
        process.wait(30)


def install(tool: Tool, python: str, folder: Path) -> Path:
    """The program of *tool*, which is installed below *folder*."""
    venv = folder.resolve() / "tools" / tool.label.replace(" ", "-")
    if not venv.exists():
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", *tool.packages], check=True)
    return venv / "bin" / tool.program


def wait_for_server(port: int) -> None:
    """Wait until the server responds."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the server did not start")


def configure(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--folder", type=Path, required=True, help="where the tools and the projects are")
    parser.add_argument("--port", type=int, default=8485, help="uv.lock and pdm.lock record it")
    parser.add_argument("--python39", default="python3.9", help="the interpreter for pip 20.3")
    parser.add_argument("--tool", action="append", default=[], choices=[tool.label for tool in TOOLS])
    parser.add_argument("--project", action="append", default=[], choices=list(PROJECTS))
    parser.set_defaults(run=run)
