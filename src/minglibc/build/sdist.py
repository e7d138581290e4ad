"""Source distributions: archives from untrusted sources, checked completely before anything is written."""

import gzip
import os
import posixpath
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, NamedTuple, NoReturn

from minglibc.errors import WheelError
from minglibc.model.artifacts import printable
from minglibc.model.limits import (
    BOMB_FREE,
    BOMB_RATIO,
    EARLIEST_TIME,
    MAX_LINKS,
    MAX_MEMBERS,
    MAX_PATH,
    folders_within_limits,
    path_problem,
)
from minglibc.model.tar_archive import TooLargeError, check_headers, decompress, open_tar
from minglibc.model.zip_archive import open_zip

MAX_METADATA = 8 << 20
_CHUNK = 1 << 20
_IN_MEMORY = 16 << 20
# The latest time of all file systems.
_LATEST = 4_102_444_800.0

_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
)


class Member(NamedTuple):
    """A file of an archive; *open* returns a new stream of its content."""

    name: str
    size: int
    executable: bool
    time: float
    open: Callable[[], IO[bytes]]


class SourceArchive:
    """An open source distribution; all of its members are in one folder."""

    def __init__(self, filename: str, members: Mapping[str, Member], most: int) -> None:
        self._filename = filename
        self._members = members
        self._most = most
        self.top = next(iter(members)).partition("/")[0]

    def pkg_info(self) -> str:
        """The text of its PKG-INFO; empty if it has none. Raises WheelError."""
        return self._text(self._members.get(f"{self.top}/PKG-INFO"))

    def text(self, path: re.Pattern[str]) -> str:
        """The text of the first file whose path below its own folder is *path*; empty if there is none. Raises WheelError."""
        first = len(self.top) + 1
        return self._text(next((self._members[name] for name in self._members if path.fullmatch(name[first:])), None))

    def _text(self, member: "Member | None") -> str:
        if member is None:
            return ""
        if member.size > MAX_METADATA:
            _refuse(self._filename, f"has a {posixpath.basename(member.name)} that is too large")
        with _readable(self._filename), member.open() as stream:
            return stream.read(MAX_METADATA).decode("utf-8", "replace")

    def unpack(self, folder: str) -> str:
        """Unpack it into the empty *folder*, and return the path of its own folder; raises WheelError."""
        written = 0
        try:
            with _readable(self._filename):
                for member in self._members.values():
                    # Links become copies, and many of them may name one large file.
                    written += _write(member, os.path.join(folder, member.name))
                    if written > self._most:
                        _refuse(self._filename, f"unpacks to more than {self._most >> 20} MiB")
        except OSError as error:
            raise WheelError(f"failed to unpack {self._filename} in {folder}: {error.strerror}") from error
        return os.path.join(folder, self.top)


def _write(member: Member, path: str) -> int:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    mode = 0o777 if member.executable else 0o666
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file, member.open() as stream:
        while chunk := stream.read(_CHUNK):
            file.write(chunk)
        size = file.tell()
    # make compares modification times.
    os.utime(path, (member.time, member.time))
    return size


@contextmanager
def open_sdist(path: str, filename: str) -> Iterator[SourceArchive]:
    """The source distribution at *path*, whose name is *filename*; raises WheelError if it is invalid or unsafe."""
    most = max(BOMB_FREE, BOMB_RATIO * _size(path, filename))
    with _readable(filename), (_zip if filename.endswith(".zip") else _tar)(path, filename, most) as members:
        if not members:
            _refuse(filename, "is empty")
        _check_names(filename, members)
        yield SourceArchive(filename, members, most)


def _size(path: str, filename: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise WheelError(f"failed to read {path} ({filename}): {error.strerror}") from error


@contextmanager
def _readable(filename: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        _refuse(filename, f"is not a valid archive: {error}")


@contextmanager
def _tar(path: str, filename: str, most: int) -> Iterator[dict[str, Member]]:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as plain:
        # Decompressed first, because the sizes in headers can be wrong.
        try:
            with open(path, "rb") as packed:
                decompress(packed, plain, most)
        except TooLargeError as error:
            _refuse(filename, str(error))
        with open_tar(plain) as archive:
            yield dict(_tar_members(archive, filename, most))


def _tar_members(archive: tarfile.TarFile, filename: str, most: int) -> Iterator[tuple[str, Member]]:
    entries = dict(_tar_entries(archive, filename, most))
    for name, entry in entries.items():
        content = _link_target(entries, name)
        if content is None:
            _refuse(filename, f"has a member that is not a file: {name}")
        size = entry.size if entry.isreg() else MAX_METADATA
        time = min(max(float(entry.mtime), 0.0), _LATEST)
        yield name, Member(name, size, bool(entry.mode & 0o111), time, partial(_open_entry, archive, content))


def _tar_entries(archive: tarfile.TarFile, filename: str, most: int) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The members that are not folders, by their names."""
    total = 0
    for count, entry in enumerate(archive):
        check_headers(archive, entry)
        name = posixpath.normpath(entry.name) if entry.name.startswith("./") else entry.name
        _check_name(filename, name)
        total += entry.size
        if count >= MAX_MEMBERS or entry.size < 0 or total > most:
            _refuse(filename, f"has a member with an invalid size: {name}")
        if not entry.isdir():
            yield name, entry


def _link_target(entries: Mapping[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo | None:
    """The file *name*, or the one that it links to; None if that is missing. tarfile searches all members for each link."""
    for _ in range(MAX_LINKS):
        entry = entries.get(name)
        if entry is None or entry.isreg():
            return entry
        if len(entry.linkname) > MAX_PATH or not (entry.issym() or entry.islnk()):
            return None
        folder = posixpath.dirname(name) if entry.issym() else ""
        name = posixpath.normpath(posixpath.join(folder, entry.linkname))
    return None


def _open_entry(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(entry)
    assert stream is not None  # it is a file
    return stream


@contextmanager
def _zip(path: str, filename: str, most: int) -> Iterator[dict[str, Member]]:
    with open(path, "rb") as file, open_zip(file) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > most:
            _refuse(filename, f"unpacks to more than {most >> 20} MiB")
        members = {}
        for entry in entries:
            _check_name(filename, entry.filename)
            if not entry.is_dir():
                executable = bool(entry.external_attr >> 16 & 0o111)
                members[entry.filename] = Member(
                    entry.filename, entry.file_size, executable, float(EARLIEST_TIME), _opener(archive, entry)
                )
        yield members


def _opener(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(entry)


def _check_name(filename: str, name: str) -> None:
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        _refuse(filename, f"has a member outside its folder: {name[:MAX_PATH]!r}")
    if problem := path_problem(name):
        _refuse(filename, f"has a member with {problem}")


def _check_names(filename: str, members: Mapping[str, Member]) -> None:
    tops = {name.partition("/")[0] for name in members}
    if len(tops) != 1 or any("/" not in name for name in members):
        _refuse(filename, f"must contain one folder (PEP 517), not {', '.join(sorted(tops)[:3])}")
    if both := sorted(folders_within_limits(members) & members.keys()):
        _refuse(filename, f"has {both[0]!r} as a file and as a folder")


def _refuse(filename: str, problem: str) -> NoReturn:
    raise WheelError(
        printable(f"{filename} {problem}"),
        hint="nothing was unpacked; report it to the maintainers, or lock another release",
    )
