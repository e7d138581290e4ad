"""What is fetched for an index, as jobs that ask: which answer means what, and what is asked next. No request is made here."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from hashlib import new as new_hash
from typing import TYPE_CHECKING, Any, Protocol

from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError
from minglibc.index.client import NotStatic
from minglibc.index.response import (
    ACCEPT,
    BYTES,
    DIGEST,
    KEPT,
    LISTING,
    PAGE,
    WHEEL_DIGEST,
    Answer,
    Ask,
    Job,
    entry,
    max_age,
    shown,
)
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata, parse_metadata, parse_pkg_info

if TYPE_CHECKING:
    from minglibc.index.client import Index

_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
# So many wheels without a metadata file of their own in a row, and no more are asked for.
_PROVEN = 3

Key = tuple[str, str]


class Errand:
    """A job that a Carrier sees to."""

    __slots__ = ("error", "is_done", "job", "result", "ticket", "urgent")

    def __init__(self, job: Job, *, urgent: bool = False) -> None:
        self.job = job
        self.urgent = urgent
        self.is_done = False
        self.result: Any = None
        self.error: Exception | None = None
        # The carrier's own.
        self.ticket: Any = None

    def go_on(self, answer: Answer | MinglibcError | None = None) -> Ask | None:
        """What is asked next, given the answer to what was asked before, or its error; None when the job is done."""
        try:
            return next(self.job) if answer is None else self._given(answer)
        except StopIteration as end:
            self.result = end.value
        except Exception as error:  # noqa: BLE001  whatever it is, whoever waits raises it
            self.error = error
        self.is_done = True
        return None

    def _given(self, answer: Answer | MinglibcError) -> Ask:
        return self.job.throw(answer) if isinstance(answer, MinglibcError) else self.job.send(answer)


class Carrier(Protocol):
    """What performs asks, many at once, and goes on with the jobs that asked, one at a time."""

    def start(self, errand: Errand) -> None:
        """Begin *errand*."""
        ...

    def promote(self, errand: Errand) -> None:
        """Serve *errand* before all that nobody waits for."""
        ...

    def wait(self, errand: Errand) -> Any:
        """The result of *errand*; raises its error."""
        ...

    def look(self) -> None:
        """Go on with what has been answered, without waiting."""
        ...

    def close(self) -> None:
        """Give up what is under way, and leave nothing behind."""
        ...

    @property
    def is_closing(self) -> bool:
        """Whether nobody waits for anything any more."""
        ...


class Network:
    """Fetches for one Index, by a carrier; whatever touches the index is done by one job at a time."""

    def __init__(self, index: "Index", carrier: Carrier, *, on_fetch: Callable[[str], None]) -> None:
        self._index = index
        self._carrier = carrier
        self._on_fetch = on_fetch
        self._errands: dict[Key, Errand] = {}
        self._no_metadata_files = 0

    def knows(self, key: Key) -> bool:
        """Whether *key* has been started."""
        return key in self._errands

    def start(self, key: Key, job: Job) -> None:
        """Begin a fetch, once."""
        if key not in self._errands and not self._carrier.is_closing:
            errand = self._errands[key] = Errand(job)
            self._carrier.start(errand)

    def wait(self, key: Key) -> None:
        """Come back when *key* is there, which is served before all that nobody waits for."""
        errand = self._errands[key]
        self._carrier.promote(errand)
        self._on_fetch(key[1])
        self._carrier.wait(errand)

    def look(self) -> None:
        """Take what has come, without waiting."""
        self._carrier.look()

    def run(self, job: Job) -> Any:
        """The result of *job*."""
        errand = Errand(job, urgent=True)
        self._carrier.start(errand)
        return self._carrier.wait(errand)

    def close(self) -> None:
        """Stop everything."""
        self._carrier.close()

    def _told(self, url: str, headers: Mapping[str, str] = {}) -> dict[str, str]:
        return {**self._index.credentials.headers(url), **headers}

    def _refused(self, answer: Answer, what: str) -> IndexUnreachable:
        hints = {
            401: f"the index wants credentials, and {self._index.credentials.advice(answer.url)}",
            403: "the index, or a proxy before it, forbids it; minglibc never tries another index silently",
        }
        return IndexAnswerError(
            f"{shown(answer.url)}: the index answers {answer.status} for {what}", hint=hints.get(answer.status, "")
        )

    # Project pages.

    def page(self, name: str, indexes: Sequence[str]) -> Job:
        """Fetch the page of *name* from the first of *indexes* that has it, or have that confirm the one that is cached."""
        try:
            yield from self._first_page(name, indexes)
        except MinglibcError as error:
            self._index.keep_failure(name, error)

    def _first_page(self, name: str, indexes: Sequence[str]) -> Job:
        for base in indexes:
            if self._index.is_local(base):
                if self._index.take_local(base, name):
                    return
                if base is indexes[-1]:
                    raise self._index.lacks(name, base)
                continue
            if base is not indexes[0] and self._index.take_kept(base, name):
                return
            answer = yield from self._page(name, base)
            if answer is None:
                return
            if base is indexes[-1]:
                yield from self._project_json(name, base, answer)
            else:
                _check_offered(answer)
                self._index.keep_absence(name, base, max_age=max_age(answer))

    def _page(self, name: str, base: str) -> Generator[Ask, Answer, Answer | None]:
        """Have the page of *name* from *base*, or give the answer that says that it is not there."""
        flat = base in self._index.flat
        url, etag = (base, "") if flat else (f"{base}{name}/", self._index.etag(base, name))
        accepted = {"Accept": "text/html" if flat else ACCEPT}
        headers = self._told(url, {**accepted, "If-None-Match": etag} if etag else accepted)
        ask = Ask(url, headers, LISTING if flat else PAGE, name, self._index.folder(base))
        answer = yield ask
        if answer.read is KEPT:
            if self._index.take_written(name, base):
                return None
            answer = yield ask._replace(folder="")  # somebody empties the cache
        if answer.status == 304 and etag:
            self._index.confirm_page(name, base, max_age=max_age(answer))
        elif answer.status == 200:
            if answer.read is None:
                return answer
            self._index.keep_page(answer.read, base, entry(answer))
        elif flat:
            raise self._refused(answer, "its page of files")
        elif answer.status in {404, 406, 410}:
            return answer
        else:
            raise self._refused(answer, f"the page of {name}")
        return None

    def _project_json(self, name: str, base: str, refusal: Answer) -> Job:
        """The project JSON API stands in where the Simple API has no page."""
        if base.endswith("/simple/"):
            url = f"{base.removesuffix('simple/')}pypi/{name}/json"
            answer = yield self._ask(url)
            if answer.status == 200:
                from minglibc.index.json_page import read_project_json  # noqa: PLC0415  it seldom comes to this

                self._index.keep_page(read_project_json(answer, name), base, {"etag": "", "max-age": max_age(answer)})
                return
        _check_offered(refusal)
        raise self._index.lacks(name, base)

    # Core metadata.

    def metadata(self, wheel: Artifact) -> Job:
        """Fetch the metadata of *wheel*: its own file (PEP 658), else out of the wheel by ranges, else the whole wheel."""
        try:
            found: CoreMetadata | Exception = yield from self._read_metadata(wheel)
        except (MinglibcError, ValueError) as error:
            found = error
        self._index.keep_metadata(wheel, found)

    def _read_metadata(self, wheel: Artifact) -> Generator[Ask, Answer, CoreMetadata]:
        if not isinstance(wheel, Sdist):
            content = yield from self._metadata(wheel)
            return parse_metadata(content.decode(errors="replace"))
        answer = yield self._ask(f"{wheel.url}.metadata")
        if answer.status != 200:
            raise NotStatic(f"the index does not serve the metadata of {wheel.filename}")
        _check_hash(answer.body, wheel.metadata or "", f"{wheel.filename}.metadata")
        found = parse_pkg_info(answer.body.decode(errors="replace"))
        if found is None:
            raise NotStatic(f"what {wheel.filename} requires is known once it is built")
        return found

    def _metadata(self, wheel: Artifact) -> Generator[Ask, Answer, bytes]:
        # A mirror may strip core-metadata from its pages and serve the files all the same: ask, until it proves not to.
        if wheel.metadata is not None or self._no_metadata_files < _PROVEN:
            answer = yield self._ask(f"{wheel.url}.metadata")
            if answer.status == 200:
                self._no_metadata_files = 0
                _check_hash(answer.body, wheel.metadata or "", f"{wheel.filename}.metadata")
                return answer.body
            if answer.status not in {403, 404, 405, 410}:
                raise self._refused(answer, f"the metadata of {wheel.filename}")
            self._no_metadata_files += 1
        from minglibc.index.remote_metadata import read_remotely  # noqa: PLC0415  most indexes serve metadata

        content = yield from read_remotely(partial(self._span, wheel))
        _check_hash(content, wheel.metadata or "", f"the METADATA in {wheel.filename}")
        return content

    def _span(
        self, wheel: Artifact, start: int | None, stop: int | None
    ) -> Generator[Ask, Answer, tuple[int, int, bytes]]:
        asked = f"bytes=-{stop}" if start is None else f"bytes={start}-{(stop or 0) - 1}"
        answer = yield self._ask(wheel.url, {"Range": asked, "Accept-Encoding": "identity"})
        if answer.status == 206:
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
            if found is None:
                raise IndexAnswerError(f"{shown(answer.url)}: the server sends a part and doesn't say which")
            return int(found[1]), int(found[3]), answer.body
        if answer.status == 416 and wheel.size:
            return (yield from self._span(wheel, 0, wheel.size))
        if answer.status != 200:
            raise self._refused(answer, wheel.filename)
        _check_hash(answer.body, wheel.hash, wheel.filename)
        return 0, len(answer.body), answer.body

    def digest(self, wheel: Artifact) -> Generator[Ask, Answer, str]:
        """Download *wheel* and hash it."""
        purpose = DIGEST if isinstance(wheel, Sdist) else WHEEL_DIGEST
        answer = yield self._ask(wheel.url, {"Accept-Encoding": "identity"}, purpose)
        if answer.status != 200:
            raise self._refused(answer, wheel.filename)
        found: str = answer.read
        return found

    def _ask(self, url: str, headers: Mapping[str, str] = {}, purpose: str = BYTES) -> Ask:
        return Ask(url, self._told(url, headers), purpose)


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
