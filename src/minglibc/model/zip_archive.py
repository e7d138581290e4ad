"""Opens zip archives whose directory is small enough to be read."""

import io
import struct
import zipfile
from typing import IO, Any

from minglibc.model.limits import MAX_MEMBERS

_MAX_DIRECTORY = 32 << 20
_END, _LOCATOR, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
_ENTRY_MAGIC, _END_MAGIC, _LOCATOR_MAGIC, _END64_MAGIC = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
# An entry without its name, extra fields and comment, and where their lengths are.
_ENTRY_SIZE, _LENGTHS, _LENGTHS_POSITION = 46, struct.Struct("<3H"), 28
# The longest comment of an archive.
_MAX_COMMENT = 1 << 16
# What the end of an archive states without the extension for large ones.
_MAX_OFFSET = (1 << 32) - 2


def open_zip(file: Any) -> zipfile.ZipFile:
    """The zip archive in the seekable *file*; raises BadZipFile also where its directory is too large to be read."""
    end, size, _ = _find_end(file)
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


def open_members(file: Any, suffix: bytes) -> zipfile.ZipFile:
    """As ``open_zip``, but only with the members whose names end with *suffix*; zipfile takes 5 µs for each other one."""
    end, size, offset = _find_end(file)
    start = end - size
    if start < 0 or size > _MAX_DIRECTORY:
        return open_zip(file)
    file.seek(start)
    directory = file.read(size)
    entries = []
    position = 0
    while directory.startswith(_ENTRY_MAGIC, position) and position + _ENTRY_SIZE <= size:
        name, extra, comment = _LENGTHS.unpack_from(directory, position + _LENGTHS_POSITION)
        name_end = position + _ENTRY_SIZE + name
        if directory[position + _ENTRY_SIZE : name_end].endswith(suffix):
            entries.append(directory[position : name_end + extra + comment])
        position = name_end + extra + comment
    kept = b"".join(entries)
    if position != size or offset > _MAX_OFFSET:
        return open_zip(file)
    record = _END.pack(_END_MAGIC, 0, 0, len(entries), len(entries), len(kept), offset, 0)
    return open_zip(_WithEnd(file, start, kept + record))


class ComposedFile(io.RawIOBase):
    """A file of *size* bytes that subclasses compose in ``between``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0

    def between(self, start: int, stop: int) -> bytes:
        """The bytes from *start* to *stop*, both in the file; fewer only where something was cut off."""
        raise NotImplementedError

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position from the start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As for any file; raises OSError for a position before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("negative position")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """As for any file."""
        start = min(self._position, self._size)
        content = self.between(start, self._size if size < 0 else min(self._size, start + size))
        self._position = start + len(content)
        return content


class _WithEnd(ComposedFile):
    """A file with other bytes from *start* on."""

    def __init__(self, file: IO[bytes], start: int, end: bytes) -> None:
        super().__init__(start + len(end))
        self._file, self._start, self._end = file, start, end

    def between(self, start: int, stop: int) -> bytes:
        content = b""
        if start < self._start:
            self._file.seek(start)
            content = self._file.read(min(stop, self._start) - start)
        return content + self._end[max(start - self._start, 0) : max(stop - self._start, 0)]


def _find_end(file: IO[bytes]) -> tuple[int, int, int]:
    """Where the directory ends, its size, and where it says that it begins, found as zipfile does; raises BadZipFile where there is none."""
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
    *_, size, offset, _ = _END.unpack(record)
    return _find_end64(file, position) or (position, int(size), int(offset))


def _find_end64(file: IO[bytes], position: int) -> tuple[int, int, int] | None:
    """The same for the extension for large archives, whose records are before the end record at *position*."""
    start = position - _LOCATOR.size - _END64.size
    if start < 0:
        return None
    file.seek(start)
    data = file.read(_LOCATOR.size + _END64.size)
    if not data.startswith(_END64_MAGIC) or data[_END64.size :][:4] != _LOCATOR_MAGIC:
        return None
    *_, size, offset = _END64.unpack(data[: _END64.size])
    return start, int(size), int(offset)
