"""A process that sends the requests of a lock, with processes that decode pages.

All of them need more time than the resolver in most cold locks, and would share its core in threads.
"""

# `lock` starts the process before it imports anything else: only modules that Python has imported already.

import os
import sys

from minglibc.index.processes import Inbox, can_fork, close, enlarge, fork, send, wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minglibc.index.calls import Call, Key, Reply
    from minglibc.index.credentials import Credentials
    from minglibc.index.limits import Limits

# With one, a large page delays all others.
_PAGE_WORKERS = 2
# The process that was started before it was known whether there is something to fetch.
_early: "list[FetchProcess]" = []


class WorkersEnded(Exception):
    """A process that fetches has ended; calls without a reply have to be made again."""


class FetchProcess:
    """The processes as their parent sees them; pages are written to the cache in *cache_folder*."""

    def __init__(self, cache_folder: str) -> None:
        self.cache_folder = cache_folder
        calls, self._calls = os.pipe()
        reply_pipes = [os.pipe() for _ in range(1 + _PAGE_WORKERS)]
        page_pipes = [os.pipe() for _ in range(_PAGE_WORKERS)]
        self._replies = [reader for reader, _ in reply_pipes]
        self._inboxes = [Inbox(reader) for reader in self._replies]
        replies, *page_replies = (writer for _, writer in reply_pipes)
        self._page_workers = [(pages, end) for (pages, _), end in zip(page_pipes, page_replies, strict=True)]
        page_writers = [writer for _, writer in page_pipes]

        def run() -> None:
            _skip_unused_imports()
            for writer in page_writers:
                enlarge(writer)
            from minglibc.index.fetch_worker import fetch  # noqa: PLC0415  httpx, 150 ms, which the parent does not import

            fetch(calls, replies, page_writers)

        self._pids: list[int] = []
        try:
            self._pids.append(fork(run, keep=(calls, replies, *page_writers)))
        except OSError:
            self.close()
            raise
        finally:
            close(calls, replies, *page_writers)

    def configure(self, credentials: "Credentials", limits: "Limits") -> None:
        """Start the page workers, and set what the process needs before its first call."""
        from minglibc.index.page_workers import start_page_workers  # noqa: PLC0415  after the fork

        workers, self._page_workers = self._page_workers, []
        try:
            self._pids.append(start_page_workers(workers, self.cache_folder))
            send(self._calls, (credentials, limits))
        except OSError:
            return  # `replies` reports that a process has ended

    def submit(self, key: "Key", call: "Call", *, urgent: bool) -> None:
        """Make *call*; its reply has the same *key*."""
        self._send((key, tuple(call), urgent))

    def promote(self, key: "Key") -> None:
        """Make the call of *key* urgent."""
        self._send((key, None, True))

    def replies(self, *, wait: bool) -> "list[Reply]":
        """The replies since the last call; with *wait*, wait if there are none. Raises WorkersEnded."""
        from select import select  # noqa: PLC0415  after the fork

        ready, _, _ = select(self._inboxes, (), (), None if wait else 0)
        try:
            return [reply for inbox in ready for replies in inbox.receive() for reply in replies]
        except EOFError:
            raise WorkersEnded from None

    def close(self) -> None:
        """Cancel all calls, and wait until a page is written and the processes have ended."""
        close(self._calls, *self._replies)
        for pipes in self._page_workers:
            close(*pipes)
        if len(self._pids) == 1:  # it was not used, and may still import what it needs
            os.kill(self._pids[0], 9)
        wait_for(*self._pids)

    def _send(self, value: object) -> None:
        try:  # noqa: SIM105  contextlib is not imported before the fork
            send(self._calls, value)
        except OSError:
            pass  # `replies` reports that the process has ended


def _skip_unused_imports() -> None:
    """Save the import of what httpx does without: anyio, for asynchronous requests (30 ms), and click, for its own program.

    With click, httpx would also import rich and pygments (100 ms).
    """
    for name in ("anyio", "click"):
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail


def start_early(cache_folder: str) -> None:
    """Start the process for a lock that will probably fetch something: it imports httpx while this one imports the resolver."""
    if not _early:
        process = _started(cache_folder)
        if process is not None:
            _early.append(process)


def start(cache_folder: str) -> FetchProcess | None:
    """The process that was started early, or a new one; None where none can be started."""
    process = _early.pop() if _early else None
    if process is not None and process.cache_folder != cache_folder:
        process.close()
        process = None
    return process or _started(cache_folder)


def _started(cache_folder: str) -> FetchProcess | None:
    try:
        return FetchProcess(cache_folder) if can_fork() else None
    except OSError:
        return None  # the limit on processes or files
