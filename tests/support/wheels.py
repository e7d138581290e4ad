"""Builds small, reproducible wheels and source distributions, and damages them."""

import base64
import gzip
import hashlib
import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

Content = str | bytes

# Large files are compressed fast.
_LARGE = 100_000
_DATE = (2020, 1, 1, 0, 0, 0)


class BuiltWheel(NamedTuple):
    """A wheel as an index publishes it: its file name, content and METADATA."""

    filename: str
    content: bytes
    metadata: bytes
    project: str
    version: str
    requires_python: str | None = None

    @property
    def sha256(self) -> str:
        """The digest of the whole file."""
        return hashlib.sha256(self.content).hexdigest()


class BuiltSdist(NamedTuple):
    """A minimal source distribution, for listing and downloading."""

    filename: str
    content: bytes
    metadata: bytes
    project: str
    version: str
    requires_python: str | None = None

    @property
    def sha256(self) -> str:
        """The digest of the whole file."""
        return hashlib.sha256(self.content).hexdigest()


class Member(NamedTuple):
    """One entry of a wheel's archive, in the order in which it is written."""

    name: str
    content: bytes
    mode: int = stat.S_IFREG | 0o644
    compression: int = zipfile.ZIP_DEFLATED


def normalized(name: str) -> str:
    """The normalized project name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel_filename(name: str, version: str, tag: str = "py3-none-any", build: str = "") -> str:
    """The file name of a wheel, by the wheel specification."""
    return "-".join(filter(None, [normalized(name).replace("-", "_"), version, build, tag])) + ".whl"


def metadata_text(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    provides_extra: Iterable[str] = (),
    extra: Content = "",
    summary: str = "Made by a test.",
) -> bytes:
    """A METADATA (or PKG-INFO) file; *extra* is appended to its headers unchanged."""
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}", f"Summary: {summary}"]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Provides-Extra: {one}" for one in provides_extra]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    head = "".join(f"{line}\n" for line in lines).encode()
    tail = _bytes(extra)
    return head + tail + (b"" if tail.endswith(b"\n") or not tail else b"\n") + b"\nA distribution for tests.\n"


def build_wheel(
    name: str,
    version: str,
    tag: str = "py3-none-any",
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    provides_extra: Iterable[str] = (),
    files: Mapping[str, Content] | None = None,
    build: str = "",
    scripts: Mapping[str, str] | None = None,
    metadata_extra: Content = "",
    metadata_name: str | None = None,
    metadata_version: str | None = None,
    metadata: bytes | None = None,
    wheel_version: str = "1.0",
    wheel_tags: Iterable[str] | None = None,
    dist_info: str | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
    record: bool = True,
    filename: str | None = None,
    padding: int = 0,
) -> BuiltWheel:
    """A reproducible wheel, which is valid unless a parameter makes it invalid.

    *scripts* are console scripts (name → ``module:function``); *padding* adds a file of that many bytes that do
    not compress; *metadata* replaces the METADATA in the wheel and on the index.
    """
    package = normalized(name).replace("-", "_")
    dist_info = dist_info or f"{package}-{version}.dist-info"
    if metadata is None:
        metadata = metadata_text(
            name if metadata_name is None else metadata_name,
            version if metadata_version is None else metadata_version,
            requires=requires,
            requires_python=requires_python,
            provides_extra=provides_extra,
            extra=metadata_extra,
        )
    if files is None:
        files = {f"{package}/__init__.py": f'__version__ = "{version}"\n'}
    contents = {path: _bytes(content) for path, content in files.items()}
    if padding:
        contents[f"{package}/padding.bin"] = noise(padding)
    contents[f"{dist_info}/METADATA"] = metadata
    contents[f"{dist_info}/WHEEL"] = _wheel_file(
        expand_tag(tag) if wheel_tags is None else wheel_tags, wheel_version=wheel_version, build=build
    )
    if scripts:
        lines = "".join(f"{script} = {target}\n" for script, target in scripts.items())
        contents[f"{dist_info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    members = [Member(path, content, _mode(path), compression) for path, content in contents.items()]
    if record:
        members.append(record_of(members, dist_info)._replace(compression=compression))
    return BuiltWheel(
        filename=filename or wheel_filename(name, version, tag, build),
        content=zip_of(members),
        metadata=metadata,
        project=normalized(name),
        version=version,
        requires_python=requires_python,
    )


def build_sdist(
    name: str, version: str, *, requires: Iterable[str] = (), requires_python: str | None = None
) -> BuiltSdist:
    """A source distribution with PKG-INFO and a pyproject.toml without a build backend."""
    stem = f"{normalized(name).replace('-', '_')}-{version}"
    metadata = metadata_text(name, version, requires=requires, requires_python=requires_python)
    pyproject = f'[project]\nname = "{name}"\nversion = "{version}"\n'.encode()
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, content in {"PKG-INFO": metadata, "pyproject.toml": pyproject}.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return BuiltSdist(f"{stem}.tar.gz", buffer.getvalue(), metadata, normalized(name), version, requires_python)


def tamper(
    wheel: BuiltWheel,
    *,
    add: Mapping[str, Content] | None = None,
    append: Iterable[Member] = (),
    remove: Iterable[str] = (),
    replace: Mapping[str, Content] | None = None,
    rename: Mapping[str, str] | None = None,
    symlinks: Mapping[str, str] | None = None,
    record: bool = True,
    prefix: bytes = b"",
    suffix: bytes = b"",
) -> BuiltWheel:
    """*wheel* with members added, removed, replaced or renamed, and bytes before or after the archive.

    RECORD is regenerated, unless *record* is false or RECORD itself is changed. *remove* and *replace* take member names or their ends (``RECORD``, ``/WHEEL``).
    *append* adds members after RECORD was written (such as duplicate names), so RECORD does not list them.
    """
    members = list(members_of(wheel))
    dist_info = next(member.name for member in members if member.name.endswith("/METADATA")).rpartition("/")[0]
    changes = {_find(members, path): _bytes(content) for path, content in (replace or {}).items()}
    gone = {_find(members, path) for path in remove}
    record_path = f"{dist_info}/RECORD"
    keep_record = not record or record_path in changes or record_path in gone
    members = [
        member._replace(
            content=changes.get(member.name, member.content), name=(rename or {}).get(member.name, member.name)
        )
        for member in members
        if member.name not in gone
    ]
    members += [Member(path, _bytes(content), _mode(path)) for path, content in (add or {}).items()]
    members += [Member(path, target.encode(), stat.S_IFLNK | 0o777) for path, target in (symlinks or {}).items()]
    if not keep_record:
        members = [member for member in members if member.name != record_path]
        members.append(record_of(members, dist_info))
    return wheel._replace(content=prefix + zip_of([*members, *append]) + suffix)


def members_of(wheel: BuiltWheel) -> Iterator[Member]:
    """The archive's members."""
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        for info in archive.infolist():
            yield Member(info.filename, archive.read(info), info.external_attr >> 16, info.compress_type)


def record_of(members: Iterable[Member], dist_info: str) -> Member:
    """A valid RECORD of *members*."""
    lines = [f"{_quoted(member.name)},{record_hash(member.content)},{len(member.content)}" for member in members]
    lines.append(f"{dist_info}/RECORD,,")
    return Member(f"{dist_info}/RECORD", "".join(f"{line}\n" for line in lines).encode())


def record_hash(content: bytes) -> str:
    """A digest in RECORD's format."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def zip_of(members: Iterable[Member]) -> bytes:
    """A reproducible archive of these members, in this order, with unchanged names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo("x", _DATE)
            # Set afterwards, since zipfile normalizes names, and tests need backslashes and "..".
            info.filename = member.name
            info.external_attr = member.mode << 16
            info.create_system = 3
            info.compress_type = member.compression
            _write(archive, info, member)
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, member: Member) -> None:
    if member.name in archive.NameToInfo:
        # Prevents zipfile's warning about duplicate names, which are intended here.
        del archive.NameToInfo[member.name]
    archive.writestr(info, member.content, compresslevel=1 if len(member.content) > _LARGE else None)


def expand_tag(tag: str) -> list[str]:
    """The tags of a compressed tag set, as WHEEL lists them."""
    return ["-".join(one) for one in product(*(part.split(".") for part in tag.split("-")))]


def noise(size: int) -> bytes:
    """Reproducible bytes that do not compress."""
    return hashlib.shake_128(b"minglibc").digest(size)


def _wheel_file(tags: Iterable[str], *, wheel_version: str, build: str) -> bytes:
    tags = list(tags)
    pure = str(all(tag.endswith("-none-any") for tag in tags)).lower()
    lines = [f"Wheel-Version: {wheel_version}", "Generator: tests", f"Root-Is-Purelib: {pure}"]
    lines += [f"Tag: {tag}" for tag in tags]
    lines += [f"Build: {build}"] if build else []
    return "".join(f"{line}\n" for line in lines).encode()


def _find(members: Iterable[Member], path: str) -> str:
    for member in members:
        if member.name == path or member.name.endswith(f"/{path.removeprefix('/')}"):
            return member.name
    raise LookupError(f"the wheel has no member {path}")


def _mode(path: str) -> int:
    return stat.S_IFREG | (0o755 if ".data/scripts/" in path else 0o644)


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if "," in path or '"' in path else path


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content
