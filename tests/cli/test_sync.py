"""`minglibc sync` against an index on loopback: the environment becomes the lock, whatever it was and whatever happens."""

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
from minglibc.model.targets import GlibcVersion
from tests.support.elves import elf
from tests.support.environments import RUNNING, LockedProject, check_whole, installed, leftovers, snapshot
from tests.support.faults import FAULTS, Fault
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.wheels import BuiltWheel, build_wheel, tamper

PYTHON_TAG = f"cp3{sys.version_info.minor}"
HOST = GlibcVersion.parse((os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2])


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """An empty project of this index."""
    return LockedProject(tmp_path / "project", index)


@pytest.fixture
def synced(project: LockedProject, index: IndexServer) -> LockedProject:
    """A project with a 1.0, which needs b 1.0, locked and installed."""
    index.add(build_wheel("a", "1.0", requires=["b"], scripts={"a": "a:main"}, files={"a/__init__.py": MAIN}))
    index.add(build_wheel("b", "1.0"))
    project.lock("a")
    ran = project.sync()
    assert ran.code == 0, ran.err
    return project


MAIN = "import b\ndef main():\n    print('a runs with b', b.__version__)\n"


def native(minor: int) -> str:
    """The tag of a compiled wheel that needs glibc 2.*minor*."""
    return f"{PYTHON_TAG}-{PYTHON_TAG}-manylinux_2_{minor}_{os.uname().machine}"


def other_installer(project: LockedProject, wheel: BuiltWheel) -> None:
    """Install *wheel* as an installer would that knows no cap."""
    import zipfile  # noqa: PLC0415  for this alone

    path = project.folder / wheel.filename
    path.write_bytes(wheel.content)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(project.site)
    path.unlink()


# ---- the plain way


def test_sync_makes_the_environment(synced: LockedProject) -> None:
    """Where there is none, .venv is made beside pyproject.toml, holds just the lock, and its scripts run."""
    check_whole(synced.venv)
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0"}
    assert subprocess.check_output([synced.venv / "bin" / "a"], text=True) == "a runs with b 1.0\n"
    assert (synced.venv / "pyvenv.cfg").exists()


def test_sync_speaks_as_uv_does(project: LockedProject, index: IndexServer) -> None:
    """Each change has its line on stderr, stdout stays empty, and --quiet says nothing."""
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


def test_a_second_sync_changes_nothing_and_asks_nobody(synced: LockedProject, index: IndexServer) -> None:
    """What matches is left alone, to the byte."""
    before, asked = snapshot(synced.venv), len(index.requests)
    ran = synced.sync()
    assert "Nothing to do: 2 packages" in ran.err
    assert before == snapshot(synced.venv)
    assert asked == len(index.requests)


def test_what_is_not_in_the_lock_is_removed(synced: LockedProject, index: IndexServer) -> None:
    """A stranger goes, --inexact keeps it, and pip and the project itself stay."""
    for stranger in ("stranger", "pip", "demo"):
        other_installer(synced, build_wheel(stranger, "1.0"))
    assert synced.sync("--inexact").code == 0
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0", "stranger": "1.0", "pip": "1.0", "demo": "1.0"}
    ran = synced.sync()
    assert " - stranger==1.0" in ran.err
    assert installed(synced.venv) == {"a": "1.0", "b": "1.0", "pip": "1.0", "demo": "1.0"}


def test_extras_and_groups_are_chosen(project: LockedProject, index: IndexServer) -> None:
    """Default groups come unless refused; extras and other groups when they are asked for; unknown ones are named."""
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
    ran = project.sync("--extra", "nope")
    assert (2, True) == (ran.code, "it has x, y" in ran.err)
    assert project.sync("--group", "nope").code == 2


def test_check_and_dry_run_change_nothing(project: LockedProject, index: IndexServer) -> None:
    """--check exits 1 and --dry-run 0 where there is something to do, both say what, neither touches a file."""
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


def test_json_tells_every_step(synced: LockedProject) -> None:
    """--json gives the environment, the target, and each distribution's fate with its reason."""
    other_installer(synced, build_wheel("stranger", "1.0"))
    told = json.loads(synced.sync("--json").out)
    assert told["changed"] is True
    assert {"a": "keep", "b": "keep", "stranger": "remove"} == {each["name"]: each["action"] for each in told["steps"]}
    assert told["target"].startswith(f"{PYTHON_TAG}-{os.uname().machine}-glibc2.17")
    assert str(synced.venv) == told["environment"]


def test_bytecode_is_compiled_when_asked(synced: LockedProject) -> None:
    """--compile-bytecode leaves .pyc files, a plain sync none."""
    assert list(synced.site.rglob("*.pyc")) == []
    assert synced.sync("--compile-bytecode").code == 0
    assert list((synced.site / "a").rglob("*.pyc"))


def test_offline_works_from_the_cache(synced: LockedProject, index: IndexServer) -> None:
    """With the wheels in the cache no index is needed; without them the missing ones are named."""
    shutil.rmtree(synced.venv)
    asked = len(index.requests)
    assert synced.sync("--offline").code == 0
    assert asked == len(index.requests)
    shutil.rmtree(synced.venv)
    ran = synced.sync("--offline", "--cache-dir", str(synced.folder / "empty"))
    assert (3, True) == (ran.code, "not in the cache: a-1.0-py3-none-any.whl, b-1.0" in ran.err)


# ---- the right version from the wrong wheel


def test_a_wheel_above_the_cap_is_replaced(project: LockedProject, index: IndexServer) -> None:
    """The same version installed from a newer machine's wheel is put right, and nothing else is touched."""
    machine = os.uname().machine
    low = build_wheel("c", "1.0", native(17), files={"c/x.so": elf(machine=machine), "c/__init__.py": ""})
    high = build_wheel("c", "1.0", native(34), files={"c/x.so": elf(machine=machine), "c/__init__.py": ""})
    for wheel in (low, high, build_wheel("pure", "1.0")):
        index.add(wheel)
    project.lock("c", "pure", glibc="2.27")
    interpreter.create(str(project.venv), sys.executable)
    for wheel in (high, build_wheel("pure", "1.0")):
        other_installer(project, wheel)
    kept = (project.site / "pure" / "__init__.py").stat()
    ran = project.sync()
    assert " ~ c==1.0 (its wheel needs glibc 2.34, the cap is 2.27)" in ran.err
    assert "pure" not in ran.err
    assert native(17) in (project.site / "c-1.0.dist-info" / "WHEEL").read_text(encoding="utf-8")
    assert kept.st_ino == (project.site / "pure" / "__init__.py").stat().st_ino


def test_a_file_above_the_cap_is_replaced(project: LockedProject, index: IndexServer) -> None:
    """A distribution whose tags are right and whose ELF file needs more than the cap is reinstalled, with the file's name."""
    machine = os.uname().machine

    def built(version: str) -> BuiltWheel:
        content = elf(machine=machine, needs={"libc.so.6": (version,)})
        return build_wheel("c", "1.0", native(17), files={"c/x.so": content})

    index.add(built("GLIBC_2.17"))
    project.lock("c", glibc="2.27")
    interpreter.create(str(project.venv), sys.executable)
    other_installer(project, built("GLIBC_2.34"))
    ran = project.sync()
    assert "c/x.so needs glibc 2.34, the cap is 2.27" in ran.err
    assert built("GLIBC_2.17").content
    assert "Nothing to do" in project.sync().err


def test_damage_is_mended(synced: LockedProject) -> None:
    """A deleted file, a changed one and a lost RECORD are noticed and put right."""
    for spoil in (
        (synced.site / "a" / "__init__.py").unlink,
        lambda: (synced.site / "a" / "__init__.py").write_text("# longer than any original was\n", encoding="utf-8"),
        (synced.site / "a-1.0.dist-info" / "RECORD").unlink,
        (synced.venv / "bin" / "a").unlink,
        lambda: shutil.copytree(synced.site / "a-1.0.dist-info", synced.site / "a-0.9.dist-info"),
    ):
        spoil()
        ran = synced.sync()
        assert " a==1.0" in ran.err
        check_whole(synced.venv)
        assert installed(synced.venv) == {"a": "1.0", "b": "1.0"}


# ---- refusals


def refused(project: LockedProject, *arguments: str, code: int = 1, words: str, hint: str = "") -> None:
    """The sync fails with *words* and *hint*, and no file of the project has changed."""
    before = snapshot(project.folder)
    ran = project.sync(*arguments)
    assert code == ran.code, ran.err
    assert words in ran.err
    assert hint in ran.err
    assert "Traceback" not in ran.err
    assert before == snapshot(project.folder)


def test_a_missing_or_stale_lock_is_refused(project: LockedProject, index: IndexServer) -> None:
    """No lock, a stale one, and a newer minglibc's are each named; --frozen takes the stale one."""
    for name in ("b", "c"):
        index.add(build_wheel(name, "1.0"))
    project.write(["b"])
    refused(project, words="there is no pylock.toml", hint="minglibc lock")
    project.lock("b")
    lock = project.folder / "pylock.toml"
    good = lock.read_text(encoding="utf-8")
    project.write(["b", "c"])
    refused(project, words="pylock.toml is stale", hint="--frozen")
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


def test_a_frozen_lock_travels_alone(synced: LockedProject, tmp_path: Path) -> None:
    """With --frozen a folder that holds nothing but the lock is enough."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(synced.folder / "pylock.toml", alone)
    moved = LockedProject(alone, synced.index)
    refused(moved, code=2, words="no pyproject.toml")
    assert moved.sync("--frozen").code == 0
    assert installed(moved.venv) == {"a": "1.0", "b": "1.0"}


def test_a_lock_for_other_machines_is_refused(project: LockedProject, index: IndexServer) -> None:
    """Another Python, another architecture and a newer glibc than this machine's are named, with the lock's targets."""
    index.add(build_wheel("b", "1.0"))
    newer = f"2.{HOST.minor + 1}"
    project.lock("b", glibc=newer)
    refused(project, words=f"this machine has glibc {HOST}, the lock is for {newer}", hint=f'glibc = "{HOST}"')
    other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    project.lock("b", more=f'architectures = ["{other}"]\n')
    refused(project, words=f"the lock has no target for {os.uname().machine}", hint=other)
    project.lock("b", python="3.6")
    refused(project, "--python", sys.executable, words=f"the lock has no target for CPython {RUNNING}", hint="cp36-")
    refused(project, "--target", "cp39-x86_64-glibc2.17", code=2, words="has no target", hint="cp36-")


def impostor(folder: Path, **changes: object) -> Path:
    """The interpreter of an environment in *folder* that describes itself as this one does, but for *changes*."""
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
        ({"libc": "glibc 2.5"}, "this machine has glibc 2.5, the lock is for 2.17"),
        ({"elf": SOFT}, "no target for armv7l without hardware floating point"),
        ({"elf": I686}, "the lock has no target for i686"),
        ({"implementation": "pypy"}, "this interpreter is pypy"),
        ({"version": [3, 5, 2]}, "minglibc requires 3.6 or newer"),
        ({"version": [2, 7, 18]}, "minglibc requires 3.6 or newer"),
        ({"externally_managed": True}, "package manager"),
    ],
)
def test_an_unsuitable_interpreter_is_refused(
    synced: LockedProject, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    """musl, an old glibc, soft floats, i686 on x86_64, PyPy, old Pythons and the system's own are each named."""
    refused(synced, "--python", str(impostor(tmp_path, **changes)), words=words, hint="hint: ")


def test_a_folder_that_is_no_environment_is_not_touched(synced: LockedProject, tmp_path: Path) -> None:
    """A folder with other people's files is refused, a missing interpreter is named, a broken .venv says what to do."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").touch()
    refused(synced, "--python", str(tmp_path / "home"), words="is neither empty nor an environment")
    refused(synced, "--python", str(tmp_path / "none" / "bin" / "python"), words="there is no interpreter")
    refused(synced, "--python", "no-such-python", words="there is no no-such-python on PATH")
    (synced.venv / "bin" / "python").unlink()
    (synced.venv / "bin" / "python").symlink_to("/nowhere")
    refused(synced, words="can't start the interpreter", hint="delete")


def test_another_environment_may_be_named(synced: LockedProject, tmp_path: Path) -> None:
    """--python takes a folder to be made, an environment, or its interpreter; .venv is left out of it."""
    shutil.rmtree(synced.venv)
    place = tmp_path / "a shared place" / "env"
    for name in (place, place, place / "bin" / "python"):
        assert synced.sync("--python", str(name)).code == 0
        assert installed(place) == {"a": "1.0", "b": "1.0"}
    assert not synced.venv.exists()


# ---- bad wheels and bad answers, end to end


@pytest.mark.parametrize("row", ["N28", "N33", "N37", "N54", "N62", "N66", "N77", "N80"])
def test_a_bad_wheel_leaves_the_environment_as_it_was(project: LockedProject, index: IndexServer, row: str) -> None:
    """N28 to N82: whatever is wrong with one wheel, nothing of any is installed."""
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


def test_a_file_that_changed_on_the_index_is_named(project: LockedProject, index: IndexServer) -> None:
    """A locked file whose bytes are others now is refused, and another wheel of the release is not taken for it."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b")
    index.add(build_wheel("b", "1.0", files={"b/__init__.py": '__version__ = "6.6"\n'}))
    index.add(build_wheel("b", "1.0", "py2.py3-none-any"))
    ran = project.sync()
    assert "error: b-1.0-py3-none-any.whl " in ran.err
    assert "the lock has " in ran.err
    assert installed(project.venv) == {}


def test_excluded_dependencies_may_be_absent(project: LockedProject, index: IndexServer) -> None:
    """What the settings exclude is not missed."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more='excludes = ["b"]\n')
    ran = project.sync()
    assert ran.code == 0, ran.err
    assert installed(project.venv) == {"a": "1.0"}


# ---- kills, signals and company


def command(project: LockedProject, *arguments: str) -> list[str]:
    """The command line that syncs *project* in a process of its own."""
    return [sys.executable, "-m", "minglibc", "sync", "--project", str(project.folder), *arguments]


@pytest.fixture
def two_releases(project: LockedProject, index: IndexServer) -> Callable[[int], None]:
    """A project of twelve packages with many files each, and a way to lock it to one release or the other."""
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
    """Kill fresh installs and upgrades at random moments; each time the next sync ends right."""
    chance = random.Random(seed)
    locks = {}
    for release in (1, 2):
        lock(release)
        locks[release] = [(project.folder / name).read_bytes() for name in ("pylock.toml", "pyproject.toml")]
    began = time.monotonic()
    subprocess.run(command(project), check=True, capture_output=True)
    duration = time.monotonic() - began
    release = 2
    for _ in range(times):
        if chance.random() < 0.3:
            shutil.rmtree(project.venv)
        release = 3 - release
        for name, content in zip(("pylock.toml", "pyproject.toml"), locks[release], strict=True):
            (project.folder / name).write_bytes(content)
        with subprocess.Popen(command(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            time.sleep(chance.uniform(0.3, 1.1) * duration)
            child.kill()
        ran = project.sync()
        assert ran.code == 0, ran.err
        check_whole(project.venv)
        assert installed(project.venv) == {f"p{number}": f"{release}.0" for number in range(12)}


def test_a_few_kills_are_put_right(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S1, S2: after a SIGKILL at a random moment the next sync ends right, without leftovers."""
    kill_at_random(project, two_releases, 2, seed=int(time.time()))


@pytest.mark.nightly
def test_fifty_kills_are_put_right(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S1, S2: the same fifty times, and pip's check agrees."""
    kill_at_random(project, two_releases, 50, seed=int(time.time()))
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--python", project.venv / "bin" / "python", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, True) == (checked.returncode, "No broken requirements" in checked.stdout)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_litter(synced: LockedProject, index: IndexServer, number: int, code: int) -> None:
    """S16: stopped while it downloads, sync exits 130 or 143, and its temporary files are gone."""
    index.add(build_wheel("b", "2.0", padding=100_000))
    synced.lock("a")
    before = snapshot(synced.venv)
    index.fault("*/b-2.0*", Fault.hang_midway())
    with subprocess.Popen(command(synced), stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 10
        while (
            not any("b-2.0" in request.path and request.path.endswith(".whl") for request in index.requests)
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        time.sleep(0.2)
        child.send_signal(number)
        assert code == child.wait(10)
    assert before == snapshot(synced.venv)
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    assert list(cache.rglob(".part-*")) == []


# ---- unpacking while others still come

# So large that other processes unpack.
LARGE = 5_000_000


@pytest.fixture
def large_and_late(synced: LockedProject, index: IndexServer) -> LockedProject:
    """The project with two more packages, of which one is large, and locked by that."""
    index.add(build_wheel("large", "1.0", padding=LARGE))
    index.add(build_wheel("late", "1.0"))
    synced.lock("a", "large", "late")
    return synced


def unpacked(name: str) -> bool:
    """Whether the cache has the module of the package *name* unpacked."""
    return any(Path(os.environ["MINGLIBC_CACHE_DIR"]).glob(f"unpacked-*/*/{name}/__init__.py"))


def once_unpacked(name: str, answer: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Send *answer* as soon as the package *name* is unpacked, and nothing where it never is."""

    def misbehave(exchange: Exchange) -> None:
        deadline = time.monotonic() + 10
        while not unpacked(name) and time.monotonic() < deadline and exchange.wait(0.01):
            pass
        if unpacked(name):
            answer(exchange)
        else:
            exchange.hang_up()

    return misbehave


def test_a_wheel_is_unpacked_while_another_still_comes(large_and_late: LockedProject, index: IndexServer) -> None:
    """Whoever is there and right is unpacked at once; the environment changes when all are."""
    before = snapshot(large_and_late.venv)
    seen = list[bool]()

    def answer(exchange: Exchange) -> None:
        seen.append(before == {path: it for path, it in snapshot(large_and_late.venv).items() if path in before})
        exchange.send(exchange.correct())

    index.fault("*/late-1.0*.whl", once_unpacked("large", answer))
    ran = subprocess.run(command(large_and_late), check=False, capture_output=True, text=True)
    assert 0 == ran.returncode, ran.stderr
    assert [True] == seen
    assert {"a", "b", "large", "late"} == installed(large_and_late.venv).keys()
    check_whole(large_and_late.venv)


def test_what_fails_late_undoes_all(large_and_late: LockedProject, index: IndexServer) -> None:
    """Where the last wheel is another than the locked one, nothing is installed of what was unpacked before it came."""
    before = snapshot(large_and_late.venv)
    lie = Answer(200, build_wheel("late", "1.0", files={"late/__init__.py": "EVIL = '1'\n"}).content)
    index.fault("*/late-1.0*.whl", once_unpacked("large", lambda exchange: exchange.send(lie)))
    ran = subprocess.run(command(large_and_late), check=False, capture_output=True, text=True)
    assert 1 == ran.returncode
    assert "error: late-1.0-py3-none-any.whl " in ran.stderr
    assert before == snapshot(large_and_late.venv)


def test_what_did_not_come_is_said_before_what_is_bad(project: LockedProject, index: IndexServer) -> None:
    """Of a wheel that is refused and one that is gone, the second is told, whichever comes first; then the first in the lock."""
    for name in ("one", "two"):
        wheel = build_wheel(name, "1.0", padding=LARGE)
        index.add(tamper(wheel, remove=[f"{name}/__init__.py"], record=False))
    index.add(build_wheel("late", "1.0"))
    project.lock("late", "one", "two")
    index.fault("*/late-1.0*.whl", Fault.status(404), times=1)
    told = [subprocess.run(command(project), check=False, capture_output=True, text=True).stderr for _ in range(4)]
    assert "error: late-1.0-py3-none-any.whl is no longer on its index" in told[0]
    for text in told[1:]:
        assert "error: one-1.0-py3-none-any.whl lists files in RECORD that it does not have" in text
    assert installed(project.venv) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_unpacks_ends_with_the_sync(large_and_late: LockedProject, index: IndexServer, number: int) -> None:
    """Stopped or killed while one wheel is unpacked and another still comes, sync leaves no process, and the next one is whole."""
    before = snapshot(large_and_late.venv)
    reached = threading.Event()

    def answer(exchange: Exchange) -> None:
        reached.set()
        exchange.wait(30)

    index.fault("*/late-1.0*.whl", once_unpacked("large", answer), times=1)
    with subprocess.Popen(command(large_and_late), stderr=subprocess.PIPE) as child:
        assert reached.wait(20)
        workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(encoding="ascii").split()
        assert workers
        child.send_signal(number)
        assert child.wait(10)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if number != signal.SIGKILL:
        assert before == snapshot(large_and_late.venv)
    ran = large_and_late.sync()
    assert 0 == ran.code, ran.err
    check_whole(large_and_late.venv)
    assert leftovers(large_and_late.venv) == set()


def test_several_syncs_at_once_take_turns(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S10: five syncs of one environment, which is not there yet, all succeed, and it is whole."""
    two_releases(1)
    children = [subprocess.Popen(command(project), stderr=subprocess.PIPE, text=True) for _ in range(5)]
    told = [child.communicate(timeout=60)[1] for child in children]
    assert [0] * 5 == [child.returncode for child in children], told
    assert sum("Installed 12 packages" in text for text in told) == 1
    check_whole(project.venv)
    assert len(installed(project.venv)) == 12


def test_a_wait_is_told(synced: LockedProject) -> None:
    """Who waits for another sync says for whom."""
    other_installer(synced, build_wheel("stranger", "1.0"))
    with transaction.locked(str(synced.venv)):
        child = subprocess.Popen(command(synced), stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        line = child.stderr.readline()
        while "warning" in line:
            line = child.stderr.readline()
        assert f"waiting for another sync (process {os.getpid()} on " in line
    assert child.communicate(timeout=20)
    assert child.returncode == 0


def test_the_cache_may_be_unusable(synced: LockedProject, tmp_path: Path) -> None:
    """S6: with a cache that can't be written, sync warns once and does its work."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file", encoding="utf-8")
    shutil.rmtree(synced.venv)
    ran = synced.sync("--cache-dir", str(blocked))
    assert ran.code == 0, ran.err
    assert ran.err.count("continuing without it") == 1
    check_whole(synced.venv)


def test_few_open_files_are_enough(project: LockedProject, two_releases: Callable[[int], None]) -> None:
    """S19: with HOME unset and 64 open files allowed, twelve wheels are installed all the same."""
    two_releases(1)
    environment = {name: value for name, value in os.environ.items() if name not in {"HOME", "LANG"}}
    limited = ["sh", "-c", 'ulimit -n 64; umask 077; exec "$@"', "sh", *command(project)]
    ran = subprocess.run(limited, capture_output=True, text=True, env=environment | {"LANG": "C"}, check=False)
    assert ran.returncode == 0, ran.stderr
    check_whole(project.venv)


def test_an_interpreter_above_the_cap_is_warned_of(project: LockedProject, index: IndexServer) -> None:
    """An environment for older machines whose interpreter can't start there is made, with a warning that names it, each time."""
    index.add(build_wheel("b", "1.0"))
    project.lock("b", glibc="2.5", more=f'architectures = ["{os.uname().machine}"]\n')
    for _ in ("read", "remembered"):
        ran = project.sync()
        assert ran.code == 0
        assert "warning: the interpreter " in ran.err
        assert "the cap is 2.5" in ran.err
        shutil.rmtree(project.venv)


def test_a_patch_release_that_one_of_several_wheels_refuses(project: LockedProject) -> None:
    """Where a package's wheels disagree the lock can't say it: the chosen wheel does, before the environment is changed."""
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


def test_a_patch_release_that_a_wheel_refuses(project: LockedProject) -> None:
    """A wheel that this interpreter's patch release can't have is refused before anything is made."""
    running = ".".join(map(str, sys.version_info[:3]))
    project.index.add(build_wheel("picky", "1.0", requires_python=f"!={running}"))
    project.lock("picky")
    ran = project.sync()
    assert (1, False) == (ran.code, project.venv.exists())
    assert f"picky 1.0 requires Python !={running}, this interpreter is {running}" in ran.err
    assert f'python = ["{running}"]' in ran.err
