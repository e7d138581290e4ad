"""The process of its own for the network, and those that read pages for it: seen in real runs, killed, and kept waiting."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pytest

from minglibc.cache.location import default_folder
from tests.support.faults import FAULTS, Fault
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.locked import write_project
from tests.support.wheels import build_wheel

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="with one core there is no second process")
ONE_CORE = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project that needs a, and a needs b and c."""
    index.add(build_wheel("a", "1.0", requires=["b", "c"]))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("c", "1.0"))
    folder = tmp_path / "project"
    write_project(folder, index, ["a"], python=["3.11"])
    return folder


def command(project: Path, cache: Path, *more: str) -> list[str]:
    """`lock` in a process of its own."""
    options = ["--project", str(project), "--cache-dir", str(cache), *more]
    return [sys.executable, "-m", "minglibc", "lock", *options]


def run(command: list[str], environment: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    """What *command* ended with."""
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def below(pid: int) -> list[int]:
    """The processes that *pid* has started, and those that they have, that run still."""
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(each for child in found for each in below(child))]


def gone(pids: list[int], *, within: float = 20) -> bool:
    """Whether all of *pids* end soon."""
    end = time.monotonic() + within
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@TWO_CORES
def test_both_ways_make_the_same_lock_and_cache(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """With further processes and without them (on one core), the lock and the kept pages are the same bytes."""
    kept = []
    for number, pinned in enumerate(([], ONE_CORE)):
        cache = tmp_path / f"cache{number}"
        subprocess.run([*pinned, *command(project, cache)], check=True)
        pages = {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("pages/*/*")}
        kept.append((pages, (project / "pylock.toml").read_bytes()))
        (project / "pylock.toml").unlink()
    assert 3 == len(kept[0][0])
    assert kept[0] == kept[1]


@TWO_CORES
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("who", [0, 1], ids=["network", "reader"])
def test_a_killed_process_is_done_without(
    project: Path, index: IndexServer, tmp_path: Path, who: int, times: int
) -> None:
    """Whoever kills the network's process or the pages', before a page or after some, gets the same lock and no word about it."""
    pids: list[int] = []
    killed: list[int] = []

    def kill_first(exchange: Exchange) -> None:
        if len(index.paths("/simple/*")) >= times and not killed:
            victim = below(pids[0])[who]
            killed.append(victim)
            os.kill(victim, signal.SIGKILL)
            time.sleep(0.05)
        exchange.send(exchange.correct())

    index.fault("/simple/*", kill_first)
    with subprocess.Popen(command(project, tmp_path / "cache"), stderr=subprocess.PIPE, text=True) as process:
        pids.append(process.pid)
        _, said = process.communicate(timeout=60)
    assert 0 == process.returncode, said
    assert killed
    assert "warning" not in said
    assert "Traceback" not in said
    assert (project / "pylock.toml").exists()


@TWO_CORES
def test_nobody_is_left_behind(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """A killed lock takes its further processes with it, also while the index keeps it waiting."""
    index.fault("/simple/b/", Fault.hang())
    with subprocess.Popen(command(project, tmp_path / "cache"), stderr=subprocess.DEVNULL) as process:
        while not index.paths("/simple/b/"):
            time.sleep(0.01)
        others = below(process.pid)
        process.kill()
    assert 3 == len(others)
    assert gone(others)


@TWO_CORES
def test_what_was_begun_in_vain_ends(project: Path, tmp_path: Path) -> None:
    """A lock that fails before it asks anything leaves no process that holds open what it was given."""
    (project / "pyproject.toml").write_text("[project]\nname = 1\n")
    reading, writing = os.pipe()
    ran = subprocess.run(command(project, tmp_path / "cache"), stderr=writing, pass_fds=[writing], check=False)
    os.close(writing)
    with open(reading, encoding="utf-8") as said:
        assert "error: " in said.read()
    assert 2 == ran.returncode


# Prints what `lock` ended with, and for each process that it forked whether it had read the command's arguments by then.
FORKS = """
import os, sys
told = []
os.register_at_fork(before=lambda: told.append("late" if "minglibc.cli.lock" in sys.modules else "ahead"))
from minglibc.cli import main
print(main(sys.argv[1:]), *told)
"""


def forks(project: Path, *arguments: str, **environment: str) -> str:
    """What FORKS says of a `lock` without the lock that there was."""
    (project / "pylock.toml").unlink(missing_ok=True)
    ran = run([sys.executable, "-c", FORKS, "lock", "-q", "--project", str(project), *arguments], environment)
    return ran.stdout.strip()


@TWO_CORES
@pytest.mark.parametrize("form", ["apart", "joined", "variable", "default"])
def test_the_network_is_begun_ahead_where_there_is_something_to_ask(project: Path, tmp_path: Path, form: str) -> None:
    """Its process starts before anything else where the cache is empty or stale, or is not to be trusted, and else not at all."""
    folder = tmp_path / "home" / "minglibc"
    environment = {"MINGLIBC_CACHE_DIR": str(folder) if form == "variable" else ""}
    if form == "default":
        environment["XDG_CACHE_HOME"] = str(folder.parent)
    options = {"apart": ["--cache-dir", str(folder)], "joined": [f"--cache-dir={folder}"]}.get(form, [])
    assert "3" == forks(project, "--offline", *options, **environment)
    assert "0 ahead late late" == forks(project, *options, **environment)
    assert "0" == forks(project, *options, **environment)
    assert "0 ahead late late" == forks(project, "--refresh", *options, **environment)
    for path in [*folder.rglob("pages/*/*"), *folder.rglob("pages/*")]:
        os.utime(path, (0, 0))
    assert "0 ahead late late" == forks(project, *options, **environment)
    assert "0" == forks(project, *options, **environment)


@TWO_CORES
def test_a_cache_that_was_guessed_wrong_is_not_used(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """Where the arguments turn out to mean another cache than the one that was begun for, that other one is used, and no page is lost."""
    first, second = tmp_path / "first", tmp_path / "second"
    # argparse takes a shortened option, and the last one counts.
    assert "0 ahead late late late" == forks(project, f"--cache-dir={first}", f"--cache-d={second}")
    assert not first.exists()
    assert 3 == len([*second.rglob("pages/*/*")])


@TWO_CORES
@pytest.mark.parametrize("home", ["/somewhere", "relative", ""])
def test_the_cache_is_where_platformdirs_has_it(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """The user's cache folder is known without platformdirs, and is the one that it names."""
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert platformdirs.user_cache_dir("minglibc", appauthor=False) == default_folder()


@TWO_CORES
@pytest.mark.parametrize("row", ["N03", "N04", "N10", "N12", "N16", "N21", "N22", "N24", "N34", "N39", "N40", "N52"])
def test_faults_are_told_in_the_same_words(project: Path, index: IndexServer, tmp_path: Path, row: str) -> None:
    """What goes wrong on the index reaches the user alike, whether another process met it or a thread of this one."""
    FAULTS[row](index)
    impatient = {"MINGLIBC_HTTP_TIMEOUT": "3" if row == "N10" else "30", "MINGLIBC_HTTP_RETRIES": "0"}
    ends = []
    for number, pinned in enumerate(([], ONE_CORE)):
        (project / "pylock.toml").unlink(missing_ok=True)
        ran = run([*pinned, *command(project, tmp_path / f"cache{number}")], impatient)
        ends.append((ran.returncode, [line for line in ran.stderr.splitlines() if not line.startswith("Locked")]))
    assert ends[0] == ends[1]


@TWO_CORES
@pytest.mark.parametrize("pinned", [[], ONE_CORE], ids=["processes", "threads"])
def test_a_head_that_never_ends_is_given_up(
    project: Path, index: IndexServer, tmp_path: Path, pinned: list[str]
) -> None:
    """A server that sends an answer's head byte by byte for ever is left after the deadline."""

    def dribble(exchange: Exchange) -> None:
        exchange.send_bytes(b"HTTP/1.1 200 OK\r\nX: ")
        while exchange.wait(0.5):
            exchange.send_bytes(b"x")

    index.fault("/simple/b/", dribble)
    impatient = {"MINGLIBC_HTTP_TIMEOUT": "1", "MINGLIBC_HTTP_RETRIES": "0"}
    ran = run([*pinned, *command(project, tmp_path / "cache")], impatient)
    assert 3 == ran.returncode
    assert "no whole answer within 6 s" in ran.stderr


# Asks for one address forty times, and thinks for a second before it looks at any answer.
THINKING = """
import sys, time
from minglibc.index.response import Ask
from minglibc.index.network import Errand
from minglibc.cache.pages import Store
from minglibc.index.wire import Wire, carrier

def fetch():
    answer = yield Ask(sys.argv[2], {})
    return len(answer.body)

found = carrier(Store(sys.argv[1]), None)
assert isinstance(found, Wire)
errands = [Errand(fetch()) for _ in range(40)]
for errand in errands:
    found.start(errand)
time.sleep(1)
print(sum(found.wait(errand) for errand in errands))
found.close()
"""


@TWO_CORES
def test_answers_wait_for_who_thinks(index: IndexServer, tmp_path: Path) -> None:
    """More answers than a socket holds keep until the first process takes them, each of them whole."""
    index.fault("/simple/large/", Fault.body(b"x" * 200_000))
    ran = run([sys.executable, "-c", THINKING, str(tmp_path), f"{index.url}large/"])
    assert str(40 * 200_000) == ran.stdout.strip(), ran.stderr


def test_a_cache_that_is_emptied_meanwhile(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """Somebody who deletes each page as soon as it is kept keeps no lock from being made."""
    cache = tmp_path / "cache"
    subprocess.run(command(project, cache), check=True, capture_output=True)
    expected = (project / "pylock.toml").read_bytes()
    emptying = "while true; do rm -rf index-*/pages/*/[abc]; done"
    with subprocess.Popen(["sh", "-c", emptying], cwd=cache, stderr=subprocess.DEVNULL) as emptier:
        try:
            runs = [run(command(project, cache, "--refresh", "--upgrade")) for _ in range(3)]
        finally:
            emptier.kill()
    assert [(0, "")] * 3 == [(ran.returncode, "".join(re.findall("(?:warning|error): .*", ran.stderr))) for ran in runs]
    assert expected == (project / "pylock.toml").read_bytes()


# A `lock` in a process that may fork so many times and no more.
FEW = """
import os, sys
left, fork = int(sys.argv[1]), os.fork

def fork_while_there_are_few():
    global left
    if left == 0:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    left -= 1
    return fork()

os.fork = fork_while_there_are_few
from minglibc.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_where_no_more_processes_may_be(project: Path, tmp_path: Path, number: int) -> None:
    """Where the system refuses a process, those that there are do its work, and nothing is said."""
    options = ["--project", str(project), "--cache-dir", str(tmp_path / "cache")]
    ran = run([sys.executable, "-c", FEW, str(number), "lock", "-q", *options])
    assert (0, "") == (ran.returncode, ran.stderr)
    assert (project / "pylock.toml").exists()


def test_a_setting_of_the_network_that_makes_no_sense(project: Path, tmp_path: Path) -> None:
    """A variable that no request could be made by is refused by whichever process reads it, with exit code 2."""
    for pinned in ([], ONE_CORE):
        ran = run([*pinned, *command(project, tmp_path / "cache")], {"MINGLIBC_HTTP_TIMEOUT": "soon"})
        assert 2 == ran.returncode, ran.stderr
        assert "MINGLIBC_HTTP_TIMEOUT is 'soon'" in ran.stderr


@TWO_CORES
def test_a_full_disk_loses_no_page(project: Path, tmp_path: Path) -> None:
    """Where no process can write the cache any more, pages come all the same, with one warning."""
    cache = tmp_path / "cache"
    subprocess.run(command(project, cache), check=True, capture_output=True)
    shutil.rmtree(next(cache.glob("*/pages")))
    next(cache.glob("index-*")).joinpath("pages").write_text("no folder")
    (project / "pylock.toml").unlink()
    ran = run(command(project, cache))
    assert 0 == ran.returncode, ran.stderr
    assert 1 == ran.stderr.count("can't be written")
    assert (project / "pylock.toml").exists()


@pytest.mark.parametrize("pinned", [False, pytest.param(True, marks=TWO_CORES)])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(200, b"{", {"Content-Type": "application/vnd.pypi.simple.v1+json"}), "it is not"),
        (Answer(200, b"no gzip", {"Content-Type": "text/html", "Content-Encoding": "gzip"}), "is not the gzip"),
        (Answer(200, b"%PDF", {"Content-Type": "application/pdf"}), "content type application/pdf"),
    ],
)
def test_bad_pages_are_refused_in_the_same_words(
    project: Path, index: IndexServer, tmp_path: Path, answer: Answer, said: str, *, pinned: bool
) -> None:
    """What is wrong with a page reaches the user with its hint, whichever process found it."""
    index.fault("/simple/b/", Fault.answer(answer))
    prefix = ONE_CORE if pinned else []
    ran = subprocess.run([*prefix, *command(project, tmp_path / "cache")], capture_output=True, text=True, check=False)
    assert 3 == ran.returncode, ran.stderr
    assert "/simple/b/: the " in ran.stderr
    assert said in ran.stderr
    assert 1 == ran.stderr.count("error:")
    assert not (project / "pylock.toml").exists()
