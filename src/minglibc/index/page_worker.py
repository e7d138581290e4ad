"""A process that decodes project pages and writes them to the cache.

Decompressing, decoding and sorting the files of pages is half of the work of a cold lock. In threads, it would share one core
with the resolver.
"""

import marshal
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from io import BufferedRWPair
from typing import TYPE_CHECKING, Any, NoReturn

from minglibc.errors import IndexAnswerError
from minglibc.index.response import Response, validators

if TYPE_CHECKING:
    from minglibc.cache.pages import Store

_LENGTH = 8


class PageWorker:
    """The process, which many threads share: it reads one page at a time."""

    def __init__(self, store: "Store") -> None:
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        try:
            self._pid = os.fork()
            if self._pid == 0:
                ours.close()
                _work(theirs, store)
            self._stream = ours.makefile("rwb")
        finally:
            ours.close()
            theirs.close()

    def store_page(self, response: Response, folder: str, project: str) -> bool:
        """Write the page of *project* to *folder* of the cache; False where the process has ended. Raises IndexAnswerError."""
        reply = None
        with self._lock, suppress(OSError, ValueError):
            _send(self._stream, (tuple(response), folder, project))
            reply = _receive(self._stream)
        if reply is None:
            return False
        (problem,) = reply
        if problem:
            raise IndexAnswerError(problem[0], hint=problem[1])
        return True

    def close(self) -> None:
        """Wait until the process has finished its current page and has exited."""
        with self._lock, suppress(OSError):
            self._stream.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def start(store: "Store") -> PageWorker | None:
    """A page worker, where there is a second core, the cache is writable, and no thread makes fork unsafe."""
    if not store.is_writable or threading.active_count() > 1 or len(os.sched_getaffinity(0)) == 1:
        return None
    try:
        return PageWorker(store)
    except OSError:
        return None  # the limit on processes


def _work(end: socket.socket, store: "Store") -> NoReturn:
    """Read pages until the parent closes the connection. The process never returns to the code of its parent."""
    with suppress(BaseException):
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
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
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
