"""A sync with nothing to do: told from what the last one saw, and from nothing that has changed since."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minglibc
from minglibc.install import seen, stamp
from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer

CODE = """
import json, os, sys
from minglibc.cli import main
code = main(sys.argv[1:])
json.dump([code, sorted(sys.modules)], open(os.environ["IMPORTED"], "w"))
"""
HEAVY = {"dataclasses", "httpx", "importlib.resources", "installer", "minglibc.cli.syncing", "minglibc.lock.document"}
HEAVY |= {"msgspec", "packaging", "shutil", "subprocess", "tempfile", "tomllib"}


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A project whose environment has just been synced."""
    made = locked_pair(tmp_path / "project", index)
    assert made.sync().code == 0
    return made


def looked(project: LockedProject, *arguments: str, **variables: str) -> bool:
    """Whether a sync that succeeds looks at everything anew, in a process of its own."""
    answer = project.folder.parent / "imported.json"
    sources = str(Path(minglibc.__file__).parent.parent)
    path = os.pathsep.join([sources, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "IMPORTED": str(answer), **variables}
    command = [sys.executable, "-c", CODE, "sync", "--project", str(project.folder), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    code, modules = json.loads(answer.read_text(encoding="utf-8"))
    assert code == 0, ran.stderr
    heavy = HEAVY & set(modules)
    assert ("minglibc.cli.syncing" in heavy) == bool(heavy), heavy
    assert "Nothing to do: 2 packages" in ran.stderr or heavy
    return bool(heavy)


@pytest.mark.parametrize("arguments", [[], ["--check"], ["--dry-run"]], ids=["plain", "check", "dry run"])
def test_nothing_to_do_is_told_at_once(project: LockedProject, arguments: list[str]) -> None:
    """Right after a sync, another imports neither what reads locks nor what starts interpreters."""
    assert not looked(project, *arguments)


def _touch(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"#")


CHANGES: dict[str, Callable[[LockedProject], object]] = {
    "a file is gone": lambda p: (p.site / "a" / "__init__.py").unlink(),
    "a file grew": lambda p: _grow(p.site / "b" / "__init__.py"),
    "METADATA was written anew": lambda p: _touch(p.site / "a-1.0.dist-info" / "METADATA"),
    "RECORD is gone": lambda p: (p.site / "a-1.0.dist-info" / "RECORD").unlink(),
    "it says where it came from": lambda p: (p.site / "b-1.0.dist-info" / "direct_url.json").write_text("{}"),
    "a distribution came": lambda p: shutil.copytree(p.site / "a-1.0.dist-info", p.site / "c-1.0.dist-info"),
    "an old distribution came": lambda p: (p.site / "c.egg-info").write_text("Name: c\nVersion: 1\n"),
    "a distribution went": lambda p: shutil.rmtree(p.site / "b-1.0.dist-info"),
    "pyvenv.cfg was written anew": lambda p: _touch(p.venv / "pyvenv.cfg"),
    "another pyvenv.cfg came": lambda p: shutil.copy(p.venv / "pyvenv.cfg", p.venv / "bin" / "pyvenv.cfg"),
    "the stamp is gone": lambda p: (p.venv / ".minglibc" / "stamp").unlink(),
    "a killed sync left a change": lambda p: (p.venv / ".minglibc" / "apply").mkdir(),
    "what was seen is gone": lambda p: (p.venv / ".minglibc" / "seen").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_sync_looks_at_is_noticed(project: LockedProject, change: str) -> None:
    """Whatever changes that a sync looks at, the next one looks at everything, and the one after that at nothing."""
    CHANGES[change](project)
    assert looked(project)
    if not change.startswith("another"):  # else the environment is another, too
        assert not looked(project)


@pytest.mark.parametrize("name", ["MINGLIBC_GLIBC", "LD_LIBRARY_PATH"])
def test_a_variable_that_takes_part_is_noticed(project: LockedProject, name: str) -> None:
    """What decides whether a lock is fresh, or what the loader loads, is part of the question."""
    assert looked(project, **{name: "2.17"})


@pytest.mark.parametrize(
    "option", ["--inexact", "--no-default-groups", "--all-extras", "--no-install-project", "--json"]
)
def test_another_question_has_another_answer(project: LockedProject, option: str) -> None:
    """What was seen answers the arguments that were given then."""
    assert looked(project, option)


def test_another_interpreter_is_noticed(project: LockedProject) -> None:
    """A link that leads where it led is the same; a script that starts the same interpreter is another."""
    link = project.venv / "bin" / "python"
    real = os.path.realpath(link)
    link.unlink()
    link.symlink_to(real)
    assert not looked(project)
    link.unlink()
    link.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    link.chmod(0o755)
    assert seen.holds(str(project.venv), _asked(project), str(link)) is None


def _asked(project: LockedProject) -> seen.Asked:
    text = (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    return seen.Asked(str(project.folder), stamp.digest(text))


def _holds(prefix: Path) -> int | None:
    return seen.holds(str(prefix), seen.Asked("/x", "-"), str(prefix / "python"))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A folder with a stamp, an interpreter and what that was learned from, and one package; all of it seen."""
    (tmp_path / ".minglibc").mkdir()
    (tmp_path / ".minglibc" / "stamp").write_text("stamp")
    (tmp_path / "site" / "a-1.dist-info").mkdir(parents=True)
    for name in ("python", "site/a.py", "site/a-1.dist-info/RECORD"):
        (tmp_path / name).write_text(name)
    found = (tmp_path / "python").stat()
    named = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    info = seen.Info("site", "a-1.dist-info", seen.identity(str(tmp_path / "site/a-1.dist-info")), {"site/a.py": 9})
    grounds = {str(tmp_path / "python"): " ".join(map(str, named))}
    sight = seen.Sight(str(tmp_path / "python"), grounds, ["site"], [info])
    seen.write(str(tmp_path), seen.Asked("/x", "-"), sight, packages=1)
    return tmp_path


def test_an_interpreter_that_was_replaced_is_noticed(prefix: Path) -> None:
    """A file that the interpreter answered from stands for it by its inode and its times: the same bytes and mtime do not do."""
    assert _holds(prefix) == 1
    python = prefix / "python"
    content, times = python.read_bytes(), python.stat()
    python.write_bytes(content)
    os.utime(python, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _holds(prefix) is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_was_seen_is_whole_or_nothing(prefix: Path, data: st.DataObject) -> None:
    """Whichever byte of it is changed or wherever it is cut, it says nothing any more."""
    place = prefix / ".minglibc" / "seen"
    good = place.read_bytes()
    try:
        bad = bytearray(good)
        position = data.draw(st.integers(0, len(good) - 1))
        bad[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[position]))
        place.write_bytes(bytes(bad) if data.draw(st.booleans()) else good[:position])
        assert _holds(prefix) is None
    finally:
        place.write_bytes(good)
    assert _holds(prefix) == 1


def test_many_files_are_looked_at_by_two_processes(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either half, a file of another size is noticed."""
    monkeypatch.setattr(seen, "_WORTH_FORKING", 2)
    names = [f"f{number}" for number in range(10)]
    for name in names:
        (prefix / name).write_text(name)
    info = seen.Info(
        "site", "a-1.dist-info", seen.identity(str(prefix / "site/a-1.dist-info")), dict.fromkeys(names, 2)
    )
    sight = seen.Sight(str(prefix / "python"), {}, ["site"], [info])
    seen.write(str(prefix), seen.Asked("/x", "-"), sight, packages=1)
    assert _holds(prefix) == 1
    for name in ("f1", "f8"):
        (prefix / name).write_text("longer")
        assert _holds(prefix) is None
        (prefix / name).write_text(name)
        assert _holds(prefix) == 1
