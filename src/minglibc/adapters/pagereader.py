"""A second process that turns answers into kept pages, while the first one goes on asking.

Unpacking, decoding and sorting a page's files takes longer than all else that happens to it. The process is forked
before any HTTP library is imported, and imports what reads pages while the first one imports that.
"""

import marshal
import os
import signal
import socket
import threading
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from minglibc.adapters.answers import Answer
from minglibc.adapters.store import Store
from minglibc.errors import IndexAnswerError

_LENGTH = 8


class ReaderGone(Exception):
    """The second process has ended, or can keep nothing: pages have to be read in this one."""


class PageReader:
    """The first process's end of it; made by ``start``, and asked by one thread at a time."""

    def __init__(self, pid: int, ours: socket.socket) -> None:
        self._pid = pid
        self._socket = ours
        self._replies = ours.makefile("rb")
        self._turn = threading.Lock()

    @classmethod
    def start(cls, store: Store) -> "PageReader | None":
        """A second process that keeps pages in *store*; None where one core, a thread or a store that can't be written forbids it."""
        if threading.active_count() > 1 or len(os.sched_getaffinity(0)) < 2 or not store.is_writable:
            return None
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _live(theirs, store)
        theirs.close()
        return cls(pid, ours)

    def keep(self, answer: Answer, kind: str, name: str, head: dict[str, Any]) -> None:
        """Have the page of *name* in *answer* kept under *kind*, with *head*; raises IndexAnswerError where there is none, ReaderGone."""
        with self._turn:
            try:
                self._socket.sendall(_framed((tuple(answer), kind, name, head)))
                reply = _received(self._replies)
            except (OSError, ValueError) as error:
                raise ReaderGone from error
        if reply is None:
            raise ReaderGone
        (refusal,) = reply
        if refusal:
            message, hint = refusal
            raise IndexAnswerError(message, hint=hint)

    def close(self) -> None:
        """Let the second process end what it is at, and wait for that."""
        with suppress(OSError):
            # A thread may be waiting for its reply.
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._turn:
            self._replies.close()
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
        from minglibc.adapters.simple_api import read_packed  # noqa: PLC0415  the first process may never need it

        store.be_silent()  # the first one meets the same trouble, and says so
        with theirs, theirs.makefile("rb") as requests:
            while (request := _received(requests)) is not None:
                answer, kind, name, head = request
                refusal = None
                try:
                    page, lines = read_packed(Answer(*answer), name).dump()
                except IndexAnswerError as error:
                    refusal = error.message, error.hint
                else:
                    store.write(kind, name, {**head, "page": page}, lines)
                    if not store.is_writable:
                        break
                theirs.sendall(_framed((refusal,)))
    os._exit(0)


def _received(stream: BinaryIO) -> Any:
    """What the other one says next; None where it has hung up."""
    length = int.from_bytes(stream.read(_LENGTH), "big")
    data = stream.read(length)
    return marshal.loads(data) if length and len(data) == length else None  # noqa: S302  from our own parent or child
