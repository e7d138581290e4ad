"""What the formats of project pages have in common: a file's fields, content types and the errors of parsers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from minglibc.errors import IndexAnswerError
from minglibc.index.response import Response
from minglibc.model.artifacts import printable
from minglibc.model.urls import display_url

HTML_TYPES = frozenset(("application/vnd.pypi.simple.v1+html", "text/html"))


class File(msgspec.Struct, rename="kebab", omit_defaults=True, gc=False):
    """An entry of ``files`` (PEP 691, 700, 714, 740)."""

    filename: str
    url: str
    hashes: Mapping[str, str] = {}
    requires_python: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool | str = False
    core_metadata: bool | Mapping[str, str] | None = None
    dist_info_metadata: bool | Mapping[str, str] | None = None
    gpg_sig: bool | None = None
    provenance: str | None = None


@contextmanager
def parsing(response: Response) -> Iterator[None]:
    """Raise the errors of parsers as IndexAnswerError."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise IndexAnswerError(
            printable(f"{display_url(response.url)}: the JSON is not a project page: {error}")
        ) from error
    except (ValueError, AssertionError, RecursionError) as error:
        # html.parser asserts its assumptions, urllib raises ValueError, and msgspec limits the nesting.
        raise IndexAnswerError(printable(f"{display_url(response.url)}: the page cannot be parsed: {error}")) from error


def content_type(response: Response) -> str:
    """The content type without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()
