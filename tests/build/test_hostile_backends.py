"""Backends that return something else than a wheel of their project, print without end, or leave processes behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.app.build_environment import BuildContext, BuildTask, build_metadata, check_wheel
from minglibc.app.options import CommonOptions
from minglibc.build.backend import Backend, BuildError
from minglibc.build.isolation import Isolation
from minglibc.build.running import started
from minglibc.errors import SettingsError
from minglibc.index.credentials import Credentials
from minglibc.install.interpreter import inspect
from tests.support.wheels import BuiltWheel, build_wheel, tamper

NAME = "b-1.0-py3-none-any.whl"
SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "hostile"\nbackend-path = ["."]\n'


def backend_with(folder: Path, code: str = "", isolation: Isolation | None = None) -> Backend:
    """The backend whose hook `build_wheel(folder, settings, metadata)` has the body *code*."""
    (folder / "pyproject.toml").write_text(SYSTEM)
    (folder / "hostile.py").write_text(
        f"import os, sys\ndef build_wheel(d, c=None, m=None):\n    {code or 'return 1'}\n"
    )
    log = isolation.log if isolation is not None else ""
    return Backend(str(folder), sys.executable, label="b", alternative="fix b", log=log, isolation=isolation)


def link_to_other_file(folder: Path) -> str:
    """A link in the place of the wheel."""
    (folder.parent / NAME).write_bytes(b"")
    (folder / NAME).symlink_to(folder.parent / NAME)
    return NAME


def link_to_other_folder(folder: Path) -> str:
    """A link in the place of the folder for wheels."""
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / NAME).write_bytes(b"")
    folder.rmdir()
    folder.symlink_to(folder.parent / "other")
    return NAME


def fifo(folder: Path) -> str:
    """A FIFO, which would never be read completely."""
    os.mkfifo(folder / NAME)
    return NAME


def device(folder: Path) -> str:
    """A file without an end."""
    (folder / NAME).symlink_to("/dev/zero")
    return NAME


def a_file(name: object, path: str = "{}") -> Callable[[Path], object]:
    """A file of this *name*, returned as *path*."""

    def build(folder: Path) -> object:
        (folder / str(name)).write_bytes(b"")
        return path.format(name)

    return build


@pytest.mark.parametrize(
    "build",
    [
        *(lambda _folder, value=value: value for value in (None, 7, ["a"], "", ".", "..", NAME, "\udcff.whl", "a\0b")),
        *map(a_file, ("b.whl", "b-1.0.whl", "b-1.0-x-y-py3-none-any.whl", f"\x1b[2J{NAME}", f"{NAME}\n", "b-1.0.tar.gz")),
        a_file(NAME, "../out/{}"),
        a_file(f"../{NAME}"),
        *(link_to_other_file, link_to_other_folder, fifo, device),
    ],
)  # fmt: skip
def test_results(build: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything but the name of a wheel in the folder for it is an error, on one line."""
    hook = "pyproject_hooks.BuildBackendHookCaller.build_wheel"
    monkeypatch.setattr(hook, lambda _caller, folder, *_arguments, **_keywords: build(Path(folder)))
    with pytest.raises(BuildError, match=r"did not build a wheel but|returned no valid result|failed: ") as caught:
        backend_with(tmp_path).build("wheel", str(tmp_path / "out"))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("code", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_no_result(code: str, tmp_path: Path) -> None:
    """A backend that ends without a result is an error."""
    with pytest.raises(BuildError, match="the build backend of b"):
        backend_with(tmp_path, code).build("wheel", str(tmp_path / "out"))


def test_long_result(tmp_path: Path) -> None:
    """A result without end is not read."""
    with pytest.raises(BuildError, match="no valid result"):
        backend_with(tmp_path, "return 'x' * 5_000_000").build("wheel", str(tmp_path / "out"))


@pytest.mark.parametrize("requires", [[f"a{number}" for number in range(300)], ["a" * 10_000]])
def test_many_requirements(requires: list[str], tmp_path: Path) -> None:
    """Requirements without end are not resolved, and not printed."""
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\nrequires = {requires}\n")
    task = BuildTask(str(tmp_path), "b 1.0", "skip b")
    context = BuildContext(CommonOptions(), str(tmp_path), Credentials())
    with pytest.raises(SettingsError, match="has more than 200 requirements") as caught:
        build_metadata(task, inspect(sys.executable), context, str(tmp_path / "scratch"))
    assert len(caught.value.message) < 200


VALID = build_wheel("b", "1.0")


@pytest.mark.parametrize(
    ("wheel", "filename", "problem"),
    [
        (build_wheel("c", "1.0"), "c-1.0-py3-none-any.whl", "is named c"),
        (build_wheel("b", "2.0"), "b-2.0-py3-none-any.whl", "has version 2.0"),
        (VALID, "c-1.0-py3-none-any.whl", "another project or version"),
        (VALID, "b-2.0-py3-none-any.whl", "another project or version"),
        (tamper(VALID, add={"../../evil.py": b""}), NAME, "outside its folder"),
        (tamper(VALID, add={"/tmp/evil.py": b""}), NAME, "an absolute path"),
        (tamper(VALID, add={"b-1.0.data/data/pyvenv.cfg/x": b""}), NAME, "belongs to the environment"),
        (tamper(VALID, add={"b-1.0.data/scripts/python": b""}), NAME, "belongs to the interpreter"),
        (tamper(VALID, add={"c-1.0.dist-info/METADATA": b""}), NAME, "2 .dist-info folders"),
        (VALID._replace(content=b""), NAME, "not a readable zip archive"),
        (VALID._replace(content=VALID.content[:-40]), NAME, "not a readable zip archive"),
    ],
)
def test_wheels(wheel: BuiltWheel, filename: str, problem: str, tmp_path: Path) -> None:
    """A wheel of another project or release, and one that could not be installed, is an error."""
    path = tmp_path / filename
    path.write_bytes(wheel.content)
    task = BuildTask(str(tmp_path), "b 1.0", "skip b", name="b", version="1")
    with pytest.raises(BuildError, match=problem) as caught:
        check_wheel(str(path), task)
    assert caught.value.message.startswith(f"{filename}, built from b 1.0, ")
    path.with_name(NAME).write_bytes(VALID.content)
    check_wheel(str(path.with_name(NAME)), task)


@pytest.mark.parametrize("is_full", [False, True])
def test_long_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_full: bool) -> None:
    """A log has limited size, and a build does not need it."""
    monkeypatch.setattr("minglibc.build.backend._LONGEST_LOG", 10_000)
    log = tmp_path / "log"
    log.symlink_to("/dev/full" if is_full else "real")
    isolation = Isolation(os.environ, log=str(log))
    backend = backend_with(tmp_path, "os.write(1, b'x' * 100_000); return 1", isolation)
    with pytest.raises(BuildError, match="no valid result"):
        backend.build("wheel", str(tmp_path / "out"))
    if not is_full:
        assert 10_000 <= log.stat().st_size < 10_100
        assert log.read_bytes().endswith(b"dropped\n")


LEAVES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.close(1)
        time.sleep(60)
    os._exit(0)
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("seconds", [0.1, 60])
def test_processes_end_with_the_build(seconds: float) -> None:
    """A process that leaves the session of its build is killed, whether the build ends or is killed."""
    with started([sys.executable, "-c", LEAVES, str(seconds)], stdout=-1) as process:
        assert process.stdout is not None
        daemon = int(process.stdout.readline())
        if seconds < 1:
            process.wait()
        assert Path("/proc", str(daemon)).exists()
    assert not Path("/proc", str(daemon)).exists()


def test_nested_builds_keep_their_processes() -> None:
    """The end of one build does not end the processes of another one."""
    with started([sys.executable, "-c", LEAVES, "60"], stdout=-1) as process:
        assert process.stdout is not None
        daemon = int(process.stdout.readline())
        with started(["true"]) as other:
            other.wait()
        time.sleep(0.05)
        assert Path("/proc", str(daemon)).exists()
    assert not Path("/proc", str(daemon)).exists()


def test_other_processes_are_kept() -> None:
    """A process that was started before the build, by a program that uses the Python API, is not killed."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        with started(["true"]) as process:
            process.wait()
        assert other.poll() is None
        other.kill()
