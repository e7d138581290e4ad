"""Bytes that are put aside: in memory while they are few, then in a file without a name."""

import os
import tempfile

from minglibc.errors import MinglibcError

_NONE = -1
# What is shorter is kept in memory: most large pages, once they are reduced.
_IN_MEMORY = 2 << 20


class Spool:
    """Bytes that are appended, and read in slices."""

    def __init__(self) -> None:
        self._descriptor = _NONE
        self._length = 0
        self._memory: bytearray | None = bytearray()

    def __del__(self) -> None:
        if self._descriptor != _NONE:
            os.close(self._descriptor)

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """Add *data* at the end; where the disk refuses, go on in memory."""
        if self._memory is None and not self._write(data, self._length):
            self._memory = bytearray(self[:])
        if self._memory is not None:
            self._memory += data
        self._length += len(data)
        if self._memory is not None and self._descriptor == _NONE and self._length > _IN_MEMORY:
            self._move()

    def _move(self) -> None:
        assert self._memory is not None
        try:
            with tempfile.TemporaryFile(prefix="minglibc-") as file:
                self._descriptor = os.dup(file.fileno())
        except OSError:
            return
        if self._write(self._memory, 0):
            self._memory = None

    def _write(self, data: bytes | bytearray, place: int) -> bool:
        try:
            return os.pwrite(self._descriptor, data, place) == len(data)
        except OSError:
            return False

    def __getitem__(self, place: slice) -> bytes:
        if self._memory is not None:
            return bytes(self._memory[place])
        start, stop, _ = place.indices(self._length)
        try:
            found = os.pread(self._descriptor, max(0, stop - start), start)
        except OSError as error:
            raise MinglibcError(f"a page can't be read back: {error.strerror}", hint="run it again") from error
        if len(found) < stop - start:
            raise MinglibcError("a page that was put aside was cut", hint="run it again")
        return found
