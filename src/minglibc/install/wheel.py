"""Check a wheel completely before anything of it is unpacked: its archive, its metadata, and every path it would write."""

import base64
import csv
import hashlib
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from typing import NoReturn

from installer.utils import SCHEME_NAMES

from minglibc.cache.wheels import identity_of
from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.install.layout import ORIGIN, Layout, folders_of
from minglibc.install.wheel_archive import check_archive
from minglibc.model.artifacts import printable
from minglibc.model.core_metadata import headers
from minglibc.model.lenient import lenient_specifier
from minglibc.model.limits import (
    MAX_FILENAME,
    MAX_MEMBERS,
    MAX_PATH,
    MAX_TAGS,
    path_problem,
    tag_count,
)
from minglibc.model.platform_tags import expand_tags
from minglibc.model.requirements import normalize_name
from minglibc.model.versions import contains, key
from minglibc.model.zip_archive import open_zip

_MAX_METADATA = 8 << 20
_MAX_RECORD = 32 << 20
# Of a wheel's tags, in a message.
_MAX_LISTED = 20

_RECORD_ALGORITHMS = {"sha256", "sha384", "sha512"}
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
# Names that can be inserted into a generated script without changing its meaning.
_SCRIPT_NAME = re.compile(rf"[^/\\\0\r\n]{{1,{MAX_FILENAME}}}")
_OBJECT = re.compile(
    r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*:\s*(?P<attr>[^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?:\[.*\])?"
)


@dataclass(frozen=True, slots=True)
class CheckedWheel:
    """A wheel that may be installed, and every path that it will own, relative to the prefix."""

    path: str
    filename: str
    name: str
    version: str
    stem: str
    root: str  # "purelib" or "platlib"
    record: dict[str, tuple[str, int]]
    """Each member that is installed, with its hash as in RECORD and its size."""
    owned: dict[str, str]
    """Each path below the prefix with its hash; empty if the content is generated at installation."""
    requires: tuple[str, ...]
    requires_python: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Each path below the prefix with the size of its file; known once the wheel is unpacked."""
    notes: tuple[str, ...] = ()
    """Deviations from the wheel specification that pip and uv accept too."""

    @property
    def dist_info(self) -> str:
        """The name of its .dist-info folder."""
        return f"{self.stem}.dist-info"


def check(path: str, filename: str, layout: Layout, *, additional: Sequence[str] = ()) -> CheckedWheel:
    """The wheel at *path*, called *filename*, if its structure, metadata and paths are valid; else raises WheelError.

    *additional* names files that will be added to its .dist-info.
    """
    with opened(path, filename, layout, additional=additional) as (wheel, _):
        return wheel


@contextmanager
def opened(
    path: str, filename: str, layout: Layout, *, additional: Sequence[str] = (), expected: tuple[str, str] = ("", "")
) -> Iterator[tuple[CheckedWheel, zipfile.ZipFile]]:
    """The checked wheel, and its open archive for ``unpack``.

    *expected* are the hash of the file and its identity when that was verified; everything is read from one descriptor.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb", opener=open_regular))
            _check_content(file, filename, *expected)
            archive = stack.enter_context(open_zip(file))
            wheel = _WheelCheck(archive, path, filename, layout, additional).wheel()
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            EOFError,
            struct.error,
            UnicodeDecodeError,
            ValueError,
        ) as error:
            reject(filename, f"is not a readable zip archive: {error}")
        except RuntimeError as error:
            reject(filename, f"can't be read: {error}")
        except OSError as error:
            raise WheelError(f"{filename}: can't read {path}: {error.strerror}") from error
        yield wheel, archive


def _check_content(file: BufferedReader, filename: str, content: str, identity: str) -> None:
    """Check that the open *file* is the one whose hash was verified."""
    if not content or identity == identity_of(file.fileno()):
        return
    algorithm, _, digest = content.partition(":")
    if hashlib.file_digest(file, algorithm).hexdigest() != digest:
        reject(filename, "was changed after its hash was verified")
    file.seek(0)


def reject(filename: str, reason: str) -> NoReturn:
    """Raise WheelError for the wheel *filename*."""
    raise WheelError(
        printable(f"{filename} {reason}"),
        hint="nothing of it was installed; report it to its maintainers, or lock another release",
    )


class _WheelCheck:
    """The checks of one archive; each raises WheelError if it fails."""

    def __init__(
        self, archive: zipfile.ZipFile, path: str, filename: str, layout: Layout, additional: Sequence[str]
    ) -> None:
        self._archive = archive
        self._additional = additional
        self._path = path
        self._filename = filename
        self._layout = layout
        self._sites = {f"{layout.purelib}/", f"{layout.platlib}/"}
        self._members = archive.infolist()
        parts = filename.removesuffix(".whl").split("-")
        if not filename.endswith(".whl") or len(parts) not in (5, 6):
            self._reject("is not a valid wheel file name")
        self._name, self._version, self._tags = normalize_name(parts[0]), parts[1], parts[-3:]
        self._notes: list[str] = []

    def wheel(self) -> CheckedWheel:
        check_archive(self._archive, self._reject)
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
            notes=tuple(self._notes),
        )

    def _reject(self, reason: str) -> NoReturn:
        reject(self._filename, reason)

    def _find_dist_info(self) -> str:
        top_folders = {member.filename.partition("/")[0] for member in self._members}
        names = sorted(top for top in top_folders if top.endswith(".dist-info"))
        if len(names) != 1:
            self._reject(f"has {len(names)} .dist-info folders: {', '.join(names)}" if names else "has no .dist-info")
        stem = names[0].removesuffix(".dist-info")
        name, _, version = stem.rpartition("-")
        if normalize_name(name) != self._name or not _is_same_version(version, self._version):
            self._reject(f"has the .dist-info of another project or version: {names[0]}")
        return stem

    def _read(self, name: str, limit: int = _MAX_METADATA) -> bytes:
        path = f"{self._stem}.dist-info/{name}"
        try:
            size = self._archive.getinfo(path).file_size
        except KeyError:
            self._reject(f"has no {path}")
        if size > limit:
            self._reject(f"has a {name} that is too large: {size} bytes")
        return self._archive.read(path)

    def _check_metadata(self) -> tuple[tuple[str, ...], str]:
        """Its Requires-Dist and its Requires-Python."""
        text = self._read("METADATA").decode("utf-8", "surrogateescape")
        values = _values(text)
        name, version = _first(values, "name"), _first(values, "version")
        if normalize_name(name) != self._name:
            self._reject(f"has METADATA with the name {name!r}")
        if not _is_same_version(version, self._version):
            self._reject(f"has METADATA with the version {version!r}")
        python = lenient_specifier(_first(values, "requires-python"))
        try:
            contains(python, "3")
        except ValueError:
            self._reject(f"has METADATA with an invalid Requires-Python: {python!r}")
        return tuple(values.get("requires-dist", ())), python

    def _check_wheel_file(self) -> str:
        text = self._read("WHEEL").decode("utf-8")
        values = _values(text)
        version = _first(values, "wheel-version") or "none"
        if version.partition(".")[0] != "1":
            self._reject(f"has Wheel-Version {version}; minglibc supports 1")
        lines = values.get("tag", ())
        if len(lines) > MAX_TAGS or any(tag_count(line) > MAX_TAGS for line in lines):
            self._reject("has too many tags in WHEEL")
        tags = {tag for line in lines for tag in expand_tags(line)}
        if tags != set(expand_tags("-".join(self._tags))):
            # Many published wheels were renamed by auditwheel or by hand.
            listed = ", ".join(sorted(tags)[:_MAX_LISTED]) or "none"
            self._notes.append(f"its WHEEL file has other tags than its file name, which applies: {listed}")
        return "purelib" if _first(values, "root-is-purelib").lower() == "true" else "platlib"

    def _check_record(self) -> dict[str, tuple[str, int]]:
        listed = _record_rows(self._read("RECORD", _MAX_RECORD).decode("utf-8"), self._reject)
        own = f"{self._stem}.dist-info/RECORD"
        without_row = {own, *(f"{self._stem}.dist-info/{name}" for name in _SIGNATURES)}
        record: dict[str, tuple[str, int]] = {}
        unlisted: list[str] = []
        for member in self._members:
            name = member.filename
            if name.endswith("/"):
                continue
            digest, size = listed.pop(name, ("", ""))
            if name in without_row:
                continue
            if not digest:
                unlisted.append(name)
                digest = self._hash(name)
            if digest.partition("=")[0] not in _RECORD_ALGORITHMS:
                self._reject(f"has no usable hash in RECORD for {name}")
            if size and size != str(member.file_size):
                self._reject(f"has a file whose size differs from RECORD: {name}")
            record[name] = (digest, member.file_size)
        listed.pop(own, None)
        if absent := [name for name in listed if not name.endswith("/")]:
            self._reject(f"lists files in RECORD that it does not have: {absent[0]}")
        if unlisted:
            more = f" and {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
            self._notes.append(f"its RECORD has no hash of {unlisted[0]}{more}")
        return record

    def _hash(self, name: str) -> str:
        """The hash of a member in RECORD's form; the hash of the whole wheel was verified."""
        with self._archive.open(name) as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # it only reads
        return f"sha256={base64.urlsafe_b64encode(digest).decode('ascii').rstrip('=')}"

    def _destinations(self, record: dict[str, tuple[str, int]], root: str) -> dict[str, str]:
        owned: dict[str, str] = {}
        info = posixpath.join(self._layout.folder(root, self._name), f"{self._stem}.dist-info")
        generated = {f"{info}/{name}" for name in ("INSTALLER", ORIGIN, "RECORD", *self._additional)}
        for name, (digest, _) in record.items():
            if "__pycache__" in name.split("/")[:-1]:
                continue  # installer skips these
            scheme, path = self._scheme(name, root)
            changed = scheme == "scripts"  # its first line may be replaced
            target = self._add(owned, scheme, path, "" if changed else digest)
            if target in generated and name != path:  # those of the wheel's own .dist-info are replaced
                self._reject(f"would write {target} twice")
        for script in self._scripts():
            self._add(owned, "scripts", script, "")
        owned |= dict.fromkeys(generated, "")
        # Files of different schemes, and generated ones, may meet in the environment only.
        for folder in folders_of(owned) & owned.keys():
            self._reject(f"has {folder} both as a file and as a folder")
        return owned

    def _scheme(self, name: str, root: str) -> tuple[str, str]:
        top, _, rest = name.partition("/")
        if top != f"{self._stem}.data":
            return root, name
        scheme, _, path = rest.partition("/")
        if scheme not in SCHEME_NAMES or not path:
            self._reject(f"has a file in an unknown scheme of its .data folder: {name}")
        return scheme, path

    def _add(self, owned: dict[str, str], scheme: str, path: str, digest: str) -> str:
        target = join(self._layout.folder(scheme, self._name), path)
        self._check_target(target)
        if target in owned:
            self._reject(f"would write {target} twice")
        owned[target] = digest
        return target

    def _check_target(self, target: str) -> None:
        if owner := self._layout.protector(target):
            self._reject(f"would overwrite {target}, which belongs to {owner}")
        for site in self._sites:
            top = target[len(site) :].partition("/")[0] if target.startswith(site) else ""
            if top.endswith((".dist-info", ".egg-info")) and top != f"{self._stem}.dist-info":
                self._reject(f"would write into {top}, which belongs to another distribution")

    def _scripts(self) -> Iterator[str]:
        path = f"{self._stem}.dist-info/entry_points.txt"
        if path not in self._archive.NameToInfo:
            return
        config = ConfigParser(delimiters=("=",), interpolation=None, strict=True)
        config.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep case
        try:
            config.read_string(self._read("entry_points.txt").decode("utf-8"))
        except ConfigParserError as error:
            first = str(error).splitlines()[0]
            self._reject(f"has an entry_points.txt that can't be read: {first}")
        for section in ("console_scripts", "gui_scripts"):
            for name, value in config.items(section) if config.has_section(section) else ():
                if not _SCRIPT_NAME.fullmatch(name) or name in (".", "..") or not name.isprintable():
                    self._reject(f"has a script with an invalid name: {name[:MAX_FILENAME]!r}")
                if len(value) > MAX_PATH or not _OBJECT.fullmatch(value.strip()):
                    self._reject(f"has a script {name} with an invalid entry point: {value[:MAX_PATH]!r}")
                yield name


def _is_same_version(one: str, other: str) -> bool:
    # File and folder names may escape a local version's "+" as "_" (wheel specification).
    left, right = one.replace("_", "+", 1), other.replace("_", "+", 1)
    try:
        return left == right or key(left) == key(right)
    except ValueError:
        return False


def _values(text: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers(text):
        values.setdefault(name, []).append(value)
    return values


def _first(values: Mapping[str, Sequence[str]], name: str) -> str:
    return values.get(name, ("",))[0]


def _record_rows(text: str, reject: Callable[[str], NoReturn]) -> dict[str, tuple[str, str]]:
    rows: dict[str, tuple[str, str]] = {}
    try:
        for row in csv.reader(text.splitlines()):
            if not row:
                continue
            if len(row) != 3:
                reject("has a RECORD with a line that does not have three fields")
            # Some build tools write paths of Windows, or start them with "./".
            path = row[0].replace("\\", "/")
            while path.startswith("./"):
                path = path[2:]
            if problem := path_problem(path):
                reject(f"has a RECORD with {problem}")
            if len(rows) > 2 * MAX_MEMBERS:
                reject("lists too many files in RECORD")
            if rows.setdefault(path, (row[1], row[2])) != (row[1], row[2]):
                reject(f"lists {path} twice in RECORD")
    except csv.Error as error:
        reject(f"has a RECORD that can't be read: {error}")
    return rows


def join(folder: str, path: str) -> str:
    """*path*, which was checked, in *folder*, which may be the prefix itself."""
    return f"{folder}/{path}" if folder else path
