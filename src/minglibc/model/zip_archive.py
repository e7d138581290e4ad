"""Opens zip archives whose directory is small enough to be read."""

import struct
import zipfile
from typing import IO, Any

from minglibc.model.limits import MAX_MEMBERS

_MAX_DIRECTORY = 32 << 20
_END, _LOCATOR, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
_ENTRY_MAGIC, _END_MAGIC, _LOCATOR_MAGIC, _END64_MAGIC = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
# The longest comment of an archive.
_MAX_COMMENT = 1 << 16


def open_zip(file: Any) -> zipfile.ZipFile:
    """The zip archive in the seekable *file*; raises BadZipFile also where its directory is too large to be read."""
    end, size = _find_end(file)
    if size > _MAX_DIRECTORY:
        raise zipfile.BadZipFile(f"its directory has {size} bytes")
    file.seek(max(0, end - size))
    # zipfile creates an object for each entry, whatever number the end of the archive states.
    if file.read(min(size, end)).count(_ENTRY_MAGIC) > MAX_MEMBERS:
        raise zipfile.BadZipFile(f"it has more than {MAX_MEMBERS} members")
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (NotImplementedError, ValueError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error
    # zipfile ends a name at a null byte, and fails later for a member without a name.
    if not all(archive.namelist()):
        raise zipfile.BadZipFile("it has a member without a name")
    return archive


def _find_end(file: IO[bytes]) -> tuple[int, int]:
    """Where the directory ends and its size, found as zipfile does; raises BadZipFile where there is none."""
    length = file.seek(0, 2)
    position = length - _END.size
    if position < 0:
        raise zipfile.BadZipFile("File is not a zip file")
    file.seek(position)
    record = file.read(_END.size)
    if not record.startswith(_END_MAGIC) or not record.endswith(b"\0\0"):
        start = max(0, position - _MAX_COMMENT)
        file.seek(start)
        tail = file.read(length - start)
        found = tail.rfind(_END_MAGIC)
        record = tail[found : found + _END.size]
        position = start + found
        if found < 0 or len(record) < _END.size:
            raise zipfile.BadZipFile("File is not a zip file")
    size = int(_END.unpack(record)[5])
    return _find_end64(file, position) or (position, size)


def _find_end64(file: IO[bytes], position: int) -> tuple[int, int] | None:
    """The same for the extension for large archives, whose records are before the end record at *position*."""
    start = position - _LOCATOR.size - _END64.size
    if start < 0:
        return None
    file.seek(start)
    data = file.read(_LOCATOR.size + _END64.size)
    if not data.startswith(_END64_MAGIC) or data[_END64.size :][:4] != _LOCATOR_MAGIC:
        return None
    return start, int(_END64.unpack(data[: _END64.size])[8])
