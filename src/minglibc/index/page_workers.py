"""Processes that decode project pages and write them to the cache.

Decompressing, decoding and sorting the files of pages is half of the work of a cold lock.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from minglibc.cache.pages import Store
from minglibc.errors import IndexAnswerError
from minglibc.index.calls import FetchedPage
from minglibc.index.processes import Inbox, close, fork, send, wait_for
from minglibc.index.response import Response, validators


class PagePipes(NamedTuple):
    """The ends that a page worker has of two pipes."""

    pages: int
    replies: int


def start_page_workers(ends: Sequence[tuple[int, int]], cache_folder: str) -> int:
    """Start one process for each pair of *ends*; the id of the process that ends last. Raises OSError."""
    workers = [PagePipes(*pair) for pair in ends]
    try:
        return fork(partial(_run, workers, cache_folder), keep=[end for pipes in workers for end in pipes])
    finally:
        for pipes in workers:
            close(*pipes)


def _run(workers: Sequence[PagePipes], cache_folder: str) -> None:
    """Serve the first pair of pipes, and each other one in another process, which then has the same imports."""
    from minglibc.index import pages  # noqa: F401, PLC0415  msgspec, 20 ms, which the parent seldom needs

    first, *others = workers
    pids = []
    for pipes in others:
        pids.append(fork(partial(_read_pages, pipes, Store(cache_folder)), keep=pipes))
        close(*pipes)
    with suppress(EOFError, OSError):
        _read_pages(first, Store(cache_folder))
    close(*first)
    wait_for(*pids)


def _read_pages(pipes: PagePipes, store: Store) -> None:
    """Read pages until one of the other processes ends, or the cache cannot be written."""
    from minglibc.index.pages import read_page  # noqa: PLC0415  as above

    store.be_silent()  # the parent has the same problems, and reports them
    inbox = Inbox(pipes.pages)
    while True:
        for key, fields, folder, project in inbox.receive():
            response = Response(*fields)
            result: FetchedPage | IndexAnswerError
            try:
                page = read_page(response, project)
            except IndexAnswerError as error:
                result = error
            else:
                result = FetchedPage(validators(response), is_stored=True)
                store.write_page(folder, page, result.entry)
                if not store.is_writable:
                    return
            send(pipes.replies, [(key, result)])
