"""The responses of an index → project pages: the Simple API in JSON and HTML, and the project JSON API."""

from minglibc.errors import IndexAnswerError
from minglibc.index.json_page import JSON_TYPES, read_json
from minglibc.index.page_file import HTML_TYPES, content_type, parsing
from minglibc.index.response import MAX_DECOMPRESSED, MIB, Response, decompressed
from minglibc.model.project_page import ProjectPage
from minglibc.model.urls import display_url


def read_page(response: Response, name: str) -> ProjectPage:
    """The page of project *name* in a 200 response, as it was sent; raises IndexAnswerError where there is none."""
    response = decompressed(response)
    with parsing(response):
        return _read_page(response, name)


def _read_page(response: Response, name: str) -> ProjectPage:
    kind = content_type(response)
    url = display_url(response.url)
    if not response.body:
        raise IndexAnswerError(f"{url}: the index returned an empty body")
    if len(response.body) > MAX_DECOMPRESSED:
        raise IndexAnswerError(f"{url}: the page is larger than {MAX_DECOMPRESSED // MIB} MiB")
    if kind in JSON_TYPES:
        return read_json(response, name)
    if kind in HTML_TYPES:
        from minglibc.index.html_page import read_html  # noqa: PLC0415  html.parser takes 5 ms, and most indexes have JSON

        return read_html(response, name)
    raise IndexAnswerError(
        f"{url}: the index returned content type {kind or '(none)'}, which is not a project page",
        hint="check index-url: it must name a simple index (PEP 503 or 691)",
    )
