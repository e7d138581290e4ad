"""`minglibc lock`: fresh and stale locks, upgrades, dry runs, offline use, damaged locks, and reproducible output."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.lock.digest import lock_digests, seal
from tests.support import child
from tests.support.commands import minglibc, read_lock
from tests.support.elves import elf
from tests.support.faults import Fault
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PYPROJECT = """\
[project]
name = "example"
version = "0.1.0"
requires-python = ">=3.9"
dependencies = ["a"]

[tool.minglibc]
glibc = "2.17"
python = ["3.9", "3.11"]
"""


class Project:
    """A folder with a pyproject.toml on which `lock` runs."""

    def __init__(self, folder: Path, index: IndexServer) -> None:
        self.folder = folder
        self.index = index
        self.pyproject = folder / "pyproject.toml"
        self.path = folder / "pylock.toml"
        self.pyproject.write_text(PYPROJECT, encoding="utf-8")

    def lock(self, *arguments: str, code: int = 0) -> str:
        """Run `lock` and return its stderr."""
        ran = minglibc("lock", "--project", str(self.folder), "--index-url", self.index.url, *arguments)
        assert code == ran.code, ran.err
        return ran.err

    def versions(self) -> dict[str, str]:
        """The first target's locked versions."""
        lock = read_lock(self.folder)
        return lock.versions(lock.targets[0])


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A requires b; both have releases 1.0 and 2.0, and b 2.0 needs glibc 2.28."""
    for version, tag in (("1.0", "cp39-abi3-manylinux_2_17_x86_64"), ("2.0", "cp39-abi3-manylinux_2_28_x86_64")):
        index.add(build_wheel("a", version, requires=["b"]))
        index.add(build_wheel("b", version, tag))
    return Project(tmp_path, index)


def test_summary(project: Project) -> None:
    """The summary says how many packages are locked, how long it took, what changed and what the cap holds back."""
    stderr = project.lock()
    assert re.search(r"^Locked 2 packages for 2 targets in \d+\.\d\ds$", stderr, re.MULTILINE)
    assert " + a 2.0\n + b 1.0\n" in stderr
    assert "held back by the cap: b 1.0 (2.0 needs glibc 2.28)" in stderr
    assert {"a": "2.0", "b": "1.0"} == project.versions()


def test_up_to_date(project: Project) -> None:
    """A lock that is up to date is not written again, without network access."""
    project.lock()
    before, project.index.requests[:] = project.path.read_bytes(), []
    assert "pylock.toml is up to date\n" == project.lock()
    assert [] == project.index.requests
    assert before == project.path.read_bytes()


def test_check(project: Project) -> None:
    """`--check` exits with 0 for a fresh lock and 1 for a stale or missing one, without network access."""
    assert "there is no pylock.toml" in project.lock("--check", code=1)
    project.lock()
    project.index.requests[:] = []
    project.lock("--check")
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["a", "c"]').replace("2.17", "2.28"))
    before = project.path.read_bytes()
    stderr = project.lock("--check", code=1)
    assert "the lock was made for glibc 2.17" in stderr
    assert "c is required and not locked" in stderr
    assert [] == project.index.requests
    assert before == project.path.read_bytes()


def test_unrelated_changes(project: Project) -> None:
    """A change to another tool's table, a comment or a description does not make the lock stale."""
    project.lock()
    text = PYPROJECT.replace('version = "0.1.0"', 'version = "0.2.0"  # soon')
    project.pyproject.write_text(f"{text}\n[tool.ruff]\nline-length = 99\n".replace("\n", "\r\n"), newline="")
    assert "up to date" in project.lock("--check")


def test_invalid_toml_is_an_error(project: Project) -> None:
    """A pyproject.toml that is not valid TOML is reported, even if the error is in another tool's table."""
    project.lock()
    for line in ("line-length = nonsense", "select = ["):
        project.pyproject.write_text(f"{PYPROJECT}\n[tool.ruff]\n{line}\n")
        assert "is not valid TOML" in project.lock("--check", code=2)


def test_overrides_are_inputs(project: Project) -> None:
    """A lock made with --glibc is stale without it; --index-url does not matter."""
    project.lock("--glibc", "2.28")
    assert {"a": "2.0", "b": "2.0"} == project.versions()
    assert "glibc 2.28" in project.lock("--check", code=1)
    project.lock("--check", "--glibc", "2.28")
    assert 0 == minglibc("lock", "--check", "--glibc", "2.28", "--project", str(project.folder)).code


def test_locked_versions_are_kept_until_upgraded(project: Project) -> None:
    """A newer release is ignored until --upgrade or --upgrade-package."""
    project.lock()
    for name in ("a", "b"):
        project.index.add(build_wheel(name, "3.0", requires=["b"] if name == "a" else ()))
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["a>=1"]'))
    project.lock("--refresh")
    assert {"a": "2.0", "b": "1.0"} == project.versions()
    stderr = project.lock("--upgrade-package", "B")
    assert " ~ b 1.0 → 3.0\n" in stderr
    assert {"a": "2.0", "b": "3.0"} == project.versions()
    project.lock("--upgrade")
    assert {"a": "3.0", "b": "3.0"} == project.versions()


def test_each_target_keeps_its_own_version(project: Project) -> None:
    """Targets with different versions each keep their own when a newer release appears."""
    project.index.add(build_wheel("c", "1.0", "cp39-cp39-manylinux_2_17_x86_64"))
    project.index.add(build_wheel("c", "2.0", "cp311-cp311-manylinux_2_17_x86_64"))
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["c"]'))
    project.lock()
    project.index.add(build_wheel("c", "3.0", "cp311-cp311-manylinux_2_17_x86_64"))
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["c", "a"]'))
    project.lock("--refresh")
    lock = read_lock(project.folder)
    assert ["1.0", "2.0"] == [lock.versions(target)["c"] for target in lock.targets]


def test_dry_run(project: Project) -> None:
    """`--dry-run` prints the changes to stdout and writes nothing."""
    ran = minglibc("lock", "--dry-run", "--project", str(project.folder), "--index-url", project.index.url)
    assert " + a 2.0\n + b 1.0\n" == ran.out
    assert ["pyproject.toml"] == [path.name for path in project.folder.iterdir()]


def test_json(project: Project) -> None:
    """`--json` prints the result to stdout, whether or not anything changed."""
    ran = minglibc("lock", "--json", "--project", str(project.folder), "--index-url", project.index.url)
    outcome = json.loads(ran.out)
    assert {"name": "b", "before": None, "after": "1.0"} in outcome["changes"]
    assert [{"name": "b", "locked": "1.0", "newest": "2.0", "needs": "2.28"}] == outcome["held-back"]
    again = json.loads(minglibc("lock", "--json", "--project", str(project.folder)).out)
    assert (False, []) == (again["changed"], again["changes"])


def test_offline(project: Project) -> None:
    """`--offline` locks from the cache; it exits with 3 and names what is missing."""
    stderr = project.lock("--offline", code=3)
    assert "the page of a is not in the cache, and --offline prevents requests" in stderr
    project.lock()
    before = project.path.read_bytes()
    project.path.unlink()
    project.index.requests[:] = []
    project.lock("--offline")
    assert before == project.path.read_bytes()
    assert [] == project.index.requests


def test_quiet(project: Project) -> None:
    """`--quiet` prints nothing on success."""
    assert "" == project.lock("--quiet")


def test_environment_variables(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINGLIBC_GLIBC sets --glibc, and the command line overrides it."""
    monkeypatch.setenv("MINGLIBC_GLIBC", "2.28")
    monkeypatch.setenv("MINGLIBC_PYTHON", "3.11")
    monkeypatch.setenv("MINGLIBC_INDEX_URL", project.index.url)
    assert 0 == minglibc("lock", "--project", str(project.folder)).code
    assert ["CPython 3.11 on x86_64 with glibc 2.28"] == [str(target) for target in read_lock(project.folder).targets]
    assert 0 == minglibc("lock", "--project", str(project.folder), "--glibc", "2.17").code
    assert ["CPython 3.11 on x86_64 with glibc 2.17"] == [str(target) for target in read_lock(project.folder).targets]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda _: "", "not made by minglibc"),
        (lambda text: text[: text.index("[tool.minglibc]")], "not made by minglibc"),
        (lambda text: text[: len(text) // 2], ""),
        (lambda text: text.replace("1.0", "1.1", 1), ""),
        (lambda text: "<<<<<<< ours\n" + text, "merge-conflict markers"),
        (lambda text: "\x00\x01" + text, ""),
    ],
)
def test_damaged_lock_is_replaced(project: Project, damage: Callable[[str], str], problem: str) -> None:
    """A truncated, edited, conflicted or binary lock is reported and replaced; --check fails."""
    project.lock()
    whole = project.path.read_text(encoding="utf-8")
    project.path.write_text(damage(whole), encoding="utf-8")
    assert "error: " in project.lock("--check", code=1)
    stderr = project.lock()
    assert "ignoring it and locking from pyproject.toml" in stderr
    assert problem in stderr
    assert whole == project.path.read_text(encoding="utf-8")


def test_newer_lock(project: Project) -> None:
    """A lock of a newer minglibc is not changed."""
    project.lock()
    newer = project.path.read_text(encoding="utf-8").replace("lock-format = 1", "lock-format = 3")
    project.path.write_text(newer, encoding="utf-8")
    assert "newer minglibc" in project.lock(code=1)
    assert newer == project.path.read_text(encoding="utf-8")


def test_crlf_lock(project: Project) -> None:
    """A lock with CRLF line ends is fresh, and `lock` writes LF."""
    project.lock()
    whole = project.path.read_bytes()
    project.path.write_bytes(whole.replace(b"\n", b"\r\n"))
    assert "up to date" in project.lock("--check")
    project.lock("--upgrade")
    assert whole == project.path.read_bytes()


def test_reproducible(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The lock has the same bytes in another folder, with an empty cache, HTML pages and another hash seed."""
    project.lock()
    expected = project.path.read_bytes()
    for seed, html in (("1", True), ("2", False)):
        folder = tmp_path_factory.mktemp("again")
        (folder / "pyproject.toml").write_text(PYPROJECT)
        command = [sys.executable, "-m", "minglibc", "lock", "-q", "--index-url", project.index.url]
        command += ["--cache-dir", str(folder / "cache")]
        project.index.html_only = html
        subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
        actual = (folder / "pylock.toml").read_bytes()
        if html:
            assert _without_json_fields(expected) == _without_json_fields(actual)
        else:
            assert expected == actual


def _without_json_fields(lock: bytes) -> bytes:
    """The packages of a lock without what PEP 503's pages do not have: sizes and upload times."""
    packages = lock.partition(b"[tool.minglibc]")[0]
    return re.sub(rb"^(size|upload-time) = .*\n", b"", packages, flags=re.MULTILINE)


def test_extras_and_groups(project: Project) -> None:
    """Extras and groups are locked together, and markers select their packages."""
    project.index.add(build_wheel("c", "1.0"))
    project.index.add(build_wheel("d", "1.0"))
    project.pyproject.write_text(
        PYPROJECT.replace(
            "[tool.", '[project.optional-dependencies]\nx = ["c"]\n[dependency-groups]\ndev = ["d"]\n[tool.'
        )
    )
    project.lock()
    lock = read_lock(project.folder)
    target = lock.targets[0]
    assert {"a", "b"} == {package.name for package, _ in lock.select(target, groups=())}
    assert {"a", "b", "c"} == {package.name for package, _ in lock.select(target, extras=["x"], groups=())}
    assert {"a", "b", "d"} == {package.name for package, _ in lock.select(target, groups=["dev"])}


def test_suggests_the_lowest_cap(project: Project) -> None:
    """If only the cap prevents a solution, the error names the requirement, what it needs, and the lowest cap that works."""
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["a", "b>=2"]'))
    stderr = project.lock(code=1)
    assert "the project requires b>=2" in stderr
    assert "b 2.0 needs glibc 2.28; the cap is 2.17" in stderr
    assert 'glibc = "2.28"' in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["lokc"], 2, "did you mean `minglibc lock`?"),
        (["lock", "--chekc"], 2, "error: "),
        (["lock", "--glibc", "2.x"], 2, "2.x"),
        ([], 2, ""),
        (["--help"], 0, ""),
        (["--version"], 0, ""),
        (["lock", "--help"], 0, ""),
    ],
)
def test_usage(project: Project, arguments: list[str], code: int, message: str) -> None:
    """An invalid command or option exits with 2 and a hint; help and version exit with 0."""
    ran = minglibc(*arguments, *(["--project", str(project.folder)] if "--glibc" in arguments else []))
    assert code == ran.code
    assert message in ran.err


@pytest.mark.parametrize("command", ["lock", "caps", "build -o wheels a", "build -o wheels a b"])
def test_index_that_is_down(project: Project, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """An unreachable index exits with 3, its address and the number of attempts."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "1")
    down = ("--project", str(project.folder), "--index-url", "http://127.0.0.1:9/simple/")
    ran = minglibc(*command.split(), *down, "--cache-dir", str(project.folder / "cache"))
    assert 3 == ran.code
    assert "http://127.0.0.1:9/simple/" in ran.err
    assert ": no connection" in ran.err
    assert "tried 2 times" in ran.err


def test_stdout_closed(project: Project) -> None:
    """A closed stdout causes no traceback."""
    command = f"{sys.executable} -m minglibc lock --dry-run --index-url {project.index.url} | true"
    ran = subprocess.run(["sh", "-c", command], cwd=project.folder, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


def test_options_replace_variables(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """--python on the command line replaces the values of MINGLIBC_PYTHON."""
    monkeypatch.setenv("MINGLIBC_PYTHON", "3.9 3.10")
    project.lock("--python", "3.11")
    assert ["3.11"] == [str(target.python) for target in read_lock(project.folder).targets]


def test_color(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--color always` and MINGLIBC_COLOR color the labels; a pipe gets no color by default."""
    assert "\33[" not in project.lock("--dry-run")
    assert "\33[" in project.lock("--dry-run", "--color", "always")
    monkeypatch.setenv("MINGLIBC_COLOR", "always")
    assert "\33[" in project.lock("--dry-run")
    monkeypatch.setenv("MINGLIBC_COLOR", "purple")
    assert "choose from auto, always, never" in project.lock("--dry-run", code=2)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(project: Project, sent: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM during a request exit with 130 and 143, and leave no files."""
    project.index.fault("/simple/b/", Fault.hang())
    with child.start("lock", "--index-url", project.index.url, cwd=project.folder) as process:
        while not project.index.paths("/simple/b/"):
            time.sleep(0.01)
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=20)
    assert code == process.returncode, stderr
    assert "Traceback" not in stderr
    assert ["pyproject.toml"] == [path.name for path in project.folder.iterdir()]


@pytest.mark.slow
def test_eight_at_once(project: Project) -> None:
    """Eight simultaneous locks in one folder with one cache all succeed, and the lock is intact."""
    project.lock()
    expected = project.path.read_bytes()
    project.path.unlink()
    command = [sys.executable, "-m", "minglibc", "lock", "-q", "--index-url", project.index.url]
    command += ["--cache-dir", str(project.folder.parent / "shared")]
    running = [subprocess.Popen(command, cwd=project.folder) for _ in range(8)]
    assert [0] * 8 == [process.wait(timeout=60) for process in running]
    assert expected == project.path.read_bytes()
    assert ["pylock.toml", "pyproject.toml"] == sorted(path.name for path in project.folder.iterdir())


def test_verify_skips_a_wrong_tag(project: Project) -> None:
    """With ``verify = true`` a wheel whose binaries need more than its tag says is skipped with a warning."""
    files = {"b/_b.so": elf(needs={"libc.so.6": ("GLIBC_2.34",)})}
    project.index.add(build_wheel("b", "1.5", "cp39-abi3-manylinux_2_17_x86_64", files=files))
    project.lock()
    assert "1.5" == project.versions()["b"]
    project.pyproject.write_text(PYPROJECT.replace('glibc = "2.17"', 'glibc = "2.17"\nverify = true'))
    warning = "skipped b-1.5-cp39-abi3-manylinux_2_17_x86_64.whl: its tag understates what it needs"
    assert f"warning: {warning}: b/_b.so needs GLIBC_2.34\n" in project.lock()
    assert "1.0" == project.versions()["b"]


def test_suggestions(project: Project) -> None:
    """If there is no solution, the smallest changes that work are suggested."""
    project.index.add(build_wheel("c", "1.0", "cp311-cp311-manylinux_2_17_x86_64"))
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["a", "c"]'))
    stderr = project.lock(code=1)
    assert 'tool.minglibc.python = ["3.11"]' in stderr


def test_similar_releases_share_a_line(project: Project) -> None:
    """Releases that are rejected for one reason share a line, in the plural and with the Pythons in order."""
    for version in ("1.0", "2.0"):
        for python in ("310", "38"):
            project.index.add(build_wheel("c", version, f"cp{python}-cp{python}-manylinux_2_17_x86_64"))
    project.pyproject.write_text(PYPROJECT.replace('["a"]', '["c"]'))
    assert "c 2.0, 1.0 are built for CPython 3.8, 3.10\n" in project.lock(code=1)


def test_unknown_keys_are_kept(project: Project) -> None:
    """Unknown keys of an intact lock are reported and kept in the next lock."""
    project.lock()
    text = project.path.read_text(encoding="utf-8")
    digests = lock_digests(text)
    assert digests is not None
    body = text[: text.rindex("inputs = ")].replace(
        'created-by = "minglibc"\n', 'created-by = "minglibc"\nfuture = 1\n'
    )
    body = body.replace('name = "b"\nversion', 'name = "b"\nsigned = true\nversion')
    project.path.write_text(seal(body, digests.inputs), encoding="utf-8")
    assert "warning: pylock.toml has unknown keys, which are kept: future, b.signed\n" in project.lock("--upgrade")
    document = tomllib.loads(project.path.read_text(encoding="utf-8"))
    assert (1, [True]) == (document["future"], [p["signed"] for p in document["packages"] if "signed" in p])
    read_lock(project.folder)
