"""Faults in settings, unreachable hosts, resolutions that do not end, and programs that read an environment during a sync."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.resolve import multi_target
from tests.support.commands import minglibc
from tests.support.environments import LockedProject, check_whole, snapshot
from tests.support.faults import FAULTS
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PYPROJECT = """\
[project]
name = "demo"
version = "1"
requires-python = ">=3.9"
dependencies = ["a"]

[tool.minglibc]
glibc = "2.17"
python = ["3.11"]
"""


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> LockedProject:
    """A project of a, which requires b, in a folder of its own."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    return LockedProject(tmp_path / "project", index)


# Fault → what is replaced in pyproject.toml, its replacement, and a part of the error.
MISTAKES = {
    "C1": ('"2.17"', "2.17", "write it in quotes"),
    "C2": ('"2.17"', '"v2.17"', '"2.27"'),
    "C3": ('"2.17"', '"2.4"', "from glibc 2.5 on"),
    "C4": ('"2.17"', '"3.0"', "there is no glibc 3.0"),
    "C5": ("[tool.minglibc]", "[tool.minlibc]", "tool.minlibc"),
    "C6": ("[tool.minglibc]", "[[tool.minglibc]]", "expected one table"),
    "C7": ('python = ["3.11"]', 'python = ["3.11"]\narchitectures = ["amd64"]', "it is called x86_64"),
    "C8": ('["3.11"]', "3.10", "TOML reads the number 3.10 as 3.1"),
    "C9": ('requires-python = ">=3.9"', 'requires-python = ">=3.12"', "3.11"),
    "C10": ('["a"]', '["a"', "pyproject.toml is not valid TOML"),
    "C11": ("dependencies = [", 'dynamic = ["dependencies"]\noptional = [', "project.dependencies"),
    "C12": ('["a"]', "[\"a; bogus == '1'\"]", "is not a marker"),
    "C13": ('["a"]', '["demo"]', "depends on itself"),
    "C14": ('python = ["3.11"]', 'python = ["3.11"]\nindex-url = "ftp://example.invalid/"', "expected a URL such as"),
}


@pytest.mark.parametrize("row", MISTAKES)
def test_invalid_settings_write_nothing(tmp_path: Path, row: str) -> None:
    """C1 to C14: invalid settings are an error with exit code 2, and no file is written, not even to the cache."""
    old, new, said = MISTAKES[row]
    assert old in PYPROJECT
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace(old, new), encoding="utf-8")
    before = snapshot(tmp_path)
    for command in ("lock", "outdated", "caps"):
        ran = minglibc(command, "--project", str(tmp_path))
        assert 2 == ran.code or (command == "outdated" and 1 == ran.code), ran.err
        assert command == "outdated" or said in ran.err
        assert "Traceback" not in ran.err
    assert before == snapshot(tmp_path)
    assert not Path(os.environ["MINGLIBC_CACHE_DIR"]).exists()


def test_unreadable_pyproject(tmp_path: Path) -> None:
    """C10: a missing pyproject.toml, a folder of that name, and invalid UTF-8 are errors with exit code 2."""
    path = tmp_path / "pyproject.toml"
    refused(tmp_path, "has no pyproject.toml")
    path.mkdir()
    refused(tmp_path, "is a folder")
    path.rmdir()
    path.write_bytes(b"a = 1\nb = '\xe9'\n")
    refused(tmp_path, "line 2")
    assert ["pyproject.toml"] == [path.name for path in tmp_path.iterdir()]


def refused(folder: Path, said: str) -> None:
    """Locking the project in *folder* is an error with exit code 2."""
    ran = minglibc("lock", "--project", str(folder))
    assert 2 == ran.code
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("glibc", ["2.12", "2.28"])
def test_changed_cap(project: LockedProject, glibc: str) -> None:
    """C15: after the cap was raised or lowered, `lock --check` names the lock's cap, and `sync` fails."""
    project.lock("a")
    project.write(["a"], glibc=glibc)
    ran = project.command("lock", "--check")
    assert 1 == ran.code
    assert "the lock was made for glibc 2.17" in ran.err
    assert "stale" in project.sync("--locked").err
    assert not project.venv.exists()


def test_variable_overrides_a_setting(project: LockedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """C16: if an environment variable overrides a setting, --verbose says so."""
    project.write(["a"])
    monkeypatch.setenv("MINGLIBC_GLIBC", "2.28")
    ran = project.command("lock", "--verbose")
    assert 0 == ran.code
    assert "2.28 (command line or environment) overrides tool.minglibc.glibc" in ran.err


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/simple/", "http://nowhere.invalid/simple/"])
def test_unreachable_host(project: LockedProject, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """X6: a refused connection and an unknown host are errors with exit code 3 that name the host."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "1")
    project.write(["a"])
    ran = project.command("lock", "--index-url", address)
    assert 3 == ran.code
    assert address.split("/")[2] in ran.err
    assert "on no index" not in ran.err
    assert not (project.folder / "pylock.toml").exists()


def test_resolution_that_does_not_end(
    project: LockedProject, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that is stopped has its own exit code, and says after how long, what conflicts most, and what to do."""
    for number in range(12):
        index.add(build_wheel("one", f"{number}.0", requires=[f"two=={number}.0"]))
        index.add(build_wheel("two", f"{number}.0", requires=[f"one=={(number + 1) % 12}.0"]))
    project.write(["one", "two"])
    monkeypatch.setattr(multi_target, "PATIENCE", 0.0)
    ran = project.command("lock")
    assert 4 == ran.code
    assert "stopped searching for CPython" in ran.err
    assert "after 0 seconds" in ran.err
    assert "hint: loosen what the project requires of one of these, or add a lower bound to constraints" in ran.err
    assert "no set of wheels meets" not in ran.err
    assert not (project.folder / "pylock.toml").exists()


@pytest.mark.slow
def test_bombs_use_little_memory(project: LockedProject, index: IndexServer) -> None:
    """N24, N80: a page and a wheel that expand to hundreds of megabytes are rejected without using much memory."""
    peak = "import sys; from minglibc.cli import main; code = main(sys.argv[1:]); print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))); sys.exit(code)"
    FAULTS["N80"](index)
    project.lock("b")
    FAULTS["N24"](index)
    for command in ("sync", "lock"):
        arguments = [
            command,
            "--project",
            str(project.folder),
            *(("--upgrade", "--refresh") if command == "lock" else ()),
        ]
        ran = subprocess.run([sys.executable, "-c", peak, *arguments], capture_output=True, text=True, check=False)
        assert ran.returncode, ran.stderr
        assert "bomb" in ran.stderr or "when decompressed" in ran.stderr
        assert int(ran.stdout) < 180_000, command


# Lists the files of a package repeatedly, as another machine that shares the environment would see them. A listing of a
# folder that was moved in the meantime does not count.
READER = """
import os, sys
folder, seen = sys.argv[1], set()
print("looking", flush=True)
while not os.path.exists(sys.argv[2]):
    try:
        opened = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        seen.add("none")
        continue
    names = [name for name in os.listdir(opened) if name != "__pycache__"]
    try:
        still_there = os.path.samestat(os.fstat(opened), os.stat(folder))
    except FileNotFoundError:
        still_there = False
    os.close(opened)
    if still_there:
        seen.add(",".join(sorted({name[:3] for name in names})) + f" {len(names)}")
print(";".join(sorted(seen)))
"""


@pytest.mark.slow
def test_packages_are_replaced_atomically(project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """S18: during a sync, another machine sees all files of the old release, all of the new release, or none."""
    for release, word in (("1.0", "old"), ("2.0", "new")):
        files = {f"big/{word}{number}.py": f"R = '{release}'\n" for number in range(120)}
        index.add(build_wheel("big", release, files=files))
    project.lock("big==1.0")
    assert 0 == project.sync().code
    stop = tmp_path / "stop"
    with subprocess.Popen(
        [sys.executable, "-c", READER, project.site / "big", stop], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert "looking\n" == reader.stdout.readline()
        for release in ("2.0", "1.0") * 4:
            project.lock(f"big=={release}")
            assert 0 == project.sync().code
        stop.touch()
        seen = set(reader.stdout.read().strip().split(";"))
    assert {"new 120", "old 120"} <= seen
    assert seen <= {"new 120", "old 120", "none"}
    check_whole(project.venv)
