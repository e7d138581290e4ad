"""HTTP by httpx: lanes of one connection each, retries, and a bound on everything."""

import contextlib
import os
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx

from minglibc import __version__
from minglibc.errors import IndexAnswerError, IndexUnreachable, SettingsError
from minglibc.index import tls
from minglibc.index.response import MIB, Answer, shown, unpacked

MAX_REDIRECTS = 10
MAX_RETRY_AFTER = 60.0
_RETRIED = frozenset((408, 429, 500, 502, 503, 504))
# The longest body of a redirect that is read.
_SHORT = 64 * 1024
_FEW = httpx.Limits(max_connections=4, max_keepalive_connections=4)
_HEADERS = {"User-Agent": f"minglibc/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}
_MOST = 3600
# Seconds after which whoever waits looks whether there is still something to wait for.
_LOOK_AGAIN = 0.5


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
        self._transports: dict[str, httpx.HTTPTransport] = {}
        # Which proxy serves which host is httpx's client to say.
        self._proxied = httpx.Client(verify=_ssl_context("https"), limits=_FEW) if getproxies() else None

    @contextlib.contextmanager
    def stream(self, method: str, url: str, *, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer, redirects followed; its body is still to come."""
        response = self._follow(method, url, {**_HEADERS, **headers})
        try:
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Close the connection."""
        for transport in self._transports.values():
            transport.close()
        if self._proxied is not None:
            self._proxied.close()

    def _follow(self, method: str, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            request = httpx.Request(method, url, headers=headers, extensions=self._extensions)
            response = self._send(request)
            if not response.has_redirect_location:
                return response
            try:
                target = urljoin(url, response.headers["location"])
                if urlsplit(target)[:2] != urlsplit(url)[:2]:
                    headers.pop("Authorization", None)
            except ValueError as error:
                raise httpx.InvalidURL(str(error)) from error
            finally:
                _leave(response)
            url = target
        raise httpx.TooManyRedirects("too many redirects", request=request)

    def _send(self, request: httpx.Request) -> httpx.Response:
        if self._proxied is not None:
            return self._proxied.send(request, stream=True)
        scheme = request.url.scheme
        if scheme not in self._transports:
            self._transports[scheme] = httpx.HTTPTransport(verify=_ssl_context(scheme), limits=_FEW)
        try:
            response = self._transports[scheme].handle_request(request)
        except httpx.RequestError as error:
            error.request = request
            raise
        response.request = request
        return response


def _leave(response: httpx.Response) -> None:
    """Be done with a redirect; a short body is read, so that its connection can be used again."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) <= _SHORT:
        for _ in response.iter_raw():
            pass
    response.close()


def _ssl_context(scheme: str) -> ssl.SSLContext:
    # Plain http needs no certificates.
    return tls.context() if scheme == "https" else _plain_context()


@cache
def _plain_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Ticket:
    """Something that a lane is to do: its place in the queue, and in the end its result or its error."""

    __slots__ = ("asked", "awaited", "error", "expires", "is_done", "job", "lane", "result", "urgent")

    def __init__(self, job: Callable[["Ticket"], Any], *, urgent: bool = False) -> None:
        self.job = job
        self.lane: Lane | None = None
        self.urgent = urgent
        self.is_done = False
        # Whether somebody sleeps until it is done.
        self.awaited = False
        self.result: Any = None
        self.error: BaseException | None = None
        # What is asked at the moment, and when (by the steady clock) all of the answer is due.
        self.asked = ""
        self.expires: float | None = None


class _Worker:
    """A thread without work: it sleeps until it is handed a ticket, or None when all is over."""

    __slots__ = ("_call", "_ticket")

    def __init__(self) -> None:
        self._call = threading.Lock()
        self._call.acquire()
        self._ticket: Ticket | None = None

    def hand(self, ticket: Ticket | None) -> None:
        """Wake it for *ticket*."""
        self._ticket = ticket
        self._call.release()

    def sleep(self) -> Ticket | None:
        """What it was woken for."""
        self._call.acquire()
        return self._ticket


class Lanes:
    """A bounded set of threads with a lane each; speculation leaves some of them to what is waited for.

    Threads and not asyncio: that, and what httpx needs beside it, takes as long to import as a small lock's requests.
    Each thread is woken for a ticket of its own, and whoever waits for what is done: each time that one thread wakes
    another under the guard, both have to wait for each other.
    """

    def __init__(self, limits: Limits, *, size: int, spare: int, guard: "threading.RLock | None" = None) -> None:
        self._limits = limits
        self._size = size
        self._spare = spare
        self._done = threading.Condition(guard or threading.RLock())
        self._threads: list[threading.Thread] = []
        self._idle: list[_Worker] = []
        self._busy = 0
        self._urgent: deque[Ticket] = deque()
        self._later: deque[Ticket] = deque()
        self._closing = False

    @property
    def is_closing(self) -> bool:
        """Whether nobody waits for anything any more."""
        return self._closing

    def submit(self, ticket: Ticket) -> Ticket:
        """Have *ticket* done, in its turn."""
        with self._done:
            (self._urgent if ticket.urgent else self._later).append(ticket)
            self._hand_out()
        return ticket

    def promote(self, ticket: Ticket) -> None:
        """Serve *ticket* before all that nobody waits for."""
        with self._done:
            if not ticket.urgent:
                ticket.urgent = True
                with contextlib.suppress(ValueError):
                    self._later.remove(ticket)
                    self._urgent.append(ticket)
                    self._hand_out()

    def wait(self, ticket: Ticket) -> Any:
        """The result of *ticket*; raises its error, or IndexUnreachable where a server keeps a lane beyond all bounds."""
        (result,) = self.wait_all([ticket])
        return result

    def wait_all(self, tickets: Sequence[Ticket]) -> list[Any]:
        """The result of each of *tickets*; raises the first error that there is, and waits for no other."""
        with self._done:
            for ticket in tickets:
                ticket.awaited = True
            while waiting := [ticket for ticket in tickets if not ticket.is_done]:
                if any(ticket.error is not None for ticket in tickets):
                    break
                self._done.wait(_LOOK_AGAIN)
                for error in filter(None, map(self.overdue, waiting)):
                    raise error
        for ticket in tickets:
            if ticket.error is not None:
                raise ticket.error
        return [ticket.result for ticket in tickets]

    def overdue(self, ticket: Ticket) -> IndexUnreachable | None:
        """The error of a server that keeps a lane beyond all bounds: lanes see to their limits whenever bytes come, but for an answer's head."""
        if ticket.expires is None or time.monotonic() <= ticket.expires + self._limits.silence:
            return None
        return IndexUnreachable(
            f"{shown(ticket.asked)}: no whole answer within {self._limits.deadline:g} s",
            hint="check the network and the index",
        )

    def close(self) -> None:
        """Close every connection; what is still asked for is given up."""
        with self._done:
            self._closing = True
            self._urgent.clear()
            self._later.clear()
            while self._idle:
                self._idle.pop().hand(None)
            idle = self._busy == 0
        for thread in self._threads if idle else ():
            thread.join()

    def _hand_out(self) -> None:
        """Give what may be begun to threads that sleep, else to new ones."""
        while (self._idle or len(self._threads) < self._size) and (ticket := self._next()) is not None:
            if self._idle:
                self._idle.pop().hand(ticket)
            else:
                thread = threading.Thread(target=self._serve, args=(ticket,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _next(self) -> Ticket | None:
        """What to begin now; None where there is nothing, or nothing that may take another lane."""
        ticket = None
        if self._urgent:
            ticket = self._urgent.popleft()
        elif self._later and self._size - self._busy > self._spare:
            ticket = self._later.popleft()
        self._busy += ticket is not None
        return ticket

    def _serve(self, first: Ticket) -> None:
        """A lane's life, in a thread of its own."""
        ticket: Ticket | None = first
        worker = _Worker()
        with contextlib.closing(Lane(self._limits)) as lane:
            while ticket is not None:
                ticket.lane = lane
                try:
                    ticket.result = ticket.job(ticket)
                except BaseException as error:  # noqa: BLE001  whatever it is, whoever waits raises it
                    ticket.error = error
                ticket = self._after(ticket, worker) or worker.sleep()

    def _after(self, ticket: Ticket, worker: _Worker) -> Ticket | None:
        """Be done with *ticket*, and give *worker* the next one at once where there is one."""
        with self._done:
            ticket.lane = None
            ticket.is_done = True
            self._busy -= 1
            if ticket.awaited:
                self._done.notify_all()
            following = self._next()
            if following is None and self._closing:
                worker.hand(None)
            elif following is None:
                self._idle.append(worker)
        return following


def get(
    ticket: Ticket,
    url: str,
    headers: Mapping[str, str],
    limits: Limits,
    *,
    unpack: bool = True,
) -> Answer:
    """The answer to a GET on the lane of *ticket*, whatever its status; raises IndexUnreachable where none came, or only errors worth retrying.

    Without *unpack* its body is as it was sent, for ``unpacked``.
    """
    problem = ""
    ticket.asked = url
    for attempt in range(limits.retries + 1):
        delay = _backoff(attempt)
        ticket.expires = time.monotonic() + limits.deadline
        try:
            answer = _once(ticket, url, headers, limits)
        except (TimeoutError, ssl.SSLError, httpx.HTTPError, httpx.InvalidURL) as error:
            problem = _passing(error, url, limits)
        else:
            if answer.status not in _RETRIED:
                return unpacked(answer) if unpack else answer
            problem, wait = _said_no(answer)
            if wait > MAX_RETRY_AFTER:
                break
            delay = max(delay, wait)
        finally:
            ticket.expires = None
        if attempt < limits.retries:
            time.sleep(delay)
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


def _once(ticket: Ticket, url: str, headers: Mapping[str, str], limits: Limits) -> Answer:
    assert ticket.lane is not None
    assert ticket.expires is not None
    with ticket.lane.stream("GET", url, headers=headers) as response:
        body = b"".join(_chunks(response, url, limits, ticket.expires))
        return Answer(str(response.url), response.status_code, dict(response.headers.items()), body)


def _chunks(response: httpx.Response, url: str, limits: Limits, expires: float) -> Iterator[bytes]:
    taken = 0
    for chunk in response.iter_raw():
        taken += len(chunk)
        if taken > limits.body:
            raise IndexAnswerError(f"{shown(url)}: the answer is larger than {limits.body // MIB} MiB")
        if time.monotonic() > expires:
            raise TimeoutError
        yield chunk
