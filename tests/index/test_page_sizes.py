"""Response bodies: decompression, the limits on their size, and HTML that is expensive to parse."""

import gzip
import json
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.errors import IndexAnswerError
from minglibc.index import html_page, pages, response
from minglibc.index.html_page import read_flat_page
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response
from tests.support.limits import run_limited

JSON = Response("https://example.invalid/simple/b/", 200, {"content-type": JSON_TYPE}, b"")
HTML = JSON._replace(headers={"content-type": "text/html"})


def compressed(body: bytes, encoding: str = "gzip") -> Response:
    """A response with this body and ``Content-Encoding``."""
    return JSON._replace(headers={**JSON.headers, "content-encoding": encoding}, body=body)


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_decompression(text: bytes, times: int) -> None:
    """gzip gives the original bytes, and a body without an encoding is returned as it is."""
    assert text * times == response.decompressed(compressed(gzip.compress(text * times))).body
    assert text == response.decompressed(compressed(text, "identity")).body


def bomb(size: int) -> bytes:
    """gzip of that many MiB of zeros, made in bounded memory."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size)), packer.flush()])


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param(compressed(gzip.compress(bytes(1000))[:-9]), "gzip data of the response is incomplete", id="cut"),
        pytest.param(compressed(b"no gzip at all"), "not valid gzip", id="no-gzip"),
        pytest.param(compressed(b"x", "br"), "not requested", id="brotli"),
        pytest.param(compressed(bomb(100)), "when decompressed", id="bomb"),
    ],
)
def test_invalid_encodings(sent: Response, message: str) -> None:
    """An incomplete body, another encoding and a decompression bomb are refused."""
    for read in (response.decompressed, lambda body: read_page(body, "b")):
        with pytest.raises(IndexAnswerError, match=message):
            read(sent)


def test_page_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page above the limit is refused by its decompressed size, however it was sent; one below is read."""
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": "b", "files": []}).encode()
    for module in (pages, response):
        monkeypatch.setattr(module, "MAX_DECOMPRESSED", len(body))
    assert "b" == read_page(JSON._replace(body=body), "b").name
    assert "b" == read_page(compressed(gzip.compress(body)), "b").name
    with pytest.raises(IndexAnswerError, match=r"simple/b/: the page is larger than"):
        read_page(JSON._replace(body=body + b" "), "b")
    with pytest.raises(IndexAnswerError, match=r"simple/b/: the response is larger than"):
        read_page(compressed(gzip.compress(body + b" ")), "b")


@pytest.mark.parametrize("endless", ["<!-- ", "<script>", '<a href="', "<a b= '", "<", "<a ", "<a b= ", "&", "= '"])
def test_unclosed_html_takes_linear_time(endless: str) -> None:
    """A construct that is never closed does not make the parser read the rest of the page again and again."""
    began = time.process_time()
    with pytest.raises(IndexAnswerError, match="lists no files"):
        read_page(HTML._replace(body=endless.encode() + b"x <a y > " * 20_000), "b")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("run", ["=", " ", "= ", "='", '= "', "<a ", "<", "<a\n=", "&"])
def test_repeated_html_takes_linear_time(run: str) -> None:
    """A page that repeats the characters of a tag is parsed in bounded time."""
    began = time.process_time()
    with pytest.raises(IndexAnswerError, match="lists no files"):
        read_page(HTML._replace(body=("<a " + run * 100_000 + "<a >").encode()), "b")
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "body", ["<b>", "</b>", "<!-->", "<a b c d>", "<a href=x>", "&lt;&lt;&lt;&lt;", "<script>", "<?>", "</"]
)
def test_cost_limit_of_html(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags, attributes and character references are counted, whatever they are."""
    monkeypatch.setattr(html_page, "_MAX_COST", 2000)
    with pytest.raises(IndexAnswerError, match="too many tags, attributes or character references"):
        read_page(HTML._replace(body=body.encode() * 2001), "b")
    with pytest.raises(IndexAnswerError, match="lists no files"):
        read_page(HTML._replace(body=body.replace("=x", "=x/").encode() * 400), "b")


def test_limit_of_values_in_html(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of attributes of links are limited, those of other tags are not kept."""
    monkeypatch.setattr(html_page, "_MAX_VALUES", 100_000)
    with pytest.raises(IndexAnswerError, match="the attributes of its links need more than"):
        read_page(HTML._replace(body=b"<a href=x/ title=" + b"y" * 100_000 + b">"), "b")
    with pytest.raises(IndexAnswerError, match="lists no files"):
        read_page(HTML._replace(body=b"<b href=x/ title=" + b"y" * 100_000 + b">"), "b")


@pytest.mark.parametrize("start", ["<a ", "<!-- ", "<script>"])
def test_limit_of_unclosed_html(start: str) -> None:
    """A tag, comment or script that does not end is refused before it is searched too often."""
    with pytest.raises(IndexAnswerError, match="it has a tag, comment or script of more than 256 KiB"):
        read_page(HTML._replace(body=start.encode() + b"b " * 500_000), "b")


@pytest.mark.slow
def test_large_flat_index() -> None:
    """A flat index of 30 MiB with 150,000 files is read within the limits of memory and time."""
    digest = "0" * 64
    names = [f"torch_ext-1.{number}%2Bcu121-cp311-cp311-manylinux2014_x86_64.whl" for number in range(150_000)]
    links = (f'<a href="cu121/{name}#sha256={digest}">{name}</a><br>' for name in names)
    page = HTML._replace(body="\n".join(links).encode())
    assert len(page.body) > 30_000_000

    def read() -> None:
        assert len(read_flat_page(page).files["torch-ext"]) == 150_000

    run_limited(read)


@pytest.mark.parametrize(
    ("age", "expected"), [("9" * 5000, 0), ("0" * 5000, 600), ("100", 500), ("-1", 600), ("²", 600), ("x", 600)]
)
def test_age(age: str, expected: int) -> None:
    """An Age of any length is subtracted from max-age; invalid ones are ignored."""
    headers = {"cache-control": "max-age=600", "age": age}
    assert expected == response.max_age(JSON._replace(headers=headers))
