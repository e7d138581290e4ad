"""What a server is asked, and what it said: its body unpacked, its address as it may be printed. Imports no HTTP library."""

import re
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
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


class Reader(Protocol):
    """What reads a body while it comes."""

    def feed(self, data: bytes) -> None:
        """Read on."""
        ...

    def close(self) -> Any:
        """What was read, when all of it has come."""
        ...


# Who reads a large body, given the answer without it; None where it must be whole.
Reading = Callable[[Answer], Reader | None]
_GZIP = frozenset(("gzip", "x-gzip"))
_STEP = 256 * 1024


def encoding(answer: Answer) -> str:
    """How the body of *answer* is packed; empty where it is not. Raises IndexAnswerError for what was not asked for."""
    named = answer.headers.get("content-encoding", "")
    if named in {"", "identity"}:
        return ""
    if named not in _GZIP:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer comes in an encoding that was not asked for: {named}")
    return named


def unpacked(answer: Answer) -> Answer:
    """*answer* with its body as it was before it was encoded; raises IndexAnswerError for what is cut short or a bomb."""
    if not encoding(answer):
        return answer
    body = b"".join(Unpacking(answer).whole(answer.body))
    headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
    return answer._replace(headers=headers, body=body)


def promised(answer: Answer) -> int:
    """The length of the unpacked body, as gzip's last four bytes have it (RFC 1952), whether that is true or not."""
    return int.from_bytes(answer.body[-4:], "little") if encoding(answer) else len(answer.body)


class Unpacking:
    """A body that is unpacked in pieces, each of a bounded length."""

    def __init__(self, answer: Answer) -> None:
        self._url = answer.url
        self._inflate = zlib.decompressobj(wbits=31) if encoding(answer) else None
        self._taken = 0
        self._given = 0

    def feed(self, raw: bytes, *, step: int = _STEP) -> Iterator[bytes]:
        """What *raw* adds to the body."""
        if self._inflate is None:
            yield from (raw[start : start + step] for start in range(0, len(raw), step)) if len(raw) > step else (raw,)
            return
        self._taken += len(raw)
        # JSON pages shrink to a tenth; what grows a hundredfold is no page but a bomb.
        bound = 16 * MIB + 100 * self._taken
        full = True
        while full and not self._inflate.eof:
            length = min(step, bound - self._given + 1)
            try:
                piece = self._inflate.decompress(raw, length)
            except zlib.error as error:
                raise IndexAnswerError(
                    f"{shown(self._url)}: the answer is not the gzip that it claims to be"
                ) from error
            self._given += len(piece)
            if self._given > bound:
                raise IndexAnswerError(f"{shown(self._url)}: the answer grows to over {bound // MIB} MiB when unpacked")
            raw = self._inflate.unconsumed_tail
            full = len(piece) == length
            yield piece

    def close(self) -> None:
        """Raise IndexAnswerError where the body is not all there."""
        if self._inflate is not None and not self._inflate.eof:
            raise IndexAnswerError(f"{shown(self._url)}: the answer was cut short within its gzip")

    def whole(self, raw: bytes) -> Iterator[bytes]:
        """All of a body, in as few pieces as can be."""
        yield from self.feed(raw, step=16 * MIB + 100 * len(raw) + 1)
        self.close()


def read_on(reader: Reader, answer: Answer, chunks: Iterable[bytes]) -> Any:
    """What *reader* makes of the body of *answer*, which comes in *chunks* as it was sent."""
    unpacking = Unpacking(answer)
    for chunk in chunks:
        for piece in unpacking.feed(chunk):
            reader.feed(piece)
    unpacking.close()
    return reader.close()


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
