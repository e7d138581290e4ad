"""The fields of METADATA."""

import pytest

from minglibc.model.artifacts import Wheel
from minglibc.model.core_metadata import CoreMetadata, check_metadata, parse_metadata


def test_metadata_ends_at_the_blank_line() -> None:
    """Folded lines belong to their field, and the description is not read."""
    text = "Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\nRequires-Dist: c;\n  extra == 'x'\nProvides-Extra: x\n\nName: evil\n"
    assert CoreMetadata("A.b", "1.0", ("c; extra == 'x'",), "", ("x",)) == parse_metadata(text)


@pytest.mark.parametrize("text", ["", "Name: a\n", "Version: 1\n\nName: a\n"])
def test_metadata_without_name_or_version(text: str) -> None:
    """METADATA without a name or version is an error."""
    with pytest.raises(ValueError, match="no Name or no Version"):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("metadata", "wrong"), [(("B", "1.0"), True), (("A", "2"), True), (("A", "x"), True), (("A", "1.0.0"), False)]
)
def test_metadata_of_another_wheel(metadata: tuple[str, str], wrong: bool) -> None:  # noqa: FBT001  a table's column
    """Metadata of another project or version is rejected."""
    wheel = Wheel("a", "1.0", "a-1.0-py3-none-any.whl", "https://example.invalid/a-1.0-py3-none-any.whl")
    assert wrong == bool(check_metadata(CoreMetadata(*metadata), wheel))


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_metadata_fields_end_only_at_line_ends(separator: str) -> None:
    """Characters that Python's splitlines() splits at may occur within a field."""
    text = f"Name: a\r\nVersion: 1\r\nSummary: one{separator}two\r\nRequires-Dist: b\r\n\r\nbody: c\r\n"
    assert ("b",) == parse_metadata(text).requires_dist
