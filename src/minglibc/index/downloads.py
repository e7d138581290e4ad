"""Wheels on this machine: from the cache, or downloaded in parallel; every byte is hashed before it is used."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

from minglibc.cache.wheels import LockedFile, PartialFile, WheelCache, hexdigest
from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError, WheelError
from minglibc.model.file_urls import path_of
from minglibc.model.urls import display_url

if TYPE_CHECKING:
    import httpx

    from minglibc.index.connection import Connection
    from minglibc.index.credentials import Credentials
    from minglibc.index.limits import Limits

_PARALLEL = 8
# The first bytes of the files in a lock: wheels and other zip archives, and .tar.gz.
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_HINT = "nothing was changed; check the connection and try again"


def _size(file: LockedFile) -> int:
    return file.size or 0


class Wheelhouse:
    """The wheels of a lock, in the cache below *cache_dir* or, where that cannot be written, in a temporary folder."""

    def __init__(
        self,
        cache_dir: str,
        *,
        offline: bool = False,
        limits: "Limits | None" = None,
        credentials: "Credentials | None" = None,
        on_progress: Callable[[str, int, int | None], None] = lambda _name, _done, _size: None,
        on_warning: Callable[[str], None] = lambda _text: None,
        on_detail: Callable[[str], None] | None = None,
    ) -> None:
        self._cache = WheelCache(cache_dir, on_warning=on_warning)
        self._offline = offline
        self._limits = limits
        self._credentials = credentials
        self._on_progress = on_progress
        self._on_detail = on_detail
        self._reporting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.close()

    def identity(self, path: str) -> str:
        """What identifies the file at *path*, of ``fetch``, that had the right hash; "" for a file outside of the cache."""
        return self._cache.identities.get(path, "")

    def fetch(
        self, files: Sequence[LockedFile], on_file: Callable[[LockedFile, str], None] = lambda _file, _path: None
    ) -> dict[str, str]:
        """A path for each of *files* by file name, with the right hash; raises the first error.

        *on_file* is called for each file as soon as it is available, in the thread that checked or downloaded it.
        """

        def look_up(file: LockedFile) -> str | None:
            path = _local(file) if file.url.startswith("file:") else self._cache.get(file)
            if path:
                self._describe(f"from the cache: {file.filename}")
                _check_size(file, os.path.getsize(path), complete=True)
                on_file(file, path)
            return path

        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            lookups = {file.filename: pool.submit(look_up, file) for file in sorted(files, key=_size, reverse=True)}
            paths = {file.filename: lookups[file.filename].result() for file in files}
        missing = [file for file in files if not paths[file.filename]]
        if missing and self._offline:
            names = ", ".join(file.filename for file in missing)
            raise IndexUnreachable(f"not in the cache: {names}", hint="run once without --offline")
        if missing:
            paths.update(self._download_all(missing, on_file))
        return {name: path for name, path in paths.items() if path}

    def _download_all(self, files: Iterable[LockedFile], on_file: Callable[[LockedFile, str], None]) -> dict[str, str]:
        from minglibc.index.limits import Limits  # noqa: PLC0415  where all is in the cache
        from minglibc.index.transport import Transport  # noqa: PLC0415  httpx, 80 ms, as above

        transport = Transport(self._limits or Limits.from_environment(), size=_PARALLEL)

        def download(file: LockedFile, connection: "Connection") -> str:
            started = time.monotonic()
            path = self._download(connection, file)
            self._describe(f"downloaded {display_url(file.url)} in {time.monotonic() - started:.2f}s")
            on_file(file, path)
            return path

        self._cache.start()
        # The largest first: it decides when all are complete.
        ordered = sorted(files, key=_size, reverse=True)
        tasks = [transport.submit(partial(download, file), urgent=True) for file in ordered]
        try:
            return dict(zip((file.filename for file in ordered), transport.wait_all(tasks), strict=True))
        finally:
            transport.close()
            self._cache.stop()

    def _describe(self, detail: str) -> None:
        """Pass on what -v prints."""
        if self._on_detail is not None:
            with self._reporting:
                self._on_detail(detail)

    def _download(self, connection: "Connection", file: LockedFile) -> str:
        from minglibc.index.connection import Request  # noqa: PLC0415  as above

        # The hash is that of the file's own bytes.
        headers = {"Accept-Encoding": "identity"}
        if self._credentials:
            headers |= self._credentials.headers(file.url)
        subject = f"can't download {file.filename} from {display_url(file.url)}"
        request = Request(file.url, headers, subject, _HINT, size=_size(file))
        return connection.send(request, partial(self._store, file))

    def _store(self, file: LockedFile, response: "httpx.Response", chunks: Iterator[bytes]) -> str:
        def report(_partial: PartialFile, received: int, total: int | None) -> None:
            with self._reporting:
                self._on_progress(file.filename, received, total)

        return store_body(self._cache, file, response, chunks, credentials=self._credentials, on_progress=report)


def store_body(
    cache: WheelCache,
    file: LockedFile,
    response: "httpx.Response",
    chunks: Iterator[bytes],
    *,
    credentials: "Credentials | None",
    on_progress: Callable[[PartialFile, int, int | None], None],
) -> str:
    """Write the body of *file* to a partial file, and rename that once it is complete and right; its path in the *cache*."""
    _check_status(file, response, credentials)
    total = file.size if file.size is not None else _content_length(response)
    hasher = hashlib.new(file.digest[0])
    target = PartialFile(cache)
    received = 0
    try:
        for chunk in chunks:
            if not received:
                _check_start(file, response, chunk)
            received += len(chunk)
            _check_size(file, received, complete=False)
            hasher.update(chunk)
            target.write(chunk)
            on_progress(target, received, total)
        _check_size(file, received, complete=True)
        _check_digest(file, hasher.hexdigest())
        return target.commit(file)
    except TimeoutError:
        target.discard()
        raise
    except OSError as error:
        target.discard()
        raise MinglibcError(
            f"can't store {file.filename} in {target.folder}: {error.strerror}",
            hint="nothing was installed; free some space, or name another folder by --cache-dir",
        ) from error
    except BaseException:
        target.discard()
        raise


def _check_status(file: LockedFile, response: "httpx.Response", credentials: "Credentials | None") -> None:
    status = response.status_code
    if status == 200:
        return
    if status in (404, 410):
        raise IndexAnswerError(
            f"{file.filename} is no longer on its index (HTTP {status} for {display_url(file.url)})",
            hint="nothing was changed; run minglibc lock to select from the files that are available",
        )
    if status in (401, 403):
        url = str(response.request.url)
        advice = f"the server requires credentials{(credentials and f', and {credentials.advice(url)}') or ''}"
        raise IndexUnreachable(
            f"access to {display_url(url)} is denied (HTTP {status})",
            hint=advice if status == 401 else "nothing was changed",
        )
    raise IndexUnreachable(
        f"can't download {file.filename} from {display_url(file.url)}: HTTP {status} {response.reason_phrase}",
        hint=_HINT,
    )


def _content_length(response: "httpx.Response") -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _check_start(file: LockedFile, response: "httpx.Response", chunk: bytes) -> None:
    if file.filename.endswith(".metadata"):
        return
    magic, kind = (_GZIP, ".tar.gz") if file.filename.endswith(".tar.gz") else (_ZIP, "wheel")
    if not chunk.startswith(magic[: len(chunk)]):
        content_type = response.headers.get("content-type", "no content type")
        raise IndexAnswerError(
            f"{file.filename}: {display_url(str(response.url))} returned something that is not a {kind} ({content_type})",
            hint="nothing was installed; it may be a login page",
        )


def _check_size(file: LockedFile, received: int, *, complete: bool) -> None:
    if file.size is not None and (received > file.size or (complete and received < file.size)):
        size = received if complete else f"more than {file.size}"
        raise WheelError(
            f"{file.filename} has {size} bytes, but the lock has {file.size}",
            hint="nothing was installed; run minglibc lock",
        )


def _check_digest(file: LockedFile, actual: str) -> None:
    algorithm, digest = file.digest
    if actual != digest:
        raise WheelError(
            f"{file.filename} is not the file that was locked: its {algorithm} is {actual}, the lock has {digest}",
            hint="nothing was installed; the file or the lock was changed",
        )


def _local(file: LockedFile) -> str:
    """The path of a locked file on this machine, if its hash is the locked one; raises WheelError."""
    path = path_of(file.url)
    algorithm, digest = file.digest
    try:
        actual = hexdigest(path, algorithm)
    except OSError as error:
        raise WheelError(f"can't read {path}: {error.strerror}", hint="put it where the lock expects it") from error
    if actual != digest:
        raise WheelError(f"{path} is not the file that was locked", hint="run `minglibc lock` to lock the current file")
    return path
