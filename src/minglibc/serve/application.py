"""The ASGI application: paths to responses."""

import hmac
import logging
import re
import time
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping
from functools import cache, lru_cache
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from minglibc.errors import IndexAnswerError, IndexUnreachable, MinglibcError
from minglibc.serve import people
from minglibc.serve.files import Files
from minglibc.serve.metrics import Metrics
from minglibc.serve.negotiation import media_type
from minglibc.serve.pages import Pages
from minglibc.serve.rendering import Body, RawHeader, body_of
from minglibc.serve.replies import LONGEST_HEADER, Reply, headers_of, raw_headers, reply, text
from minglibc.serve.routes import Route, UnknownPath, parse_path
from minglibc.serve.upstream import NotServed, Snapshot

_log = logging.getLogger("uvicorn.error")
_METHODS = ("GET", "HEAD")
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


class Access(NamedTuple):
    """Who may use the server."""

    hosts: Collection[str] = ()
    """The names in the Host header that are accepted; empty for all."""
    token: str = ""
    """The password that clients must send; empty for none."""
    is_private: bool = False
    """Whether shared caches must not keep responses."""

    @property
    def scope(self) -> str:
        """The caches that may keep responses, as Cache-Control has it."""
        return "private" if self.is_private else "public"


class Application:
    """Responds to requests with pages of the upstream indexes."""

    def __init__(self, pages: Pages, files: Files, metrics: Metrics, access: Access) -> None:
        self._pages = pages
        self._files = files
        self._metrics = metrics
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, or to the start and the end of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            started = time.perf_counter()
            kind, response = await self._respond(scope)
            self._metrics.observe(kind, response.status_code, time.perf_counter() - started)
            try:
                await response(scope, receive, send)
            except MinglibcError as error:
                # The response has begun. It stays incomplete, and uvicorn closes the connection.
                _log.warning("the response was ended: %s", error.message)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        self._files.close()
        self._pages.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope) -> tuple[str, Reply | Response]:
        """The kind of page that was requested, and the response."""
        headers = headers_of(scope)
        if (refusal := self._refusal(scope, headers)) is not None:
            return "refused", refusal
        kind = "unknown"
        try:
            route = parse_path(scope["path"])
            kind = route.kind
            if route.redirect:
                location = raw_headers({"location": route.redirect, "content-length": "0"})
                return kind, Reply(301, location)
            return kind, await self._response(route, headers, is_head=scope["method"] == "HEAD")
        except UnknownPath as error:
            return kind, text(404, f"not found: {error}")
        except MinglibcError as error:
            status = _status_of(error)
            # A hint is for the administrator: it may say which credentials are missing.
            hint = f"; {error.hint}" if error.hint and status == 502 else ""
            _log.warning("%d: %s%s", status, error.message, hint)
            return kind, text(status, error.message, {"Retry-After": "5"} if status == 503 else None)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Reply | None:
        """The response to a request that is not served, whatever its path."""
        if self._access.hosts and _host_name(headers.get("host", "")[:LONGEST_HEADER]) not in self._access.hosts:
            return text(421, "this server has another host name; --allowed-host adds one")
        if scope["method"] not in _METHODS:
            return text(405, "only GET and HEAD are supported", {"Allow": ", ".join(_METHODS)})
        if self._access.token and scope["path"] != "/health" and not self._is_authorized(headers):
            return text(401, "a token is required, as the password", {"WWW-Authenticate": 'Basic realm="minglibc"'})
        return None

    def _is_authorized(self, headers: Mapping[str, str]) -> bool:
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                value = b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(value.encode(), self._access.token.encode())

    async def _response(self, route: Route, headers: Mapping[str, str], *, is_head: bool) -> Reply | Response:
        match route.kind:
            case "health":
                return text(200, "ok")
            case "metrics":
                return _metrics_reply(self._metrics)
            case "home":
                return reply(_home(), headers, *_page_headers("max-age=600"))
            case "project":
                return await self._project(route, headers)
            case "simple":
                return await self._simple(route, headers)
            case "files":
                response = await self._files.response(route, headers, is_head=is_head, scope=self._access.scope)
                return response or text(404, "no page lists this file with a URL of this server")
        raise UnknownPath("there is no such page")

    async def _project(self, route: Route, headers: Mapping[str, str]) -> Reply:
        assert route.selection is not None
        # The page is below the selection and "project".
        depth = route.prefix.count("/") + 2
        body = await self._pages.for_people(route.project, route.selection, depth)
        if body is None:
            return text(404, f"{route.project} is on none of the upstream indexes")
        return reply(body, headers, *_page_headers(f"max-age=60, {self._access.scope}"))

    async def _simple(self, route: Route, headers: Mapping[str, str]) -> Reply:
        accepted = media_type(headers.get("accept", "")[:LONGEST_HEADER])
        if not accepted:
            return text(406, "pages are HTML (text/html) or JSON (application/vnd.pypi.simple.v1+json)")
        assert route.selection is not None
        if not route.project:
            return reply(await self._pages.names(accepted), headers)
        served = await self._pages.page(route.project, route.selection, accepted)
        if served is None:
            return text(404, f"{route.project} is on none of the upstream indexes")
        return reply(served.body, headers, *self._snapshot_headers(served.snapshot))

    def _snapshot_headers(self, snapshot: Snapshot) -> Iterator[RawHeader]:
        remaining = max(0, int(snapshot.max_age - snapshot.age())) if not snapshot.stale else 0
        yield b"cache-control", f"max-age={remaining}, {self._access.scope}".encode()
        if snapshot.serial:
            yield b"x-pypi-last-serial", snapshot.serial.encode()
        if snapshot.stale:
            # RFC 9111 defines no header for this any more; that of RFC 7234 is widely understood.
            yield b"warning", b'111 - "Revalidation Failed"'
            yield b"x-minglibc-stale", str(int(snapshot.age())).encode()


@cache
def _home() -> Body:
    return body_of(people.home(), "text/html; charset=utf-8")


@cache
def _page_headers(cache_control: str) -> tuple[RawHeader, ...]:
    """The headers of a page for people."""
    return raw_headers(
        {
            "cache-control": cache_control,
            "content-security-policy": people.content_security_policy(),
            "referrer-policy": "no-referrer",
        }
    )


def _metrics_reply(metrics: Metrics) -> Reply:
    content = metrics.text()
    headers = {"content-type": metrics.content_type, "content-length": str(len(content))}
    return Reply(200, raw_headers(headers), content)


def _status_of(error: MinglibcError) -> int:
    """The status of a response that *error* prevents."""
    statuses = {NotServed: 501, IndexAnswerError: 502, IndexUnreachable: 503}
    return next((status for kind, status in statuses.items() if isinstance(error, kind)), 500)


@lru_cache(maxsize=1 << 10)
def _host_name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is invalid."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else ""
