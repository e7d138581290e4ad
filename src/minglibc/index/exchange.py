"""What becomes of an Ask: a request by httpx, and the page or the digest that its answer is wanted for; and a Carrier of threads."""

import threading
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from minglibc.cache.pages import Store
from minglibc.errors import IndexAnswerError, MinglibcError
from minglibc.index.pagereader import PageReader, ReaderGone
from minglibc.index.response import DIGEST, KEPT, LISTING, PAGE, WHEEL_DIGEST, Answer, Ask, entry, shown
from minglibc.index.transport import Lanes, Limits, Ticket, get

if TYPE_CHECKING:
    from minglibc.index.network import Errand
    from minglibc.model.project_page import ProjectPage

_LANES = 32
_SPARE_LANES = 3


class Exchange:
    """Performs asks on lanes; pages go into *store*, by *reader* where there is one, and without a store to who asked."""

    def __init__(self, store: Store | None = None, reader: PageReader | None = None) -> None:
        self._limits = Limits.from_environment()
        self._store = store
        self._reader = reader
        self._writing = threading.Lock()
        self._listings: dict[str, Answer] = {}
        self._listing = threading.Lock()

    def lanes(self, guard: "threading.RLock | None" = None) -> Lanes:
        """Lanes of their number and limits for whoever has asks performed on them."""
        return Lanes(self._limits, size=_LANES, spare=_SPARE_LANES, guard=guard)

    def perform(self, ask: Ask, ticket: Ticket) -> Answer:
        """The answer to *ask*, whatever its status; raises IndexUnreachable, and IndexAnswerError where it is not what it should be."""
        if ask.purpose == PAGE:
            answer = get(ticket, ask.url, ask.headers, self._limits, unpack=False)
            return self._kept(ask, answer) if answer.status == 200 else answer
        if ask.purpose == LISTING:
            return self._listed(ask, ticket)
        answer = get(ticket, ask.url, ask.headers, self._limits)
        return _digested(ask, answer) if ask.purpose in {DIGEST, WHEEL_DIGEST} and answer.status == 200 else answer

    def _kept(self, ask: Ask, answer: Answer) -> Answer:
        if self._reader is not None and ask.folder:
            try:
                self._reader.keep(answer, ask.folder, ask.project, entry(answer))
            except ReaderGone:
                pass
            else:
                return answer._replace(body=b"", read=KEPT)
        from minglibc.index.json_page import read_packed  # noqa: PLC0415  the reader has it, as a rule

        return self._put(ask, answer, read_packed(answer, ask.project))

    def _put(self, ask: Ask, answer: Answer, page: "ProjectPage") -> Answer:
        """*answer* with *page*, which is in the store where that can be."""
        if self._store is not None and ask.folder:
            with self._writing:
                self._store.write_page(ask.folder, page, entry(answer))
                if self._store.is_writable:
                    return answer._replace(body=b"", read=KEPT)
        return answer._replace(body=b"", read=page)

    def _listed(self, ask: Ask, ticket: Ticket) -> Answer:
        """The same from a flat index, whose one page is fetched once for all projects; nothing is read where it has no such files."""
        with self._listing:
            if ask.url not in self._listings:
                answer = get(ticket, ask.url, ask.headers, self._limits)
                if answer.status == 200:
                    from minglibc.index.html_page import read_flat_page  # noqa: PLC0415  few indexes are flat

                    answer = answer._replace(read=read_flat_page(answer))
                self._listings[ask.url] = answer._replace(body=b"")
            answer = self._listings[ask.url]
        if answer.status != 200:
            return answer
        page = answer.read.project(ask.project)
        return self._put(ask, answer, page) if len(page.versions) else answer._replace(read=None)


class Threads:
    """The Carrier of a process that asks for itself: each errand is done by a lane, and under *guard* where it is not asking."""

    def __init__(self, guard: Any) -> None:
        self._exchange = Exchange()
        self._guard = guard
        self._lanes = self._exchange.lanes(guard)

    def start(self, errand: "Errand", asked: Ask | None = None) -> None:
        """Begin *errand*, or go on where somebody *asked* something for it and got no answer."""
        errand.ticket = Ticket(partial(self._follow, errand, asked), urgent=errand.urgent)
        self._lanes.submit(errand.ticket)

    def promote(self, errand: "Errand") -> None:
        """Serve *errand* before all that nobody waits for."""
        self._lanes.promote(errand.ticket)

    def wait(self, errand: "Errand") -> Any:
        """The result of *errand*; raises its error, or IndexUnreachable where a server keeps a lane beyond all bounds."""
        return self._lanes.wait(errand.ticket)

    def look(self) -> None:
        """Nothing is left to go on with: the lanes do that."""

    def close(self) -> None:
        """Give up what is under way."""
        self._lanes.close()

    @property
    def is_closing(self) -> bool:
        """Whether nobody waits for anything any more."""
        return self._lanes.is_closing

    def _follow(self, errand: "Errand", ask: Ask | None, ticket: Ticket) -> Any:
        if ask is None:
            with self._guard:
                ask = errand.go_on()
        while ask is not None:
            answer: Answer | MinglibcError
            try:
                answer = self._exchange.perform(ask, ticket)
            except MinglibcError as error:
                answer = error
            with self._guard:
                ask = errand.go_on(answer)
        if errand.error is not None:
            raise errand.error
        return errand.result


def _digested(ask: Ask, answer: Answer) -> Answer:
    from minglibc.index.remote_metadata import read_wheel  # noqa: PLC0415  few indexes give no hashes

    if ask.purpose == WHEEL_DIGEST:
        try:
            read_wheel(answer.body)
        except ValueError as error:
            raise IndexAnswerError(f"{shown(answer.url)}: {error}") from error
    return answer._replace(body=b"", read=f"sha256:{sha256(answer.body).hexdigest()}")
