"""The pages that are served: one request for each page at a time, and bodies that are made once."""

import asyncio
import time
from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from minglibc.errors import IndexUnreachable, MinglibcError
from minglibc.index.addresses import is_local
from minglibc.index.connection import Connection
from minglibc.index.limits import Limits
from minglibc.index.transport import Task, Transport
from minglibc.model import versions
from minglibc.serve import people
from minglibc.serve.filtering import Filter
from minglibc.serve.known_needs import KnownNeeds
from minglibc.serve.memory import BoundedCache
from minglibc.serve.metrics import Metrics
from minglibc.serve.page import Links, PassedFile, PassedPage
from minglibc.serve.rendering import Body, body_of, project_page, render_names, render_page
from minglibc.serve.routes import Selection
from minglibc.serve.upstream import Snapshot, Upstream

_THREADS = 16
# After an error, an index is not requested again for so many seconds.
_PAUSE = 5.0
# How long a list of projects is kept.
_NAMES_SECONDS = 600
# How long a page without the files that need too much is kept.
_VERIFIED_SECONDS = 60
_MOST_FILTERS = 64
T = TypeVar("T")


class Served(NamedTuple):
    """The body of a page, and the upstream page that it was made from."""

    body: Body
    snapshot: Snapshot


class Pages:
    """Pages by name, selection and media type; all methods are called in one event loop."""

    def __init__(
        self,
        upstream: Upstream,
        limits: Limits,
        *,
        admitted: Collection[str],
        is_proxied: Callable[[str], bool],
        memory: int,
        needs: KnownNeeds,
        metrics: Metrics,
    ) -> None:
        """*is_proxied* says for the URL of an index whether its files are fetched by this server."""
        self._upstream = upstream
        self._transport = Transport(limits, size=_THREADS)
        self._admitted = admitted
        self._is_proxied = is_proxied
        self._needs = needs
        self._metrics = metrics
        self._snapshots: BoundedCache[Snapshot] = BoundedCache(memory // 2)
        self._bodies: BoundedCache[Body] = BoundedCache(memory // 2)
        self._filters: dict[Selection, Filter] = {}
        self._tasks: dict[Hashable, asyncio.Future[Any]] = {}
        # Until when a page is not requested again, and why, or None where the page is served as stale.
        self._failures: BoundedCache[tuple[float, MinglibcError]] = BoundedCache(1 << 20)

    async def snapshot(self, name: str) -> Snapshot | None:
        """The upstream page of project *name*, None if no index has it; raises IndexUnreachable."""
        known = self._snapshots.get(name)
        if known is not None and known.is_fresh:
            return known
        now = asyncio.get_running_loop().time()
        failure = self._failures.get(name)
        if failure is not None and failure[0] > now:
            if known is not None and known.stale:
                return known
            raise failure[1]
        loaded: Snapshot | None = await self._once(("page", name), partial(self._load, name, known))
        return loaded

    async def _load(self, name: str, known: Snapshot | None) -> Snapshot | None:
        try:
            snapshot = await self._run(partial(self._upstream.load, name=name, known=known))
        except MinglibcError as error:
            self._metrics.count_page("failed")
            self._fail(name, error)
            raise
        if snapshot is None:
            self._metrics.count_page("absent")
            self._snapshots.drop(name)
            return None
        self._metrics.count_page("stale" if snapshot.stale else "confirmed")
        if snapshot.stale:
            self._fail(name, IndexUnreachable(snapshot.stale))
        # The parsed page, which is large, is only for the first body that is made.
        kept = snapshot._replace(page=None) if snapshot.response.body else snapshot
        self._snapshots.put(name, kept, len(snapshot.response.body) + 1000)
        return snapshot

    def _fail(self, name: str, error: MinglibcError) -> None:
        until = asyncio.get_running_loop().time() + _PAUSE
        self._failures.put(name, (until, error), 1000 + len(error.message))

    async def page(self, name: str, selection: Selection, media_type: str) -> Served | None:
        """The page of project *name*; None if no index has it. Raises IndexUnreachable."""
        snapshot = await self.snapshot(name)
        if snapshot is None:
            return None
        # What is known about binaries changes with each check.
        period = int(time.monotonic() / _VERIFIED_SECONDS) if selection.is_verified else 0
        key = (name, snapshot.base, snapshot.digest, selection, media_type, period)
        body = self._bodies.get(key)
        if body is None:
            make = partial(self._render, snapshot, name, selection, media_type)
            body = await self._once(key, partial(self._make_body, key, make))
        return Served(body, snapshot)

    def _render(self, snapshot: Snapshot, name: str, selection: Selection, media_type: str) -> Body:
        return render_page(self.filtered(snapshot, name, selection), media_type)

    def filtered(
        self, snapshot: Snapshot, name: str, selection: Selection, only: Collection[versions.Key] | None = None
    ) -> PassedPage:
        """The page of *name* with the files of *selection*, of the versions *only* if they are given."""
        upstream = snapshot.read(name)
        links = self.links(snapshot, upstream.base_url, name)
        return project_page(upstream, name, self.filter(selection), links, only)

    async def for_people(self, name: str, selection: Selection, depth: int) -> Body | None:
        """The page that says what *selection* hides of project *name*; None if no index has it. Raises IndexUnreachable."""
        snapshot = await self.snapshot(name)
        if snapshot is None:
            return None
        key = (name, snapshot.base, snapshot.digest, selection, "people", depth)
        body = self._bodies.get(key)
        if body is None:
            make = partial(self._render_for_people, snapshot, name, selection, depth)
            body = await self._once(key, partial(self._make_body, key, make))
        return body

    def _render_for_people(self, snapshot: Snapshot, name: str, selection: Selection, depth: int) -> Body:
        page = snapshot.read(name).page
        kept, removed = self.filter(selection).apply(name, page.files)
        invalid = sum(not item.version for item in removed)
        content = people.project(page, name, selection, people.releases(kept, removed), depth=depth, invalid=invalid)
        return body_of(content, "text/html; charset=utf-8")

    def proxied_files(self, snapshot: Snapshot, name: str, selection: Selection) -> dict[str, PassedFile]:
        """The files of the page of *name* that clients get from this server, by name, with the URLs of the upstream."""
        upstream = snapshot.read(name)
        links = self.links(snapshot, upstream.base_url, name)
        kept, _ = self.filter(selection).apply(name, upstream.page.files)
        return {
            file.filename: msgspec.structs.replace(file, url=url)
            for files in kept.values()
            for file in files
            if (url := links.upstream(file)) and links.is_proxied(url)
        }

    def links(self, snapshot: Snapshot, base_url: str, name: str) -> Links:
        """The URLs of the files on the page of *name*."""
        return Links(base_url, name, proxied=self._is_proxied(snapshot.base), local=is_local(snapshot.base))

    def filter(self, selection: Selection) -> Filter:
        """The filter of *selection*, which remembers its verdicts on tags."""
        known = self._filters.get(selection)
        if known is None:
            if len(self._filters) >= _MOST_FILTERS:
                self._filters.clear()
            known = self._filters[selection] = Filter(selection, self._admitted, self._needs.of(selection))
        return known

    async def names(self, media_type: str) -> Body:
        """The list of all projects; raises IndexUnreachable."""
        key = ("names", media_type, int(time.monotonic() / _NAMES_SECONDS))
        body = self._bodies.get(key)
        if body is None:
            body = await self._once(key, partial(self._make_names, key, media_type))
        return body

    async def _make_names(self, key: Hashable, media_type: str) -> Body:
        names = await self._run(self._upstream.names)
        return await self._make_body(key, partial(render_names, names, media_type))

    async def _make_body(self, key: Hashable, make: Callable[[], Body]) -> Body:
        body = await asyncio.to_thread(make)
        self._bodies.put(key, body, body.size)
        return body

    async def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The result of *make*, which is shared by all who wait for the same *key*."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(make())

            def forget(done: asyncio.Future[Any]) -> None:
                self._tasks.pop(key, None)
                if not done.cancelled():
                    done.exception()  # perhaps nobody waits for it any more

            task.add_done_callback(forget)
        # A client that disconnects does not cancel what others wait for.
        return await asyncio.shield(task)

    async def _run(self, job: Callable[[Connection], T]) -> T:
        """The result of *job* in a worker thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def finish(task: Task[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, task)

        def settle(task: Task[T]) -> None:
            if future.done():
                return
            if task.error is not None:
                future.set_exception(task.error)
            else:
                future.set_result(task.result)

        self._transport.start(Task(job, urgent=True, on_done=finish))
        return await future

    def close(self) -> None:
        """Close the connections to the upstream indexes."""
        self._transport.close()
