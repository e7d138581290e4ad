"""Files that the server fetches for its clients: hashed, cached, and sent while they arrive."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial

from starlette.responses import FileResponse, Response, StreamingResponse

from minglibc.cache import wheels
from minglibc.cache.maintenance import limit_size
from minglibc.cache.wheels import LockedFile, PartialFile, WheelCache
from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError, WheelError
from minglibc.index.connection import Connection
from minglibc.index.downloads import store_body
from minglibc.index.fetcher import metadata_url
from minglibc.index.limits import Limits
from minglibc.index.transport import Task, Transport
from minglibc.model.urls import display_url
from minglibc.serve.memory import BoundedCache
from minglibc.serve.negotiation import has_tag
from minglibc.serve.page import PassedFile, valid_hashes
from minglibc.serve.pages import Pages
from minglibc.serve.routes import METADATA, Route, Selection
from minglibc.serve.upstream import Hosts, Snapshot, Upstream

_THREADS = 8
_CHUNK = 256 << 10
# A request for a part of a file that is not in the cache waits so long for the whole file.
_PATIENCE = 10.0


class FileLimit:
    """Limits the size of the files in the cache *folder*, after a part of the *limit* was written."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._interval = limit // 32
        # The size at the start is not known.
        self._written = self._interval
        self._lock = threading.Lock()

    def add(self, path: str) -> None:
        """A file was written; called in the worker thread."""
        with self._lock, suppress(OSError):
            self._written += os.path.getsize(path)
            if self._written >= self._interval:
                self._written = 0
                limit_size(self._folder, wheels.FOLDER, self._limit)


class Download:
    """A file that is being downloaded; its readers get what has arrived, and the last byte once its hash is right."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = asyncio.Event()
        self._path = ""
        self._received = 0
        self.total: int | None = None
        self.path = ""
        """Where the file is once it is complete."""
        self.error: BaseException | None = None

    def progress(self, partial_file: PartialFile, received: int, total: int | None) -> None:
        """Note what has arrived; called in the worker thread."""
        self._loop.call_soon_threadsafe(self._update, partial_file.path, received, total)

    def _update(self, path: str, received: int, total: int | None) -> None:
        self._path, self._received, self.total = path, received, total
        self._notify()

    def finish(self, path: str, error: BaseException | None) -> None:
        """Note the end of the download."""
        self.path, self.error = path, error
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether nothing more will arrive."""
        return bool(self.path) or self.error is not None

    async def started(self) -> None:
        """Wait for the first bytes; raises the error of the download."""
        while not self._received and not self.is_done:
            await self._changed.wait()
        if self.error is not None:
            raise self.error

    async def completed(self, seconds: float | None) -> bool:
        """Wait for the end, for so many *seconds* at most if they are given; whether the file is complete."""
        try:
            async with asyncio.timeout(seconds):
                while not self.is_done:
                    await self._changed.wait()
        except TimeoutError:
            return False
        if self.error is not None:
            raise self.error
        return True

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file; raises the error of the download, so that the response is incomplete."""
        sent = 0
        while True:
            if self.error is not None:
                raise self.error
            is_complete, changed = bool(self.path), self._changed
            # The response must not be complete before the hash is right.
            available = self._received if is_complete else self._received - 1
            if sent < available:
                chunk = await asyncio.to_thread(_read, self.path or self._path, sent, min(_CHUNK, available - sent))
                sent += len(chunk)
                if chunk:
                    yield chunk
                continue
            if is_complete:
                return
            await changed.wait()


def _read(path: str, start: int, size: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        # It was renamed, or moved because the disk is full.
        return b""
    try:
        return os.pread(descriptor, size, start)
    finally:
        os.close(descriptor)


class Files:
    """The files of pages that are not passed on by their upstream URL."""

    def __init__(
        self, pages: Pages, upstream: Upstream, hosts: Hosts, limits: Limits, cache: WheelCache, *, limit: FileLimit
    ) -> None:
        self._pages = pages
        self._upstream = upstream
        self._hosts = hosts
        self._transport = Transport(limits, size=_THREADS)
        self._cache = cache
        self._limit = limit
        self._downloads: dict[tuple[str, str], Download] = {}
        self._listed: BoundedCache[Mapping[str, PassedFile]] = BoundedCache(32 << 20)

    def close(self) -> None:
        """Cancel all downloads."""
        self._cache.stop()
        self._transport.close()
        self._cache.close()

    async def response(self, route: Route, headers: Mapping[str, str], *, is_head: bool, scope: str) -> Response | None:
        """The response with a file of a page; None if no page lists it, or if the page has its upstream URL."""
        listed_file = await self._listed_file(route)
        if listed_file is None:
            return None
        locked, base = listed_file
        etag = locked.digest[1][:32]
        sent = {
            "ETag": f'"{etag}"',
            "Cache-Control": f"max-age=31536000, {scope}, immutable",
            "X-Content-Type-Options": "nosniff",
        }
        if has_tag(headers.get("if-none-match", ""), (etag,)):
            return Response(status_code=304, headers=sent)
        path = await self._available(locked, base)
        if path is None and is_head and locked.size is not None:
            sent |= {"Content-Length": str(locked.size), "Accept-Ranges": "bytes"}
            return Response(media_type="application/octet-stream", headers=sent)
        if path is None:
            download = self._download(locked, base)
            await download.started()
            if not ("range" in headers and await download.completed(_PATIENCE)) and not download.path:
                if download.total is not None:
                    sent["Content-Length"] = str(download.total)
                return StreamingResponse(download.chunks(), media_type="application/octet-stream", headers=sent)
            path = download.path
        return FileResponse(path, media_type="application/octet-stream", headers=sent)

    async def path(self, route: Route) -> str:
        """The path of a file of a page in the cache; raises MinglibcError where it can't be fetched."""
        listed_file = await self._listed_file(route)
        if listed_file is None:
            raise MinglibcError(f"no page lists {route.filename}")
        locked, base = listed_file
        path = await self._available(locked, base)
        if path is None:
            download = self._download(locked, base)
            await download.completed(None)
            path = download.path
        return path

    async def _available(self, file: LockedFile, base: str) -> str | None:
        """The path of *file* if it needs no download; raises IndexUnreachable."""
        path = self._cache.unchanged(file)
        if path is None:
            path = await asyncio.to_thread(self._local_path, base, file)
        return path or await asyncio.to_thread(self._cache.get, file)

    def _local_path(self, base: str, file: LockedFile) -> str | None:
        """The path of *file* if it is on this machine; raises IndexUnreachable."""
        if not file.filename.endswith(METADATA):
            return self._upstream.local_path(base, file)
        content = self._upstream.local_metadata(base, file)
        if content is None:
            return None
        copy = PartialFile(self._cache)
        try:
            copy.write(content)
            return copy.commit(file)
        except OSError as error:
            copy.discard()
            raise IndexUnreachable(f"can't write {file.filename} to the cache: {error.strerror}") from error

    async def _listed_file(self, route: Route) -> tuple[LockedFile, str] | None:
        """The file that *route* names, and its index; None if the page has its upstream URL, or does not list it."""
        assert route.selection is not None
        snapshot = await self._pages.snapshot(route.project)
        if snapshot is None:
            return None
        listed = await self._files(snapshot, route.project, route.selection)
        file = listed.get(route.filename.removesuffix(METADATA))
        if file is None:
            return None
        is_metadata = route.filename.endswith(METADATA)
        locked = _locked(file, is_metadata=is_metadata)
        if locked is None and is_metadata:
            # Some tools request metadata that no page lists.
            return None
        if locked is None:
            raise IndexAnswerError(f"the index gives no hash of {route.filename}, so that it can't be checked")
        return locked, snapshot.base

    async def _files(self, snapshot: Snapshot, name: str, selection: Selection) -> Mapping[str, PassedFile]:
        """The files of a page that clients get from this server, by name, with the URLs of the upstream."""
        key = (name, snapshot.base, snapshot.digest, selection)
        listed = self._listed.get(key)
        if listed is None:
            listed = await asyncio.to_thread(self._pages.proxied_files, snapshot, name, selection)
            self._listed.put(key, listed, 1000 * len(listed) + 1000)
        return listed

    def _download(self, file: LockedFile, base: str) -> Download:
        """The download of *file*, which all clients share."""
        known = self._downloads.get(file.digest)
        if known is not None:
            return known
        if not self._hosts.allows(base, file.url):
            raise IndexAnswerError(
                f"{file.filename} is at {display_url(file.url)}, which is on none of the hosts of the index; "
                "the server's option --file-host adds a host"
            )
        loop = asyncio.get_running_loop()
        download = self._downloads[file.digest] = Download(loop)

        def finish(task: Task[str]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, task)

        def settle(task: Task[str]) -> None:
            self._downloads.pop(file.digest, None)
            download.finish(task.result or "", task.error)

        self._transport.start(Task(partial(self._fetch, file, base, download), urgent=True, on_done=finish))
        return download

    def _fetch(self, file: LockedFile, base: str, download: Download, connection: Connection) -> str:
        request = self._upstream.request(base, file.url)
        # Clients have the bytes of the first try: another one could send different bytes.
        request = request._replace(subject=file.filename, size=file.size or 0, retries=0)
        store = partial(store_body, self._cache, file, credentials=None, on_progress=download.progress)
        try:
            path = connection.send(request, store)
        except WheelError as error:
            url = display_url(file.url)
            raise IndexAnswerError(
                f"{url} is not the file that the page of the index lists: its hash or size differs"
            ) from error
        self._limit.add(path)
        return path


def _locked(file: PassedFile, *, is_metadata: bool) -> LockedFile | None:
    """*file*, or its metadata, as a file of the cache; None if the page has no hash of it."""
    if not is_metadata:
        hashes = valid_hashes(file.hashes)
        size = file.size if file.size is not None and file.size >= 0 else None
        return LockedFile(file.filename, file.url, hashes, size) if hashes else None
    hashes = file.metadata_hashes
    return LockedFile(f"{file.filename}{METADATA}", metadata_url(file.url), hashes) if hashes else None
