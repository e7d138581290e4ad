"""`minglibc init --host` and `check --hosts`, with a program ssh that runs the script on this machine."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import child
from tests.support.ssh import local_ssh

if TYPE_CHECKING:
    from subprocess import CompletedProcess


@pytest.fixture
def ssh(tmp_path: Path) -> dict[str, str]:
    """Variables with which ssh is a program whose hosts are this machine."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "python3").symlink_to(sys.executable)
    folder = local_ssh(tmp_path / "bin", f"{here}:/usr/bin:/bin")
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def run(tmp_path: Path, ssh: dict[str, str], *arguments: str) -> "CompletedProcess[str]":
    """Run minglibc in the folder of the project."""
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    return child.run(*arguments, cwd=folder, variables=ssh)


def test_init_and_check(tmp_path: Path, ssh: dict[str, str]) -> None:
    """`init --host` writes a table that fits the hosts, lists those that fail, and `check` confirms the lock."""
    ran = run(tmp_path, ssh, "init", "--host", "noisy", "--host", "dead-1")
    assert 0 == ran.returncode, ran.stderr
    assert "warning: dead-1: ssh: connect to host dead-1 port 22: Connection refused\n" in ran.stderr
    table = tomllib.loads((tmp_path / "project/pyproject.toml").read_text())["tool"]["minglibc"]
    (machine,) = json.loads((tmp_path / "project/fleet.json").read_text())["machines"]
    assert table["glibc"] == machine["glibc"]
    assert machine["python"][0].startswith(f"{table['python'][0]}.")
    assert 0 == run(tmp_path, ssh, "lock").returncode
    # It leaves a process that keeps the output open.
    assert 0 == run(tmp_path, ssh, "check", "--host", "detached", "--from-facts", "fleet.json").returncode
    dead = run(tmp_path, ssh, "check", "--host", "a", "--host", "dead")
    assert (1, "Checked 1 machine: 0 not served, 1 not measured") == (dead.returncode, dead.stderr.splitlines()[-1])


def test_existing_table_is_not_changed(tmp_path: Path, ssh: dict[str, str]) -> None:
    """Where the project has a table already, the lines for the hosts are printed."""
    (tmp_path / "project").mkdir()
    text = '[project]\nname = "x"\nversion = "1"\n[tool.minglibc]\nglibc = "2.17"\npython = "3.9"\n'
    (tmp_path / "project/pyproject.toml").write_text(text)
    ran = run(tmp_path, ssh, "init", "--host", "a")
    assert 0 == ran.returncode
    assert "has a table already; change it to:\n\n[tool.minglibc]\nglibc = " in ran.stdout
    assert text == (tmp_path / "project/pyproject.toml").read_text()


def test_unserved_machine(tmp_path: Path, ssh: dict[str, str]) -> None:
    """A machine with an older glibc than the lock's, or another Python, is named with the reason."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\n[tool.minglibc]\nglibc = "2.28"\npython = "3.9"\n'
    )
    machine = {"name": "old", "architecture": "x86_64", "glibc": "2.17", "python": ["3.9.2"]}
    other = machine | {"name": "other", "glibc": "2.28", "python": ["3.11.1"]}
    (folder / "fleet.json").write_text(json.dumps({"version": 1, "machines": [machine, other]}))
    assert 0 == run(tmp_path, ssh, "lock").returncode
    ran = run(tmp_path, ssh, "check", "--from-facts", "fleet.json")
    assert 1 == ran.returncode
    assert ran.stdout == (
        "old: this machine has glibc 2.17 (RHEL 7), the lock is for glibc 2.28 (RHEL 8)\n"
        "other: the lock has no target for CPython 3.11.1 on x86_64\n"
    )
    result = json.loads(run(tmp_path, ssh, "check", "--from-facts", "fleet.json", "--json").stdout)
    assert [None, None] == [machine["target"] for machine in result["machines"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "dead"], "no host could be measured:\n  dead: ssh: connect to host dead port 22"),
        (["--host", "endless", "--host-timeout", "1"], "no complete answer within 1 s"),
        (["--host", "hanging", "--host-timeout", "1"], "no complete answer within 1 s"),
        (["--host", "closed", "--host-timeout", "1"], "no complete answer within 1 s"),
        (["--host=-oProxyCommand=touch x"], "is not a host"),
        (["--hosts", "missing"], "there is no file missing"),
        (["--host", "a", "--glibc", "2.17"], "--glibc can't be combined with machines"),
        (["--host", "a", "--host-timeout", "nan"], "is not between 1 and 3600"),
    ],
)
def test_errors(tmp_path: Path, ssh: dict[str, str], arguments: list[str], message: str) -> None:
    """An error is reported in time, and nothing is written."""
    ran = run(tmp_path, ssh, "init", *arguments)
    assert (2, "") == (ran.returncode, ran.stdout)
    assert message in ran.stderr
    assert [] == os.listdir(tmp_path / "project")


def test_another_fleet_json_is_not_overwritten(tmp_path: Path, ssh: dict[str, str]) -> None:
    """A fleet.json that minglibc did not make is kept, and pyproject.toml is not written."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/fleet.json").write_text("mine")
    ran = run(tmp_path, ssh, "init", "--host", "a")
    assert 2 == ran.returncode
    assert "was not made by minglibc" in ran.stderr
    assert ["fleet.json"] == os.listdir(tmp_path / "project")


def test_ssh_is_missing(tmp_path: Path) -> None:
    """Without ssh, the message names what to install."""
    ran = run(tmp_path, {"PATH": str(tmp_path)}, "init", "--host", "a")
    assert (2, "error: ssh was not found\nhint: install OpenSSH's client\n") == (ran.returncode, ran.stderr)
