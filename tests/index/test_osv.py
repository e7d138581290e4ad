"""Vulnerabilities of OSV: by its API on loopback, and from an export."""

import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from minglibc.app import osv as osv_app
from minglibc.cache.pages import Store
from minglibc.errors import SettingsError
from minglibc.index.osv import OsvApi, OsvFile
from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


def record(identifier: str, name: str, *events: tuple[str, str], versions: list[str] | None = None) -> dict[str, Any]:
    """A record in OSV's format."""
    ranges = [{"type": "ECOSYSTEM", "events": [dict([event]) for event in events]}]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, "versions": versions or []}
    return {"id": identifier, "modified": "2026-01-01T00:00:00Z", "summary": "Bad.", "affected": [affected]}


RECORDS = {
    one["id"]: one
    for one in (
        record("GHSA-1", "a", ("introduced", "0"), ("fixed", "1.1")) | {"aliases": ["CVE-2026-1"]},
        record("GHSA-2", "A", ("introduced", "0.5"), ("last_affected", "1.0")),
        record("GHSA-3", "a", versions=["1.0.0"]),
        record("GHSA-4", "a", ("introduced", "1.1"), ("fixed", "1.2"), ("introduced", "2.0")),
        record("GHSA-5", "a", ("introduced", "0")) | {"withdrawn": "2026-02-01T00:00:00Z"},
        record("GHSA-6", "b", ("introduced", "0")),
    )
}
EXPECTED = {
    ("a", "1.0"): ["GHSA-1", "GHSA-2", "GHSA-3"],
    ("a", "1.1"): ["GHSA-4"],
    ("a", "1.2"): [],
    ("a", "2.1"): ["GHSA-4"],
    ("b", "1"): ["GHSA-6"],
    ("c", "1"): [],
}


class OsvServer:
    """A server that answers as OSV's API does, one vulnerability a page, and records the queries."""

    def __init__(self) -> None:
        self.queries: list[dict[str, Any]] = []
        self.records: list[str] = []
        self.status = 200
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
                outer.queries += queries
                self.answer({"results": [outer.matches(query) for query in queries]})

            def do_GET(self) -> None:
                identifier = self.path.rpartition("/")[2]
                outer.records.append(identifier)
                self.answer(RECORDS[identifier])

            def answer(self, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the name in the base class
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def matches(self, query: dict[str, Any]) -> dict[str, Any]:
        """A page of the result of one query."""
        names = EXPECTED.get((query["package"]["name"], query["version"]), [])
        first = int(query.get("page_token", 0))
        more = {"next_page_token": str(first + 1)} if first + 1 < len(names) else {}
        return {"vulns": [{"id": names[first], "modified": "2026"}], **more} if names else {}

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[OsvServer]:
    """OSV on loopback."""
    server = OsvServer()
    yield server
    server.close()


def test_api(server: OsvServer, tmp_path: Path) -> None:
    """All releases are sent in one request; results have several pages, are cached, and are used offline."""
    api = OsvApi(Store(str(tmp_path)), is_public=lambda _name: True, url=server.url)
    known = api.of(EXPECTED)
    assert EXPECTED == {release: [one.id for one in advisories or ()] for release, advisories in known.items()}
    assert ("1.1",) == (known["a", "1.0"] or ())[0].fixed_in
    assert "https://osv.dev/vulnerability/GHSA-1" == (known["a", "1.0"] or ())[0].link
    assert len(server.records) == len(set(server.records))
    server.queries.clear()
    assert known == api.of(EXPECTED)
    offline = OsvApi(Store(str(tmp_path)), is_public=lambda _name: True, url=server.url, offline=True)
    assert known == offline.of([*EXPECTED, ("new", "1")])
    assert [] == server.queries


@pytest.mark.parametrize("seconds", [4000, -4000, -1e10])
def test_cached_results_expire(
    server: OsvServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """A result is requested again after an hour, and when the clock was ahead as it was cached."""
    api = OsvApi(Store(str(tmp_path)), is_public=lambda _name: True, url=server.url)
    api.of(EXPECTED)
    server.queries.clear()
    now = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: now)
    api.of(EXPECTED)
    assert server.queries


def test_private_names_are_not_sent(server: OsvServer, tmp_path: Path) -> None:
    """A project that does not come from the public index is unknown, and its name is not sent."""
    api = OsvApi(Store(str(tmp_path)), is_public=lambda name: name == "a", url=server.url)
    assert {("a", "1.2"): ()} == api.of([("a", "1.2"), ("secret", "1")])
    assert ["a"] == [query["package"]["name"] for query in server.queries]


@pytest.mark.parametrize("status", [404, 302])
def test_failures_are_warnings(server: OsvServer, tmp_path: Path, status: int) -> None:
    """Without a usable response the releases are unknown, with one warning; names are not sent to another address."""
    server.status, server.location = status, "http://127.0.0.1:9/" if status == 302 else ""
    warnings: list[str] = []
    api = OsvApi(Store(str(tmp_path)), is_public=lambda _name: True, url=server.url, on_trouble=warnings.append)
    assert {} == api.of(EXPECTED)
    (warning,) = warnings
    assert "no vulnerability data from OSV: " in warning


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of OSV."""
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for identifier, content in RECORDS.items():
            archive.writestr(f"{identifier}.json", json.dumps(content))
    return path


def test_file(export: Path, tmp_path: Path) -> None:
    """An archive and a folder give what the API gives; withdrawn records are ignored."""
    folder = tmp_path / "records"
    with zipfile.ZipFile(export) as archive:
        archive.extractall(folder)
    for path in (export, folder):
        known = OsvFile(str(path), concerns=lambda _name: True).of([*EXPECTED, ("a", "0.1")])
        ids = {release: [one.id for one in advisories or ()] for release, advisories in known.items()}
        assert EXPECTED | {("a", "0.1"): ["GHSA-1"]} == ids


def test_files_that_are_no_export(tmp_path: Path) -> None:
    """What is no export is an error, and never "no vulnerabilities"."""
    broken, other = tmp_path / "all.zip", tmp_path / "other"
    broken.write_bytes(b"PK\x03\x04")
    other.mkdir()
    for path in (broken, other):
        with pytest.raises(SettingsError):
            OsvFile(str(path), concerns=lambda _name: True).of([("a", "1")])
    fifo = tmp_path / "fifo.zip"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(SettingsError, match="not a regular file"):
            OsvFile(str(path), concerns=lambda _name: True).of([("a", "1")])
    (other / "x.json").write_text(json.dumps({"id": "x" * 1_000_000}))
    with pytest.raises(SettingsError, match=r"x\.json is not a record of OSV") as caught:
        OsvFile(str(other), concerns=lambda _name: True).of([("a", "1")])
    assert len(caught.value.message) < 400
    (other / "x.json").write_text("[]")
    with pytest.raises(SettingsError, match=r"x\.json is not a record of OSV"):
        OsvFile(str(other), concerns=lambda _name: True).of([("a", "1")])


def test_outdated_with_osv(
    tmp_path: Path, index: IndexServer, server: OsvServer, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--osv and --osv-file add what the index does not know, with attribution; --osv asks only about the public index."""
    for version, minor in (("1.0", 17), ("1.1", 28)):
        index.add(build_wheel("a", version, manylinux(minor)))
    index.version_json = False
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder, index).write("a").lock()
    monkeypatch.setenv("MINGLIBC_OSV_URL", server.url)
    ran = project.run("outdated", "--osv")
    assert "1 without vulnerability data" in ran.err
    assert "osv.dev" not in ran.err
    assert [] == server.queries
    ran = project.run("outdated", "--osv-file", str(export), "--fail-on", "vulnerable")
    assert "CVE-2026-1, GHSA-1 (fixed in 1.1, needs glibc 2.28)" in ran.out
    assert "Vulnerability data from OSV (https://osv.dev), CC BY 4.0" in ran.err
    assert 1 == ran.code
    monkeypatch.setattr(osv_app, "DEFAULT_INDEX_URL", index.url)
    ran = project.run("outdated", "--osv")
    assert "CVE-2026-1, GHSA-1 (fixed in 1.1, needs glibc 2.28)" in ran.out
    assert "Vulnerability data from OSV" in ran.err
    assert 2 == project.run("outdated", "--osv-file", "missing.zip").code


@pytest.mark.online
@pytest.mark.nightly
def test_the_public_api(tmp_path: Path) -> None:
    """OSV's own API knows an old vulnerability and the release that fixed it."""
    troubles: list[str] = []
    api = OsvApi(Store(str(tmp_path)), is_public=lambda _name: True, on_trouble=troubles.append)
    known = api.of([("jinja2", "2.11.2"), ("jinja2", "2.11.3")])
    if troubles:
        pytest.skip(troubles[0])
    ids = {one.id: one for one in known["jinja2", "2.11.2"] or ()}
    assert "2.11.3" in ids["GHSA-g3rq-g295-4j3m"].fixed_in
    assert "GHSA-g3rq-g295-4j3m" not in {one.id for one in known["jinja2", "2.11.3"] or ()}
