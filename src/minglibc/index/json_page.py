"""The JSON of the Simple API (PEP 691) and of the project JSON API → ProjectPage."""

from typing import Any

import msgspec

from minglibc.errors import IndexAnswerError
from minglibc.index.page_file import File, parsing
from minglibc.index.response import JSON_TYPE, Response
from minglibc.model.artifacts import printable
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.requirements import normalize_name
from minglibc.model.urls import display_url

# Of a page with 250,000 files, more than any index has.
_MAX_TABLES = 800_000
JSON_TYPES = frozenset((JSON_TYPE, "application/json"))


# A default is written unless it is this very object.
ABSENT = msgspec.Raw(b"null")


class RawFile(msgspec.Struct, rename="kebab", omit_defaults=True, gc=False):
    """A file of a JSON page: other keys are dropped, and raw values are written to the cache unparsed."""

    filename: str
    url: str
    hashes: msgspec.Raw = msgspec.Raw(b"{}")
    requires_python: str | None = None
    size: int | None = None
    upload_time: str | None = None
    yanked: bool | str = False
    core_metadata: msgspec.Raw = ABSENT
    dist_info_metadata: msgspec.Raw = ABSENT


class Meta(msgspec.Struct, rename="kebab"):
    """The version of the Simple API (PEP 629)."""

    api_version: str = "1.0"


class Status(msgspec.Struct, omit_defaults=True):
    """The status of a project (PEP 792)."""

    status: str = msgspec.field(default_factory=lambda: "active")  # written, unlike a default value
    reason: str | None = None


class Page(msgspec.Struct, rename="kebab", kw_only=True):
    """A project page (PEP 691, 629, 792)."""

    name: str = ""
    meta: Meta = msgspec.field(default_factory=Meta)
    project_status: Status = msgspec.field(default_factory=Status)
    files: list[RawFile]


_page_decoder = msgspec.json.Decoder(Page)


def read_json(response: Response, name: str) -> ProjectPage:
    """The page of project *name* in a decompressed JSON response."""
    page = decoded(_page_decoder, response)
    check_project(page, response, name)
    return reduce_files(
        name,
        page.files,
        base_url=response.base_url,
        status=printable(page.project_status.status),
        status_reason=page.project_status.reason or "",
    )


def check_project(page: Page, response: Response, name: str) -> None:
    """Raise IndexAnswerError for a page of another project, or of an unknown version of the Simple API."""
    major = page.meta.api_version.partition(".")[0]
    if major != "1":
        raise IndexAnswerError(
            f"{display_url(response.url)}: the index uses version {printable(page.meta.api_version)} of the Simple API; minglibc supports 1.x"
        )
    if page.name and normalize_name(page.name) != name:
        raise IndexAnswerError(f"{display_url(response.url)}: the page is for another project, {page.name!r}")


def decoded(decoder: "msgspec.json.Decoder[Any]", response: Response) -> Any:
    """The JSON of a decompressed *response*; raises IndexAnswerError where it is none, or has too many tables."""
    # Each file has up to three; entries need ten times the memory of the shortest JSON.
    if len(response.body) > _MAX_TABLES and response.body.count(b"{") > _MAX_TABLES:
        raise IndexAnswerError(f"{display_url(response.url)}: the page has too many files")
    try:
        if not response.body.isascii():
            response.body.decode()  # msgspec accepts invalid UTF-8 in values that it skips
        return decoder.decode(response.body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        start = response.body[:40].decode(errors="replace")
        raise IndexAnswerError(
            f"{display_url(response.url)}: the content type is JSON, but the body is not ({error}); it begins {start!r}"
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


def read_project_json(response: Response, name: str) -> ProjectPage:
    """The page of *name* from the project JSON API; files with relative URLs, which are invalid there, are left out."""
    with parsing(response):
        return _read_project_json(response, name)


def _read_project_json(response: Response, name: str) -> ProjectPage:
    project = decoded(_project_decoder, response)
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
    return reduce_files(name, files, base_url=response.base_url)
