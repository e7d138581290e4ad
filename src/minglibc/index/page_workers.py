"""Processes that decode project pages and write them to the cache.

Decompressing, decoding and sorting the files of pages is half of the work of a cold lock. In threads, it would share one core
with the resolver.
"""

import marshal
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedRWPair
from typing import TYPE_CHECKING, Any, NoReturn

from minglibc.errors import IndexAnswerError
from minglibc.index.response import Response, validators

if TYPE_CHECKING:
    from minglibc.cache.pages import Store

_SIZE = 2
_LENGTH = 8


class PageWorkers:
    """The processes, which many threads share: each of them reads one page at a time."""

    def __init__(self, store: "Store") -> None:
        self._pids: list[int] = []
        self._streams: list[BufferedRWPair] = []
        self._changed = threading.Condition()
        pairs = [socket.socketpair() for _ in range(_SIZE)]
        with suppress(OSError):  # the limit on processes: fewer workers, or none, are enough
            for _, theirs in pairs:
                pid = os.fork()
                if pid == 0:
                    _work(theirs, store, {end for pair in pairs for end in pair} - {theirs})
                self._pids.append(pid)
        for number, (ours, theirs) in enumerate(pairs):
            theirs.close()
            if number < len(self._pids):
                self._streams.append(ours.makefile("rwb"))
            ours.close()
        self._free = list(self._streams)
        self._alive = len(self._streams)

    def store_page(self, response: Response, folder: str, project: str) -> bool:
        """Write the page of *project* to *folder* of the cache; False where no worker can. Raises IndexAnswerError."""
        while (stream := self._take()) is not None:
            reply = None
            with suppress(OSError, ValueError):
                _send(stream, (tuple(response), folder, project))
                reply = _receive(stream)
            self._give_back(stream, alive=reply is not None)
            if reply is not None:
                problem = reply[0]
                if problem:
                    raise IndexAnswerError(problem[0], hint=problem[1])
                return True
        return False

    def close(self) -> None:
        """Wait until the processes have finished their current page and have exited."""
        with self._changed:
            self._alive = 0
            self._changed.notify_all()
        for stream in self._free:
            stream.close()
        for pid in self._pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def _take(self) -> BufferedRWPair | None:
        with self._changed:
            while self._alive and not self._free:
                self._changed.wait()
            return self._free.pop() if self._alive else None

    def _give_back(self, stream: BufferedRWPair, *, alive: bool) -> None:
        with self._changed:
            if alive and self._alive:
                self._free.append(stream)
                self._changed.notify()
            else:
                with suppress(OSError):
                    stream.close()
                self._alive = max(0, self._alive - 1)
                self._changed.notify_all()


def start(store: "Store") -> PageWorkers | None:
    """Worker processes, where there is a second core, the cache is writable and no thread makes fork unsafe."""
    possible = store.is_writable and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1
    return PageWorkers(store) if possible else None


def _work(end: socket.socket, store: "Store", others: Iterable[socket.socket]) -> NoReturn:
    """Read pages until the parent closes the connection. The process never returns to the code of its parent."""
    with suppress(BaseException):
        for other in others:
            other.close()
        _detach()
        store.be_silent()  # the parent has the same problems, and reports them
        from minglibc.index.pages import read_page  # noqa: PLC0415  the parent process seldom needs it

        with end, end.makefile("rwb") as stream:
            while (request := _receive(stream)) is not None:
                fields, folder, project = request
                response = Response(*fields)
                problem = None
                try:
                    page = read_page(response, project)
                except IndexAnswerError as error:
                    problem = error.message, error.hint
                else:
                    store.write_page(folder, page, validators(response))
                    if not store.is_writable:
                        break
                _send(stream, (problem,))
    os._exit(0)


def _detach() -> None:
    """Keep no stream of the parent open, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(OSError, ValueError):
                os.dup2(null, stream.fileno())


def _send(stream: BufferedRWPair, value: Any) -> None:
    data = marshal.dumps(value)
    stream.write(len(data).to_bytes(_LENGTH, "big"))
    stream.write(data)
    stream.flush()


def _receive(stream: BufferedRWPair) -> Any:
    """The next value; None where the other process has closed the connection."""
    length = int.from_bytes(stream.read(_LENGTH), "big")
    data = stream.read(length)
    return marshal.loads(data) if length and len(data) == length else None  # noqa: S302  from our own parent or child
