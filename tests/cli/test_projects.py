"""Projects as people have them: fleets with names, groups that quarrel, requirements files, scripts."""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.cache import maintenance
from minglibc.config.requirements_file import lines
from minglibc.lock.reader import loads
from tests.support.commands import Ran, locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

RUNNING = f"3.{sys.version_info.minor}"
HERE = f"cp3{sys.version_info.minor}-x86_64-glibc2.17"


def project(folder: Path, index: IndexServer, text: str) -> Path:
    """A project in *folder*, of which *text* says all but the index."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(
        text.replace("[tool.minglibc]\n", f'[tool.minglibc]\nindex-url = "{index.url}"\n'), encoding="utf-8"
    )
    return folder


def ran(folder: Path, command: str, *arguments: str) -> Ran:
    """A command of minglibc for the project in *folder*."""
    return minglibc(command, "--project", str(folder), *arguments)


def locked(folder: Path, *arguments: str) -> str:
    """The text of the lock that `lock` makes in *folder*, which must keep the law."""
    found = ran(folder, "lock", *arguments)
    assert 0 == found.code, found.err
    read_lock(folder)
    return (folder / "pylock.toml").read_text("utf-8")


# ---- targets with names


@pytest.fixture
def fleet(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project of two named targets: b is for gateways alone."""
    index.add(build_wheel("a", "1.0", requires=["b; platform_machine == 'aarch64'"]))
    index.add(build_wheel("b", "1.0"))
    folder = project(
        tmp_path / "fleet",
        index,
        f"""[project]
name = "fleet"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
[[tool.minglibc.target]]
name = "controllers"
python = "{RUNNING}"
[[tool.minglibc.target]]
name = "gateways"
python = "3.11"
architecture = "aarch64"
glibc = "2.31"
""",
    )
    locked(folder)
    return folder


def test_the_lock_carries_the_names(fleet: Path) -> None:
    """A target's own name stands in the lock, so that machines without pyproject.toml know it too."""
    lock = read_lock(fleet)
    assert ["controllers", "gateways"] == sorted(lock.names)
    assert set(lock.targets) == set(lock.names.values())
    assert "aarch64" == lock.names["gateways"].architecture


@pytest.mark.parametrize("name", ["gateways", "cp311-aarch64-glibc2.31"])
def test_a_target_goes_by_either_name(fleet: Path, tmp_path: Path, index: IndexServer, name: str) -> None:
    """tree, export and bundle take a target's own name and the made-up one."""
    index.add(build_wheel("pip", "25.0"))
    assert "b==1.0" in ran(fleet, "tree", "--target", name).out
    assert "b @" in ran(fleet, "export", "--target", name).out
    bundled = ran(fleet, "bundle", "--target", name, "-o", str(tmp_path / "bundle"))
    assert 0 == bundled.code, bundled.err
    assert (tmp_path / "bundle" / "wheels" / "b-1.0-py3-none-any.whl").exists()


@pytest.mark.parametrize("name", ["controllers", HERE])
def test_sync_and_run_take_a_targets_name(fleet: Path, name: str) -> None:
    """sync installs the target that is named; another machine's is refused with what does not fit."""
    found = ran(fleet, "sync", "--target", name)
    assert 0 == found.code, found.err
    refused = ran(fleet, "sync", "--target", "gateways")
    assert 1 == refused.code
    assert "no target for" in refused.err


@pytest.mark.parametrize("command", ["sync", "run", "export", "bundle", "tree"])
def test_an_unknown_target_is_told_the_names(fleet: Path, command: str) -> None:
    """A name that no target has is a usage error that lists every target, in the order of the lock."""
    found = ran(fleet, command, "--target", "toasters", *(["true"] if command == "run" else []))
    assert 2 == found.code
    assert "no target 'toasters'" in found.err
    # A lock's targets are sorted by Python.
    targets = [(sys.version_info.minor, f"controllers ({HERE})"), (11, "gateways (cp311-aarch64-glibc2.31)")]
    assert ", ".join(name for _, name in sorted(targets, key=lambda target: target[0])) in found.err


# ---- targets that no marker tells apart


SISTERS = """[project]
name = "sisters"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
python = ["3.13", "3.13t"]
"""
BUILDS = ["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313t-manylinux_2_17_x86_64", "cp310-abi3-manylinux_2_17_x86_64"]


@settings(max_examples=20)
@given(
    st.lists(st.sets(st.sampled_from([*BUILDS, "py3-none-any"]), min_size=1), min_size=1, max_size=4),
    st.lists(st.sets(st.sampled_from(BUILDS), min_size=1), min_size=1, max_size=3),
)
def test_one_marker_means_one_version(a: list[set[str]], b: list[set[str]]) -> None:
    """3.13 and 3.13t, whatever wheels there are: a lock that keeps the law with one version of each, or a refusal and no file."""
    common = all(any(_serves_both(tags) for tags in releases) for releases in (a, b))
    _check_one_version(SISTERS, {"a": a, "b": b}, common=common)


def _check_one_version(pyproject: str, found: Mapping[str, list[set[str]]], *, common: bool) -> None:
    """Of releases with these tags, of a and of b which a requires, each target of one marker gets the same where there are *common* ones."""
    with IndexServer(max_age=0) as index, TemporaryDirectory() as place:
        for name, releases in found.items():
            for number, tags in enumerate(releases, 1):
                for tag in tags:
                    index.add(build_wheel(name, f"{number}.0", tag, requires=["b"] if name == "a" else []))
        folder = project(Path(place), index, pyproject)
        told = ran(folder, "lock")
        assert (0 if common else 1) == told.code, told.err
        assert (folder / "pylock.toml").exists() == common
        if common:
            lock = read_lock(folder)
            versions: dict[str, set[str]] = {}
            for target in lock.targets:
                versions.setdefault(target.marker, set()).add(str(lock.versions(target)))
            assert {1} == {len(each) for each in versions.values()}


def _serves_both(tags: set[str]) -> bool:
    return "py3-none-any" in tags or (BUILDS[1] in tags and bool(tags & {BUILDS[0], BUILDS[2]}))


LIBCS = """[project]
name = "libcs"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
musl = "1.2"
python = ["3.11", "3.13", "3.13t"]
"""
GLIBC_BUILDS = ["cp37-abi3-manylinux_2_17_x86_64", "py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64"]
MUSL_BUILDS = ["cp37-abi3-musllinux_1_2_x86_64", "py3-none-musllinux_1_1_x86_64"]
EITHER = ["py3-none-any", "py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64"]
TOO_NEW = ["py3-none-manylinux_2_28_x86_64", "py3-none-musllinux_1_3_x86_64", "cp313-cp313t-musllinux_1_2_x86_64"]
libc_builds = st.sets(st.sampled_from([*GLIBC_BUILDS, *MUSL_BUILDS, *EITHER, *TOO_NEW]), min_size=1)


@settings(max_examples=20)
@given(st.lists(libc_builds, min_size=1, max_size=3), st.lists(libc_builds, min_size=1, max_size=3))
def test_one_marker_means_one_version_on_both_c_libraries(a: list[set[str]], b: list[set[str]]) -> None:
    """glibc and musl, beside free threads even: a lock that keeps the law with one version of each, or a refusal and no file."""
    common = all(any(_serves_all(tags) for tags in releases) for releases in (a, b))
    _check_one_version(LIBCS, {"a": a, "b": b}, common=common)


def _serves_all(tags: set[str]) -> bool:
    """Whether 3.11, 3.13 and 3.13t have a wheel on either C library; the stable ABI is not for free threads."""
    either = bool(tags & {*EITHER})
    on_glibc = either or GLIBC_BUILDS[1] in tags
    on_musl = either or MUSL_BUILDS[1] in tags or (MUSL_BUILDS[0] in tags and TOO_NEW[2] in tags)
    return on_glibc and on_musl


def test_sister_wheels_that_say_different_things(tmp_path: Path, index: IndexServer) -> None:
    """Wheels of one release whose metadata differ leave no lock that serves both: it is refused before it is written."""
    index.add(build_wheel("a", "1.0", BUILDS[0], requires=["b"]))
    index.add(build_wheel("a", "1.0", BUILDS[1]))
    index.add(build_wheel("b", "1.0"))
    folder = project(tmp_path, index, SISTERS)
    found = ran(folder, "lock")
    assert 1 == found.code
    assert "CPython 3.13 on x86_64 with glibc 2.17 and CPython 3.13t on x86_64 with glibc 2.17" in found.err
    assert "b 1.0" in found.err
    assert not (folder / "pylock.toml").exists()


# ---- requirements files


IN = """# what the tool needs
a[x] >= 1.0 ; python_version > "3.0"  # for reasons
-r more.in
-c limits.txt
"""
HERE_OPTIONS = ("--glibc", "2.17", "--python", RUNNING)


@pytest.fixture
def inputs(tmp_path: Path, index: IndexServer) -> Path:
    """A folder with requirements files of every kind of line, and no pyproject.toml."""
    index.max_age = 0
    for version in ("1.0", "2.0", "3.0"):
        index.add(build_wheel("a", version, requires=["c; extra == 'x'"], provides_extra=["x"]))
    index.add(
        build_wheel("b", "1.0", scripts={"b": "b:main"}, files={"b/__init__.py": "def main(): print('b runs')\n"})
    )
    index.add(build_wheel("c", "1.0"))
    index.add(build_wheel("pip", "25.0"))
    (tmp_path / "requirements.in").write_text(IN)
    (tmp_path / "more.in").write_text("b==\\\n    1.0 --hash=sha256:00 \\\n    --hash=sha256:11\n--only-binary :all:\n")
    (tmp_path / "limits.txt").write_text("a<3\na!=2.5\nnobody==1\n")
    return tmp_path


def lock_inputs(folder: Path, index: IndexServer, *options: str) -> Ran:
    """`lock -r requirements.in`."""
    return minglibc("lock", "-r", str(folder / "requirements.in"), "--index-url", index.url, *options)


def test_requirements_files_are_locked(inputs: Path, index: IndexServer) -> None:
    """Includes, constraints, extras, markers, comments and continued lines count; hashes and needless options are noted."""
    found = lock_inputs(inputs, index, *HERE_OPTIONS)
    assert 0 == found.code, found.err
    lock = read_lock(inputs)
    assert {"a": "2.0", "b": "1.0", "c": "1.0"} == lock.versions(lock.targets[0])
    assert "more.in: the hashes of b== 1.0 are passed over" in " ".join(found.err.split())
    assert "--only-binary is passed over" in found.err
    assert "from requirements.in" in (inputs / "pylock.toml").read_text().split("\n")[0]


def test_the_options_of_a_requirements_lock_are_remembered(inputs: Path, index: IndexServer) -> None:
    """The cap is given once: the lock keeps it, so the next lock, --check, sync, run and export need no options."""
    assert 0 == lock_inputs(inputs, index, *HERE_OPTIONS).code
    before = (inputs / "pylock.toml").read_bytes()
    assert "is up to date" in lock_inputs(inputs, index).err
    assert 0 == lock_inputs(inputs, index, "--check").code
    assert before == (inputs / "pylock.toml").read_bytes()
    given = ("--lock", str(inputs / "pylock.toml"))
    synced = minglibc("sync", *given)
    assert 0 == synced.code, synced.err
    assert "b @" in minglibc("export", *given).out
    bundled = minglibc("bundle", *given, "-o", str(inputs / "bundle"), "--index-url", index.url)
    assert 0 == bundled.code, bundled.err
    assert "a==2.0" in minglibc("tree", *given).out
    assert "b runs\n" == subprocess.check_output(
        [sys.executable, "-m", "minglibc", "run", *given, "b"], text=True, cwd=inputs
    )


def test_a_changed_requirements_file_makes_its_lock_stale(inputs: Path, index: IndexServer) -> None:
    """A changed line, also of an included file, is noticed by --check and sync; a changed comment is not."""
    assert 0 == lock_inputs(inputs, index, *HERE_OPTIONS).code
    (inputs / "more.in").write_text("b==1.0  # as before\n")
    assert 0 == lock_inputs(inputs, index, "--check").code
    (inputs / "more.in").write_text("b==1.0\nd\n")
    stale = lock_inputs(inputs, index, "--check")
    assert 1 == stale.code
    assert "d is required and not locked" in stale.err
    refused = minglibc("sync", "--lock", str(inputs / "pylock.toml"))
    assert 1 == refused.code
    assert "minglibc lock -r requirements.in" in refused.err
    assert 0 == minglibc("sync", "--frozen", "--lock", str(inputs / "pylock.toml")).code


def test_the_cap_may_stand_in_a_pyproject_beside(inputs: Path, index: IndexServer) -> None:
    """Settings are taken from the pyproject.toml beside the file; the command line wins, and a lock of the project is safe."""
    (inputs / "pyproject.toml").write_text(
        f'[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11,<3.12"\ndependencies = ["b"]\n'
        f'[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\nconstraints = ["a!=2.0"]\n'
    )
    named = ("-o", str(inputs / "pylock.tools.toml"))
    assert 0 == lock_inputs(inputs, index, *named).code
    text = (inputs / "pylock.tools.toml").read_text()
    assert "`minglibc lock -r requirements.in -o pylock.tools.toml` brings it up to date" in text
    assert "`minglibc sync --lock pylock.tools.toml` installs it" in text
    lock = loads(text)
    assert ["2.28"] == [str(target.cap) for target in lock.targets]
    assert "1.0" == lock.versions(lock.targets[0])["a"]
    assert 0 == ran(inputs, "lock").code
    refused = lock_inputs(inputs, index)
    assert 1 == refused.code
    assert "is the lock of pyproject.toml, not of requirements.in" in refused.err
    assert 0 == lock_inputs(inputs, index, *named, "--glibc", "2.17").code
    assert ["2.17"] == [str(t.cap) for t in loads((inputs / "pylock.tools.toml").read_text()).targets]


def test_a_project_does_not_overwrite_a_requirements_lock(inputs: Path, index: IndexServer) -> None:
    """`lock` in a folder whose pylock.toml is of requirements files says so, and touches nothing."""
    assert 0 == lock_inputs(inputs, index, *HERE_OPTIONS).code
    before = (inputs / "pylock.toml").read_bytes()
    project(inputs, index, SISTERS)
    refused = ran(inputs, "lock")
    assert 1 == refused.code
    assert "is the lock of requirements.in" in refused.err
    assert before == (inputs / "pylock.toml").read_bytes()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-i https://example.invalid/simple", "--index-url is not taken from a requirements file"),
        ("--extra-index-url=https://example.invalid", "name the index by --index-url"),
        ("--find-links wheels", "--find-links is not taken"),
        ("-e .", "--editable is not taken"),
        ("--no-binary :all:", "locks wheels only"),
        ("--frobnicate", "--frobnicate is no option"),
        ("-r nowhere.in", "names nowhere.in, which is not there"),
        ("-r https://example.invalid/r.in", "is an address"),
        ("a b", "is not a requirement"),
        ("a --install-option=x", "--install-option of a"),
        ("./a-1.0.tar.gz", "is no wheel"),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: str, said: str) -> None:
    """What a lock can't keep is refused by file and line, with what to do, and all of it at once."""
    (tmp_path / "requirements.in").write_text(f"a\n{line}\n-e also\n")
    found = minglibc("lock", "-r", str(tmp_path / "requirements.in"), "--glibc", "2.17")
    assert 2 == found.code
    assert said in found.err
    assert "requirements.in:2" in found.err
    assert "requirements.in:3" in found.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing says the cap for requirements.in"),
        (("--glibc", "2.17"), "nothing says the Pythons for requirements.in"),
        (("--glibc", "2.17", "-o", "lock.toml"), "is not a valid name for a lock"),
        (("--glibc", "2.17", "--script", "x.py"), "can't be combined"),
    ],
)
def test_what_a_requirements_lock_needs(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """Without a cap, a Python or a name that installers know there is a usage error that says which."""
    (tmp_path / "requirements.in").write_text("a\n")
    found = minglibc("lock", "-r", str(tmp_path / "requirements.in"), *options)
    assert 2 == found.code
    assert said in found.err


def test_includes_may_go_in_circles(inputs: Path, index: IndexServer) -> None:
    """Each file is read once, whoever names it."""
    (inputs / "more.in").write_text("-r requirements.in\nb\n")
    assert 0 == lock_inputs(inputs, index, *HERE_OPTIONS).code


@given(st.text(alphabet=st.sampled_from([*"ab-r# \\=\n.;@[]<>1\t\"'/:"])))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No text makes the reader fail, and every line that it reports is a line of the text."""
    for line in lines(text):
        assert 1 <= line.number <= len(text.splitlines())


# ---- scripts


SCRIPT = """#!/usr/bin/env python3
# /// script
# requires-python = ">={python}"
# dependencies = ["b"]
#
# [tool.minglibc]
# glibc = "2.17"
# python = ["{python}"]
# ///
import sys
import b

print(b.__name__, *sys.argv[1:])
sys.exit(3)
"""


@pytest.fixture
def script(inputs: Path, index: IndexServer) -> Path:
    """A locked script that prints its arguments and exits with 3."""
    path = inputs / "my.tool.py"
    path.write_text(SCRIPT.format(python=RUNNING))
    found = minglibc("lock", "--script", str(path), "--index-url", index.url)
    assert 0 == found.code, found.err
    return path


def run_script(script: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`run --script` in a process of its own, which becomes the script."""
    return subprocess.run(
        [sys.executable, "-m", "minglibc", "run", "--script", str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_script_is_locked_beside_itself(script: Path, index: IndexServer) -> None:
    """The lock of my.tool.py is pylock.my-tool.toml, for the standard allows no dots; it is fresh until the block changes."""
    lock = loads((script.parent / "pylock.my-tool.toml").read_text())
    assert {"b": "1.0"} == lock.versions(lock.targets[0])
    assert 0 == minglibc("lock", "--script", str(script), "--check").code
    script.write_text(script.read_text() + "print()\n")
    assert 0 == minglibc("lock", "--script", str(script), "--check").code
    script.write_text(script.read_text().replace('["b"]', '["b", "c"]'))
    stale = minglibc("lock", "--script", str(script), "--check")
    assert 1 == stale.code
    assert "c is required and not locked" in stale.err
    assert "minglibc lock --script my.tool.py" in stale.err


def test_a_script_runs_in_an_environment_of_its_lock(script: Path, tmp_path: Path) -> None:
    """run --script makes the environment in the cache once, passes arguments and the exit code, and is quiet the second time."""
    first = run_script(script, "--verbose", "x")
    assert (3, "b --verbose x\n") == (first.returncode, first.stdout), first.stderr
    second = run_script(script)
    assert (3, "b\n", "") == (second.returncode, second.stdout, second.stderr)
    assert not (tmp_path / ".venv").exists()


def test_a_script_without_its_lock_is_told_what_to_do(script: Path) -> None:
    """A script whose lock is missing or stale does not run, and the command that mends it is named."""
    lock = script.parent / "pylock.my-tool.toml"
    kept = lock.read_text()
    lock.unlink()
    missing = run_script(script)
    assert 1 == missing.returncode
    assert "minglibc lock --script" in missing.stderr
    lock.write_text(kept)
    script.write_text(script.read_text().replace('["b"]', '["b", "c"]'))
    stale = run_script(script)
    assert 1 == stale.returncode
    assert "pylock.my-tool.toml is stale" in stale.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print()\n", "has no script block"),
        ("# /// script\n# dependencies = []\n# ///\n", "nothing says the cap for x.py"),
        ("# /// script\n# dependencies = [\n# ///\n", "the script block of x.py is not valid TOML"),
        ("# /// script\n# a = 1\n# ///\n\n# /// script\n# a = 1\n# ///\n", "more than one script block"),
        (
            '# /// script\n# dependencies = ["a b c"]\n# requires-python = ">=3.9"\n# [tool.minglibc]\n# glibc = "2.17"\n# ///\n',
            "dependencies[0] is 'a b c', which is not a valid requirement",
        ),
    ],
)
def test_script_blocks_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """A block that is missing, doubled or wrong is a usage error in the block's own words."""
    (tmp_path / "x.py").write_text(text)
    found = minglibc("lock", "--script", str(tmp_path / "x.py"))
    assert 2 == found.code
    assert said in found.err
    assert "project.dependencies" not in found.err


# ---- wheels by their addresses


DIRECT = """[project]
name = "direct"
version = "1"
dependencies = [{requirements}]
[tool.minglibc]
glibc = "2.17"
python = ["{python}"]
exclude-newer = "2020-01-01"
"""


def direct_project(folder: Path, index: IndexServer, *requirements: str) -> Path:
    """A project with these requirements."""
    quoted = ", ".join(f"'{each}'" for each in requirements)
    return project(folder, index, DIRECT.format(requirements=quoted, python=RUNNING))


def entry(folder: Path, name: str) -> dict[str, Any]:
    """What the lock says of a package."""
    packages = tomllib.loads((folder / "pylock.toml").read_text("utf-8"))["packages"]
    found: dict[str, Any] = next(each for each in packages if each["name"] == name)
    return found


@pytest.fixture
def elsewhere() -> Iterator[IndexServer]:
    """A server of files that is not the project's index."""
    with IndexServer() as server:
        yield server


def test_a_wheel_by_its_url(tmp_path: Path, index: IndexServer, elsewhere: IndexServer) -> None:
    """A requirement may name its wheel's URL: the lock holds it with its hash, its dependencies come from the index, sync installs it."""
    index.add(build_wheel("a", "9.0"))
    index.add(build_wheel("b", "1.0"), upload_time="2019-01-01T00:00:00.000000Z")
    index.add(build_wheel("c", "1.0", requires=["a>=1"]), upload_time="2019-01-01T00:00:00.000000Z")
    wheel = build_wheel("a", "1.0", requires=["b"])
    elsewhere.add(wheel)
    url = f"{elsewhere.origin}/files/{wheel.filename}"
    digest = hashlib.sha256(wheel.content).hexdigest()
    folder = direct_project(tmp_path, index, f"a @ {url}#sha256={digest}", "c")
    locked(folder)
    assert {"a": "1.0", "b": "1.0", "c": "1.0"} == locked_versions(folder)
    assert [{"name": wheel.filename, "url": url, "hashes": {"sha256": digest}}] == entry(folder, "a")["wheels"]
    assert "index" not in entry(folder, "a")
    assert [] == [request.path for request in index.requests if "/a/" in request.path]
    synced = ran(folder, "sync")
    assert 0 == synced.code, synced.err
    assert "+ a==1.0" in synced.err
    assert "a==1.0" in ran(folder, "why", "a").out + ran(folder, "tree").out


def test_a_url_without_its_hash(tmp_path: Path, index: IndexServer, elsewhere: IndexServer) -> None:
    """A URL without a hash is downloaded once to compute it, and that is said."""
    wheel = build_wheel("a", "1.0")
    elsewhere.add(wheel)
    folder = direct_project(tmp_path, index, f"a @ {elsewhere.origin}/files/{wheel.filename}")
    found = ran(folder, "lock")
    assert 0 == found.code, found.err
    assert "its URL gives no sha256 for a-1.0-py3-none-any.whl" in found.err
    assert {"sha256": hashlib.sha256(wheel.content).hexdigest()} == entry(folder, "a")["wheels"][0]["hashes"]


@pytest.mark.parametrize(
    "written", ["./wheels/{}", "file:wheels/{}", "file://{folder}/wheels/{}", "{folder}/wheels/{}"]
)
def test_a_wheel_in_the_projects_folder(tmp_path: Path, index: IndexServer, written: str) -> None:
    """A local wheel is locked with its path from the lock's folder, however it is written; sync and bundle take it, offline too."""
    index.add(build_wheel("pip", "25.0"), upload_time="2019-01-01T00:00:00.000000Z")
    wheel = build_wheel("a", "1.0")
    folder = tmp_path / "project"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / wheel.filename).write_bytes(wheel.content)
    direct_project(folder, index, "a @ " + written.format(wheel.filename, folder=folder))
    locked(folder)
    relative = f"wheels/{wheel.filename}"
    assert relative == entry(folder, "a")["wheels"][0]["path"]
    synced = ran(folder, "sync", "--offline")
    assert 0 == synced.code, synced.err
    bundled = ran(folder, "bundle", "-o", str(tmp_path / "bundle"))
    assert 0 == bundled.code, bundled.err
    assert wheel.content == (tmp_path / "bundle" / "wheels" / wheel.filename).read_bytes()
    assert 0 == ran(folder, "check").code
    refused = ran(folder, "export")
    assert 2 == refused.code
    assert "a lies on this machine" in refused.err


def test_a_local_wheel_that_was_built_anew(tmp_path: Path, index: IndexServer) -> None:
    """sync installs the bytes that were locked and no others; `lock` sees that there are new ones, and takes them."""
    folder = direct_project(tmp_path, index, "a @ ./a-1.0-py3-none-any.whl")
    (folder / "a-1.0-py3-none-any.whl").write_bytes(build_wheel("a", "1.0").content)
    locked(folder)
    (folder / "a-1.0-py3-none-any.whl").write_bytes(build_wheel("a", "1.0", requires=["b"]).content)
    assert 1 == ran(folder, "lock", "--check").code
    refused = ran(folder, "sync")
    assert 1 == refused.code
    assert "pylock.toml is stale: a-1.0-py3-none-any.whl has changed since" in refused.err
    refused = ran(folder, "sync", "--frozen")
    assert 1 == refused.code
    assert "is not the file that was locked" in refused.err
    index.add(build_wheel("b", "1.0"), upload_time="2019-01-01T00:00:00.000000Z")
    locked(folder)
    assert 0 == ran(folder, "sync").code


def test_the_cap_holds_for_addresses_too(tmp_path: Path, index: IndexServer) -> None:
    """A wheel above the cap is refused, whoever names it, and the cap that it needs is named."""
    tag = f"{HERE.partition('-')[0]}-abi3-manylinux_2_28_x86_64"
    folder = direct_project(tmp_path, index, f"a @ ./a-1.0-{tag}.whl")
    (folder / f"a-1.0-{tag}.whl").write_bytes(build_wheel("a", "1.0", tag).content)
    refused = ran(folder, "lock")
    assert 1 == refused.code
    assert "needs glibc 2.28" in refused.err
    assert 0 == ran(folder, "lock", "--glibc", "2.28").code


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("a @ https://example.invalid/a-1.0.tar.gz", "is no wheel"),
        ("a @ git+https://example.invalid/a", "is not the address of a wheel"),
        ("a @ https://me:secret@example.invalid/a-1.0-py3-none-any.whl", "holds credentials"),
        ("a @ ../a-1.0-py3-none-any.whl", "lies outside the project"),
        ("a @ file:///srv/a-1.0-py3-none-any.whl", "lies outside the project"),
        ("a @ file://elsewhere.invalid/a-1.0-py3-none-any.whl", "lies on another machine"),
        ("a @ ./b-1.0-py3-none-any.whl", "is a wheel of b"),
        ("a @ ./a-x-py3-none-any.whl", "a name that no wheel can have"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, index: IndexServer, requirement: str, said: str) -> None:
    """An address that is no wheel's, leads out of the project or holds a password is a usage error."""
    found = ran(direct_project(tmp_path, index, requirement), "lock")
    assert 2 == found.code
    assert said in found.err


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "can't read"), (b"no wheel", "can't be used"), (build_wheel("a", "1.0").content, "is not the file that")],
)
def test_local_wheels_that_are_refused(tmp_path: Path, index: IndexServer, content: bytes | None, said: str) -> None:
    """A local wheel that is missing, broken or another than its hash says is an error with its path."""
    folder = direct_project(tmp_path, index, f"a @ ./a-1.0-py3-none-any.whl#sha256={'0' * 64}")
    if content:
        (folder / "a-1.0-py3-none-any.whl").write_bytes(content)
    found = ran(folder, "lock")
    assert 1 == found.code
    assert said in found.err
    assert "a-1.0-py3-none-any.whl" in found.err


def test_wheels_in_requirements_files(inputs: Path, index: IndexServer) -> None:
    """A wheel's mere path, relative to its own requirements file, is the requirement on it."""
    wheel = build_wheel("d", "1.0")
    (inputs / "deep").mkdir()
    (inputs / "deep" / wheel.filename).write_bytes(wheel.content)
    (inputs / "deep" / "d.in").write_text(f"./{wheel.filename} ; python_version > '3'\n")
    (inputs / "requirements.in").write_text("-r deep/d.in\nb\n")
    found = lock_inputs(inputs, index, *HERE_OPTIONS)
    assert 0 == found.code, found.err
    assert f"deep/{wheel.filename}" == entry(inputs, "d")["wheels"][0]["path"]


def test_the_environment_of_a_script_goes_as_a_whole(tmp_path: Path) -> None:
    """Clearing what is unused removes a script's environment only where no file of it was used since, and then all of it."""
    old, used = tmp_path / "scripts-1" / "old", tmp_path / "scripts-1" / "used"
    for folder in (old, used):
        (folder / "bin").mkdir(parents=True)
        for name in ("pyvenv.cfg", "bin/activate"):
            (folder / name).write_text("x")
            os.utime(folder / name, (1000, 1000))
    os.utime(used / "bin" / "activate", (3000, 3000))
    assert (2, 2) == maintenance.remove_unused(str(tmp_path), since=2000)
    assert not old.exists()
    assert (used / "pyvenv.cfg").exists()


@pytest.mark.online
@pytest.mark.parametrize("backend", [("hatchling", "hatchling.build"), ("setuptools>=64", "setuptools.build_meta")])
def test_real_backends_install_editable(tmp_path: Path, backend: tuple[str, str]) -> None:
    """hatchling and setuptools build a project in an environment of the public index's wheels, and its script runs."""
    (tmp_path / "src" / "demoproj").mkdir(parents=True)
    (tmp_path / "src" / "demoproj" / "__init__.py").write_text("def main():\n    print('hello')\n")
    (tmp_path / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{backend[0]}"]\nbuild-backend = "{backend[1]}"\n'
        '[project]\nname = "demoproj"\nversion = "1"\n[project.scripts]\ndemoproj = "demoproj:main"\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\n'
    )
    assert 0 == ran(tmp_path, "lock").code
    synced = ran(tmp_path, "sync")
    assert 0 == synced.code, synced.err
    assert "hello\n" == subprocess.check_output([tmp_path / ".venv" / "bin" / "demoproj"], text=True)
