"""Inspecting interpreters and creating environments."""

import os
import sys
from pathlib import Path

import pytest

from minglibc.errors import EnvironmentProblem
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter, create, find_interpreters, inspect, is_creatable
from minglibc.model.targets import GlibcVersion, PythonVersion
from tests.support.environments import site_packages
from tests.support.parameters import one_in
from tests.support.transactions import prefix_of


@pytest.mark.parametrize(
    "name", one_in(3, ["python3.6", "python3.7", "python3.8", "python3.13", "python3.9", "python3.11"])
)
def test_interpreters_since_3_6_are_inspected(name: str) -> None:
    """Every Python from 3.6 on reports its version, the machine's glibc and the folders of packages."""
    paths = [path for path in find_interpreters([PythonVersion.parse(name[6:])]) if path.endswith(name)]
    described: list[Interpreter] = []
    for path in paths:
        try:
            described.append(inspect(path))
        except EnvironmentProblem:  # a version manager's shim, with nothing behind it
            continue
    if not described:
        pytest.skip(f"there is no {name} on PATH")
    machine = described[0].machine
    assert name[6:] == machine.python.short
    assert GlibcVersion.parse((os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2]) == machine.libc
    assert os.uname().machine == machine.architecture


def test_links_to_environments_are_kept_in_scripts(environment: Environment, tmp_path: Path) -> None:
    """Through a link, scripts name the interpreter by the given path; files are written to the real folder."""
    link = tmp_path / "shared"
    link.symlink_to(prefix_of(environment))
    inspected = inspect(str(link / "bin" / "python"))
    assert inspected.is_environment
    assert str(link / "bin" / "python") == inspected.layout.interpreter
    assert str(prefix_of(environment)) == inspected.layout.prefix


def test_inspection_runs_no_code_of_the_environment(environment: Environment) -> None:
    """.pth files and sitecustomize of the environment are not executed."""
    site = site_packages(prefix_of(environment))
    (site / "evil.pth").write_text("import sys; sys.exit('ran')\n", encoding="utf-8")
    (site / "sitecustomize.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    assert inspect(environment.layout.interpreter).is_environment


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#!/bin/sh\necho 'not a python' >&2; exit 3\n", "not a python"),
        ("#!/bin/sh\necho '{}'\n", "is not Python"),
        ("#!/nowhere/at/all\n", "can't start"),
    ],
)
def test_other_programs_are_errors(tmp_path: Path, content: str, words: str) -> None:
    """A program that is not Python, or does not start, is an error with a hint."""
    program = tmp_path / "python"
    program.write_text(content, encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=words) as failed:
        inspect(str(program))
    assert "--python" in failed.value.hint


def test_interrupted_creation_is_completed(tmp_path: Path) -> None:
    """An environment is created only in a folder that is empty, or that an interrupted creation left."""
    folder = tmp_path / "env"
    assert is_creatable(str(folder))
    (folder / ".minglibc").mkdir(parents=True)
    assert is_creatable(str(folder))
    (folder / ".minglibc" / "creating").touch()
    (folder / "bin").mkdir()
    assert is_creatable(str(folder))
    assert create(str(folder), sys.executable).is_environment
    assert not is_creatable(str(folder))
    assert not is_creatable(str(tmp_path))
    assert (folder / ".gitignore").read_text(encoding="utf-8").splitlines()[-1] == "*"
