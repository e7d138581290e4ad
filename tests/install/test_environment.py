"""Interpreters are inspected, wheels judged whole, and environments changed so that a kill at any moment does no harm."""

import dataclasses
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minglibc.cache.unpacked_wheels import Unpacked
from minglibc.errors import EnvironmentProblem, WheelError
from minglibc.install import environment as environments
from minglibc.install import pool
from minglibc.install.environment import (
    CheckedWheel,
    Environment,
    Interpreter,
    Prepared,
    create,
    find_interpreters,
    inspect,
)
from minglibc.install.wheel import check, opened, unpack
from minglibc.model.targets import GlibcVersion, PythonVersion
from tests.support.elves import elf
from tests.support.environments import check_whole, installed, litter, site_packages, snapshot
from tests.support.faults import FAULTS
from tests.support.index import IndexServer
from tests.support.wheels import BuiltWheel, Member, build_wheel, tamper

# ---- fixtures


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """One environment, made once; tests work on copies."""
    return create(str(tmp_path_factory.mktemp("template") / "env"), sys.executable)


@pytest.fixture
def environment(template: Interpreter, tmp_path: Path) -> Environment:
    """An empty environment of this test's own."""
    return copied(template, tmp_path / "env")


def copied(template: Interpreter, folder: Path) -> Environment:
    """The environment of *template* at another place."""
    shutil.copytree(template.layout.prefix, folder, symlinks=True)
    layout = template.layout._replace(prefix=str(folder.resolve()), interpreter=str(folder / "bin" / "python"))
    return Environment(dataclasses.replace(template, executable=layout.interpreter, layout=layout))


def prefix_of(environment: Environment) -> Path:
    """The environment's folder."""
    return Path(environment.layout.prefix)


def stored(folder: Path, wheel: BuiltWheel) -> Prepared:
    """*wheel* as a file that a sync has hashed."""
    folder.mkdir(exist_ok=True)
    path = folder / wheel.filename
    path.write_bytes(wheel.content)
    return Prepared(str(path), wheel.filename, f"sha256:{wheel.sha256}")


def judged(wheel: BuiltWheel, environment: Environment, folder: Path) -> CheckedWheel:
    """*wheel* checked for *environment*."""
    file = stored(folder, wheel)
    return check(file.path, file.filename, environment.layout)


def bring(environment: Environment, folder: Path, *wheels: BuiltWheel, leaving: Sequence[str] = ()) -> None:
    """Install *wheels* in the way of a sync; what they replace, and what *leaving* names, goes."""
    with environment.held():
        environment.recover()
        there = environment.distributions()
        names = {wheel.project for wheel in wheels} | set(leaving)
        staying = [each for each in there if each.name not in names]
        with environment.change() as change:
            change.prepare([stored(folder, wheel) for wheel in wheels], staying)
            change.apply([each for each in there if each.name in names], staying)


# ---- interpreters


@pytest.mark.parametrize("name", ["python3.6", "python3.7", "python3.8", "python3.9", "python3.11", "python3.13"])
def test_old_and_new_interpreters_describe_themselves(name: str) -> None:
    """Every Python from 3.6 on says its version, its machine's glibc and where packages go."""
    found = [path for path in find_interpreters([PythonVersion.parse(name[6:])]) if path.endswith(name)]
    described: list[Interpreter] = []
    for path in found:
        try:
            described.append(inspect(path))
        except EnvironmentProblem:  # a version manager's shim, with nothing behind it
            continue
    if not described:
        pytest.skip(f"there is no {name} on PATH")
    machine = described[0].machine
    assert name[6:] == machine.python.short
    assert GlibcVersion.parse((os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2]) == machine.libc
    assert os.uname().machine == machine.architecture


def test_an_environment_is_known_by_its_own_path(environment: Environment, tmp_path: Path) -> None:
    """Through a link, scripts name the interpreter by the path that was given; files go to the real folder."""
    link = tmp_path / "shared"
    link.symlink_to(prefix_of(environment))
    found = inspect(str(link / "bin" / "python"))
    assert found.is_environment
    assert str(link / "bin" / "python") == found.layout.interpreter
    assert str(prefix_of(environment)) == found.layout.prefix


def test_inspection_runs_nothing_of_the_environment(environment: Environment) -> None:
    """No .pth file and no sitecustomize of the environment takes part, whatever it does."""
    site = site_packages(prefix_of(environment))
    (site / "evil.pth").write_text("import sys; sys.exit('ran')\n", encoding="utf-8")
    (site / "sitecustomize.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    assert inspect(environment.layout.interpreter).is_environment


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#!/bin/sh\necho 'not a python' >&2; exit 3\n", "not a python"),
        ("#!/bin/sh\necho '{}'\n", "is no Python"),
        ("#!/nowhere/at/all\n", "can't start"),
    ],
)
def test_what_is_no_interpreter_is_named(tmp_path: Path, content: str, words: str) -> None:
    """A program that is no Python, or does not start, is an error with a hint, not a traceback."""
    program = tmp_path / "python"
    program.write_text(content, encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match=words) as failed:
        inspect(str(program))
    assert "--python" in failed.value.hint


def test_a_killed_creation_is_finished(tmp_path: Path) -> None:
    """A folder in which nothing but a begun environment is, is made into one; any other is not."""
    folder = tmp_path / "env"
    assert environments.is_begun(str(folder))
    (folder / ".minglibc").mkdir(parents=True)
    assert environments.is_begun(str(folder))
    (folder / ".minglibc" / "creating").touch()
    (folder / "bin").mkdir()
    assert environments.is_begun(str(folder))
    assert create(str(folder), sys.executable).is_environment
    assert not environments.is_begun(str(folder))
    assert not environments.is_begun(str(tmp_path))


# ---- what is installed


def test_a_wheel_is_installed_as_pip_would(environment: Environment, tmp_path: Path) -> None:
    """Modules, data, headers and scripts land where they belong, scripts start, and RECORD tells all of it."""
    wheel = build_wheel(
        "demo",
        "1.0",
        files={
            "demo/__init__.py": "def main():\n    print('demo runs')\n",
            "demo-1.0.data/scripts/tool": "#!python\nimport demo\ndemo.main()\n",
            "demo-1.0.data/data/share/demo.txt": "data",
            "demo-1.0.data/headers/demo.h": "#define DEMO",
            "demo-1.0.data/purelib/extra.py": "X = 1\n",
        },
        scripts={"demo": "demo:main"},
    )
    bring(environment, tmp_path / "wheels", wheel)
    prefix = prefix_of(environment)
    check_whole(prefix)
    assert (prefix / "share" / "demo.txt").read_text(encoding="utf-8") == "data"
    assert list((prefix / "include").rglob("demo.h"))
    for script in ("demo", "tool"):
        assert subprocess.check_output([prefix / "bin" / script]) == b"demo runs\n"
    (found,) = environment.distributions()
    assert ("demo", "1.0", "minglibc", f"sha256:{wheel.sha256}", "") == (
        found.name,
        found.version,
        found.installer,
        found.digest,
        found.damage,
    )
    assert frozenset(["py3-none-any"]) == found.tags


def test_scripts_start_under_long_paths_with_blanks(template: Interpreter, tmp_path: Path) -> None:
    """S20: an environment whose path holds blanks and ü, and is too long for a #! line, has scripts that start."""
    environment = copied(template, tmp_path / f"a bläñk {'x' * 120}")
    files = {
        "demo.py": "def main():\n    print('ok')\n",
        "demo-1.0.data/scripts/t": "#!python\nimport demo; demo.main()\n",
    }
    bring(environment, tmp_path / "wheels", build_wheel("demo", "1.0", files=files, scripts={"s": "demo:main"}))
    for script in ("s", "t"):
        assert subprocess.check_output([prefix_of(environment) / "bin" / script]) == b"ok\n"


def test_an_upgrade_leaves_nothing_of_the_old_release(environment: Environment, tmp_path: Path) -> None:
    """S2: files that only the old release had are gone, with their bytecode; a stranger's file beside them stays."""
    site = site_packages(prefix_of(environment))
    old = build_wheel("demo", "1.0", files={"demo/a.py": "", "demo/old/b.py": "", "single.py": "", "ns/x/one.py": ""})
    bring(environment, tmp_path / "w1", old)
    environments.compile_bytecode(environment)
    (site / "demo" / "mine.txt").write_text("mine", encoding="utf-8")
    bring(environment, tmp_path / "w2", build_wheel("demo", "2.0", files={"demo/a.py": "A = 2\n", "ns/x/two.py": ""}))
    assert installed(prefix_of(environment)) == {"demo": "2.0"}
    left = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file() and ".dist-info" not in str(path)}
    assert left == {"demo/a.py", "demo/mine.txt", "ns/x/two.py"}


def test_a_removal_leaves_a_shared_folder_to_its_other_owners(environment: Environment, tmp_path: Path) -> None:
    """Two distributions share a namespace, and a file of the same bytes; one goes, the other stays whole."""
    one = build_wheel("one", "1", files={"ns/__init__.py": "# shared\n", "ns/one.py": ""})
    two = build_wheel("two", "1", files={"ns/__init__.py": "# shared\n", "ns/two.py": ""})
    bring(environment, tmp_path / "w", one, two)
    bring(environment, tmp_path / "w", leaving=["one"])
    check_whole(prefix_of(environment))
    assert installed(prefix_of(environment)) == {"two": "1"}
    assert not (site_packages(prefix_of(environment)) / "ns" / "one.py").exists()


def test_a_file_may_move_from_one_distribution_to_another(environment: Environment, tmp_path: Path) -> None:
    """What b takes over from a in one sync is b's afterwards, in whatever order they are replaced."""
    first = [build_wheel("a", "1", files={"shared.py": "A\n", "a.py": ""}), build_wheel("b", "1", files={"b.py": ""})]
    then = [build_wheel("a", "2", files={"a.py": ""}), build_wheel("b", "2", files={"shared.py": "B\n", "b.py": ""})]
    for order in (1, -1):
        bring(environment, tmp_path / "w", *first)
        bring(environment, tmp_path / "w", *then[::order])
        check_whole(prefix_of(environment))
        assert (site_packages(prefix_of(environment)) / "shared.py").read_text(encoding="utf-8") == "B\n"


def test_removal_follows_nothing_outside(environment: Environment, tmp_path: Path) -> None:
    """A RECORD that names other people's files, by .., by / or through a link, costs them nothing."""
    bring(environment, tmp_path / "w", build_wheel("evil", "1", files={"evil/a.py": ""}))
    site = site_packages(prefix_of(environment))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x", encoding="utf-8")
    (site / "link").symlink_to(outside)
    up = os.path.relpath(outside / "precious", site)
    with (site / "evil-1.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.write(f"{up},,\n{outside}/precious,,\nlink/precious,,\n")
        record.write("../../../bin/python,,\n../../../pyvenv.cfg,,\n../../../bin/activate,,\n./evil/./a.py,,\n")
    (outside / "a.cpython-311.pyc").touch()
    (site / "evil" / "__pycache__").symlink_to(outside)
    before = snapshot(outside)
    bring(environment, tmp_path / "w", leaving=["evil"])
    assert before == snapshot(outside)
    assert (outside / "a.cpython-311.pyc").exists()
    assert inspect(environment.layout.interpreter).is_environment
    assert (prefix_of(environment) / "bin" / "activate").exists()
    (site / "evil" / "__pycache__").unlink()
    (site / "evil").rmdir()  # nothing else was left in it


def test_damage_is_seen(environment: Environment, tmp_path: Path) -> None:
    """A missing file, a changed one, and an absent RECORD are each told in words."""
    site = site_packages(prefix_of(environment))
    for name in ("gone", "changed", "bare"):
        bring(environment, tmp_path / "w", build_wheel(name, "1"))
    (site / "gone" / "__init__.py").unlink()
    (site / "changed" / "__init__.py").write_text("# more than there was before, surely\n", encoding="utf-8")
    (site / "bare-1.dist-info" / "RECORD").unlink()
    damages = {each.name: each.damage for each in environment.distributions()}
    assert damages["gone"].endswith("gone/__init__.py is missing")
    assert damages["changed"].endswith("changed/__init__.py was changed")
    assert damages["bare"] == "it has no RECORD"


def test_binaries_are_found(environment: Environment, tmp_path: Path) -> None:
    """The ELF files of a distribution are read where they are installed."""
    content = elf(needs={"libc.so.6": ("GLIBC_2.30",)})
    tag = "cp311-cp311-manylinux_2_34_x86_64"
    bring(environment, tmp_path / "w", build_wheel("c", "1", tag, files={"c/x.so": content, "c/__init__.py": ""}))
    (found,) = environment.distributions()
    assert [binary.path.rpartition("/")[2] for binary in environment.binaries(found)] == ["x.so"]


def test_the_umask_is_obeyed(environment: Environment, tmp_path: Path) -> None:
    """S19: files and folders get the modes that the umask leaves, so that a shared environment stays shared."""
    before = os.umask(0o027)
    try:
        bring(environment, tmp_path / "w", build_wheel("demo", "1", scripts={"demo": "demo:main"}))
    finally:
        os.umask(before)
    prefix = prefix_of(environment)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (site_packages(prefix) / "demo", site_packages(prefix) / "demo/__init__.py", prefix / "bin/demo")
    ]
    assert modes == [0o750, 0o640, 0o750]


def test_wheels_are_unpacked_in_several_processes(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spread over processes the result is the same, and a refusal in one of them is the refusal of all."""
    monkeypatch.setattr(environments, "_WORTH_FORKING", 0)
    bring(environment, tmp_path / "w", *(build_wheel(f"p{number}", "1") for number in range(5)))
    check_whole(prefix_of(environment))
    before = snapshot(prefix_of(environment))
    bad = tamper(build_wheel("bad", "1"), append=[Member("bad/unlisted.py", b"")])
    with pytest.raises(WheelError, match="RECORD does not list"):
        bring(environment, tmp_path / "w", build_wheel("good", "1"), bad)
    assert before == snapshot(prefix_of(environment))


def together(function: Callable[[int], object], values: Sequence[int]) -> list[object]:
    """What a crew makes of *values*, the last of which weigh most."""
    with pool.Crew(lambda: function, len(values)) as crew:
        for position, value in enumerate(values):
            crew.give(position, value, value)
        return crew.results()


def test_workers_answer_in_order_and_raise_what_stopped_them() -> None:
    """Each value's result stands at its place; the first error, and a worker's violent end, reach the caller."""
    assert [number**2 for number in range(20)] == together(lambda number: number**2, range(20))

    def stopped(number: int) -> None:
        if number in (3, 7, 15):
            raise WheelError(f"number {number}", hint="two")

    with pytest.raises(WheelError, match="number 3") as failed:
        together(stopped, range(20))
    assert failed.value.hint == "two"
    with pytest.raises(EnvironmentProblem, match="was killed"):
        together(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 2 else None, range(4))
    with pytest.raises(EnvironmentProblem, match="was killed"):
        together(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(40))


def test_a_worker_begins_as_soon_as_there_is_something_to_do(tmp_path: Path) -> None:
    """A value is worked on while others are still to come, and from whichever thread it is given."""
    done = tmp_path / "done"
    with pool.Crew(lambda: lambda _: done.touch(), 2) as crew:
        threading.Thread(target=crew.give, args=(1, None, 1)).start()
        deadline = time.monotonic() + 10
        while not done.exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        crew.give(0, None, 1)
        assert [None, None] == crew.results()


def test_what_is_given_up_is_not_waited_for() -> None:
    """A block that ends by an error kills those that still work for it."""

    def give_up() -> None:
        with pool.Crew(lambda: time.sleep, 4) as crew:
            for position in range(8):
                crew.give(position, 30, 1)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert time.monotonic() - began < 10
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    """When the parent is killed, so are those that unpack for it: none writes into an environment that a next run mends."""
    pids = tmp_path / "pids"
    script = (
        "import os, sys, time\nfrom minglibc.install import pool as workers\n"
        "def work(_):\n    open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')\n    time.sleep(30)\n"
        "with workers.Crew(lambda: work, 2) as crew:\n"
        "    crew.give(0, 1, 1)\n    crew.give(1, 2, 1)\n    crew.results()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(pids)]) as parent:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and (not pids.exists() or len(pids.read_text(encoding="utf-8").split()) < 2):
            time.sleep(0.01)
        parent.kill()
    children = [int(line) for line in pids.read_text(encoding="utf-8").split()]
    while time.monotonic() < deadline and any(is_alive(child) for child in children):
        time.sleep(0.01)
    assert len(children) == min(2, len(os.sched_getaffinity(0)))
    assert not any(is_alive(child) for child in children)


def is_alive(pid: int) -> bool:
    """Whether the process *pid* still does anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


# ---- wheels that are refused

ROWS = {
    "N62": "leaves its folder",
    "N63": "absolute path",
    "N64": "backslash",
    "N65": "symbolic link",
    "N66": "RECORD",
    "N67": "has no b-1.0.dist-info/RECORD",
    "N68": "does not list",
    "N69": "that it does not have",
    "N70": "has no .dist-info",
    "N71": "has 2 .dist-info folders",
    "N72": "another project",
    "N73": "two members named",
    "N74": "Wheel-Version 2.0",
    "N75": "which its file name does not",
    "N76": "leaves its folder",
    "N77": "belongs to the interpreter",
    "N78": "leaves its folder",
    "N79": "which belongs to a",
    "N80": "bomb",
    "N81": "compressed in a way",
    "N82": "bytes before its start",
}


def served(index: IndexServer, row: str) -> BuiltWheel:
    """The wheel of b that *row* of the catalogue publishes."""
    FAULTS[row](index)
    (file,) = index._projects["b"].files.values()
    return BuiltWheel(file.filename, file.content, file.metadata, "b", "1.0")


@pytest.mark.parametrize("row", ROWS)
def test_a_bad_wheel_is_refused_before_anything_changes(
    row: str, index: IndexServer, environment: Environment, tmp_path: Path
) -> None:
    """N62 to N82: the refusal says what is wrong, and neither the environment nor anything around it has changed."""
    bring(environment, tmp_path / "wheels", build_wheel("a", "1.0", files={"a/__init__.py": "A = 1\n"}))
    bad = stored(tmp_path / "wheels", served(index, row))
    before = snapshot(tmp_path)
    with environment.held(), pytest.raises(WheelError) as refused, environment.change() as change:
        change.prepare([bad], environment.distributions())
    assert ROWS[row] in str(refused.value)
    assert "b-1.0-py3-none-any.whl" in str(refused.value)
    assert before == snapshot(tmp_path)
    assert litter(prefix_of(environment)) == set()
    assert not Path("/tmp/conf_evil.py").exists()


MORE: dict[str, tuple[Callable[[], BuiltWheel], str]] = {
    "no specifier": (lambda: build_wheel("b", "1.0", requires_python="three"), "that it needs Python 'three'"),
    "junk after": (lambda: tamper(build_wheel("b", "1.0"), suffix=b"J" * 100), "bytes after its end"),
    "case clash": (lambda: tamper(build_wheel("b", "1.0"), add={"b/X.py": "", "b/x.py": ""}), "has both"),
    "file and folder": (lambda: tamper(build_wheel("b", "1.0"), add={"q": "", "q/x.py": ""}), "both as a file"),
    "dot": (lambda: tamper(build_wheel("b", "1.0"), add={"./q.py": ""}), "leaves its folder"),
    "double slash": (lambda: tamper(build_wheel("b", "1.0"), add={"b//q.py": ""}), "leaves its folder"),
    "null": (lambda: tamper(build_wheel("b", "1.0"), add={"q\0.py": ""}), "null byte"),
    "pyvenv.cfg": (lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/pyvenv.cfg": ""}), "pyvenv.cfg"),
    "python by data": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/bin/python3.11": ""}),
        "belongs to the interpreter",
    ),
    "activate": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/scripts/activate": ""}),
        "belongs to the interpreter",
    ),
    "our own folder": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/data/.minglibc/x": ""}),
        "belongs to the environment",
    ),
    "another's dist-info": (
        lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/purelib/a-1.0.dist-info/METADATA": ""}),
        "speaks for another",
    ),
    "unknown scheme": (lambda: tamper(build_wheel("b", "1.0"), add={"b-1.0.data/other/x": ""}), "no scheme names"),
    "python by entry point": (lambda: build_wheel("b", "1.0", scripts={"python3": "b:main"}), "interpreter"),
    "entry point code": (lambda: build_wheel("b", "1.0", scripts={"x": "b:main; import os"}), "names no function"),
    "entry point without": (lambda: build_wheel("b", "1.0", scripts={"x": "b"}), "names no function"),
    "name twice": (
        lambda: tamper(build_wheel("b", "1.0", scripts={"x": "b:main"}), add={"b-1.0.data/scripts/x": ""}),
        "would write bin/x twice",
    ),
    "other version": (lambda: build_wheel("b", "1.0", metadata_version="9"), "version is '9'"),
    "other name": (lambda: build_wheel("b", "1.0", metadata_name="evil"), "name is 'evil'"),
    "weak hash": (
        lambda: tamper(
            build_wheel("b", "1.0"), replace={"RECORD": "b/__init__.py,md5=abc,\nb-1.0.dist-info/RECORD,,\n"}
        ),
        "no usable hash",
    ),
    "no zip": (lambda: build_wheel("b", "1.0")._replace(content=b"<html>"), "not a readable zip"),
    "hash of the same size": (
        lambda: tamper(build_wheel("b", "1.0"), replace={"b/__init__.py": '__version__ = "6.6"\n'}, record=False),
        "not what RECORD says",
    ),
}


@pytest.mark.parametrize("kind", MORE)
def test_more_bad_wheels_are_refused(kind: str, environment: Environment, tmp_path: Path) -> None:
    """What the catalogue does not list, and would do harm as well, is refused in the same way."""
    make, words = MORE[kind]
    bad = stored(tmp_path / "wheels", make())
    before = snapshot(tmp_path)
    with environment.held(), pytest.raises(WheelError) as refused, environment.change() as change:
        change.prepare([bad], [])
    assert words in str(refused.value)
    assert before == snapshot(tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_archives_are_refused_in_words(environment: Environment, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes of a wheel are flipped or cut, what happens is a refusal or an unchanged wheel, never another error."""
    good = build_wheel("b", "1.0", scripts={"b": "b:main"})
    content = bytearray(good.content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    bad = stored(tmp_path / "wheels", good._replace(content=bytes(content)))
    outcome = _unpacked(bad, environment, tmp_path / "out")
    module = f"{environment.layout.purelib}/b/__init__.py"
    assert isinstance(outcome, str) or outcome[module] == b'__version__ = "1.0"\n'


def _unpacked(wheel: Prepared, environment: Environment, folder: Path) -> dict[str, bytes] | str:
    """The files of *wheel*, or why there are none."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with opened(wheel.path, wheel.filename, environment.layout) as found:
            unpack(found, str(folder), environment.layout, {}, Unpacked("", 0o022))
    except WheelError as refused:
        return refused.message
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- kills


def killed_after(steps: int, work: Callable[[], None], *, since: Path | None = None) -> bool:
    """Do *work* in a child that dies at its *steps*-th change of a name on disk once *since* exists; whether it died."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **keywords: Any) -> Any:
                left[0] -= since is None or since.exists()
                if left[0] < 0:
                    os._exit(9)
                return call(*arguments, **keywords)

            return counted

        for name in ("rename", "unlink", "rmdir", "replace", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        except BaseException:  # noqa: BLE001  the parent sees the code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


OLD = [
    build_wheel("a", "1", files={"a/x.py": "1", "a/only_old.py": "", "ns/a.py": "", "top.py": "1"}),
    build_wheel("b", "1", files={"b/x.py": "1"}, scripts={"tool": "b:main"}),
    build_wheel("gone", "1", files={"gone/x.py": "1", "ns/gone.py": ""}),
]
NEW = [
    build_wheel("a", "2", files={"a/x.py": "22", "a/only_new.py": "", "ns/a.py": "2", "ns/more.py": ""}),
    build_wheel("b", "1", "py3.py2-none-any", files={"b/x.py": "333", "top.py": "b has it now"}),
    build_wheel("new", "1", files={"new/x.py": "1"}),
]


def upgrade(environment: Environment, folder: Path) -> None:
    """From OLD to NEW."""
    bring(environment, folder, *NEW, leaving=["gone"])


def check_upgraded(environment: Environment) -> None:
    """It is NEW, whole, and nothing else."""
    check_whole(prefix_of(environment))
    assert installed(prefix_of(environment)) == {"a": "2", "b": "1", "new": "1"}


def test_a_kill_at_any_step_is_put_right(template: Interpreter, tmp_path: Path) -> None:
    """S1, S2: killed before any change of the environment, an upgrade claims nothing false, and the next ends it, without litter."""
    start = copied(template, tmp_path / "start")
    bring(start, tmp_path / "old", *OLD)
    steps = 0
    died = True
    while died:
        environment = copied(start.interpreter, tmp_path / str(steps))
        since = prefix_of(environment) / ".minglibc" / "apply"
        died = killed_after(steps, lambda: upgrade(environment, tmp_path / "new"), since=since)  # noqa: B023  at once
        false = {each.name: each.damage for each in environment.distributions() if each.damage}
        assert false == {}, f"after {steps} steps"
        upgrade(environment, tmp_path / "new")
        check_upgraded(environment)
        shutil.rmtree(prefix_of(environment))
        steps += 1
    assert steps > 15


@pytest.mark.parametrize("steps", [0, 1, 7, 15, 20])
def test_a_kill_while_unpacking_changes_nothing(environment: Environment, tmp_path: Path, steps: int) -> None:
    """Killed while wheels are being unpacked, the environment is the old one, and the next run sweeps up."""
    bring(environment, tmp_path / "old", *OLD)
    before = snapshot(site_packages(prefix_of(environment)))
    assert killed_after(steps, lambda: upgrade(environment, tmp_path / "new"))
    assert before == snapshot(site_packages(prefix_of(environment)))
    upgrade(environment, tmp_path / "new")
    check_upgraded(environment)


def test_a_kill_while_a_kill_is_put_right_is_put_right(template: Interpreter, tmp_path: Path) -> None:
    """Recovery itself may be killed at any step."""
    middle = copied(template, tmp_path / "middle")
    bring(middle, tmp_path / "old", *OLD)
    since = prefix_of(middle) / ".minglibc" / "apply"
    assert killed_after(9, lambda: upgrade(middle, tmp_path / "new"), since=since)
    assert middle.is_unfinished()
    steps = 0
    died = True
    while died:
        environment = copied(middle.interpreter, tmp_path / str(steps))
        died = killed_after(steps, lambda: recover(environment))  # noqa: B023  at once
        upgrade(environment, tmp_path / "new")
        check_upgraded(environment)
        shutil.rmtree(prefix_of(environment))
        steps += 1 if steps < 12 else 8  # from there on it only deletes what no longer matters
    assert steps > 12


def recover(environment: Environment) -> None:
    """What a sync does first."""
    with environment.held():
        environment.recover()


# ---- faults of the disk


@pytest.fixture
def read_only(environment: Environment) -> Iterator[Environment]:
    """An environment that nobody may write in; skipped where that does not bind this user."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folders = [prefix_of(environment), *(path for path in prefix_of(environment).rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield environment
    for folder in folders:
        folder.chmod(0o755)


def test_a_read_only_environment_is_an_error(read_only: Environment, tmp_path: Path) -> None:
    """S4: an environment that can't be written is named before anything else happens."""
    with pytest.raises(EnvironmentProblem, match="can't write in"):
        bring(read_only, tmp_path / "w", build_wheel("a", "1"))


def test_a_blocked_folder_is_an_error_and_the_next_run_is_whole(environment: Environment, tmp_path: Path) -> None:
    """S3, S4: where minglibc's own folder can't be made, the error names the place and nothing changes."""
    home = prefix_of(environment) / ".minglibc"
    if home.exists():
        shutil.rmtree(home)
    home.write_text("a file, where a folder is due", encoding="utf-8")
    before = snapshot(prefix_of(environment))
    with pytest.raises(EnvironmentProblem, match="can't write in"):
        bring(environment, tmp_path / "w", build_wheel("a", "1"))
    assert before == snapshot(prefix_of(environment))
    home.unlink()
    bring(environment, tmp_path / "w", build_wheel("a", "1"))
    check_whole(prefix_of(environment))


def test_a_disk_that_fills_up_changes_nothing(environment: Environment, tmp_path: Path) -> None:
    """S3: when a wheel can't be unpacked for want of room, the environment is as it was, and the next run is whole."""
    bring(environment, tmp_path / "w", build_wheel("a", "1"))
    before = snapshot(prefix_of(environment))
    large = build_wheel("a", "2", padding=200_000)
    assert subprocess.call([sys.executable, _limited(environment, tmp_path, large)]) == 7
    assert before == snapshot(prefix_of(environment))
    bring(environment, tmp_path / "w", large)
    check_whole(prefix_of(environment))


def _limited(environment: Environment, tmp_path: Path, wheel: BuiltWheel) -> Path:
    """A script that installs *wheel* where no file may grow beyond 100 kB, and ends with 7 when that is an error in words."""
    file = stored(tmp_path / "w", wheel)
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, signal, sys\n"
        "from minglibc.install.environment import Environment, Prepared, inspect\n"
        "from minglibc.errors import EnvironmentProblem\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"environment = Environment(inspect({environment.layout.interpreter!r}))\n"
        "try:\n"
        "    with environment.held(), environment.change() as change:\n"
        f"        change.prepare([Prepared({file.path!r}, {file.filename!r}, {file.digest!r})], [])\n"
        "except EnvironmentProblem as error:\n"
        "    sys.exit(7 if 'too large' in error.message.lower() else 1)\n",
        encoding="utf-8",
    )
    return script
