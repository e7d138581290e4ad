"""A large page that is read while it comes is the same page, whatever its JSON looks like and wherever it is cut."""

import gzip
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.cache.pages import Store
from minglibc.errors import IndexAnswerError
from minglibc.index import response
from minglibc.index.html_page import HtmlPage, Listing
from minglibc.index.json_page import read_page
from minglibc.index.large_page import LargePage, read_in_pieces, reader
from minglibc.index.response import JSON_TYPE, Answer
from minglibc.index.spool import Spool

ANSWER = Answer("https://example.invalid/simple/b/", 200, {"content-type": JSON_TYPE}, b"")

# Texts that look like the places where a page is cut.
TRAPS = st.sampled_from(["},{", '"}, {"', '"files":[', '\\"files": [', "]}", "[{", "\\", '\u2028é"', ""])  # fmt: skip
TEXTS = st.one_of(TRAPS, st.text(max_size=8))
ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3), st.fixed_dictionaries({"files": inner})
    ),
    max_leaves=6,
)
FILENAMES = st.builds(
    "b-{}{}-py3-none-{}.whl".format,
    st.sampled_from(["1.0", "1", "2.0", "10.0rc1", "x"]),
    st.sampled_from(["", "-1", "-2"]),
    st.sampled_from(["any", "win32", "a/b"]),
)
FILES = st.builds(
    lambda known, odd, first: {**odd, **known} if first else {**known, **odd},
    st.fixed_dictionaries(
        {"filename": FILENAMES, "url": TEXTS},
        optional={"hashes": st.just({"sha256": "0" * 64}), "yanked": TEXTS, "core-metadata": st.just({"sha256": "1"})},
    ),
    st.dictionaries(st.sampled_from(["x", "provenance", "},{"]), ODD, max_size=2),
    st.booleans(),
)
DOCUMENTS = st.builds(
    lambda before, files, after: {**before, "files": files, **after},
    st.fixed_dictionaries({}, optional={"name": st.sampled_from(["b", "B", "c"]), "x": ODD, "versions": ODD}),
    st.lists(FILES, max_size=12),
    st.fixed_dictionaries(
        {},
        optional={"meta": st.just({"api-version": "1.4"}), "y": ODD, "project-status": st.just({"status": "archived"})},
    ),
)
BODIES = st.builds(
    lambda document, indent, ascii_only, separators: json.dumps(
        document, indent=indent, ensure_ascii=ascii_only, separators=separators
    ).encode("utf-8", "replace"),
    DOCUMENTS,
    st.sampled_from([None, 2]),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]),
)


def in_pieces(body: bytes, step: int, piece: int) -> Any:
    """What the page is when it comes *step* bytes at a time; None where it is refused."""
    page = LargePage(ANSWER, "b", piece=piece)
    try:
        for start in range(0, len(body), step):
            page.feed(body[start : start + step])
        return dumped(page.close())
    except IndexAnswerError:
        return None


def at_once(body: bytes) -> Any:
    """The same of the whole body."""
    try:
        return dumped(read_page(ANSWER._replace(body=body), "b"))
    except IndexAnswerError:
        return None


def dumped(page: Any) -> Any:
    """All that is kept of a page."""
    head, lines = page.dump()
    return head, list(lines)


@given(BODIES, st.integers(1, 300), st.integers(1, 400))
def test_pieces_are_the_whole(body: bytes, step: int, piece: int) -> None:
    """Read piece by piece, a page is what it is when it is read at once, to the byte."""
    assert at_once(body) == in_pieces(body, step, piece)


@given(BODIES, st.integers(1, 300), st.integers(1, 400), st.data())
def test_what_is_refused_whole_is_refused_in_pieces(body: bytes, step: int, piece: int, data: st.DataObject) -> None:
    """A body that was cut, or of which a part is something else, is the same page or the same refusal."""
    start = data.draw(st.integers(0, len(body)))
    noise = data.draw(st.sampled_from([b"", b"\xff", b"}", b"]", b'"', b"],", b'{"filename":3},', b"null,"]))
    keep = data.draw(st.sampled_from([len(body), start]))
    spoiled = body[:start] + noise + body[start:keep]
    assert at_once(spoiled) == in_pieces(spoiled, step, piece)


def test_pieces_are_really_read_before_the_end() -> None:
    """Of a page of a thousand files hardly any text is left when all of it has come."""
    files = [{"filename": f"b-{n}.0-py3-none-any.whl", "url": "https://example.invalid/b"} for n in range(1000)]
    page = LargePage(ANSWER, "b", piece=1000)
    body = json.dumps({"meta": {"api-version": "1.0"}, "files": files, "name": "b"}).encode()
    for start in range(0, len(body), 500):
        page.feed(body[start : start + 500])
    assert len(page._text) < 2000
    assert 1000 == len(page.close().versions)


@given(st.lists(st.lists(FILES, max_size=6), min_size=2, max_size=4), st.data())
def test_of_lists_of_files_the_last_one_counts(lists: list[list[Any]], data: st.DataObject) -> None:
    """A key that comes twice is no other page in pieces, in whatever letters it is spelled."""
    keys = data.draw(st.lists(st.sampled_from(['"files"', r'"\u0066iles"', '"more"']), min_size=4, max_size=4))
    text = ", ".join(f"{key}: {json.dumps(files)}" for key, files in zip(keys, [*lists, 3, None], strict=False))
    body = f"{{{text}}}".encode()
    assert at_once(body) == in_pieces(body, data.draw(st.integers(1, 300)), data.draw(st.integers(1, 400)))


def test_refusals_are_held_whole() -> None:
    """Only a page in JSON or HTML is read while it comes."""
    assert isinstance(reader(ANSWER, "b"), LargePage)
    assert isinstance(reader(ANSWER._replace(headers={"content-type": "text/html"}), "b"), HtmlPage)
    assert reader(ANSWER._replace(status=404), "b") is None
    assert reader(ANSWER._replace(headers={"content-type": "text/plain"}), "b") is None


# HTML.

HTML = ANSWER._replace(headers={"content-type": "text/html; charset=latin-1"})
QUOTED = st.tuples(
    st.sampled_from(["=", " = ", "=\n", "=="]),
    st.sampled_from(['"{}"', "'{}'", '"{}']),
).map("".join)
HREFS = st.sampled_from(
    ["b-1.0.tar.gz", "x/b-2.0-py3-none-any.whl#sha256=ab&amp;c", "b-%C3%A9.zip", "&quot;", "é", "../"]
)
VALUES = st.one_of(
    HREFS, st.sampled_from(["&gt;=3,<4", ">=3", "<a href=b-3.0.zip>", " > ", "sha256=0", "\n<a ", "&#62", ""])
)
ATTRIBUTES = st.builds(
    lambda name, value, form: f" {name}" + form.format(value),
    st.sampled_from(["href", "HREF", "data-requires-python", "data-yanked", "data-core-metadata", "x"]),
    VALUES,
    QUOTED,
)
ANCHORS = st.builds(
    lambda tag, first, attributes, end, text: f"<{tag}{first}{''.join(attributes)}{end}{text}</{tag}>",
    st.sampled_from(["a", "a", "A", "b", "base", "meta name=pypi:repository-version content=1.1"]),
    st.sampled_from([' href="b-1.0.tar.gz"', " href=b-4.0.zip", ""]),
    st.lists(ATTRIBUTES, max_size=3),
    st.sampled_from([">", ">", " >", "/>", " / >", ""]),
    st.sampled_from(["b-1.0.tar.gz", "", "&lt;", "<"]),
)
NOISE = st.sampled_from(["<!--", "-->", "<!doctype html>", "<script>", "</script>", "<![CDATA[", "]]>", "<?", "</", "<", ">", '"', "'", " = ", "&", "&#6", "\n", "Index of /", "é", "\0"])  # fmt: skip
PAGES = st.lists(st.one_of(ANCHORS, ANCHORS, NOISE), max_size=12).map(lambda parts: "".join(parts).encode())


def html_at_once(body: bytes) -> Any:
    """What html.parser makes of the whole body, in one go."""
    page = HtmlPage(HTML, "b", piece=len(body) + 1)
    try:
        page.feed(body)
        return dumped(page.close())
    except IndexAnswerError as error:
        return str(error)


def html_in_pieces(body: bytes, step: int, piece: int) -> Any:
    """The same when it comes *step* bytes at a time."""
    page = HtmlPage(HTML, "b", piece=piece)
    try:
        for start in range(0, len(body), step):
            page.feed(body[start : start + step])
        return dumped(page.close())
    except IndexAnswerError as error:
        return str(error)


@given(PAGES, st.integers(1, 60), st.integers(1, 80))
def test_html_in_pieces_is_the_whole(body: bytes, step: int, piece: int) -> None:
    """Wherever HTML is cut, within tags, quotes, references, comments or letters, it is the same page or the same refusal."""
    assert html_at_once(body) == html_in_pieces(body, step, piece)


@given(st.binary(max_size=200), st.integers(1, 9), st.integers(1, 20))
def test_bytes_that_are_no_text(noise: bytes, step: int, piece: int) -> None:
    """What is no UTF-8 is replaced in pieces as it is in one go."""
    body = b'<a href="b-1.0.tar.gz" data-yanked="%b">' % noise.replace(b'"', b"") + b"<a href=b-2.0.zip>"
    assert html_at_once(body) == html_in_pieces(body, step, piece)


def test_html_is_really_read_before_the_end() -> None:
    """Of a page of a thousand links hardly any text is left when all of it has come."""
    links = "".join(
        f'<a href="b-{n}.0-py3-none-any.whl#sha256=0" data-requires-python="&gt;=3">b</a>\n' for n in range(1000)
    )
    page = HtmlPage(HTML, "b", piece=1000)
    body = f"<!DOCTYPE html><body>{links}".encode()
    for start in range(0, len(body), 500):
        page.feed(body[start : start + 500])
    assert len(page._links._text) + len(page._links.rawdata) < 2000
    assert not page._links.files
    assert 1000 == len(page.close().versions)


@pytest.mark.parametrize("endless", ["<!-- ", "<script>", '<a href="', "<a b= '", "<", "<a ", "<a b= ", "&", "= '"])
def test_html_that_never_ends_costs_no_square(monkeypatch: pytest.MonkeyPatch, endless: str) -> None:
    """What is never whole is gone through a few times, not once for each piece that comes."""
    page = HtmlPage(HTML, "b", piece=1000)
    seen = 0
    parse = page._links.goahead

    def counted(end: bool) -> None:  # noqa: FBT001  as html.parser calls it
        nonlocal seen
        seen += len(page._links.rawdata)
        parse(end)

    monkeypatch.setattr(page._links, "goahead", counted)
    body = endless.encode() + b"x <a y > " * 20_000
    for start in range(0, len(body), 1000):
        page.feed(body[start : start + 1000])
    with pytest.raises(IndexAnswerError, match="lists no files"):
        page.close()
    assert seen < 5 * len(body)


@pytest.mark.parametrize("run", ["=", " ", "= ", "='", '= "', "<a ", "<", "<a\n=", "&"])
def test_long_runs_cost_no_square(run: str) -> None:
    """A page that consists of what may be a place to cut is gone through at once."""
    page = HtmlPage(HTML, "b")
    began = time.process_time()
    for text in ("<a ", *([run * 1000] * 400), "<a >"):
        page.feed(text.encode())
    with pytest.raises(IndexAnswerError, match="lists no files"):
        page.close()
    assert time.process_time() - began < 5


@given(PAGES, st.integers(1, 60), st.integers(1, 80))
def test_a_flat_page_in_pieces_is_the_whole(body: bytes, step: int, piece: int) -> None:
    """Of a page of many projects' files, each project has its own, in pieces as in one go."""
    found = []
    for piece_, step_ in ((len(body) + 1, len(body) or 1), (piece, step)):
        page = Listing(HTML, piece=piece_)
        try:
            for start in range(0, len(body), step_):
                page.feed(body[start : start + step_])
            found.append([dumped(page.close().project(name)) for name in ("b", "c", "")])
        except IndexAnswerError as error:
            found.append([str(error)])
    assert found[0] == found[1]


# Unpacking.


def packed(body: bytes, encoding: str = "gzip") -> Answer:
    """An answer with this body, as it was sent."""
    return ANSWER._replace(headers={**ANSWER.headers, "content-encoding": encoding}, body=body)


def in_steps(answer: Answer, step: int) -> bytes:
    """What an answer's body is when it comes *step* bytes at a time."""
    unpacking = response.Unpacking(answer)
    starts = range(0, len(answer.body), step)
    pieces = [piece for start in starts for piece in unpacking.feed(answer.body[start : start + step], step=1000)]
    unpacking.close()
    return b"".join(pieces)


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(1, 5000))
def test_unpacked_in_pieces(text: bytes, times: int, step: int) -> None:
    """Whatever the steps, gzip gives the same bytes, and what was not packed comes as it is."""
    assert text * times == in_steps(packed(gzip.compress(text * times)), step)
    assert text * times == response.unpacked(packed(gzip.compress(text * times))).body
    assert text == in_steps(packed(text, "identity"), step)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(packed(gzip.compress(bytes(1000))[:-9]), "cut short within its gzip", id="cut"),
        pytest.param(packed(b"no gzip at all"), "not the gzip", id="no-gzip"),
        pytest.param(packed(b"x", "br"), "not asked for", id="brotli"),
        pytest.param(packed(gzip.compress(bytes(100 << 20))), "grows to over", id="bomb"),
    ],
)
def test_what_does_not_unpack(answer: Answer, said: str) -> None:
    """A body that is cut, packed otherwise or a bomb is refused in pieces as it is at once."""
    for unpack in (
        lambda: in_steps(answer, 4096),
        lambda: response.unpacked(answer),
        lambda: read_in_pieces(answer, "b"),
    ):
        with pytest.raises(IndexAnswerError, match=said):
            unpack()


@given(BODIES)
def test_a_packed_body_is_read_in_pieces(body: bytes) -> None:
    """A body that was held as it was sent is the same page in pieces."""
    try:
        found = dumped(read_in_pieces(packed(gzip.compress(body)), "b"))
    except IndexAnswerError:
        found = None
    assert at_once(body) == found


# What is put aside.


@given(st.lists(st.binary(max_size=300_000), max_size=30), st.integers(0, 4_000_000), st.integers(0, 4_000_000))
def test_a_spool_is_its_bytes(parts: list[bytes], start: int, stop: int) -> None:
    """In memory or on the disk, a spool has the bytes that were appended."""
    spool = Spool()
    for part in parts:
        spool.append(part)
    whole = b"".join(parts)
    assert len(whole) == len(spool)
    assert whole[start:stop] == spool[start:stop]


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The process can write no longer file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1 << 20, 3 << 20, 4 << 20])
def test_a_spool_without_room_goes_on_in_memory(room: int) -> None:
    """Where the disk refuses at any point, nothing is lost."""
    parts = [bytes([n]) * 700_000 for n in range(9)]
    spool = Spool()
    with no_file_longer_than(room):
        for part in parts:
            spool.append(part)
    assert b"".join(parts) == spool[:]


def test_a_spool_without_a_folder_stays_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no temporary file can be made, memory has to do."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    spool = Spool()
    spool.append(bytes(3 << 20))
    spool.append(b"end")
    assert bytes(3 << 20) + b"end" == spool[:]


def test_long_lines_are_written_as_short_ones(tmp_path: Path) -> None:
    """An entry of the cache that is written in pieces holds the lines that it was given."""
    lines = [bytes([number]) * 300_000 for number in range(20)]
    store = Store(str(tmp_path))
    store.write("pages", "b", {"etag": "\u00e9"}, lines)
    entry = store.read("pages", "b")
    assert entry is not None
    assert {"etag": "\u00e9"} == entry.head
    assert lines == list(entry.lines)
    store.close()
