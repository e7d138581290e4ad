"""An environment that a Debian 11 machine uses at the same path as this machine."""

import shutil
from pathlib import Path

import pytest

from tests.support import oldglibc
from tests.support.oldglibc import OldMachine, minglibc, or_skip

pytestmark = [pytest.mark.oldglibc, pytest.mark.online, pytest.mark.slow]

BROKEN = "cryptography==44.0.2"
IMPORT_IT = "import cryptography.hazmat.bindings._rust"


@pytest.fixture(scope="module")
def old_machine() -> OldMachine:
    """A Debian 11 machine with glibc 2.31."""
    return or_skip(oldglibc.old_machine)


@pytest.fixture(scope="module")
def python39() -> Path:
    """Python 3.9 with this machine's glibc."""
    return or_skip(lambda: oldglibc.interpreter("3.9"))


def run_there(machine: OldMachine, environment: Path, code: str) -> tuple[int, str, str]:
    """Run *code* with the environment's bin/python on the old machine; returns the exit code, stdout and stderr."""
    python = environment / "bin" / "python"
    # A shared environment links to an interpreter that exists on each machine.
    link = python.resolve()
    links = {} if link == Path("/usr/bin/python3.9") else {link: "/usr/bin/python3.9"}
    outcome = machine.run([str(python), "-c", code], shared=[environment], links=links)
    return outcome.returncode, outcome.stdout, outcome.stderr


def test_changes_are_discarded(old_machine: OldMachine, tmp_path: Path) -> None:
    """Only changes in shared folders are kept, and nothing stays mounted."""
    before = Path("/proc/mounts").read_text()
    command = ["sh", "-c", f"touch /discarded {tmp_path}/kept"]
    assert old_machine.run(command, shared=[tmp_path]).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert not (old_machine.root / "discarded").exists()
    assert Path("/proc/mounts").read_text() == before


def test_pip_environment_fails_on_the_old_machine(old_machine: OldMachine, python39: Path, tmp_path: Path) -> None:
    """An environment of pip on the newer machine fails on the older machine that shares the folder."""
    environment = oldglibc.pip_environment(python39, tmp_path / ".venv", BROKEN)
    code, _, error = run_there(old_machine, environment, IMPORT_IT)
    assert code == 1
    assert "version `GLIBC_2.33' not found" in error


@pytest.mark.parametrize("cap", ["2.31", "2.17"])
def test_synced_environment_works_on_the_old_machine(
    cap: str, old_machine: OldMachine, python39: Path, tmp_path: Path
) -> None:
    """An environment synced on the newer machine works on the older machine that shares the folder."""
    project = oldglibc.project(tmp_path, cap, *oldglibc.REQUIREMENTS)
    environment = oldglibc.shared_environment(project, python39)
    code, out, error = run_there(old_machine, environment, oldglibc.WORKS_ALL)
    assert (code, out) == (0, "glibc 2.31\n"), error


def test_sync_repairs_an_environment_of_pip_on_the_old_machine(
    old_machine: OldMachine, python39: Path, tmp_path: Path
) -> None:
    """After `sync` on the newer machine, imports that failed on the older machine work."""
    environment = oldglibc.pip_environment(python39, tmp_path / ".venv", BROKEN)
    project = oldglibc.project(tmp_path, "2.31", BROKEN)
    minglibc("lock", project=project)
    minglibc("sync", "--python", str(environment / "bin" / "python"), project=project)
    code, _, error = run_there(old_machine, environment, IMPORT_IT)
    assert code == 0, error


@pytest.mark.parametrize("cap", ["2.31", "2.17"])
def test_bundle_installs_without_network(cap: str, old_machine: OldMachine, tmp_path: Path) -> None:
    """On a machine without network, `sh install.sh FOLDER` creates an environment that works."""
    project = oldglibc.project(tmp_path, cap, *oldglibc.REQUIREMENTS)
    minglibc("lock", project=project)
    minglibc("bundle", "--output", str(tmp_path / "bundle"), project=project)
    (installer,) = (tmp_path / "bundle").glob("**/install.sh")
    there = tmp_path / "there"
    shutil.copytree(installer.parent, there / "bundle")
    # There is no loopback interface either, so paramiko is only imported.
    checks = [*(code for name, code in oldglibc.WORKS.items() if name != "paramiko"), "import paramiko", "print('all')"]
    there.joinpath("check.py").write_text("\n".join(checks))
    script = f"sh {there}/bundle/install.sh /opt/venv && exec /opt/venv/bin/python {there}/check.py"
    outcome = old_machine.run(["sh", "-c", script], shared=[there], network=False, timeout=300)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "/opt/venv" in outcome.stdout
    assert outcome.stdout.endswith("all\n")
