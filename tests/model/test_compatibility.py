"""Compatibility checks of files for a target."""

from itertools import permutations

import pytest

from minglibc.model.compatibility import Cutoff, Reason, Rejection, TargetCompatibility
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target
from tests.support.pages import page_of

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("cp39-cp39-manylinux_2_28_x86_64", Rejection(Reason.GLIBC, "2.28")),
        ("cp39-cp39-manylinux_2_31_x86_64.manylinux_2_28_x86_64", Rejection(Reason.GLIBC, "2.28")),
        ("cp39-cp39-manylinux_2_28_aarch64", Rejection(Reason.ARCHITECTURE, "aarch64")),
        ("cp39-cp39-musllinux_1_2_x86_64", Rejection(Reason.MUSL)),
        ("cp39-cp39-linux_x86_64", Rejection(Reason.LINUX_TAG, "linux_x86_64")),
        ("cp39-cp39-win_amd64", Rejection(Reason.SYSTEM, "Windows")),
        ("cp39-cp39-macosx_11_0_arm64", Rejection(Reason.SYSTEM, "macOS")),
        ("cp310-cp310-manylinux_2_17_x86_64", Rejection(Reason.INTERPRETER, "CPython 3.10")),
        ("cp313-cp313t-manylinux_2_17_x86_64", Rejection(Reason.INTERPRETER, "CPython 3.13t")),
        ("pp39-pypy39_pp73-manylinux_2_17_x86_64", Rejection(Reason.INTERPRETER, "pp39-pypy39_pp73")),
    ],
)
def test_rejection_reasons(tail: str, expected: Rejection) -> None:
    """A wheel above the cap is rejected for its glibc, a wheel for another architecture for that, and so on."""
    assert expected == TargetCompatibility(TARGET).check_tags(tail)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("cp39-cp39-musllinux_1_2_x86_64", Rejection(Reason.NEWER_MUSL, "1.2")),
        ("cp39-cp39-musllinux_1_10_x86_64.musllinux_1_9_x86_64", Rejection(Reason.NEWER_MUSL, "1.9")),
        ("cp39-cp39-musllinux_2_0_x86_64", Rejection(Reason.NEWER_MUSL, "2.0")),
        ("cp39-cp39-musllinux_1_1_aarch64", Rejection(Reason.ARCHITECTURE, "aarch64")),
        ("cp39-cp39-manylinux_2_17_x86_64.manylinux2014_x86_64", Rejection(Reason.FOR_GLIBC)),
        ("cp39-cp39-manylinux_2_17_x86_64.musllinux_1_2_x86_64", Rejection(Reason.NEWER_MUSL, "1.2")),
        ("cp39-cp39-manylinux1_x86_64", Rejection(Reason.FOR_GLIBC)),
        ("cp39-cp39-linux_x86_64", Rejection(Reason.LINUX_TAG, "linux_x86_64")),
        ("cp39-cp39-musllinux_x86_64", Rejection(Reason.SYSTEM, "musllinux_x86_64")),
        ("cp310-cp310-musllinux_1_1_x86_64", Rejection(Reason.INTERPRETER, "CPython 3.10")),
    ],
)
def test_rejection_reasons_with_musl(tail: str, expected: Rejection) -> None:
    """A target with musl rejects wheels for glibc, and wheels for a newer musl with its version."""
    assert expected == TargetCompatibility(TARGET._replace(cap=MuslVersion(1, 1))).check_tags(tail)


def test_cap_that_resolves_a_rejection() -> None:
    """`needs` is the cap that would make the file compatible, even if no such version exists; None for other reasons."""
    refused = {"2.28": Reason.GLIBC, "3.1": Reason.GLIBC, "1.2": Reason.NEWER_MUSL, "": Reason.FOR_GLIBC}
    needs = [Rejection(reason, detail).needs for detail, reason in refused.items()]
    assert [GlibcVersion(2, 28), GlibcVersion(3, 1), MuslVersion(1, 2), None] == needs


@pytest.mark.parametrize(
    "tail",
    ["cp39-cp39-manylinux_2_27_x86_64", "cp36-abi3-manylinux1_x86_64", "cp39-cp39-manylinux_2_28_x86_64.manylinux_2_12_x86_64",
     "py2.py3-none-any", "cp39-none-any"],
)  # fmt: skip
def test_one_compatible_tag_is_enough(tail: str) -> None:
    """A wheel is compatible if one tag of its compressed set is."""
    assert isinstance(TargetCompatibility(TARGET).check_tags(tail), int)


def test_best_wheel_and_build_tag() -> None:
    """The wheel with the newest glibc within the cap is selected; for equal tags, the one with the higher build number."""
    page = page_of(
        "a-1.0-py3-none-any.whl",
        "a-1.0-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-2-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-10-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-cp39-cp39-manylinux_2_28_x86_64.whl",
    )
    best = TargetCompatibility(TARGET).best(page, 0)
    assert best is not None
    assert "a-1.0-10-cp39-cp39-manylinux_2_17_x86_64.whl" == best.filename


@pytest.mark.parametrize(
    ("best", "others"),
    [
        # The build number, not compared as text; a wheel without a build tag comes last.
        (
            "a-1.0-10-py3-none-any.whl",
            ["a-1.0-9-py3-none-any.whl", "a-1.0-1-py3-none-any.whl", "a-1.0-py3-none-any.whl"],
        ),
        # The suffix of the build tag.
        ("a-1.0-1b-py3-none-any.whl", ["a-1.0-1a-py3-none-any.whl", "a-1.0-1-py3-none-any.whl"]),
        # The file name, where the best compatible tag is the same.
        ("a-1.0-py2.py3-none-any.whl", ["a-1.0-py3-none-any.whl", "a-1.0-py3.py4-none-any.whl"]),
        # The build tag before the file name.
        ("a-1.0-1-py3-none-any.whl", ["a-1.0-py2.py3-none-any.whl", "a-1.0-py3-none-any.whl"]),
        # The best tag before the build tag.
        ("a-1.0-cp39-cp39-manylinux_2_17_x86_64.whl", ["a-1.0-7-py3-none-any.whl", "a-1.0-py3-none-any.whl"]),
    ],
    ids=["build number", "build suffix", "file name", "build tag before file name", "tag before build tag"],
)
def test_a_tie_does_not_depend_on_the_order_of_the_page(best: str, others: list[str]) -> None:
    """Of wheels with the same best tag, the build tag decides, then the file name."""
    for filenames in permutations([best, *others]):
        selected = TargetCompatibility(TARGET).best(page_of(*filenames), 0)
        assert selected is not None
        assert best == selected.filename


def test_the_source_distribution_does_not_depend_on_the_order_of_the_page() -> None:
    """Of several source distributions of a release, the same one is selected in any order."""
    selected = {
        str(TargetCompatibility(TARGET, allow_sdist={"a"}).best(page_of(*filenames), 0))
        for filenames in permutations(["a-1.0.tar.gz", "a-1.0.zip"])
    }
    assert 1 == len(selected)


def test_allow_linux_tag() -> None:
    """A linux tag is only compatible for projects in allow-linux-tag."""
    page = page_of("a-1.0-cp39-cp39-linux_x86_64.whl")
    assert TargetCompatibility(TARGET).best(page, 0) is None
    assert TargetCompatibility(TARGET, allow_linux_tag=["a"]).best(page, 0) is not None
    assert TargetCompatibility(TARGET, allow_linux_tag=["b"]).best(page, 0) is None


def test_requires_python_at_the_newest_patch() -> None:
    """``!=3.9.0,!=3.9.1,>=3.9`` admits "3.9" and refuses "3.9.1"."""
    page = page_of("a-1.0-py3-none-any.whl", requires_python="!=3.9.0,!=3.9.1,>=3.9")
    assert TargetCompatibility(TARGET).best(page, 0) is not None
    exact = TargetCompatibility(TARGET._replace(python=PythonVersion(9, 1)))
    assert [Rejection(Reason.REQUIRES_PYTHON, "!=3.9.0,!=3.9.1,>=3.9")] == exact.rejections(page, 0)


@pytest.mark.parametrize(
    ("uploaded", "fits"),
    [
        ("2026-01-01T23:59:59.999999Z", True),
        ("2026-01-02T00:00:00Z", False),
        ("2026-01-02T00:00:00.1Z", False),
        ("", False),
    ],
)
def test_exclude_newer(uploaded: str, fits: bool) -> None:  # noqa: FBT001  a table's column
    """``!=3.9.0,!=3.9.1,>=3.9`` allows "3.9" and excludes "3.9.1"."""
    page = page_of("a-1.0-py3-none-any.whl", upload_time=uploaded)
    compatibility = TargetCompatibility(TARGET, exclude_newer=Cutoff("2026-01-02T00:00:00"))
    assert fits == (compatibility.best(page, 0) is not None)
