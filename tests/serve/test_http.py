"""HTTP: caching, compression, errors of the upstream indexes, and limits."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.serve import JSON, common, listed, serving
from tests.support.wheels import build_wheel

PAGE = "/glibc-2.27/simple/a/"


@pytest.fixture
def filled(index: IndexServer) -> IndexServer:
    """An index with a project that has a long page."""
    for number in range(20):
        index.add(build_wheel("a", f"1.{number}"))
    return index


def test_conditional_requests(filled: IndexServer, client: httpx.Client) -> None:
    """A page has an ETag for each format and encoding, and a request with one of them gets 304."""
    plain = client.get(PAGE, headers={**JSON, "Accept-Encoding": "identity"})
    zipped = client.get(PAGE, headers={**JSON, "Accept-Encoding": "gzip"})
    assert "gzip" == zipped.headers["content-encoding"]
    assert "content-encoding" not in plain.headers
    assert plain.content == zipped.content
    assert int(zipped.headers["content-length"]) < len(plain.content) / 4
    assert plain.headers["etag"] != zipped.headers["etag"] != client.get(PAGE).headers["etag"]
    for etag in (plain.headers["etag"], f'"x", W/{zipped.headers["etag"]}', "*"):
        response = client.get(PAGE, headers={**JSON, "If-None-Match": etag})
        assert 304 == response.status_code
        assert b"" == response.content
        assert response.headers["etag"]
    assert 200 == client.get(PAGE, headers={**JSON, "If-None-Match": '"x"'}).status_code
    assert "Accept, Accept-Encoding" == plain.headers["vary"]


def test_head(filled: IndexServer, client: httpx.Client) -> None:
    """HEAD has the headers of GET and no body; other methods are refused."""
    got, head = client.get(PAGE), client.head(PAGE)
    assert b"" == head.content
    assert got.headers["etag"] == head.headers["etag"]
    assert got.headers["content-length"] == head.headers["content-length"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        response = client.request(method, PAGE, content=b"x" * 100_000)
        assert (405, "GET, HEAD") == (response.status_code, response.headers["allow"])


def test_cache_control(filled: IndexServer, client: httpx.Client, tmp_path: Path) -> None:
    """A page is fresh as long as that of the upstream index, which is asked again with its ETag."""
    assert client.get(PAGE).headers["cache-control"] in {"max-age=599, public", "max-age=600, public"}
    filled.max_age = 0
    with serving(ServeOptions(common(index_url=filled.url, cache=tmp_path))) as other:
        filled.reset()
        for _ in range(3):
            assert "max-age=0, public" == other.get(PAGE).headers["cache-control"]
    assert [200, 304, 304] == [request.status for request in filled.requests]


def test_one_request_for_parallel_clients(filled: IndexServer, client: httpx.Client) -> None:
    """200 parallel requests for a page that is not cached lead to one request to the upstream index."""
    filled.latency_ms = 300

    request = f"GET {PAGE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        address = client.base_url.host, client.base_url.port or 0
        connections = [stack.enter_context(socket.create_connection(address, timeout=30)) for _ in range(200)]
        for connection in connections:
            connection.sendall(request)
        responses = {stack.enter_context(connection.makefile("rb")).read() for connection in connections}
    assert {b"HTTP/1.1 200 OK"} == {response.partition(b"\r\n")[0] for response in responses}
    assert 1 == len({response.partition(b"\r\n\r\n")[2] for response in responses})
    assert 1 == len(filled.requests)


def test_shared_cache_folder(filled: IndexServer, tmp_path: Path) -> None:
    """A server that is started again, or another worker, uses the pages in the cache folder."""
    for _ in range(2):
        with serving(ServeOptions(common(index_url=filled.url, cache=tmp_path))) as client:
            assert 20 == len(listed(client.get(PAGE, headers=JSON)))
    assert 1 == len(filled.requests)


def test_damaged_cache(filled: IndexServer, tmp_path: Path) -> None:
    """A damaged entry of the cache folder is requested again."""
    with serving(ServeOptions(common(index_url=filled.url, cache=tmp_path))) as client:
        client.get(PAGE)
    (entry,) = (tmp_path / "index-v5" / "served").glob("*/a")
    content = bytearray(entry.read_bytes())
    content[-5] ^= 1
    entry.write_bytes(content)
    with serving(ServeOptions(common(index_url=filled.url, cache=tmp_path))) as client:
        assert 20 == len(listed(client.get(PAGE, headers=JSON)))


def cut(exchange: Exchange) -> None:
    """Send all but the end of the body."""
    answer = exchange.correct()
    exchange.send(answer, body=answer.body[:-10])
    exchange.hang_up()


def cut_gzip(exchange: Exchange) -> None:
    """Send compressed data without its end."""
    body = gzip.compress(exchange.correct().body)[:-12]
    exchange.send(Answer(200, body, {"Content-Type": "text/html", "Content-Encoding": "gzip"}))


def answer(status: int, body: bytes = b"", **headers: str) -> Callable[[Exchange], None]:
    """Send another response."""
    return lambda exchange: exchange.send(Answer(status, body).with_headers(**headers))


FAULTS: dict[str, tuple[Callable[[Exchange], None], int]] = {
    "the server returned 500": (answer(500), 503),
    "returned 403": (answer(403), 502),
    "returned 401": (answer(401), 502),
    "lists no files": (answer(200, b"<p>login</p>", Content_Type="text/html"), 502),
    "not a project page": (answer(200, b"{}", Content_Type="application/json"), 502),
    "content type image/png": (answer(200, b"x", Content_Type="image/png"), 502),
    "an empty body": (answer(200, b"", Content_Type="text/html"), 502),
    "on none of the hosts": (answer(302, Location="http://example.invalid/simple/a/"), 502),
    "not http(s)": (answer(302, Location="file:///etc/passwd"), 502),
    "redirect loop": (answer(302, Location="/simple/a/"), 502),
    "connection": (lambda exchange: exchange.hang_up(reset=True), 503),
    "cut short": (cut, 503),
    "incomplete": (cut_gzip, 502),
}


def test_upstream_errors(filled: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that fails is 503, one that answers wrongly 502, with the reason; neither is cached."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    monkeypatch.setattr("minglibc.serve.pages._PAUSE", 0.0)
    filled.compress = filled.etags = False
    filled.max_age = 0
    with serving(ServeOptions(common(index_url=filled.url))) as client:
        for reason, (fault, status) in FAULTS.items():
            filled.fault("/simple/a/", fault)
            response = client.get(PAGE, headers=JSON)
            assert (status, True) == (response.status_code, reason in response.text), response.text
            assert "no-store" == response.headers["cache-control"]
            filled.reset()
            assert 20 == len(listed(client.get(PAGE, headers=JSON)))


def test_stale_pages(filled: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --stale-if-error, a page is served while its index is down, and a header marks it."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    filled.max_age = 0
    with (
        serving(ServeOptions(common(index_url=filled.url), stale_if_error=60)) as lenient,
        serving(ServeOptions(common(index_url=filled.url))) as strict,
    ):
        assert {200} == {client.get(PAGE).status_code for client in (lenient, strict)}
        filled.fault("/simple/*", answer(503))
        for _ in range(2):
            response = lenient.get(PAGE, headers=JSON)
            assert 20 == len(listed(response))
            assert '111 - "Revalidation Failed"' == response.headers["warning"]
            assert "0" == response.headers["x-minglibc-stale"]
            assert "max-age=0, public" == response.headers["cache-control"]
        assert 503 == strict.get(PAGE).status_code
        # A fault of another kind is not hidden.
        assert 503 == lenient.get("/glibc-2.27/simple/b/").status_code


def test_errors_are_not_repeated_at_once(filled: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error, an index is left alone for some seconds."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "0")
    filled.fault("/simple/a/", answer(500))
    with serving(ServeOptions(common(index_url=filled.url))) as client:
        assert [503] * 5 == [client.get(PAGE).status_code for _ in range(5)]
    assert 1 == len(filled.requests)


def test_full_disk(filled: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are served without a cache folder that can be written."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minglibc.cache.pages.replace_file", fail)
    with serving(ServeOptions(common(index_url=filled.url, cache=tmp_path))) as client:
        for _ in range(2):
            assert 20 == len(listed(client.get(PAGE, headers=JSON)))
    assert 1 == len(filled.requests)


def test_bounded_memory(index: IndexServer) -> None:
    """Pages beyond the limit of the memory are dropped, and a page that is too large is not kept."""
    for number in range(4):
        for version in range(40):
            index.add(build_wheel(f"a{number}", f"{version}.0"))
    with serving(ServeOptions(common(index_url=index.url), memory=20_000)) as client:
        for number in (0, 1, 2, 3, 0):
            assert 40 == len(listed(client.get(f"/rhel-8/simple/a{number}/", headers=JSON)))


def test_health_and_metrics(filled: IndexServer, client: httpx.Client) -> None:
    """Health and metrics have paths of their own, and metrics contain no names."""
    assert "ok\n" == client.get("/health").text
    for path in (PAGE, "/rhel-8/simple/secret-project/", "/secret/path"):
        client.get(path)
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert 'minglibc_requests_total{kind="simple",status="200"} 1.0' in response.text
    assert 'minglibc_requests_total{kind="unknown",status="404"} 1.0' in response.text
    assert 'minglibc_upstream_pages_total{outcome="absent"} 1.0' in response.text
    assert "secret" not in response.text
    assert "rhel" not in response.text


def raw_request(client: httpx.Client, data: bytes) -> bytes:
    """The response to bytes that are sent as they are."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        response = b""
        while chunk := connection.recv(65536):
            response += chunk
        return response


def test_long_heads(client: httpx.Client) -> None:
    """A request with too long a head is refused, also if it never ends."""
    for name in (b"X-A: ", b"X-", b""):
        data = b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + name + b"a" * 70_000
        try:
            response = raw_request(client, data)
        except ConnectionError:
            continue
        assert response.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert "ok\n" == client.get("/health", headers={"X-A": "a" * 10_000}).text


def test_requests_on_one_connection(client: httpx.Client) -> None:
    """The limit is for each request, not for a connection."""
    for _ in range(10):
        assert "ok\n" == client.get("/health", headers={"X-A": "a" * 10_000}).text


@pytest.mark.parametrize("parts", [[], ["GET /hea"], ["GET /health HTTP/1.1\r\n", *["X: y\r\n"] * 20]])
@pytest.mark.parametrize("before", [0, 1])
def test_slow_requests(client: httpx.Client, parts: list[str], before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose request does not arrive in time is closed, also if each byte is in time."""
    monkeypatch.setattr("minglibc.serve.server.REQUEST_SECONDS", 0.2)
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    address = client.base_url.host, client.base_url.port or 0
    with socket.create_connection(address, timeout=20) as connection, contextlib.suppress(ConnectionError):
        for _ in range(before if parts else 0):
            connection.sendall(whole)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for part in parts:
            connection.sendall(part.encode())
            threading.Event().wait(0.03)
        assert b"" == connection.recv(65536)


def test_graceful_stop(filled: IndexServer) -> None:
    """A request in progress is completed when the server stops."""
    filled.latency_ms = 500
    with ThreadPoolExecutor(1) as pool:
        with serving(ServeOptions(common(index_url=filled.url))) as client:
            url = f"{client.base_url}{PAGE}"
            pending = pool.submit(lambda: httpx.get(url, timeout=20))
            while not filled.requests:
                threading.Event().wait(0.01)
        assert 200 == pending.result().status_code
