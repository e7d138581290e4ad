"""The network's process: it performs what the first one asks, by httpx, and has pages read by processes of its own."""

import os
import socket
import threading
from collections import deque
from contextlib import suppress
from select import select
from typing import Any, NoReturn

from minglibc.cache.pages import Store
from minglibc.errors import MinglibcError
from minglibc.index.children import Inbox, framed
from minglibc.index.exchange import Exchange
from minglibc.index.pagereader import PageReader
from minglibc.index.response import Ask
from minglibc.index.transport import Ticket

# Seconds after which it looks for answers that will never be whole.
_LOOK_AGAIN = 0.5


def live(end: socket.socket, readers: list[socket.socket], folder: str) -> NoReturn:
    """This process's life; it never returns into the first one's code, and says nothing but its answers."""
    with suppress(BaseException):
        store = Store(folder)
        store.be_silent()  # the first process meets the same trouble, and says so
        _Server(end, readers, store).serve()
    os._exit(0)


class _Server:
    def __init__(self, end: socket.socket, readers: list[socket.socket], store: Store) -> None:
        self._reader = PageReader(readers)
        self._end = end
        self._sending = threading.Lock()
        self._replies: deque[bytes] = deque()
        self._tickets: dict[int, Ticket] = {}
        self._exchange = Exchange(store, self._reader)
        self._lanes = self._exchange.lanes()

    def serve(self) -> None:
        """Answer what the first process asks until it hangs up."""
        inbox = Inbox(self._end)
        while not inbox.is_over:
            if not select([self._end], [], [], _LOOK_AGAIN)[0]:
                self._give_up()
                continue
            for number, *rest in inbox.read(wait=False):
                if rest:
                    self._begin(number, *rest)
                elif number in self._tickets:
                    self._lanes.promote(self._tickets[number])
        self._reader.close()

    def _begin(self, number: int, urgent: bool, *ask: Any) -> None:  # noqa: FBT001  as it is sent
        def job(ticket: Ticket) -> None:
            try:
                answer = self._exchange.perform(Ask(*ask), ticket)
                self._reply(number, None, *answer[:4], _dumped(answer.read))
            except MinglibcError as error:
                self._reply(number, _sent(error))
            except Exception:  # noqa: BLE001  the first process goes on without this one, and tells what it meets
                os._exit(1)

        self._tickets[number] = ticket = Ticket(job, urgent=urgent)
        self._lanes.submit(ticket)

    def _reply(self, number: int, *reply: Any) -> None:
        if self._tickets.pop(number, None) is None:
            return  # it was given up
        self._replies.append(framed((number, *reply)))
        # The first process may be thinking: then one lane waits for it, and the others go on.
        while self._replies and self._sending.acquire(blocking=False):
            with suppress(OSError):
                self._send_all()
            self._sending.release()

    def _send_all(self) -> None:
        while self._replies:
            self._end.sendall(self._replies.popleft())

    def _give_up(self) -> None:
        for number, ticket in list(self._tickets.items()):
            error = self._lanes.overdue(ticket)
            if error is not None:
                self._reply(number, _sent(error))


def _sent(error: MinglibcError) -> tuple[str, str, str]:
    return type(error).__name__, error.message, error.hint


def _dumped(read: Any) -> Any:
    if not hasattr(read, "dump"):
        return read
    head, lines = read.dump()
    return head, list(lines)
