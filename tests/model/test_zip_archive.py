"""Members of zip archives, read without the rest of the directory."""

import io
import zipfile
from collections.abc import Callable

import pytest

from minglibc.model.zip_archive import open_members

SUFFIX = b".dist-info/METADATA"


def archive(names: dict[str, bytes], *, comment: bytes = b"") -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in names.items():
            written.writestr(name, content)
        written.comment = comment
    return buffer.getvalue()


FILES = {f"a/{number}.py": b"x" * number for number in range(50)}
METADATA = "a-1.dist-info/METADATA"
WHEEL = archive({**FILES, METADATA: b"Name: a\n" * 90, "a-1.dist-info/RECORD": b""})


@pytest.mark.parametrize(
    "content",
    [
        WHEEL,
        archive({METADATA: b"Name: a\n" * 90, **FILES}),
        archive({**FILES, METADATA: b"Name: a\n" * 90}, comment=b"PK\x01\x02 and more"),
        b"#!/bin/sh\n" + WHEEL,
    ],
)
def test_one_member_is_read(content: bytes) -> None:
    """Only the members with the suffix are listed, wherever they are, also with a comment and after other data."""
    with open_members(io.BytesIO(content), SUFFIX) as opened:
        assert [METADATA] == opened.namelist()
        assert b"Name: a\n" * 90 == opened.read(METADATA)


def test_no_member_and_several() -> None:
    """All members with the suffix are listed."""
    with open_members(io.BytesIO(archive(FILES)), SUFFIX) as opened:
        assert [] == opened.namelist()
    names = [METADATA, "b-1.dist-info/METADATA"]
    with open_members(io.BytesIO(archive({**FILES, **dict.fromkeys(names, b"")})), SUFFIX) as opened:
        assert names == opened.namelist()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"PK\x01\x02", b"PK\x09\x02", 1),
        lambda data: data.replace(b"PK\x03\x04", b"PK\x09\x04"),
        lambda _data: b"",
    ],
)
def test_a_damaged_archive_is_no_archive(damage: Callable[[bytes], bytes]) -> None:
    """An archive whose directory or local headers are damaged raises BadZipFile, as with zipfile."""
    with pytest.raises(zipfile.BadZipFile), open_members(io.BytesIO(damage(WHEEL)), SUFFIX) as opened:
        opened.read(METADATA)
