"""Which files a selection has."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.model.compatibility import Rejection, TargetCompatibility
from minglibc.model.targets import PythonVersion, Target
from minglibc.serve.filtering import Filter
from minglibc.serve.routes import parse_cap, parse_selection


class File(NamedTuple):
    """An entry of a page."""

    filename: str


TAGS = {
    "py3-none-any": "kept",
    "cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64": "kept",
    "cp39-cp39-manylinux1_i686": "kept",
    "cp39-cp39-manylinux_2_27_aarch64": "kept",
    "cp39-cp39-manylinux_2_28_x86_64": "needs glibc 2.28",
    "cp39-cp39-manylinux_2_34_x86_64.manylinux_2_28_x86_64": "needs glibc 2.28",
    # An installer may use either tag.
    "cp39-cp39-manylinux_2_17_aarch64.manylinux_2_34_x86_64": "needs glibc 2.34",
    "cp39-cp39-manylinux_2_34_x86_64.macosx_11_0_arm64": "needs glibc 2.34",
    "cp39-cp39-manylinux_2_17_x86_64.musllinux_1_1_x86_64": "kept",
    "cp39-cp39-musllinux_1_1_x86_64": "is built for musl",
    "cp39-cp39-linux_x86_64": "is tagged linux_x86_64, which says nothing of its C library",
    "cp39-cp39-manylinux_2_17_aarch64.linux_x86_64": "is tagged linux_x86_64, which says nothing of its C library",
    "cp39-cp39-macosx_11_0_arm64": "is built for macOS",
    "cp39-cp39-win_amd64": "is built for Windows",
    "cp39-cp39-pyodide_2025_0_wasm32": "is built for pyodide",
}


def verdict(path: str, filename: str, *admitted: str, name: str = "a") -> str:
    """``kept``, or why a file is removed."""
    kept, removed = Filter(parse_selection(path.split("/")), admitted).apply(name, [File(filename)])
    return "kept" if kept else str(removed[0].rejection)


@pytest.mark.parametrize(("tags", "expected"), TAGS.items(), ids=TAGS)
def test_wheels(tags: str, expected: str) -> None:
    """A glibc cap removes wheels above it, of musl, of other systems, and those whose C library is unknown."""
    assert expected == verdict("glibc-2.27", f"a-1.0-{tags}.whl")


@pytest.mark.parametrize(
    ("path", "tags", "expected"),
    [
        ("musl-1.1", "cp39-cp39-musllinux_1_1_x86_64", "kept"),
        ("musl-1.1", "cp39-cp39-musllinux_1_2_x86_64", "needs musl 1.2"),
        ("musl-1.1", "cp39-cp39-manylinux1_x86_64", "is built for glibc"),
        ("musl-1.1", "cp39-cp39-manylinux1_x86_64.musllinux_1_1_x86_64", "kept"),
        ("glibc-2.27/x86_64", "cp39-cp39-manylinux_2_17_aarch64", "is built for aarch64"),
        ("glibc-2.27/x86_64", "cp39-cp39-manylinux_2_17_x86_64.manylinux_2_34_aarch64", "kept"),
        ("glibc-2.27/cp39", "cp38-cp38-manylinux_2_17_x86_64", "is built for CPython 3.8"),
        ("glibc-2.27/cp39", "cp38-abi3-manylinux_2_17_x86_64", "kept"),
        ("glibc-2.27/cp39", "cp310-abi3-manylinux_2_17_x86_64", "is built for cp310-abi3"),
        ("glibc-2.27/cp39", "cp38-none-any", "is built for CPython 3.8"),
        ("glibc-2.27/cp39", "py2.py3-none-any", "kept"),
        ("glibc-2.27/cp39", "py2-none-any", "is built for CPython 2"),
        ("glibc-2.27/cp39", "pp39-pypy39_pp73-manylinux_2_17_x86_64", "is built for pp39-pypy39_pp73"),
        ("glibc-2.27/cp313t", "cp313-cp313t-manylinux_2_17_x86_64", "kept"),
        ("glibc-2.27/cp313t", "cp313-cp313-manylinux_2_17_x86_64", "is built for CPython 3.13"),
    ],
)
def test_selected_wheels(path: str, tags: str, expected: str) -> None:
    """A path may also select the C library, the architecture and the Python."""
    assert expected == verdict(path, f"a-1.0-{tags}.whl")


def test_admitted_files() -> None:
    """Options of the server add wheels for other systems and source distributions, never Linux wheels above the cap."""
    assert "kept" == verdict("rhel-8", "a-1.0-cp39-cp39-macosx_11_0_arm64.whl", "macos")
    assert "is built for Windows" == verdict("rhel-8", "a-1.0-cp39-cp39-win_amd64.whl", "macos", "sdist")
    assert "kept" == verdict("rhel-8", "a-1.0.tar.gz", "sdist")
    assert "has no wheel" == verdict("rhel-8", "a-1.0.tar.gz", "macos", "windows")
    assert "needs glibc 2.34" == verdict(
        "rhel-8", "a-1.0-cp39-cp39-manylinux_2_34_x86_64.macosx_11_0_arm64.whl", "macos", "windows", "sdist"
    )


@pytest.mark.parametrize(
    "filename",
    [
        "b-1.0-py3-none-any.whl",
        "a-1.0.egg",
        "a-1.0-py3-none.whl",
        "a-one-py3-none-any.whl",
        "a-1.0.linux-x86_64.tar.gz",
        "a-1.0.win-amd64-py3.9.exe",
        "a-1.0-py3-none-any.whl.asc",
        "../a-1.0-py3-none-any.whl",
        'a-1.0-py3-none-any"><script>.whl',
        "",
    ],
)
def test_invalid_names(filename: str) -> None:
    """Files of another format or project are removed."""
    kept, _ = Filter(parse_selection(["rhel-8"]), ("macos", "windows", "sdist")).apply("a", [File(filename)])
    assert not kept


PARTS = st.tuples(
    st.sampled_from(["cp39", "cp38", "cp310", "py3", "py2.py3", "cp313", "pp39"]),
    st.sampled_from(["cp39", "abi3", "none", "cp38", "cp313t", "cp39.abi3"]),
    st.lists(
        st.sampled_from(
            [
                *("any", "linux_x86_64", "manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64"),
                *("manylinux_2_34_x86_64", "manylinux2014_aarch64", "musllinux_1_1_x86_64", "win_amd64"),
            ]
        ),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)


@settings(max_examples=25)
@given(PARTS, st.sampled_from(["glibc-2.17", "glibc-2.28", "musl-1.2"]), st.sampled_from(["9", "13t"]))
def test_complete_selections_are_targets(parts: tuple[str, str, list[str]], cap: str, python: str) -> None:
    """A selection with an architecture and a Python keeps the wheels that a target of `lock` can use."""
    interpreter, abi, platforms = parts
    tags = f"{interpreter}-{abi}-{'.'.join(platforms)}"
    target = Target(PythonVersion.parse(f"3.{python}"), "x86_64", parse_cap(cap))
    expected = not isinstance(TargetCompatibility(target).check_tags(tags), Rejection)
    assert expected == ("kept" == verdict(f"{cap}/x86_64/cp3{python}", f"a-1.0-{tags}.whl"))
