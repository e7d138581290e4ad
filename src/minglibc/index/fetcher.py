"""Fetches pages, metadata and digests from indexes: which requests are sent, and what their responses mean."""

import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from minglibc.errors import IndexAnswerError, MinglibcError
from minglibc.index.calls import Call, FetchedPage, Key
from minglibc.index.connection import Connection, Request
from minglibc.index.credentials import Credentials
from minglibc.index.response import ACCEPT, Response, decompressed, max_age, validators
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata, parse_metadata, parse_pkg_info
from minglibc.model.urls import display_url

if TYPE_CHECKING:
    from minglibc.index.html_page import FlatPage

_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
# No page, or none in a format that was requested.
_ABSENT = frozenset((404, 406, 410))
# After so many wheels in a row whose metadata files are missing, no others are requested from an index that lists none,
# except for a project of which several wheels are read: a mirror may have the files of some projects only.
_MAX_MISSING = 3


class PageStore(Protocol):
    """Processes that write pages to the cache."""

    def store(self, key: Key, response: Response, folder: str, project: str) -> None:
        """Write the page of *project* to *folder* of the cache, and reply to *key*."""
        ...


class Fetcher:
    """Sends requests in the worker thread that calls it; *pages* writes them to the cache."""

    def __init__(
        self,
        credentials: Credentials,
        pages: PageStore | None = None,
        *,
        is_allowed: Callable[[str], bool] = lambda _url: True,
    ) -> None:
        self._credentials = credentials
        self._is_allowed = is_allowed
        self._pages = pages
        self._missing_metadata = 0
        # By project: whether the metadata file of a wheel was there, and None where none was requested yet.
        self._serves_metadata: dict[str, bool | None] = {}
        # Flat indexes: one page for all projects, fetched once.
        self._flat_pages: dict[str, tuple[Mapping[str, Any], FlatPage]] = {}
        self._fetching_flat = threading.Lock()

    def perform(self, call: Call, connection: Connection) -> Any:
        """The result of *call*."""
        return getattr(self, call.method)(connection, **call.arguments)

    def get(
        self, connection: Connection, url: str, headers: Mapping[str, str] = {}, *, decompress: bool = True
    ) -> Response:
        """The response to a GET with credentials, whatever its status."""
        response = connection.read(self.request(url, headers))
        return decompressed(response) if decompress else response

    def request(self, url: str, headers: Mapping[str, str] = {}) -> Request:
        """A GET of *url* with the credentials of its host."""
        credentials = self._credentials
        return Request(
            url,
            {**credentials.headers(url), **headers},
            redirect_headers=credentials.redirect_headers,
            is_allowed=self._is_allowed,
        )

    def _unexpected(self, response: Response, what: str) -> IndexAnswerError:
        hints = {
            401: f"the index requires credentials, and {self._credentials.advice(response.url)}",
            403: "the index, or a proxy in front of it, forbids access; minglibc does not try another index instead",
        }
        return IndexAnswerError(
            f"{display_url(response.url)}: the index returned {response.status} for {what}",
            hint=hints.get(response.status, ""),
        )

    # Project pages.

    def page(
        self, connection: Connection, url: str, name: str, *, etag: str = "", folder: str = "", alternative: str = ""
    ) -> FetchedPage | None:
        """The page of *name* at *url*; None if a worker writes it to *folder* of the cache and replies.

        *alternative* is a URL of the project JSON API, which replaces a missing page.
        """
        response = self.page_response(connection, url, name, etag=etag)
        if response.status == 304:
            return FetchedPage({"etag": etag, "max-age": max_age(response)}, is_unchanged=True)
        if response.status in _ABSENT:
            replacement = self._project_json(connection, alternative, name) if alternative else None
            entry = validators(response)
            return replacement or FetchedPage(entry, is_absent=True, refusal=no_format(response))
        if folder and self._pages is not None:
            self._pages.store(("page", name), response, folder, name)
            return None
        from minglibc.index.pages import read_page  # noqa: PLC0415  msgspec takes 10 ms; the page worker has imported it

        return FetchedPage(validators(response), read_page(response, name))

    def page_response(self, connection: Connection, url: str, name: str, *, etag: str = "") -> Response:
        """The response for the page of *name*, as it was sent: the page, that it is unchanged since *etag*, or that there is none."""
        headers = {"Accept": ACCEPT, "If-None-Match": etag} if etag else {"Accept": ACCEPT}
        response = self.get(connection, url, headers, decompress=False)
        if response.status == 200 or response.status in _ABSENT or (response.status == 304 and etag):
            return response
        raise self._unexpected(response, f"the page of {name}")

    def flat_page(self, connection: Connection, url: str, name: str) -> FetchedPage:
        """The files of *name* on the flat index at *url*."""
        with self._fetching_flat:
            if url not in self._flat_pages:
                self._flat_pages[url] = self._fetch_flat(connection, url)
        entry, flat = self._flat_pages[url]
        page = flat.project(name)
        return FetchedPage(entry, page) if len(page.versions) else FetchedPage(entry, is_absent=True)

    def _fetch_flat(self, connection: Connection, url: str) -> "tuple[Mapping[str, Any], FlatPage]":
        from minglibc.index.html_page import read_flat_page  # noqa: PLC0415  few indexes are flat

        response = self.get(connection, url, {"Accept": "text/html"})
        if response.status != 200:
            raise self._unexpected(response, "its page of files")
        return validators(response), read_flat_page(response)

    def _project_json(self, connection: Connection, url: str, name: str) -> FetchedPage | None:
        response = self.get(connection, url)
        if response.status != 200:
            return None
        from minglibc.index.json_page import read_project_json  # noqa: PLC0415  seldom needed

        return FetchedPage({"etag": "", "max-age": max_age(response)}, read_project_json(response, name))

    # Core metadata.

    def metadata(self, connection: Connection, wheel: Artifact) -> CoreMetadata:
        """The metadata of *wheel*: from its metadata file (PEP 658), by range requests, or from the whole wheel."""
        if isinstance(wheel, Sdist):
            return self._sdist_metadata(connection, wheel)
        return _parsed(self._wheel_metadata(connection, wheel))

    def _sdist_metadata(self, connection: Connection, sdist: Sdist) -> CoreMetadata:
        response = self.get(connection, metadata_url(sdist.url))
        if response.status != 200:
            raise DynamicMetadata(f"the index does not serve the metadata of {sdist.filename}")
        _check_hash(response.body, sdist.metadata or "", f"{sdist.filename}.metadata")
        metadata = parse_pkg_info(response.body.decode(errors="replace"))
        if metadata is None:
            raise DynamicMetadata(f"the requirements of {sdist.filename} are only known after a build")
        return metadata

    def _wheel_metadata(self, connection: Connection, wheel: Artifact) -> bytes:
        if wheel.metadata is not None or self._may_serve_metadata(wheel.name):
            body = self._metadata_file(connection, wheel)
            self._serves_metadata[wheel.name] = body is not None
            if body is not None:
                self._missing_metadata = 0
                return body
            self._missing_metadata += 1
        from minglibc.index.remote_metadata import read_remotely  # noqa: PLC0415  zipfile; most indexes serve metadata

        content = read_remotely(partial(self._range, connection, wheel))
        _check_hash(content, wheel.metadata or "", f"the METADATA in {wheel.filename}")
        return content

    def _may_serve_metadata(self, name: str) -> bool:
        """Whether to request a metadata file that the page of a project does not list, as a mirror may remove that from its pages."""
        is_first = name not in self._serves_metadata
        is_served = self._serves_metadata.setdefault(name, None)
        if is_served is not None:
            return is_served
        return self._missing_metadata < _MAX_MISSING or not is_first

    def _metadata_file(self, connection: Connection, wheel: Artifact) -> bytes | None:
        """The metadata file of *wheel*; None where it is missing, or where another answer to a guess was returned."""
        url = metadata_url(wheel.url)
        if wheel.metadata is None:
            try:
                # Every status is an answer, and none is worth a retry.
                response = decompressed(connection.read(self.request(url)._replace(retries=0, retried=frozenset())))
            except MinglibcError:
                return None
            is_metadata = response.status == 200 and _is_metadata(response.body)
            return response.body if is_metadata else None
        response = self.get(connection, url)
        if response.status == 200 and (wheel.metadata or _is_metadata(response.body)):
            _check_hash(response.body, wheel.metadata, f"{wheel.filename}.metadata")
            return response.body
        if response.status not in {200, 403, 404, 405, 410}:
            raise self._unexpected(response, f"the metadata of {wheel.filename}")
        return None

    def _range(
        self, connection: Connection, wheel: Artifact, start: int | None, stop: int | None
    ) -> tuple[int, int, bytes]:
        span = f"bytes=-{stop}" if start is None else f"bytes={start}-{(stop or 0) - 1}"
        response = self.get(connection, wheel.url, {"Range": span, "Accept-Encoding": "identity"})
        if response.status == 206:
            sent = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if sent is None:
                url = display_url(response.url)
                raise IndexAnswerError(f"{url}: the server sent a part without a valid Content-Range")
            return int(sent[1]), int(sent[3]), response.body
        if response.status == 416 and wheel.size:
            return self._range(connection, wheel, 0, wheel.size)
        if response.status != 200:
            raise self._unexpected(response, wheel.filename)
        _check_hash(response.body, wheel.hash, wheel.filename)
        return 0, len(response.body), response.body

    def digest(self, connection: Connection, wheel: Artifact) -> str:
        """The SHA-256 of *wheel*, which is downloaded for it."""
        response = self.get(connection, wheel.url, {"Accept-Encoding": "identity"})
        if response.status != 200:
            raise self._unexpected(response, wheel.filename)
        if not isinstance(wheel, Sdist):
            from minglibc.index.remote_metadata import read_wheel  # noqa: PLC0415  few indexes give no hashes

            try:
                read_wheel(response.body)
            except ValueError as error:
                raise IndexAnswerError(f"{display_url(response.url)}: {error}") from error
        return f"sha256:{sha256(response.body).hexdigest()}"


def metadata_url(url: str) -> str:
    """The URL of the metadata of the file at *url* (PEP 658): its path with ``.metadata``, with the same query."""
    path, mark, query = url.partition("?")
    return f"{path}.metadata{mark}{query}"


def _parsed(body: bytes) -> CoreMetadata:
    return parse_metadata(body.decode(errors="replace"))


def _is_metadata(body: bytes) -> bool:
    """Whether *body* is metadata at all, and not a web page or an empty file.

    Metadata of another project or release is reported, not ignored.
    """
    try:
        _parsed(body)
    except ValueError:
        return False
    return True


def _check_hash(body: bytes, expected: str, what: str) -> None:
    algorithm, _, digest = expected.partition(":")
    if not digest:
        return
    actual = new_hash(algorithm, body).hexdigest()
    if actual != digest.lower():
        raise IndexAnswerError(
            f"{what} differs from what the index's page promises: {algorithm} {actual}, expected {digest}",
            hint="the file was changed in transit or on the index; nothing was locked",
        )


def no_format(response: Response) -> IndexAnswerError | None:
    """The error of an index that has a page, but in no format that minglibc accepts."""
    if response.status != 406:
        return None
    return IndexAnswerError(
        f"{display_url(response.url)}: the index offers its pages neither in JSON nor in HTML (406)"
    )
