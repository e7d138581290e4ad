"""For any input, every parser returns a value or raises a documented error, in limited memory and processor time."""

import contextlib
import gzip
import io
import json
import os
import re
import time
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minglibc.cache.pages import Store
from minglibc.config.inline_metadata import script_block
from minglibc.config.parser import parse as parse_settings
from minglibc.config.requirements_file import lines
from minglibc.errors import CacheDamaged, IndexAnswerError, LockError, MinglibcError, SettingsError
from minglibc.index import remote_metadata
from minglibc.index.json_page import read_project_json
from minglibc.index.limits import Limits
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response, decompressed
from minglibc.lock import digest, reader
from minglibc.lock import document as lockfile
from minglibc.lock.digest import seal
from minglibc.model import requirements
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import parse_metadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from minglibc.model.urls import display_url
from tests.support.limits import in_one_process, run_limited

if TYPE_CHECKING:
    from collections.abc import Callable

COMPATIBILITY = TargetCompatibility(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)))
PAGE_URL = "http://127.0.0.1/simple/b/"
SHORT = settings(max_examples=40, suppress_health_check=list(HealthCheck))
LONG = settings(
    max_examples=int(os.environ.get("MINGLIBC_FUZZ_EXAMPLES", "20000")), suppress_health_check=list(HealthCheck)
)


# The parts of fuzzed files: valid parts, parts that once broke a parser, and any text.

HOSTILE = (
    "<![x]", "<!DOCTYPE [<!", "<a href='http://[::1/b-1.0-py3-none-any.whl'>", "&#xFFFFFFFF;", "//[", "http://[x/", "\ud800", "\x00",
    "²", "1" * 5000, "(" * 3000, "[" * 3000, '{"a":' * 2000, "../" * 50, "\\u0000", "\u2028", "%00", "-", ".", "é", "\r", "\n", "\t",
    "b-1.0-²-py3-none-any.whl", "b-1.0-py-none-any.whl", "b-1.0-py3.-none-any.whl", "b-1.0-cp3-none-win32.whl", "b-1-1" + "1" * 300 + "-py3-none-any.whl", "b-1.0-py3-none-manylinux_2_" + "9" * 400 + "_x86_64.whl",
)  # fmt: skip
VALID = (
    "b", "1.0", "b-1.0-py3-none-any.whl", "b-1.0.tar.gz", "b-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl", "sha256", "0" * 64,
    ">=3.9", "c; python_version < '4'", "c[x]>=1,<2", "active", "quarantined", "2020-01-01T00:00:00Z", "https://example.invalid/x", "1.0rc1",
    "b-1!2.0.post1.dev3+local.1-py2.py3-none-win_amd64.whl", "http://127.0.0.1:1/files/b-1.0-py3-none-any.whl",
)  # fmt: skip
pieces = st.one_of(st.sampled_from(VALID), st.sampled_from(HOSTILE), st.text(max_size=12))
texts = st.lists(pieces, min_size=1, max_size=3).map("".join)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def use(page: ProjectPage) -> None:
    """Read everything of a page as `lock` does, before and after it was cached."""
    head, lines = page.dump()
    again = ProjectPage.load(json.loads(json.dumps(head)), lines)
    for found in (page, again):
        for index in range(len(found.versions)):
            COMPATIBILITY.best(found, index)
            COMPATIBILITY.rejections(found, index)
            for wheel in found.wheels(index):
                assert not set(wheel.hash) & set("\n\r ")
            found.sdists(index)


def use_pages(*bodies: bytes, kind: str = JSON_TYPE) -> None:
    """Read pages and use those that are valid."""
    for body in bodies:
        with suppress(IndexAnswerError):
            use(read_page(Response(PAGE_URL, 200, {"content-type": kind}, body), "b"))


def check_pages(*bodies: bytes, kind: str = JSON_TYPE) -> None:
    """Read and use pages in limited memory and time."""
    run_limited(lambda: use_pages(*bodies, kind=kind))


# The index


file_fields = st.fixed_dictionaries(
    {"filename": texts | values, "url": texts | values},
    optional={
        name: values | texts | st.dictionaries(st.sampled_from(("sha256", "md5", "")), texts | values, max_size=2)
        for name in (
            "hashes",
            "size",
            "upload-time",
            "yanked",
            "requires-python",
            "core-metadata",
            "dist-info-metadata",
        )
    },
)
documents = st.fixed_dictionaries(
    {"files": st.lists(file_fields, max_size=3) | values},
    optional={
        "name": st.just("b") | values,
        "meta": st.fixed_dictionaries({"api-version": texts | values}) | values,
        "project-status": st.fixed_dictionaries({"status": texts | values, "reason": texts | values}) | values,
        "versions": values,
    },
)


def _json(value: object, indent: int | None) -> bytes:
    return json.dumps(value, indent=indent).encode("utf-8", "surrogatepass")


def check_json_page(document: object, indent: int | None, cut: int) -> None:
    """Read a page and a truncated one."""
    body = _json(document, indent)
    check_pages(body, body[:cut])


def file_of_b(**fields: object) -> dict[str, Any]:
    """A page of one file of b, which is valid except for *fields*."""
    good = {"filename": "b-1.0-py3-none-any.whl", "url": "http://127.0.0.1/b-1.0-py3-none-any.whl"}
    return {"name": "b", "files": [{**good, **fields}]}


@in_one_process
@example(file_of_b(hashes={"sha256": "00" * 32}), 2, 40)
@example(file_of_b(url="//[x/"), None, 40)
@example(file_of_b(hashes={"sha256": "\ud800"}), None, 40)
@example(file_of_b(hashes={"sha256": "00\n00000000 sha256:11 []"}), None, 40)
@example(file_of_b(filename=f"b-{'1' * 5000}-py3-none-any.whl"), None, 40)
@example(file_of_b(filename="b-1.0-²-py3-none-any.whl"), None, 40)
@example(file_of_b(filename=f"b-1.0-py3-none-manylinux_2_{'1' * 5000}_x86_64.whl"), None, 40)
@example(file_of_b(filename=f"b-1.0-{'1' * 5000}-py3-none-any.whl"), None, 40)
@example({"files": [], "other": json.loads("[" * 400 + "]" * 400)}, None, 40)
@given(documents | values, st.sampled_from((None, 1)), st.integers(0, 400))
@SHORT
def test_json_pages(document: object, indent: int | None, cut: int) -> None:
    """A JSON page is read or rejected with an IndexAnswerError, whatever its fields contain."""
    check_json_page(document, indent, cut)


@given(documents | values, st.sampled_from((None, 1)), st.integers(0, 400))
@LONG
@pytest.mark.nightly
def test_many_json_pages(document: object, indent: int | None, cut: int) -> None:
    """The same with many more examples."""
    check_json_page(document, indent, cut)


def test_deeply_nested_json_is_rejected() -> None:
    """JSON that is nested deeper than the parser's stack is an error, in parsed and in skipped fields."""
    for body in (
        b'{"files":[],"x":' + b"[" * 100_000,
        b'{"files":[{"filename":"b-1.0-py3-none-any.whl","url":"x","hashes":'
        + b"[" * 100_000
        + b"]" * 100_000
        + b"}]}",
    ):
        with pytest.raises(IndexAnswerError, match=PAGE_URL):
            read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, body), "b")


def test_indented_json() -> None:
    """Indented JSON is the same page as JSON on one line, also when it is read from the cache."""
    document = file_of_b(hashes={"sha256": "ab" * 32}, **{"core-metadata": {"sha256": "cd" * 32}})
    document["files"].append({**document["files"][0], "filename": "b-2.0-py3-none-any.whl"})
    pages = [
        read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, _json(document, indent)), "b")
        for indent in (None, 4)
    ]
    assert [pages[0].wheels(0), pages[0].wheels(1)] == [pages[1].wheels(0), pages[1].wheels(1)]
    assert pages[0].wheels(1) == ProjectPage.load(*pages[1].dump()).wheels(1)


def test_invalid_hashes_are_ignored() -> None:
    """A hash that is not hexadecimal is ignored, so it cannot inject a line into the cache."""
    for hash_ in ("x" * 64, "00 11", "ab\ncd", ""):
        document = file_of_b(hashes={"sha256": hash_})
        page = read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, _json(document, None)), "b")
        assert "" == page.wheels(0)[0].hash


def test_negative_sizes_are_ignored() -> None:
    """A negative size is not written into a lock."""
    page = read_page(Response(PAGE_URL, 200, {"content-type": JSON_TYPE}, _json(file_of_b(size=-3), None)), "b")
    assert page.wheels(0)[0].size is None


markup = st.lists(
    st.one_of(
        st.sampled_from(
            (
                "<a href=",
                "<a ",
                '"',
                "'",
                ">",
                "</a>",
                "<!--",
                "-->",
                "<![",
                "]>",
                "<!",
                "<base href=",
                "<meta name='pypi:repository-version' content=",
                " data-yanked",
                " data-core-metadata=",
                "sha256=",
                " data-requires-python=",
                "&gt;",
                "&#",
                ";",
                "<script>",
                "<style>",
                "</",
                "<?",
                "#",
                "&lt",
            )
        ),
        pieces,
    ),
    max_size=25,
).map("".join)


def check_html_page(text: str) -> None:
    """Read a page of markup."""
    check_pages(text.encode("utf-8", "surrogatepass"), kind="text/html")
    check_pages(text.encode("utf-16", "surrogatepass"), kind="text/html; charset=utf-16")


@in_one_process
@example("<![x]")
@example("<a href='http://[::1/b-1.0-py3-none-any.whl'>x</a>")
@example("<!DOCTYPE [<!ELEMENT")
@given(markup)
@SHORT
def test_html_pages(text: str) -> None:
    """An HTML page is read or rejected with an IndexAnswerError, whatever its markup."""
    check_html_page(text)


@given(markup)
@LONG
@pytest.mark.nightly
def test_many_html_pages(text: str) -> None:
    """The same with many more examples."""
    check_html_page(text)


@pytest.mark.parametrize(
    "piece", ["<!--", "<a ", "<![", "<a href='", "<", "&#", "</", "<!x", "<?", "<script>", "a<b ", "<a b=", "<a/"]
)
def test_repeated_markup_takes_linear_time(piece: str) -> None:
    """Eight times the markup takes less than 32 times the time; quadratic parsing would take 64 times."""

    def seconds(count: int) -> float:
        started = time.process_time()
        use_pages(piece.encode() * count, kind="text/html")
        return time.process_time() - started

    assert seconds(80_000) < 1 + 32 * min(seconds(10_000) for _ in range(3))


@in_one_process
@given(
    st.dictionaries(
        st.sampled_from(("releases", "info", "")),
        st.dictionaries(texts, st.lists(file_fields | values, max_size=2), max_size=2) | values,
    )
)
@SHORT
def test_project_json(document: object) -> None:
    """The project JSON API's responses are read or rejected with an IndexAnswerError."""
    body = _json(document, None)
    run_limited(lambda: use(read_project_json(Response(PAGE_URL, 200, {}, body), "b")), IndexAnswerError)


@given(
    st.binary(max_size=200), st.integers(0, 200), st.sampled_from(("gzip", "x-gzip", "br", "identity", "", "deflate"))
)
@SHORT
def test_encodings(body: bytes, cut: int, encoding: str) -> None:
    """A body is decoded completely or rejected, never truncated."""
    packed = gzip.compress(body)
    for sent in (packed[:cut], packed, body):
        with suppress(IndexAnswerError):
            found = decompressed(Response(PAGE_URL, 200, {"content-encoding": encoding}, sent)).body
            assert found in ({body, b""} if encoding.endswith("gzip") else {sent})
            assert sent in (packed, body) or not encoding.endswith("gzip")


@example("http://user:s3cret@[x/")
@given(
    st.lists(
        st.sampled_from(("http", "://", "[", "]", "user:", "@", "#", "?", "/", "é", " ", "\n")) | st.text(max_size=5),
        max_size=9,
    ).map("".join)
)
@SHORT
def test_urls_are_shown_without_credentials(url: str) -> None:
    """Any URL can be shown in a message, without its user name and password."""
    display_url(url)
    assert "s3cret" not in display_url(f"http://user:s3cret@{url.replace('s3cret', '')}".replace("@@", "@"))


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf", "1e99", "²"])
@pytest.mark.parametrize("variable", ["MINGLIBC_HTTP_TIMEOUT", "MINGLIBC_HTTP_RETRIES"])
def test_numbers_from_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """A variable that is not a valid number is an error that names it."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        Limits.from_environment()


# METADATA, requirements, wheels


heads = st.lists(
    st.tuples(
        st.sampled_from(
            ("Name", "Version", "Requires-Dist", "Requires-Python", "Provides-Extra", "", " folded", "X\ny")
        ),
        texts,
    ),
    max_size=8,
).map(lambda rows: "".join(f"{name}: {value}\n" for name, value in rows))


def check_metadata(text: str) -> None:
    """Read METADATA and its requirements."""

    def read() -> None:
        environment = requirements.Environment(COMPATIBILITY.target.environment)
        for requirement in parse_metadata(text).requires_dist:
            with suppress(ValueError):
                environment.admits(requirements.parse(requirement).marker, "x")

    run_limited(read, ValueError)


@in_one_process
@example(f"Name: b\nVersion: 1\nRequires-Dist: c; {'(' * 1500}\n")
@example(f"Name: b\nVersion: 1\nRequires-Dist: c; python_version < '{'1' * 3900}'\n")
@example(f"Name: b\nVersion: 1\nRequires-Dist: c=={'1' * 5000}\n")
@given(heads)
@SHORT
def test_metadata(text: str) -> None:
    """METADATA and each requirement in it are read or rejected with a ValueError."""
    check_metadata(text)


@given(heads)
@LONG
@pytest.mark.nightly
def test_much_metadata(text: str) -> None:
    """The same with many more examples."""
    check_metadata(text)


def _archive(compression: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("b/__init__.py", "x = 1\n" * 20)
        archive.writestr("b-1.0.dist-info/METADATA", "Name: b\nVersion: 1.0\n" * 20)
    return stream.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_wheels_with_a_changed_byte(compression: int) -> None:
    """Reading METADATA from a wheel with any one byte changed returns bytes or raises a ValueError."""
    whole = _archive(compression)
    for position in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0xFF
        with suppress(ValueError):
            remote_metadata.read_wheel(bytes(spoiled))
        with suppress(ValueError):
            remote_metadata.read_wheel(whole[:position])


# Files of the project


SETTINGS = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["b"]\n[tool.minglibc]\nglibc = "2.17"\n'


def _lock_text() -> str:
    """A lock in minglibc's format."""
    document = {
        "lock-version": "1.0",
        "environments": [COMPATIBILITY.target.marker],
        "created-by": "minglibc",
        "packages": [
            {
                "name": name,
                "version": "1.0",
                "dependencies": needs,
                "wheels": [{"name": f"{name}-1.0-py3-none-any.whl", "url": f"https://example.invalid/{name}-1.0-py3-none-any.whl", "size": 9, "hashes": {"sha256": "ab" * 32}}],
            }
            for name, needs in (("b", [{"name": "c"}]), ("c", []))
        ],
    }  # fmt: skip
    inputs = lockfile.Inputs("sha256:" + "0" * 64, "https://example.invalid/simple/")
    return lockfile.dumps(document, [COMPATIBILITY.target], inputs)


LOCK = _lock_text()


def resealed(text: str) -> str:
    """The text with a matching digest."""
    body = text[: text.rindex('inputs = "')] if 'inputs = "' in text else text + "\n"
    return seal(body, "sha256:" + "0" * 64)


def read_locks(*texts: str) -> None:
    """Read locks and use them."""

    def read() -> None:
        for text in texts:
            digest.lock_digests(text)
            with suppress(LockError):
                lock = reader.loads(text)
                for target in lock.targets:
                    lock.select(target)
                    lock.versions(target)

    run_limited(read)


toml_pieces = st.one_of(
    st.sampled_from(
        (
            "[[packages]]\n",
            "[tool.minglibc]\n",
            "[tool]\n",
            "tool = 1\n",
            "= ",
            "[",
            "]",
            "{",
            "}",
            '"',
            "'''",
            "\n",
            "1" * 5000,
            "[" * 3000,
            "inf",
            "1979-05-27",
            "targets = []\n",
            "lock-format = true\n",
            "lock-format = 3\n",
            "hashes = {}\n",
            'name = "b"\n',
            "packages = 0\n",
            "lock-version = 1\n",
            'marker = "' + "(" * 500 + '"\n',
        )
    ),
    pieces,
)


@st.composite
def edits(draw: st.DrawFn, original: str) -> str:
    """The original with some parts replaced, removed or repeated."""
    text = original
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.sampled_from((0, 0, 1, 5, 40, 200))))
        put = draw(st.one_of(toml_pieces, st.just(""), st.just(text[start:stop] * 2)))
        text = text[:start] + put + text[stop:]
    return text


@in_one_process
@example(LOCK.replace("targets = [\n", "targets = []\nx = [\n"))
@example("tool = 1")
@example("a = " + "1" * 5000)
@example("a = " + "[" * 5000)
@example(LOCK.replace('"x86_64"', "5"))
@example(LOCK.replace('"x86_64"', '"vax"'))
@example(LOCK.replace('{ name = "c" }', '{ name = ["c"] }').replace('name = "c",', 'name = ["c"],'))
@given(edits(LOCK))
@SHORT
def test_locks(text: str) -> None:
    """A lock is read or rejected with a LockError, also if its digest was made to match."""
    read_locks(text, resealed(text))


@given(edits(LOCK))
@LONG
@pytest.mark.nightly
def test_many_locks(text: str) -> None:
    """The same with many more examples."""
    read_locks(text, resealed(text))


@given(edits(LOCK))
@SHORT
def test_edited_locks_are_rejected(text: str) -> None:
    """A lock that was edited is rejected, unless only its line endings differ."""
    if text.replace("\r\n", "\n") != LOCK:
        with pytest.raises(LockError):
            reader.loads(text)


def check_settings(text: str) -> None:
    """Read a pyproject.toml."""

    def read() -> None:
        digest.fingerprint(text)
        parse_settings(text)

    run_limited(read, SettingsError)


@in_one_process
@example("a = " + "1" * 5000)
@example("a = " + "[" * 5000)
@example(SETTINGS.replace('"b"', f'"b; {"(" * 3000}"'))
@example(SETTINGS.replace('"b"', f'"b=={"1" * 5000}"'))
@example(SETTINGS.replace('"2.17"', f'"2.{"1" * 5000}"'))
@given(edits(SETTINGS))
@SHORT
def test_settings(text: str) -> None:
    """pyproject.toml is read or rejected with a SettingsError; its fingerprint is computed in any case."""
    check_settings(text)


@given(edits(SETTINGS))
@LONG
@pytest.mark.nightly
def test_many_settings(text: str) -> None:
    """The same with many more examples."""
    check_settings(text)


REQUIREMENTS = "# tools\nb>=1 ; python_version < '4'  # why\n-r other.txt\n-c constraints.txt\n--pre\nc==1 \\\n  --hash=sha256:00\n"
SCRIPT = (
    '# /// script\n# requires-python = ">=3.9"\n# dependencies = ["b"]\n#\n# [tool.minglibc]\n# glibc = "2.17"\n# ///\n'
)


@in_one_process
@example("b \\\n" * 3000)
@example("b --hash='")
@example("b --hash=" * 2000)
@given(edits(REQUIREMENTS))
@SHORT
def test_requirements_files(text: str) -> None:
    """Any text is read as the lines of a requirements file; problems are lines as well."""

    def read() -> None:
        for line in lines(text):
            assert line.number >= 1

    run_limited(read)


@in_one_process
@example("# /// script\n" + "# x\n" * 20_000)
@example("# /// script\n" + "#\n" * 20_000 + "# //\n")
@example("# /// script\n# ///\n" * 2000)
@example("# /// a\n" * 20_000)
@given(edits(SCRIPT))
@SHORT
def test_scripts(text: str) -> None:
    """A script's block is returned, absent, or rejected with a ValueError."""
    run_limited(lambda: script_block(text), ValueError)


# The regular expression of PEP 723, which takes quadratic time if there is no block.
STANDARD = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@given(
    st.lists(
        st.sampled_from(("# /// script", "# /// other", "# ///", "# x = 1", "#", "", "x", "#x", "# /// ", "#  y")),
        max_size=14,
    )
)
def test_scripts_match_the_standard(text: list[str]) -> None:
    """The block is the one that PEP 723's regular expression matches."""
    whole = "\n".join(text)
    contents = [match["content"] for match in STANDARD.finditer(whole) if match["type"] == "script"]
    if len(contents) > 1:
        with pytest.raises(ValueError, match="more than one"):
            script_block(whole)
        return
    if not contents:
        # What looks like a block and is none may be an error.
        with contextlib.suppress(ValueError):
            assert script_block(whole) is None
        return
    lines = contents[0].splitlines(keepends=True)
    assert "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines) == script_block(whole)


# The cache


@given(st.binary(max_size=300), st.sampled_from(("pages", "journal")), st.integers(0, 100), st.booleans())
@SHORT
def test_cache_entries(
    tmp_path_factory: pytest.TempPathFactory,
    noise: bytes,
    kind: str,
    cut: int,
    in_place: bool,  # noqa: FBT001  Hypothesis gives it
) -> None:
    """Whatever the cache's files contain, an entry is what was written, or absent."""
    folder = tmp_path_factory.mktemp("cache")
    writer = Store(str(folder))
    value = ["b", 1, {"c": "é"}]
    if kind == "pages":
        writer.write("pages", "b", value, [b"one", b"two"])
    else:
        writer.note("journal", "b", value)
    (cached,) = (path for path in folder.rglob("*") if path.is_file())
    whole = cached.read_bytes()
    cached.write_bytes(whole[:cut] + noise + whole[cut + len(noise) if in_place else cut :])
    if kind == "pages":
        with contextlib.closing(Store(str(folder))) as reader, contextlib.suppress(CacheDamaged):
            entry = reader.read("pages", "b")
            assert entry is None or (entry.head == value and [b"one", b"two"] == list(entry.lines))
    else:
        assert Store(str(folder)).recall("journal", "b") in (None, value)


def test_errors_are_documented() -> None:
    """The errors that these tests ignore are errors with a message for users."""
    parsers: tuple[Callable[[], object], ...] = (lambda: reader.loads(""), lambda: parse_settings("="))
    for parser in parsers:
        with pytest.raises(MinglibcError):
            parser()
