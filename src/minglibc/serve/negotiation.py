"""What a client accepts and already has (RFC 9110): media types, encodings and entity tags."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from minglibc.serve.rendering import HTML, JSON, OLD_HTML

# Their order decides between equal weights. A client that accepts anything, such as a browser, gets HTML.
_OFFERED = {
    OLD_HTML: OLD_HTML,
    JSON: JSON,
    HTML: HTML,
    "application/vnd.pypi.simple.latest+json": JSON,
    "application/vnd.pypi.simple.latest+html": HTML,
}
_MOST_PARTS = 32


@lru_cache(maxsize=1 << 10)
def media_type(accept: str) -> str:
    """The media type of a page for the header *accept*; empty if none is acceptable (PEP 691)."""
    if not accept.strip():
        return OLD_HTML
    weights = _weights(accept)
    best, chosen = 0.0, ""
    for offered, sent in _OFFERED.items():
        weight = next((weights[key] for key in (offered, _any_subtype(offered), "*/*") if key in weights), 0.0)
        if weight > best:
            best, chosen = weight, sent
    return chosen


def _any_subtype(media_type: str) -> str:
    return f"{media_type.partition('/')[0]}/*"


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header *accept_encoding* allows gzip."""
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


@lru_cache(maxsize=1 << 10)
def _weights(header: str) -> Mapping[str, float]:
    weights = {}
    for part in header.split(",")[:_MOST_PARTS]:
        value, *parameters = [text.strip().lower() for text in part.split(";")]
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            weights[value] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            weights[value] = 0.0
    return weights


def has_tag(if_none_match: str, tags: Sequence[str]) -> bool:
    """Whether the header *if_none_match* lists one of *tags*, without quotes, by weak comparison."""
    listed = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")[:_MOST_PARTS]]
    return "*" in listed or any(f'"{tag}"' in listed for tag in tags)
