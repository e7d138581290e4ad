"""Pages as they are sent: JSON (PEP 691) and HTML (PEP 503), of which the body and its digest are computed once."""

import gzip
import hashlib
from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import msgspec

from minglibc.model import versions
from minglibc.serve.filtering import Filter
from minglibc.serve.page import Links, PassedFile, PassedPage, UpstreamPage

JSON, HTML, OLD_HTML = (
    "application/vnd.pypi.simple.v1+json",
    "application/vnd.pypi.simple.v1+html",
    "text/html",
)
_encode = msgspec.json.Encoder().encode
# Shorter bodies are not compressed: their headers are as long.
_SHORT = 1024
_LEVEL = 6


RawHeader = tuple[bytes, bytes]
_SHARED_HEADERS = ((b"vary", b"Accept, Accept-Encoding"), (b"x-content-type-options", b"nosniff"))


class Variant(NamedTuple):
    """A body in one encoding, with the headers that depend only on it."""

    content: bytes
    validators: tuple[RawHeader, ...]
    """The headers of a response without the body, which is unchanged."""
    headers: tuple[RawHeader, ...]
    """The headers of a response with the body."""


class Body(NamedTuple):
    """A body, and its compressed form where that is worthwhile."""

    plain: Variant
    compressed: Variant | None
    tags: tuple[str, str]
    """The entity tags of both, without quotes."""

    @property
    def size(self) -> int:
        """The bytes that it occupies in memory."""
        compressed = len(self.compressed.content) if self.compressed is not None else 0
        return len(self.plain.content) + compressed + 2000


def body_of(content: bytes, content_type: str) -> Body:
    """*content* as a body that can be sent."""
    tag = hashlib.sha256(content).hexdigest()[:32]
    tags = tag, f"{tag}-gzip"
    compressed = None
    if len(content) >= _SHORT:
        zipped = gzip.compress(content, _LEVEL, mtime=0)
        compressed = _variant(zipped, tags[1], content_type, (b"content-encoding", b"gzip"))
    return Body(_variant(content, tag, content_type), compressed, tags)


def _variant(content: bytes, tag: str, content_type: str, *more: RawHeader) -> Variant:
    validators = (b"etag", f'"{tag}"'.encode()), *_SHARED_HEADERS
    length = (b"content-length", str(len(content)).encode())
    return Variant(content, validators, (*validators, (b"content-type", content_type.encode()), length, *more))


def project_page(
    upstream: UpstreamPage, name: str, selection: Filter, links: Links, only: Collection[versions.Key] | None = None
) -> PassedPage:
    """The page of project *name* with the files of *selection*, of the versions *only* if they are given."""
    page = upstream.page
    kept, _ = selection.apply(name, page.files)
    wanted = [version for version in kept if only is None or versions.key(version) in only]
    files = {version: [passed for file in kept[version] if (passed := links.passed(file))] for version in wanted}
    return PassedPage(
        meta=msgspec.structs.replace(page.meta, tracks=links.references(page.meta.tracks)),
        name=name,
        project_status=page.project_status,
        alternate_locations=links.references(page.alternate_locations),
        # PEP 700: from 1.1 on.
        versions=None if page.versions is None else [version for version in files if files[version]],
        files=[file for version in files for file in files[version]],
    )


def render_page(page: PassedPage, media_type: str) -> Body:
    """*page* in one of the three media types."""
    if media_type == JSON:
        return body_of(_encode(page), JSON)
    return body_of(_html_page(page).encode(), f"{media_type}; charset=utf-8")


def render_names(names: Sequence[str], media_type: str) -> Body:
    """The list of projects in one of the three media types."""
    if media_type == JSON:
        return body_of(_encode({"meta": {"api-version": "1.0"}, "projects": [{"name": name} for name in names]}), JSON)
    links = "".join(f'<a href="{escape(name)}/">{escape(name)}</a><br>\n' for name in names)
    head = _head([("pypi:repository-version", "1.0")], "Simple index")
    return body_of(f"{head}<body>\n{links}</body>\n</html>\n".encode(), f"{media_type}; charset=utf-8")


def _head(metas: Iterable[tuple[str, str]], title: str) -> str:
    lines = "".join(f'<meta name="{name}" content="{escape(content)}">\n' for name, content in metas)
    return f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n{lines}<title>{escape(title)}</title>\n</head>\n'


def _html_page(page: PassedPage) -> str:
    metas = [("pypi:repository-version", page.meta.api_version)]
    if page.meta.last_serial is not None:
        metas.append(("pypi:last-serial", str(page.meta.last_serial)))
    metas += [("pypi:tracks", url) for url in page.meta.tracks]
    metas += [("pypi:alternate-locations", url) for url in page.alternate_locations]
    if page.project_status.status != "active":
        metas.append(("pypi:project-status", page.project_status.status))
    if page.project_status.reason:
        metas.append(("pypi:project-status-reason", page.project_status.reason))
    title = f"Links for {page.name}"
    anchors = "".join(map(_anchor, page.files))
    return f"{_head(metas, title)}<body>\n<h1>{escape(title)}</h1>\n{anchors}</body>\n</html>\n"


def _anchor(file: PassedFile) -> str:
    digest = _first_hash(_decoded(file.hashes))
    attributes = {"href": f"{file.url}#{digest}" if digest else file.url}
    if file.requires_python:
        attributes["data-requires-python"] = file.requires_python
    if file.yanked is not False:
        attributes["data-yanked"] = "" if file.yanked is True else file.yanked
    for name, value in (("core-metadata", file.core_metadata), ("dist-info-metadata", file.dist_info_metadata)):
        metadata = _decoded(value)
        if metadata is not None and metadata is not False:
            attributes[f"data-{name}"] = _first_hash(metadata) or "true"
    if file.gpg_sig is not None:
        attributes["data-gpg-sig"] = "true" if file.gpg_sig else "false"
    if file.provenance:
        attributes["data-provenance"] = file.provenance
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{escape(file.filename)}</a><br>\n"


def _decoded(value: msgspec.Raw) -> Any:
    return msgspec.json.decode(value)


def _first_hash(hashes: Any) -> str:
    """``algorithm=digest`` of the preferred hash: HTML has room for one."""
    if not isinstance(hashes, dict):
        return ""
    name = next((name for name in ("sha256", *hashes) if isinstance(hashes.get(name), str)), "")
    return f"{name}={hashes[name]}" if name else ""
