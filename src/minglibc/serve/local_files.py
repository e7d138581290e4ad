"""Indexes on this machine: a folder of distributions or a page of links to them. The server sends their files itself."""

import hashlib
import os
import threading
import time
from collections.abc import Collection, Mapping
from urllib.parse import urljoin

import msgspec

from minglibc.cache.wheels import identity_of
from minglibc.config.files import open_regular
from minglibc.errors import IndexUnreachable, SettingsError
from minglibc.index.addresses import is_local
from minglibc.index.flat_index import LocalIndex
from minglibc.index.page_file import File
from minglibc.model.file_urls import path_of
from minglibc.model.project_page import version_in

# How long a folder is not read again.
SECONDS = 10


class LocalFiles:
    """The files of the index at the ``file:`` URL *base*, with their hashes; those outside its folder are not listed."""

    def __init__(self, base: str) -> None:
        self._base = base
        path = path_of(base)
        self._root = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        self._index = LocalIndex(base, "")
        self._read = 0.0
        self._hashes: dict[str, tuple[str, str]] = {}
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
        return path if path and self._hash(path)[0] == digest else ""

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
            digest, size = self._hash(path) if path else ("", 0)
        except OSError:
            return None
        return msgspec.structs.replace(file, url=url, hashes={"sha256": digest}, size=size) if digest else None

    def _inside(self, url: str) -> str:
        """The path that *url* names; empty where a link or ``..`` leads out of the folder."""
        path = os.path.realpath(path_of(url))
        return path if path.startswith(f"{self._root.rstrip('/')}/") else ""

    def _hash(self, path: str) -> tuple[str, int]:
        """The SHA-256 of a file, which is computed again only if it has changed, and its size."""
        with open(path, "rb", opener=open_regular) as stream:
            identity = identity_of(stream.fileno())
            known = self._hashes.get(path)
            if known is None or known[0] != identity:
                known = self._hashes[path] = identity, hashlib.file_digest(stream, "sha256").hexdigest()
            return known[1], os.fstat(stream.fileno()).st_size
