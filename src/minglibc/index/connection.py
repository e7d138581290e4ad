"""HTTP by httpx: one set of limits, retries and error messages for pages, metadata and wheels."""

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from minglibc import __version__
from minglibc.errors import IndexAnswerError, IndexUnreachable
from minglibc.index import tls
from minglibc.index.limits import Limits
from minglibc.index.proxies import proxied_client
from minglibc.index.response import MIB, Response, decompressed
from minglibc.model.urls import display_url

MAX_REDIRECTS = 10
MAX_RETRY_AFTER = 60.0
_RETRIED = frozenset((408, 425, 429, 500, 502, 503, 504))
# The longest body of a redirect that is read to reuse the connection.
_SHORT_BODY = 64 * 1024
# A new connection takes longer than most requests: it is kept for as long as common servers do (httpx: 5 s).
_POOL_LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=60)
_HEADERS = {"User-Agent": f"minglibc/{__version__}", "Accept": "*/*", "Accept-Encoding": "gzip"}
# From a large file: a slower connection exceeds its deadline.
_BYTES_PER_SECOND = 50_000
_HINT = "check the network and the index; what is already cached can be used with --offline"
T = TypeVar("T")


def _no_headers(_url: str) -> Mapping[str, str]:
    return {}


def _is_any(_url: str) -> bool:
    return True


class Request(NamedTuple):
    """A GET, or a POST of *body*, and how its errors begin and what they advise."""

    url: str
    headers: Mapping[str, str]
    subject: str = ""
    hint: str = _HINT
    # The bytes of a large file, which extend the deadline as they arrive.
    size: int = 0
    # None: the connection's limit.
    retries: int | None = None
    # The statuses that lead to another try, and to an error in the end.
    retried: frozenset[int] = _RETRIED
    # The credentials for another host that this one redirects to.
    redirect_headers: Callable[[str], Mapping[str, str]] = _no_headers
    # Whether a URL may be requested: this one, or one that it redirects to.
    is_allowed: Callable[[str], bool] = _is_any
    # Is sent to this URL only, and never to one that it redirects to.
    body: bytes | None = None

    @property
    def name(self) -> str:
        """How an error message begins."""
        return self.subject or display_url(self.url)


class Connection:
    """Sends one request at a time, and keeps a connection open to each host.

    It uses httpx's transport: httpx.Client takes half as long again, and a shared pool checks all connections for each request.
    """

    def __init__(self, limits: Limits, *, is_closing: Callable[[], bool] = lambda: False) -> None:
        self.limits = limits
        self._is_closing = is_closing
        self._extensions = {"timeout": httpx.Timeout(limits.timeout).as_dict()}
        self._transports: dict[str, httpx.HTTPTransport] = {}
        self._proxied = proxied_client(_ssl_context, _POOL_LIMITS)
        # The request in progress, and by when its response must be complete.
        self._current: tuple[Request, float] | None = None

    def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """The response to a GET, whatever its status; raises IndexUnreachable, IndexAnswerError."""
        return decompressed(self.read(Request(url, headers)))

    def read(self, request: Request) -> Response:
        """The response to *request* as it was sent, whatever its status; raises IndexUnreachable, IndexAnswerError."""
        return self.send(request, self._read_all)

    def send(self, request: Request, read: Callable[[httpx.Response, Iterator[bytes]], T]) -> T:
        """What *read* makes of the response and its body; retries, then raises IndexUnreachable or IndexAnswerError."""
        problem = ""
        retries = self.limits.retries if request.retries is None else request.retries
        for attempt in range(retries + 1):
            delay = _backoff(attempt)
            self._current = request, time.monotonic() + self.limits.deadline
            try:
                response = self._follow(request)
                try:
                    if response.status_code not in request.retried:
                        return read(response, self._chunks(response, request))
                finally:
                    response.close()
            except TimeoutError as error:
                # Without another try: the total time of a request is limited.
                raise self._overdue_error(request) from error
            except (ssl.SSLError, httpx.HTTPError, httpx.InvalidURL) as error:
                problem = self._temporary_problem(error, request)
            else:
                problem, wait = _refusal(response)
                if wait > MAX_RETRY_AFTER:
                    break
                delay = max(delay, wait)
            finally:
                self._current = None
            if self._is_closing():
                break
            if attempt < retries:
                time.sleep(delay)
        tries = "" if attempt == 0 else f" (tried {attempt + 1} times)"
        raise IndexUnreachable(f"{request.name}: {problem}{tries}", hint=request.hint)

    def overdue(self) -> IndexUnreachable | None:
        """The error of a request in progress that is long past its deadline.

        The deadline is checked whenever a part of the body arrives; this is for servers that never complete the headers.
        """
        current = self._current
        if current is None or time.monotonic() <= current[1] + self.limits.timeout:
            return None
        return self._overdue_error(current[0])

    def _overdue_error(self, request: Request) -> IndexUnreachable:
        slow = f", or less than {_BYTES_PER_SECOND // 1000} kB per second from then on" if request.size else ""
        return IndexUnreachable(
            f"{request.name}: no complete response within {self.limits.deadline:g} s{slow}",
            hint="check the network and the index, or set MINGLIBC_HTTP_TIMEOUT to more seconds",
        )

    def close(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            transport.close()
        if self._proxied is not None:
            self._proxied.close()

    def _follow(self, asked: Request) -> httpx.Response:
        """The response after redirects, its body not yet read; credentials are not sent to another host."""
        url, headers = asked.url, {**_HEADERS, **asked.headers}
        for _ in range(MAX_REDIRECTS + 1):
            if not asked.is_allowed(url):
                raise IndexAnswerError(
                    f"{asked.name}: {display_url(url)} is on none of the hosts that requests are allowed to"
                )
            method = "GET" if asked.body is None else "POST"
            request = httpx.Request(method, url, headers=headers, content=asked.body, extensions=self._extensions)
            response = self._send(request)
            if not response.has_redirect_location:
                return response
            if asked.body is not None:
                _discard(response)
                raise IndexAnswerError(f"{asked.name}: redirects a POST, which is not sent again")
            try:
                target = urljoin(url, response.headers["location"])
                if urlsplit(target)[:2] != urlsplit(url)[:2]:
                    headers.pop("Authorization", None)
                    if urlsplit(target).scheme == "https" or urlsplit(url).scheme == "http":
                        headers |= asked.redirect_headers(target)
            except ValueError as error:
                raise httpx.InvalidURL(str(error)) from error
            finally:
                _discard(response)
            if urlsplit(target).scheme not in {"http", "https"}:
                raise IndexAnswerError(f"{asked.name}: redirects to {display_url(target)}, which is not http(s)")
            url = target
        raise httpx.TooManyRedirects("too many redirects", request=request)

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._send_to_host(request)
        except UnicodeError as error:  # a part of the host's name is empty or too long
            raise httpx.InvalidURL("invalid host") from error

    def _send_to_host(self, request: httpx.Request) -> httpx.Response:
        if self._proxied is not None:
            return self._proxied.send(request, stream=True)
        scheme = request.url.scheme
        if scheme not in self._transports:
            self._transports[scheme] = httpx.HTTPTransport(verify=_ssl_context(scheme), limits=_POOL_LIMITS)
        try:
            response = self._transports[scheme].handle_request(request)
        except httpx.RequestError as error:
            error.request = request
            raise
        response.request = request
        return response

    def _chunks(self, response: httpx.Response, request: Request) -> Iterator[bytes]:
        assert self._current is not None
        deadline, received = self._current[1], 0
        for chunk in response.iter_raw():
            received += len(chunk)
            expires = deadline + min(received, request.size) / _BYTES_PER_SECOND
            if time.monotonic() > expires or self._is_closing():
                raise TimeoutError
            self._current = request, expires
            yield chunk

    def _read_all(self, response: httpx.Response, chunks: Iterator[bytes]) -> Response:
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > self.limits.body:
                size = self.limits.body // MIB
                raise IndexAnswerError(f"{display_url(str(response.url))}: the response is larger than {size} MiB")
        return Response(str(response.url), response.status_code, dict(response.headers.items()), bytes(body))

    def _temporary_problem(self, error: Exception, request: Request) -> str:
        """What happened, where a retry may help; raises IndexAnswerError, IndexUnreachable where it cannot."""
        match error:
            case httpx.TooManyRedirects():
                raise IndexAnswerError(f"{request.name}: redirect loop (over {MAX_REDIRECTS} redirects)") from error
            case httpx.UnsupportedProtocol() | httpx.InvalidURL():
                # The message of httpx would quote parts of the URL, which may be a password.
                raise IndexAnswerError(f"{request.name}: leads to a URL that is not http(s) or is invalid") from error
            case httpx.ConnectTimeout():
                return f"no connection within {self.limits.timeout:g} s"
            case httpx.TimeoutException():
                return f"no response for {self.limits.timeout:g} s"
            case httpx.RemoteProtocolError():
                cut = "peer closed" in str(error)
                return "the response was cut short" if cut else f"the response is not valid HTTP: {error}"
        _raise_certificate_error(error, request.url)
        if isinstance(error, httpx.ConnectError):
            proxy = " through the proxy" if self._proxied else ""
            return f"no connection to {error.request.url.host}{proxy}: {error}"
        return f"the connection was lost: {str(error) or type(error).__name__}"


def _backoff(attempt: int) -> float:
    return min(8.0, 0.25 * float(1 << attempt)) * random.uniform(0.7, 1.3)  # noqa: S311  jitter, not a secret


def _refusal(response: httpx.Response) -> tuple[str, float]:
    """The problem with a response that is worth a retry, and how many seconds the server asks to wait."""
    after = response.headers.get("retry-after", "")
    wait = float(after) if after.isascii() and after.isdigit() else 0.0
    asks = f" and asks to wait {wait:g} s" if wait else ""
    return f"the server returned {response.status_code}{asks}", wait


def _raise_certificate_error(error: Exception, url: str) -> None:
    """Raise IndexUnreachable where *error* is about a certificate: retries cannot help."""
    requested = str(error.request.url) if isinstance(error, httpx.RequestError) else url
    certificate_error = tls.certificate_error(error, requested)
    if certificate_error is not None:
        raise certificate_error from error


def _discard(response: httpx.Response) -> None:
    """Close a redirect; a short body is read, so that its connection can be reused."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) <= _SHORT_BODY:
        for _ in response.iter_raw():
            pass
    response.close()


def _ssl_context(scheme: str) -> ssl.SSLContext:
    # Plain http needs no certificates.
    return tls.context() if scheme == "https" else _plain_context()


@cache
def _plain_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
