"""Small inputs that expand, and large ones, are read or rejected in 300 MiB and 20 seconds, and never end in MemoryError."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from minglibc.audit import binaries
from minglibc.audit.elf import read_elf
from minglibc.build.sdist import open_sdist
from minglibc.config.parser import parse as parse_settings
from minglibc.errors import IndexAnswerError, LockError, MinglibcError, SettingsError, WheelError
from minglibc.index import remote_metadata
from minglibc.index.html_page import read_flat_page
from minglibc.index.json_page import read_project_json
from minglibc.index.pages import read_page
from minglibc.index.response import JSON_TYPE, Response
from minglibc.install.layout import Layout
from minglibc.install.wheel import check
from minglibc.lock import digest, reader
from minglibc.model import requirements, toml, versions
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.core_metadata import parse_metadata, parse_pkg_info
from minglibc.model.platform_tags import expand_tags
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from tests.support.elves import elf
from tests.support.limits import run_limited
from tests.support.sdists import Entry, entry_of, tar_of, tar_with_extended_headers
from tests.support.wheels import build_wheel, tamper

URL = "http://127.0.0.1/simple/b/"
LAYOUT = Layout("/x", "lib/site", "lib/site", "bin", "", "include", "/x/bin/python")
COMPATIBILITY = TargetCompatibility(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)))
SETTINGS = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["b"]\n[tool.minglibc]\nglibc = "2.17"\n'


def tag_set(count: int) -> str:
    """A compressed tag set with that many interpreters and ABIs."""
    interpreters, abis = (".".join(f"{letter}{i}" for i in range(count)) for letter in "pn")
    return f"py3.{interpreters}-none.{abis}-any"


# Pages


def read_all(body: bytes, kind: str = JSON_TYPE) -> None:
    """Read a page and check the files of some releases."""
    page = read_page(Response(URL, 200, {"content-type": kind}, body), "b")
    for index in range(0 if len(body) > 10_000_000 else len(page.versions)):
        COMPATIBILITY.best(page, index)
        COMPATIBILITY.rejections(page, index)


def json_page(*files: dict[str, object], times: int = 1) -> bytes:
    """A page with *files*, all of them *times* times."""
    entries = ",".join(json.dumps(file) for file in files)
    return f'{{"files": [{",".join([entries] * times)}]}}'.encode()


def file_named(filename: str, **fields: object) -> dict[str, object]:
    """An entry of a page."""
    return {"filename": filename, "url": "http://127.0.0.1/x", **fields}


WHEEL = file_named("b-1.0-py3-none-any.whl")
PAGES: dict[str, Callable[[], bytes]] = {
    "tag sets": lambda: json_page(*(file_named(f"b-1.0-{tag_set(n)}.whl") for n in (400, 2000, 20_000))),
    "tag sets of the longest names": lambda: json_page(
        *(file_named(f"b-1.{n}-{'.'.join('abcdefghijklmno')}-{'.'.join('abcdefghijklmno')}-any.whl") for n in range(9999))
    ),
    "a name of 50 MB": lambda: json_page(file_named(f"b-{'1.' * 25_000_000}-py3-none-any.whl")),
    "names of 250 characters": lambda: json_page(*(file_named(f"b-{'1.' * 110}{n}-py3-none-any.whl") for n in range(50_000))),
    "platforms": lambda: json_page(file_named(f"b-1.0-py3-none-{'.'.join(f'any{n}' for n in range(99_999))}.whl")),
    "build tags": lambda: json_page(file_named(f"b-1.0-{'1' * 5000}-py3-none-any.whl"), file_named(f"b-1.0-{'1' * 200}-py3-none-any.whl")),
    "a URL of 50 MB": lambda: json_page({**WHEEL, "url": "x" * 50_000_000}),
    "relative URLs": lambda: json_page({**WHEEL, "url": "../" * 1_000_000}),
    "a reason of 50 MB": lambda: json_page({**WHEEL, "yanked": "\x1b" * 5_000_000}),
    "Requires-Python": lambda: json_page({**WHEEL, "requires-python": ">=3," * 2_000_000}),
    "Requires-Python's digits": lambda: json_page({**WHEEL, "requires-python": ">=" + "3" * 2_000_000}),
    "hashes": lambda: json_page({**WHEEL, "hashes": {f"{n}": "00" for n in range(1_000_000)}}),
    "a size": lambda: json_page(WHEEL).replace(b'"url"', b'"size": %b, "url"' % (b"9" * 4000)),
    "2,000,000 files": lambda: json_page({"filename": "b", "url": ""}, times=2_000_000),
    "250,000 files": lambda: json_page({**WHEEL, "hashes": {"sha256": "0" * 64}}, times=250_000),
    "700,000 files": lambda: json_page({"filename": "b", "url": ""}, times=700_000),
    "700,000 wheels": lambda: json_page({"filename": "b-1-py3-none-any.whl", "url": ""}, times=700_000),
    "lists": lambda: b'{"files": [], "x": [' + b"[]," * 20_000_000 + b"[]]}",
    "strings": lambda: b'{"files": [], "versions": [' + b'"",' * 20_000_000 + b'""]}',
    "projects": lambda: b'{"files": [' + b"null," * 20_000_000 + b"null]}",
}  # fmt: skip


@pytest.mark.parametrize("case", PAGES)
def test_json_pages(case: str) -> None:
    """Pages in JSON, of the index and of the project JSON API."""
    body = PAGES[case]()
    run_limited(partial(read_all, body), IndexAnswerError)
    if body.startswith(b'{"files": [{'):
        release = body.replace(b'{"files":', b'{"releases": {"1":') + b"}"
        run_limited(partial(read_project_json, Response(URL, 200, {}, release), "b"), IndexAnswerError)


HTML: dict[str, Callable[[], bytes]] = {
    "<a": lambda: b"<a " * 10_000_000,
    "<a >": lambda: b"<a " * 10_000_000 + b">",
    "attributes": lambda: b"<a " + b"b " * 10_000_000 + b">",
    "values": lambda: b"<a href='" + b"b " * 10_000_000 + b"'>",
    "hrefs of 4 kB": lambda: (b"<a href=" + b"b/" * 2000 + b">") * 7000,
    "entities in a value": lambda: b"<a href='" + b"&#" * 100_000 + b"'>",
    "comments": lambda: b"<!--" * 7_000_000,
    "declarations": lambda: b"<![" * 9_000_000,
    "processing": lambda: b"<?" * 9_000_000,
    "ends": lambda: b"</" * 9_000_000,
    "text": lambda: b"x" * 30_000_000,
    "scripts": lambda: b"<script>" * 3_000_000,
    "100 MiB": lambda: b">" * (100 << 20),
}
# What costs most: pages close to the limits of html_page, which are 48 MiB and a cost of 800,000.
LARGEST_HTML: dict[str, Callable[[], bytes]] = {
    "too many links": lambda: b"<a href=x>" * 3_000_000,
    "too many named links": lambda: b"<a href=b-1-py3-none-any.whl>" * 1_000_000,
    "tags of 4 kB": lambda: (b"<a " + b"b " * 2000 + b">") * 7000,
    "too many references": lambda: b"&lt" * 10_000_000,
    "too many comments": lambda: b"<!-->" * 6_000_000,
    "tags": lambda: b"<b>" * 790_000,
    "ends": lambda: b"</b>" * 790_000,
    "text": lambda: b"x" * (48 << 20),
    "links": lambda: b"<a href=x>" * 190_000,
    "named links": lambda: b"<a href=b-1-py3-none-any.whl>" * 190_000,
    "long links": lambda: b"".join(b"<a href=%d/%b/b-1-py3-none-any.whl>" % (n, b"b" * 200) for n in range(190_000)),
    "links of one value": lambda: b"".join(b"<a href=%d%b>" % (n, b"b" * 200_000) for n in range(250)),
    "other links of one value": lambda: "".join(f"<a href=\U0001f600{'b' * 200_000}>" for _ in range(200)).encode(),
    "attributes": lambda: (b"<a " + b"".join(b"b%d=1 " % n for n in range(30_000)) + b">") * 26,
    "attributes of one tag": lambda: b"x" * (1 << 18) + b"<a " + b"".join(b"%x " % n for n in range(130_000)) + b">",
    "spaces": lambda: (b"<a" + b" " * 250_000 + b">") * 200,
    "slashes": lambda: (b"<a " + b"/ " * 125_000 + b">") * 200,
    "values": lambda: (b"<a b='" + b"b " * 120_000 + b"'>") * 200,
    "comments": lambda: (b"<!--" + b"- " * 125_000 + b"-->") * 200,
    "scripts": lambda: (b"<script>" + b"</b" * 1900 + b"x" * 245_000 + b"</script>") * 200,
    "references": lambda: b"&#9;" * 4_700_000 + b"<b>",
    "references in values": lambda: (b"<a b='" + b"&#9;" * 50_000 + b"'>") * 94,
    "declarations": lambda: (b"<![cdata[" + b"b " * 120_000 + b">") * 200,
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [*HTML, *(pytest.param(f"largest: {case}", marks=pytest.mark.slow) for case in LARGEST_HTML)]
)
def test_html_pages(case: str) -> None:
    """Pages in HTML, of a project and of all projects."""
    largest = case.removeprefix("largest: ")
    body = HTML[case]() if largest == case else LARGEST_HTML[largest]()
    run_limited(partial(read_all, body, "text/html"), IndexAnswerError)
    flat = Response(URL, 200, {"content-type": "text/html"}, body)
    run_limited(partial(read_flat_page, flat), IndexAnswerError)


# Names, metadata, settings, locks

METADATA: dict[str, Callable[[], str]] = {
    "requirements": lambda: "Requires-Dist: a\n" * 400_000,
    "extras": lambda: "Provides-Extra: a\n" * 400_000,
    "a requirement": lambda: f"Requires-Dist: a{'>=1,' * 2_000_000}\n",
    "a marker": lambda: f"Requires-Dist: a; {'(' * 8_000_000}\n",
    "folded lines": lambda: "Requires-Dist: a\n" + " b\n" * 2_500_000,
    "control characters": lambda: f"Requires-Dist: {chr(27) * 8_000_000}\n",
    "a version": lambda: f"Version: {'1' * 8_000_000}\n",
    "parts of a version": lambda: f"Version: {'1.' * 4_000_000}1\n",
    "a name": lambda: f"Name: {'a-' * 4_000_000}a\n",
    "fields": lambda: "a:\n" * 2_500_000,
    "carriage returns": lambda: "a:\r" * 2_500_000,
    "Requires-Python": lambda: f"Requires-Python: {'>=3,' * 2_000_000}\n",
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata(case: str) -> None:
    """METADATA and PKG-INFO of 8 MiB, and their requirements."""
    text = f"Metadata-Version: 2.2\n{METADATA[case]()}Name: b\nVersion: 1.0\n"

    def read() -> None:
        for parse in (parse_metadata, parse_pkg_info):
            metadata = parse(text)
            for requirement in metadata.requires_dist if metadata else ():
                requirements.parse(requirement)
            if metadata:
                versions.normalize(metadata.version)
                versions.contains(metadata.requires_python, "3.11")

    run_limited(read, ValueError)


@pytest.mark.parametrize("count", [30, 500, 20_000])
def test_tag_sets(count: int) -> None:
    """The parts of a compressed tag set multiply, and are not expanded beyond some hundred tags."""
    run_limited(lambda: expand_tags(tag_set(count)))
    assert len(expand_tags(tag_set(count))) == 1
    assert len(expand_tags(tag_set(9))) == 100


TOML: dict[str, Callable[[], str]] = {
    "a dotted key": lambda: f"{'.'.join('a' * 20_000)} = 1\n",
    "spaces around dots": lambda: f"{' . '.join('a' * 20_000)} = 1\n",
    "quoted parts": lambda: ".".join(['"a"'] * 20_000) + " = 1\n",
    "literal parts": lambda: ".".join(["'#'"] * 20_000) + " = 1\n",
    "a dotted table": lambda: f"[{'.'.join('a' * 20_000)}]\n",
    "a dotted array": lambda: f"[[{'.'.join('a' * 20_000)}]]\n",
    "an inline key": lambda: f"b = {{ {'.'.join('a' * 20_000)} = 1 }}\n",
    "after a string": lambda: f'b = """\n"" #\n"""\n{".".join("a" * 20_000)} = 1\n',
    "many dotted tables": lambda: "".join(f"[{'.'.join(['a'] * 90)}.b{n}]\n" for n in range(5000)),
    "arrays": lambda: "a = " + "[" * 1_000_000,
    "inline tables": lambda: "a = " + "{a = " * 1_000_000,
    "an integer": lambda: "a = " + "1" * 1_000_000,
    "a float": lambda: "a = " + "1" * 1_000_000 + ".0",
    "strings": lambda: 'a = "' + "\\u0041" * 100_000 + '"',
    "open strings": lambda: 'a = """' + '"" \\' * 200_000,
    "open strings with dots": lambda: 'a = "' + "." * 200_000 + "\n'" * 1000,
    "keys of sixty parts": lambda: "".join(f"x{n}{'.a' * 60} = 1\n" for n in range(3000)),
    "tables of fifty parts": lambda: "".join(f"[x{f'.y{n}' * 50}]\n" for n in range(10_000)),
    "tables of three parts": lambda: "".join(f"[a{n}.b.c]\n" for n in range(150_000)),
    "a long string with dots": lambda: f'x = "{"a." * 2_500_000}"\n',
    "20 MB": lambda: "#" * 20_000_000,
    "comments": lambda: "#.\n" * 1_000_000,
}


@pytest.mark.parametrize("case", TOML)
def test_toml(case: str) -> None:
    """Settings and locks."""
    text = TOML[case]()
    run_limited(lambda: parse_settings(text + SETTINGS), SettingsError)
    run_limited(lambda: parse_settings(SETTINGS + text), SettingsError)
    run_limited(lambda: digest.fingerprint(text + SETTINGS))
    run_limited(lambda: reader.loads(text), LockError)


def test_a_long_string_with_dots_is_no_key() -> None:
    """A string may have many dots, wherever it is."""
    dots = "." * 500
    for text in (f'a = "{dots}"', f"a = '{dots}'", f'a = """\n{dots}"""', f"# {dots}", f'a = ["{dots}", "\\"{dots}"]'):
        assert toml.loads(text) is not None


LOCK = (
    'lock-version = "1.0"\ncreated-by = "minglibc"\nenvironments = []\n[[packages]]\nname = "b"\nversion = "1"\n'
    'wheels = [{{ {where} = "{name}", hashes = {{ sha256 = "%s" }} }}]\n[tool.minglibc]\nlock-format = 1\n'
) % ("0" * 64)


@pytest.mark.parametrize("where", ["name", "url", "path"])
@pytest.mark.parametrize("quote", [str, lambda name: name.replace(".", "%2e")])
def test_wheels_of_locks(where: str, quote: Callable[[str], str]) -> None:
    """The tags in a lock's file names, which packaging expands."""
    text = LOCK.format(where=where, name=quote(f"b-1.0-{tag_set(3000)}.whl"))
    run_limited(lambda: reader.loads(text), LockError)


# Archives


def long_names(depth: int, count: int) -> dict[str, str]:
    """Files in folders that are nested *depth* levels."""
    return {f"{n:05}{'/a' * depth}/f": "" for n in range(count)}


WHEELS: dict[str, Callable[[], bytes]] = {
    "one long name": lambda: tamper(build_wheel("b", "1.0"), add=long_names(32_000, 1)).content,
    "long names": lambda: tamper(build_wheel("b", "1.0"), add=long_names(32_000, 12)).content,
    "long parts": lambda: tamper(build_wheel("b", "1.0"), add={f"b/{'x' * 5000}": ""}).content,
    "many folders": lambda: tamper(build_wheel("b", "1.0"), add=long_names(60, 20_000)).content,
    "members": lambda: b"".join([b"PK\1\2" + bytes(42)] * 300_000) + b"PK\5\6" + bytes(8) + (46 * 300_000).to_bytes(4, "little") + bytes(6),
    "tags": lambda: build_wheel("b", "1.0", wheel_tags=[tag_set(500)]).content,
    "lines of tags": lambda: build_wheel("b", "1.0", wheel_tags=[tag_set(9)] * 50_000).content,
    "a long path in RECORD": lambda: with_record(f"{'a/' * 30_000}f,sha256=x,1\n"),
    "rows of RECORD": lambda: with_record("".join(f"{n},,\n" for n in range(2_000_000))),
    "fields of RECORD": lambda: with_record("," * 8_000_000),
    "quotes in RECORD": lambda: with_record('"\n' * 4_000_000),
    "METADATA": lambda: build_wheel("b", "1.0", metadata_extra="A: b\n" * 4_000_000).content,
    "requirements": lambda: build_wheel("b", "1.0", requires=["a"] * 400_000).content,
    "scripts": lambda: build_wheel("b", "1.0", scripts={f"s{n}": "b:f" for n in range(300_000)}).content,
    "a long script": lambda: build_wheel("b", "1.0", scripts={"a" * 5_000_000: "b:f"}).content,
    "an entry point": lambda: build_wheel("b", "1.0", scripts={"a": "b:" + "f." * 2_000_000}).content,
    "extras of an entry point": lambda: build_wheel("b", "1.0", scripts={"a": "b:f " + "[" * 2_000_000}).content,
}  # fmt: skip


def with_record(rows: str) -> bytes:
    """A wheel of b whose RECORD has further *rows*."""
    with zipfile.ZipFile(io.BytesIO(build_wheel("b", "1.0").content)) as archive:
        record = archive.read("b-1.0.dist-info/RECORD").decode()
    return tamper(build_wheel("b", "1.0"), replace={"b-1.0.dist-info/RECORD": record + rows}).content


@pytest.mark.parametrize("case", WHEELS)
def test_wheels(case: str, tmp_path: Path) -> None:
    """A wheel's directory, RECORD, WHEEL, METADATA and entry points, for each of their readers."""
    path = tmp_path / "b-1.0-py3-none-any.whl"
    content = WHEELS[case]()
    path.write_bytes(content)
    run_limited(lambda: check(str(path), path.name, LAYOUT), WheelError)
    run_limited(lambda: remote_metadata.read_wheel(content), ValueError)
    run_limited(lambda: binaries.of_wheel(str(path), path.name), WheelError)


def pax(*members: tuple[str, dict[str, str]], headers: int = 0) -> bytes:
    """A source distribution with these members, their extended headers, and that many global headers."""
    raw = io.BytesIO()
    with tarfile.open(
        fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, pax_headers={f"k{n}": "v" for n in range(headers)}
    ) as archive:
        for name, own in members:
            entry = tarfile.TarInfo(name)
            entry.pax_headers = own
            archive.addfile(entry)
    return gzip.compress(raw.getvalue(), 1)


def links(count: int, kind: bytes, target: Callable[[int], str]) -> list[Entry]:
    """That many links, to what *target* names."""
    return [entry_of(f"b-1.0/{n}", type=kind, linkname=target(n)) for n in range(count)]


SDISTS: dict[str, Callable[[], bytes]] = {
    "a long name": lambda: pax(("b-1.0/x", {"path": f"b-1.0{'/a' * 500_000}/f"})),
    "global headers": lambda: pax(*((f"b-1.0/{n}", {"comment": "x"}) for n in range(5000)), headers=20_000),
    "members": lambda: tar_of([entry_of(f"b-1.0/{n}") for n in range(120_000)]),
    "symbolic links": lambda: tar_of([*links(30_000, tarfile.SYMTYPE, lambda _: "x"), entry_of("b-1.0/x")]),
    "hard links": lambda: tar_of([entry_of("b-1.0/x"), *links(30_000, tarfile.LNKTYPE, lambda _: "b-1.0/x")]),
    "a chain of links": lambda: tar_of(links(30_000, tarfile.SYMTYPE, lambda n: str(n + 1))),
    "a circle of links": lambda: tar_of(links(1000, tarfile.SYMTYPE, lambda n: str((n + 1) % 1000))),
    "a long link": lambda: tar_of(links(100, tarfile.SYMTYPE, lambda _: "a/" * 100_000)),
    "folders": lambda: tar_of([entry_of(f"b-1.0/{n}{'/a' * 60}") for n in range(20_000)]),
    "sparse": lambda: pax(("b-1.0/x", {"GNU.sparse.map": "0," * 1_000_000 + "0", "GNU.sparse.major": "0"})),
    "numbers in extended headers": lambda: tar_with_extended_headers(b"1" * 16_384, 1000),
    "shorter numbers": lambda: tar_with_extended_headers((b"1" * 99 + b" ") * 160, 3000),
    "records": lambda: tar_with_extended_headers(b"9 aa=bbb\n" * 1800, 3000),
    "keys": lambda: tar_with_extended_headers(b"".join(b"11 k%03d=v1\n" % n for n in range(90)), 20_000),
    "times": lambda: pax(("b-1.0/x", {"mtime": "9" * 100_000})),
}  # fmt: skip


@pytest.mark.parametrize("case", SDISTS)
def test_sdists(case: str, tmp_path: Path) -> None:
    """The members and links of source distributions."""
    path = tmp_path / "b-1.0.tar.gz"
    path.write_bytes(SDISTS[case]())

    def read() -> None:
        with open_sdist(str(path), path.name) as archive:
            archive.pkg_info()

    run_limited(read, WheelError)


def test_zipped_sdists(tmp_path: Path) -> None:
    """The same for the members of .zip archives."""
    for case in ("one long name", "long names", "many folders", "members"):
        path = tmp_path / "b-1.0.zip"
        path.write_bytes(WHEELS[case]())

        def read(path: Path = path) -> None:
            with open_sdist(str(path), path.name) as archive:
                archive.pkg_info()

        run_limited(read, WheelError)


pytestmark = pytest.mark.slow


ELF = elf(needs={"libc.so.6": ["GLIBC_2.17"]}, executable=True)


@pytest.mark.parametrize("value", [b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\x0f\x00\x00\x00\x00", b"\x01" + b"\0" * 7])
def test_elf_files(value: bytes) -> None:
    """An ELF file of 128 MiB in which any eight bytes of the first two kilobytes have another value."""
    padding = bytes(128 << 20)

    def read() -> None:
        for position in range(16, min(len(ELF), 2048), 8):
            stream = io.BytesIO(ELF[:position] + value + ELF[position + 8 :] + padding)
            try:
                read_elf(stream)
            except MinglibcError:
                continue

    run_limited(read, memory=600 << 20, seconds=60)
