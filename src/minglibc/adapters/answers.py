"""What a server said: its body unpacked, its address as it may be printed. Imports no HTTP library."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from minglibc.errors import IndexAnswerError

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MIB = 1 << 20


class Answer(NamedTuple):
    """A status, headers whose names are lower case, and a body in the encoding that ``content-encoding`` names."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def unpacked(answer: Answer) -> Answer:
    """*answer* with its body as it was before it was encoded; raises IndexAnswerError for what is cut short or a bomb."""
    encoding = answer.headers.get("content-encoding", "")
    if not encoding or encoding == "identity":
        return answer
    if encoding not in {"gzip", "x-gzip"}:
        raise IndexAnswerError(
            f"{shown(answer.url)}: the answer comes in an encoding that was not asked for: {encoding}"
        )
    # JSON pages shrink to a tenth; what grows a hundredfold is no page but a bomb.
    bound = 16 * MIB + 100 * len(answer.body)
    inflate = zlib.decompressobj(wbits=31)
    try:
        body = inflate.decompress(answer.body, bound)
    except zlib.error as error:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer is not the gzip that it claims to be") from error
    if inflate.unconsumed_tail:
        raise IndexAnswerError(f"{shown(answer.url)}: the answer grows to over {bound // MIB} MiB when unpacked")
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
