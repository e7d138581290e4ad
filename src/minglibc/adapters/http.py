"""HTTP by httpx: lanes of one connection each, retries, and a bound on everything."""

import asyncio
import contextlib
import os
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx

from minglibc import __version__
from minglibc.adapters import tls
from minglibc.adapters.answers import MIB, Answer, shown, unpacked
from minglibc.errors import IndexAnswerError, IndexUnreachable, SettingsError

MAX_REDIRECTS = 10
MAX_RETRY_AFTER = 60.0
_RETRIED = frozenset((408, 429, 500, 502, 503, 504))
# The longest body of a redirect that is read.
_SHORT = 64 * 1024
_FEW = httpx.Limits(max_connections=4, max_keepalive_connections=4)
_HEADERS = {"User-Agent": f"minglibc/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}
_MOST = 3600


class Limits(NamedTuple):
    """What one request may take: seconds without a byte, seconds in all, further tries, bytes of a body as sent."""

    silence: float = 20.0
    deadline: float = 120.0
    retries: int = 3
    body: int = 256 * MIB

    @classmethod
    def from_environment(cls) -> "Limits":
        """The defaults, with MINGLIBC_HTTP_TIMEOUT (seconds without a byte) and MINGLIBC_HTTP_RETRIES over them."""
        silence = _number("MINGLIBC_HTTP_TIMEOUT", cls._field_defaults["silence"], least=0.001)
        retries = int(_number("MINGLIBC_HTTP_RETRIES", cls._field_defaults["retries"], least=0))
        return cls(silence=silence, deadline=6 * silence, retries=retries)


def _number(variable: str, default: float, *, least: float) -> float:
    text = os.environ.get(variable)
    try:
        found = float(text) if text else default
    except ValueError:
        found = -1.0
    if not least <= found <= _MOST:
        raise SettingsError(f"{variable} is {text!r}", hint=f"a number from {least:g} to {_MOST:g} is due")
    return found


class Lane:
    """What serves one request at a time, so that it holds one connection to each host that it meets.

    By httpx's transport: its client costs half as much again, and a pool walks all of its connections at each request.
    """

    def __init__(self, limits: Limits) -> None:
        self._extensions = {"timeout": httpx.Timeout(limits.silence).as_dict()}
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}
        # Which proxy serves which host is httpx's client to say.
        self._proxied = httpx.AsyncClient(verify=_ssl_context("https"), limits=_FEW) if getproxies() else None

    @contextlib.asynccontextmanager
    async def stream(self, method: str, url: str, *, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer, redirects followed; its body is still to come."""
        response = await self._follow(method, url, {**_HEADERS, **headers})
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connection."""
        for transport in self._transports.values():
            await transport.aclose()
        if self._proxied is not None:
            await self._proxied.aclose()

    async def _follow(self, method: str, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            request = httpx.Request(method, url, headers=headers, extensions=self._extensions)
            response = await self._send(request)
            if not response.has_redirect_location:
                return response
            try:
                target = urljoin(url, response.headers["location"])
                if urlsplit(target)[:2] != urlsplit(url)[:2]:
                    headers.pop("Authorization", None)
            except ValueError as error:
                raise httpx.InvalidURL(str(error)) from error
            finally:
                await _leave(response)
            url = target
        raise httpx.TooManyRedirects("too many redirects", request=request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self._proxied is not None:
            return await self._proxied.send(request, stream=True)
        scheme = request.url.scheme
        if scheme not in self._transports:
            self._transports[scheme] = httpx.AsyncHTTPTransport(verify=_ssl_context(scheme), limits=_FEW)
        try:
            response = await self._transports[scheme].handle_async_request(request)
        except httpx.RequestError as error:
            error.request = request
            raise
        response.request = request
        return response


async def _leave(response: httpx.Response) -> None:
    """Be done with a redirect; a short body is read, so that its connection can be used again."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) <= _SHORT:
        async for _ in response.aiter_raw():
            pass
    await response.aclose()


def _ssl_context(scheme: str) -> ssl.SSLContext:
    # Plain http needs no certificates.
    return tls.context() if scheme == "https" else _plain_context()


@cache
def _plain_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Ticket:
    """A request's place in the queue for a lane; an urgent one is served first."""

    __slots__ = ("urgent", "waiting")

    def __init__(self, *, urgent: bool = False) -> None:
        self.urgent = urgent
        self.waiting: asyncio.Future[None] | None = None


class Lanes:
    """A bounded set of connections; speculation leaves some of them to what is waited for."""

    def __init__(self, limits: Limits, *, size: int, spare: int) -> None:
        self._limits = limits
        self._room = size
        self._spare = spare
        self._idle: list[Lane] = []
        self._made: list[Lane] = []
        self._urgent: deque[Ticket] = deque()
        self._later: deque[Ticket] = deque()

    @contextlib.asynccontextmanager
    async def lane(self, ticket: Ticket) -> AsyncIterator[Lane]:
        """A lane for one request."""
        await self._enter(ticket)
        lane = self._idle.pop() if self._idle else self._new()
        try:
            yield lane
        finally:
            self._idle.append(lane)
            self._leave()

    def promote(self, ticket: Ticket) -> None:
        """Serve *ticket* before all that nobody waits for."""
        if ticket.waiting is not None and not ticket.urgent:
            with contextlib.suppress(ValueError):
                self._later.remove(ticket)
                self._urgent.append(ticket)
        ticket.urgent = True
        self._wake()

    async def _enter(self, ticket: Ticket) -> None:
        if self._has_room(ticket):
            self._room -= 1
            return
        turn = ticket.waiting = asyncio.get_running_loop().create_future()
        (self._urgent if ticket.urgent else self._later).append(ticket)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        finally:
            ticket.waiting = None

    def _leave(self) -> None:
        self._room += 1
        self._wake()

    def _wake(self) -> None:
        for queue in (self._urgent, self._later):
            while queue and self._has_room(queue[0]):
                turn = queue.popleft().waiting
                if turn is not None and not turn.done():
                    self._room -= 1
                    turn.set_result(None)

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._made:
            await lane.close()

    def _new(self) -> Lane:
        lane = Lane(self._limits)
        self._made.append(lane)
        return lane

    def _has_room(self, ticket: Ticket) -> bool:
        return self._room > (0 if ticket.urgent else self._spare)


async def get(
    lanes: Lanes, ticket: Ticket, url: str, headers: Mapping[str, str], limits: Limits, *, unpack: bool = True
) -> Answer:
    """The answer to a GET, whatever its status; raises IndexUnreachable where none came, or only errors worth retrying.

    Without *unpack* its body is as it was sent, for ``unpacked``.
    """
    problem = ""
    for attempt in range(limits.retries + 1):
        delay = _backoff(attempt)
        try:
            async with lanes.lane(ticket) as lane, asyncio.timeout(limits.deadline):
                answer = await _once(lane, url, headers, limits)
        except (TimeoutError, ssl.SSLError, httpx.HTTPError, httpx.InvalidURL) as error:
            problem = _passing(error, url, limits)
        else:
            if answer.status not in _RETRIED:
                return unpacked(answer) if unpack else answer
            problem, wait = _said_no(answer)
            if wait > MAX_RETRY_AFTER:
                break
            delay = max(delay, wait)
        if attempt < limits.retries:
            await asyncio.sleep(delay)
    tries = "" if attempt == 0 else f" (tried {attempt + 1} times)"
    raise IndexUnreachable(
        f"{shown(url)}: {problem}{tries}",
        hint="check the network and the index; what is already cached can be used with --offline",
    )


def _backoff(attempt: int) -> float:
    return min(8.0, 0.25 * float(1 << attempt)) * random.uniform(0.7, 1.3)  # noqa: S311  jitter, not a secret


def _said_no(answer: Answer) -> tuple[str, float]:
    after = answer.headers.get("retry-after", "")
    wait = float(after) if after.isascii() and after.isdigit() else 0.0
    asked = f" and asks to wait {wait:g} s" if wait else ""
    return f"the server answers {answer.status}{asked}", wait


def _passing(error: Exception, url: str, limits: Limits) -> str:
    """What happened, where trying again may help; raises IndexAnswerError where it can't."""
    match error:
        case httpx.TooManyRedirects():
            raise IndexAnswerError(f"{shown(url)} is a redirect loop (over {MAX_REDIRECTS} hops)") from error
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            raise IndexAnswerError(f"{shown(url)} leads to something that is not http(s): {error}") from error
        case httpx.ConnectTimeout():
            return f"no connection within {limits.silence:g} s"
        case httpx.TimeoutException():
            return f"no answer for {limits.silence:g} s"
        case TimeoutError():
            return f"no whole answer within {limits.deadline:g} s"
        case httpx.ConnectError():
            raise_distrust(error, url)
            return f"no connection to {error.request.url.host}: {error}"
        case httpx.RemoteProtocolError():
            return "the answer was cut short" if "peer closed" in str(error) else f"the answer is not HTTP: {error}"
    raise_distrust(error, url)
    return f"the connection broke: {str(error) or type(error).__name__}"


def raise_distrust(error: Exception, url: str) -> None:
    """Raise IndexUnreachable where *error* came of a certificate: trying again won't help."""
    asked = str(error.request.url) if isinstance(error, httpx.RequestError) else url
    found = tls.distrust(error, asked)
    if found is not None:
        raise found from error


async def _once(lane: Lane, url: str, headers: Mapping[str, str], limits: Limits) -> Answer:
    async with lane.stream("GET", url, headers=headers) as response:
        raw = bytearray()
        async for chunk in response.aiter_raw():
            raw += chunk
            if len(raw) > limits.body:
                raise IndexAnswerError(f"{shown(url)}: the answer is larger than {limits.body // MIB} MiB")
        found = dict(response.headers.items())
        return Answer(str(response.url), response.status_code, found, bytes(raw))
