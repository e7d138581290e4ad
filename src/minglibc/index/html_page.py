"""The HTML of the Simple API (PEP 503), and of flat indexes, whose one page links to the files of all projects."""

import codecs
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from minglibc.errors import IndexAnswerError
from minglibc.index.page_file import HTML_TYPES, File, content_type, parsing
from minglibc.index.response import MIB, Response
from minglibc.model.artifacts import printable
from minglibc.model.project_page import ProjectPage, project_of, reduce_files
from minglibc.model.urls import display_url

# One of these is in every index page without files: PEP 629's version, servers' usual titles, and directory listings.
_MARKS = (b"pypi:repository-version", b"simple index", b"links for", b"index of /", b"directory listing for")
# Together, these limit a page to 300 MiB and 20 seconds. A flat index with 150,000 files and 30 MiB is below them.
_MAX_SIZE = 48 * MIB
_MAX_UNCLOSED = MIB // 4
_MAX_VALUES = 64 * MIB
# html.parser needs up to 10 µs for a tag, 4 for an attribute and 2 for a character reference.
_MAX_COST = 920_000
_LINK_COST = 2
_REFERENCES_PER_COST = 4
_CHUNK = MIB // 2
_NO_FILES = "the index returned a web page that lists no files — a login page?"


class _LinkParser(HTMLParser):
    """Collects the files that a page's anchors link to; raises ValueError where a page costs too much time or memory."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[File] = []
        self.base = ""
        # The contents of <meta> by their names (PEP 629, 708, 792).
        self.metas: dict[str, list[str]] = {}
        self._cost = 0
        self._values = 0

    def read(self, body: bytes) -> None:
        """Parse a page. An incomplete tag at its end is ignored."""
        if len(body) > _MAX_SIZE:
            raise ValueError(f"it is larger than {_MAX_SIZE // MIB} MiB")
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for start in range(0, len(body), _CHUNK):
            text = decoder.decode(body[start : start + _CHUNK])
            self._spend(text.count("<") + text.count("&") // _REFERENCES_PER_COST)
            self.feed(text)
            # What is not closed is searched again with the next chunk.
            if len(self.rawdata) > _MAX_UNCLOSED:
                raise ValueError(f"it has a tag, comment or script of more than {_MAX_UNCLOSED // 1024} KiB")

    def _spend(self, cost: int) -> None:
        self._cost += cost
        if self._cost > _MAX_COST:
            raise ValueError("it has too many tags, attributes or character references")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._spend(len(attrs))
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and attributes.get("href"):
            self._spend(_LINK_COST)
            self._values += sum(map(sys.getsizeof, attributes.values()))
            if self._values > _MAX_VALUES:
                raise ValueError(f"the attributes of its links need more than {_MAX_VALUES // MIB} MiB")
            try:
                file = _linked_file(attributes)
            except ValueError:
                # One malformed URL; as a file name it is invalid, so that it is reported as skipped.
                file = File(filename=attributes["href"], url="")
            # Directory listings link to other directories too.
            if file.filename:
                self.files.append(file)
        elif tag == "base" and attributes.get("href"):
            self.base = attributes["href"]
        elif tag == "meta" and attributes.get("name", "").startswith("pypi:"):
            self._values += sum(map(sys.getsizeof, attributes.values()))
            self.metas.setdefault(attributes["name"], []).append(attributes.get("content", ""))


def _linked_file(attributes: Mapping[str, str]) -> File:
    url, fragment = urldefrag(attributes["href"])
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    return File(
        filename=unquote(urlsplit(url).path.rpartition("/")[2]),
        url=url,
        hashes=_hashes(fragment),
        requires_python=attributes.get("data-requires-python"),
        yanked=(attributes["data-yanked"] or True) if "data-yanked" in attributes else False,
        core_metadata=None if metadata is None else metadata != "false" and (_hashes(metadata) or True),
        gpg_sig={"true": True, "false": False}.get(attributes.get("data-gpg-sig", "")),
        provenance=attributes.get("data-provenance"),
    )


def _hashes(text: str) -> dict[str, str]:
    algorithm, equals, digest = text.partition("=")
    return {algorithm: digest} if equals else {}


def _parse(response: Response) -> _LinkParser:
    parser = _LinkParser()
    with parsing(response):
        parser.read(response.body)
    version = parser.metas.get("pypi:repository-version", ["1.0"])[-1]
    if version.partition(".")[0] != "1":
        raise IndexAnswerError(
            f"{display_url(response.url)}: the index uses version {printable(version)} of the Simple API; minglibc supports 1.x"
        )
    return parser


def _base_url(parser: _LinkParser, response: Response) -> str:
    """The URL that links are relative to; that of <base> may be relative itself, and is ignored if it is invalid."""
    try:
        return urljoin(response.base_url, parser.base)
    except ValueError:
        return response.base_url


def _has_mark(body: bytes, marks: Sequence[bytes]) -> bool:
    text = body.lower()
    return any(mark in text for mark in marks)


class LinkPage(NamedTuple):
    """The files of an HTML page, the URL that theirs are relative to, and the contents of its <meta> elements by name."""

    files: Sequence[File]
    base_url: str
    metas: Mapping[str, Sequence[str]]

    def meta(self, name: str, default: str = "") -> str:
        """The content of the last <meta> of that *name*."""
        return self.metas.get(name, [default])[-1]


def read_links(response: Response) -> LinkPage:
    """The links and <meta> elements of an HTML response; raises IndexAnswerError where it is not an index page."""
    parser = _parse(response)
    if not parser.files and not _has_mark(response.body, _MARKS):
        raise IndexAnswerError(
            f"{display_url(response.url)}: {_NO_FILES}",
            hint="check index-url and whether the network requires a login",
        )
    return LinkPage(parser.files, _base_url(parser, response), parser.metas)


def read_html(response: Response, name: str) -> ProjectPage:
    """The page of project *name* in an HTML response; raises IndexAnswerError where it is not an index page."""
    page = read_links(response)
    with parsing(response):
        return reduce_files(
            name,
            page.files,
            base_url=page.base_url,
            status=printable(page.meta("pypi:project-status", "active")),
            status_reason=page.meta("pypi:project-status-reason"),
        )


class FlatPage(NamedTuple):
    """The files of a flat index by project, and the URL that theirs are relative to."""

    files: Mapping[str, Sequence[File]]
    base_url: str

    def project(self, name: str) -> ProjectPage:
        """The page of project *name*, without releases where the index has none of its files."""
        return reduce_files(name, self.files.get(name, ()), base_url=self.base_url)


def read_flat_page(response: Response) -> FlatPage:
    """The flat index in *response*; raises IndexAnswerError where it is not an HTML page with links."""
    kind = content_type(response)
    if kind not in HTML_TYPES:
        raise IndexAnswerError(
            f"{display_url(response.url)}: a flat index must be HTML, but the content type is {kind or '(none)'}"
        )
    parser = _parse(response)
    if not _has_mark(response.body, (b"<a", *_MARKS)):
        raise IndexAnswerError(
            f"{display_url(response.url)}: {_NO_FILES}",
            hint="check its url and whether the network requires a login",
        )
    files: dict[str, list[File]] = {}
    for file in parser.files:
        files.setdefault(project_of(file.filename), []).append(file)
    return FlatPage(files, _base_url(parser, response))
