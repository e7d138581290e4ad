"""Unpack a checked wheel into a folder that stands for the prefix, comparing every byte with RECORD."""

import base64
import hashlib
import os
import posixpath
import re
import shlex
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import installer
from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelSource
from installer.utils import Scheme, construct_record_file

from minglibc.cache.unpacked_wheels import Unpacked
from minglibc.install.layout import Layout
from minglibc.install.wheel import CheckedWheel, join, reject

_CHUNK = 1 << 20
# PEP 263.
_ENCODING = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*[-_.a-zA-Z0-9]+")


def unpack(
    wheel: CheckedWheel,
    archive: zipfile.ZipFile,
    folder: str,
    layout: Layout,
    *,
    additional: Mapping[str, bytes],
    unpacked: Unpacked,
) -> dict[str, int]:
    """Unpack *wheel* below *folder* and return the size of each file; raises WheelError if a member differs from RECORD.

    *additional* files are added to its .dist-info. Files that *unpacked* has are linked; the others are added to it.
    """
    destination = _Folder(wheel, folder, layout, unpacked)
    try:
        installer.install(_Source(wheel, archive, additional), destination, dict(additional))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        reject(wheel.filename, f"is damaged: {error}")
    except (ValueError, RuntimeError) as error:
        reject(wheel.filename, f"can't be unpacked: {error}")
    return destination.sizes


class _Member:
    """A member of the archive; reading it fails at the end if its hash differs from RECORD."""

    def __init__(self, wheel: CheckedWheel, archive: zipfile.ZipFile, name: str) -> None:
        self._wheel = wheel
        self._archive = archive
        self.name = name
        self.digest, self.size = wheel.record[name]

    def chunks(self) -> Iterator[bytes]:
        """The content; raises WheelError after the last chunk if the hash is wrong."""
        algorithm, _, expected = self.digest.partition("=")
        hasher = hashlib.new(algorithm)
        with self._archive.open(self.name) as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                yield chunk
        if _encoded(hasher.digest()) != expected.rstrip("="):
            reject(self._wheel.filename, f"has a file whose hash differs from RECORD: {self.name}")

    @property
    def entry(self) -> Hash:
        """The hash for the installed RECORD."""
        algorithm, _, digest = self.digest.partition("=")
        return Hash(algorithm, digest.rstrip("="))


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


class _Source(WheelSource):
    """The members of a checked wheel, for installer, without those of .dist-info that are *replaced*."""

    def __init__(self, wheel: CheckedWheel, archive: zipfile.ZipFile, replaced: Iterable[str]) -> None:
        name, _, version = wheel.stem.rpartition("-")
        super().__init__(distribution=name, version=version)
        self._wheel = wheel
        self._archive = archive
        self._replaced = {f"{wheel.dist_info}/{name}" for name in replaced}

    @property
    def dist_info_filenames(self) -> list[str]:
        start = f"{self._wheel.dist_info}/"
        return [name.removeprefix(start) for name in self._wheel.record if name.startswith(start)]

    def read_dist_info(self, filename: str) -> str:
        return self._archive.read(f"{self._wheel.dist_info}/{filename}").decode("utf-8")

    def get_contents(self) -> Iterator[WheelContentElement]:
        for name in self._wheel.record:
            if "__pycache__" in name.split("/")[:-1] or name in self._replaced:
                continue
            info = self._archive.NameToInfo[name]
            mode = info.external_attr >> 16
            member = cast("Any", _Member(self._wheel, self._archive, name))
            yield (name, "", ""), member, bool(stat.S_ISREG(mode) and mode & 0o111)


class _Folder(WheelDestination):
    """Writes a wheel below a folder that stands for the prefix; existing files are an error."""

    def __init__(self, wheel: CheckedWheel, folder: str, layout: Layout, unpacked: Unpacked) -> None:
        self._wheel = wheel
        self._unpacked = unpacked
        self._folder = folder
        self._layout = layout
        self._created: set[str] = set()
        self.sizes: dict[str, int] = {}

    def write_script(self, name: str, module: str, attr: str, section: Any) -> RecordEntry:
        _, content = Script(name, module, attr, section).generate(self._layout.interpreter, "posix")
        return self._write("scripts", name, [content], executable=True)

    def write_file(self, scheme: Scheme, path: str | os.PathLike[str], stream: Any, is_executable: bool) -> RecordEntry:  # noqa: FBT001  installer's own signature
        path = os.fspath(path)
        if not isinstance(stream, _Member):
            return self._write(scheme, path, [stream.read()], executable=is_executable)
        if scheme == "scripts":
            content = _with_interpreter(b"".join(stream.chunks()), self._layout.interpreter)
            return self._write(scheme, path, [content], executable=True)
        relative, full = self._locate(scheme, path)
        if self._unpacked.take(stream.name, full, digest=stream.digest, size=stream.size, executable=is_executable):
            self.sizes[relative] = stream.size
        else:
            self._save(relative, full, stream.chunks(), executable=is_executable)
            self._unpacked.keep(stream.name, full)
        return RecordEntry(path, stream.entry, stream.size)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        start = self._layout.folder(scheme, self._wheel.name)

        def prefix(other: Scheme) -> str | None:
            if other == scheme:
                return None
            return posixpath.relpath(self._layout.folder(other, self._wheel.name) or ".", start) + "/"

        with construct_record_file(records, prefix) as stream:
            self._write(scheme, record_file_path, [stream.read()], executable=False)

    def _write(self, scheme: str, path: str, chunks: Iterable[bytes], *, executable: bool) -> RecordEntry:
        content = b"".join(chunks)
        self._save(*self._locate(scheme, path), [content], executable=executable)
        return RecordEntry(path, Hash("sha256", _encoded(hashlib.sha256(content).digest())), len(content))

    def _locate(self, scheme: str, path: str) -> tuple[str, str]:
        """The path of a file below the prefix, and its full path, whose parent folder exists."""
        relative = join(self._layout.folder(scheme, self._wheel.name), path)
        full = f"{self._folder}/{relative}"
        parent = full.rpartition("/")[0]
        if parent not in self._created:
            os.makedirs(parent, exist_ok=True)
            self._created.add(parent)
        return relative, full

    def _save(self, relative: str, full: str, chunks: Iterable[bytes], *, executable: bool) -> None:
        # The umask applies to these modes.
        mode = 0o777 if executable else 0o666
        descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        # Buffered, because a raw write may be incomplete: a full disk would leave a truncated file.
        with open(descriptor, "wb") as file:
            file.writelines(chunks)
            self.sizes[relative] = file.tell()


def _with_interpreter(script: bytes, interpreter: str) -> bytes:
    """*script* with its ``#!python`` line (wheel specification) replaced by one for *interpreter*."""
    if not script.startswith(b"#!python"):
        return script
    _, _, rest = script.partition(b"\n")
    line = os.fsencode(f"#!{interpreter}\n")
    # The kernel limits this line to 127 bytes without blanks; a shell has no limit (as in installer's own scripts).
    if " " not in interpreter and len(line) <= 127:
        return line + rest
    second, _, body = rest.partition(b"\n")
    # Python only looks for an encoding in the first two lines (PEP 263); for the shell it is a comment.
    encoding, rest = (second + b"\n", body) if _ENCODING.match(second) else (b"", rest)
    shell = os.fsencode(f"'''exec' {shlex.quote(interpreter)} \"$0\" \"$@\"\n' '''\n")
    return b"#!/bin/sh\n" + encoding + shell + rest
