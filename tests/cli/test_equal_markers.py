"""Targets that no marker distinguishes, such as 3.13 and 3.13t: the lock has one version of a package for them."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.commands import read_lock
from tests.support.index import IndexServer
from tests.support.projects import project, run
from tests.support.wheels import build_wheel

PYPROJECT = """[project]
name = "example"
version = "1"
dependencies = ["a"]
[tool.minglibc]
glibc = "2.17"
python = ["3.13", "3.13t"]
"""
BUILDS = ["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313t-manylinux_2_17_x86_64", "cp310-abi3-manylinux_2_17_x86_64"]


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.lists(st.sets(st.sampled_from([*BUILDS, "py3-none-any"]), min_size=1), min_size=1, max_size=4),
    st.lists(st.sets(st.sampled_from(BUILDS), min_size=1), min_size=1, max_size=3),
)
def test_free_threaded_python(a: list[set[str]], b: list[set[str]]) -> None:
    """For 3.13 and 3.13t, a lock has one version of each package; if no version has wheels for both, there is no lock."""
    common = all(any(_serves_both(tags) for tags in releases) for releases in (a, b))
    _check_one_version(PYPROJECT, {"a": a, "b": b}, common=common)


def _check_one_version(pyproject: str, wheels: Mapping[str, list[set[str]]], *, common: bool) -> None:
    """Check that targets with equal markers get the same versions of a and b, which a requires, if they have *common* versions."""
    with IndexServer(max_age=0) as index, TemporaryDirectory() as directory:
        for name, releases in wheels.items():
            for number, tags in enumerate(releases, 1):
                for tag in tags:
                    index.add(build_wheel(name, f"{number}.0", tag, requires=["b"] if name == "a" else []))
        folder = project(Path(directory), index, pyproject)
        ran = run(folder, "lock")
        assert (0 if common else 1) == ran.code, ran.err
        assert (folder / "pylock.toml").exists() == common
        if common:
            lock = read_lock(folder)
            versions: dict[str, set[str]] = {}
            for target in lock.targets:
                versions.setdefault(target.marker, set()).add(str(lock.versions(target)))
            assert {1} == set(map(len, versions.values()))


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
BOTH = ["py3-none-any", "py3-none-manylinux_2_17_x86_64.musllinux_1_2_x86_64"]
TOO_NEW = ["py3-none-manylinux_2_28_x86_64", "py3-none-musllinux_1_3_x86_64", "cp313-cp313t-musllinux_1_2_x86_64"]
libc_builds = st.sets(st.sampled_from([*GLIBC_BUILDS, *MUSL_BUILDS, *BOTH, *TOO_NEW]), min_size=1)


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(libc_builds, min_size=1, max_size=3), st.lists(libc_builds, min_size=1, max_size=3))
def test_both_c_libraries(a: list[set[str]], b: list[set[str]]) -> None:
    """The same for glibc and musl, with the free-threaded Python besides."""
    common = all(any(_serves_all(tags) for tags in releases) for releases in (a, b))
    _check_one_version(LIBCS, {"a": a, "b": b}, common=common)


def _serves_all(tags: set[str]) -> bool:
    """Whether 3.11, 3.13 and 3.13t have a wheel for both C libraries; the stable ABI does not support free threading."""
    both = bool(tags & {*BOTH})
    on_glibc = both or GLIBC_BUILDS[1] in tags
    on_musl = both or MUSL_BUILDS[1] in tags or (MUSL_BUILDS[0] in tags and TOO_NEW[2] in tags)
    return on_glibc and on_musl


def test_different_requirements(tmp_path: Path, index: IndexServer) -> None:
    """If the wheels of one release have different requirements, no lock can serve both targets, and none is written."""
    index.add(build_wheel("a", "1.0", BUILDS[0], requires=["b"]))
    index.add(build_wheel("a", "1.0", BUILDS[1]))
    index.add(build_wheel("b", "1.0"))
    folder = project(tmp_path, index, PYPROJECT)
    ran = run(folder, "lock")
    assert 1 == ran.code
    assert "CPython 3.13 on x86_64 with glibc 2.17 and CPython 3.13t on x86_64 with glibc 2.17" in ran.err
    assert "b 1.0" in ran.err
    assert not (folder / "pylock.toml").exists()
