"""A page of an upstream index with every field that is passed on (PEP 691, 700, 708, 714, 740, 792)."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urljoin

import msgspec

from minglibc.errors import IndexAnswerError
from minglibc.index.addresses import is_local
from minglibc.index.html_page import LinkPage, read_links
from minglibc.index.json_page import ABSENT, JSON_TYPES, Meta, Page, RawFile, Status, check_project, decoded
from minglibc.index.page_file import HTML_TYPES, File, content_type, parsing
from minglibc.index.response import MAX_DECOMPRESSED, MIB, Response, decompressed
from minglibc.model.artifacts import HASH_ALGORITHMS, is_digest
from minglibc.model.compatibility import url_problem
from minglibc.model.urls import display_url

_encode = msgspec.json.Encoder().encode


def _no_hashes() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


def valid_hashes(raw: msgspec.Raw) -> dict[str, str]:
    """The hashes of strong algorithms in the *raw* value of a page; empty where there are none."""
    hashes = msgspec.json.decode(raw)
    if not isinstance(hashes, dict):
        return {}
    return {
        name: hashes[name]
        for name in HASH_ALGORITHMS
        if isinstance(hashes.get(name), str) and is_digest(name, hashes[name])
    }


class PassedFile(RawFile, rename="kebab", omit_defaults=True, gc=False):
    """A file of a page; keys that no standard defines are dropped, since they may be private."""

    # PEP 691 requires the key; a default by a factory is written.
    hashes: msgspec.Raw = msgspec.field(default_factory=_no_hashes)
    gpg_sig: bool | None = None
    provenance: str | None = None

    @property
    def metadata_hashes(self) -> dict[str, str]:
        """The hashes of its metadata file (PEP 658, 714); empty if the page gives none."""
        return valid_hashes(self.core_metadata) or valid_hashes(self.dist_info_metadata)


class PassedMeta(Meta, rename={"api_version": "api-version", "last_serial": "_last-serial"}, omit_defaults=True):
    """The ``meta`` of a page."""

    api_version: str = msgspec.field(default_factory=lambda: "1.0")
    last_serial: int | str | None = None  # mirrors send strings
    tracks: list[str] = msgspec.field(default_factory=list)


class PassedPage(Page, rename="kebab", kw_only=True, omit_defaults=True):
    """A page as the upstream index has it, and as it is passed on."""

    meta: PassedMeta = msgspec.field(default_factory=PassedMeta)
    alternate_locations: list[str] = msgspec.field(default_factory=list)
    versions: list[str] | None = None
    files: list[PassedFile]  # type: ignore[assignment]  # a page with more fields


class UpstreamPage(NamedTuple):
    """A page, and the URL that the URLs of its files are relative to."""

    page: PassedPage
    base_url: str


_decoder = msgspec.json.Decoder(PassedPage)


def read_upstream(response: Response, name: str) -> UpstreamPage:
    """The page of project *name* in a 200 response, as it was sent; raises IndexAnswerError where there is none."""
    response = decompressed(response)
    kind = content_type(response)
    url = display_url(response.url)
    if len(response.body) > MAX_DECOMPRESSED:
        raise IndexAnswerError(f"{url}: the page is larger than {MAX_DECOMPRESSED // MIB} MiB")
    if not response.body or kind not in JSON_TYPES | HTML_TYPES:
        what = f"content type {kind or '(none)'}, which is not a project page" if response.body else "an empty body"
        raise IndexAnswerError(f"{url}: the index returned {what}")
    with parsing(response):
        if kind in HTML_TYPES:
            links = read_links(response)
            return UpstreamPage(_page_of_links(links, name), links.base_url)
        page = decoded(_decoder, response)
        check_project(page, response, name)
        return UpstreamPage(page, response.base_url)


def page_of_files(files: Sequence[File], name: str, base_url: str) -> UpstreamPage:
    """The page of project *name* on a flat index."""
    return UpstreamPage(_page_of_links(LinkPage(files, base_url, {}), name), base_url)


def _page_of_links(links: LinkPage, name: str) -> PassedPage:
    serial = links.meta("pypi:last-serial")
    return PassedPage(
        name=name,
        # PEP 700 requires sizes and versions from 1.1 on, which HTML does not have.
        meta=PassedMeta(
            "1.0",
            int(serial) if serial.isascii() and serial.isdecimal() else None,
            list(links.metas.get("pypi:tracks", ())),
        ),
        project_status=Status(
            links.meta("pypi:project-status", "active"), links.meta("pypi:project-status-reason") or None
        ),
        alternate_locations=list(links.metas.get("pypi:alternate-locations", ())),
        files=[_passed(file) for file in links.files],
    )


def _passed(file: File) -> PassedFile:
    return msgspec.json.decode(_encode(file), type=PassedFile)


class Links:
    """The URLs of files as a page has them: the upstream's own, or those of this server.

    An upstream with credentials and URLs with a query, which may be signed, are never passed on.
    """

    def __init__(self, base_url: str, name: str, *, proxied: bool, local: bool) -> None:
        """*local* are files on this machine, which only an index on this machine may name."""
        self._base_url = base_url
        self._local = local
        self._name = name
        self._proxied = proxied

    def upstream(self, file: PassedFile) -> str:
        """The upstream URL of *file*; empty where it is invalid."""
        try:
            url = urljoin(self._base_url, file.url).partition("#")[0].replace(" ", "%20")
        except ValueError:
            return ""
        is_valid = url.isprintable() and url.isascii()
        return url if is_valid and (not url_problem(url) or self._is_on_this_machine(url)) else ""

    def is_proxied(self, url: str) -> bool:
        """Whether the file with the upstream URL *url* is fetched by this server."""
        return self._proxied or "?" in url or self._is_on_this_machine(url)

    def _is_on_this_machine(self, url: str) -> bool:
        return self._local and is_local(url)

    def passed(self, file: PassedFile) -> PassedFile | None:
        """*file* with the URL that the page has; None where its URL is invalid."""
        url = self.upstream(file)
        if not url:
            return None
        provenance = self._reference(file.provenance)
        if self.is_proxied(url):
            # The names of files that are listed have no characters that URLs quote, except for "+" and "!".
            own = f"../../files/{self._name}/{file.filename.replace('+', '%2B')}"
            passed = msgspec.structs.replace(file, url=own, gpg_sig=None, provenance=provenance)
            if not file.metadata_hashes:
                # Metadata that can't be checked is not sent.
                passed.core_metadata = passed.dist_info_metadata = ABSENT
            return passed
        if url == file.url and provenance == file.provenance:
            return file
        return msgspec.structs.replace(file, url=url, provenance=provenance)

    def references(self, urls: Sequence[str]) -> list[str]:
        """The URLs of other pages (PEP 708), without queries and those that are invalid or contain credentials."""
        return [joined for url in urls if (joined := self._reference(url))]

    def _reference(self, url: str | None) -> str | None:
        """The URL of another document, such as attestations (PEP 740), without a query; None where it is invalid."""
        try:
            joined = urljoin(self._base_url, url or "").partition("?")[0] if url else ""
        except ValueError:
            return None
        return joined if joined and joined.isprintable() and not url_problem(joined) else None
