"""Wheels on this machine: a cache by digest, filled by parallel downloads, every byte hashed before it is used."""

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError, WheelError
from minglibc.index.local_files import path_of
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact

if TYPE_CHECKING:
    import httpx

    from minglibc.index import transport as http
    from minglibc.index.credentials import Credentials
    from minglibc.index.transport import Limits

# A cache of another format lies beside this one and is never read.
FOLDER = "wheels-1"

_CHUNK = 1 << 20
_PARALLEL = 8
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
# A larger file gets more time than its request's own deadline, at the pace of a slow link.
_BYTES_A_SECOND = 50_000
# How the files begin that a lock names: wheels and other zip archives, and .tar.gz.
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"


class LockedFile(NamedTuple):
    """A file of the lock: its name, its URL, its hashes and its size if known."""

    filename: str
    url: str
    hashes: Mapping[str, str]
    size: int | None = None

    @property
    def digest(self) -> tuple[str, str]:
        """The hash that identifies the file, and its hex digits."""
        for algorithm in HASH_ALGORITHMS:
            if algorithm in self.hashes:
                return algorithm, self.hashes[algorithm].lower()
        raise WheelError(f"{self.filename} has no usable hash in the lock", hint="run minglibc lock")


def file_of(wheel: Artifact) -> LockedFile:
    """A *wheel* with a hash, as a file that a lock would name."""
    algorithm, _, digest = wheel.hash.partition(":")
    return LockedFile(wheel.filename, wheel.url, {algorithm: digest}, wheel.size)


def _weight(file: LockedFile) -> int:
    return file.size or 0


class Wheelhouse:
    """The wheels of this machine below *cache_dir*; without a usable cache they live in a folder that ``close`` removes."""

    def __init__(
        self,
        cache_dir: str,
        *,
        offline: bool = False,
        limits: "Limits | None" = None,
        credentials: "Credentials | None" = None,
        on_progress: Callable[[str, int, int | None], None] = lambda _name, _done, _size: None,
        on_warning: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._folder = os.path.join(cache_dir, FOLDER)
        self._offline = offline
        self._limits = limits
        self._credentials = credentials
        self._on_progress = on_progress
        self._on_warning = on_warning
        self._scratch = ""
        # Downloads run in threads.
        self._lock = threading.RLock()
        self._stopped = False
        self._partial: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def fetch(
        self, files: Sequence[LockedFile], on_file: Callable[[LockedFile, str], None] = lambda _file, _path: None
    ) -> dict[str, str]:
        """A path for each of *files* by file name, whose bytes were hashed just now; raises what keeps one away.

        *on_file* hears of each as soon as it is there, in the thread that saw to it.
        """

        def look(file: LockedFile) -> str | None:
            path = self._present(file)
            if path:
                on_file(file, path)
            return path

        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            looks = {file.filename: pool.submit(look, file) for file in sorted(files, key=_weight, reverse=True)}
            paths = {file.filename: looks[file.filename].result() for file in files}
        missing = [file for file in files if not paths[file.filename]]
        if missing and self._offline:
            names = ", ".join(file.filename for file in missing)
            raise IndexUnreachable(f"not in the cache: {names}", hint="run once without --offline")
        if missing:
            paths.update(self._download_all(missing, on_file))
        return {name: path for name, path in paths.items() if path}

    def _present(self, file: LockedFile) -> str | None:
        if file.url.startswith("file:"):
            return _local(file)
        path = self._path(self._folder, file)
        try:
            with open(path, "rb") as stream:
                if _hexdigest(stream, file.digest[0]) == file.digest[1]:
                    return path
        except OSError:
            return None
        with suppress(OSError):
            os.unlink(path)  # somebody flipped a bit of it; fetch it again
        return None

    @staticmethod
    def _path(folder: str, file: LockedFile) -> str:
        # The name is the lock's, which was held against the project's name; a slash in it would lead elsewhere.
        if "/" in file.filename or file.filename in ("", ".", "..") or "\0" in file.filename:
            raise WheelError(f"{file.filename!r} is not the name of a wheel", hint="run minglibc lock")
        return os.path.join(folder, "-".join(file.digest), file.filename)

    def _download_all(self, files: Iterable[LockedFile], on_file: Callable[[LockedFile, str], None]) -> dict[str, str]:
        from minglibc.index import transport as http  # noqa: PLC0415  paid for only where it is needed

        limits = self._limits or http.Limits.from_environment()
        lanes = http.Lanes(limits, size=_PARALLEL, spare=0)

        def downloading(file: LockedFile) -> "Callable[[http.Ticket], str]":
            def download(ticket: "http.Ticket") -> str:
                path = self._download(ticket, limits, file)
                on_file(file, path)
                return path

            return download

        self._stopped = False
        # The largest first: it decides when all are done.
        ordered = sorted(files, key=_weight, reverse=True)
        tickets = [lanes.submit(http.Ticket(downloading(file), urgent=True)) for file in ordered]
        try:
            return dict(zip((file.filename for file in ordered), lanes.wait_all(tickets), strict=True))
        finally:
            with self._lock:
                self._stopped = True
                # Whoever is still waiting for bytes finds nothing to write them to.
                for path in self._partial:
                    with suppress(OSError):
                        os.unlink(path)
            lanes.close()

    def _download(self, ticket: "http.Ticket", limits: "Limits", file: LockedFile) -> str:
        from minglibc.index import transport as http  # noqa: PLC0415  paid for only where it is needed

        for attempt in range(limits.retries + 1):
            try:
                return self._download_once(ticket, limits, file)
            except _Passing as passing:
                if attempt == limits.retries or passing.wait > http.MAX_RETRY_AFTER or self._stopped:
                    raise passing.error from passing
                time.sleep(max(passing.wait, 0.25 * 2**attempt))
        raise AssertionError(limits)

    def _download_once(self, ticket: "http.Ticket", limits: "Limits", file: LockedFile) -> str:
        import ssl  # noqa: PLC0415  paid for only where it is needed

        import httpx  # noqa: PLC0415  the same

        from minglibc.index import transport as http  # noqa: PLC0415  paid for only where it is needed

        allowed = limits.deadline + (file.size or 0) / _BYTES_A_SECOND
        ticket.asked, ticket.expires = file.url, time.monotonic() + allowed
        # Nothing may stand between the file's bytes and its digest.
        headers = {"Accept-Encoding": "identity"}
        if self._credentials:
            with self._lock:
                headers |= self._credentials.headers(file.url)
        assert ticket.lane is not None
        try:
            with ticket.lane.stream("GET", file.url, headers=headers) as response:
                _check_answer(file, response, self._credentials)
                return self._store(file, response, ticket.expires)
        except TimeoutError as error:
            raise _Passing(_unreachable(file, f"not whole within {allowed:.0f} s")) from error
        except httpx.TooManyRedirects as error:
            raise IndexAnswerError(f"{file.filename}: {_shown(file.url)} is a redirect loop") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise IndexAnswerError(
                f"{file.filename}: its URL leads to something that is not http(s): {error}"
            ) from error
        except httpx.TimeoutException as error:
            raise _Passing(_unreachable(file, f"no answer for {limits.silence:g} s")) from error
        except httpx.RemoteProtocolError as error:
            raise _Passing(_unreachable(file, f"the answer was cut short: {error}")) from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            http.raise_distrust(error, file.url)
            raise _Passing(_unreachable(file, f"{error or type(error).__name__}")) from error
        finally:
            ticket.expires = None

    def _store(self, file: LockedFile, response: "httpx.Response", expires: float) -> str:
        """Stream the body into a file that nobody else reads, and give it its name once it is right."""
        total = file.size if file.size is not None else _content_length(response)
        hasher = hashlib.new(file.digest[0])
        target = _Target(self)
        received = 0
        try:
            for chunk in response.iter_raw():
                self._check_time(expires)
                if not received:
                    _check_start(file, response, chunk)
                received += len(chunk)
                _check_size(file, received, whole=False)
                hasher.update(chunk)
                target.write(chunk)
                with self._lock:
                    self._on_progress(file.filename, received, total)
            _check_size(file, received, whole=True)
            _check_digest(file, hasher.hexdigest())
            return target.name_it(file)
        except TimeoutError:
            target.drop()
            raise
        except OSError as error:
            target.drop()
            raise MinglibcError(
                f"can't store {file.filename} in {target.folder}: {error.strerror}",
                hint="nothing was installed; free some space, or name another folder by --cache-dir",
            ) from error
        except BaseException:
            target.drop()
            raise

    def _check_time(self, expires: float) -> None:
        if time.monotonic() > expires or self._stopped:
            raise TimeoutError

    def temporary(self, *, scratch: bool = False) -> tuple[int, str, str]:
        """A new file that only this process writes: its descriptor, its path and the folder that wheels get names in."""
        with self._lock:
            if self._stopped:
                raise TimeoutError
            descriptor, path, folder = self._made(scratch=scratch)
            self._partial.add(path)
            return descriptor, path, folder

    def _made(self, *, scratch: bool) -> tuple[int, str, str]:
        if not scratch and not self._scratch:
            try:
                os.makedirs(self._folder, exist_ok=True)
                self._sweep()
                return *tempfile.mkstemp(prefix=".part-", dir=self._folder), self._folder
            except OSError as error:
                self.warn(error)
        self._scratch = self._scratch or tempfile.mkdtemp(prefix="minglibc-")
        return *tempfile.mkstemp(prefix=".part-", dir=self._scratch), self._scratch

    def forget(self, path: str) -> None:
        """A file of ``temporary`` has its name now, or is gone."""
        with self._lock:
            self._partial.discard(path)

    def warn(self, error: OSError) -> None:
        """Say once that the cache can't be used."""
        if not self._scratch:
            self._on_warning(f"the cache {self._folder} can't be used ({error.strerror}); going on without it")

    def _sweep(self) -> None:
        """Remove what killed downloads left; a day is longer than any download lasts, whatever the clocks say."""
        for entry in os.scandir(self._folder):
            if entry.name.startswith(".part-"):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > 86_400:
                        os.unlink(entry.path)


class _Target:
    """A partial file; when its disk is full it moves to the scratch folder and goes on."""

    def __init__(self, house: Wheelhouse) -> None:
        self._house = house
        self._descriptor, self._path, self.folder = house.temporary()
        self._done = 0

    def write(self, chunk: bytes) -> None:
        try:
            _write_all(self._descriptor, chunk)
        except OSError as error:
            self._move(error)
            _write_all(self._descriptor, chunk)
        self._done += len(chunk)

    def _move(self, error: OSError) -> None:
        """Begin again in the scratch folder with what is here so far."""
        self._house.warn(error)
        descriptor, path, folder = self._house.temporary(scratch=True)
        left = self._done  # what a failed write added after it does not count
        with open(self._path, "rb") as source:
            while chunk := source.read(min(_CHUNK, left)):
                _write_all(descriptor, chunk)
                left -= len(chunk)
        self.drop()
        self._descriptor, self._path, self.folder = descriptor, path, folder

    def name_it(self, file: LockedFile) -> str:
        os.close(self._descriptor)
        self._descriptor = -1
        path = Wheelhouse._path(self.folder, file)  # noqa: SLF001  one unit in two classes
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(self._path, path)
        self._house.forget(self._path)
        return path

    def drop(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with suppress(OSError):
            os.unlink(self._path)
        self._house.forget(self._path)


class _Passing(Exception):
    """A failure that another try may not meet; *error* is what to say when it does."""

    def __init__(self, error: MinglibcError, wait: float = 0.0) -> None:
        super().__init__(error)
        self.error = error
        self.wait = wait


def _check_answer(file: LockedFile, response: "httpx.Response", credentials: "Credentials | None") -> None:
    status = response.status_code
    if status == 200:
        return
    error = _unreachable(file, f"HTTP {status} {response.reason_phrase}")
    if status in _WORTH_ANOTHER_TRY:
        wait = _retry_after(response)
        if wait:
            error = _unreachable(file, f"HTTP {status}, and it asks to wait {wait:g} s")
        raise _Passing(error, wait)
    if status in (404, 410):
        raise IndexAnswerError(
            f"{file.filename} is gone from its index (HTTP {status} for {_shown(file.url)})",
            hint="nothing was changed; run minglibc lock to choose what is there",
        )
    if status in (401, 403):
        asked = str(response.request.url)
        advice = f"it wants credentials, and {credentials.advice(asked)}" if credentials else "it wants credentials"
        raise IndexUnreachable(
            f"{_shown(asked)} is not open to you (HTTP {status})",
            hint=advice if status == 401 else "nothing was changed",
        )
    raise error


def _retry_after(response: "httpx.Response") -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


def _content_length(response: "httpx.Response") -> int | None:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _unreachable(file: LockedFile, why: str) -> IndexUnreachable:
    return IndexUnreachable(f"can't download {file.filename} from {_shown(file.url)}: {why}", hint=_TRY_AGAIN)


_TRY_AGAIN = "nothing was changed; check the connection and try again"


def _shown(url: str) -> str:
    """*url* without the credentials that it may hold."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _check_start(file: LockedFile, response: "httpx.Response", chunk: bytes) -> None:
    magic, due = (_GZIP, ".tar.gz") if file.filename.endswith(".tar.gz") else (_ZIP, "wheel")
    if not chunk.startswith(magic[: len(chunk)]):
        kind = response.headers.get("content-type", "no content type")
        raise IndexAnswerError(
            f"{file.filename}: {_shown(str(response.url))} answered with something that is no {due} ({kind})",
            hint="nothing was installed; a login page, perhaps",
        )


def _check_size(file: LockedFile, received: int, *, whole: bool) -> None:
    if file.size is not None and (received > file.size or (whole and received < file.size)):
        many = received if whole else f"more than {file.size}"
        raise WheelError(
            f"{file.filename} has {many} bytes, the lock has {file.size}",
            hint="nothing was installed; run minglibc lock",
        )


def _check_digest(file: LockedFile, found: str) -> None:
    algorithm, digest = file.digest
    if found != digest:
        raise WheelError(
            f"{file.filename} is not the file that was locked: its {algorithm} is {found}, the lock has {digest}",
            hint="nothing was installed; somebody changed the file, or the lock",
        )


def _local(file: LockedFile) -> str:
    """The path of a locked file that lies on this machine, whose bytes are still the locked ones; raises WheelError."""
    path = path_of(file.url)
    try:
        with open(path, "rb") as stream:
            digest = _hexdigest(stream, file.digest[0])
    except OSError as error:
        raise WheelError(f"can't read {path}: {error.strerror}", hint="put it where the lock names it") from error
    if digest != file.digest[1]:
        raise WheelError(f"{path} is not the file that was locked", hint="run `minglibc lock` to take it as it is now")
    return path


def _hexdigest(stream: object, algorithm: str) -> str:
    return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]  # typeshed asks for more


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
