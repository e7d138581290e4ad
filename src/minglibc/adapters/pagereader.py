"""A second process that turns answers into kept pages, while the first one goes on asking.

Unpacking, decoding and sorting a page's files takes longer than all else that happens to it. The process is forked
before any HTTP library is imported, and imports what reads pages while the first one imports that.
"""

import marshal
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from minglibc.adapters.answers import Answer, unpacked
from minglibc.adapters.store import Store
from minglibc.errors import IndexAnswerError

if TYPE_CHECKING:
    import asyncio

_LENGTH = 8


class ReaderGone(Exception):
    """The second process has ended, or can keep nothing: pages have to be read in this one."""


class PageReader:
    """The first process's end of it, an asyncio protocol; made by ``start``."""

    def __init__(self, pid: int, ours: socket.socket) -> None:
        self._pid = pid
        self._socket = ours
        self._transport: Any = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._received = bytearray()
        self._count = 0
        self._gone = False

    @classmethod
    def start(cls, store: Store) -> "PageReader | None":
        """A second process that keeps pages in *store*; None where one core, a thread or a store that can't be written forbids it."""
        threads = sys.modules.get("threading")
        if (threads is not None and threads.active_count() > 1) or len(os.sched_getaffinity(0)) < 2:
            return None
        if not store.is_writable:
            return None
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _live(theirs, store)
        theirs.close()
        return cls(pid, ours)

    async def keep(self, answer: Answer, kind: str, name: str, head: dict[str, Any]) -> None:
        """Have the page of *name* in *answer* kept under *kind*, with *head*; raises IndexAnswerError where there is none, ReaderGone."""
        if self._gone:
            raise ReaderGone
        import asyncio  # noqa: PLC0415  the second process is to be on its way before this is imported

        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, sock=self._socket)  # type: ignore[type-var]  # asyncio asks for no base class
        self._count += 1
        reply = self._waiting[self._count] = loop.create_future()
        self._transport.write(_framed((self._count, tuple(answer), kind, name, head)))
        refusal = await reply
        if refusal:
            raise IndexAnswerError(*refusal[:1], hint=refusal[1])

    def connection_made(self, transport: Any) -> None:
        """Nothing is said before something is asked."""

    def data_received(self, data: bytes) -> None:
        """Replies, or parts of them."""
        self._received += data
        while len(self._received) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._received[:_LENGTH], "big")
            if len(self._received) < end:
                return
            number, refusal = marshal.loads(self._received[_LENGTH:end])  # noqa: S302  from our own child
            del self._received[:end]
            reply = self._waiting.pop(number, None)
            if reply is not None and not reply.done():
                reply.set_result(refusal)

    def eof_received(self) -> None:
        """The second process has ended."""

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  whatever it was, nobody answers any more
        """Everybody who waits goes on alone."""
        self._gone = True
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ReaderGone())
        self._waiting.clear()

    def pause_writing(self) -> None:
        """What was not sent yet stays in memory, as it would have without a second process."""

    def resume_writing(self) -> None:
        """As above."""

    def close(self) -> None:
        """Let the second process end what it is at, and wait for that."""
        self._gone = True
        if self._transport is not None:
            self._transport.abort()
        self._socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _framed(value: Any) -> bytes:
    data = marshal.dumps(value)
    return len(data).to_bytes(_LENGTH, "big") + data


def _live(theirs: socket.socket, store: Store) -> NoReturn:
    """The second process's life; it never returns into the first one's code, and says nothing but its replies."""
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one is told as well, and hangs up
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        from minglibc.adapters.simple_api import read_page  # noqa: PLC0415  the first process may never need it

        store.be_silent()  # the first one meets the same trouble, and says so
        with theirs, theirs.makefile("rb") as requests:
            while (request := _request(requests)) is not None:
                number, answer, kind, name, head = request
                refusal = None
                try:
                    page, lines = read_page(unpacked(Answer(*answer)), name).dump()
                except IndexAnswerError as error:
                    refusal = error.message, error.hint
                else:
                    store.write(kind, name, {**head, "page": page}, lines)
                    if not store.is_writable:
                        break
                theirs.sendall(_framed((number, refusal)))
    os._exit(0)


def _request(requests: BinaryIO) -> Any:
    length = int.from_bytes(requests.read(_LENGTH), "big")
    data = requests.read(length)
    return marshal.loads(data) if length and len(data) == length else None  # noqa: S302  from our own parent
