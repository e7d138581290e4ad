"""After SIGKILL at any moment, files are the old or the new ones, the next run cleans up, and the cache is correct."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import child
from tests.support.commands import minglibc, read_lock
from tests.support.environments import LockedProject, check_whole, installed, locked_pair
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    import subprocess

STEPS = frozenset(
    (
        *("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"),
        *("os.symlink", "os.chmod", "os.utime", "os.truncate"),
    )
)


def kill_at(step: int, root: Path) -> None:
    """Let this process send itself SIGKILL before the given step, and print the number of steps after *step* if it ends.

    A step is an operation on a path that contains *root*, or any removal, for which shutil.rmtree gives only a name.
    """
    left = step
    leave = os._exit

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in STEPS:
            return
        paths = [os.fsdecode(path) for path in arguments[:2] if isinstance(path, str | bytes)]
        if event in {"os.remove", "os.rmdir"} or any(str(root) in path for path in paths):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def leave_with_steps(code: int) -> None:
        if os.getpid() == process:
            print("STEPS", -left, file=sys.stderr, flush=True)
        leave(code)

    process = os.getpid()
    os._exit = leave_with_steps  # type: ignore[assignment]
    sys.addaudithook(hook)


KILLS = 2


class KilledCommand:
    """A command that is killed repeatedly: *prepare* creates the state before it, *check* verifies the state after a kill."""

    def __init__(
        self, root: Path, arguments: list[str], prepare: Callable[[], None], check: Callable[[], None]
    ) -> None:
        self._root = root
        self._arguments = arguments
        self._prepare = prepare
        self._check = check

    def _start(self, step: int) -> "subprocess.Popen[str]":
        return child.start(*self._arguments, before=lambda: kill_at(step, self._root))

    def run(self, times: int, seed: int) -> None:
        """Kill the command *times* times, at a random step or a random moment."""
        chance = random.Random(seed)
        self._prepare()
        started = time.monotonic()
        with self._start(0) as process:
            output = process.communicate()[1]
        seconds = time.monotonic() - started
        assert process.returncode == 0, output
        steps = int(output.rpartition("STEPS ")[2])
        assert steps > 2
        killed = 0
        for number in range(3 * times):
            if killed == times:
                break
            self._prepare()
            by_step = number % 5 != 4
            with self._start(chance.randint(1, steps) if by_step else 0) as process:
                if not by_step:
                    time.sleep(chance.uniform(0.2, 1.0) * seconds)
                    process.kill()
                process.communicate()
            killed += process.returncode == -9
            self._check()
        # A kill after the command's end does not count.
        assert killed == times


def kill_repeatedly(command: KilledCommand, times: int) -> None:
    """Kill the command with a random seed, which is printed."""
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    command.run(times, seed)


SLOW_TIMES = [pytest.param(8, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.nightly)]
TIMES = [KILLS, *SLOW_TIMES]


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> LockedProject:
    """A project of a, which requires b, in a folder of its own."""
    return locked_pair(tmp_path / "project", index)


def states(project: LockedProject) -> dict[str, bytes]:
    """Both files of the project."""
    return {name: (project.folder / name).read_bytes() for name in ("pyproject.toml", "pylock.toml")}


def restore(project: LockedProject, files: dict[str, bytes]) -> None:
    """Restore both files."""
    for name, content in files.items():
        (project.folder / name).write_bytes(content)


def check_cached_wheels() -> None:
    """Every wheel in the cache matches its hash."""
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    for path in cache.glob("wheels-*/*/*.whl"):
        algorithm, _, digest = path.parent.name.partition("-")
        assert digest == hashlib.new(algorithm, path.read_bytes()).hexdigest(), path


@pytest.mark.parametrize("times", TIMES)
def test_lock(project: LockedProject, index: IndexServer, times: int) -> None:
    """S12: after SIGKILL the lock is the old or the new one; the next `lock` writes the new one and removes temporary files."""
    old = states(project)
    index.add(build_wheel("b", "2.0"))
    assert 0 == project.command("lock", "--upgrade").code
    new = states(project)
    assert old["pylock.toml"] != new["pylock.toml"]

    def check() -> None:
        assert states(project)["pylock.toml"] in (old["pylock.toml"], new["pylock.toml"])
        ran = project.command("lock", "--upgrade")
        assert 0 == ran.code, ran.err
        assert new == states(project)
        assert ["pylock.toml", "pyproject.toml"] == sorted(path.name for path in project.folder.iterdir())

    arguments = ["lock", "--upgrade", "--project", str(project.folder)]
    kill_repeatedly(KilledCommand(project.folder, arguments, lambda: restore(project, old), check), times)


def test_temporary_files_are_removed(project: LockedProject) -> None:
    """`lock` removes temporary files of a killed process even if the lock is up to date."""
    for step in range(1, 60, 4):
        command = ["lock", "--upgrade", "--project", str(project.folder)]
        child.run(*command, before=partial(kill_at, step, project.folder))
        if len(list(project.folder.iterdir())) > 2:
            break
    assert len(list(project.folder.iterdir())) > 2
    assert "up to date" in project.command("lock").err
    assert ["pylock.toml", "pyproject.toml"] == sorted(path.name for path in project.folder.iterdir())


@pytest.mark.parametrize("times", TIMES)
def test_add(project: LockedProject, index: IndexServer, times: int) -> None:
    """After SIGKILL each file is the old or the new one, a mixed pair is stale, and the next `add` completes."""
    index.add(build_wheel("c", "1.0"))
    old = states(project)
    assert 0 == project.command("add", "c", "--no-sync").code
    new = states(project)

    def check() -> None:
        current = states(project)
        assert all(current[name] in (old[name], new[name]) for name in current)
        if current not in (old, new):
            assert 1 == project.command("lock", "--check").code
        ran = project.command("add", "c", "--no-sync")
        assert 0 == ran.code, ran.err
        assert new == states(project)
        assert ["pylock.toml", "pyproject.toml"] == sorted(path.name for path in project.folder.iterdir())

    arguments = ["add", "c", "--no-sync", "--project", str(project.folder)]
    kill_repeatedly(KilledCommand(project.folder, arguments, lambda: restore(project, old), check), times)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_bundle(project: LockedProject, index: IndexServer, times: int) -> None:
    """After SIGKILL the bundle is complete, the old or the new one, or the next run restores it."""
    index.add(build_wheel("pip", "25.0"))
    output = project.folder.parent / "out" / "made"
    arguments = ["bundle", "--project", str(project.folder), "--output", str(output)]
    assert 0 == minglibc(*arguments).code
    old = _contents(output)
    shutil.copytree(output, project.folder.parent / "kept")
    project.lock("b")
    assert 0 == minglibc(*arguments).code
    new = _contents(output)
    assert old != new

    def prepare() -> None:
        shutil.rmtree(output.parent)
        shutil.copytree(project.folder.parent / "kept", output)

    def check() -> None:
        left = _contents(output) if output.exists() else _contents(output.parent / ".minglibc-bundle-made" / "old")
        assert left in (old, new)
        ran = minglibc(*arguments)
        assert 0 == ran.code, ran.err
        assert new == _contents(output)
        assert ["made"] == [path.name for path in output.parent.iterdir()]

    kill_repeatedly(KilledCommand(output.parent, arguments, prepare, check), times)


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_export(project: LockedProject, times: int) -> None:
    """After SIGKILL the exported file is the old or the new one, and the next `export` removes temporary files."""
    output = project.folder.parent / "out" / "requirements.txt"
    output.parent.mkdir()
    new = project.command("export").out.encode()

    def prepare() -> None:
        output.write_bytes(b"old\n")

    def check() -> None:
        assert output.read_bytes() in (b"old\n", new)
        assert 0 == project.command("export", "-o", str(output)).code
        assert new == output.read_bytes()
        assert ["requirements.txt"] == [path.name for path in output.parent.iterdir()]

    arguments = ["export", "--project", str(project.folder), "-o", str(output)]
    kill_repeatedly(KilledCommand(output.parent, arguments, prepare, check), times)


@pytest.mark.parametrize("times", SLOW_TIMES)
@pytest.mark.parametrize("old", [b"", b'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\n'])
def test_init(old: bytes, times: int, tmp_path: Path) -> None:
    """After SIGKILL pyproject.toml is the old or the new one, and the next `init` completes."""
    folder = tmp_path / "project"
    path = folder / "pyproject.toml"
    arguments = ["init", "--project", str(folder), "--glibc", "2.17"]

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if old:
            path.write_bytes(old)

    prepare()
    assert 0 == minglibc(*arguments).code
    new = path.read_bytes()

    def check() -> None:
        before = path.read_bytes() if path.exists() else b""
        assert before in (old, new)
        assert (2 if before == new else 0) == minglibc(*arguments).code
        assert new == path.read_bytes()
        assert ["pyproject.toml"] == [entry.name for entry in folder.iterdir()]

    kill_repeatedly(KilledCommand(folder, arguments, prepare, check), times)


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_cache_prune(project: LockedProject, tmp_path: Path, times: int) -> None:
    """After SIGKILL the cache that is left is valid, and the next `cache prune` removes the rest."""
    assert 0 == project.sync().code
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    kept = tmp_path / "kept"
    shutil.copytree(cache, kept)
    whole = states(project)["pylock.toml"]
    for number in range(4):
        (kept / "wheels-0" / f"sha256-{number}").mkdir(parents=True)
        (kept / "wheels-0" / f"sha256-{number}" / "old.whl").write_bytes(b"old")

    def prepare() -> None:
        shutil.rmtree(cache)
        shutil.copytree(kept, cache)
        # Half of the files were not used for a long time.
        for path in sorted(path for path in cache.rglob("*") if path.is_file())[::2]:
            os.utime(path, (1e9, 1e9))

    def check() -> None:
        assert 0 == minglibc("cache", "prune").code
        assert not (cache / "wheels-0").exists()
        assert [] == [path for path in cache.rglob("*") if path.is_file() and path.stat().st_atime < 1.1e9]
        check_cached_wheels()
        assert 0 == project.command("lock", "--upgrade").code
        assert whole == states(project)["pylock.toml"]
        shutil.rmtree(project.venv)
        assert 0 == project.sync().code
        check_whole(project.venv)

    kill_repeatedly(KilledCommand(cache, ["cache", "prune"], prepare, check), times)


def test_untrusted_temporary_folder_of_a_bundle(project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """A symbolic link in the place of a killed bundle's temporary folder is neither followed nor restored."""
    index.add(build_wheel("pip", "25.0"))
    untrusted = tmp_path / "untrusted"
    (untrusted / "old").mkdir(parents=True)
    (untrusted / "old" / "install.sh").write_text("evil")
    (tmp_path / ".minglibc-bundle-made").symlink_to(untrusted)
    ran = minglibc("bundle", "--project", str(project.folder), "--output", str(tmp_path / "made"))
    assert 1 == ran.code
    assert "can't write" in ran.err
    assert not (tmp_path / "made").exists()
    assert ["old"] == [path.name for path in untrusted.iterdir()]


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_lock_with_an_empty_cache(project: LockedProject, times: int) -> None:
    """After SIGKILL of a `lock` with an empty cache, the next `lock` writes the same lock."""
    whole = states(project)["pylock.toml"]
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])

    def prepare() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        (project.folder / "pylock.toml").unlink(missing_ok=True)

    def check() -> None:
        (project.folder / "pylock.toml").unlink(missing_ok=True)
        ran = project.command("lock")
        assert 0 == ran.code, ran.err
        assert whole == states(project)["pylock.toml"]
        check_cached_wheels()

    kill_repeatedly(KilledCommand(cache, ["lock", "--project", str(project.folder)], prepare, check), times)


@pytest.mark.parametrize("times", TIMES)
def test_sync_with_an_empty_cache(project: LockedProject, times: int) -> None:
    """After SIGKILL of an installation with an empty wheel cache, the next `sync` repairs the cache and the environment."""
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])

    def prepare() -> None:
        for folder in (*cache.glob("wheels-*"), project.venv):
            shutil.rmtree(folder, ignore_errors=True)

    def check() -> None:
        check_cached_wheels()
        ran = project.sync()
        assert 0 == ran.code, ran.err
        assert {"a": "1.0", "b": "1.0"} == installed(project.venv)
        check_whole(project.venv)
        assert read_lock(project.folder).targets
        assert json.loads(project.sync("--check", "--json").out)["changed"] is False

    root = project.folder.parent
    kill_repeatedly(KilledCommand(root, ["sync", "--project", str(project.folder)], prepare, check), times)


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_lock_from(project: LockedProject, times: int) -> None:
    """After SIGKILL of `lock --from`, the lock is the old or the new one, and the next run writes the new one."""
    requirements, output = project.folder / "requirements.txt", project.folder / "pylock.from.toml"
    arguments = ["lock", "--project", str(project.folder), "--from", str(requirements), "-o", str(output)]
    locks = []
    for name in ("b", "a"):
        project.lock(name)
        assert 0 == project.command("export", "-o", str(requirements)).code
        ran = minglibc(*arguments)
        assert 0 == ran.code, ran.err
        locks.append(output.read_bytes())
    old, new = locks
    assert old != new
    whole = sorted(path.name for path in project.folder.iterdir())

    def prepare() -> None:
        output.write_bytes(old)

    def check() -> None:
        assert output.read_bytes() in (old, new)
        assert 0 == minglibc(*arguments).code
        assert new == output.read_bytes()
        assert whole == sorted(path.name for path in project.folder.iterdir())

    kill_repeatedly(KilledCommand(project.folder, arguments, prepare, check), times)


@pytest.mark.parametrize("times", SLOW_TIMES)
def test_served_export(index: IndexServer, tmp_path: Path, times: int) -> None:
    """After SIGKILL of `serve --export`, pages list only files that are complete; the next run writes the rest."""
    for name in ("a", "b"):
        index.add(build_wheel(name, "1.0"))
    output, cache = tmp_path / "out", Path(os.environ["MINGLIBC_CACHE_DIR"])
    arguments = [
        "serve",
        "--export",
        str(output),
        "--proxy-files",
        "--glibc",
        "2.27",
        "--index-url",
        index.url,
        "a",
        "b",
    ]

    def prepare() -> None:
        for folder in (output, cache):
            shutil.rmtree(folder, ignore_errors=True)

    prepare()
    ran = minglibc(*arguments)
    assert 0 == ran.code, ran.err
    whole = _contents(output)
    assert 8 <= len(whole)

    def check() -> None:
        files = {path: content for path, content in _contents(output).items() if not path.endswith(".tmp")}
        assert files.items() <= whole.items()
        for path in files:
            folder, name = Path(path).parent, Path(path).parent.name
            if folder.parent.name == "simple":
                assert f"{folder.parent.parent}/files/{name}/{name}-1.0-py3-none-any.whl" in files
        assert 0 == minglibc(*arguments).code
        assert whole == _contents(output)
        check_cached_wheels()

    kill_repeatedly(KilledCommand(tmp_path, arguments, prepare, check), times)


@pytest.mark.nightly
@pytest.mark.parametrize("times", [50])
def test_build(project: LockedProject, index: IndexServer, times: int) -> None:
    """After SIGKILL of `build`, the folder has a complete wheel or none, and the next run writes the wheel."""
    index.add(build_source("c", "1.0"))
    wheel = "c-1.0-py3-none-any.whl"
    project.write(["c"], more='allow-sdist = ["c"]\n')
    output, cache = project.folder.parent / "out", Path(os.environ["MINGLIBC_CACHE_DIR"])
    arguments = ["build", "c", "--project", str(project.folder), "--output", str(output)]

    def prepare() -> None:
        for folder in (output, *cache.glob("built-*")):
            shutil.rmtree(folder, ignore_errors=True)

    def check() -> None:
        for path in output.glob("*.whl"):
            assert zipfile.ZipFile(path).testzip() is None
        ran = minglibc(*arguments)
        assert 0 == ran.code, ran.err
        assert [wheel] == sorted(path.name for path in output.iterdir())

    kill_repeatedly(KilledCommand(project.folder.parent, arguments, prepare, check), times)
