"""Responses whose body is in memory: their headers are encoded once, which Starlette's responses do for each request."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from minglibc.serve.negotiation import accepts_gzip, has_tag
from minglibc.serve.rendering import Body, RawHeader

# Of a header that is parsed and remembered.
LONGEST_HEADER = 1000


class Reply(NamedTuple):
    """An ASGI response; uvicorn sends no body for HEAD."""

    status_code: int
    headers: Sequence[RawHeader]
    body: bytes = b""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def headers_of(scope: Scope) -> Mapping[str, str]:
    """The headers of a request by their names in lower case; of several with one name, the first."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def reply(body: Body, headers: Mapping[str, str], *more: RawHeader) -> Reply:
    """The response with *body* to a request with *headers*, or that it is unchanged; *more* are headers of the response."""
    variant = body.plain
    if body.compressed is not None and accepts_gzip(headers.get("accept-encoding", "")[:LONGEST_HEADER]):
        variant = body.compressed
    known = headers.get("if-none-match")
    if known and has_tag(known, body.tags):
        return Reply(304, (*more, *variant.validators))
    return Reply(200, (*more, *variant.headers), variant.content)


def text(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A response of one line of text."""
    body = f"{message}\n".encode()
    sent = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        **(headers or {}),
    }
    return Reply(status, raw_headers(sent), body)


def raw_headers(headers: Mapping[str, str]) -> tuple[RawHeader, ...]:
    """*headers* as they are sent; characters beyond Latin 1 are replaced."""
    return tuple((name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items())
