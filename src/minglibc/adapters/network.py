"""What goes over the wire: fetches in threads, and the guard under which they tell the index."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from minglibc.adapters.answers import ACCEPT, Answer, Reader, shown
from minglibc.adapters.http import Lanes, Limits, Ticket, get
from minglibc.adapters.index import NotStatic
from minglibc.adapters.pagereader import PageReader, ReaderGone
from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError
from minglibc.wheels import CoreMetadata, Sdist, Wheel, parse_metadata, parse_pkg_info

if TYPE_CHECKING:
    from minglibc.adapters.index import Index

LANES = 32
SPARE_LANES = 3
# Where a server sends neither an ETag nor Cache-Control.
DEFAULT_MAX_AGE = 600
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")

T = TypeVar("T")
Key = tuple[str, str]


class Network:
    """Fetches for one Index, in threads; whatever touches the index is done by one of them at a time."""

    def __init__(self, index: "Index", reader: PageReader | None, *, on_fetch: Callable[[str], None]) -> None:
        self._index = index
        self._reader = reader
        self._on_fetch = on_fetch
        self._limits = Limits.from_environment()
        self._credentials = index.credentials
        self._guard = index.guard
        self._lanes = Lanes(self._limits, size=LANES, spare=SPARE_LANES, guard=self._guard)
        self._listings: dict[str, Answer] = {}
        self._listing = threading.Lock()
        self._tickets: dict[Key, Ticket] = {}
        self._no_metadata_files = 0

    def knows(self, key: Key) -> bool:
        """Whether *key* has been started."""
        return key in self._tickets

    def start(self, key: Key, fetch: Callable[[Ticket], None]) -> None:
        """Begin a fetch, once."""
        if key not in self._tickets and not self._lanes.is_closing:
            self._tickets[key] = self._lanes.submit(Ticket(fetch))

    def wait(self, key: Key) -> None:
        """Come back when *key* is there, which is served before all that nobody waits for."""
        self._lanes.promote(self._tickets[key])
        self._on_fetch(key[1])
        self._lanes.wait(self._tickets[key])

    def run(self, fetch: Callable[[Ticket], T]) -> T:
        """The result of *fetch*."""
        found: T = self._lanes.wait(self._lanes.submit(Ticket(fetch, urgent=True)))
        return found

    def close(self) -> None:
        """Stop everything."""
        self._lanes.close()
        if self._reader is not None:
            self._reader.close()

    def _get(self, url: str, ticket: Ticket, headers: Mapping[str, str] = {}) -> Answer:
        return get(ticket, url, self._told(url, headers), self._limits)

    def _told(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        with self._guard:
            return {**self._credentials.headers(url), **headers}

    def _refused(self, answer: Answer, what: str) -> IndexUnreachable:
        with self._guard:
            advice = self._credentials.advice(answer.url)
        hints = {
            401: f"the index wants credentials, and {advice}",
            403: "the index, or a proxy before it, forbids it; minglibc never tries another index silently",
        }
        return IndexAnswerError(
            f"{shown(answer.url)}: the index answers {answer.status} for {what}", hint=hints.get(answer.status, "")
        )

    # Project pages.

    def page(self, name: str, indexes: Sequence[str], ticket: Ticket) -> None:
        """Fetch the page of *name* from the first of *indexes* that has it, or have that confirm the one that is cached."""
        try:
            self._first_page(name, indexes, ticket)
        except MinglibcError as error:
            with self._guard:
                self._index.keep_failure(name, error)

    def _first_page(self, name: str, indexes: Sequence[str], ticket: Ticket) -> None:
        for base in indexes:
            with self._guard:
                if self._index.is_local(base):
                    if self._index.take_local(base, name):
                        return
                    if base is indexes[-1]:
                        raise self._index.lacks(name, base)
                    continue
                if base is not indexes[0] and self._index.take_kept(base, name):
                    return
            answer = self._page(name, base, ticket)
            if answer is None:
                return
            if base is indexes[-1]:
                self._project_json(name, base, answer, ticket)
            else:
                _check_offered(answer)
                with self._guard:
                    self._index.keep_absence(name, base, max_age=_max_age(answer))

    def _page(self, name: str, base: str, ticket: Ticket) -> Answer | None:
        """Have the page of *name* from *base*, or give the answer that says that it is not there."""
        if base in self._index.flat:
            return self._listed(name, base, ticket)
        with self._guard:
            url, etag = f"{base}{name}/", self._index.etag(base, name)
        conditional = {"If-None-Match": etag} if etag else {}
        headers = self._told(url, {"Accept": ACCEPT, **conditional})
        reading = partial(_reader_of_large, name)
        answer = get(ticket, url, headers, self._limits, unpack=False, reading=reading)
        if answer.status == 304 and etag:
            with self._guard:
                self._index.confirm_page(name, base, max_age=_max_age(answer))
        elif answer.status == 200:
            self._read(answer, name, base)
        elif answer.status in {404, 406, 410}:
            return answer
        else:
            raise self._refused(answer, f"the page of {name}")
        return None

    def _read(self, answer: Answer, name: str, base: str) -> None:
        """Have the page that *answer* holds, by the second process where there is one."""
        etag, max_age = answer.headers.get("etag", ""), _max_age(answer)
        if answer.read is None and self._reader is not None:
            with self._guard:
                place = self._index.place_of(name, base, etag=etag, max_age=max_age)
            try:
                self._reader.keep(answer, *place)
            except ReaderGone:
                if self._lanes.is_closing:
                    return  # nobody waits for it
            else:
                with self._guard:
                    if self._index.take_written(name, base):
                        return
        from minglibc.adapters.simple_api import read_packed  # noqa: PLC0415  the second process has it, as a rule

        page = read_packed(answer, name) if answer.read is None else answer.read
        with self._guard:
            self._index.keep_page(page, base, etag=etag, max_age=max_age)

    def _listed(self, name: str, base: str, ticket: Ticket) -> Answer | None:
        """The same from a flat index, whose one page is fetched once for all projects."""
        with self._listing:
            if base not in self._listings:
                headers = self._told(base, {"Accept": "text/html"})
                self._listings[base] = get(
                    ticket, base, headers, self._limits, unpack=False, reading=_reader_of_listing
                )
            answer = self._listings[base]
            if answer.status != 200:
                raise self._refused(answer, "its page of files")
            if answer.read is None:
                from minglibc.adapters.html_page import read_listing  # noqa: PLC0415  few indexes are flat

                answer = self._listings[base] = answer._replace(body=b"", read=read_listing(answer))
        page = answer.read.project(name)
        if not len(page.versions):
            return answer
        with self._guard:
            self._index.keep_page(page, base, max_age=_max_age(answer))
        return None

    def _project_json(self, name: str, base: str, refusal: Answer, ticket: Ticket) -> None:
        """The project JSON API stands in where the Simple API has no page."""
        if base.endswith("/simple/"):
            answer = self._get(f"{base.removesuffix('simple/')}pypi/{name}/json", ticket)
            if answer.status == 200:
                from minglibc.adapters.simple_api import read_project_json  # noqa: PLC0415  it seldom comes to this

                page = read_project_json(answer, name)
                with self._guard:
                    self._index.keep_page(page, base, etag="", max_age=_max_age(answer))
                return
        _check_offered(refusal)
        raise self._index.lacks(name, base)

    # Core metadata.

    def metadata(self, wheel: Wheel, ticket: Ticket) -> None:
        """Fetch the metadata of *wheel*: its own file (PEP 658), else out of the wheel by ranges, else the whole wheel."""
        try:
            found: CoreMetadata | Exception = self._read_metadata(wheel, ticket)
        except (MinglibcError, ValueError) as error:
            found = error
        with self._guard:
            self._index.keep_metadata(wheel, found)

    def _read_metadata(self, wheel: Wheel, ticket: Ticket) -> CoreMetadata:
        if not isinstance(wheel, Sdist):
            return parse_metadata(self._metadata(wheel, ticket).decode(errors="replace"))
        answer = self._get(f"{wheel.url}.metadata", ticket)
        if answer.status != 200:
            raise NotStatic(f"the index does not serve the metadata of {wheel.filename}")
        _check_hash(answer.body, wheel.metadata or "", f"{wheel.filename}.metadata")
        found = parse_pkg_info(answer.body.decode(errors="replace"))
        if found is None:
            raise NotStatic(f"what {wheel.filename} requires is known once it is built")
        return found

    def _metadata(self, wheel: Wheel, ticket: Ticket) -> bytes:
        # A mirror may strip core-metadata from its pages and serve the files all the same: ask, until it proves not to.
        if wheel.metadata is not None or self._no_metadata_files < 3:
            answer = self._get(f"{wheel.url}.metadata", ticket)
            if answer.status == 200:
                self._no_metadata_files = 0
                _check_hash(answer.body, wheel.metadata or "", f"{wheel.filename}.metadata")
                return answer.body
            if answer.status not in {403, 404, 405, 410}:
                raise self._refused(answer, f"the metadata of {wheel.filename}")
            self._no_metadata_files += 1
        from minglibc.adapters.wheel_metadata import read_remotely  # noqa: PLC0415  most indexes serve metadata

        content = read_remotely(lambda start, stop: self._span(wheel, start, stop, ticket))
        _check_hash(content, wheel.metadata or "", f"the METADATA in {wheel.filename}")
        return content

    def _span(self, wheel: Wheel, start: int | None, stop: int | None, ticket: Ticket) -> tuple[int, int, bytes]:
        asked = f"bytes=-{stop}" if start is None else f"bytes={start}-{(stop or 0) - 1}"
        answer = self._get(wheel.url, ticket, {"Range": asked, "Accept-Encoding": "identity"})
        if answer.status == 206:
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
            if found is None:
                raise IndexAnswerError(f"{shown(answer.url)}: the server sends a part and doesn't say which")
            return int(found[1]), int(found[3]), answer.body
        if answer.status == 416 and wheel.size:
            return self._span(wheel, 0, wheel.size, ticket)
        if answer.status != 200:
            raise self._refused(answer, wheel.filename)
        _check_hash(answer.body, wheel.hash, wheel.filename)
        return 0, len(answer.body), answer.body

    def digest(self, wheel: Wheel, ticket: Ticket) -> str:
        """Download *wheel* and hash it."""
        answer = self._get(wheel.url, ticket, {"Accept-Encoding": "identity"})
        if answer.status != 200:
            raise self._refused(answer, wheel.filename)
        from minglibc.adapters.wheel_metadata import read_wheel  # noqa: PLC0415  few indexes give no hashes

        try:
            if not isinstance(wheel, Sdist):
                read_wheel(answer.body)
        except ValueError as error:
            raise IndexAnswerError(f"{shown(answer.url)}: {error}") from error
        return f"sha256:{sha256(answer.body).hexdigest()}"


def _reader_of_large(name: str, answer: Answer) -> Reader | None:
    from minglibc.adapters.large_page import reader  # noqa: PLC0415  few pages are that large

    return reader(answer, name)


def _reader_of_listing(answer: Answer) -> Reader | None:
    from minglibc.adapters.html_page import Listing  # noqa: PLC0415  few indexes are flat

    return Listing(answer) if answer.status == 200 else None


def _max_age(answer: Answer) -> int:
    control = answer.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    found = _MAX_AGE.search(control)
    if found:
        return max(0, int(found[1]) - _age(answer))
    return 0 if "etag" in answer.headers else DEFAULT_MAX_AGE


def _age(answer: Answer) -> int:
    age = answer.headers.get("age", "0")
    return int(age) if age.isascii() and age.isdigit() else 0


def _check_hash(body: bytes, expected: str, what: str) -> None:
    algorithm, _, digest = expected.partition(":")
    if not digest:
        return
    found = new_hash(algorithm, body).hexdigest()
    if found != digest.lower():
        raise IndexAnswerError(
            f"{what} is not what the index's page promises: {algorithm} {found}, promised {digest}",
            hint="the file was changed on the way or on the index; nothing was locked",
        )


def _check_offered(refusal: Answer) -> None:
    """Raise IndexAnswerError where an index has the page, and in no form that can be read."""
    if refusal.status == 406:
        raise IndexAnswerError(f"{shown(refusal.url)}: the index offers its pages neither in JSON nor in HTML (406)")
