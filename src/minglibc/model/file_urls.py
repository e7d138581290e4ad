"""The URLs of files on this machine, whose names may have bytes that are not UTF-8."""

from urllib.parse import quote, unquote, urlsplit


def file_url(path: str) -> str:
    """The ``file:`` URL of an absolute *path*."""
    return f"file://{quote_path(path)}"


def quote_path(path: str) -> str:
    """*path* as a part of a URL."""
    return quote(path, errors="surrogateescape")


def path_of(url: str) -> str:
    """The path of a ``file:`` URL."""
    return unquote(urlsplit(url).path, errors="surrogateescape")
