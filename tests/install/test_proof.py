"""A sync with nothing to do is recognised by the proof that the last sync wrote."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minglibc
from minglibc.app import sync
from minglibc.app.sync_options import SyncOptions
from minglibc.install import proof
from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer
from tests.support.parameters import one_in

# Coverage measurement and .pth files import modules before minglibc starts.
CODE = """
import json, os, sys
before = set(sys.modules)
from minglibc.cli import main
code = main(sys.argv[1:])
json.dump([code, sorted(sys.modules.keys() - before)], open(os.environ["IMPORTED"], "w"))
"""
SELECTION = SyncOptions().key
HEAVY = {"dataclasses", "httpx", "importlib.resources", "installer", "minglibc.app.sync", "minglibc.lock.reader"}
HEAVY |= {"msgspec", "packaging", "shutil", "subprocess", "tempfile", "tomllib"}


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project whose environment has just been synced."""
    made = locked_pair(tmp_path / "project", index)
    assert made.sync().code == 0
    return made


def is_full_sync(project: LockedProject, *arguments: str, **variables: str) -> bool:
    """Whether a sync, which must succeed, does more than check the proof."""
    full_syncs = []

    def record(*options: Any) -> sync.SyncOutcome:
        full_syncs.append(options)
        return sync_environment(*options)

    sync_environment = sync.sync_environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setattr(sync, "sync_environment", record)
        ran = project.sync(*arguments)
    assert ran.code == 0, ran.err
    assert "Nothing to do: 2 packages" in ran.err or full_syncs
    return bool(full_syncs)


def imported_modules(project: LockedProject, *arguments: str) -> set[str]:
    """The modules that a sync, which must succeed, imports in a new process."""
    output = project.folder.parent / "imported.json"
    sources = str(Path(minglibc.__file__).parent.parent)
    path = os.pathsep.join([sources, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "IMPORTED": str(output)}
    command = [sys.executable, "-c", CODE, "sync", "--project", str(project.folder), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    code, modules = json.loads(output.read_text(encoding="utf-8"))
    assert code == 0, ran.stderr
    return set(modules)


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--dry-run"]], ids=["plain", "check", "dry run"])
def test_second_sync_only_checks_the_proof(project: LockedProject, arguments: list[str]) -> None:
    """A second sync imports neither the modules that read locks nor those that start interpreters."""
    assert not HEAVY & imported_modules(project, *arguments)


def _touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"#")


CHANGES: dict[str, Callable[[LockedProject], object]] = {
    "a file was deleted": lambda p: (p.site / "a" / "__init__.py").unlink(),
    "a file grew": lambda p: _grow(p.site / "b" / "__init__.py"),
    "METADATA was rewritten": lambda p: _touch(p.site / "a-1.0.dist-info" / "METADATA"),
    "RECORD was deleted": lambda p: (p.site / "a-1.0.dist-info" / "RECORD").unlink(),
    "a direct_url.json was added": lambda p: (p.site / "b-1.0.dist-info" / "direct_url.json").write_text("{}"),
    "a distribution was added": lambda p: shutil.copytree(p.site / "a-1.0.dist-info", p.site / "c-1.0.dist-info"),
    "an egg-info was added": lambda p: (p.site / "c.egg-info").write_text("Name: c\nVersion: 1\n"),
    "a distribution was deleted": lambda p: shutil.rmtree(p.site / "b-1.0.dist-info"),
    "pyvenv.cfg was rewritten": lambda p: _touch(p.venv / "pyvenv.cfg"),
    "a killed sync left a change": lambda p: (p.venv / ".minglibc" / "apply").mkdir(),
    "the proof was deleted": lambda p: (p.venv / ".minglibc" / "proof").unlink(),
}


@pytest.mark.parametrize("change", one_in(2, CHANGES))
def test_changes_are_detected(project: LockedProject, change: str) -> None:
    """After any change that a sync depends on, the next sync is a full one, and the one after that is not."""
    CHANGES[change](project)
    assert is_full_sync(project)
    assert not is_full_sync(project)


def test_another_configuration_is_detected(project: LockedProject) -> None:
    """A pyvenv.cfg beside the interpreter would be read instead of the environment's."""
    shutil.copy(project.venv / "pyvenv.cfg", project.venv / "bin" / "pyvenv.cfg")
    ran = project.sync()
    assert ran.code == 1
    assert "pyvenv.cfg is in its bin folder" in ran.err


@pytest.mark.parametrize("name", ["MINGLIBC_GLIBC", "LD_LIBRARY_PATH"])
def test_variables_are_compared(project: LockedProject, name: str) -> None:
    """Variables that decide whether a lock is fresh, or which libraries are loaded, are compared."""
    assert is_full_sync(project, **{name: "2.17"})


@pytest.mark.parametrize(
    "option", ["--inexact", "--no-default-groups", "--all-extras", "--no-install-project", "--json"]
)
def test_other_options_need_a_full_sync(project: LockedProject, option: str) -> None:
    """The proof is valid only for the options of that sync."""
    assert is_full_sync(project, option)


def test_another_interpreter_is_detected(project: LockedProject) -> None:
    """A new link to the same interpreter is accepted; a script that starts it is not."""
    link = project.venv / "bin" / "python"
    real = os.path.realpath(link)
    link.unlink()
    link.symlink_to(real)
    assert not is_full_sync(project)
    link.unlink()
    link.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    link.chmod(0o755)
    lock, pyproject = ((project.folder / name).read_text("utf-8") for name in ("pylock.toml", "pyproject.toml"))
    request = proof.Request(proof.digest(lock), None, SELECTION)
    arguments = {"project": str(project.folder), "pyproject": proof.digest(pyproject), "executable": str(link)}
    assert proof.matches(str(project.venv), request)
    assert proof.unchanged_packages(str(project.venv), request, **arguments) is None


REQUEST = proof.Request("lock", "pyproject", "selection")


def _unchanged(prefix: Path) -> int | None:
    arguments = {"project": "/x", "pyproject": "-", "executable": str(prefix / "python")}
    return proof.unchanged_packages(str(prefix), REQUEST, **arguments)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A folder with an interpreter, a package, and a proof for both."""
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / ".minglibc").mkdir()
    (tmp_path / "site" / "a-1.dist-info").mkdir(parents=True)
    for name in ("python", "site/a.py", "site/a-1.dist-info/RECORD"):
        (tmp_path / name).write_text(name)
    status = (tmp_path / "python").stat()
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    metadata = proof.metadata_identity(str(tmp_path / "site/a-1.dist-info"))
    snapshot = proof.Snapshot(
        "/x",
        "-",
        str(tmp_path / "python"),
        {str(tmp_path / "python"): " ".join(map(str, identity))},
        ["site"],
        [proof.InstalledFiles("site", "a-1.dist-info", metadata, {"site/a.py": 9})],
        packages=1,
    )
    proof.write(str(tmp_path), REQUEST, cap="2.17", folders=["site"], snapshot=snapshot)
    return tmp_path


def test_replaced_interpreter_is_detected(prefix: Path) -> None:
    """A file of the interpreter is identified by its inode and all times: the same content and mtime are not enough."""
    assert _unchanged(prefix) == 1
    python = prefix / "python"
    content, times = python.read_bytes(), python.stat()
    python.write_bytes(content)
    os.utime(python, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _unchanged(prefix) is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_proof_is_invalid(prefix: Path, data: st.DataObject) -> None:
    """A proof with a changed byte, or a truncated one, is not accepted."""
    path = prefix / ".minglibc" / "proof"
    good = path.read_bytes()
    try:
        bad = bytearray(good)
        position = data.draw(st.integers(0, len(good) - 1))
        bad[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[position]))
        path.write_bytes(bytes(bad) if data.draw(st.booleans()) else good[:position])
        assert _unchanged(prefix) is None
    finally:
        path.write_bytes(good)
    assert _unchanged(prefix) == 1


def test_proof_without_a_snapshot_has_the_first_part(prefix: Path) -> None:
    """Without a snapshot `run` can use the proof, and `sync` can't."""
    proof.write(str(prefix), REQUEST, cap="2.17", folders=["site"])
    assert proof.matches(str(prefix), REQUEST)
    assert _unchanged(prefix) is None


def test_files_of_the_previous_version_are_ignored(project: LockedProject) -> None:
    """The stamp and the record of what was seen, as 0.1.0 left them, do no harm, and the next change deletes them."""
    home = project.venv / ".minglibc"
    for name in ("stamp", "seen"):
        (home / name).write_text(f"minglibc {name} 1\n", encoding="utf-8")
    assert not is_full_sync(project)
    (home / "proof").unlink()
    (home / "seen.4711").touch()
    (project.site / "a" / "__init__.py").unlink()
    assert is_full_sync(project)
    assert {"proof"} == set(os.listdir(home))
    assert not is_full_sync(project)


def test_proof_needs_the_environment(prefix: Path) -> None:
    """Without pyvenv.cfg the interpreter is a base interpreter, which `run` must not use; conda's environments have none."""
    proof.write(str(prefix), REQUEST, cap="2.17", folders=["site"])
    (prefix / "pyvenv.cfg").unlink()
    assert not proof.matches(str(prefix), REQUEST)
    (prefix / "conda-meta").mkdir()
    assert proof.matches(str(prefix), REQUEST)
