"""Pages of the server, by HTTP."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from minglibc.audit.binaries import Binaries
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile
from tests.support.commands import minglibc
from tests.support.explained import compiled, manylinux
from tests.support.index import Answer, IndexServer
from tests.support.serve import JSON, common, listed, serving
from tests.support.wheels import build_wheel

OLD, NEW = "cp311-cp311-manylinux2014_x86_64", "cp311-cp311-manylinux_2_34_x86_64"


class Folder:
    """Wheels in a folder, for a check."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, files: Sequence[LockedFile]) -> dict[str, str]:
        """The path of each file."""
        return {file.filename: str(self._folder / file.filename) for file in files}


@pytest.fixture
def filled(index: IndexServer) -> IndexServer:
    """An index with a project that has wheels for several C libraries and systems."""
    for tag in (OLD, NEW, "cp311-cp311-musllinux_1_2_x86_64", "cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win_amd64"):
        index.add(build_wheel("zope.interface", "1.0", tag=tag))
    index.add(build_wheel("zope.interface", "2.0", tag=NEW), yanked="broken <b>")
    index.add_sdist("zope.interface", "1.0")
    index.project_status("zope.interface", "archived", "see <other>")
    return index


def test_pages_by_cap(filled: IndexServer, client: httpx.Client) -> None:
    """Each cap has its own files, and PEP 700's versions are those that have files."""
    page = client.get("/glibc-2.27/simple/zope-interface/", headers=JSON)
    assert [f"zope_interface-1.0-{OLD}.whl"] == listed(page)
    assert ["1.0"] == page.json()["versions"]
    assert ["1.0", "2.0"] == client.get("/glibc-2.34/simple/zope-interface/", headers=JSON).json()["versions"]
    musl = listed(client.get("/musl-1.2/simple/zope-interface/", headers=JSON))
    assert ["zope_interface-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"] == musl


def test_fields_are_passed_on(index: IndexServer, client: httpx.Client) -> None:
    """Standard fields of pages and files are passed on (PEP 592, 658, 700, 708, 714, 740, 792), others are dropped."""
    file = {
        "filename": "a-1.0-py3-none-any.whl",
        "url": "../../files/a-1.0-py3-none-any.whl",
        "hashes": {"sha256": "0" * 64, "blake2b": "1"},
        "requires-python": ">=3.8",
        "size": 7,
        "upload-time": "2026-01-01T00:00:00.000000Z",
        "yanked": "reason",
        "core-metadata": {"sha256": "2" * 64},
        "dist-info-metadata": {"sha256": "2" * 64},
        "gpg-sig": True,
        "provenance": f"{index.origin}/integrity/a",
    }
    page = {
        "meta": {"api-version": "1.4", "_last-serial": 12, "tracks": ["https://example.invalid/simple/a/"]},
        "name": "a",
        "project-status": {"status": "deprecated", "reason": "old"},
        "alternate-locations": ["https://example.invalid/other/a/"],
        "versions": ["1.0"],
        "files": [{**file, "_internal": "secret"}],
    }
    headers = {"Content-Type": JSON["Accept"], "X-PyPI-Last-Serial": "12"}
    index.fault("/simple/a/", lambda exchange: exchange.send(Answer(200, json.dumps(page).encode(), headers)))
    response = client.get("/rhel-8/simple/a/", headers=JSON)
    expected = {**file, "url": f"{index.origin}/files/a-1.0-py3-none-any.whl"}
    assert {**page, "files": [expected]} == response.json()
    assert "12" == response.headers["x-pypi-last-serial"]
    text = client.get("/rhel-8/simple/a/").text
    for part in (
        f'href="{expected["url"]}#sha256={"0" * 64}"',
        'data-requires-python="&gt;=3.8"',
        'data-yanked="reason"',
        f'data-core-metadata="sha256={"2" * 64}"',
        f'data-dist-info-metadata="sha256={"2" * 64}"',
        'data-gpg-sig="true"',
        f'data-provenance="{index.origin}/integrity/a"',
        '<meta name="pypi:tracks" content="https://example.invalid/simple/a/">',
        '<meta name="pypi:alternate-locations" content="https://example.invalid/other/a/">',
        '<meta name="pypi:project-status" content="deprecated">',
        '<meta name="pypi:last-serial" content="12">',
    ):
        assert part in text


def test_unsafe_references(index: IndexServer, client: httpx.Client) -> None:
    """URLs of other pages and of attestations have no credentials, queries or other schemes, as those of files."""
    urls = ["https://u:secret@h.invalid/", "https://h.invalid/a/?secret", "javascript:secret", "https://[secret/", "b/"]
    file = {"filename": "a-1.0-py3-none-any.whl", "url": "https://h.invalid/a", "hashes": {}, "provenance": urls[0]}
    page = {"meta": {"tracks": urls}, "name": "a", "alternate-locations": urls, "files": [file]}
    answer = Answer(200, json.dumps(page).encode(), {"Content-Type": JSON["Accept"]})
    index.fault("/simple/a/", lambda exchange: exchange.send(answer))
    response = client.get("/rhel-8/simple/a/", headers=JSON)
    expected = ["https://h.invalid/a/", f"{index.origin}/simple/a/b/"]
    assert expected == response.json()["meta"]["tracks"] == response.json()["alternate-locations"]
    assert "secret" not in response.text + client.get("/rhel-8/simple/a/").text


@pytest.mark.parametrize("accept", [None, JSON["Accept"], "application/vnd.pypi.simple.v1+html"])
def test_pages_survive_html(filled: IndexServer, accept: str | None) -> None:
    """An upstream that has only HTML is passed on with the same fields, and strings are escaped."""
    filled.html_only = True
    with serving(ServeOptions(common(index_url=filled.url))) as client:
        response = client.get("/glibc-2.34/simple/zope-interface/", headers={"Accept": accept} if accept else {})
        assert (accept or "text/html") == response.headers["content-type"].partition(";")[0]
        if accept == JSON["Accept"]:
            files = {file["filename"]: file for file in response.json()["files"]}
            assert "broken <b>" == files[f"zope_interface-2.0-{NEW}.whl"]["yanked"]
            assert {"status": "archived", "reason": "see <other>"} == response.json()["project-status"]
        else:
            assert 'data-yanked="broken &lt;b&gt;"' in response.text
            assert 'content="see &lt;other&gt;"' in response.text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        (
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            JSON["Accept"],
        ),
        ("application/vnd.pypi.simple.latest+json", JSON["Accept"]),
        ("application/vnd.pypi.simple.v1+json;q=0.2, text/html;q=0.9", "text/html"),
        ("application/*", JSON["Accept"]),
        ("image/png", "text/plain"),
        ("text/html;q=0", "text/plain"),
        ("text/html;q=nonsense", "text/plain"),
    ],
)
def test_negotiation(filled: IndexServer, client: httpx.Client, accept: str, expected: str) -> None:
    """The Accept header selects the format (PEP 691); if none is acceptable, the status is 406."""
    response = client.get("/rhel-8/simple/zope-interface/", headers={"Accept": accept})
    assert (406 if expected == "text/plain" else 200) == response.status_code
    assert expected == response.headers["content-type"].partition(";")[0]


def test_names_and_redirects(filled: IndexServer, client: httpx.Client) -> None:
    """Projects are listed, and other spellings lead to the page."""
    assert [{"name": "zope-interface"}] == client.get("/rhel-8/simple/", headers=JSON).json()["projects"]
    assert '<a href="zope-interface/">' in client.get("/rhel-8/simple/").text
    response = client.get("/rhel-8/simple/Zope.Interface", headers=JSON, follow_redirects=True)
    assert "/rhel-8/simple/zope-interface/" == response.url.path
    assert listed(response)


def test_missing_projects(filled: IndexServer, client: httpx.Client) -> None:
    """A project that no index has, and a path that is none, are 404 with the reason."""
    assert 404 == client.get("/rhel-8/simple/b/").status_code
    response = client.get("/rhel-99/simple/b/")
    assert 404 == response.status_code
    assert "'rhel-99' is not a glibc version" in response.text


def test_index_rules(tmp_path: Path, index: IndexServer) -> None:
    """Upstreams follow [[tool.minglibc.index]]: the first that has a project is its only one, unless it is pinned."""
    first, second = index, index.other
    for server, version in ((first, "1.0"), (second, "2.0")):
        server.add(build_wheel("both", version))
        server.add(build_wheel("pinned", version))
    second.add(build_wheel("last", "2.0"))
    (tmp_path / "pyproject.toml").write_text(
        f"""[[tool.minglibc.index]]
name = "first"
url = "{first.url}"

[[tool.minglibc.index]]
name = "second"
url = "{second.url}"
default = true

[tool.minglibc.sources]
pinned = {{ index = "second" }}
"""
    )
    with serving(ServeOptions(common(tmp_path))) as client:

        def versions(name: str) -> list[str]:
            versions: list[str] = client.get(f"/rhel-8/simple/{name}/", headers=JSON).json()["versions"]
            return versions

        assert (["1.0"], ["2.0"], ["2.0"]) == (versions("both"), versions("pinned"), versions("last"))
        first.fault("/simple/other/", lambda exchange: exchange.send(Answer(403)))
        second.add(build_wheel("other", "2.0"))
        response = client.get("/rhel-8/simple/other/")
        assert 502 == response.status_code
        assert "returned 403" in response.text


def test_flat_indexes(tmp_path: Path, index: IndexServer) -> None:
    """A flat upstream, which is one page for all projects, is passed on too."""
    wheel = build_wheel("a", "1.0", tag=OLD)
    index.add(wheel)
    link = f'<a href="../files/{wheel.filename}">x</a>'.encode()
    page = Answer(200, link + b'<a href="b-1.0-py3-none-any.whl">y</a>', {"Content-Type": "text/html"})
    index.fault("/links/", lambda exchange: exchange.send(page))
    (tmp_path / "pyproject.toml").write_text(
        f'[[tool.minglibc.index]]\nname = "flat"\nurl = "{index.origin}/links/"\nformat = "flat"\ndefault = true\n'
    )
    with serving(ServeOptions(common(tmp_path))) as client:
        page_of_a = client.get("/glibc-2.17/simple/a/", headers=JSON).json()
        assert [f"{index.origin}/files/{wheel.filename}"] == [file["url"] for file in page_of_a["files"]]
        assert 404 == client.get("/glibc-2.17/simple/c/").status_code
        names = client.get("/glibc-2.17/simple/", headers=JSON).json()["projects"]
        assert [{"name": "a"}, {"name": "b"}] == names


def test_verified_route(tmp_path: Path, index: IndexServer) -> None:
    """The verified route removes files that an earlier check found to need more; files that were not checked stay."""
    (tmp_path / "wheels").mkdir()
    checked = []
    for version, symbol in (("1.0", "GLIBC_2.17"), ("2.0", "GLIBC_2.34"), ("3.0", "GLIBC_2.34")):
        wheel = compiled("a", version, manylinux(17), symbol)
        index.add(wheel)
        if version != "3.0":
            (tmp_path / "wheels" / wheel.filename).write_bytes(wheel.content)
            checked.append(LockedFile(wheel.filename, "", {"sha256": wheel.sha256}))
    cache = tmp_path / "cache"
    with contextlib.closing(Store(str(cache))) as store:
        Binaries(store).of_files(checked, Folder(tmp_path / "wheels"))
    with serving(ServeOptions(common(index_url=index.url, cache=cache))) as client:

        def versions(route: str) -> list[str]:
            versions: list[str] = client.get(f"/{route}/simple/a/", headers=JSON).json()["versions"]
            return versions

        assert ["1.0", "3.0"] == versions("glibc-2.17/verified")
        assert ["1.0", "3.0"] == versions("glibc-2.28/x86_64/cp39/verified")
        assert ["1.0", "2.0", "3.0"] == versions("glibc-2.34/verified")
        assert ["1.0", "2.0", "3.0"] == versions("glibc-2.17")


def test_invalid_project(tmp_path: Path) -> None:
    """All mistakes in the index tables are reported at once."""
    (tmp_path / "pyproject.toml").write_text('[[tool.minglibc.index]]\nname = "a b"\nurl = "ftp://x"\n')
    ran = minglibc("serve", "--project", str(tmp_path), "--port", "0")
    assert 2 == ran.code
    assert "tool.minglibc.index[0].name" in ran.err
    assert "tool.minglibc.index[0].url" in ran.err


@pytest.mark.slow
def test_pip(tmp_path: Path, filled: IndexServer, client: httpx.Client) -> None:
    """pip takes the wheel within the cap, though its machine could use a newer one."""
    filled.add(build_wheel("app", "1.0", requires=["zope.interface"]))
    url = f"{client.base_url}/glibc-2.27/simple/"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--isolated",
        "download",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "-q",
        "--python-version=3.11",
        "-i",
        url,
        "-d",
        str(tmp_path),
        "app",
    ]
    options = ["--only-binary=:all:", "--platform=manylinux_2_34_x86_64", "--platform=manylinux2014_x86_64"]
    subprocess.run(
        [*command, *options], check=True, env={"PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)}, timeout=60
    )
    wheels = {path.name for path in tmp_path.glob("*.whl")}
    assert {"app-1.0-py3-none-any.whl", f"zope_interface-1.0-{OLD}.whl"} == wheels


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the command says what to install."""
    monkeypatch.setattr("minglibc.app.serve.find_spec", lambda name: None if name == "uvicorn" else object())
    ran = minglibc("serve", "--port", "0")
    assert 2 == ran.code
    assert (
        'error: `minglibc serve` needs uvicorn, which is not installed\nhint: install the extra: pip install "minglibc[serve]"\n'
        == ran.err
    )
