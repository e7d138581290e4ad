"""The bytes of an index's answers → ProjectPage: the Simple API and the project JSON API, in JSON."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from minglibc.errors import IndexAnswerError
from minglibc.index.response import JSON_TYPE, MAX_UNPACKED, MIB, Answer, shown, unpacked
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.requirements import normalize_name

JSON_TYPES = frozenset((JSON_TYPE, "application/json"))
HTML_TYPES = frozenset(("application/vnd.pypi.simple.v1+html", "text/html"))


class File(msgspec.Struct, rename="kebab", omit_defaults=True, gc=False):
    """An entry of ``files`` (PEP 691, 700, 714)."""

    filename: str
    url: str
    hashes: Mapping[str, str] = {}
    requires_python: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool | str = False
    core_metadata: bool | Mapping[str, str] | None = None
    dist_info_metadata: bool | Mapping[str, str] | None = None


class RawFile(msgspec.Struct, rename="kebab", omit_defaults=True, gc=False):
    """The same as JSON has it; what isn't named here is dropped, and what is raw goes into the cache unread."""

    filename: str
    url: str
    hashes: msgspec.Raw = msgspec.Raw(b"{}")
    requires_python: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool | str = False
    core_metadata: msgspec.Raw = msgspec.Raw(b"null")
    dist_info_metadata: msgspec.Raw = msgspec.Raw(b"null")


class _Meta(msgspec.Struct, rename="kebab"):
    api_version: str = "1.0"


class _Status(msgspec.Struct):
    status: str = "active"
    reason: str | None = None


class _Page(msgspec.Struct, rename="kebab", kw_only=True):
    """A project page (PEP 691, 629, 792)."""

    name: str = ""
    meta: _Meta = msgspec.field(default_factory=_Meta)
    project_status: _Status = msgspec.field(default_factory=_Status)
    files: list[RawFile]


_page_decoder = msgspec.json.Decoder(_Page)


def read_page(answer: Answer, name: str) -> ProjectPage:
    """The page of project *name* that a 200 answer holds; raises IndexAnswerError where it holds none."""
    with reading(answer):
        return _read_page(answer, name)


def read_packed(answer: Answer, name: str) -> ProjectPage:
    """The same of an answer as it was sent."""
    return read_page(unpacked(answer), name)


@contextmanager
def reading(answer: Answer) -> Iterator[None]:
    """Whatever a parser stumbles over is the answer's fault."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise IndexAnswerError(f"{shown(answer.url)}: the JSON is not a project page: {error}") from error
    except (ValueError, AssertionError, RecursionError) as error:
        # html.parser asserts what it can't read, urllib raises ValueError, and msgspec counts its depth.
        raise IndexAnswerError(f"{shown(answer.url)}: the page can't be read: {error}") from error


def _read_page(answer: Answer, name: str) -> ProjectPage:
    kind = content_type(answer)
    if not answer.body:
        raise IndexAnswerError(f"{shown(answer.url)}: the index answers with an empty body")
    if len(answer.body) > MAX_UNPACKED:
        raise IndexAnswerError(f"{shown(answer.url)}: the page is larger than {MAX_UNPACKED // MIB} MiB")
    if kind in JSON_TYPES:
        return _read_json(answer, name)
    if kind in HTML_TYPES:
        from minglibc.index.html_page import read_html  # noqa: PLC0415  most indexes speak JSON

        return read_html(answer, name)
    raise IndexAnswerError(
        f"{shown(answer.url)}: the index answers with content type {kind or '(none)'}, which is no project page",
        hint="check index-url: it must name a simple index (PEP 503 or 691)",
    )


def content_type(answer: Answer) -> str:
    """The content type of *answer* without its parameters."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _read_json(answer: Answer, name: str) -> ProjectPage:
    page = _decoded(_page_decoder, answer)
    _check_project(page, answer, name)
    return reduce_files(
        name,
        page.files,
        base_url=answer.url,
        status=page.project_status.status,
        status_reason=page.project_status.reason or "",
    )


def _check_project(page: _Page, answer: Answer, name: str) -> None:
    """Raise IndexAnswerError for a page of another project, or of an unknown version of the Simple API."""
    major = page.meta.api_version.partition(".")[0]
    if major != "1":
        raise IndexAnswerError(
            f"{shown(answer.url)}: the index speaks version {page.meta.api_version} of the Simple API; minglibc knows 1.x"
        )
    if page.name and normalize_name(page.name) != name:
        raise IndexAnswerError(f"{shown(answer.url)}: the page is of another project, {page.name!r}")


def _decoded(decoder: "msgspec.json.Decoder[Any]", answer: Answer) -> Any:
    try:
        if not answer.body.isascii():
            answer.body.decode()  # msgspec passes over bad bytes in what it doesn't decode
        return decoder.decode(answer.body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        start = answer.body[:40].decode(errors="replace")
        raise IndexAnswerError(
            f"{shown(answer.url)}: the index calls it JSON, and it is not ({error}); it begins {start!r}"
        ) from error


class _Release(msgspec.Struct):
    filename: str
    url: str
    digests: dict[str, str] = {}
    requires_python: str | None = None
    size: int | None = None
    upload_time_iso_8601: str | None = None
    yanked: bool = False
    yanked_reason: str | None = None


class _Project(msgspec.Struct):
    releases: dict[str, list[_Release]]


_project_decoder = msgspec.json.Decoder(_Project)


def read_project_json(answer: Answer, name: str) -> ProjectPage:
    """The page of *name* out of the project JSON API; files with relative URLs, which lead nowhere there, are left out."""
    with reading(answer):
        return _read_project_json(answer, name)


def _read_project_json(answer: Answer, name: str) -> ProjectPage:
    project = _decoded(_project_decoder, answer)
    files = [
        File(
            filename=file.filename,
            url=file.url,
            hashes=file.digests,
            requires_python=file.requires_python,
            size=file.size,
            upload_time=file.upload_time_iso_8601,
            yanked=(file.yanked_reason or True) if file.yanked else False,
        )
        for release in project.releases.values()
        for file in release
        if file.url.startswith(("https://", "http://"))
    ]
    return reduce_files(name, files, base_url=answer.url)
