"""Processes that turn answers into kept pages, for the one that has the answers.

Unpacking, decoding and sorting a page's files takes longer than all else that happens to it. One is forked by the process
that resolves, which has imported the half of what reads pages; where pages come faster than it reads them, it forks a
second one.
"""

import os
import socket
import threading
from contextlib import suppress
from typing import Any, NoReturn

from minglibc.adapters.answers import Answer
from minglibc.adapters.children import Ends, framed, lonely, received
from minglibc.adapters.store import Store
from minglibc.errors import IndexAnswerError

# A page costs as much to read as its bytes as sent, and so many more.
_EACH = 4096
# Pages of so many bytes that wait for one process are worth another.
_MUCH = 128 * 1024
# What tells the first of them to fork another.
_DOUBLE = ()


class ReaderGone(Exception):
    """The process has ended, or can keep nothing: pages have to be read in this one."""


def fork(ends: Ends, store: Store, *, other: socket.socket | None = None) -> int:
    """Start a reader that keeps pages in *store*, without this process's *other* end of something; its process's number."""
    from minglibc.adapters import simple_api  # noqa: F401, PLC0415  so that neither reader has to

    pid = os.fork()
    if pid == 0:
        if other is not None:
            other.close()
        _live(ends, store)
    ends.close()
    return pid


class PageReader:
    """All readers, as those see them who have pages read, in many threads."""

    def __init__(self, ends: Ends) -> None:
        self._desks = [_Desk(ends.first)]
        self._spare: _Desk | None = _Desk(ends.second)
        self._guard = threading.Lock()

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
        """Let the processes end what they are at."""
        with self._guard:
            for desk in (*self._desks, self._spare):
                if desk is not None:
                    desk.close()

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
            self._socket.sendall(framed(request))
            return True
        return False

    def ask(self, request: Any) -> Any:
        """The reply to *request*; None where there will be none."""
        mine = threading.Lock()
        with mine:
            with self._sending:
                before, self._last = self._last, mine
                with suppress(OSError, ValueError):
                    self._socket.sendall(framed(request))
            with before, suppress(OSError, ValueError):
                return received(self._replies)
        return None

    def close(self) -> None:
        """Hang up, on those that wait for a reply as well."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._last:
            self._replies.close()
            self._socket.close()


def _live(ends: Ends, store: Store) -> NoReturn:
    """A reader's life; it never returns into the first process's code, and says nothing but its replies."""
    with suppress(BaseException):
        lonely()
        store.be_silent()  # the first one meets the same trouble, and says so
        if _serve(ends.first, ends.second, store):
            _serve(ends.second, None, store)
        else:
            os.wait()
    os._exit(0)


def _serve(end: socket.socket, spare: socket.socket | None, store: Store) -> bool:
    """Read pages for whoever is at the other end, until that one hangs up; true in a process that was forked for *spare*."""
    with end, end.makefile("rb") as requests:
        while (request := received(requests)) is not None:
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
    end.sendall(framed((refusal,)))
    return True
