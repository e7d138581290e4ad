"""A package index on loopback: the Simple API, core metadata, files and the project JSON API over real HTTP/1.1."""

import base64
import contextlib
import gzip
import hashlib
import html
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urljoin, urlsplit

from packaging.version import InvalidVersion, Version

from tests.support.wheels import BuiltSdist, BuiltWheel, build_sdist, normalized

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "application/vnd.pypi.simple.v1+html"
OLD_HTML = "text/html"
UPLOADED = "2026-01-01T00:00:00.000000Z"

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(slots=True)
class Request:
    """A request, and the status of its response (0 until it is sent)."""

    method: str
    path: str
    headers: Message
    status: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response, before it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> "Answer":
        """The response with these headers; underscores are replaced by hyphens."""
        return replace(self, headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})


@dataclass(slots=True)
class PublishedFile:
    """A file as the index lists it, which may differ from what the server sends."""

    project: str
    filename: str
    version: str
    content: bytes
    metadata: bytes
    hashes: Mapping[str, str]
    requires_python: str | None
    yanked: bool | str
    upload_time: str | None
    size: int | None
    status: int
    core_metadata: bool | Mapping[str, str]
    url: str | None

    @property
    def is_wheel(self) -> bool:
        """Whether the file name is a wheel's."""
        return self.filename.endswith(".whl")


class Exchange:
    """A request on a connection, to which a fault responds."""

    def __init__(self, server: "IndexServer", handler: "_Handler", request: Request) -> None:
        self.server = server
        self.request = request
        self._handler = handler

    @property
    def path(self) -> str:
        """The requested path without its query, unquoted."""
        return unquote(urlsplit(self.request.path).path)

    def correct(self, *, accept: str | None = None) -> Answer:
        """The correct response; *accept* replaces the client's Accept header."""
        return self.server.correct(self.request, accept=accept)

    def send(self, answer: Answer, *, body: bytes | None = None) -> None:
        """Send the head of *answer* and its body, or *body* under the same head."""
        self.request.status = answer.status
        phrase = HTTPStatus(answer.status).phrase
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        whole = f"HTTP/1.1 {answer.status} {phrase}\r\n{head}\r\n".encode("latin-1")
        bodiless = self.request.method == "HEAD" or answer.status == HTTPStatus.NOT_MODIFIED
        self.send_bytes(whole if bodiless else whole + (answer.body if body is None else body))

    def send_bytes(self, data: bytes) -> None:
        """Send *data* as it is."""
        self._handler.connection.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait; false if the server has been stopped in the meantime."""
        return not self.server.stopping.wait(seconds)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection after this response; *reset* sends a TCP RST."""
        self._handler.close_connection = True
        if reset:
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Misbehaviour = Callable[[Exchange], None]


@dataclass(slots=True)
class _Plan:
    pattern: str
    misbehave: Misbehaviour
    left: int | None


@dataclass(slots=True)
class _Project:
    files: dict[str, PublishedFile] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    vulnerabilities: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class _Page:
    """A rendered page with its content type and ETag."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.content_type = content_type
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._zipped: bytes | None = None

    @property
    def zipped(self) -> bytes:
        """The body compressed with gzip, cached."""
        if self._zipped is None:
            self._zipped = gzip.compress(self.body, compresslevel=1, mtime=0)
        return self._zipped


class IndexServer:
    """An index for a test, with faults; every option may be changed while it runs.

    *relative_urls* is false for absolute file URLs, true for ``../../files/``, or such a base itself;
    *project_json_urls* is the same for the project JSON API, whose URLs need not exist.
    """

    def __init__(
        self,
        *,
        html_only: bool = False,
        json_only: bool = False,
        strip_core_metadata: bool = False,
        serve_metadata: bool = True,
        ranges: bool = True,
        etags: bool = True,
        max_age: int | None = 600,
        compress: bool = True,
        relative_urls: bool | str = False,
        project_json: bool = True,
        version_json: bool = True,
        project_json_urls: bool | str = False,
        latency_ms: float = 0,
        credentials: tuple[str, str] | None = None,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.html_only = html_only
        self.json_only = json_only
        self.strip_core_metadata = strip_core_metadata
        self.serve_metadata = serve_metadata
        self.ranges = ranges
        self.etags = etags
        self.max_age = max_age
        self.compress = compress
        self.relative_urls = relative_urls
        self.project_json = project_json
        self.version_json = version_json
        self.project_json_urls = project_json_urls
        self.latency_ms = latency_ms
        self.credentials = credentials
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._host = host
        self._tls = tls
        self._projects: dict[str, _Project] = {}
        self._served: dict[str, PublishedFile] = {}
        self._pages: dict[tuple[Any, ...], _Page | None] = {}
        self._plans: list[_Plan] = []
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._other: IndexServer | None = None

    # Running

    def start(self) -> Self:
        """Listen on a free port on loopback."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="index", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Close all connections and wait until their threads have ended."""
        if self._other:
            self._other.stop()
        self.stopping.set()
        # accept() does not return when its socket is closed: connect once more.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in left.values():
            thread.join(timeout=10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def url(self) -> str:
        """The base of the Simple API, with its closing slash."""
        return f"{self.origin}/simple/"

    @property
    def other(self) -> "IndexServer":
        """A second index with another host name, which is started when needed and stopped with this one."""
        if self._other is None:
            self._other = IndexServer(host="localhost").start()
        return self._other

    # Publishing

    def add(
        self,
        built: BuiltWheel | BuiltSdist,
        *,
        yanked: bool | str = False,
        requires_python: str | None = "as built",
        upload_time: str | None = UPLOADED,
        size: int | bool = True,
        status: int = 200,
        core_metadata: bool | Mapping[str, str] | None = None,
        hashes: bool | Mapping[str, str] = True,
        url: str | None = None,
        project: str | None = None,
        filename: str | None = None,
        served: bytes | None = None,
        served_metadata: bytes | None = None,
    ) -> PublishedFile:
        """Publish a file; the options make the page or the server incorrect.

        *status* is the status of requests for the file; *project* lists it on another project's page, *filename* with
        another name; *url* is its URL on the page; *served* and *served_metadata* are sent instead of the content that
        the page's hashes match.
        """
        if hashes is True:
            hashes = {"sha256": built.sha256}
        if core_metadata is None:
            core_metadata = isinstance(built, BuiltWheel)
        if core_metadata is True:
            core_metadata = {"sha256": hashlib.sha256(built.metadata).hexdigest()}
        published = PublishedFile(
            project=normalized(project or built.project),
            filename=filename or built.filename,
            version=built.version,
            content=built.content if served is None else served,
            metadata=built.metadata if served_metadata is None else served_metadata,
            hashes=hashes or {},
            requires_python=built.requires_python if requires_python == "as built" else requires_python,
            yanked=yanked,
            upload_time=upload_time,
            size=(len(built.content) if size else None) if isinstance(size, bool) else size,
            status=status,
            core_metadata=core_metadata,
            url=url,
        )
        with self._lock:
            self._project(published.project).files[published.filename] = published
            self._served[built.filename] = self._served[published.filename] = published
            self._pages.clear()
        return published

    def add_sdist(self, name: str, version: str, **options: Any) -> PublishedFile:
        """Publish a source distribution; *options* are those of `add`."""
        return self.add(build_sdist(name, version), **options)

    def add_project(self, name: str) -> None:
        """Publish a project page without files."""
        with self._lock:
            self._project(name)
            self._pages.clear()

    def remove(self, filename: str) -> None:
        """Remove a file from its page and from the server."""
        with self._lock:
            published = self._served.pop(filename)
            del self._project(published.project).files[filename]
            self._pages.clear()

    def project_status(self, name: str, status: str, reason: str = "") -> None:
        """Set a project's status (PEP 792)."""
        with self._lock:
            self._project(name).status = {"status": status, **({"reason": reason} if reason else {})}
            self._pages.clear()

    def vulnerability(self, name: str, version: str, identifier: str, **details: Any) -> None:
        """Add a known vulnerability of a release; *details* are more keys (``fixed_in``, ``aliases`` …)."""
        entry = {
            "id": identifier,
            "aliases": [],
            "details": "A flaw.",
            "fixed_in": [],
            "link": f"https://example.invalid/{identifier}",
            "source": "osv",
            "summary": None,
            "withdrawn": None,
            **details,
        }
        with self._lock:
            self._project(name).vulnerabilities.setdefault(version, []).append(entry)
            self._pages.clear()

    def fault(self, pattern: str, misbehave: Misbehaviour, *, times: int | None = None) -> None:
        """Respond with *misbehave* to requests whose path matches the glob *pattern*, *times* times or always."""
        with self._lock:
            self._plans.append(_Plan(pattern, misbehave, times))

    def reset(self) -> None:
        """Clear the recorded requests and the faults, but not the published files."""
        with self._lock:
            self.requests.clear()
            self._plans.clear()

    def paths(self, pattern: str = "*") -> list[str]:
        """The requested paths that match the glob *pattern*, in order."""
        return [one.path for one in list(self.requests) if fnmatchcase(one.path, pattern)]

    def _project(self, name: str) -> _Project:
        return self._projects.setdefault(normalized(name), _Project())

    # Connections

    def _accept(self) -> None:
        while True:
            connection, address = self._listener.accept()
            if self.stopping.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), daemon=True)
            with self._lock:
                self.connections += 1
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        wire = connection
        try:
            if self._tls:
                wire = self._tls.wrap_socket(connection, server_side=True)
            _Handler(wire, address, self)
        except OSError:
            pass  # The client closed the connection, or the server is being stopped.
        finally:
            wire.close()
            connection.close()
            with self._lock:
                self._open.pop(connection, None)

    def answer(self, exchange: Exchange) -> None:
        """Respond to a request, with a fault or correctly."""
        self.requests.append(exchange.request)
        if self.latency_ms:
            exchange.wait(self.latency_ms / 1000)
        misbehave = self._planned(exchange.path)
        if misbehave:
            misbehave(exchange)
        else:
            exchange.send(exchange.correct())

    def _planned(self, path: str) -> Misbehaviour | None:
        if not self._plans:
            return None
        with self._lock:
            for plan in self._plans:
                if plan.left != 0 and fnmatchcase(path, plan.pattern):
                    if plan.left is not None:
                        plan.left -= 1
                    return plan.misbehave
        return None

    # Correct responses

    def correct(self, request: Request, *, accept: str | None = None) -> Answer:
        """The response without faults."""
        if not self._may(request):
            return Answer(401, b"Who are you?", {"WWW-Authenticate": 'Basic realm="index"'})
        path = urlsplit(request.path).path
        match [unquote(part) for part in path.split("/")[1:]]:
            case ["simple", ""]:
                return self._page_answer(request, ("root",), self._media_type(request, accept))
            case ["simple", name] | ["simple", name, ""]:
                if path != f"/simple/{normalized(name)}/":
                    return Answer(301, headers={"Location": f"/simple/{normalized(name)}/"})
                return self._page_answer(request, ("project", name), self._media_type(request, accept))
            case ["pypi", name, *version, "json"] if self.project_json and len(version) <= self.version_json:
                return self._page_answer(request, ("json", normalized(name), *version), "application/json")
        return self._file_answer(request, unquote(path))

    def _may(self, request: Request) -> bool:
        if self.credentials is None:
            return True
        wanted = base64.b64encode(":".join(self.credentials).encode()).decode()
        return request.headers.get("Authorization") == f"Basic {wanted}"

    def _media_type(self, request: Request, accept: str | None) -> str:
        if self.json_only:
            return JSON_PAGE
        accepted = _accepted(request.headers.get("Accept", "*/*") if accept is None else accept)
        offered = [OLD_HTML, HTML_PAGE] if self.html_only else [OLD_HTML, HTML_PAGE, JSON_PAGE]
        best = max(offered, key=lambda one: accepted.get(one, accepted.get("*/*", 0.0)))
        # PEP 691 allows a server to respond with its default if it has none of the requested types.
        return best if best != HTML_PAGE or not self.html_only else OLD_HTML

    def _page_answer(self, request: Request, what: tuple[str, ...], media_type: str) -> Answer:
        key = (*what, media_type, self.strip_core_metadata, self.relative_urls, self.project_json_urls)
        with self._lock:
            if key not in self._pages:
                self._pages[key] = self._render(what, media_type)
            page = self._pages[key]
        if page is None:
            return Answer(404, b"404 Not Found", {"Content-Type": "text/plain"})
        headers = {"Content-Type": page.content_type, "Vary": "Accept, Accept-Encoding"}
        if self.max_age is not None:
            headers["Cache-Control"] = f"max-age={self.max_age}, public"
        if self.etags:
            headers["ETag"] = page.etag
            known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
            if page.etag in known or known == ["*"]:
                return Answer(304, headers=headers)
        if self.compress and "gzip" in request.headers.get("Accept-Encoding", ""):
            return Answer(200, page.zipped, {**headers, "Content-Encoding": "gzip"})
        return Answer(200, page.body, headers)

    def _file_answer(self, request: Request, path: str) -> Answer:
        folder, _, filename = path.rpartition("/")
        published = self._served.get(filename.removesuffix(".metadata"))
        if published is None or folder not in self._folders(published):
            return Answer(404, b"404 Not Found", {"Content-Type": "text/plain"})
        if filename.endswith(".metadata"):
            if not self.serve_metadata or not (published.is_wheel or published.core_metadata):
                return Answer(404, b"404 Not Found", {"Content-Type": "text/plain"})
            return self._bytes_answer(request, published.metadata, ranges=False)
        if published.status != HTTPStatus.OK:
            return Answer(published.status, b"No.", {"Content-Type": "text/plain"})
        return self._bytes_answer(request, published.content, ranges=self.ranges)

    def _folders(self, published: PublishedFile) -> set[str]:
        """The folders in which a file is served: its own, and that of its URL on the page."""
        page = f"{self.url}{published.project}/"
        urls = [f"../../files/{published.filename}", published.url or ""]
        if isinstance(self.relative_urls, str):
            urls.append(self.relative_urls + published.filename)
        return {unquote(urlsplit(urljoin(page, url)).path).rpartition("/")[0] for url in urls if url}

    def _bytes_answer(self, request: Request, body: bytes, *, ranges: bool) -> Answer:
        headers = {"Content-Type": "application/octet-stream"}
        if self.etags:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if self.max_age is not None:
            headers["Cache-Control"] = "max-age=365000000, immutable, public"
        if not ranges:
            return Answer(200, body, headers)
        headers["Accept-Ranges"] = "bytes"
        requested = _RANGE.fullmatch(request.headers.get("Range", ""))
        if not requested or request.headers.get("If-Range", headers.get("ETag")) != headers.get("ETag"):
            return Answer(200, body, headers)
        bounds = _bounds(requested[1], requested[2], len(body))
        if bounds is None:
            return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(body)}"})
        start, end = bounds
        return Answer(206, body[start:end], {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(body)}"})

    # Pages

    def _render(self, what: tuple[str, ...], media_type: str) -> _Page | None:
        kind, *rest = what
        if kind == "root":
            return self._render_root(media_type)
        name = rest[0]
        project = self._projects.get(name)
        if project is None:
            return None
        if kind == "json":
            document = self._project_document(name, project, rest[1] if rest[1:] else None)
            return None if document is None else _Page(json.dumps(document).encode(), "application/json")
        if media_type == JSON_PAGE:
            return _Page(json.dumps(self._simple_document(name, project)).encode(), JSON_PAGE)
        return _Page(self._simple_html(name, project).encode(), f"{media_type}; charset=utf-8")

    def _render_root(self, media_type: str) -> _Page:
        names = sorted(self._projects)
        if media_type == JSON_PAGE:
            document = {"meta": {"api-version": "1.4"}, "projects": [{"name": name} for name in names]}
            return _Page(json.dumps(document).encode(), JSON_PAGE)
        links = "".join(f'<a href="{name}/">{name}</a><br>\n' for name in names)
        return _Page(f"<!DOCTYPE html>\n<html><body>\n{links}</body></html>\n".encode(), f"{media_type}; charset=utf-8")

    def _simple_document(self, name: str, project: _Project) -> dict[str, Any]:
        """PEP 691, 700, 714 and 792."""
        return {
            "meta": {"api-version": "1.4", "_last-serial": 1},
            "name": name,
            "project-status": project.status or {"status": "active"},
            "alternate-locations": [],
            "versions": sorted({file.version for file in project.files.values()}, key=_version_key),
            "files": [self._simple_file(file) for file in project.files.values()],
        }

    def _simple_file(self, file: PublishedFile) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "filename": file.filename,
            "url": self._file_url(file, self.relative_urls),
            "hashes": dict(file.hashes),
            "requires-python": file.requires_python,
            "yanked": file.yanked,
        }
        if file.size is not None:
            entry["size"] = file.size
        if file.upload_time is not None:
            entry["upload-time"] = file.upload_time
        if (file.is_wheel or file.core_metadata) and not self.strip_core_metadata:
            promised = dict(file.core_metadata) if isinstance(file.core_metadata, Mapping) else file.core_metadata
            entry["core-metadata"] = entry["dist-info-metadata"] = promised
        return entry

    def _simple_html(self, name: str, project: _Project) -> str:
        """PEP 503 with the attributes of PEP 592, 658, 714 and 792."""
        metas = {"pypi:repository-version": "1.4"}
        if project.status:
            metas["pypi:project-status"] = project.status["status"]
            if "reason" in project.status:
                metas["pypi:project-status-reason"] = project.status["reason"]
        head = "".join(f'<meta name="{key}" content="{html.escape(value)}">\n' for key, value in metas.items())
        links = "".join(self._anchor(file) for file in project.files.values())
        title = f"<title>Links for {name}</title>"
        return f"<!DOCTYPE html>\n<html><head>\n{head}{title}</head><body><h1>Links for {name}</h1>\n{links}</body></html>\n"

    def _anchor(self, file: PublishedFile) -> str:
        url = self._file_url(file, self.relative_urls)
        for algorithm, digest in file.hashes.items():
            url += f"#{algorithm}={digest}"
            break
        attributes = {"href": url}
        if file.requires_python is not None:
            attributes["data-requires-python"] = file.requires_python
        if file.yanked is not False:
            attributes["data-yanked"] = "" if file.yanked is True else file.yanked
        if file.is_wheel and file.core_metadata is not False and not self.strip_core_metadata:
            promised = "true"
            if isinstance(file.core_metadata, Mapping) and "sha256" in file.core_metadata:
                promised = f"sha256={file.core_metadata['sha256']}"
            attributes["data-core-metadata"] = attributes["data-dist-info-metadata"] = promised
        text = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
        return f"<a {text}>{html.escape(file.filename)}</a><br>\n"

    def _project_document(self, name: str, project: _Project, version: str | None) -> dict[str, Any] | None:
        """The project JSON API, of one release or of the newest."""
        releases: dict[str, list[dict[str, Any]]] = {}
        for file in project.files.values():
            releases.setdefault(file.version, []).append(self._release_file(file))
        ordered = sorted(releases, key=_version_key)
        shown = version if version is not None else next(iter(_newest_first(ordered)), None)
        if shown not in releases:
            return None
        newest = next(file for file in project.files.values() if file.version == shown)
        document = {
            "info": _info(name, newest, project.status),
            "last_serial": 1,
            "urls": releases[shown],
            "vulnerabilities": project.vulnerabilities.get(shown, []),
        }
        return document if version is not None else {**document, "releases": {one: releases[one] for one in ordered}}

    def _release_file(self, file: PublishedFile) -> dict[str, Any]:
        time = file.upload_time
        return {
            "comment_text": None,
            "core-metadata": dict(file.core_metadata) if isinstance(file.core_metadata, Mapping) else False,
            "digests": dict(file.hashes),
            "filename": file.filename,
            "has_sig": False,
            "packagetype": "bdist_wheel" if file.is_wheel else "sdist",
            "requires_python": file.requires_python,
            "size": file.size,
            "upload_time": time.partition(".")[0].rstrip("Z") if time else None,
            "upload_time_iso_8601": time,
            "url": self._file_url(file, self.project_json_urls),
            "yanked": file.yanked is not False,
            "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
        }

    def _file_url(self, file: PublishedFile, base: bool | str) -> str:  # noqa: FBT001 - the option as it was set
        if file.url is not None:
            return file.url
        if base is False:
            base = f"{self.origin}/files/"
        elif base is True:
            base = "../../files/"
        return base + quote(file.filename)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection and hands each to the index."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, connection: socket.socket, address: tuple[str, int], index: IndexServer) -> None:
        self._index = index
        super().__init__(connection, address, index)  # type: ignore[arg-type]  # it only keeps its server

    def do_GET(self) -> None:
        self._index.answer(Exchange(self._index, self, Request(self.command, self.path, self.headers)))

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: stderr belongs to what is tested."""


def _accepted(header: str) -> dict[str, float]:
    weights = {}
    for part in header.split(","):
        media_type, *parameters = [one.strip() for one in part.split(";")]
        quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        weights[media_type] = float(quality)
    return weights


def _bounds(first: str, last: str, size: int) -> tuple[int, int] | None:
    """The half-open range that ``bytes=first-last`` asks for, or none when it cannot be had (RFC 9110)."""
    if not first:
        wanted = int(last or 0)
        return (max(0, size - wanted), size) if wanted and size else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None


def _version_key(version: str) -> tuple[int, Version | str]:
    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, version)


def _newest_first(ordered: list[str]) -> list[str]:
    """The release that ``info`` is about comes first: the newest final one, else the newest."""
    final = [one for one in ordered if not re.search(r"[a-z]", one.partition("+")[0])]
    return [*reversed(final), *reversed(ordered)]


def _info(name: str, file: PublishedFile, status: Mapping[str, str]) -> dict[str, Any]:
    lines = file.metadata.decode("utf-8", "replace").partition("\n\n")[0].splitlines()
    headers = [line.partition(": ") for line in lines]
    requires = [value for key, _, value in headers if key == "Requires-Dist"]
    return {
        "name": name,
        "version": file.version,
        "summary": "Made by a test.",
        "requires_dist": requires or None,
        "requires_python": file.requires_python,
        "provides_extra": [value for key, _, value in headers if key == "Provides-Extra"] or None,
        "yanked": file.yanked is not False,
        "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
        "project_status": dict(status) or None,
    }
