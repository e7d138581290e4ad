"""Container images: archives of `docker save` and OCI image layouts, whose layers are merged into one folder."""

import gzip
import json
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn, Protocol

from minglibc.audit.elf import MAGIC
from minglibc.audit.folders import METADATA_FOLDERS
from minglibc.audit.rules import HEAD_SIZE
from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem
from minglibc.model.artifacts import printable
from minglibc.model.limits import BOMB_FREE, BOMB_RATIO, MAX_LINKS, path_problem
from minglibc.model.tar_archive import TooLargeError, decompress, open_tar, tar_members

_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"
_OTHER_COMPRESSION = {_ZSTD: "zstd", _XZ: "xz", _BZIP2: "bzip2"}
# The files of os-release, see its manual page in section 5.
_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MAX_JSON = 8 << 20
_MAX_METADATA = 8 << 20
_MAX_LAYERS = 500
_MAX_FILES = 20_000
# Members of layers: always allowed, and one more for each of so many bytes of the image.
_FREE_MEMBERS, _MEMBER_SIZE = 50_000, 50
_CHUNK = 1 << 20
_NOT_AN_IMAGE = "is not a container image: "
_COMPRESSED = "contains data compressed with "


class _Invalid(ValueError):
    """The image can't be read; the text continues a sentence whose subject is its path."""


@contextmanager
def unpacked(path: str) -> Iterator[str]:
    """A temporary folder with the files of the image at *path* that ``read_root`` reads; raises EnvironmentProblem.

    *path* is an archive of `docker save`, an OCI image layout (image-spec v1), or such an archive compressed with gzip. Of files that
    are neither binaries nor metadata, only the first bytes are written.
    """
    with tempfile.TemporaryDirectory(prefix="minglibc-") as folder:
        try:
            _unpack(path, folder)
        except _Invalid as error:
            raise EnvironmentProblem(printable(f"{path} {error}"), hint=_hint(error)) from error
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, RecursionError) as error:
            raise EnvironmentProblem(printable(f"{path} is not a valid image: {error}")) from error
        except OSError as error:
            problem = f"failed to unpack {path} in {tempfile.gettempdir()}: {error.strerror or error}"
            raise EnvironmentProblem(printable(problem)) from error
        yield folder


def _unpack(path: str, folder: str) -> None:
    with _open_source(path) as source:
        root, limits = _Root(folder), _Limits()
        for layer in _layers(source):
            with source.open(layer) as packed:
                size = _size(packed)
                with _plain(packed) as stream:
                    root.add_layer(stream, limits.most_members(layer, size, _size(stream)))


class _Limits:
    """What all layers together may unpack to: an image may list the same layer many times."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._unpacked = 0

    def most_members(self, layer: str, size: int, unpacked: int) -> int:
        """The most members of all layers up to *layer*, which has *size* bytes and unpacks to *unpacked*; raises _Invalid."""
        self._sizes[layer] = size
        self._unpacked += unpacked
        total = sum(self._sizes.values())
        if self._unpacked > (most := max(BOMB_FREE, BOMB_RATIO * total)):
            raise _Invalid(f"has layers that unpack to more than {most >> 20} MiB")
        return _FREE_MEMBERS + total // _MEMBER_SIZE


def _size(stream: IO[bytes]) -> int:
    """The size of *stream*, which is read from its beginning then."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def _hint(error: _Invalid) -> str:
    if str(error).startswith(_NOT_AN_IMAGE):
        return "give --image the file that `docker save IMAGE` writes"
    if str(error).startswith(_COMPRESSED):
        return "`skopeo copy --dest-compress-format gzip SOURCE oci:FOLDER:TAG` makes a layout with gzip"
    return ""


class _Missing(_Invalid):
    """The image has no file of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"is not a complete image: it has no {name[:200]}")


class _Source(Protocol):
    def open(self, name: str) -> IO[bytes]:
        """The file *name* of the image; raises _Missing."""


class _FolderSource:
    """An OCI image layout in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def open(self, name: str) -> IO[bytes]:
        try:
            return open(os.path.join(self._folder, _safe_name(name)), "rb", opener=open_regular)
        except FileNotFoundError as error:
            raise _Missing(name) from error


class _ArchiveSource:
    """An image in one uncompressed archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        for number, entry in enumerate(archive):
            if number == _MAX_FILES:
                raise _Invalid(f"{_NOT_AN_IMAGE}it contains more than {_MAX_FILES} files")
            self._members[posixpath.normpath(entry.name)] = entry

    def open(self, name: str) -> IO[bytes]:
        for _ in range(MAX_LINKS):
            entry = self._members.get(posixpath.normpath(name))
            if entry is None or entry.isreg():
                break
            # Docker before version 25 writes a layer that occurs twice as a link.
            name = posixpath.join(posixpath.dirname(name) if entry.issym() else "", entry.linkname)
        stream = self._archive.extractfile(entry) if entry is not None and entry.isreg() else None
        if stream is None:
            raise _Missing(name)
        return stream


@contextmanager
def _open_source(path: str) -> Iterator[_Source]:
    if os.path.isdir(path):
        yield _FolderSource(path)
        return
    with _open_image(path) as file, _plain(file) as plain, open_tar(plain) as archive:
        yield _ArchiveSource(archive)


def _open_image(path: str) -> IO[bytes]:
    try:
        return open(path, "rb", opener=open_regular)
    except OSError as error:
        raise EnvironmentProblem(f"can't read {path}: {error.strerror}") from error


@contextmanager
def _plain(packed: IO[bytes]) -> Iterator[IO[bytes]]:
    """The uncompressed content of the seekable stream *packed*; members of archives are read at any position."""
    head = packed.read(max(map(len, (_GZIP, *_OTHER_COMPRESSION))))
    size = _size(packed)
    for magic, name in _OTHER_COMPRESSION.items():
        if head.startswith(magic):
            raise _Invalid(f"{_COMPRESSED}{name}, which is not supported; save it without compression or with gzip")
    if not head.startswith(_GZIP):
        yield packed
        return
    most = max(BOMB_FREE, BOMB_RATIO * size)
    with tempfile.TemporaryFile() as plain:
        try:
            decompress(packed, plain, most)
        except TooLargeError as error:
            raise _Invalid(f"has a layer that {error}") from error
        yield plain


def _safe_name(name: str) -> str:
    if posixpath.isabs(name) or ".." in name.split("/") or "\0" in name:
        raise _Invalid(f"names a file outside of the image: {name[:200]}")
    return name


# Manifests


def _layers(source: _Source) -> list[str]:
    """The names of the layers of the only image, lowest first."""
    with suppress(_Missing):
        images = _list(_read_json(source, "manifest.json"))
        names = [_text(tag) for image in images for tag in _list(_dict(image).get("RepoTags") or [])]
        return _limited([_text(name) for name in _list(_dict(_only(images, names)).get("Layers"))])
    try:
        index = _dict(_read_json(source, "index.json"))
    except _Missing as error:
        raise _Invalid(f"{_NOT_AN_IMAGE}it has neither manifest.json nor index.json") from error
    return _limited([_blob(layer) for layer in _list(_image_manifest(source, index)["layers"])])


def _image_manifest(source: _Source, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The manifest of the only image that an index lists, directly or in another index."""
    for _ in range(MAX_LINKS):
        if "layers" in document:
            return document
        entries = [_dict(entry) for entry in _list(document.get("manifests"))]
        # Attestations are images for an unknown platform.
        images = [entry for entry in entries if "unknown" not in _platform(entry)]
        name = _blob(_only(images, [_name_of(entry) for entry in images]))
        document = _dict(_read_json(source, name))
    raise _Invalid("has no manifest with layers")


def _only(images: list[Any], names: list[str]) -> Any:
    if len(images) != 1:
        listed = f": {', '.join(names[:10])}" if any(names) else ""
        raise _Invalid(f"contains {len(images)} images{listed}; save one of them" if images else "contains no image")
    return images[0]


def _platform(entry: Mapping[str, Any]) -> str:
    platform = _dict(entry.get("platform") or {})
    return "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key))


def _name_of(entry: Mapping[str, Any]) -> str:
    annotations = _dict(entry.get("annotations") or {})
    return str(annotations.get("org.opencontainers.image.ref.name") or _platform(entry))


def _blob(entry: Any) -> str:
    algorithm, _, digest = _text(_dict(entry)["digest"]).partition(":")
    return f"blobs/{algorithm}/{digest}"


def _read_json(source: _Source, name: str) -> Any:
    with source.open(name) as stream:
        content = stream.read(_MAX_JSON + 1)
    if len(content) > _MAX_JSON:
        raise _Invalid(f"has a {name} of more than {_MAX_JSON >> 20} MiB")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Invalid(f"is not a valid image: {name} is not JSON") from error


def _limited(layers: list[str]) -> list[str]:
    if len(layers) > _MAX_LAYERS:
        raise _Invalid(f"has {len(layers)} layers")
    return layers


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else _malformed()


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _malformed()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _malformed()


def _malformed() -> NoReturn:
    raise _Invalid("is not a valid image: its manifest has an unknown form")


# Layers


class _Root:
    """The merged layers in *folder*. Links are followed inside of it, as a container does; nothing outside is touched."""

    def __init__(self, folder: str) -> None:
        self._top = os.path.realpath(folder)
        self._count = 0

    def add_layer(self, stream: IO[bytes], most: int) -> None:
        """Apply the changes of a layer (image-spec, "Image Layer Filesystem Changeset"); at most *most* with those before it."""
        added: set[str] = {self._top}
        for archive, entry in tar_members(stream):
            self._count += 1
            name = posixpath.normpath(f"/{entry.name}").lstrip("/")
            if problem := "too many files" if self._count > most else path_problem(name):
                raise _Invalid(f"has {problem}")
            if name:
                self._add(archive, entry, name, added)

    def _add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, added: set[str]) -> None:
        parent, _, base = name.rpartition("/")
        folder = self._folder(parent)
        if base == _OPAQUE:
            _clear(folder, added)
        elif base.startswith(_WHITEOUT):
            _remove(os.path.join(folder, _safe_base(base.removeprefix(_WHITEOUT))))
        else:
            path = f"{folder}/{base}"
            self._write(archive, entry, path)
            while path not in added:
                added.add(path)
                path = os.path.dirname(path)

    def _write(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
        if entry.isdir():
            if not _is_folder(path):
                _remove(path)
                os.mkdir(path, 0o700)
        elif entry.issym():
            _remove(path)
            os.symlink(entry.linkname, path)
        elif entry.islnk():
            self._link(entry.linkname, path)
        elif entry.isreg():
            _remove(path)
            _write_file(archive, entry, path)
        else:
            # A device or a FIFO.
            _remove(path)

    def _link(self, name: str, path: str) -> None:
        parent, _, base = posixpath.normpath(f"/{name}").lstrip("/").rpartition("/")
        target = f"{self._folder(parent)}/{base}"
        if not os.path.lexists(target) or _is_folder(target):
            raise _Invalid(f"has a link to {name[:200]}, which is not a file")
        if target != path:
            _remove(path)
            os.link(target, path, follow_symlinks=False)

    def _folder(self, path: str) -> str:
        """The folder *path* of the root, without links; it is created if it is missing."""
        real, links = self._top, 0
        parts = deque(path.split("/"))
        while parts:
            part = parts.popleft()
            if part == "..":
                real = real if real == self._top else os.path.dirname(real)
            if part in ("", ".", ".."):
                continue
            step = f"{real}/{part}"
            if os.path.islink(step):
                links += 1
                target = os.readlink(step)
                if links > MAX_LINKS or path_problem(target):
                    raise _Invalid(f"has a link that leads nowhere: {step.removeprefix(self._top)}")
                real = self._top if target.startswith("/") else real
                parts.extendleft(reversed(target.split("/")))
                continue
            if not _is_folder(step):
                _remove(step)
                os.mkdir(step, 0o700)
            real = step
        return real


def _safe_base(name: str) -> str:
    if name in ("", ".", ".."):
        raise _Invalid(f"has a whiteout with an invalid name: {_WHITEOUT}{name}")
    return name


def _write_file(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
    stream = archive.extractfile(entry)
    assert stream is not None  # it is a file
    is_metadata = entry.size <= _MAX_METADATA and os.path.dirname(path).endswith(METADATA_FOLDERS)
    with stream, open(path, "xb") as file:
        head = stream.read(HEAD_SIZE)
        file.write(head)
        if head.startswith(MAGIC) or is_metadata or (path.endswith(_RELEASE) and entry.size <= _MAX_METADATA):
            shutil.copyfileobj(stream, file, _CHUNK)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _clear(folder: str, added: set[str]) -> None:
    """Remove what lower layers have in *folder*: everything but the paths in *added*."""
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.path not in added:
            _remove(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            _clear(entry.path, added)
