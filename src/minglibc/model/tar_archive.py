"""Opens tar archives whose headers are small enough to be read."""

import gzip
import re
import tarfile
from collections.abc import Iterator
from typing import IO, Any

_CHUNK = 1 << 20
_MAX_PAX_HEADERS = 100
# Bytes of one extended header, which may have some paths of up to 1024.
_MAX_PAX_SIZE = 16 << 10
# tarfile searches for numbers in time that grows with the square of their lengths before Python 3.11.10 (CVE-2024-6232).
_LONG_NUMBER = re.compile(rb"[0-9]{100}")


class _TarInfo(tarfile.TarInfo):
    """An entry whose extended headers are within the limits."""

    def _proc_pax(self, archive: "_TarFile") -> tarfile.TarInfo:
        archive.pax_size += self.size
        if self.size > _MAX_PAX_SIZE or archive.pax_size > archive.max_pax_total:
            raise tarfile.ReadError("it has headers that are too large")
        position = archive.fileobj.tell()
        if _LONG_NUMBER.search(archive.fileobj.read(self.size)):
            raise tarfile.ReadError("it has a header with a number that is too long")
        archive.fileobj.seek(position)
        return super()._proc_pax(archive)  # type: ignore[misc,no-any-return]  # not in the stubs

    def _proc_gnulong(self, archive: "_TarFile") -> tarfile.TarInfo:
        if self.size > _MAX_PAX_SIZE:
            raise tarfile.ReadError("it has a name that is too long")
        return super()._proc_gnulong(archive)  # type: ignore[misc,no-any-return]  # not in the stubs

    def _refuse_sparse(self, *_: Any) -> None:
        raise tarfile.ReadError("it has a sparse file")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class _TarFile(tarfile.TarFile):
    """An archive, and the size of its extended headers that were read."""

    fileobj: IO[bytes]
    members: list[tarfile.TarInfo]
    pax_size = 0
    max_pax_total = 8 << 20


class _Stream(_TarFile):
    """An archive of any size, whose members are not kept."""

    max_pax_total = 1 << 40


class TooLargeError(tarfile.ReadError):
    """An archive unpacks to more than *most* bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"unpacks to more than {most >> 20} MiB")


def decompress(packed: IO[bytes], file: IO[bytes], most: int) -> None:
    """Write the content of the gzip stream *packed* to *file*, which is read from its beginning then; raises TooLargeError."""
    with gzip.open(packed) as stream:
        while chunk := stream.read(_CHUNK):
            file.write(chunk)
            if file.tell() > most:
                raise TooLargeError(most)
    file.seek(0)


def open_tar(file: IO[bytes]) -> tarfile.TarFile:
    """The uncompressed archive in the seekable *file*; it raises TarError where a header exceeds the limits."""
    return _TarFile.open(fileobj=file, mode="r:", tarinfo=_TarInfo)


def tar_members(file: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members of the uncompressed archive in the seekable *file*, which may be millions; raises TarError."""
    with _Stream.open(fileobj=file, mode="r:", tarinfo=_TarInfo) as archive:
        while (entry := archive.next()) is not None:
            archive.members.clear()
            check_headers(archive, entry)
            yield archive, entry


def check_headers(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
    """Raise ReadError for too many extended headers: tarfile copies the global ones for each member."""
    if len(archive.pax_headers) > _MAX_PAX_HEADERS or len(entry.pax_headers) > _MAX_PAX_HEADERS:
        raise tarfile.ReadError("it has too many extended headers")
