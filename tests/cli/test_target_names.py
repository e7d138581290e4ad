"""Targets with names of their own, and names that minglibc makes."""

import sys
from pathlib import Path

import pytest

from tests.support.commands import read_lock
from tests.support.index import IndexServer
from tests.support.projects import RUNNING, RUNNING_TARGET, locked, project, run
from tests.support.wheels import build_wheel


@pytest.fixture
def fleet(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project with two named targets; only gateways need b."""
    index.add(build_wheel("a", "1.0", requires=["b; platform_machine == 'aarch64'"]))
    index.add(build_wheel("b", "1.0"))
    folder = project(
        tmp_path / "fleet",
        index,
        f"""[project]
name = "fleet"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
[[tool.minglibc.target]]
name = "controllers"
python = "{RUNNING}"
[[tool.minglibc.target]]
name = "gateways"
python = "3.11"
architecture = "aarch64"
glibc = "2.31"
""",
    )
    locked(folder)
    return folder


def test_lock_records_names(fleet: Path) -> None:
    """The lock records the names of targets, so that machines without pyproject.toml know them."""
    lock = read_lock(fleet)
    assert ["controllers", "gateways"] == sorted(lock.names)
    assert set(lock.targets) == set(lock.names.values())
    assert "aarch64" == lock.names["gateways"].architecture


@pytest.mark.parametrize("name", ["gateways", "cp311-aarch64-glibc2.31"])
def test_commands_accept_both_names(fleet: Path, tmp_path: Path, index: IndexServer, name: str) -> None:
    """`tree`, `export` and `bundle` accept the own name of a target and its generated one."""
    index.add(build_wheel("pip", "25.0"))
    assert "b==1.0" in run(fleet, "tree", "--target", name).out
    assert "b @" in run(fleet, "export", "--target", name).out
    bundled = run(fleet, "bundle", "--target", name, "-o", str(tmp_path / "bundle"))
    assert 0 == bundled.code, bundled.err
    assert (tmp_path / "bundle" / "wheels" / "b-1.0-py3-none-any.whl").exists()


@pytest.mark.parametrize("name", ["controllers", RUNNING_TARGET])
def test_sync_accepts_both_names(fleet: Path, name: str) -> None:
    """`sync` installs the named target; the name of a target for another machine is an error."""
    ran = run(fleet, "sync", "--target", name)
    assert 0 == ran.code, ran.err
    refused = run(fleet, "sync", "--target", "gateways")
    assert 1 == refused.code
    assert "no target for" in refused.err


@pytest.mark.parametrize("command", ["sync", "run", "export", "bundle", "tree"])
def test_unknown_target(fleet: Path, command: str) -> None:
    """An unknown name is a usage error that lists every target, in the order of the lock."""
    ran = run(fleet, command, "--target", "toasters", *(["true"] if command == "run" else []))
    assert 2 == ran.code
    assert "no target 'toasters'" in ran.err
    # A lock's targets are sorted by Python.
    targets = [(sys.version_info.minor, f"controllers ({RUNNING_TARGET})"), (11, "gateways (cp311-aarch64-glibc2.31)")]
    assert ", ".join(name for _, name in sorted(targets, key=lambda target: target[0])) in ran.err
