"""Bundles with an interpreter, installed on Debian 11 without the use of its Python."""

import subprocess
from pathlib import Path

import pytest

from tests.support import oldglibc
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.oldglibc import OldMachine, or_skip
from tests.support.pips import publish_pip
from tests.support.wheels import build_wheel

pytestmark = [pytest.mark.oldglibc, pytest.mark.online, pytest.mark.slow]

TOOLS = ("sh", "tar", "gzip", "sha256sum", "dirname", "ls", "mkdir", "grep", "mv", "rm")


@pytest.fixture(scope="module")
def old_machine() -> OldMachine:
    """A Debian 11 machine with glibc 2.31."""
    return or_skip(oldglibc.old_machine)


@pytest.fixture
def made(tmp_path: Path, index: IndexServer, old_machine: OldMachine) -> Path:
    """A bundle with Debian 11's Python 3.9, which is relocatable, as an archive."""
    archive = tmp_path / "python.tar.gz"
    # A link to /etc, which no bundle may contain.
    excluded = ["--exclude=__pycache__", "--exclude=sitecustomize.py"]
    files = ["usr/bin/python3.9", "usr/lib/python3.9"]
    command = ["tar", "-C", str(old_machine.root), *excluded, "-czf", str(archive), *files]
    subprocess.run(command, check=True)
    python39 = or_skip(lambda: oldglibc.interpreter("3.9"))
    publish_pip(index, python39)
    index.add(
        build_wheel("app", "1.0", scripts={"greet": "app:main"}, files={"app.py": "def main(): print('hello')\n"})
    )
    folder = write_project(tmp_path / "project", index, ["app"], python=["3.9"], glibc="2.31")
    lock(folder)
    made = tmp_path / "made"
    ran = minglibc("bundle", "--project", str(folder), "-o", str(made), "--interpreter", str(archive))
    assert not ran.code, ran.err
    assert "modules of the interpreter need libraries that some machines lack: libbz2" in ran.err
    return made


def install(machine: OldMachine, made: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run shell *commands* on the machine, with no other programs than TOOLS on PATH and without a network."""
    links = {Path("/tools", tool): f"/bin/{tool}" for tool in TOOLS}
    links |= {Path("/tools", tool): f"/usr/bin/{tool}" for tool in ("sha256sum", "dirname")}
    script = "\n".join(["set -eu", "PATH=/tools", *commands])
    return machine.run(["/bin/sh", "-c", script], shared=[made.parent], links=links, network=False)


def test_interpreter_is_unpacked(old_machine: OldMachine, made: Path) -> None:
    """Without any Python on PATH, the environment uses the interpreter that install.sh unpacked into it."""
    venv = made.parent / "venv"
    code = "import sys; print(sys.base_prefix)"
    ran = install(
        old_machine, made, f"sh {made}/install.sh {venv}", f"{venv}/bin/greet", f'{venv}/bin/python -c "{code}"'
    )
    assert not ran.returncode, ran.stderr
    assert f"Installed 1 package: {venv}/bin/python\nhello\n{venv}/interpreter\n" == ran.stdout
    assert [] == list(made.parent.glob(".minglibc-interpreter-*"))


def test_changed_archive_is_refused(old_machine: OldMachine, made: Path) -> None:
    """An archive with another digest is not unpacked; neither is one into a folder with files or in the bundle."""
    venv = made.parent / "venv"
    ran = install(old_machine, made, f"mkdir {venv} {venv}/x", f"sh {made}/install.sh {venv}")
    assert (1, f"error: {venv} already exists\n") == (ran.returncode, ran.stderr.partition("hint")[0])
    ran = install(old_machine, made, f"sh {made}/install.sh {made}/venv")
    assert (1, f"error: {made}/venv is inside the bundle\n") == (ran.returncode, ran.stderr.partition("hint")[0])
    with (made / "interpreter.tar.gz").open("ab") as archive:
        archive.write(b"x")
    ran = install(old_machine, made, f"sh {made}/install.sh {venv}2")
    assert (1, True) == (ran.returncode, "changed: interpreter.tar.gz" in ran.stderr)
    assert not (made.parent / "venv2").exists()
    assert [] == list(made.parent.glob(".minglibc-interpreter-*"))


def test_deb_is_installed_upgraded_and_removed(old_machine: OldMachine, tmp_path: Path, index: IndexServer) -> None:
    """dpkg installs the environment, upgrades it, keeps it where an upgrade fails, and removes all of it."""
    publish_pip(index, or_skip(lambda: oldglibc.interpreter("3.9")))
    for version in ("1.0", "2.0"):
        files = {"app.py": f"def main(): print('version {version}')\n"}
        index.add(build_wheel("app", version, scripts={"greet": "app:main"}, files=files))
    for release, requirement in (("1", "app<2"), ("2", "app")):
        folder = write_project(tmp_path / "project", index, [requirement], python=["3.9"], glibc="2.31")
        lock(folder, "--upgrade")
        path = tmp_path / f"{release}.deb"
        ran = minglibc("bundle", "--project", str(folder), "-o", str(path), "--release", release)
        assert not ran.code, ran.err
    greet = "/opt/example/current/bin/greet"
    commands = [
        f"dpkg -i {tmp_path}/1.deb >&2 && {greet}",
        # The environment of the first release stays, with a Python that fails for the second.
        f"! PYTHON=/bin/false dpkg -i {tmp_path}/2.deb >&2 && {greet}",
        f"dpkg --configure -a >&2 && {greet} && ls /opt/example/releases | wc -l",
        f"dpkg -i {tmp_path}/2.deb >&2 && {greet}",
        "dpkg -s example | grep -E '^(Version|Depends)'",
        "dpkg -V example && dpkg -r example >&2 && [ ! -e /opt/example ]",
    ]
    installed = old_machine.run(["sh", "-ec", "\n".join(commands)], shared=[tmp_path], network=False)
    assert not installed.returncode, installed.stderr
    expected = ["version 1.0", "version 1.0", "version 2.0", "1", "version 2.0", "Version: 0.1.0-2"]
    assert [*expected, "Depends: libc6 (>= 2.31), python3.9-venv"] == installed.stdout.splitlines()
