"""Projects as people have them: fleets with names, groups that quarrel, requirements files, scripts."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.commands import Ran, minglibc, read_lock
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
    """A name that no target has is a usage error that lists every name, with the made-up ones beside."""
    found = ran(fleet, command, "--target", "toasters", *(["true"] if command == "run" else []))
    assert 2 == found.code
    assert "no target 'toasters'" in found.err
    assert f"controllers ({HERE}), gateways (cp311-aarch64-glibc2.31)" in found.err


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
    with IndexServer(max_age=0) as index, TemporaryDirectory() as place:
        for name, requires, releases in (("a", ["b"], a), ("b", [], b)):
            for number, tags in enumerate(releases, 1):
                for tag in tags:
                    index.add(build_wheel(name, f"{number}.0", tag, requires=requires))
        folder = project(Path(place), index, SISTERS)
        found = ran(folder, "lock")
        common = [any(_serves_both(tags) for tags in releases) for releases in (a, b)]
        assert (0 if all(common) else 1) == found.code, found.err
        assert (folder / "pylock.toml").exists() == (found.code == 0)
        if found.code == 0:
            lock = read_lock(folder)
            assert lock.versions(lock.targets[0]) == lock.versions(lock.targets[1])


def _serves_both(tags: set[str]) -> bool:
    return "py3-none-any" in tags or (BUILDS[1] in tags and bool(tags & {BUILDS[0], BUILDS[2]}))


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
