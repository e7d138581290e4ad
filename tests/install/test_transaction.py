"""Installing, upgrading and removing distributions, and recovery after kills and disk errors."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minglibc.errors import EnvironmentProblem, WheelError
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter, compile_bytecode, inspect
from tests.support.environments import check_whole, installed, site_packages, snapshot
from tests.support.transactions import copied, install, killed_after, prefix_of, stored
from tests.support.wheels import BuiltWheel, build_wheel, tamper


def test_wheel_is_installed(environment: Environment, tmp_path: Path) -> None:
    """Modules, data, headers and scripts are installed to their folders, scripts start, and RECORD lists all files."""
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
    install(environment, tmp_path / "wheels", wheel)
    prefix = prefix_of(environment)
    check_whole(prefix)
    assert (prefix / "share" / "demo.txt").read_text(encoding="utf-8") == "data"
    assert list((prefix / "include").rglob("demo.h"))
    for script in ("demo", "tool"):
        assert subprocess.check_output([prefix / "bin" / script]) == b"demo runs\n"
    (distribution,) = environment.distributions()
    assert ("demo", "1.0", "minglibc", f"sha256:{wheel.sha256}", "") == (
        distribution.name,
        distribution.version,
        distribution.installer,
        distribution.digest,
        distribution.damage,
    )
    assert frozenset(["py3-none-any"]) == distribution.tags


def test_scripts_start_in_long_paths_with_blanks(template: Interpreter, tmp_path: Path) -> None:
    """S20: scripts start in an environment whose path has blanks and umlauts and is too long for a #! line."""
    environment = copied(template, tmp_path / f"a bläñk {'x' * 120}")
    files = {
        "demo.py": "def main():\n    print('ok')\n",
        "demo-1.0.data/scripts/t": "#!python\nimport demo; demo.main()\n",
    }
    install(environment, tmp_path / "wheels", build_wheel("demo", "1.0", files=files, scripts={"s": "demo:main"}))
    for script in ("s", "t"):
        assert subprocess.check_output([prefix_of(environment) / "bin" / script]) == b"ok\n"


def test_upgrade_removes_all_old_files(environment: Environment, tmp_path: Path) -> None:
    """S2: files of the old release only are removed with their bytecode; unowned files beside them stay."""
    site = site_packages(prefix_of(environment))
    old = build_wheel("demo", "1.0", files={"demo/a.py": "", "demo/old/b.py": "", "single.py": "", "ns/x/one.py": ""})
    install(environment, tmp_path / "w1", old)
    compile_bytecode(environment.interpreter)
    (site / "demo" / "mine.txt").write_text("mine", encoding="utf-8")
    install(environment, tmp_path / "w2", build_wheel("demo", "2.0", files={"demo/a.py": "A = 2\n", "ns/x/two.py": ""}))
    assert installed(prefix_of(environment)) == {"demo": "2.0"}
    left = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file() and ".dist-info" not in str(path)}
    assert left == {"demo/a.py", "demo/mine.txt", "ns/x/two.py"}


def test_removal_keeps_shared_files(environment: Environment, tmp_path: Path) -> None:
    """Of two distributions with a common namespace and an identical file, one is removed; the other stays complete."""
    one = build_wheel("one", "1", files={"ns/__init__.py": "# shared\n", "ns/one.py": ""})
    two = build_wheel("two", "1", files={"ns/__init__.py": "# shared\n", "ns/two.py": ""})
    install(environment, tmp_path / "w", one, two)
    install(environment, tmp_path / "w", leaving=["one"])
    check_whole(prefix_of(environment))
    assert installed(prefix_of(environment)) == {"two": "1"}
    assert not (site_packages(prefix_of(environment)) / "ns" / "one.py").exists()


def test_file_may_move_to_another_distribution(environment: Environment, tmp_path: Path) -> None:
    """A file that b takes over from a in one sync belongs to b, in whichever order they are replaced."""
    first = [build_wheel("a", "1", files={"shared.py": "A\n", "a.py": ""}), build_wheel("b", "1", files={"b.py": ""})]
    then = [build_wheel("a", "2", files={"a.py": ""}), build_wheel("b", "2", files={"shared.py": "B\n", "b.py": ""})]
    for order in (1, -1):
        install(environment, tmp_path / "w", *first)
        install(environment, tmp_path / "w", *then[::order])
        check_whole(prefix_of(environment))
        assert (site_packages(prefix_of(environment)) / "shared.py").read_text(encoding="utf-8") == "B\n"


def test_removal_stays_inside_the_environment(environment: Environment, tmp_path: Path) -> None:
    """A RECORD that lists files outside, by .., by / or through a link, does not delete them."""
    install(environment, tmp_path / "w", build_wheel("evil", "1", files={"evil/a.py": ""}))
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
    install(environment, tmp_path / "w", leaving=["evil"])
    assert before == snapshot(outside)
    assert (outside / "a.cpython-311.pyc").exists()
    assert inspect(environment.layout.interpreter).is_environment
    assert (prefix_of(environment) / "bin" / "activate").exists()
    (site / "evil" / "__pycache__").unlink()
    (site / "evil").rmdir()  # nothing else was left in it


def test_umask_is_applied(environment: Environment, tmp_path: Path) -> None:
    """S19: files and folders get the modes that the umask allows, so that a shared environment stays shared."""
    before = os.umask(0o027)
    try:
        install(environment, tmp_path / "w", build_wheel("demo", "1", scripts={"demo": "demo:main"}))
    finally:
        os.umask(before)
    prefix = prefix_of(environment)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (site_packages(prefix) / "demo", site_packages(prefix) / "demo/__init__.py", prefix / "bin/demo")
    ]
    assert modes == [0o750, 0o640, 0o750]


def test_unpacking_in_several_processes(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes have the same result as one, and an error in one of them is raised."""
    monkeypatch.setattr(transaction, "_WORTH_FORKING", 0)
    install(environment, tmp_path / "w", *(build_wheel(f"p{number}", "1") for number in range(5)))
    check_whole(prefix_of(environment))
    before = snapshot(prefix_of(environment))
    bad = tamper(build_wheel("bad", "1"), remove=["bad/__init__.py"], record=False)
    with pytest.raises(WheelError, match="RECORD that it does not have"):
        install(environment, tmp_path / "w", build_wheel("good", "1"), bad)
    assert before == snapshot(prefix_of(environment))


# Kills


# Default tests kill at some steps, slow ones at each.
STRIDES = [5, pytest.param(1, marks=pytest.mark.slow)]
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
    """Upgrade from OLD to NEW."""
    install(environment, folder, *NEW, leaving=["gone"])


def check_upgraded(environment: Environment) -> None:
    """The environment has exactly NEW."""
    check_whole(prefix_of(environment))
    assert installed(prefix_of(environment)) == {"a": "2", "b": "1", "new": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("stride", STRIDES)
def test_recovery_after_a_kill_at_any_step(template: Interpreter, tmp_path: Path, stride: int) -> None:
    """S1, S2: an upgrade killed before any change of the disk leaves no false claims, and the next run completes it."""
    start = copied(template, tmp_path / "start")
    install(start, tmp_path / "old", *OLD)
    steps = 0
    died = True
    while died:
        environment = copied(start.interpreter, tmp_path / str(steps))
        since = prefix_of(environment) / ".minglibc" / "apply"
        died = killed_after(steps, lambda: upgrade(environment, tmp_path / "new"), since=since)  # noqa: B023  at once
        false = {
            distribution.name: distribution.damage
            for distribution in environment.distributions()
            if distribution.damage
        }
        assert false == {}, f"after {steps} steps"
        upgrade(environment, tmp_path / "new")
        check_upgraded(environment)
        shutil.rmtree(prefix_of(environment))
        steps += stride
    assert steps > 15


@pytest.mark.parametrize("steps", [0, 1, 7, 15, 20])
def test_kill_while_unpacking_changes_nothing(environment: Environment, tmp_path: Path, steps: int) -> None:
    """Killed while wheels are unpacked, the environment is unchanged, and the next run cleans up."""
    install(environment, tmp_path / "old", *OLD)
    before = snapshot(site_packages(prefix_of(environment)))
    assert killed_after(steps, lambda: upgrade(environment, tmp_path / "new"))
    assert before == snapshot(site_packages(prefix_of(environment)))
    upgrade(environment, tmp_path / "new")
    check_upgraded(environment)


@pytest.mark.slow
@pytest.mark.parametrize("stride", STRIDES)
def test_recovery_can_be_killed(template: Interpreter, tmp_path: Path, stride: int) -> None:
    """Recovery itself may be killed at any step."""
    middle = copied(template, tmp_path / "middle")
    install(middle, tmp_path / "old", *OLD)
    since = prefix_of(middle) / ".minglibc" / "apply"
    assert killed_after(9, lambda: upgrade(middle, tmp_path / "new"), since=since)
    assert transaction.is_interrupted(middle)
    steps = 0
    died = True
    while died:
        environment = copied(middle.interpreter, tmp_path / str(steps))
        died = killed_after(steps, lambda: recover(environment))  # noqa: B023  at once
        upgrade(environment, tmp_path / "new")
        check_upgraded(environment)
        shutil.rmtree(prefix_of(environment))
        steps += stride if steps < 12 else 8  # from there on it only deletes what no longer matters
    assert steps > 12


def recover(environment: Environment) -> None:
    """Recover as a sync does."""
    with transaction.locked(environment.prefix):
        transaction.recover(environment)


# Errors of the disk


@pytest.fixture
def read_only(environment: Environment) -> Iterator[Environment]:
    """An environment without write permission; skipped for root, who needs none."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folders = [prefix_of(environment), *(path for path in prefix_of(environment).rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield environment
    for folder in folders:
        folder.chmod(0o755)


def test_read_only_environment_is_an_error(read_only: Environment, tmp_path: Path) -> None:
    """S4: an environment that can't be written is an error before anything else happens."""
    with pytest.raises(EnvironmentProblem, match="can't write in"):
        install(read_only, tmp_path / "w", build_wheel("a", "1"))


def test_blocked_folder_is_an_error(environment: Environment, tmp_path: Path) -> None:
    """S3, S4: if minglibc's own folder can't be created, the error names it and nothing changes."""
    home = prefix_of(environment) / ".minglibc"
    if home.exists():
        shutil.rmtree(home)
    home.write_text("a file instead of a folder", encoding="utf-8")
    before = snapshot(prefix_of(environment))
    with pytest.raises(EnvironmentProblem, match="can't write in"):
        install(environment, tmp_path / "w", build_wheel("a", "1"))
    assert before == snapshot(prefix_of(environment))
    home.unlink()
    install(environment, tmp_path / "w", build_wheel("a", "1"))
    check_whole(prefix_of(environment))


def test_full_disk_changes_nothing(environment: Environment, tmp_path: Path) -> None:
    """S3: if the disk is full while a wheel is unpacked, the environment is unchanged, and the next run succeeds."""
    install(environment, tmp_path / "w", build_wheel("a", "1"))
    before = snapshot(prefix_of(environment))
    large = build_wheel("a", "2", padding=200_000)
    assert subprocess.call([sys.executable, _limited(environment, tmp_path, large)]) == 7
    assert before == snapshot(prefix_of(environment))
    install(environment, tmp_path / "w", large)
    check_whole(prefix_of(environment))


def _limited(environment: Environment, tmp_path: Path, wheel: BuiltWheel) -> Path:
    """A script that installs *wheel* with a limit of 100 kB per file, and exits with 7 for an EnvironmentProblem."""
    file = stored(tmp_path / "w", wheel)
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, signal, sys\n"
        "from minglibc.install import transaction\n"
        "from minglibc.install.environment import Environment\n"
        "from minglibc.install.interpreter import inspect\n"
        "from minglibc.errors import EnvironmentProblem\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"environment = Environment(inspect({environment.layout.interpreter!r}))\n"
        "try:\n"
        "    with transaction.locked(environment.prefix), transaction.begin(environment) as change:\n"
        f"        change.prepare([transaction.Prepared({file.path!r}, {file.filename!r}, {file.digest!r})], [])\n"
        "except EnvironmentProblem as error:\n"
        "    sys.exit(7 if 'too large' in error.message.lower() else 1)\n",
        encoding="utf-8",
    )
    return script
