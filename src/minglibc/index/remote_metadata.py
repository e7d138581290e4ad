"""METADATA from a wheel on a server, read by range requests where the server supports them."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minglibc.model.zip_archive import ComposedFile, open_members

# The central directory of nearly every wheel, and often METADATA with it, is in the last 32 KiB.
TAIL = 32 * 1024
MAX_METADATA = 8 << 20
_METADATA = b".dist-info/METADATA"
# Without lzma, which some Pythons lack.
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# (start, stop) → where the bytes start, the size of the file, and the bytes; (None, n) requests the last n.
FetchRange = Callable[[int | None, int | None], tuple[int, int, bytes]]


class _Missing(Exception):
    """Bytes that have not been fetched yet."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.start = start
        self.stop = stop


class _Sparse(ComposedFile):
    """A file of which only some ranges are available."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._ranges: list[tuple[int, bytes]] = []

    def add(self, start: int, data: bytes) -> None:
        self._ranges.append((start, data))

    def between(self, start: int, stop: int) -> bytes:
        for begin, data in self._ranges:
            if begin <= start and stop <= begin + len(data):
                return data[start - begin : stop - begin]
        raise _Missing(start, stop)


def read_remotely(fetch: FetchRange) -> bytes:
    """The bytes of METADATA in a wheel of which *fetch* returns ranges; raises ValueError where it is not a wheel."""
    start, size, data = fetch(None, TAIL)
    file = _Sparse(size)
    file.add(start, data)
    archive = None
    for _ in range(6):
        try:
            with _readable():
                archive = archive or open_members(file, _METADATA)
                return _metadata_of(archive)
        except _Missing as missing:
            start, _, data = fetch(missing.start, max(missing.stop, min(size, missing.start + 4096)))
            file.add(start, data)
    raise ValueError("its zip directory can't be read")


def read_wheel(data: bytes) -> bytes:
    """The bytes of METADATA in a whole wheel; raises ValueError where it is not a wheel."""
    return read_open(io.BytesIO(data))


def read_open(file: Any) -> bytes:
    """The bytes of METADATA in a wheel that is open for reading; raises ValueError where it is not a wheel."""
    with _readable(), open_members(file, _METADATA) as archive:
        return _metadata_of(archive)


def _metadata_of(archive: zipfile.ZipFile) -> bytes:
    names = [n for n in archive.namelist() if n.endswith(_METADATA.decode()) and n.count("/") == 1]
    if len(names) != 1:
        raise ValueError("it has no METADATA, or more than one")
    entry = archive.getinfo(names[0])
    if entry.file_size > MAX_METADATA:
        raise ValueError("its METADATA is too large")
    if entry.compress_type not in _COMPRESSION:
        raise ValueError("its METADATA is compressed in a way that `sync` rejects")
    return archive.read(names[0])


@contextmanager
def _readable() -> Iterator[None]:
    """Raise ValueError for what zipfile raises where a file is not a wheel."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
    ) as error:
        raise ValueError(f"it is not a wheel that can be read: {error}") from error
