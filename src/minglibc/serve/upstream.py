"""The upstream indexes: which one has a project, and its page from the shared cache folder or by a request."""

import hashlib
import threading
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile
from minglibc.errors import CacheDamaged, IndexAnswerError, IndexUnreachable, MinglibcError
from minglibc.index.addresses import is_local
from minglibc.index.client import DEFAULT_FILE_HOST, Index
from minglibc.index.connection import Connection, Request
from minglibc.index.credentials import origin_of
from minglibc.index.fetcher import Fetcher, no_format
from minglibc.index.html_page import FlatPage, read_flat_page
from minglibc.index.page_file import content_type
from minglibc.index.response import ACCEPT, MIB, Response, decompressed, max_age
from minglibc.model.urls import DEFAULT_INDEX_URL, display_url
from minglibc.serve.local_files import SECONDS as LOCAL_SECONDS
from minglibc.serve.local_files import LocalFiles
from minglibc.serve.page import UpstreamPage, page_of_files, read_upstream
from minglibc.serve.routes import METADATA

# A list of projects that is larger is not passed on: no installer requests it.
_LARGEST_LIST = 16 * MIB
_MOST_ABSENT = 10_000
# The pages in the cache folder: their size is limited after so many bytes were written.
_FOLDER = "served"
_LARGEST_FOLDER = 2 << 30
_TRIM_INTERVAL = 64 * MIB


class NotServed(MinglibcError):
    """Something that an upstream index has and that is not passed on."""


class Snapshot(NamedTuple):
    """The page of a project as an upstream index had it when it was last confirmed."""

    base: str
    response: Response
    max_age: int
    confirmed: float
    """Seconds since the epoch."""
    digest: str
    serial: str = ""
    page: UpstreamPage | None = None
    """The page itself if it was just read, or if it is one of a flat index."""
    stale: str = ""
    """Why it could not be confirmed; empty if it is fresh."""

    def age(self) -> float:
        """The seconds since it was confirmed; infinite if that is in the future."""
        age = time.time() - self.confirmed
        return age if age >= 0 else float("inf")

    @property
    def is_fresh(self) -> bool:
        """Whether it may be served without a request."""
        return self.age() < self.max_age

    def read(self, name: str) -> UpstreamPage:
        """The page, which is that of project *name*."""
        return self.page or read_upstream(self.response, name)


class Hosts:
    """The origins that may be requested for an index: its own, and those of files.

    Those of other indexes are not: one index must not make the server request another one with its credentials.
    """

    def __init__(self, bases: Collection[str], file_hosts: Collection[str]) -> None:
        known = [DEFAULT_FILE_HOST] if origin_of(DEFAULT_INDEX_URL) in map(origin_of, bases) else []
        given = [host if "://" in host else f"https://{host}" for host in file_hosts]
        self._of_files = frozenset(map(origin_of, (*known, *given)))

    def allows(self, base: str, url: str) -> bool:
        """Whether *url* may be requested for a page or a file of the index at *base*."""
        return origin_of(url) == origin_of(base) or origin_of(url) in self._of_files


class Upstream:
    """Gets pages in the worker thread that calls it."""

    def __init__(self, index: Index, store: Store, hosts: Hosts, *, stale_if_error: int = 0) -> None:
        self._index = index
        self._store = store
        self._fetchers = {
            base: Fetcher(index.credentials, is_allowed=partial(hosts.allows, base)) for base in index.addresses.all
        }
        self._local = {base: LocalFiles(base) for base in index.addresses.all if is_local(base)}
        # The indexes with credentials: their files are fetched by this server.
        remote = [base for base in index.addresses.all if not is_local(base)]
        self.private = frozenset(base for base in remote if index.credentials.headers(base))
        self._stale_if_error = stale_if_error
        # The store is not made for several threads.
        self._storing = threading.Lock()
        self._written = _TRIM_INTERVAL
        self._absent: dict[tuple[str, str], float] = {}
        self._flat: dict[str, tuple[FlatPage, Snapshot]] = {}
        self._reading_flat = threading.Lock()

    def request(self, base: str, url: str) -> Request:
        """A request for a file of the index at *base*."""
        return self._fetchers[base].request(url, {"Accept-Encoding": "identity"})

    def load(self, connection: Connection, name: str, known: Snapshot | None) -> Snapshot | None:
        """The page of project *name* from the first index that has it, None if none has; raises IndexUnreachable.

        *known* is the page that was served last. If the index can't be reached, it is returned as stale where that is allowed.
        """
        for base in self._index.addresses.of(name):
            if time.monotonic() < self._absent.get((base, name), float("-inf")):
                continue
            cached = known if known is not None and known.base == base else self._cached(base, name)
            if cached is not None and cached.is_fresh:
                return cached._replace(stale="")
            try:
                snapshot = self._request(connection, base, name, cached)
            except IndexUnreachable as error:
                # An invalid answer is a fault of its own, which a stale page would hide.
                if cached is None or isinstance(error, IndexAnswerError) or not self._may_be_stale(cached):
                    raise
                return cached._replace(stale=error.message)
            if snapshot is not None:
                return snapshot
        return None

    def _may_be_stale(self, snapshot: Snapshot) -> bool:
        return snapshot.age() < snapshot.max_age + self._stale_if_error

    def _request(self, connection: Connection, base: str, name: str, cached: Snapshot | None) -> Snapshot | None:
        if base in self._local:
            return self._from_local(base, name)
        if self._index.addresses.is_flat(base):
            return self._from_flat(connection, base, name)
        etag = cached.response.headers.get("etag", "") if cached is not None else ""
        response = self._fetchers[base].page_response(connection, f"{base}{name}/", name, etag=etag)
        if response.status == 304 and cached is not None:
            return self._confirm(base, name, cached, response)
        if response.status != 200:
            if refusal := no_format(response):
                raise refusal
            self._note_absent(base, name, max_age(response))
            return None
        page = read_upstream(response, name)
        snapshot = _snapshot(base, response)
        self._write(base, name, snapshot)
        return snapshot._replace(page=page)

    def _note_absent(self, base: str, name: str, seconds: int) -> None:
        if len(self._absent) >= _MOST_ABSENT:
            self._absent.clear()
        self._absent[base, name] = time.monotonic() + seconds

    def _confirm(self, base: str, name: str, cached: Snapshot, response: Response) -> Snapshot:
        age = max_age(response)
        snapshot = cached._replace(confirmed=time.time(), max_age=age, stale="")
        with self._storing:
            if age == cached.max_age:
                self._store.confirm(self._kind(base), name)
                return snapshot
        self._write(base, name, snapshot)
        return snapshot

    # Flat indexes.

    def _from_flat(self, connection: Connection, base: str, name: str) -> Snapshot | None:
        with self._reading_flat:
            if base not in self._flat or not self._flat[base][1].is_fresh:
                response = self._fetchers[base].get(connection, base, {"Accept": "text/html"})
                self._flat[base] = read_flat_page(response), _snapshot(base, response)
        flat, snapshot = self._flat[base]
        files = flat.files.get(name)
        if not files:
            return None
        page = page_of_files(files, name, flat.base_url)
        return snapshot._replace(page=page, response=snapshot.response._replace(body=b""))

    # Indexes on this machine.

    def _from_local(self, base: str, name: str) -> Snapshot | None:
        files = self._local[base].of_project(name)
        if not files:
            return None
        headers = {"cache-control": f"max-age={LOCAL_SECONDS}"}
        snapshot = _snapshot(base, Response(base, 200, headers, msgspec.json.encode(files)))
        page = page_of_files(files, name, base)
        return snapshot._replace(page=page, response=snapshot.response._replace(body=b""))

    def local_path(self, base: str, file: LockedFile) -> str | None:
        """The path of a file on this machine; None if it is on another one. Raises IndexUnreachable where it has changed."""
        if base not in self._local or not is_local(file.url):
            return None
        try:
            path = self._local[base].path(file.url, file.hashes["sha256"])
        except OSError:
            path = ""
        if not path:
            raise IndexUnreachable(f"{file.filename} was changed or removed; request the page again")
        return path

    def local_metadata(self, base: str, file: LockedFile) -> bytes | None:
        """The metadata *file* of a wheel on this machine; None if that is on another one. Raises IndexUnreachable where it has changed."""
        if base not in self._local or not is_local(file.url):
            return None
        try:
            content = self._local[base].metadata(file.url.removesuffix(METADATA), file.hashes["sha256"])
        except OSError:
            content = None
        if content is None:
            raise IndexUnreachable(f"{file.filename} was changed or removed; request the page again")
        return content

    # The cache folder.

    def _kind(self, base: str) -> str:
        return f"{_FOLDER}/{self._index.folder_of(base).rpartition('/')[2]}"

    def _cached(self, base: str, name: str) -> Snapshot | None:
        with self._storing:
            try:
                entry = self._store.read(self._kind(base), name)
                if entry is None:
                    return None
                url, headers, age = entry.head
                (body,) = entry.lines
                response = Response(url, 200, dict(headers), body)
                return _snapshot(base, response)._replace(confirmed=entry.confirmed, max_age=int(age))
            except (CacheDamaged, ValueError, TypeError):
                return None
            finally:
                self._store.close()

    def _write(self, base: str, name: str, snapshot: Snapshot) -> None:
        response = snapshot.response
        with self._storing:
            head = [response.url, dict(response.headers), snapshot.max_age]
            self._store.write(self._kind(base), name, head, [response.body])
            self._written += len(response.body)
            if self._written >= _TRIM_INTERVAL:
                self._written = 0
                self._store.trim(_FOLDER, _LARGEST_FOLDER)

    # The list of projects.

    def names(self, connection: Connection) -> Sequence[str]:
        """The names of all projects of the indexes; raises IndexUnreachable, also where a list is too large."""
        names: set[str] = set()
        for base in self._index.addresses.of(""):
            if base in self._local:
                names.update(self._local[base].names())
                continue
            if self._index.addresses.is_flat(base):
                self._from_flat(connection, base, "")
                names.update(self._flat[base][0].files)
                continue
            response = self._fetchers[base].get(connection, base, {"Accept": ACCEPT}, decompress=False)
            names |= _names_in(response)
        return sorted(names)


_KEPT_HEADERS = ("content-type", "content-encoding", "etag")


def _snapshot(base: str, response: Response) -> Snapshot:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    serial = response.headers.get("x-pypi-last-serial", "")
    if serial.isascii() and serial.isdecimal():
        headers["x-pypi-last-serial"] = serial
    # The query of a URL that was redirected to may be a signature.
    kept = response._replace(url=response.base_url, headers=headers)
    digest = hashlib.sha256(response.body).hexdigest()[:32]
    return Snapshot(base, kept, max_age(response), time.time(), digest, headers.get("x-pypi-last-serial", ""))


class _Name(msgspec.Struct):
    name: str


class _List(msgspec.Struct):
    projects: list[_Name]


def _names_in(response: Response) -> set[str]:
    url = display_url(response.url)
    if response.status != 200:
        raise IndexAnswerError(f"{url}: the index returned {response.status} for the list of projects")
    response = decompressed(response)
    if len(response.body) > _LARGEST_LIST:
        raise NotServed(f"{url}: the list of projects is too large to be passed on; request a project's page")
    if not content_type(response).endswith("json"):
        raise NotServed(f"{url}: the index has no list of projects in JSON; request a project's page")
    try:
        return {project.name for project in msgspec.json.decode(response.body, type=_List).projects}
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IndexAnswerError(f"{url}: the list of projects is invalid") from error
