"""Indexes on this machine: a folder of distributions or a page of links to them. The server sends their files itself."""

import hashlib
import os
import threading
import time
from collections.abc import Collection, Mapping
from io import BufferedReader
from typing import NamedTuple
from urllib.parse import urljoin

import msgspec

from minglibc.cache.wheels import identity_of
from minglibc.config.files import open_regular
from minglibc.errors import IndexUnreachable, SettingsError
from minglibc.index.addresses import is_local
from minglibc.index.flat_index import LocalIndex
from minglibc.index.page_file import File
from minglibc.index.remote_metadata import read_open
from minglibc.model.core_metadata import parse_metadata
from minglibc.model.file_urls import path_of
from minglibc.model.project_page import version_in

# How long a folder is not read again.
SECONDS = 10


class _Facts(NamedTuple):
    """What a page says of a file: it is read again only if the file has changed."""

    identity: str
    digest: str
    size: int
    metadata_digest: str = ""
    """That of METADATA in a wheel; empty where it can't be read."""
    requires_python: str = ""


class LocalFiles:
    """The files of the index at the ``file:`` URL *base*, with their hashes; those outside its folder are not listed."""

    def __init__(self, base: str) -> None:
        self._base = base
        path = path_of(base)
        self._root = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        self._index = LocalIndex(base, "")
        self._read = 0.0
        self._known: dict[str, _Facts] = {}
        self._lock = threading.Lock()

    def names(self) -> Collection[str]:
        """The projects that have files; raises IndexUnreachable."""
        listed = self._listed()
        return [name for name, files in listed.items() if any(version_in(file.filename, name) for file in files)]

    def of_project(self, name: str) -> list[File]:
        """The files of a project, with absolute URLs; raises IndexUnreachable."""
        files = [self._complete(file) for file in self._listed().get(name, ()) if version_in(file.filename, name)]
        return [file for file in files if file is not None]

    def path(self, url: str, digest: str) -> str:
        """The path of the file at *url*; empty where there is no such file any more. Raises OSError."""
        path = self._inside(url)
        return path if path and self._facts(path).digest == digest else ""

    def metadata(self, url: str, digest: str) -> bytes | None:
        """METADATA in the wheel at *url*; None where it is not that of the page any more. Raises OSError."""
        path = self._inside(url)
        if not path:
            return None
        with open(path, "rb", opener=open_regular) as stream:
            content = _metadata(stream)
        return content if content and hashlib.sha256(content).hexdigest() == digest else None

    def _listed(self) -> Mapping[str, Collection[File]]:
        with self._lock:
            if time.monotonic() - self._read > SECONDS or not self._read:
                index = LocalIndex(self._base, "")
                try:
                    index.files  # noqa: B018  reads them
                except SettingsError as error:
                    # Clients get the message: they need not know the folders of the server.
                    reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else "is no index"
                    name = os.path.basename(path_of(self._base))
                    raise IndexUnreachable(f"the server can't read its index {name}: {reason}") from error
                self._index, self._read = index, time.monotonic()
            return self._index.files

    def _complete(self, file: File) -> File | None:
        """*file* with its absolute URL and, if it is on this machine, its hash; None where it is not there."""
        url = urljoin(self._index.base_url, file.url)
        if not is_local(url):
            return msgspec.structs.replace(file, url=url)
        try:
            path = self._inside(url)
            facts = self._facts(path) if path else None
        except OSError:
            return None
        if facts is None:
            return None
        return msgspec.structs.replace(
            file,
            url=url,
            hashes={"sha256": facts.digest},
            size=facts.size,
            core_metadata={"sha256": facts.metadata_digest} if facts.metadata_digest else None,
            requires_python=facts.requires_python or file.requires_python,
        )

    def _inside(self, url: str) -> str:
        """The path that *url* names; empty where a link or ``..`` leads out of the folder."""
        path = os.path.realpath(path_of(url))
        return path if path.startswith(f"{self._root.rstrip('/')}/") else ""

    def _facts(self, path: str) -> _Facts:
        with open(path, "rb", opener=open_regular) as stream:
            identity = identity_of(stream.fileno())
            known = self._known.get(path)
            if known is None or known.identity != identity:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size = os.fstat(stream.fileno()).st_size
                content = _metadata(stream) if path.endswith(".whl") else b""
                metadata_digest = hashlib.sha256(content).hexdigest() if content else ""
                known = _Facts(identity, digest, size, metadata_digest, _requires_python(content))
                self._known[path] = known
            return known


def _metadata(stream: BufferedReader) -> bytes:
    """METADATA in the wheel that is open as *stream*; empty where it is invalid."""
    try:
        content = read_open(stream)
        parse_metadata(content.decode(errors="replace"))
    except ValueError:
        return b""
    return content


def _requires_python(content: bytes) -> str:
    text = parse_metadata(content.decode(errors="replace")).requires_python if content else ""
    return text if text.isprintable() else ""
