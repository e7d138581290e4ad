"""The network of one lock: worker threads and a page worker, and a task for each thing that is fetched."""

from typing import TYPE_CHECKING, TypeVar

from minglibc.index import page_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from minglibc.cache.pages import Store
    from minglibc.index.connection import Connection
    from minglibc.index.credentials import Credentials
    from minglibc.index.transport import Task

_THREADS = 32
# Threads that speculative requests leave free.
_RESERVED = 3
T = TypeVar("T")


class Network:
    """Fetches things once, in parallel."""

    def __init__(self, store: "Store", credentials: "Credentials") -> None:
        self._worker = page_worker.start(store)
        try:
            from minglibc.index.connection import Limits  # noqa: PLC0415  httpx, 80 ms; the page worker starts meanwhile
            from minglibc.index.fetcher import Fetcher  # noqa: PLC0415  as above
            from minglibc.index.transport import Transport  # noqa: PLC0415  as above

            self._transport = Transport(Limits.from_environment(), size=_THREADS, reserved=_RESERVED)
        except BaseException:
            self._close_worker()
            raise
        self.fetcher = Fetcher(
            self._worker,
            headers=credentials.headers,
            advice=credentials.advice,
            redirect_headers=credentials.redirect_headers,
        )
        self.tasks: dict[tuple[str, str], Task[None]] = {}

    def start(self, key: tuple[str, str], job: "Callable[[Connection], None]") -> None:
        """Run *job* in a worker thread, once for each *key*."""
        if key not in self.tasks and not self._transport.is_closing:
            self.tasks[key] = self._transport.submit(job)

    def wait(self, key: tuple[str, str]) -> None:
        """Wait for the task of *key*, which becomes urgent."""
        task = self.tasks[key]
        self._transport.promote(task)
        self._transport.wait(task)

    def run(self, job: "Callable[[Connection], T]") -> T:
        """The result of *job*."""
        return self._transport.wait(self._transport.submit(job, urgent=True))

    def close(self) -> None:
        """Cancel all tasks; a page that is being written to the cache is completed."""
        self._transport.close()
        self._close_worker()

    def _close_worker(self) -> None:
        if self._worker is not None:
            self._worker.close()
