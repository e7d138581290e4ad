"""Further processes that turn answers into kept pages, while the first one goes on asking.

Unpacking, decoding and sorting a page's files takes longer than all else that happens to it. One is forked before any
HTTP library is imported, and imports what reads pages while the first one imports that; where pages come faster than
it reads them, it forks a second one, which has nothing to import any more.
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
# A page costs as much to read as its bytes as sent, and so many more.
_EACH = 4096
# Pages of so many bytes that wait for one process are worth another.
_MUCH = 128 * 1024
# What tells the first of them to fork another.
_DOUBLE = ()


class ReaderGone(Exception):
    """The process has ended, or can keep nothing: pages have to be read in this one."""


class PageReader:
    """The first process's end of them all; made by ``start``."""

    def __init__(self, pid: int, first: socket.socket, second: socket.socket) -> None:
        self._pid = pid
        self._desks = [_Desk(first)]
        self._spare: _Desk | None = _Desk(second)
        self._guard = threading.Lock()

    @classmethod
    def start(cls, store: Store) -> "PageReader | None":
        """Processes that keep pages in *store*; None where one core, a thread or a store that can't be written forbids it."""
        if threading.active_count() > 1 or len(os.sched_getaffinity(0)) < 2 or not store.is_writable:
            return None
        (first, their_first), (second, their_second) = socket.socketpair(), socket.socketpair()
        pid = os.fork()
        if pid == 0:
            first.close()
            second.close()
            _live(their_first, their_second, store)
        their_first.close()
        their_second.close()
        return cls(pid, first, second)

    def keep(self, answer: Answer, kind: str, name: str, head: dict[str, Any]) -> None:
        """Have the page of *name* in *answer* kept under *kind*, with *head*; raises IndexAnswerError where there is none, ReaderGone."""
        load = _EACH + len(answer.body)
        desk = self._desk(load)
        try:
            reply = desk.ask((tuple(answer), kind, name, head))
        finally:
            with self._guard:
                desk.load -= load
        if reply is None:
            raise ReaderGone
        (refusal,) = reply
        if refusal:
            message, hint = refusal
            raise IndexAnswerError(message, hint=hint)

    def close(self) -> None:
        """Let the processes end what they are at, and wait for that."""
        with self._guard:
            for desk in (*self._desks, self._spare):
                if desk is not None:
                    desk.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _desk(self, load: int) -> "_Desk":
        """Where the least waits, now with *load* more."""
        with self._guard:
            desk = min(self._desks, key=lambda each: each.load)
            if self._spare is not None and desk.load >= _MUCH and desk.tell(_DOUBLE):
                desk, self._spare = self._spare, None
                self._desks.append(desk)
            desk.load += load
        return desk


class _Desk:
    """One process, as threads of the first one ask it: it answers in the order in which they came."""

    def __init__(self, ours: socket.socket) -> None:
        # Bytes of the pages that wait here.
        self.load = 0
        self._socket = ours
        self._replies = ours.makefile("rb")
        self._sending = threading.Lock()
        # Held until whoever asked last has its reply.
        self._last = threading.Lock()

    def tell(self, request: Any) -> bool:
        """Send what needs no reply; false where nobody is there."""
        with self._sending, suppress(OSError, ValueError):
            self._socket.sendall(_framed(request))
            return True
        return False

    def ask(self, request: Any) -> Any:
        """The reply to *request*; None where there will be none."""
        mine = threading.Lock()
        with mine:
            with self._sending:
                before, self._last = self._last, mine
                with suppress(OSError, ValueError):
                    self._socket.sendall(_framed(request))
            with before, suppress(OSError, ValueError):
                return _received(self._replies)
        return None

    def close(self) -> None:
        """Hang up, on those that wait for a reply as well."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._last:
            self._replies.close()
            self._socket.close()


def _framed(value: Any) -> bytes:
    data = marshal.dumps(value)
    return len(data).to_bytes(_LENGTH, "big") + data


def _live(end: socket.socket, spare: socket.socket, store: Store) -> NoReturn:
    """A further process's life; it never returns into the first one's code, and says nothing but its replies."""
    with suppress(BaseException):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one is told as well, and hangs up
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        from minglibc.adapters import simple_api  # noqa: F401, PLC0415  the first process may never need it

        store.be_silent()  # the first one meets the same trouble, and says so
        if _serve(end, spare, store):
            _serve(spare, None, store)
        else:
            os.wait()
    os._exit(0)


def _serve(end: socket.socket, spare: socket.socket | None, store: Store) -> bool:
    """Read pages for whoever is at the other end, until that one hangs up; true in a process that was forked for *spare*."""
    with end, end.makefile("rb") as requests:
        while (request := _received(requests)) is not None:
            if request == _DOUBLE and spare is not None:
                if os.fork() == 0:
                    return True
                spare.close()
            elif not _read(end, request, store):
                break
    return False


def _read(end: socket.socket, request: Any, store: Store) -> bool:
    """Read one page and reply; false where it could not be kept."""
    from minglibc.adapters.simple_api import read_packed  # noqa: PLC0415  as above

    answer, kind, name, head = request
    refusal = None
    try:
        page, lines = read_packed(Answer(*answer), name).dump()
    except IndexAnswerError as error:
        refusal = error.message, error.hint
    else:
        store.write(kind, name, {**head, "page": page}, lines)
        if not store.is_writable:
            return False
    end.sendall(_framed((refusal,)))
    return True


def _received(stream: BinaryIO) -> Any:
    """What the other one says next; None where it has hung up."""
    length = int.from_bytes(stream.read(_LENGTH), "big")
    data = stream.read(length)
    return marshal.loads(data) if length and len(data) == length else None  # noqa: S302  from our own parent or child
