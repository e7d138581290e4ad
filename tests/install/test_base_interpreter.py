"""A base interpreter's packages are never changed."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.errors import EnvironmentProblem
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.interpreter import inspect, is_conda_environment
from tests.support.environments import snapshot
from tests.support.transactions import install, prefix_of
from tests.support.wheels import build_wheel


def is_refused(environment: Environment) -> bool:
    """Whether an environment can neither be recovered nor changed."""
    with pytest.raises(EnvironmentProblem, match="is not a virtual environment"):
        transaction.recover(environment)
    with pytest.raises(EnvironmentProblem, match="is not a virtual"), transaction.begin(environment):
        pass
    return True


@pytest.mark.parametrize("replacement", ["missing", "folder", "dangling link"])
def test_environment_without_configuration_is_not_changed(
    replacement: str, environment: Environment, tmp_path: Path
) -> None:
    """If pyvenv.cfg is lost after the interpreter was inspected, the environment is not changed any more."""
    install(environment, tmp_path / "w", build_wheel("a", "1"))
    configuration = prefix_of(environment) / "pyvenv.cfg"
    configuration.unlink()
    if replacement == "folder":
        configuration.mkdir()
    elif replacement == "dangling link":
        configuration.symlink_to("/nowhere")
    before = snapshot(prefix_of(environment))
    assert is_refused(environment)
    assert before == snapshot(prefix_of(environment))


def test_base_interpreter_is_not_an_environment(environment: Environment) -> None:
    """The interpreter of a base prefix, and of an environment without pyvenv.cfg, is refused."""
    (prefix_of(environment) / "pyvenv.cfg").unlink()
    interpreter = inspect(environment.layout.interpreter)
    assert not interpreter.is_environment
    assert str(prefix_of(environment)) != interpreter.layout.prefix
    assert is_refused(Environment(interpreter))


def test_base_interpreter_with_a_stray_configuration(tmp_path: Path) -> None:
    """A base interpreter that has a pyvenv.cfg beside it is still a base interpreter."""
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    (base / "pyvenv.cfg").write_text(f"home = {base}/bin\n", encoding="utf-8")
    facts = (
        "import os, sys; sys.base_prefix = sys.argv[2]; sys.executable = sys.argv[2] + '/bin/python'; "
        "exec(open(sys.argv[1]).read().rpartition('main()')[0]); "
        "print(environment_prefix())"
    )
    probe = Path(transaction.__file__).with_name("_probe.py")
    command = [sys.executable, "-I", "-c", facts, str(probe), str(base)]
    assert subprocess.check_output(command, text=True) == "None\n"


@pytest.mark.parametrize(("packages", "changeable"), [(["numpy-2.0-0.json"], True), (["conda-24.1-0.json"], False)])
def test_conda_environments(packages: list[str], changeable: bool, environment: Environment, tmp_path: Path) -> None:  # noqa: FBT001  parametrized
    """Environments that conda created can be changed; conda's base environment can't."""
    prefix = prefix_of(environment)
    (prefix / "pyvenv.cfg").unlink()
    (prefix / "conda-meta").mkdir()
    for package in packages:
        (prefix / "conda-meta" / package).touch()
    assert is_conda_environment(str(prefix)) is changeable
    conda = Environment(dataclasses.replace(environment.interpreter, is_environment=False))
    if changeable:
        install(conda, tmp_path / "w", build_wheel("a", "1"))
        assert [distribution.name for distribution in conda.distributions()] == ["a"]
    else:
        assert is_refused(conda)
