"""Check the archive of a wheel: its members, and that every reader sees the same ones."""

import os
import stat
import struct
import zipfile
from collections.abc import Callable
from typing import IO, NoReturn, cast

from minglibc.model.limits import BOMB_FREE, BOMB_RATIO, folders_within_limits, path_problem

_END = struct.Struct("<4s4H2LH")  # the last field is the length of a comment, which wheels don't have
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _HAS_DESCRIPTOR = 0x1, 0x8
_DESCRIPTOR_SIZES = {12, 16, 20, 24}


def check_archive(archive: zipfile.ZipFile, reject: Callable[[str], NoReturn]) -> None:
    """Check *archive*; calls *reject*, which raises, with what is wrong."""
    check = _ArchiveCheck(archive, reject)
    check.check_members()
    check.check_bytes()


class _ArchiveCheck:
    """The checks of one archive."""

    def __init__(self, archive: zipfile.ZipFile, reject: Callable[[str], NoReturn]) -> None:
        self._archive = archive
        self._reject = reject
        self._members = archive.infolist()

    def check_members(self) -> None:
        """The names and sizes of members are harmless, and no two of them are the same file."""
        total = sum(member.file_size for member in self._members)
        packed = self._size()
        if total > BOMB_FREE + BOMB_RATIO * packed:
            self._reject(f"would unpack from {packed} to {total} bytes: which suggests a zip bomb")
        seen: dict[str, str] = {}
        for member in self._members:
            self._check_member(member)
            folded = member.filename.rstrip("/").casefold()
            if folded in seen:
                other = seen[folded]
                same = other.rstrip("/") == member.filename.rstrip("/")
                self._reject(f"has two members named {other}" if same else f"has both {other} and {member.filename}")
            seen[folded] = member.filename
        for folder in folders_within_limits(seen) & seen.keys():
            if not seen[folder].endswith("/"):
                self._reject(f"has {seen[folder]} both as a file and as a folder")

    def _check_member(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if problem := path_problem(name):
            self._reject(f"has a member with {problem}")
        if not name.isprintable():
            self._reject(f"has a member with a control character in its name: {name!r}")
        if "\\" in name or "\\" in member.orig_filename or "\0" in member.orig_filename:
            self._reject(f"has a member with a backslash or a null byte in its name: {member.orig_filename!r}")
        if name.startswith("/"):
            self._reject(f"has a member with an absolute path: {name}")
        if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
            self._reject(f"has a member with a path outside its folder: {name}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or ((kind == stat.S_IFDIR) != name.endswith("/") and kind):
            what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder"
            self._reject(f"has a member that is {what}: {name}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._reject(f"has a member with an unsupported compression method: {name}")
        if member.flag_bits & _ENCRYPTED:
            self._reject(f"has an encrypted member: {name}")

    def _descriptor(self) -> int:
        return cast("IO[bytes]", self._archive.fp).fileno()

    def _size(self) -> int:
        return os.fstat(self._descriptor()).st_size

    def check_bytes(self) -> None:
        """Every byte of the file belongs to the archive, so that all readers see the same archive."""
        descriptor = self._descriptor()
        size = self._size()
        end = os.pread(descriptor, _END.size, max(0, size - _END.size))
        if len(end) != _END.size or not end.startswith(b"PK\x05\x06") or not end.endswith(b"\0\0"):
            self._reject("has bytes after its end")
        expected, has_descriptor = 0, False
        for member in sorted(self._members, key=lambda member: member.header_offset):
            between = member.header_offset - expected
            if between and not (between in _DESCRIPTOR_SIZES and has_descriptor):
                self._reject("has bytes before its start" if not expected else f"has bytes before {member.filename}")
            header = os.pread(descriptor, _LOCAL.size, member.header_offset)
            name_length, extra_length = _LOCAL.unpack(header)[-2:]
            has_descriptor = bool(member.flag_bits & _HAS_DESCRIPTOR)
            expected = member.header_offset + _LOCAL.size + name_length + extra_length + member.compress_size
        directory = self._archive.start_dir - expected
        if directory and not (self._members and directory in _DESCRIPTOR_SIZES and has_descriptor):
            self._reject(
                "has bytes between its members and its central directory" if expected else "has bytes before its start"
            )
