"""What an index lists, and which of it a target can run."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.index.json_page import RawFile
from minglibc.index.page_file import File
from minglibc.insight.held_back import needed_cap
from minglibc.model.artifacts import Wheel
from minglibc.model.compatibility import Cutoff, Reason, Rejection, TargetCompatibility
from minglibc.model.core_metadata import CoreMetadata, check_metadata, parse_metadata
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))


def _page(*filenames: str, requires_python: str | None = None, upload_time: str | None = None) -> ProjectPage:
    files = [
        File(
            filename,
            f"../files/{filename}",
            {"sha256": "0" * 64},
            requires_python=requires_python,
            upload_time=upload_time,
        )
        for filename in filenames
    ]
    return reduce_files("a", files, base_url="https://example.invalid/simple/a/")


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
def test_refusals_keep_their_reason(tail: str, expected: Rejection) -> None:
    """A wheel above the cap is refused for its glibc, another architecture's for that, and so on."""
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
def test_refusals_of_a_target_with_musl(tail: str, expected: Rejection) -> None:
    """Of a wheel for another C library that is told, of one for a newer musl which it needs."""
    assert expected == TargetCompatibility(TARGET._replace(cap=MuslVersion(1, 1))).check_tags(tail)


def test_a_tag_set_may_name_both_c_libraries() -> None:
    """The oldest of each is what the wheel promises to run on; a pure wheel promises nothing of either."""
    tail = "py3-none-manylinux_2_28_x86_64.manylinux2014_x86_64.musllinux_1_2_x86_64.musllinux_1_1_x86_64"
    assert {"glibc": GlibcVersion(2, 17), "musl": MuslVersion(1, 1)} == lowest_libcs(tail)
    assert {} == lowest_libcs("py3-none-any")


@pytest.mark.parametrize(
    "platform",
    [
        "musllinux_1_x86_64",
        "manylinux_2",
        "manylinux_²_17_x86_64",
        "musllinux_1_" + "9" * 5000 + "_x86_64",
        "manylinux",
        "_",
        "",
    ],
)
def test_what_names_no_c_library(platform: str) -> None:
    """A platform that no standard has promises nothing, however it looks."""
    assert {} == lowest_libcs(f"py3-none-{platform}")


def test_what_no_cap_lifts_needs_none() -> None:
    """A refusal tells the cap that would lift it, even a release that there never was, and no other does."""
    refused = {"2.28": Reason.GLIBC, "3.1": Reason.GLIBC, "1.2": Reason.NEWER_MUSL, "": Reason.FOR_GLIBC}
    needs = [Rejection(reason, detail).needs for detail, reason in refused.items()]
    assert [GlibcVersion(2, 28), GlibcVersion(3, 1), MuslVersion(1, 2), None] == needs


@pytest.mark.parametrize(
    "tail",
    ["cp39-cp39-manylinux_2_27_x86_64", "cp36-abi3-manylinux1_x86_64", "cp39-cp39-manylinux_2_28_x86_64.manylinux_2_12_x86_64",
     "py2.py3-none-any", "cp39-none-any"],
)  # fmt: skip
def test_any_tag_of_the_set_is_enough(tail: str) -> None:
    """A wheel fits if one tag of its compressed set does."""
    assert isinstance(TargetCompatibility(TARGET).check_tags(tail), int)


def test_best_wheel_and_build_tag() -> None:
    """The newest glibc within the cap wins; between equal tags the higher build number does."""
    page = _page(
        "a-1.0-py3-none-any.whl",
        "a-1.0-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-2-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-10-cp39-cp39-manylinux_2_17_x86_64.whl",
        "a-1.0-cp39-cp39-manylinux_2_28_x86_64.whl",
    )
    best = TargetCompatibility(TARGET).best(page, 0)
    assert best is not None
    assert "a-1.0-10-cp39-cp39-manylinux_2_17_x86_64.whl" == best.filename


def test_linux_tag_only_for_the_named() -> None:
    """A bare linux tag fits only for a project that the setting names."""
    page = _page("a-1.0-cp39-cp39-linux_x86_64.whl")
    assert TargetCompatibility(TARGET).best(page, 0) is None
    assert TargetCompatibility(TARGET, allow_linux_tag=["a"]).best(page, 0) is not None
    assert TargetCompatibility(TARGET, allow_linux_tag=["b"]).best(page, 0) is None


def test_requires_python_is_judged_at_the_newest_patch() -> None:
    """``!=3.9.0,!=3.9.1,>=3.9`` admits "3.9" and refuses "3.9.1"."""
    page = _page("a-1.0-py3-none-any.whl", requires_python="!=3.9.0,!=3.9.1,>=3.9")
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
    """A file uploaded at the cutoff or later is too new, and one without a time is not taken on trust."""
    page = _page("a-1.0-py3-none-any.whl", upload_time=uploaded)
    compatibility = TargetCompatibility(TARGET, exclude_newer=Cutoff("2026-01-02T00:00:00"))
    assert fits == (compatibility.best(page, 0) is not None)


def test_spellings_of_a_version_come_together() -> None:
    """1.0 and 1.0.0 are one version, and 1.10 is above 1.9."""
    page = _page("a-1.9-py3-none-any.whl", "a-1.10-py3-none-any.whl", "A-1.0-py3-none-any.whl", "a-1.0.0.tar.gz")
    assert ["1.0", "1.9", "1.10"] == [text.removesuffix(".0.0") for text in page.versions.texts]


def test_strangers_are_passed_over() -> None:
    """A file of another project, of no version, or with a path for a name is skipped and named."""
    strangers = ["b-1.0-py3-none-any.whl", "..-1-py3-none-any.whl", "a-x-py3-none-any.whl", "../a-1.0-py3-none-any.whl"]
    page = _page("a-1.0-py3-none-any.whl", *strangers)
    assert ["1.0"] == list(page.versions.texts)
    assert strangers == list(page.skipped)


def test_relative_urls_are_resolved() -> None:
    """A relative URL is resolved against the page's own."""
    assert (
        "https://example.invalid/simple/files/a-1.0-py3-none-any.whl"
        == _page("a-1.0-py3-none-any.whl").wheels(0)[0].url
    )


def test_page_survives_the_cache() -> None:
    """A page that was dumped and loaded is the same page."""
    page = _page(
        "a-1.0-py3-none-any.whl", "a-1.0-cp39-cp39-win_amd64.whl", "a-2.0.tar.gz", "a-2.0-cp39-cp39-linux_x86_64.whl"
    )
    head, lines = page.dump()
    again = ProjectPage.load(msgspec.json.decode(msgspec.json.encode(head)), lines)
    for position in range(len(page.versions)):
        assert page.wheels(position) == again.wheels(position)
        assert page.foreign(position) == again.foreign(position)
        assert page.sdists(position) == again.sdists(position)
    assert page.versions.texts == again.versions.texts


def test_metadata_is_read_down_to_the_blank_line() -> None:
    """Folded lines belong to their field, and the description is never read."""
    text = "Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\nRequires-Dist: c;\n  extra == 'x'\nProvides-Extra: x\n\nName: evil\n"
    assert CoreMetadata("A.b", "1.0", ("c; extra == 'x'",), "", ("x",)) == parse_metadata(text)


@pytest.mark.parametrize("text", ["", "Name: a\n", "Version: 1\n\nName: a\n"])
def test_metadata_without_name_or_version(text: str) -> None:
    """METADATA that doesn't say what it is of is refused."""
    with pytest.raises(ValueError, match="no Name or no Version"):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("metadata", "wrong"), [(("B", "1.0"), True), (("A", "2"), True), (("A", "x"), True), (("A", "1.0.0"), False)]
)
def test_metadata_must_be_the_wheels(metadata: tuple[str, str], wrong: bool) -> None:  # noqa: FBT001  a table's column
    """Metadata of another project or version is refused."""
    wheel = Wheel("a", "1.0", "a-1.0-py3-none-any.whl", "https://example.invalid/a-1.0-py3-none-any.whl")
    assert wrong == bool(check_metadata(CoreMetadata(*metadata), wheel))


PYTHONS = st.sampled_from([None, "", ">=3.6", ">=3.10", "<3.9", ">=3.9,<4", ">=3.10 ", "3 or so", '"', "\\", ">=3.10é"])
TAILS = st.sampled_from(
    ["py3-none-any", "cp39-cp39-manylinux_2_17_x86_64", "cp39-cp39-manylinux_2_28_x86_64", "cp39-cp39-win32"]
)
FILES = st.lists(st.tuples(TAILS, PYTHONS), min_size=1, max_size=4, unique_by=lambda file: file[0])


@given(FILES, PYTHONS, st.booleans())
def test_a_glance_sees_nothing_that_a_look_does_not(
    wheels: list[tuple[str, str | None]],
    source: str | None,
    has_source: bool,  # noqa: FBT001  as Hypothesis passes it
) -> None:
    """Whatever files of a release ask for, and whatever they hold of another's words, a page that was looked at is judged alike."""
    names = [(f"a-1-{tail}.whl", python) for tail, python in wheels] + [("a-1.tar.gz", source)] * has_source
    files = [RawFile(name, f'../"requires-python":">=3.10"/{name}', requires_python=python) for name, python in names]
    found = []
    for looks in (False, True):
        page = reduce_files("a", files, base_url="https://example.invalid/simple/a/")
        compatibility = TargetCompatibility(TARGET, allow_sdist=["a"])
        if looks:
            page.tag_sets(0)
        found.append(
            (needed_cap(compatibility, page, 0), compatibility.best(page, 0), compatibility.rejections(page, 0))
        )
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("python", "seen"), [(">=3.10", True), (">=3.9", False), (None, False), (">=3.10,", True), ("3 or so", False)]
)
def test_a_glance_sees_releases_for_other_pythons(python: str | None, seen: bool) -> None:  # noqa: FBT001  a parameter of the table
    """That a release is for other Pythons is seen without decoding its files, where all of them say the same."""
    page = _page("a-1-py3-none-any.whl", "a-1-cp310-cp310-win32.whl", requires_python=python)
    assert seen is page.is_excluded(0, TargetCompatibility(TARGET)._excludes_python)


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_metadata_fields_end_only_at_line_ends(separator: str) -> None:
    """Characters that Python's splitlines() splits at may occur within a field."""
    text = f"Name: a\r\nVersion: 1\r\nSummary: one{separator}two\r\nRequires-Dist: b\r\n\r\nbody: c\r\n"
    assert ("b",) == parse_metadata(text).requires_dist
