"""Write bundles to disk: a folder, or a reproducible archive."""

import errno
import hashlib
import os
import shutil
import stat
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, Protocol

from minglibc.bundle import contents
from minglibc.config import folder_lock
from minglibc.errors import EnvironmentProblem, MinglibcError
from minglibc.model.limits import EARLIEST_TIME

_CHUNK = 1 << 20
# The largest stored block of DEFLATE (RFC 1951).
_BLOCK = 65_535
_SCRATCH = ".minglibc-bundle-"
# Another process may be copying gigabytes.
_LOCK_TIMEOUT = 600.0


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def digests(own: Mapping[str, bytes], wheels: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each file of a bundle; *own* has contents and *wheels* has paths, both by name in the bundle."""
    result = {name: hashlib.sha256(content).hexdigest() for name, content in own.items()}
    return result | {name: sha256_of(path) for name, path in wheels.items()}


def sha256_of(path: str) -> str:
    """The SHA-256 of the file at *path*."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_folder(folder: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> None:
    """Write the bundle to *folder* atomically; only an earlier bundle is replaced."""
    target = os.path.realpath(folder)
    with _writing(folder), _beside(target) as scratch:
        _check_replaceable(folder)
        new = os.path.join(scratch, "new")
        _fill_folder(new, own, wheels)
        if os.path.isdir(target):
            os.rename(target, os.path.join(scratch, "old"))
        os.rename(new, target)


def _fill_folder(folder: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> None:
    os.mkdir(folder)
    for name in {os.path.dirname(name) for name in (*own, *wheels)} - {""}:
        os.makedirs(os.path.join(folder, name))
    for name, content in own.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
    for name, path in wheels.items():
        shutil.copyfile(path, os.path.join(folder, name))
    os.chmod(os.path.join(folder, contents.SCRIPT), 0o755)  # noqa: S103  a script without secrets


def write_package(
    path: str, own: Mapping[str, bytes], wheels: Mapping[str, str], build: Callable[[str, str], None]
) -> str:
    """Write what *build* makes of a folder with the bundle to *path* atomically, and return its SHA-256.

    *build* is called with the folder and the path of the file to write.
    """
    target = os.path.realpath(path)
    with _writing(path), _beside(target) as scratch:
        folder, new = os.path.join(scratch, "bundle"), os.path.join(scratch, "new")
        _fill_folder(folder, own, wheels)
        build(folder, new)
        os.chmod(new, 0o666 & ~_umask())
        os.replace(new, target)
    return sha256_of(target)


def write_archive(path: str, top: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> str:
    """Write the bundle to the archive *path* atomically, below the folder *top* in it, and return its SHA-256."""
    target = os.path.realpath(path)
    with _writing(path), _beside(target) as scratch:
        new = os.path.join(scratch, "new")
        with open(new, "wb") as file:
            hashing = _Hashing(file)
            zipped = _StoredGzip(hashing)
            # tarfile needs only write().
            with tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # typeshed requires more
                _fill(archive, top, own, wheels)
            zipped.close()
        os.chmod(new, 0o666 & ~_umask())
        os.replace(new, target)
        return hashing.hexdigest()


def _fill(archive: tarfile.TarFile, top: str, own: Mapping[str, bytes], wheels: Mapping[str, str]) -> None:
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
    entry.mtime = EARLIEST_TIME
    entry.uname = entry.gname = "root"
    return entry


class _Hashing:
    """A file whose digest is computed while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _StoredGzip:
    """A gzip stream (RFC 1952) of stored blocks: wheels are compressed, and zlib versions compress differently."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._crc = 0
        self._size = 0
        sink.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._buffer += data
        while len(self._buffer) > _BLOCK:
            self._block(self._buffer[:_BLOCK])
            self._buffer = self._buffer[_BLOCK:]
        return len(data)

    def close(self) -> None:
        self._block(self._buffer, last=True)
        self._sink.write(struct.pack("<II", self._crc, self._size & 0xFFFF_FFFF))

    def _block(self, data: bytes, *, last: bool = False) -> None:
        self._sink.write(struct.pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data)


def _check_replaceable(folder: str) -> None:
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise EnvironmentProblem(f"{folder} exists and is not a folder", hint="choose another one with --output")
    entries = os.listdir(folder)
    if entries and not contents.is_bundle(entries):
        raise EnvironmentProblem(
            f"{folder} exists and is not a bundle", hint="remove it, or choose another one with --output"
        )


@contextmanager
def _beside(path: str) -> Iterator[str]:
    """A temporary folder on the file system of *path*; what a killed process left there is recovered first."""
    parent = os.path.dirname(path)
    os.makedirs(parent, exist_ok=True)
    scratch = os.path.join(parent, f"{_SCRATCH}{os.path.basename(path)}")
    with folder_lock.lock(parent, patience=_LOCK_TIMEOUT):
        _clear(scratch, path)
        os.mkdir(scratch)
        try:
            yield scratch
        finally:
            _clear(scratch, path)


def _clear(scratch: str, path: str) -> None:
    """Remove *scratch*; an earlier bundle in it is moved back to *path* if nothing replaced it."""
    with suppress(FileNotFoundError):
        status = os.lstat(scratch)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return  # in a world-writable folder it may be another user's
    if not os.path.lexists(path) and os.path.isdir(os.path.join(scratch, "old")):
        with suppress(OSError):
            os.rename(os.path.join(scratch, "old"), path)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise MinglibcError(f"can't write {path}: {what}", hint="the earlier content is unchanged") from error


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
