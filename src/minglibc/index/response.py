"""HTTP responses: decompressed bodies, cache headers, and URLs that are safe to print. Imports no HTTP library."""

import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from minglibc.errors import IndexAnswerError
from minglibc.model.urls import display_url

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MIB = 1 << 20
# A page of 250,000 files, more than any index has, is a third of it.
MAX_DECOMPRESSED = 128 * MIB
# For responses with neither an ETag nor Cache-Control.
DEFAULT_MAX_AGE = 600
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
_AGE_DIGITS = 12
_GZIP = frozenset(("gzip", "x-gzip"))


class Response(NamedTuple):
    """A status, headers with lower-case names, and a body in the encoding that ``content-encoding`` names."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def base_url(self) -> str:
        """What links of the page are relative to, without the query, which is a signature after some redirects."""
        return self.url.partition("#")[0].partition("?")[0]


def decompressed(response: Response) -> Response:
    """*response* with its body decompressed; raises IndexAnswerError where it is incomplete or too large."""
    encoding = response.headers.get("content-encoding", "")
    if encoding in {"", "identity"}:
        return response
    url = display_url(response.url)
    if encoding not in _GZIP:
        raise IndexAnswerError(f"{url}: the response has an encoding that was not requested: {encoding}")
    # JSON pages compress to a tenth; a body that grows a hundredfold is a decompression bomb.
    limit = min(MAX_DECOMPRESSED, 16 * MIB + 100 * len(response.body))
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(response.body, limit + 1)
    except zlib.error as error:
        raise IndexAnswerError(f"{url}: the response is not valid gzip") from error
    if len(body) > limit:
        raise IndexAnswerError(f"{url}: the response is larger than {limit // MIB} MiB when decompressed")
    if not inflate.eof:
        raise IndexAnswerError(f"{url}: the gzip data of the response is incomplete")
    headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
    return response._replace(headers=headers, body=body)


def max_age(response: Response) -> int:
    """For how many seconds a response is fresh (RFC 9111)."""
    control = response.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    directive = _MAX_AGE.search(control)
    if directive:
        return max(0, int(directive[1]) - _age(response))
    return 0 if "etag" in response.headers else DEFAULT_MAX_AGE


def _age(response: Response) -> int:
    age = response.headers.get("age", "0")
    # A longer number exceeds every max-age, and int() rejects thousands of digits.
    return int(age[:_AGE_DIGITS]) if age.isascii() and age.isdigit() else 0


def validators(response: Response) -> dict[str, Any]:
    """What the cache stores with a page to decide whether it is fresh."""
    return {"etag": response.headers.get("etag", ""), "max-age": max_age(response)}
