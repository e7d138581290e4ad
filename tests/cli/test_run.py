"""`minglibc run`: the command, in an environment that matches the lock, at next to no cost."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import minglibc
from minglibc.app import run_with
from minglibc.app.run import started_in_overlay
from minglibc.app.sync_options import SyncOptions
from minglibc.install import proof
from tests.support import child
from tests.support.environments import LockedProject, installed
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

MAIN = "import sys\ndef main():\n    print('a', *sys.argv[1:])\n    sys.exit(7)\n"


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project of a 1.0 with a script, locked and not installed."""
    for version in ("1.0", "2.0"):
        index.add(build_wheel("a", version, files={"a.py": MAIN}, scripts={"a": "a:main"}))
    locked = LockedProject(tmp_path / "project", index)
    locked.lock("a==1.0")
    return locked


def run(project: LockedProject, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`minglibc run` in a process of its own, as it is always used."""
    return child.run("run", "--project", str(project.folder), *arguments, variables=variables)


PRINT_VERSION = ("python", "-c", "from importlib.metadata import version; print(version('a'))")


def test_the_command_runs_in_a_synced_environment(project: LockedProject) -> None:
    """The environment is synced first; the command finds its scripts, gets its arguments, and sets the exit code."""
    ran = run(project, "a", "--help", "-q", "x y")
    assert (7, "a --help -q x y\n") == (ran.returncode, ran.stdout)
    assert " + a==1.0" in ran.stderr
    ran = run(project, "--", "a", "--", "z")
    assert (7, "a -- z\n", "") == (ran.returncode, ran.stdout, ran.stderr)


def test_the_environment_is_activated(project: LockedProject) -> None:
    """VIRTUAL_ENV and PATH name the environment, and PYTHONHOME is removed."""
    script = "import os, sys; print(os.environ['VIRTUAL_ENV'], sys.prefix, 'PYTHONHOME' in os.environ)"
    assert project.sync().code == 0
    ran = run(project, "python", "-c", script)
    assert f"{project.venv} {project.venv} False\n" == ran.stdout
    shown = "import os; print(os.environ.get('PYTHONHOME'))"
    assert run(project, sys.executable, "-c", shown).stdout == "None\n"


def test_changed_lock_is_synced(project: LockedProject) -> None:
    """After a change of the lock, the next run syncs the environment."""
    assert run(project, *PRINT_VERSION).stdout == "1.0\n"
    project.lock("a==2.0")
    assert run(project, *PRINT_VERSION).stdout == "2.0\n"


def test_groups_are_installed(project: LockedProject, index: IndexServer) -> None:
    """A requested group that is not installed yet is installed."""
    index.add(build_wheel("extra", "1.0"))
    project.lock("a==1.0", more='[dependency-groups]\nmore = ["extra"]\n')
    run(project, "true")
    assert installed(project.venv) == {"a": "1.0"}
    run(project, "--group", "more", "true")
    assert installed(project.venv) == {"a": "1.0", "extra": "1.0"}


def test_other_packages_are_kept(project: LockedProject, index: IndexServer) -> None:
    """Packages of other groups are kept, and removed with --exact."""
    index.add(build_wheel("extra", "1.0"))
    project.lock("a==1.0", more='[dependency-groups]\nmore = ["extra"]\n')
    assert project.sync("--group", "more").code == 0
    run(project, "true")
    assert installed(project.venv) == {"a": "1.0", "extra": "1.0"}
    run(project, "--exact", "true")
    assert installed(project.venv) == {"a": "1.0"}


def test_python_files_and_modules(project: LockedProject) -> None:
    """A Python file without a script block and a module are run by the environment's Python."""
    file = project.folder / "hello.py"
    file.write_text("import a, sys; print(sys.prefix, *sys.argv[1:])", encoding="utf-8")
    assert run(project, str(file), "-x").stdout == f"{project.venv} -x\n"
    assert run(project, "-m", "a", "--frozen").returncode == 0


def test_no_sync(project: LockedProject, tmp_path: Path) -> None:
    """With --no-sync, the environment is used as it is, whatever the lock says; without one, there is an error."""
    ran = run(project, "--no-sync", "python", "-c", "")
    assert (1, True) == (ran.returncode, "there is no environment at" in ran.stderr)
    assert run(project, *PRINT_VERSION).stdout == "1.0\n"
    project.lock("a==2.0")
    assert ("1.0\n", "") == (run(project, "--no-sync", *PRINT_VERSION).stdout, ran.stdout)
    ran = run(project, "--no-sync", "--script", str(tmp_path / "x.py"))
    assert (2, True) == (ran.returncode, "can't be combined with a script" in ran.stderr)


def test_stale_lock_is_an_error(project: LockedProject) -> None:
    """If pyproject.toml has changed since it was locked, --locked does not run the command, and --frozen does."""
    assert run(project, "true").returncode == 0
    project.write(["a==2.0"])
    ran = run(project, "--locked", *PRINT_VERSION)
    assert (1, "") == (ran.returncode, ran.stdout)
    assert "stale" in ran.stderr
    assert run(project, "--frozen", *PRINT_VERSION).stdout == "1.0\n"


def test_signals_reach_the_command(project: LockedProject) -> None:
    """The command replaces the process: a signal ends it, and the parent process sees that."""
    assert project.sync().code == 0
    command = [
        sys.executable,
        "-m",
        "minglibc",
        "run",
        "--project",
        str(project.folder),
        "sh",
        "-c",
        "echo on; sleep 20",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "on\n"
        child.send_signal(signal.SIGTERM)
        assert -signal.SIGTERM == child.wait(10)


def test_commands_that_cannot_be_run(project: LockedProject, tmp_path: Path) -> None:
    """A missing argument exits with 2, an unknown command with 127, and one without permission with 126, as in shells."""
    assert project.sync().code == 0
    plain = tmp_path / "plain"
    plain.write_text("x", encoding="utf-8")
    for arguments, code, words in (
        ([], 2, "no command was given"),
        (["no-such-command"], 127, "on PATH: no-such-command"),
        (["no-such-file.py"], 127, "there is no file no-such-file.py"),
        ([str(plain)], 126, "can't run"),
    ):
        ran = run(project, *arguments)
        assert code == ran.returncode
        assert words in ran.stderr
        assert "Traceback" not in ran.stderr


def matches(project: LockedProject, **changes: str) -> bool:
    """Whether the proof in .venv matches the lock."""
    request = proof.Request(
        lock=proof.digest((project.folder / "pylock.toml").read_text(encoding="utf-8")),
        pyproject=proof.digest((project.folder / "pyproject.toml").read_text(encoding="utf-8")),
        selection=SyncOptions().key,
    )
    return proof.matches(str(project.venv), request._replace(**changes))


def test_proof_is_for_one_request(project: LockedProject) -> None:
    """The proof is valid for the same lock, settings and options, and for no others."""
    assert not matches(project)
    assert project.sync().code == 0
    assert matches(project)
    for fact in ("lock", "pyproject", "selection"):
        assert not matches(project, **{fact: "another"})


def test_installers_invalidate_the_proof(project: LockedProject) -> None:
    """Added, removed and reinstalled distributions are detected; bytecode and a touched folder are ignored."""
    assert project.sync().code == 0
    site, info = project.site, project.site / "a-1.0.dist-info"

    def reinstalled() -> None:
        info.rename(site / "aside")
        shutil.copytree(site / "aside", info)
        shutil.rmtree(site / "aside")

    for harmless in ((site / "__pycache__").mkdir, site.touch):
        harmless()
        assert matches(project)
    changes: tuple[Callable[[], object], ...] = (
        (site / "b-1.0.dist-info").mkdir,
        reinstalled,
        (project.venv / "bin" / "a").unlink,
    )
    for change in changes:
        change()
        assert not matches(project)
        assert project.sync().code == 0
        assert matches(project)


def test_proof_is_for_one_kind_of_machine(project: LockedProject) -> None:
    """On a machine with a glibc older than the cap, or of another architecture, the proof is invalid."""
    assert project.sync().code == 0
    path = project.venv / ".minglibc" / "proof"
    good = path.read_text(encoding="utf-8")
    for old, new in (
        ("cap 2.17", "cap 2.999"),
        (f"machine {os.uname().machine}", "machine vax"),
        ("proof 1", "proof 2"),
    ):
        assert old in good
        path.write_text(good.replace(old, new), encoding="utf-8")
        assert not matches(project)
    end = good.index("\0")
    for broken in ("", "nonsense", good[: end // 2], good[:end]):
        path.write_text(broken, encoding="utf-8")
        assert not matches(project)


def test_incomplete_proof_is_deleted(project: LockedProject) -> None:
    """The temporary file of a process that was killed while it wrote the proof is deleted by the next sync."""
    assert project.sync().code == 0
    temporary = project.venv / ".minglibc" / "proof.12345"
    temporary.touch()
    assert project.sync().code == 0
    assert not temporary.exists()


def test_moved_environment_is_synced(project: LockedProject) -> None:
    """The proof is only valid for its folder."""
    assert project.sync().code == 0
    project.venv.rename(project.folder / "moved")
    (project.folder / "moved").rename(project.folder / "again")
    project.venv.symlink_to(project.folder / "again")
    assert not matches(project)


def test_run_imports_little_if_nothing_has_changed(project: LockedProject) -> None:
    """`run` in an environment that matches the lock imports few modules, so that it starts fast."""
    assert project.sync().code == 0
    code = (
        "import os, sys; os.execvpe = lambda *a: print(*sys.modules); from minglibc.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-S", "-c", code, "run", "--project", str(project.folder), "true"]
    variables = {**os.environ, "PYTHONPATH": str(Path(minglibc.__file__).parent.parent)}
    # Without site-packages, so that only the standard library and minglibc can be imported.
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    modules = set(ran.stdout.split())
    slow = {"asyncio", "dataclasses", "inspect", "logging", "pathlib", "ssl", "subprocess", "tomllib"}
    assert set() == modules & slow
    # `run` needs about 90 modules, and a bare interpreter 30.
    assert len(modules) < 120


@pytest.mark.parametrize(
    ("values", "requirements"),
    [
        (["six"], ["six"]),
        (["six, rich>=13,<14", "a"], ["six", "rich>=13,<14", "a"]),
        (["a[x,y]==1,!=2,b"], ["a[x,y]==1,!=2", "b"]),
    ],
)
def test_requirements_of_with(values: list[str], requirements: list[str]) -> None:
    """--with takes several requirements, whose specifiers and extras may contain commas."""
    assert requirements == run_with.listed(values)


def test_scripts_are_started_in_the_overlay(tmp_path: Path) -> None:
    """A Python script of the base environment is started by the interpreter of the overlay; other programs are not."""
    base, overlay = tmp_path / "base", tmp_path / "overlay"
    for prefix in (base, overlay):
        (prefix / "bin").mkdir(parents=True)
    (base / "bin" / "tool").write_text(f"#!{base}/bin/python\n")
    (base / "bin" / "shell").write_text("#!/bin/sh\n")
    (overlay / "bin" / "own").write_text("")
    (base / "bin" / "own").write_text("#!python\n")
    for name in ("shell", "own", "ls", "./tool"):
        assert [name, "-x"] == started_in_overlay([name, "-x"], str(overlay), str(base))
    expected = [f"{overlay}/bin/python", f"{base}/bin/tool", "-x"]
    assert expected == started_in_overlay(["tool", "-x"], str(overlay), str(base))


@pytest.mark.slow
def test_run_with_more_packages(project: LockedProject, index: IndexServer) -> None:
    """--with installs packages under the same cap beside the environment, which it leaves unchanged, and prefers locked versions."""
    index.add(build_wheel("plugin", "1.0", requires=["a"]))
    index.add(build_wheel("plugin", "2.0", tag="cp39-abi3-manylinux_2_34_x86_64"))
    imported = "import a, plugin, sys; from importlib.metadata import version; print(version('plugin'), version('a'))"
    lock = (project.folder / "pylock.toml").read_bytes()
    for added in (" + plugin==1.0", ""):
        ran = run(project, "--with", "plugin", "python", "-c", imported)
        assert (0, "1.0 1.0\n") == (ran.returncode, ran.stdout), ran.stderr
        assert added in ran.stderr
        assert bool(ran.stderr) == bool(added)
    assert {"a": "1.0"} == installed(project.venv)
    assert lock == (project.folder / "pylock.toml").read_bytes()
    # It may conflict with the environment.
    ran = run(project, "--with", "a==2.0", *PRINT_VERSION)
    assert "2.0\n" == ran.stdout
    # A script of the environment imports the added packages.
    ran = run(project, "--with", "plugin", "a")
    assert (7, "a\n") == (ran.returncode, ran.stdout)
    ran = run(project, "--with", "missing", "true")
    assert 1 == ran.returncode
    assert "missing" in ran.stderr
    ran = run(project, "--with", "plugin", "--offline", "python", "-c", imported)
    assert "1.0 1.0\n" == ran.stdout


def test_a_file_that_is_not_executable(project: LockedProject, tmp_path: Path) -> None:
    """The hint of a file without permission names a command that runs it."""
    (tmp_path / "plain").write_text("print('plain')\n")
    ran = run(project, str(tmp_path / "plain"))
    assert 126 == ran.returncode
    assert f"minglibc run python {tmp_path}/plain" in ran.stderr
    assert "plain\n" == run(project, "python", str(tmp_path / "plain")).stdout
