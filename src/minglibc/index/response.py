"""What a server is asked, and what it said: its body unpacked, its address as it may be printed. Imports no HTTP library."""

import re
import zlib
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from minglibc.errors import IndexAnswerError

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MIB = 1 << 20
# Where a server sends neither an ETag nor Cache-Control.
DEFAULT_MAX_AGE = 600
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")

# What the answer to an Ask is wanted for: its bytes, unpacked; the page of a project; a project's files on a flat page; the
# digest of a file, and of one that is to be a wheel.
BYTES, PAGE, LISTING, DIGEST, WHEEL_DIGEST = "bytes", "page", "listing", "digest", "wheel digest"


class Ask(NamedTuple):
    """A GET, what its answer is wanted for, and for a page of *project* the folder of the cache that keeps it."""

    url: str
    headers: dict[str, str]
    purpose: str = BYTES
    project: str = ""
    folder: str = ""


class Answer(NamedTuple):
    """A status, headers whose names are lower case, and a body in the encoding that ``content-encoding`` names."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    # What was made of a body that is given no more: a page, KEPT where the cache has it, or a digest.
    read: Any = None


# In place of a page.
KEPT = True
# What asks again and again until it has what it wants: it is given an answer for each, or the error that came instead.
Job = Generator[Ask, Answer, Any]


_GZIP = frozenset(("gzip", "x-gzip"))
# A page of 250,000 files, more than any index has, is a third of it.
MAX_UNPACKED = 128 * MIB


def encoding(answer: Answer) -> str:
    """How the body of *answer* is packed; empty where it is not. Raises IndexAnswerError for what was not asked for."""
    named = answer.headers.get("content-encoding", "")
    if named in {"", "identity"}:
        return ""
    if named not in _GZIP:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer comes in an encoding that was not asked for: {named}")
    return named


def unpacked(answer: Answer) -> Answer:
    """*answer* with its body decompressed; raises IndexAnswerError where it is incomplete or larger than allowed."""
    if not encoding(answer):
        return answer
    # JSON pages compress to a tenth; what grows a hundredfold is a decompression bomb.
    limit = min(MAX_UNPACKED, 16 * MIB + 100 * len(answer.body))
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(answer.body, limit + 1)
    except zlib.error as error:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer is not the gzip that it claims to be") from error
    if len(body) > limit:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer grows to over {limit // MIB} MiB when unpacked")
    if not inflate.eof:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer was cut short within its gzip")
    headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
    return answer._replace(headers=headers, body=body)


def shown(url: str) -> str:
    """*url* without user, password and query, as it may be printed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return repr(url.partition("?")[0].rpartition("@")[2])
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def max_age(answer: Answer) -> int:
    """For how many seconds an answer holds (RFC 9111)."""
    control = answer.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    found = _MAX_AGE.search(control)
    if found:
        return max(0, int(found[1]) - _age(answer))
    return 0 if "etag" in answer.headers else DEFAULT_MAX_AGE


def _age(answer: Answer) -> int:
    age = answer.headers.get("age", "0")
    return int(age) if age.isascii() and age.isdigit() else 0


def entry(answer: Answer) -> dict[str, Any]:
    """What the cache's entry of a page says beside the page itself."""
    return {"etag": answer.headers.get("etag", ""), "max-age": max_age(answer)}
