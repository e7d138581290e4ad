"""A process of its own for the network: it imports httpx while the first one imports what resolves, and asks while that one thinks.

The first process has no thread then: it goes on with an errand when it looks what has come, or has to wait for something.
"""

import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from minglibc import errors
from minglibc.errors import MinglibcError
from minglibc.index.children import Inbox, close, framed, lonely, ways

if TYPE_CHECKING:
    from minglibc.cache.pages import Store
    from minglibc.index.network import Carrier, Errand
    from minglibc.index.response import Answer, Ask

_READERS = 2
_ahead: "Wire | None" = None


def begin(folder: str) -> None:
    """Start the process for the cache in *folder* before it is known whether there is something to ask."""
    global _ahead  # noqa: PLW0603  a process has one command line, and starts this once for it
    if _ahead is None and _is_possible():
        _ahead = _begun(folder)


def carrier(store: "Store", guard: Any) -> "Carrier":
    """Who asks for an index with *store*: another process, or threads where none can be, or nothing kept."""
    global _ahead
    found, _ahead = _ahead, None
    possible = store.is_writable and _is_possible()
    if found is not None and not (possible and found.folder == store.folder):
        found.close()
        found = None
    if found is None and possible:
        found = _begun(store.folder)
    if found is None:
        from minglibc.index.exchange import Threads  # noqa: PLC0415  httpx is imported where it is needed

        return Threads(guard)
    found.furnish(store, guard)
    return found


def _begun(folder: str) -> "Wire | None":
    try:
        return Wire(folder)
    except OSError:
        return None  # there are too many processes


def _is_possible() -> bool:
    threads = sys.modules.get("threading")
    return (threads is None or threads.active_count() == 1) and len(os.sched_getaffinity(0)) > 1


class Wire:
    """The first process's end, a Carrier."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._guard: Any = None
        self.is_closing = False
        self._sent = 0
        # What was asked for whom, and has no answer yet.
        self._open: dict[int, tuple[Errand, Ask]] = {}
        # Where the other process is gone.
        self._instead: Any = None
        self._socket, theirs = socket.socketpair()
        its_readers, self._readers = ways(_READERS)
        self._pids = [os.fork()]
        if self._pids[0] == 0:
            try:
                close((self._socket, *self._readers))
                lonely()
                from minglibc.index import outpost  # noqa: PLC0415  another process's

                outpost.live(theirs, its_readers, folder)
            finally:
                os._exit(1)  # whatever came between, it never returns into the first one's code
        close((theirs, *its_readers))
        self._inbox = Inbox(self._socket)

    def furnish(self, store: "Store", guard: Any) -> None:
        """Have pages read by processes that are forked while the network's imports httpx; *guard* is held where threads are at work."""
        from minglibc.index.pagereader import fork  # noqa: PLC0415  this module starts before all others

        self._guard = guard
        with suppress(OSError):  # as above; who finds no reader reads
            self._pids.extend(fork(self._readers, store, others=[self._socket]))
        close(self._readers)

    def start(self, errand: "Errand") -> None:
        """Begin *errand*."""
        self._go_on(errand, None)

    def promote(self, errand: "Errand") -> None:
        """Serve *errand* before all that nobody waits for."""
        if errand.is_done:
            return
        if self._instead is not None:
            self._instead.promote(errand)
        elif not errand.urgent:
            errand.urgent = True
            self._send((errand.ticket,))

    def wait(self, errand: "Errand") -> Any:
        """The result of *errand*; raises its error."""
        while not errand.is_done:
            if self._instead is not None:
                return self._instead.wait(errand)
            self._receive(wait=True)
        if errand.error is not None:
            raise errand.error
        return errand.result

    def look(self) -> None:
        """Go on with what has been answered, without waiting."""
        if self._instead is None:
            self._receive(wait=False)

    def close(self) -> None:
        """Give up what is under way; what the other processes are writing, they write."""
        self.is_closing = True
        if self._instead is not None:
            self._instead.close()
        close((self._socket, *self._readers))
        for pid in self._pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _go_on(self, errand: "Errand", answer: "Answer | MinglibcError | None") -> None:
        ask = errand.go_on(answer)
        if ask is None:
            return
        if self._instead is not None:
            self._instead.start(errand, ask)
            return
        self._sent += 1
        errand.ticket = self._sent
        self._open[self._sent] = errand, ask
        self._send((self._sent, errand.urgent, *ask))

    def _send(self, message: tuple[Any, ...]) -> None:
        with suppress(OSError):  # it has gone, as is found when nothing comes
            self._socket.sendall(framed(message))

    def _receive(self, *, wait: bool) -> None:
        for number, error, *answer in self._inbox.read(wait=wait):
            errand, _ = self._open.pop(number)
            self._go_on(errand, _error(*error) if error else _answer(*answer))
        if self._inbox.is_over and self._instead is None:
            self._ask_here()

    def _ask_here(self) -> None:
        """Somebody has killed the other process: go on without it."""
        from minglibc.index.exchange import Threads  # noqa: PLC0415  httpx is imported where it is needed

        self._instead = Threads(self._guard)
        for errand, ask in self._open.values():
            self._instead.start(errand, ask)
        self._open.clear()


def _answer(url: str, status: int, headers: dict[str, str], body: bytes, read: Any) -> "Answer":
    from minglibc.index.response import Answer  # noqa: PLC0415  this module starts before all others
    from minglibc.model.project_page import ProjectPage  # noqa: PLC0415  as above

    return Answer(url, status, headers, body, ProjectPage.load(*read) if isinstance(read, tuple) else read)


def _error(name: str, message: str, hint: str) -> MinglibcError:
    found: MinglibcError = getattr(errors, name)(message, hint=hint)
    return found
