"""A bundle on disk: a folder, or an archive that is the same bytes wherever and whenever it is made."""

import errno
import hashlib
import os
import shutil
import stat
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Protocol

from minglibc.bundle import contents
from minglibc.config import project_files
from minglibc.errors import EnvironmentProblem, MinglibcError

_CHUNK = 1 << 20
# The largest stored block of DEFLATE (RFC 1951).
_BLOCK = 65_535
_SCRATCH = ".minglibc-bundle-"
# Others may be copying gigabytes.
_PATIENCE = 600.0
_EPOCH = 315_532_800  # 1980-01-01, the earliest moment that every archive format can say


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def digests(own: Mapping[str, bytes], wheels: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each file of a bundle: *own* are contents, *wheels* are paths, both by name in the bundle."""
    found = {name: hashlib.sha256(content).hexdigest() for name, content in own.items()}
    for name, path in wheels.items():
        with open(path, "rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def write_folder(folder: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> None:
    """Make the bundle in *folder*, whole or not at all; an earlier bundle there is replaced, anything else is not."""
    place = os.path.realpath(folder)
    with _writing(folder), _beside(place) as scratch:
        _check_replaceable(folder)
        made = os.path.join(scratch, "new")
        os.mkdir(made)
        for name in {os.path.dirname(name) for name in (*own, *wheels)} - {""}:
            os.makedirs(os.path.join(made, name))
        for name, content in own.items():
            with open(os.path.join(made, name), "wb") as file:
                file.write(content)
        for name, path in wheels.items():
            shutil.copyfile(path, os.path.join(made, name))
        os.chmod(os.path.join(made, contents.SCRIPT), 0o755)  # noqa: S103  it is a program, and no secret
        if os.path.isdir(place):
            os.rename(place, os.path.join(scratch, "old"))
        os.rename(made, place)


def write_archive(path: str, top: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> str:
    """Make the bundle as the archive *path*, below the folder *top* in it, whole or not at all; its SHA-256."""
    place = os.path.realpath(path)
    with _writing(path), _beside(place) as scratch:
        made = os.path.join(scratch, "new")
        with open(made, "wb") as file:
            hashing = _Hashing(file)
            zipped = _StoredGzip(hashing)
            # tarfile asks its stream for no more than write().
            with tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # typeshed asks for more
                _fill(archive, top, own, wheels)
            zipped.close()
        os.chmod(made, 0o666 & ~_umask())
        os.replace(made, place)
        return hashing.hexdigest()


def _fill(archive: tarfile.TarFile, top: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> None:
    from io import BytesIO  # noqa: PLC0415

    archive.addfile(_entry(top, directory=True))
    for folder in sorted({os.path.dirname(name) for name in (*own, *wheels)} - {""}):
        archive.addfile(_entry(f"{top}/{folder}", directory=True))
    for name in sorted((*own, *wheels)):
        entry = _entry(f"{top}/{name}", executable=name == contents.SCRIPT)
        if name in own:
            entry.size = len(own[name])
            archive.addfile(entry, BytesIO(own[name]))
        else:
            with open(wheels[name], "rb") as file:
                entry.size = os.fstat(file.fileno()).st_size
                archive.addfile(entry, file)


def _entry(name: str, *, directory: bool = False, executable: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    entry.mode = 0o755 if directory or executable else 0o644
    entry.mtime = _EPOCH
    entry.uname = entry.gname = "root"
    return entry


class _Hashing:
    """A file whose digest is known once it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _StoredGzip:
    """A gzip stream (RFC 1952) of stored blocks: wheels are compressed already, and each zlib compresses differently."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._waiting = b""
        self._crc = 0
        self._size = 0
        sink.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._waiting += data
        while len(self._waiting) > _BLOCK:
            self._block(self._waiting[:_BLOCK])
            self._waiting = self._waiting[_BLOCK:]
        return len(data)

    def close(self) -> None:
        self._block(self._waiting, last=True)
        self._sink.write(struct.pack("<II", self._crc, self._size & 0xFFFF_FFFF))

    def _block(self, data: bytes, *, last: bool = False) -> None:
        self._sink.write(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data)


def _check_replaceable(folder: str) -> None:
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise EnvironmentProblem(f"{folder} is there and is no folder", hint="name another one by --output")
    entries = os.listdir(folder)
    if entries and not contents.is_bundle(entries):
        raise EnvironmentProblem(
            f"{folder} is there and is no bundle", hint="remove it, or name another one by --output"
        )


@contextmanager
def _beside(place: str) -> Iterator[str]:
    """A folder on the file system of *place*, for what is not whole yet; what a killed run left there is put right first."""
    parent = os.path.dirname(place)
    os.makedirs(parent, exist_ok=True)
    scratch = os.path.join(parent, f"{_SCRATCH}{os.path.basename(place)}")
    with project_files.lock(parent, patience=_PATIENCE):
        _clear(scratch, place)
        os.mkdir(scratch)
        try:
            yield scratch
        finally:
            _clear(scratch, place)


def _clear(scratch: str, place: str) -> None:
    """Remove *scratch*; an earlier bundle that had to make room there goes back to its *place* if nothing came."""
    with suppress(FileNotFoundError):
        found = os.lstat(scratch)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return  # in a folder that all may write in, somebody else's bait
    if not os.path.lexists(place) and os.path.isdir(os.path.join(scratch, "old")):
        with suppress(OSError):
            os.rename(os.path.join(scratch, "old"), place)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise MinglibcError(f"can't write {path}: {what}", hint="what was there before is unchanged") from error


def _umask() -> int:
    # The one way to read it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
