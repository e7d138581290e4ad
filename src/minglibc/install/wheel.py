"""A wheel judged whole before a byte of it is unpacked, then unpacked into a folder of its own with every byte checked."""

import base64
import csv
import hashlib
import os
import posixpath
import re
import shlex
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import ExitStack, contextmanager
from email.parser import HeaderParser
from typing import IO, Any, NoReturn, cast

import installer
from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelSource
from installer.utils import SCHEME_NAMES, Scheme, construct_record_file

from minglibc.cache.unpacked_wheels import Unpacked
from minglibc.errors import WheelError
from minglibc.install.environment import CheckedWheel
from minglibc.install.layout import ORIGIN, Layout
from minglibc.model.requirements import normalize_name
from minglibc.model.versions import contains, key

# Deflate can't do better than 1032 to 1; real wheels stay below 60 to 1 as a whole.
_BOMB_RATIO = 100
_BOMB_FREE = 64 << 20
_MOST_MEMBERS = 1_000_000
_CHUNK = 1 << 20

_RECORD_ALGORITHMS = {"sha256", "sha384", "sha512"}
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
# The names that a generated script and its import statement can hold without meaning something else there.
_SCRIPT_NAME = re.compile(r"[^/\\\0\r\n]+")
_OBJECT = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*:\s*(?P<attr>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?:\[.*\])?"
)

_END = struct.Struct("<4s4H2LH")  # its last field is the length of a comment, which no wheel needs
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _HAS_DESCRIPTOR = 0x1, 0x8
_DESCRIPTOR_SIZES = {12, 16, 20, 24}


def check(path: str, filename: str, layout: Layout, *, added: Sequence[str] = ()) -> CheckedWheel:
    """The wheel at *path*, known as *filename*, when its structure, metadata and destinations are right; else WheelError.

    *added* are files that its .dist-info gets beside those of every wheel.
    """
    with opened(path, filename, layout, added=added) as (wheel, _):
        return wheel


@contextmanager
def opened(
    path: str, filename: str, layout: Layout, *, added: Sequence[str] = ()
) -> Iterator[tuple[CheckedWheel, zipfile.ZipFile]]:
    """The wheel at *path*, checked like that, and its archive, for ``unpack``."""
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            wheel = _WheelCheck(archive, path, filename, layout, added).wheel()
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            EOFError,
            struct.error,
            UnicodeDecodeError,
            ValueError,
        ) as error:
            _refuse(filename, f"is not a readable zip archive: {error}")
        except RuntimeError as error:
            _refuse(filename, f"can't be read: {error}")
        except OSError as error:
            raise WheelError(f"{filename}: can't read {path}: {error.strerror}") from error
        yield wheel, archive


def unpack(
    opened: tuple[CheckedWheel, zipfile.ZipFile],
    folder: str,
    layout: Layout,
    additions: Mapping[str, bytes],
    kept: Unpacked,
) -> dict[str, int]:
    """Unpack a wheel that is *opened* below *folder*, which stands for the prefix, checking each member against RECORD; else WheelError.

    *additions* are put into its .dist-info. What *kept* has of it is linked, and what it has not, it gets. Returned is the size of each file, by its path below the prefix.
    """
    wheel, archive = opened
    destination = _Folder(wheel, folder, layout, kept)
    try:
        installer.install(_Source(wheel, archive), destination, dict(additions))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        _refuse(wheel.filename, f"is damaged: {error}")
    except (ValueError, RuntimeError) as error:
        _refuse(wheel.filename, f"can't be unpacked: {error}")
    return destination.sizes


def _refuse(filename: str, why: str) -> NoReturn:
    raise WheelError(
        f"{filename} {why}",
        hint="nothing of it was installed; tell its maintainers, or lock another release of it",
    )


class _WheelCheck:
    """One archive while it is being judged; every method refuses or goes on."""

    def __init__(
        self, archive: zipfile.ZipFile, path: str, filename: str, layout: Layout, added: Sequence[str]
    ) -> None:
        self._archive = archive
        self._added = added
        self._path = path
        self._filename = filename
        self._layout = layout
        self._sites = {f"{layout.purelib}/", f"{layout.platlib}/"}
        self._members = archive.infolist()
        parts = filename.removesuffix(".whl").split("-")
        if not filename.endswith(".whl") or len(parts) not in (5, 6):
            self._refuse("is not named as a wheel")
        self._name, self._version, self._tags = normalize_name(parts[0]), parts[1], parts[-3:]

    def wheel(self) -> CheckedWheel:
        self._check_members()
        self._check_zip()
        self._stem = self._find_dist_info()
        requires, requires_python = self._check_metadata()
        root = self._check_wheel_file()
        record = self._check_record()
        owned = self._destinations(record, root)
        return CheckedWheel(
            self._path,
            self._filename,
            self._name,
            self._version,
            self._stem,
            root,
            record,
            owned,
            requires,
            requires_python,
        )

    def _refuse(self, why: str) -> NoReturn:
        _refuse(self._filename, why)

    def _check_members(self) -> None:
        if len(self._members) > _MOST_MEMBERS:
            self._refuse(f"has {len(self._members)} members")
        total = sum(member.file_size for member in self._members)
        packed = os.path.getsize(self._path)
        if total > _BOMB_FREE + _BOMB_RATIO * packed:
            self._refuse(f"would unpack from {packed} to {total} bytes: that is a bomb")
        seen: dict[str, str] = {}
        for member in self._members:
            self._check_member(member)
            folded = member.filename.rstrip("/").casefold()
            if folded in seen:
                other = seen[folded]
                same = other.rstrip("/") == member.filename.rstrip("/")
                self._refuse(f"has two members named {other}" if same else f"has both {other} and {member.filename}")
            seen[folded] = member.filename
        folders: set[str] = set()
        for folded in seen:
            parent = folded.rpartition("/")[0]
            while parent and parent not in folders:
                if not seen.get(parent, "/").endswith("/"):
                    self._refuse(f"has {seen[parent]} both as a file and as a folder")
                folders.add(parent)
                parent = parent.rpartition("/")[0]

    def _check_member(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if "\\" in name or "\\" in member.orig_filename or "\0" in member.orig_filename:
            self._refuse(f"has a member with a backslash or a null byte in its name: {member.orig_filename!r}")
        if name.startswith("/"):
            self._refuse(f"has a member with an absolute path: {name}")
        if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
            self._refuse(f"has a member whose path leaves its folder: {name}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or ((kind == stat.S_IFDIR) != name.endswith("/") and kind):
            what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder"
            self._refuse(f"has a member that is {what}: {name}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            self._refuse(f"has a member that is compressed in a way that wheels do not use: {name}")
        if member.flag_bits & _ENCRYPTED:
            self._refuse(f"has an encrypted member: {name}")

    def _check_zip(self) -> None:
        """Every byte of the file belongs to the one archive that all readers see."""
        descriptor = cast("IO[bytes]", self._archive.fp).fileno()
        size = os.path.getsize(self._path)
        end = os.pread(descriptor, _END.size, max(0, size - _END.size))
        if len(end) != _END.size or not end.startswith(b"PK\x05\x06") or not end.endswith(b"\0\0"):
            self._refuse("has bytes after its end")
        expected, has_descriptor = 0, False
        for member in sorted(self._members, key=lambda member: member.header_offset):
            between = member.header_offset - expected
            if between and not (between in _DESCRIPTOR_SIZES and has_descriptor):
                self._refuse("has bytes before its start" if not expected else f"has bytes before {member.filename}")
            header = os.pread(descriptor, _LOCAL.size, member.header_offset)
            name_length, extra_length = _LOCAL.unpack(header)[-2:]
            has_descriptor = bool(member.flag_bits & _HAS_DESCRIPTOR)
            expected = member.header_offset + _LOCAL.size + name_length + extra_length + member.compress_size
        directory = self._archive.start_dir - expected
        if directory and not (self._members and directory in _DESCRIPTOR_SIZES and has_descriptor):
            self._refuse(
                "has bytes between its members and its directory" if expected else "has bytes before its start"
            )

    def _find_dist_info(self) -> str:
        tops = {member.filename.partition("/")[0] for member in self._members}
        found = sorted(top for top in tops if top.endswith(".dist-info"))
        if len(found) != 1:
            self._refuse(f"has {len(found)} .dist-info folders: {', '.join(found)}" if found else "has no .dist-info")
        stem = found[0].removesuffix(".dist-info")
        name, _, version = stem.rpartition("-")
        if normalize_name(name) != self._name or not _same_version(version, self._version):
            self._refuse(f"has the .dist-info of another project or version: {found[0]}")
        return stem

    def _read(self, name: str) -> bytes:
        path = f"{self._stem}.dist-info/{name}"
        try:
            return self._archive.read(path)
        except KeyError:
            self._refuse(f"has no {path}")

    def _check_metadata(self) -> tuple[tuple[str, ...], str]:
        """Its Requires-Dist and its Requires-Python."""
        text = self._read("METADATA").decode("utf-8", "surrogateescape")
        headers = HeaderParser().parsestr(text, headersonly=True)
        name, version = str(headers["Name"] or ""), str(headers["Version"] or "")
        if normalize_name(name.strip()) != self._name:
            self._refuse(f"says in METADATA that its name is {name!r}")
        if not _same_version(version.strip(), self._version):
            self._refuse(f"says in METADATA that its version is {version!r}")
        python = str(headers["Requires-Python"] or "").strip()
        try:
            contains(python, "3")
        except ValueError:
            self._refuse(f"says in METADATA that it needs Python {python!r}")
        return tuple(str(value) for value in headers.get_all("Requires-Dist") or ()), python

    def _check_wheel_file(self) -> str:
        text = self._read("WHEEL").decode("utf-8")
        headers = HeaderParser().parsestr(text, headersonly=True)
        version = str(headers["Wheel-Version"] or "none").strip()
        if version.partition(".")[0] != "1":
            self._refuse(f"has Wheel-Version {version}; minglibc knows 1")
        tags = {tag for line in headers.get_all("Tag") or () for tag in _expanded(str(line).strip())}
        promised = _expanded("-".join(self._tags))
        if tags != promised:
            said = ", ".join(sorted(tags)) or "nothing"
            self._refuse(f"says in WHEEL that it is for {said}, which its file name does not")
        return "purelib" if str(headers["Root-Is-Purelib"] or "").strip().lower() == "true" else "platlib"

    def _check_record(self) -> dict[str, tuple[str, int]]:
        listed = _record_rows(self._read("RECORD").decode("utf-8"), self._refuse)
        own = f"{self._stem}.dist-info/RECORD"
        unlisted = {own, *(f"{self._stem}.dist-info/{name}" for name in _SIGNATURES)}
        record: dict[str, tuple[str, int]] = {}
        for member in self._members:
            name = member.filename
            if name.endswith("/"):
                continue
            row = listed.pop(name, None)
            if name in unlisted:
                continue
            if row is None:
                self._refuse(f"has a file that its RECORD does not list: {name}")
            digest, size = row
            if digest.partition("=")[0] not in _RECORD_ALGORITHMS:
                self._refuse(f"has no usable hash in RECORD for {name}")
            if size and size != str(member.file_size):
                self._refuse(f"has a file of another size than RECORD says: {name}")
            record[name] = (digest, member.file_size)
        listed.pop(own, None)
        if absent := [name for name in listed if not name.endswith("/")]:
            self._refuse(f"lists files in RECORD that it does not have: {absent[0]}")
        return record

    def _destinations(self, record: dict[str, tuple[str, int]], root: str) -> dict[str, str]:
        owned: dict[str, str] = {}
        for name, (digest, _) in record.items():
            if "__pycache__" in name.split("/")[:-1]:
                continue  # installer leaves these out
            scheme, path = self._scheme(name, root)
            changed = scheme == "scripts"  # its first line may become the interpreter's
            self._own(owned, scheme, path, "" if changed else digest)
        for script in self._scripts():
            self._own(owned, "scripts", script, "")
        for name in ("INSTALLER", ORIGIN, "RECORD", *self._added):
            owned[posixpath.join(self._layout.folder(root, self._name), f"{self._stem}.dist-info", name)] = ""
        return owned

    def _scheme(self, name: str, root: str) -> tuple[str, str]:
        top, _, rest = name.partition("/")
        if top != f"{self._stem}.data":
            return root, name
        scheme, _, path = rest.partition("/")
        if scheme not in SCHEME_NAMES or not path:
            self._refuse(f"has a file in a .data folder that no scheme names: {name}")
        return scheme, path

    def _own(self, owned: dict[str, str], scheme: str, path: str, digest: str) -> None:
        place = _below(self._layout.folder(scheme, self._name), path)
        self._check_place(place)
        if place in owned:
            self._refuse(f"would write {place} twice")
        owned[place] = digest

    def _check_place(self, place: str) -> None:
        layout = self._layout
        if owner := layout.protector(place):
            self._refuse(f"would replace {place}, which belongs to {owner}")
        for site in self._sites:
            top = place[len(site) :].partition("/")[0] if place.startswith(site) else ""
            if top.endswith((".dist-info", ".egg-info")) and top != f"{self._stem}.dist-info":
                self._refuse(f"would write into {top}, which speaks for another distribution")

    def _scripts(self) -> Iterator[str]:
        path = f"{self._stem}.dist-info/entry_points.txt"
        if path not in self._archive.NameToInfo:
            return
        config = ConfigParser(delimiters=("=",), interpolation=None, strict=True)
        config.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
        try:
            config.read_string(self._archive.read(path).decode("utf-8"))
        except ConfigParserError as error:
            first = str(error).splitlines()[0]
            self._refuse(f"has an entry_points.txt that can't be read: {first}")
        for section in ("console_scripts", "gui_scripts"):
            for name, value in config.items(section) if config.has_section(section) else ():
                if not _SCRIPT_NAME.fullmatch(name) or name in (".", ".."):
                    self._refuse(f"has a script whose name leaves its folder: {name!r}")
                if not _OBJECT.fullmatch(value.strip()):
                    self._refuse(f"has a script {name} that names no function: {value!r}")
                yield name


def _same_version(one: str, other: str) -> bool:
    # The file name and the folder may spell a local version's "+" as "_" (the wheel specification's escaping).
    left, right = one.replace("_", "+", 1), other.replace("_", "+", 1)
    try:
        return left == right or key(left) == key(right)
    except ValueError:
        return False


def _expanded(tag: str) -> set[str]:
    parts = [part.split(".") for part in tag.split("-")]
    if len(parts) != 3:
        return {tag}
    return {f"{one}-{two}-{three}" for one in parts[0] for two in parts[1] for three in parts[2]}


def _record_rows(text: str, refuse: Any) -> dict[str, tuple[str, str]]:
    rows: dict[str, tuple[str, str]] = {}
    try:
        for row in csv.reader(text.splitlines()):
            if len(row) != 3:
                refuse("has a RECORD with a line that is not three fields")
            path = row[0]
            if path in rows:
                refuse(f"lists {path} twice in RECORD")
            rows[path] = (row[1], row[2])
    except csv.Error as error:
        refuse(f"has a RECORD that can't be read: {error}")
    return rows


def _below(folder: str, path: str) -> str:
    """Where *path*, which has no dots to follow, is in *folder*, relative to the prefix."""
    return f"{folder}/{path}" if folder else path


class _Member:
    """A member's bytes, which fail at the end if they are not what RECORD says."""

    def __init__(self, wheel: CheckedWheel, archive: zipfile.ZipFile, name: str) -> None:
        self._wheel = wheel
        self._archive = archive
        self.name = name
        self.digest, self.size = wheel.record[name]

    def chunks(self) -> Iterator[bytes]:
        """Every byte; raises WheelError after the last if the hash is wrong."""
        algorithm, _, expected = self.digest.partition("=")
        hasher = hashlib.new(algorithm)
        with self._archive.open(self.name) as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                yield chunk
        if _encoded(hasher.digest()) != expected.rstrip("="):
            _refuse(self._wheel.filename, f"has a file that is not what RECORD says: {self.name}")

    @property
    def entry(self) -> Hash:
        """The hash as the installed RECORD has it."""
        algorithm, _, digest = self.digest.partition("=")
        return Hash(algorithm, digest.rstrip("="))


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


class _Source(WheelSource):
    """The members of a wheel that was checked, for installer."""

    def __init__(self, wheel: CheckedWheel, archive: zipfile.ZipFile) -> None:
        name, _, version = wheel.stem.rpartition("-")
        super().__init__(distribution=name, version=version)
        self._wheel = wheel
        self._archive = archive

    @property
    def dist_info_filenames(self) -> list[str]:
        start = f"{self._wheel.dist_info}/"
        return [name.removeprefix(start) for name in self._wheel.record if name.startswith(start)]

    def read_dist_info(self, filename: str) -> str:
        return self._archive.read(f"{self._wheel.dist_info}/{filename}").decode("utf-8")

    def get_contents(self) -> Iterator[WheelContentElement]:
        for name in self._wheel.record:
            if "__pycache__" in name.split("/")[:-1]:
                continue
            info = self._archive.NameToInfo[name]
            mode = info.external_attr >> 16
            member = cast("Any", _Member(self._wheel, self._archive, name))
            yield (name, "", ""), member, bool(stat.S_ISREG(mode) and mode & 0o111)


class _Folder(WheelDestination):
    """Writes a wheel below a folder that stands for the prefix; what is there already is an error."""

    def __init__(self, wheel: CheckedWheel, folder: str, layout: Layout, kept: Unpacked) -> None:
        self._wheel = wheel
        self._kept = kept
        self._folder = folder
        self._layout = layout
        self._made: set[str] = set()
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
            return self._write(scheme, path, [content], executable=is_executable)
        below, place = self._place(scheme, path)
        if self._kept.take(stream.name, place, digest=stream.digest, size=stream.size, executable=is_executable):
            self.sizes[below] = stream.size
        else:
            self._save(below, place, stream.chunks(), executable=is_executable)
            self._kept.keep(stream.name, place)
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
        self._save(*self._place(scheme, path), [content], executable=executable)
        return RecordEntry(path, Hash("sha256", _encoded(hashlib.sha256(content).digest())), len(content))

    def _place(self, scheme: str, path: str) -> tuple[str, str]:
        """Where a file goes, below the prefix and as a whole path, in a folder that is there."""
        below = _below(self._layout.folder(scheme, self._wheel.name), path)
        place = f"{self._folder}/{below}"
        parent = place.rpartition("/")[0]
        if parent not in self._made:
            os.makedirs(parent, exist_ok=True)
            self._made.add(parent)
        return below, place

    def _save(self, below: str, place: str, chunks: Iterable[bytes], *, executable: bool) -> None:
        # The process's umask takes from these modes what it should.
        mode = 0o777 if executable else 0o666
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        # Buffered, for a raw file may write less than it was given: a disk that fills up would leave a cut file.
        with open(descriptor, "wb") as file:
            file.writelines(chunks)
            self.sizes[below] = file.tell()


def _with_interpreter(script: bytes, interpreter: str) -> bytes:
    """*script* with its ``#!python`` line (the wheel specification) made to name *interpreter*."""
    if not script.startswith(b"#!python"):
        return script
    _, _, rest = script.partition(b"\n")
    line = f"#!{interpreter}\n"
    # The kernel takes no blanks and only so many bytes in that line; a shell does (as installer's own scripts have it).
    if " " in interpreter or len(os.fsencode(line)) > 127:
        line = f"#!/bin/sh\n'''exec' {shlex.quote(interpreter)} \"$0\" \"$@\"\n' '''\n"
    return os.fsencode(line) + rest
