"""The process that fetches: requests in threads, replies in the order in which they arrive."""

import os
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any

from minglibc.index.calls import Call, Key, is_expected
from minglibc.index.fetch_threads import FetchThreads
from minglibc.index.fetcher import Fetcher
from minglibc.index.processes import Inbox, send
from minglibc.index.response import Response


class _PageQueue:
    """Pages for the page workers, which take the next one when they can; *writers* are the pipes to them."""

    def __init__(self, writers: Sequence[int]) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        for writer in writers:
            Thread(target=self._send, args=(writer,), daemon=True).start()

    def store(self, key: Key, response: Response, folder: str, project: str) -> None:
        """Have a page worker write the page of *project* to *folder* of the cache and reply to *key*."""
        self._queue.put((key, tuple(response), folder, project))

    def _send(self, writer: int) -> None:
        with suppress(OSError):
            while True:
                send(writer, self._queue.get())


def fetch(calls: int, replies: int, pages: Sequence[int]) -> None:
    """Make the calls that arrive until the parent closes the pipe."""
    inbox = Inbox(calls)
    threads = None
    with suppress(EOFError, OSError):
        while True:
            for message in inbox.receive():
                if threads is None:
                    credentials, limits = message
                    threads = FetchThreads(Fetcher(credentials, _PageQueue(pages)), limits)
                    Thread(target=_reply, args=(threads, replies), daemon=True).start()
                    continue
                key, call, urgent = message
                if call is None:
                    threads.promote(key)
                else:
                    threads.submit(key, Call(*call), urgent=urgent)


def _reply(threads: FetchThreads, replies: int) -> None:
    """Send replies; end the process at an error that no index causes: the parent makes the call again and reports it."""
    with suppress(BaseException):
        while True:
            results = threads.replies(wait=True)
            if not all(is_expected(result) for _, result in results):
                break
            if results:
                send(replies, results)
    os._exit(1)
