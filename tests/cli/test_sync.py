"""`minglibc sync` with an index on loopback: afterwards the environment has exactly the locked packages."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.install import interpreter, transaction
from minglibc.model.distributions import with_distribution
from minglibc.model.targets import GlibcVersion
from tests.support import child
from tests.support.elves import elf
from tests.support.environments import RUNNING, LockedProject, check_whole, installed, leftovers, snapshot
from tests.support.faults import FAULTS, Fault
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.parameters import one_in
from tests.support.wheels import BuiltWheel, build_wheel, tamper

PYTHON_TAG = f"cp3{sys.version_info.minor}"
HOST = GlibcVersion.parse((os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2])


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """An empty project of this index."""
    return LockedProject(tmp_path / "project", index)


@pytest.fixture
def synced(project: LockedProject, index: IndexServer) -> LockedProject:
    """A project of a 1.0, which requires b 1.0, locked and installed."""
    index.add(build_wheel("a", "1.0", requires=["b"], scripts={"a": "a:main"}, files={"a/__init__.py": MAIN}))
    index.add(build_wheel("b", "1.0"))
    project.lock("a")
    ran = project.sync()
    assert ran.code == 0, ran.err
    return project


MAIN = "import b\ndef main():\n    print('a runs with b', b.__version__)\n"


def native(minor: int) -> str:
    """The tag of a compiled wheel that requires glibc 2.*minor*."""
    return f"{PYTHON_TAG}-{PYTHON_TAG}-manylinux_2_{minor}_{os.uname().machine}"


def install_without_cap(project: LockedProject, wheel: BuiltWheel) -> None:
    """Install *wheel* as an installer does that does not know the cap."""
    import zipfile  # noqa: PLC0415  only needed here

    path = project.folder / wheel.filename
    path.write_bytes(wheel.content)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(project.site)
    path.unlink()


# ---- installing and removing


def test_environment_is_created(synced: LockedProject) -> None:
    """If .venv does not exist, it is created beside pyproject.toml with exactly the locked packages, and its scripts run."""
    check_whole(synced.venv)
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0"}
    assert subprocess.check_output([synced.venv / "bin" / "a"], text=True) == "a runs with b 1.0\n"
    assert (synced.venv / "pyvenv.cfg").exists()


def test_output_has_the_format_of_uv(project: LockedProject, index: IndexServer) -> None:
    """Each change is a line on stderr, stdout is empty, and --quiet prints nothing."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b")
    ran = project.sync()
    assert ran.out == ""
    assert " + b==1.0" in ran.err
    assert "Installed 1 package in " in ran.err
    index.add(build_wheel("b", "2.0"))
    project.lock("b")
    ran = project.sync()
    assert " - b==1.0" in ran.err
    assert " + b==2.0" in ran.err
    shutil.rmtree(project.venv)
    assert project.sync("--quiet")[1:] == ("", "")


def test_second_sync_changes_nothing(synced: LockedProject, index: IndexServer) -> None:
    """A second sync changes no byte and sends no request."""
    before, requests = snapshot(synced.venv), len(index.requests)
    ran = synced.sync()
    assert "Nothing to do: 2 packages" in ran.err
    assert before == snapshot(synced.venv)
    assert requests == len(index.requests)


def test_packages_outside_the_lock_are_removed(synced: LockedProject, index: IndexServer) -> None:
    """Packages that are not locked are removed, except with --inexact; pip and the project itself are kept."""
    for unlocked in ("unlocked", "pip", "demo"):
        install_without_cap(synced, build_wheel(unlocked, "1.0"))
    assert synced.sync("--inexact").code == 0
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0", "unlocked": "1.0", "pip": "1.0", "demo": "1.0"}
    ran = synced.sync()
    assert " - unlocked==1.0" in ran.err
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0", "pip": "1.0", "demo": "1.0"}


def test_extras_and_groups(project: LockedProject, index: IndexServer) -> None:
    """Default groups are installed unless excluded, extras and other groups if requested; unknown ones are errors."""
    for name in ("base", "x-dep", "y-dep", "dev-dep", "docs-dep"):
        index.add(build_wheel(name, "1.0"))
    more = (
        'default-groups = ["dev"]\n'
        '[project.optional-dependencies]\nx = ["x-dep"]\ny = ["y-dep"]\n'
        '[dependency-groups]\ndev = ["dev-dep"]\ndocs = ["docs-dep"]\n'
    )
    project.lock("base", more=more)

    def synced(*arguments: str) -> set[str]:
        ran = project.sync(*arguments)
        assert ran.code == 0, ran.err
        return set(installed(project.venv))

    assert {"base", "dev_dep"} == synced()
    assert {"base"} == synced("--no-default-groups")
    assert {"base", "docs_dep"} == synced("--no-default-groups", "--group", "docs")
    assert {"base", "dev_dep", "x_dep"} == synced("--extra", "X")
    assert {"base", "dev_dep", "x_dep", "y_dep", "docs_dep"} == synced("--all-extras", "--group", "docs")
    assert {"base", "dev_dep", "docs_dep"} == synced("--all-groups")
    assert {"base", "docs_dep"} == synced("--all-groups", "--no-dev")
    assert {"base", "dev_dep"} == synced(
        "--no-default-groups", "--dev", "--group", "docs", "--no-group", "docs", "--locked"
    )
    ran = project.sync("--extra", "nope")
    assert (2, True) == (ran.code, "it has x, y" in ran.err)
    assert project.sync("--group", "nope").code == 2
    assert project.sync("--no-group", "nope").code == 2
    ran = project.sync("--frozen", "--locked")
    assert (2, "error: --locked can't be combined with --frozen\n") == (ran.code, ran.err)


def test_check_and_dry_run_change_nothing(project: LockedProject, index: IndexServer) -> None:
    """If there are changes, --check exits with 1 and --dry-run with 0; both print them, and neither changes a file."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b")
    before = snapshot(project.folder)
    checked, dry = project.sync("--check"), project.sync("--dry-run")
    assert (1, 0) == (checked.code, dry.code)
    assert " + b==1.0\n" == checked.out == dry.out
    assert before == snapshot(project.folder)
    assert project.sync().code == 0
    assert project.sync("--check").code == 0
    (project.site / "b" / "__init__.py").unlink()
    before = snapshot(project.folder)
    ran = project.sync("--check")
    assert (1, True) == (ran.code, "is missing" in ran.out)
    assert before == snapshot(project.folder)


def test_json(synced: LockedProject) -> None:
    """--json prints the environment, the target, and the action for each distribution with its reason."""
    install_without_cap(synced, build_wheel("unlocked", "1.0"))
    report = json.loads(synced.sync("--json").out)
    assert report["changed"] is True
    assert {"a": "keep", "b": "keep", "unlocked": "remove"} == {
        step["name"]: step["action"] for step in report["steps"]
    }
    assert report["target"].startswith(f"{PYTHON_TAG}-{os.uname().machine}-glibc2.17")
    assert str(synced.venv) == report["environment"]


def test_compile_bytecode(synced: LockedProject) -> None:
    """--compile-bytecode writes .pyc files, a sync without it none."""
    assert list(synced.site.rglob("*.pyc")) == []
    assert synced.sync("--compile-bytecode").code == 0
    assert list((synced.site / "a").rglob("*.pyc"))


def test_offline_uses_the_cache(synced: LockedProject, index: IndexServer) -> None:
    """If the wheels are cached, no index is needed; otherwise the missing ones are named."""
    shutil.rmtree(synced.venv)
    requests = len(index.requests)
    assert synced.sync("--offline").code == 0
    assert requests == len(index.requests)
    shutil.rmtree(synced.venv)
    ran = synced.sync("--offline", "--cache-dir", str(synced.folder / "empty"))
    assert (3, True) == (ran.code, "not in the cache: a-1.0-py3-none-any.whl, b-1.0" in ran.err)


# ---- wheels and files above the cap


def test_a_wheel_above_the_cap_is_replaced(project: LockedProject, index: IndexServer) -> None:
    """A wheel of the locked version that exceeds the cap is replaced, and nothing else is changed."""
    machine = os.uname().machine
    low = build_wheel("c", "1.0", native(17), files={"c/x.so": elf(machine=machine), "c/__init__.py": ""})
    high = build_wheel("c", "1.0", native(34), files={"c/x.so": elf(machine=machine), "c/__init__.py": ""})
    for wheel in (low, high, build_wheel("pure", "1.0")):
        index.add(wheel)
    project.lock("c", "pure", glibc="2.27")
    interpreter.create(str(project.venv), sys.executable)
    for wheel in (high, build_wheel("pure", "1.0")):
        install_without_cap(project, wheel)
    kept = (project.site / "pure" / "__init__.py").stat()
    ran = project.sync()
    assert " ~ c==1.0 (its wheel needs glibc 2.34, the cap is 2.27)" in ran.err
    assert "pure" not in ran.err
    assert native(17) in (project.site / "c-1.0.dist-info" / "WHEEL").read_text(encoding="utf-8")
    assert kept.st_ino == (project.site / "pure" / "__init__.py").stat().st_ino


def test_a_file_above_the_cap_is_replaced(project: LockedProject, index: IndexServer) -> None:
    """A distribution whose tags are compatible and whose ELF file exceeds the cap is reinstalled, and the file is named."""
    machine = os.uname().machine

    def built(version: str) -> BuiltWheel:
        content = elf(machine=machine, needs={"libc.so.6": (version,)})
        return build_wheel("c", "1.0", native(17), files={"c/x.so": content})

    index.add(built("GLIBC_2.17"))
    project.lock("c", glibc="2.27")
    interpreter.create(str(project.venv), sys.executable)
    install_without_cap(project, built("GLIBC_2.34"))
    ran = project.sync()
    assert "c/x.so needs glibc 2.34, the cap is 2.27" in ran.err
    assert built("GLIBC_2.17").content
    assert "Nothing to do" in project.sync().err


def test_damage_is_repaired(synced: LockedProject) -> None:
    """A deleted file, a changed one and a missing RECORD are detected and repaired."""
    for damage in (
        (synced.site / "a" / "__init__.py").unlink,
        lambda: (synced.site / "a" / "__init__.py").write_text("# longer than any original was\n", encoding="utf-8"),
        (synced.site / "a-1.0.dist-info" / "RECORD").unlink,
        (synced.venv / "bin" / "a").unlink,
        lambda: shutil.copytree(synced.site / "a-1.0.dist-info", synced.site / "a-0.9.dist-info"),
    ):
        damage()
        ran = synced.sync()
        assert " a==1.0" in ran.err
        check_whole(synced.venv)
        assert installed(synced.venv) == {"a": "1.0", "b": "1.0"}


# ---- errors


def refused(project: LockedProject, *arguments: str, code: int = 1, words: str, hint: str = "") -> None:
    """The sync fails with *words* and *hint*, and no file of the project has changed."""
    before = snapshot(project.folder)
    ran = project.sync(*arguments)
    assert code == ran.code, ran.err
    assert words in ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    assert before == snapshot(project.folder)


def test_missing_or_stale_lock(project: LockedProject, index: IndexServer) -> None:
    """A missing lock, a stale one with --locked, and one of a newer minglibc are errors; --frozen accepts the stale one."""
    for name in ("b", "c"):
        index.add(build_wheel(name, "1.0"))
    project.write(["b"])
    refused(project, words="there is no pylock.toml", hint="minglibc lock")
    project.lock("b")
    lock = project.folder / "pylock.toml"
    good = lock.read_text(encoding="utf-8")
    project.write(["b", "c"])
    refused(project, "--locked", words="pylock.toml is stale", hint="--frozen")
    assert project.sync("--frozen").code == 0
    assert installed(project.venv) == {"b": "1.0"}
    project.write(["b"])
    lock.write_text(good.replace("lock-format = 1", "lock-format = 99"), encoding="utf-8")
    refused(project, words="newer minglibc", hint="upgrade minglibc")
    lock.write_text(good.replace('name = "b"', 'name = "c"'), encoding="utf-8")
    refused(project, words="error: pylock.toml", hint="minglibc lock")
    lock.write_text("", encoding="utf-8")
    refused(project, words="error: pylock.toml")
    assert installed(project.venv) == {"b": "1.0"}


def test_frozen_lock_without_pyproject(synced: LockedProject, tmp_path: Path) -> None:
    """With --frozen the lock is the only file that is needed."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(synced.folder / "pylock.toml", alone)
    moved = LockedProject(alone, synced.index)
    refused(moved, code=2, words="no pyproject.toml")
    assert moved.sync("--frozen").code == 0
    assert installed(moved.venv) == {"a": "1.0", "b": "1.0"}


def test_lock_for_other_machines(project: LockedProject, index: IndexServer) -> None:
    """Another Python, another architecture and a glibc newer than the machine's are errors that name the lock's targets."""
    index.add(build_wheel("b", "1.0"))
    newer = f"2.{HOST.minor + 1}"
    project.lock("b", glibc=newer)
    machine, cap = with_distribution(HOST), with_distribution(GlibcVersion.parse(newer))
    refused(project, words=f"this machine has {machine}, the lock is for {cap}", hint=f'glibc = "{HOST}"')
    other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    project.lock("b", more=f'architectures = ["{other}"]\n')
    refused(project, words=f"the lock has no target for {os.uname().machine}", hint=other)
    project.lock("b", python="3.6")
    refused(project, "--python", sys.executable, words=f"the lock has no target for CPython {RUNNING}", hint="cp36-")
    refused(project, "--target", "cp39-x86_64-glibc2.17", code=2, words="has no target", hint="cp36-")


def fake_interpreter(folder: Path, **changes: object) -> Path:
    """The interpreter of an environment in *folder* that reports the facts of the running one, except for *changes*."""
    script = Path(interpreter.__file__).with_name("_probe.py")
    text = subprocess.check_output([sys.executable, "-I", "-S", script], text=True)
    facts = json.loads(text.replace(json.loads(text)["prefix"], str(folder)))
    facts.update({"environment": True, **changes})
    program = folder / "bin" / "python"
    program.parent.mkdir()
    (folder / "pyvenv.cfg").touch()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(facts)}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    return program


MUSL = {"bits": 64, "little": True, "machine": 62, "flags": 0, "loader": "/lib/ld-musl-x86_64.so.1"}
SOFT = {"bits": 32, "little": True, "machine": 40, "flags": 0x5000200, "loader": "/lib/ld-linux.so.3"}
I686 = {"bits": 32, "little": True, "machine": 3, "flags": 0, "loader": "/lib/ld-linux.so.2"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"libc": "musl 1.2.5", "elf": MUSL}, "this machine has musl 1.2, the lock is for glibc"),
        ({"libc": "glibc 2.5"}, "this machine has glibc 2.5, the lock is for glibc 2.17 (RHEL 7)"),
        ({"elf": SOFT}, "no target for armv7l without hardware floating point"),
        ({"elf": I686}, "the lock has no target for i686"),
        ({"implementation": "pypy"}, "this interpreter is pypy"),
        ({"version": [3, 5, 2]}, "minglibc requires 3.6 or newer"),
        ({"version": [2, 7, 18]}, "minglibc requires 3.6 or newer"),
        ({"externally_managed": True}, "package manager"),
    ],
)
def test_unsupported_interpreter(synced: LockedProject, tmp_path: Path, changes: dict[str, object], words: str) -> None:
    """musl, an old glibc, soft floats, i686 on x86_64, PyPy, old Pythons and externally managed ones are errors."""
    refused(synced, "--python", str(fake_interpreter(tmp_path, **changes)), words=words, hint="hint: ")


def test_folder_that_is_not_an_environment(synced: LockedProject, tmp_path: Path) -> None:
    """A folder with other files and a missing interpreter are errors, and for a broken .venv the hint says what to do."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").touch()
    refused(synced, "--python", str(tmp_path / "home"), words="is neither empty nor an environment")
    refused(synced, "--python", str(tmp_path / "none" / "bin" / "python"), words="there is no interpreter")
    refused(synced, "--python", "no-such-python", words="there is no no-such-python on PATH")
    (synced.venv / "bin" / "python").unlink()
    (synced.venv / "bin" / "python").symlink_to("/nowhere")
    refused(synced, words="can't start the interpreter", hint="delete")


def test_another_environment(synced: LockedProject, tmp_path: Path) -> None:
    """--python accepts a new folder, an environment, or its interpreter; .venv is not used."""
    shutil.rmtree(synced.venv)
    environment = tmp_path / "a shared folder" / "env"
    for path in (environment, environment, environment / "bin" / "python"):
        assert synced.sync("--python", str(path)).code == 0
        assert installed(environment) == {"a": "1.0", "b": "1.0"}
    assert not synced.venv.exists()


# ---- invalid wheels and responses


@pytest.mark.parametrize("row", one_in(2, ["N28", "N80", "N37", "N54", "N62", "N33", "N77", "N66"]))
def test_bad_wheel_changes_nothing(project: LockedProject, index: IndexServer, row: str) -> None:
    """N28 to N82: if one wheel is invalid, no package is installed."""
    index.add(build_wheel("first", "1.0"))
    project.lock("first")
    assert project.sync().code == 0
    FAULTS[row](index)
    project.lock("first", "a")
    before = snapshot(project.venv)
    ran = project.sync()
    assert ran.code != 0
    assert "error: " in ran.err
    assert "b-1.0-py3-none-any.whl" in ran.err
    assert "Traceback" not in ran.err
    assert before == snapshot(project.venv)
    assert leftovers(project.venv) == set()


def test_changed_file_on_the_index(project: LockedProject, index: IndexServer) -> None:
    """A locked file with other content is an error, and another wheel of the release does not replace it."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b")
    index.add(build_wheel("b", "1.0", files={"b/__init__.py": '__version__ = "6.6"\n'}))
    index.add(build_wheel("b", "1.0", "py2.py3-none-any"))
    ran = project.sync()
    assert "error: b-1.0-py3-none-any.whl " in ran.err
    assert "the lock has " in ran.err
    assert installed(project.venv) == {}


def test_excluded_dependencies(project: LockedProject, index: IndexServer) -> None:
    """Dependencies that the settings exclude are not required."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more='excludes = ["b"]\n')
    ran = project.sync()
    assert ran.code == 0, ran.err
    assert installed(project.venv) == {"a": "1.0"}


# ---- kills, signals and concurrent processes


def start(project: LockedProject) -> "subprocess.Popen[str]":
    """A process that syncs *project*."""
    return child.start("sync", "--project", str(project.folder))


def run(project: LockedProject) -> "subprocess.CompletedProcess[str]":
    """Sync *project* in a process of its own."""
    return child.run("sync", "--project", str(project.folder))


@pytest.fixture
def two_releases(project: LockedProject, index: IndexServer) -> Callable[[int], None]:
    """A project of twelve packages with many files each, and a function that locks it to one of two releases."""
    names = [f"p{number}" for number in range(12)]

    def files(name: str, release: int) -> dict[str, str]:
        return {f"{name}/{'old' if release == 1 else 'new'}{number}.py": f"R = {release}\n" for number in range(30)} | {
            f"{name}/__init__.py": f"R = {release}\n"
        }

    for release in (1, 2):
        for name in names:
            index.add(build_wheel(name, f"{release}.0", files=files(name, release), scripts={name: f"{name}:main"}))

    def lock(release: int) -> None:
        project.lock(*(f"{name}=={release}.0" for name in names))

    return lock


def kill_at_random(project: LockedProject, lock: Callable[[int], None], times: int, seed: int) -> None:
    """Kill new installations and upgrades at random moments; after each, the next sync completes it."""
    chance = random.Random(seed)
    locks = {}
    for release in (1, 2):
        lock(release)
        locks[release] = [(project.folder / name).read_bytes() for name in ("pylock.toml", "pyproject.toml")]
    started = time.monotonic()
    assert run(project).returncode == 0
    duration = time.monotonic() - started
    release = 2
    for _ in range(times):
        if chance.random() < 0.3:
            shutil.rmtree(project.venv)
        release = 3 - release
        for name, content in zip(("pylock.toml", "pyproject.toml"), locks[release], strict=True):
            (project.folder / name).write_bytes(content)
        with start(project) as process:
            time.sleep(chance.uniform(0.3, 1.1) * duration)
            process.kill()
        ran = project.sync()
        assert ran.code == 0, ran.err
        check_whole(project.venv)
        assert installed(project.venv) == {f"p{number}": f"{release}.0" for number in range(12)}


@pytest.mark.slow
def test_recovery_after_two_kills(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S1, S2: after SIGKILL at a random moment the next sync completes the environment and leaves no temporary files."""
    kill_at_random(project, two_releases, 2, seed=int(time.time()))


@pytest.mark.nightly
def test_recovery_after_fifty_kills(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S1, S2: the same fifty times, and `pip check` finds no error."""
    kill_at_random(project, two_releases, 50, seed=int(time.time()))
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--python", project.venv / "bin" / "python", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, True) == (checked.returncode, "No broken requirements" in checked.stdout)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_downloading(synced: LockedProject, index: IndexServer, number: int, code: int) -> None:
    """S16: if it is interrupted while it downloads, sync exits with 130 or 143 and removes its temporary files."""
    index.add(build_wheel("b", "2.0", padding=100_000))
    synced.lock("a")
    before = snapshot(synced.venv)
    index.fault("*/b-2.0*", Fault.hang_midway())
    with start(synced) as process:
        deadline = time.monotonic() + 10
        while (
            not any("b-2.0" in request.path and request.path.endswith(".whl") for request in index.requests)
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(number)
        assert code == process.wait(10)
    assert before == snapshot(synced.venv)
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    assert list(cache.rglob(".part-*")) == []


# ---- unpacking during downloads

# Large enough to be unpacked by worker processes.
LARGE = 5_000_000


@pytest.fixture
def large_and_delayed(synced: LockedProject, index: IndexServer) -> LockedProject:
    """The project with two more locked packages: a large one, and one whose download tests delay."""
    index.add(build_wheel("large", "1.0", padding=LARGE))
    index.add(build_wheel("late", "1.0"))
    synced.lock("a", "large", "late")
    return synced


def unpacked(name: str) -> bool:
    """Whether the package *name* is unpacked in the cache."""
    return any(Path(os.environ["MINGLIBC_CACHE_DIR"]).glob(f"unpacked-*/*/{name}/__init__.py"))


def once_unpacked(name: str, answer: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Send *answer* as soon as the package *name* is unpacked; if it never is, close the connection."""

    def misbehave(exchange: Exchange) -> None:
        deadline = time.monotonic() + 10
        while not unpacked(name) and time.monotonic() < deadline and exchange.wait(0.01):
            pass
        if unpacked(name):
            answer(exchange)
        else:
            exchange.hang_up()

    return misbehave


def test_unpacking_during_downloads(large_and_delayed: LockedProject, index: IndexServer) -> None:
    """A wheel is unpacked while another one is downloaded; the environment changes when all are complete."""
    before = snapshot(large_and_delayed.venv)
    unchanged = list[bool]()

    def answer(exchange: Exchange) -> None:
        current = snapshot(large_and_delayed.venv)
        unchanged.append(before == {path: entry for path, entry in current.items() if path in before})
        exchange.send(exchange.correct())

    index.fault("*/late-1.0*.whl", once_unpacked("large", answer))
    ran = run(large_and_delayed)
    assert 0 == ran.returncode, ran.stderr
    assert [True] == unchanged
    assert {"a", "b", "large", "late"} == installed(large_and_delayed.venv).keys()
    check_whole(large_and_delayed.venv)


def test_failure_of_the_last_download(large_and_delayed: LockedProject, index: IndexServer) -> None:
    """If the last wheel has other content than the locked one, none of the unpacked wheels is installed."""
    before = snapshot(large_and_delayed.venv)
    changed = Answer(200, build_wheel("late", "1.0", files={"late/__init__.py": "EVIL = '1'\n"}).content)
    index.fault("*/late-1.0*.whl", once_unpacked("large", lambda exchange: exchange.send(changed)))
    ran = run(large_and_delayed)
    assert 1 == ran.returncode
    assert "error: late-1.0-py3-none-any.whl " in ran.stderr
    assert before == snapshot(large_and_delayed.venv)


@pytest.mark.slow
def test_missing_wheels_are_reported_before_invalid_ones(project: LockedProject, index: IndexServer) -> None:
    """A missing wheel is reported before an invalid one, whichever is detected first; of invalid ones the first in the lock is."""
    for name in ("one", "two"):
        wheel = build_wheel(name, "1.0", padding=LARGE)
        index.add(tamper(wheel, remove=[f"{name}/__init__.py"], record=False))
    index.add(build_wheel("late", "1.0"))
    project.lock("late", "one", "two")
    index.fault("*/late-1.0*.whl", Fault.status(404), times=1)
    errors = [run(project).stderr for _ in range(4)]
    assert "error: late-1.0-py3-none-any.whl is no longer on its index" in errors[0]
    for text in errors[1:]:
        assert "error: one-1.0-py3-none-any.whl lists files in RECORD that it does not have" in text
    assert installed(project.venv) == {}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_sync(large_and_delayed: LockedProject, index: IndexServer, number: int) -> None:
    """If sync is stopped or killed while workers unpack, they end too, and the next sync completes the environment."""
    before = snapshot(large_and_delayed.venv)
    reached = threading.Event()

    def answer(exchange: Exchange) -> None:
        reached.set()
        exchange.wait(30)

    index.fault("*/late-1.0*.whl", once_unpacked("large", answer), times=1)
    with start(large_and_delayed) as process:
        assert reached.wait(20)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        assert workers
        process.send_signal(number)
        assert process.wait(10)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if number != signal.SIGKILL:
        assert before == snapshot(large_and_delayed.venv)
    ran = large_and_delayed.sync()
    assert 0 == ran.code, ran.err
    check_whole(large_and_delayed.venv)
    assert leftovers(large_and_delayed.venv) == set()


@pytest.mark.slow
def test_concurrent_syncs(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S10: five concurrent syncs of a new environment succeed, one installs the packages, and the environment is complete."""
    two_releases(1)
    processes = [start(project) for _ in range(5)]
    output = [process.communicate(timeout=60)[1] for process in processes]
    assert [0] * 5 == [process.returncode for process in processes], output
    assert sum("Installed 12 packages" in text for text in output) == 1
    check_whole(project.venv)
    assert len(installed(project.venv)) == 12


def test_waiting_is_reported(synced: LockedProject) -> None:
    """A sync that waits for another one prints the other's process."""
    install_without_cap(synced, build_wheel("unlocked", "1.0"))
    with transaction.locked(str(synced.venv)):
        process = start(synced)
        assert process.stderr is not None
        line = process.stderr.readline()
        while "warning" in line:
            line = process.stderr.readline()
        assert f"waiting for another sync (process {os.getpid()} on " in line
    assert process.communicate(timeout=20)
    assert process.returncode == 0


def test_unusable_cache(synced: LockedProject, tmp_path: Path) -> None:
    """S6: if the cache can't be written, sync prints one warning and continues."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file", encoding="utf-8")
    shutil.rmtree(synced.venv)
    ran = synced.sync("--cache-dir", str(blocked))
    assert ran.code == 0, ran.err
    assert ran.err.count("continuing without it") == 1
    check_whole(synced.venv)


@pytest.mark.slow
def test_limit_of_open_files(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S19: twelve wheels are installed without HOME and with at most 64 open files."""
    two_releases(1)
    environment = {name: value for name, value in os.environ.items() if name not in {"HOME", "LANG"}}
    limited = ["sh", "-c", 'ulimit -n 64; umask 077; exec "$@"', "sh"]
    limited += [sys.executable, "-m", "minglibc", "sync", "--project", str(project.folder)]
    ran = subprocess.run(limited, capture_output=True, text=True, env=environment | {"LANG": "C"}, check=False)
    assert ran.returncode == 0, ran.stderr
    check_whole(project.venv)


def test_interpreter_above_the_cap(project: LockedProject, index: IndexServer) -> None:
    """If the interpreter itself exceeds the cap, the environment is created, with a warning each time."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b", glibc="2.5", more=f'architectures = ["{os.uname().machine}"]\n')
    for _ in ("read", "remembered"):
        ran = project.sync()
        assert ran.code == 0
        assert "warning: the interpreter " in ran.err
        assert "the cap is 2.5" in ran.err
        shutil.rmtree(project.venv)


def test_patch_release_excluded_by_one_wheel(project: LockedProject) -> None:
    """If only some of a package's wheels exclude this patch release, the selected wheel's metadata is checked before anything changes."""
    running = ".".join(map(str, sys.version_info[:3]))
    other = "3.9" if RUNNING != "3.9" else "3.10"
    project.index.add(build_wheel("picky", "1.0", "py3-none-any"))
    project.lock("picky")
    assert project.sync().code == 0
    before = snapshot(project.site)
    tags = [f"cp{python.replace('.', '')}-none-any" for python in (RUNNING, other)]
    project.index.add(build_wheel("picky", "2.0", tags[0], requires_python=f"!={running}"))
    project.index.add(build_wheel("picky", "2.0", tags[1]))
    project.lock("picky", python=f'{RUNNING}", "{other}')
    assert "requires-python" not in (project.folder / "pylock.toml").read_text().partition("[[packages]]")[2]
    ran = project.sync()
    assert ran.code == 1
    assert f"picky 2.0 requires Python !={running}, this interpreter is {running}" in ran.err
    assert f'python = ["{running}"]' in ran.err
    assert before == snapshot(project.site)


def test_patch_release_excluded_by_all_wheels(project: LockedProject) -> None:
    """A wheel that excludes this interpreter's patch release is an error before anything is created."""
    running = ".".join(map(str, sys.version_info[:3]))
    project.index.add(build_wheel("picky", "1.0", requires_python=f"!={running}"))
    project.lock("picky")
    ran = project.sync()
    assert (1, False) == (ran.code, project.venv.exists())
    assert f"picky 1.0 requires Python !={running}, this interpreter is {running}" in ran.err
    assert f'python = ["{running}"]' in ran.err
