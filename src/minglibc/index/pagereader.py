"""Processes that turn answers into kept pages, for the one that has the answers.

Unpacking, decoding and sorting a page's files takes longer than all else that happens to it. They are forked by the process
that resolves, which has imported the half of what reads pages. There are two: small pages don't have to wait for a large one.
"""

import os
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from minglibc.cache.pages import Store
from minglibc.errors import IndexAnswerError
from minglibc.index.children import close, framed, lonely, received
from minglibc.index.response import Answer

# A page costs as much to read as its bytes as sent, and so many more.
_EACH = 4096


class ReaderGone(Exception):
    """The process has ended, or can keep nothing: pages have to be read in this one."""


def fork(ends: Sequence[socket.socket], store: Store, *, others: Iterable[socket.socket]) -> list[int]:
    """Start a reader for each of *ends*, which keeps pages in *store*, and has none of this process's *others*; their numbers."""
    from minglibc.index import json_page  # noqa: F401, PLC0415  so that no reader has to

    return [_forked(end, store, {*ends, *others} - {end}) for end in ends]


def _forked(end: socket.socket, store: Store, others: Iterable[socket.socket]) -> int:
    pid = os.fork()
    if pid == 0:
        close(others)
        _live(end, store)
    end.close()
    return pid


class PageReader:
    """All readers, as those see them who have pages read, in many threads."""

    def __init__(self, ends: Iterable[socket.socket]) -> None:
        self._desks = [_Desk(end) for end in ends]
        self._guard = threading.Lock()

    def keep(self, answer: Answer, kind: str, name: str, entry: dict[str, Any]) -> None:
        """Have the page of *name* in *answer* kept under *kind*, with *entry* beside it; raises IndexAnswerError where there is none, ReaderGone."""
        load = _EACH + len(answer.body)
        desk = self._desk(load)
        try:
            reply = desk.ask((tuple(answer), kind, name, entry))
        finally:
            with self._guard:
                desk.load -= load
        if reply is None:
            with self._guard:
                self._desks = [each for each in self._desks if each is not desk]
            raise ReaderGone
        (refusal,) = reply
        if refusal:
            message, hint = refusal
            raise IndexAnswerError(message, hint=hint)

    def close(self) -> None:
        """Let the processes end what they are at."""
        for desk in self._desks:
            desk.close()

    def _desk(self, load: int) -> "_Desk":
        """Where the least waits, now with *load* more; raises ReaderGone."""
        with self._guard:
            if not self._desks:
                raise ReaderGone
            desk = min(self._desks, key=lambda each: each.load)
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


def _live(end: socket.socket, store: Store) -> NoReturn:
    """A reader's life, until the other one hangs up; it never returns into the first process's code, and says nothing but its replies."""
    with suppress(BaseException):
        lonely()
        store.be_silent()  # the first one meets the same trouble, and says so
        with end, end.makefile("rb") as requests:
            while (request := received(requests)) is not None and _read(end, request, store):
                pass
    os._exit(0)


def _read(end: socket.socket, request: Any, store: Store) -> bool:
    """Read one page and reply; false where it could not be kept."""
    from minglibc.index.json_page import read_packed  # noqa: PLC0415  as above

    answer, kind, name, entry = request
    refusal = None
    try:
        page = read_packed(Answer(*answer), name)
    except IndexAnswerError as error:
        refusal = error.message, error.hint
    else:
        store.write_page(kind, page, entry)
        if not store.is_writable:
            return False
    end.sendall(framed((refusal,)))
    return True
