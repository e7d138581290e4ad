"""Project pages: files by version."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.index.json_page import RawFile
from minglibc.insight.held_back import needed_cap
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.limits import MAX_FILENAME, are_filenames, is_filename
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from tests.support.pages import page_of

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 27))


def test_equal_versions_are_grouped() -> None:
    """1.0 and 1.0.0 are one version, and 1.10 is above 1.9."""
    page = page_of("a-1.9-py3-none-any.whl", "a-1.10-py3-none-any.whl", "A-1.0-py3-none-any.whl", "a-1.0.0.tar.gz")
    assert ["1.0", "1.9", "1.10"] == [text.removesuffix(".0.0") for text in page.versions.texts]


@given(
    st.lists(st.text(st.sampled_from("a1.-_+!\n/é"), max_size=30) | st.just("a" * MAX_FILENAME + ".whl"), max_size=4)
)
def test_file_names_are_checked_together(names: list[str]) -> None:
    """Names that are accepted together are each accepted alone, and plain names are accepted together."""
    if are_filenames(names):
        assert all(map(is_filename, names))
    else:
        assert not all(is_filename(name) and name.count(".") < 20 for name in names)


def test_invalid_files_are_skipped() -> None:
    """Files of another project, with an invalid version or with a path as name are skipped and listed."""
    invalid = ["b-1.0-py3-none-any.whl", "..-1-py3-none-any.whl", "a-x-py3-none-any.whl", "../a-1.0-py3-none-any.whl"]
    page = page_of("a-1.0-py3-none-any.whl", *invalid)
    assert ["1.0"] == list(page.versions.texts)
    assert invalid == list(page.skipped)


def test_relative_urls_are_resolved() -> None:
    """A relative URL is resolved against the URL of the page."""
    assert (
        "https://example.invalid/simple/files/a-1.0-py3-none-any.whl"
        == page_of("a-1.0-py3-none-any.whl").wheels(0)[0].url
    )


def test_dump_and_load() -> None:
    """A page that is dumped and loaded has the same files."""
    page = page_of(
        "a-1.0-py3-none-any.whl", "a-1.0-cp39-cp39-win_amd64.whl", "a-2.0.tar.gz", "a-2.0-cp39-cp39-linux_x86_64.whl"
    )
    head, lines = page.dump()
    again = ProjectPage.load(msgspec.json.decode(msgspec.json.encode(head)), lines)
    for position in range(len(page.versions)):
        assert page.wheels(position) == again.wheels(position)
        assert page.foreign(position) == again.foreign(position)
        assert page.sdists(position) == again.sdists(position)
    assert page.versions.texts == again.versions.texts


PYTHONS = st.sampled_from([None, "", ">=3.6", ">=3.10", "<3.9", ">=3.9,<4", ">=3.10 ", "3 or so", '"', "\\", ">=3.10é"])


TAILS = st.sampled_from(
    ["py3-none-any", "cp39-cp39-manylinux_2_17_x86_64", "cp39-cp39-manylinux_2_28_x86_64", "cp39-cp39-win32"]
)


FILES = st.lists(st.tuples(TAILS, PYTHONS), min_size=1, max_size=4, unique_by=lambda file: file[0])


@given(FILES, PYTHONS, st.booleans())
def test_is_excluded_agrees_with_the_full_check(
    wheels: list[tuple[str, str | None]],
    source: str | None,
    has_source: bool,  # noqa: FBT001  as Hypothesis passes it
) -> None:
    """The result for a release is the same whether or not its line was decoded first."""
    names = [(f"a-1-{tail}.whl", python) for tail, python in wheels] + [("a-1.tar.gz", source)] * has_source
    files = [RawFile(name, f'../"requires-python":">=3.10"/{name}', requires_python=python) for name, python in names]
    results = []
    for decoded_first in (False, True):
        page = reduce_files("a", files, base_url="https://example.invalid/simple/a/")
        compatibility = TargetCompatibility(TARGET, allow_sdist=["a"])
        if decoded_first:
            page.tag_sets(0)
        results.append(
            (needed_cap(compatibility, page, 0), compatibility.best(page, 0), compatibility.rejections(page, 0))
        )
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("python", "excluded"), [(">=3.10", True), (">=3.9", False), (None, False), (">=3.10,", True), ("3 or so", False)]
)
def test_is_excluded(python: str | None, excluded: bool) -> None:  # noqa: FBT001  a parameter of the table
    """A release for other Pythons is detected without decoding its files if all have the same Requires-Python."""
    page = page_of("a-1-py3-none-any.whl", "a-1-cp310-cp310-win32.whl", requires_python=python)
    assert excluded is page.is_excluded(0, TargetCompatibility(TARGET)._excludes_python)
