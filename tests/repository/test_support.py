"""Tests of tests/support: wheels, the index, its faults, scenarios and the isolation of tests."""

import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from installer.sources import WheelFile
from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.faults import FAULTS, Fault
from tests.support.index import HTML_PAGE, JSON_PAGE, OLD_HTML, IndexServer
from tests.support.scenarios import ScenarioError, load, load_file
from tests.support.wheels import BuiltWheel, build_wheel, metadata_text, record_hash, tamper

SLOW_TO_MAKE = {"N80"}


class Reply(NamedTuple):
    """The response that a client received."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def get(server: IndexServer, path: str, *, method: str = "GET", **headers: str) -> Reply:
    """Send a request on a new connection; underscores in header names are replaced by hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def page_of(server: IndexServer, name: str) -> Any:
    """The JSON page of a project."""
    return get(server, f"/simple/{name}/", Accept=JSON_PAGE).json()


def archive(wheel: BuiltWheel) -> zipfile.ZipFile:
    """The wheel, opened as an archive."""
    return zipfile.ZipFile(io.BytesIO(wheel.content))


@contextmanager
def opened_wheel(wheel: BuiltWheel, folder: Path) -> Iterator[WheelFile]:
    """The wheel, opened by installer."""
    path = folder / wheel.filename
    path.write_bytes(wheel.content)
    with WheelFile.open(path) as source:
        yield source


# Wheels


def test_built_wheel_is_valid(tmp_path: Path) -> None:
    """installer accepts the wheel's RECORD and all hashes."""
    wheel = build_wheel("Some.Thing", "1.0", "cp311-cp311-manylinux_2_17_x86_64", scripts={"x": "some_thing:main"})
    assert wheel.filename == "some_thing-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    with opened_wheel(wheel, tmp_path) as source:
        source.validate_record(validate_contents=True)
        assert source.dist_info_filenames == ["METADATA", "WHEEL", "entry_points.txt", "RECORD"]


def test_built_wheel_is_reproducible() -> None:
    """The same arguments give the same bytes, different arguments give different bytes."""
    assert build_wheel("a", "1.0") == build_wheel("a", "1.0")
    assert build_wheel("a", "1.0").sha256 != build_wheel("a", "1.0", requires=["b"]).sha256


def test_metadata_of_a_built_wheel() -> None:
    """Requirements, extras and Requires-Python are in METADATA, in the wheel and on the index."""
    wheel = build_wheel("a", "1.0", requires=["b; extra == 'x'"], provides_extra=["x"], requires_python=">=3.9")
    raw, unknown = parse_email(wheel.metadata)
    assert not unknown
    assert (raw["requires_dist"], raw["provides_extra"], raw["requires_python"]) == (
        ["b; extra == 'x'"],
        ["x"],
        ">=3.9",
    )
    with archive(wheel) as opened:
        assert wheel.metadata == opened.read("a-1.0.dist-info/METADATA")


def test_wheel_lists_all_tags() -> None:
    """WHEEL has all tags of a compressed tag set, and the build number."""
    wheel = build_wheel("a", "1.0", "py2.py3-none-any", build="3")
    with archive(wheel) as opened:
        lines = opened.read("a-1.0.dist-info/WHEEL").decode().splitlines()
    assert wheel.filename == "a-1.0-3-py2.py3-none-any.whl"
    assert lines[2:] == ["Root-Is-Purelib: true", "Tag: py2-none-any", "Tag: py3-none-any", "Build: 3"]


def test_tamper() -> None:
    """Members are added, renamed, linked and removed; RECORD is updated unless *record* is false."""
    good = build_wheel("a", "1.0")
    with archive(tamper(good, add={"..\\x": "y"}, symlinks={"a/link": "/etc"}, prefix=b"junk")) as spoiled:
        assert {"..\\x", "a/link"} <= set(spoiled.namelist())
        assert stat.S_ISLNK(spoiled.getinfo("a/link").external_attr >> 16)
        assert f"a/link,{record_hash(b'/etc')},4\n" in spoiled.read("a-1.0.dist-info/RECORD").decode()
    with archive(tamper(good, replace={"a/__init__.py": "other"}, record=False)) as spoiled:
        assert record_hash(b"other") not in spoiled.read("a-1.0.dist-info/RECORD").decode()
    with pytest.raises(LookupError, match="no member nothing"):
        tamper(good, remove=["nothing"])


# The index


def test_json_page(index: IndexServer) -> None:
    """The JSON page has all fields of PEP 691, 700, 714 and 792."""
    wheel = build_wheel("a", "1.0", requires_python=">=3.9")
    index.add(wheel, yanked="why", upload_time="2026-02-03T04:05:06.000000Z")
    index.project_status("a", "deprecated", "use b")
    page = page_of(index, "a")
    assert (page["meta"]["api-version"], page["name"], page["versions"]) == ("1.4", "a", ["1.0"])
    assert page["project-status"] == {"status": "deprecated", "reason": "use b"}
    metadata_hash = {"sha256": hashlib.sha256(wheel.metadata).hexdigest()}
    assert page["files"] == [
        {
            "filename": wheel.filename,
            "url": f"{index.origin}/files/{wheel.filename}",
            "hashes": {"sha256": wheel.sha256},
            "requires-python": ">=3.9",
            "size": len(wheel.content),
            "upload-time": "2026-02-03T04:05:06.000000Z",
            "yanked": "why",
            "core-metadata": metadata_hash,
            "dist-info-metadata": metadata_hash,
        }
    ]


def test_html_page(index: IndexServer) -> None:
    """The HTML page has the attributes of PEP 503, 592, 658 and 792, escaped."""
    wheel = build_wheel("a", "1.0", requires_python=">=3.9")
    index.add(wheel, yanked='"bad"')
    index.project_status("a", "archived")
    reply = get(index, "/simple/a/", Accept=HTML_PAGE)
    assert reply.headers["Content-Type"] == f"{HTML_PAGE}; charset=utf-8"
    for part in (
        f'href="{index.origin}/files/{wheel.filename}#sha256={wheel.sha256}"',
        'data-requires-python="&gt;=3.9"',
        'data-yanked="&quot;bad&quot;"',
        f'data-core-metadata="sha256={hashlib.sha256(wheel.metadata).hexdigest()}"',
        '<meta name="pypi:project-status" content="archived">',
    ):
        assert part in reply.body.decode()


@pytest.mark.parametrize(
    ("options", "accept", "expected"),
    [
        ({}, f"{JSON_PAGE}, {OLD_HTML};q=0.1", JSON_PAGE),
        ({}, "*/*", f"{OLD_HTML}; charset=utf-8"),
        ({}, f"{JSON_PAGE};q=0.2, {OLD_HTML}", f"{OLD_HTML}; charset=utf-8"),
        ({"html_only": True}, JSON_PAGE, f"{OLD_HTML}; charset=utf-8"),
        ({"json_only": True}, OLD_HTML, JSON_PAGE),
    ],
)
def test_content_negotiation(options: dict[str, Any], accept: str, expected: str) -> None:
    """The client selects the format of a page, if the server supports it."""
    with IndexServer(**options) as server:
        server.add(build_wheel("a", "1.0"))
        assert expected == get(server, "/simple/a/", Accept=accept).headers["Content-Type"]


def test_unknown_paths(index: IndexServer) -> None:
    """Unknown projects, files and paths are 404; names that are not normalized are redirected."""
    index.add(build_wheel("a-b", "1.0"))
    unknown = ["/simple/b/", "/files/b-1.0-py3-none-any.whl", "/pypi/b/json", "/other/a_b-1.0-py3-none-any.whl", "/"]
    assert [404] * len(unknown) == [get(index, path).status for path in unknown]
    assert get(index, "/simple/A_b").headers["Location"] == "/simple/a-b/"


def test_files_and_metadata(index: IndexServer) -> None:
    """A file and its METADATA are served unchanged, and HEAD returns only headers."""
    wheel = build_wheel("a", "1.0+cpu")
    index.add(wheel)
    url = page_of(index, "a")["files"][0]["url"]
    path = urlsplit(url).path
    assert wheel.content == get(index, path).body
    assert wheel.metadata == get(index, f"{path}.metadata").body
    head = get(index, path, method="HEAD")
    assert (b"", str(len(wheel.content))) == (head.body, head.headers["Content-Length"])


@pytest.mark.parametrize(
    ("range_header", "status", "expected"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=10-99999999", 206, slice(10, None)),
        ("bytes=99999999-", 416, slice(0, 0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_ranges(index: IndexServer, range_header: str, status: int, expected: slice) -> None:
    """Range requests work (RFC 9110), unless an option disables them."""
    wheel = build_wheel("a", "1.0")
    index.add(wheel)
    reply = get(index, f"/files/{wheel.filename}", Range=range_header)
    assert (status, wheel.content[expected]) == (reply.status, reply.body)
    index.ranges = False
    assert (200, wheel.content) == get(index, f"/files/{wheel.filename}", Range=range_header)[::2]


def test_etags_and_freshness(index: IndexServer) -> None:
    """A page has an ETag and a max-age; a conditional request is 304 until something is published."""
    index.add(build_wheel("a", "1.0"))
    first = get(index, "/simple/a/", Accept=JSON_PAGE)
    assert first.headers["Cache-Control"] == "max-age=600, public"
    again = get(index, "/simple/a/", Accept=JSON_PAGE, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    index.add(build_wheel("a", "2.0"))
    assert get(index, "/simple/a/", Accept=JSON_PAGE, If_None_Match=first.headers["ETag"]).status == 200
    index.etags, index.max_age = False, None
    bare = get(index, "/simple/a/", Accept=JSON_PAGE).headers
    assert "ETag" not in bare
    assert "Cache-Control" not in bare


def test_gzip(index: IndexServer) -> None:
    """A page is compressed only for clients that accept gzip."""
    index.add(build_wheel("a", "1.0"))
    plain = get(index, "/simple/a/")
    zipped = get(index, "/simple/a/", Accept_Encoding="gzip, br")
    assert plain.body == gzip.decompress(zipped.body)
    assert (plain.headers["Content-Encoding"], zipped.headers["Content-Encoding"]) == (None, "gzip")


@pytest.mark.parametrize("base", [True, "../../packages/packages/", "../../../root/files/"])
def test_relative_urls(index: IndexServer, base: bool | str) -> None:  # noqa: FBT001  the type of the option
    """Relative URLs of files work with any base."""
    wheel = build_wheel("a", "1.0")
    index.add(wheel)
    index.relative_urls = base
    url = page_of(index, "a")["files"][0]["url"]
    assert url.startswith("../../")
    assert wheel.content == get(index, "/" + url.replace("../", "")).body


def test_core_metadata_options(index: IndexServer) -> None:
    """A page can omit core-metadata, and the metadata file can be missing."""
    index.add(build_wheel("a", "1.0"))
    index.strip_core_metadata = True
    assert "core-metadata" not in page_of(index, "a")["files"][0]
    assert get(index, "/files/a-1.0-py3-none-any.whl.metadata").status == 200
    index.serve_metadata = False
    assert get(index, "/files/a-1.0-py3-none-any.whl.metadata").status == 404


def test_project_json(index: IndexServer) -> None:
    """The project JSON API has the newest final release, all files and known vulnerabilities."""
    for version in ("1.0", "10.0", "9.0", "11.0b1"):
        index.add(build_wheel("a", version, requires=["b"]))
    index.vulnerability("a", "10.0", "EX-1", fixed_in=["11.0"])
    document = get(index, "/pypi/a/json").json()
    assert (document["info"]["version"], document["info"]["requires_dist"]) == ("10.0", ["b"])
    assert list(document["releases"]) == ["1.0", "9.0", "10.0", "11.0b1"]
    assert [(one["id"], one["fixed_in"]) for one in document["vulnerabilities"]] == [("EX-1", ["11.0"])]
    assert get(index, "/pypi/a/9.0/json").json()["info"]["version"] == "9.0"
    assert get(index, "/pypi/a/9.0/json").json()["vulnerabilities"] == []
    index.version_json = False
    assert [get(index, path).status for path in ("/pypi/a/9.0/json", "/pypi/a/json")] == [404, 200]
    index.project_json = False
    assert get(index, "/pypi/a/json").status == 404


def test_credentials(index: IndexServer) -> None:
    """Requests without the correct user name and password are 401."""
    index.credentials = ("me", "secret")
    index.add(build_wheel("a", "1.0"))
    assert get(index, "/simple/a/").status == 401
    assert get(index, "/simple/a/", Authorization="Basic bWU6c2VjcmV0").status == 200


def test_requests_are_recorded(index: IndexServer) -> None:
    """Requests are recorded with their headers and status, until reset."""
    index.add(build_wheel("a", "1.0"))
    get(index, "/simple/a/", User_Agent="me")
    get(index, "/simple/b/")
    assert [(one.method, one.path, one.status) for one in index.requests] == [
        ("GET", "/simple/a/", 200),
        ("GET", "/simple/b/", 404),
    ]
    assert index.requests[0].headers["user-agent"] == "me"
    assert index.paths("*/b/") == ["/simple/b/"]
    index.reset()
    assert index.requests == []


def test_connections_are_kept(index: IndexServer) -> None:
    """Many requests use one connection."""
    for number in range(20):
        index.add(build_wheel(f"p{number}", "1.0"))
    connection = http.client.HTTPConnection("127.0.0.1", index.port, timeout=30)
    for number in range(200):
        connection.request("GET", f"/simple/p{number % 20}/", headers={"Accept": JSON_PAGE})
        connection.getresponse().read()
    connection.close()
    assert index.connections == 1


def test_sdists_and_removal(index: IndexServer) -> None:
    """A source distribution has no core-metadata; a removed file is neither listed nor served."""
    index.add_sdist("a", "1.0")
    assert [(one["filename"], "core-metadata" in one) for one in page_of(index, "a")["files"]] == [
        ("a-1.0.tar.gz", False)
    ]
    index.remove("a-1.0.tar.gz")
    assert page_of(index, "a")["files"] == []
    assert get(index, "/files/a-1.0.tar.gz").status == 404


@pytest.mark.slow
def test_pip_uses_the_index(index: IndexServer, tmp_path: Path) -> None:
    """Pip downloads a wheel and its dependency from this index, and checks their hashes."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    command = [sys.executable, "-m", "pip", "download", "-q", "--isolated", "--disable-pip-version-check", "a"]
    command += ["--index-url", index.url, "--dest", str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})
    assert sorted(os.listdir(tmp_path)) == ["a-1.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"]


# Faults


def test_all_faults_are_defined() -> None:
    """N01 to N82 are defined."""
    assert [f"N{number:02}" for number in range(1, 83)] == list(FAULTS)


@pytest.mark.parametrize("row", sorted(FAULTS.keys() - SLOW_TO_MAKE))
def test_faults_only_affect_b(index: IndexServer, row: str) -> None:
    """No fault changes the page of a."""
    FAULTS[row](index)
    assert page_of(index, "a")["files"][0]["filename"] == "a-1.0-py3-none-any.whl"


@pytest.mark.parametrize("row", ["N10", "N11", "N30"])
def test_server_stops_during_a_fault(row: str) -> None:
    """The server stops while a client waits for a response."""
    server = IndexServer().start()
    FAULTS[row](server)
    path = "/files/b-1.0-py3-none-any.whl" if row == "N30" else "/simple/b/"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not server.requests:
            time.sleep(0.001)
        server.stop()
        with suppress(ConnectionResetError):
            while client.recv(65536):
                pass


def test_faults_run_out(index: IndexServer) -> None:
    """A fault that occurs twice is followed by the regular response."""
    FAULTS["N05"](index)
    replies = [get(index, "/simple/b/") for _ in range(3)]
    assert [(one.status, one.headers["Retry-After"]) for one in replies] == [(429, "1"), (429, "1"), (200, None)]


def test_broken_connections(index: IndexServer) -> None:
    """The client detects a truncated body and a TCP reset."""
    index.add(build_wheel("a", "1.0"))
    index.fault("/simple/a/", Fault.cut(), times=1)
    index.fault("/simple/a/", Fault.reset(), times=1)
    with pytest.raises(http.client.IncompleteRead):
        get(index, "/simple/a/")
    with pytest.raises(ConnectionResetError):
        get(index, "/simple/a/")
    assert get(index, "/simple/a/").status == 200


def test_gzip_bomb(index: IndexServer) -> None:
    """A bomb is a thousandth of what it becomes, and is the correct page after all its blanks."""
    index.add(build_wheel("b", "1.0"))
    index.fault("/simple/b/", Fault.gzip_bomb(10_000_001))
    reply = get(index, "/simple/b/", Accept=JSON_PAGE)
    assert len(reply.body) < 30_000
    swollen = gzip.decompress(reply.body)
    assert (len(swollen) - len(swollen.lstrip()), json.loads(swollen)["name"]) == (10_000_001, "b")


def test_another_host(index: IndexServer) -> None:
    """A redirect leads to a second index with another host name, which records its requests."""
    FAULTS["N23"](index)
    location = get(index, "/simple/b/").headers["Location"]
    assert location == f"{index.other.url}b/"
    assert urlsplit(location).hostname != urlsplit(index.url).hostname
    assert get(index.other, "/simple/b/", Authorization="Basic x").status == 200
    assert index.other.requests[0].headers["Authorization"] == "Basic x"


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ("N17", lambda page: "files" not in page),
        ("N18", lambda page: page["files"] is None),
        ("N20", lambda page: page["meta"]["api-version"] == "2.0"),
        ("N26", lambda page: page["name"] == "zzz"),
        ("N34", lambda page: page["files"][0]["hashes"] == {}),
        ("N42", lambda page: [one["filename"] for one in page["files"]] == ["c-1.0-py3-none-any.whl"]),
        ("N43", lambda page: page["files"][1]["filename"].startswith("../../../../tmp/")),
        ("N56", lambda page: page["project-status"]["status"] == "quarantined"),
        ("N59", lambda page: page["files"][0]["requires-python"] == "banana"),
    ],
)
def test_faults_of_pages(index: IndexServer, row: str, check: Any) -> None:
    """The page has the fault."""
    FAULTS[row](index)
    assert check(page_of(index, "b"))


def test_content_that_does_not_match_its_hash(index: IndexServer) -> None:
    """N33 and N52 serve content that does not match the hashes of the page."""
    FAULTS["N33"](index)
    listed = page_of(index, "b")["files"][0]
    served = get(index, urlsplit(listed["url"]).path).body
    assert listed["hashes"]["sha256"] != hashlib.sha256(served).hexdigest()
    assert listed["size"] == len(served)
    FAULTS["N52"](index)
    listed = page_of(index, "b")["files"][0]
    metadata = get(index, urlsplit(listed["url"]).path + ".metadata").body
    assert listed["core-metadata"]["sha256"] != hashlib.sha256(metadata).hexdigest()


@pytest.mark.parametrize(
    ("row", "check"),
    [
        ("N62", lambda names: "../../conf_evil.py" in names),
        ("N63", lambda names: "/tmp/conf_evil.py" in names),
        ("N64", lambda names: "..\\..\\conf_evil.py" in names),
        ("N65", lambda names: 0 < names.index("b/link") < names.index("b/link/conf_evil")),
        ("N67", lambda names: "b-1.0.dist-info/RECORD" not in names),
        ("N68", lambda names: "b/unlisted.py" in names),
        ("N69", lambda names: "b/__init__.py" not in names),
        ("N70", lambda names: not any(".dist-info" in name for name in names)),
        ("N71", lambda names: {"b-1.0.dist-info/METADATA", "b-2.0.dist-info/METADATA"} <= set(names)),
        ("N72", lambda names: "c-1.0.dist-info/METADATA" in names),
        ("N73", lambda names: names.count("b/__init__.py") == 2),
        ("N76", lambda names: "b-1.0.data/data/../../../conf_evil.py" in names),
        ("N77", lambda names: "b-1.0.data/scripts/python" in names),
        ("N79", lambda names: "a/__init__.py" in names),
    ],
)
def test_faults_of_wheels(index: IndexServer, row: str, check: Any) -> None:
    """The archive has the fault, and matches the hash of the page."""
    FAULTS[row](index)
    listed = page_of(index, "b")["files"][0]
    served = get(index, urlsplit(listed["url"]).path).body
    assert listed["hashes"]["sha256"] == hashlib.sha256(served).hexdigest()
    with zipfile.ZipFile(io.BytesIO(served)) as opened:
        assert check(opened.namelist())


@pytest.mark.parametrize(
    ("row", "member", "content"),
    [
        ("N74", "b-1.0.dist-info/WHEEL", b"Wheel-Version: 2.0\n"),
        ("N75", "b-1.0.dist-info/WHEEL", b"Tag: cp27-cp27m-win32\n"),
        ("N78", "b-1.0.dist-info/entry_points.txt", b"../../conf_evil = b:main\n"),
        ("N66", "b/__init__.py", b"EVIL = True\n"),
        ("N54", "b-1.0.dist-info/METADATA", b"Requires-Dist: c==1.0\n"),
        ("N82", "b/__init__.py", b"__version__"),
    ],
)
def test_faults_of_members(index: IndexServer, row: str, member: str, content: bytes) -> None:
    """The member has the fault."""
    FAULTS[row](index)
    served = get(index, "/files/b-1.0-py3-none-any.whl").body
    with zipfile.ZipFile(io.BytesIO(served)) as opened:
        assert content in opened.read(member)


# Scenarios


def test_scenarios_are_valid() -> None:
    """All scenarios load, have unique names, and contain valid requirements and versions."""
    scenarios = load()
    assert len({one.id for one in scenarios}) == len(scenarios) >= 40
    for scenario in scenarios:
        assert scenario.description.endswith(".")
        assert all(Requirement(text) for text in scenario.requires)
        assert all(Version(version) for package in scenario.packages.values() for version in package.versions)


def test_scenario_is_served(index: IndexServer) -> None:
    """The index lists a scenario's packages."""
    scenario = next(one for one in load() if one.id == "yanked/yanked-and-pinned")
    scenario.serve(index)
    page = page_of(index, "a")
    assert [(one["filename"].split("-")[1], one["yanked"]) for one in page["files"]] == [
        ("2.0", "it deletes files"),
        ("1.0", False),
    ]
    assert 'glibc = "2.17"' in scenario.pyproject(index_url=index.url)
    assert f'index-url = "{index.url}"' in scenario.pyproject(index_url=index.url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x]\ndescription = 'D.'\nexpectd = {}\n", "expectd"),
        ("[x]\ndescription = 'D.'\n", "either expected or error"),
        ("[x]\ndescription = 'D.'\nexpected.cp39-x86_64-glibc2 = {}\n", "the targets are"),
        (
            "[x]\ndescription = 'D.'\nexpected.'cp311-x86_64-glibc2.17' = { a = '1' }\n",
            "a 1, which is not on the index",
        ),
        ("[x]\ndescription = 'D.'\npackages.a.versions.'1'.wheel = []\n", "wheel"),
        ("[x", "Expected"),
    ],
)
def test_invalid_scenarios(tmp_path: Path, text: str, message: str) -> None:
    """An invalid scenario file is an error that names the file and the problem."""
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=rf"bad\.toml.*{message}"):
        load_file(path)


# Isolation


def test_tests_cannot_use_the_network() -> None:
    """Connections and name lookups outside of loopback fail, and .invalid is unknown."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection,
        pytest.raises(pytest.fail.Exception, match="connects to 192"),
    ):
        connection.connect(("192.0.2.1", 443))
    with pytest.raises(pytest.fail.Exception, match=r"looks up example\.test"):
        socket.create_connection(("example.test", 443))
    with pytest.raises(socket.gaierror):
        socket.create_connection(("example.invalid", 443))


def test_home_is_empty() -> None:
    """A test has its own empty home and cache, and none of the machine's settings."""
    assert os.listdir(os.environ["HOME"]) == []
    assert os.environ["MINGLIBC_CACHE_DIR"].startswith(os.environ["HOME"])
    assert [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.upper().endswith("_PROXY")] == []


def test_metadata_with_invalid_utf_8() -> None:
    """METADATA can contain invalid UTF-8."""
    assert b"\xe9" in metadata_text("a", "1.0", extra=b"Author: caf\xe9")


def test_all_folders_are_collected(request: pytest.FixtureRequest) -> None:
    """No folder of tests has a name that pytest skips, as it does with "build" by default."""
    skipped = request.config.getini("norecursedirs")
    folders = {path.parent.name for path in Path(__file__).parent.parent.rglob("test_*.py")}
    assert "build" in folders
    assert [] == [name for name in folders for pattern in skipped if fnmatch(name, pattern)]
