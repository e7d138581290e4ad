"""Files that the server fetches for its clients."""

import os
import time
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.index import Answer, Exchange, IndexServer
from tests.support.serve import JSON, common, serving
from tests.support.wheels import BuiltWheel, build_wheel

ROUTE = "/glibc-2.27"


@pytest.fixture
def wheel(index: IndexServer) -> BuiltWheel:
    """A wheel on the index, of 300 kB."""
    wheel = build_wheel("a", "1.0", files={"a/data": os.urandom(300_000).hex()[:300_000]})
    index.add(wheel)
    return wheel


def proxy(index: IndexServer, cache: Path | None = None) -> ServeOptions:
    """A server that sends files itself."""
    return ServeOptions(common(index_url=index.url, cache=cache), proxy_files=True)


def file_url(client: httpx.Client, name: str = "a") -> str:
    """The absolute URL of the only file on a page."""
    response = client.get(f"{ROUTE}/simple/{name}/", headers=JSON)
    (file,) = response.json()["files"]
    return str(response.url.join(file["url"]))


def test_proxied_file(index: IndexServer, wheel: BuiltWheel) -> None:
    """Files and metadata come from the server, which fetches each once."""
    with serving(proxy(index)) as client:
        url = file_url(client)
        assert url.startswith(f"{client.base_url}{ROUTE}/files/a/")
        index.reset()
        for _ in range(2):
            assert wheel.content == client.get(url).content
            assert wheel.metadata == client.get(f"{url}.metadata").content
        assert 2 == len(index.requests)


@pytest.mark.parametrize("listed", [False, {}, {"sha256": "x"}, {"md5": "0" * 32}])
def test_metadata_without_hash(index: IndexServer, listed: bool | dict[str, str]) -> None:  # noqa: FBT001
    """Metadata that can't be checked is neither listed nor sent."""
    index.add(build_wheel("a", "1.0"), core_metadata=listed)
    with serving(proxy(index)) as client:
        (file,) = client.get(f"{ROUTE}/simple/a/", headers=JSON).json()["files"]
        assert not {"core-metadata", "dist-info-metadata"} & file.keys()
        assert 404 == client.get(f"{file_url(client)}.metadata").status_code


def test_limited_size(index: IndexServer, tmp_path: Path) -> None:
    """Files that were used longest ago are removed when new ones need their place; those of the last hour stay."""
    wheels = [build_wheel("a", f"1.{n}", files={"a/data": os.urandom(50_000).hex()}) for n in range(4)]
    for wheel in wheels:
        index.add(wheel)
    options = proxy(index, tmp_path)._replace(file_cache=120_000)
    with serving(options) as client:
        page = client.get(f"{ROUTE}/simple/a/", headers=JSON)
        urls = {file["filename"]: str(page.url.join(file["url"])) for file in page.json()["files"]}
        for age, wheel in ((9000, wheels[0]), (8000, wheels[1]), (10, wheels[2]), (0, wheels[3])):
            assert wheel.content == client.get(urls[wheel.filename]).content
            (path,) = tmp_path.glob(f"wheels-1/*/{wheel.filename}")
            os.utime(path, (time.time() - age,) * 2)
        cached = {path.name for path in tmp_path.glob("wheels-1/*/*")}
        assert {wheel.filename for wheel in wheels[2:]} == cached
        assert {path.name for path in tmp_path.glob("wheels-1/*")} == {f"sha256-{wheel.sha256}" for wheel in wheels[2:]}
        assert wheels[0].content == client.get(urls[wheels[0].filename]).content


def test_clock_before_the_epoch(index: IndexServer, wheel: BuiltWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and files are served whatever the clock says, also one whose times are negative."""
    monkeypatch.setattr(time, "time", lambda: -1e7)
    with serving(proxy(index)) as client:
        assert wheel.content == client.get(file_url(client)).content


def test_ranges(index: IndexServer, wheel: BuiltWheel) -> None:
    """Ranges, HEAD and conditional requests work for files in the cache, and for those that have to be fetched."""
    for is_cached in (False, True):
        with serving(proxy(index)) as client:
            url = file_url(client)
            if is_cached:
                client.get(url)
            head = client.head(url)
            assert (b"", str(len(wheel.content))) == (head.content, head.headers["content-length"])
            part = client.get(url, headers={"Range": "bytes=-100"})
            assert (206, wheel.content[-100:]) == (part.status_code, part.content)
            assert (
                f"bytes {len(wheel.content) - 100}-{len(wheel.content) - 1}/{len(wheel.content)}"
                == part.headers["content-range"]
            )
            assert 416 == client.get(url, headers={"Range": "bytes=9999999-"}).status_code
            assert 304 == client.get(url, headers={"If-None-Match": head.headers["etag"]}).status_code
            whole = client.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
            assert wheel.content == whole.content
            assert "immutable" in whole.headers["cache-control"]


def test_files_arrive_while_they_are_fetched(index: IndexServer, wheel: BuiltWheel) -> None:
    """A client gets bytes before the server has the whole file."""

    def slow(exchange: Exchange) -> None:
        answer = exchange.correct()
        exchange.send(answer, body=answer.body[:200_000])
        exchange.wait(0.5)
        exchange.send_bytes(answer.body[200_000:])

    index.fault("/files/*.whl", slow)
    with serving(proxy(index)) as client, client.stream("GET", file_url(client)) as response:
        chunks = list(response.iter_raw())
    assert wheel.content == b"".join(chunks)
    assert len(chunks) > 1


@pytest.mark.parametrize("change", ["content", "short", "cut"])
def test_wrong_files(index: IndexServer, wheel: BuiltWheel, change: str) -> None:
    """A file that is not the listed one never arrives completely, and is not cached."""

    def wrong(exchange: Exchange) -> None:
        answer = exchange.correct()
        changed = answer.body[:-1] + bytes([answer.body[-1] ^ 1])
        if change == "content":
            exchange.send(Answer(200, changed, answer.headers))
        elif change == "short":
            exchange.send(Answer(200, answer.body[:-1], answer.headers))
        else:
            exchange.send(answer, body=answer.body[:100_000])
            exchange.hang_up()

    with serving(proxy(index)) as client:
        url = file_url(client)
        index.fault("/files/*.whl", wrong, times=1)
        try:
            response = client.get(url)
        except httpx.RemoteProtocolError:
            pass
        else:
            assert response.status_code in {502, 503}
        assert wheel.content == client.get(url).content


@pytest.mark.parametrize(("status", "expected"), [(404, 502), (500, 503), (403, 503)])
def test_missing_files(index: IndexServer, wheel: BuiltWheel, status: int, expected: int) -> None:
    """A file that can't be fetched is an error with the reason."""
    index.fault("/files/*.whl", lambda exchange: exchange.send(Answer(status)))
    with serving(proxy(index)) as client:
        response = client.get(file_url(client))
    assert expected == response.status_code
    assert wheel.filename in response.text


def test_files_without_hash(index: IndexServer) -> None:
    """A file whose hash the index does not give is refused, since it can't be checked."""
    index.add(build_wheel("a", "1.0"), hashes=False)
    with serving(proxy(index)) as client:
        response = client.get(file_url(client))
    assert 502 == response.status_code
    assert "gives no hash" in response.text


def test_unlisted_files(index: IndexServer, wheel: BuiltWheel) -> None:
    """Only files that a page lists are sent, and only those that it lists with a URL of this server."""
    index.add(build_wheel("a", "2.0", tag="cp311-cp311-manylinux_2_34_x86_64"))
    with serving(proxy(index)) as client:
        assert 404 == client.get(f"{ROUTE}/files/a/a-2.0-cp311-cp311-manylinux_2_34_x86_64.whl").status_code
        assert 200 == client.get("/glibc-2.34/files/a/a-2.0-cp311-cp311-manylinux_2_34_x86_64.whl").status_code
        for path in (
            f"/files/b/{wheel.filename}",
            "/files/a/%2e%2e%2fa.whl",
            "/files/a/..%2f..%2fetc%2fpasswd",
            "/files/a/",
        ):
            assert 404 == client.get(ROUTE + path).status_code
    with serving(ServeOptions(common(index_url=index.url))) as client:
        assert 404 == client.get(f"{ROUTE}/files/a/{wheel.filename}").status_code
    assert not index.paths("*passwd*")


def test_other_hosts(index: IndexServer) -> None:
    """Files are fetched only from the hosts of the indexes and those of --file-host, redirects included."""
    other = index.other
    wheel = build_wheel("a", "1.0")
    other.add(wheel)
    index.add(wheel, url=f"{other.origin}/files/{wheel.filename}")
    index.add(build_wheel("b", "1.0"))
    redirect = Answer(302, headers={"Location": f"{other.origin}/files/{wheel.filename}"})
    index.fault("/files/b-*", lambda exchange: exchange.send(redirect))
    with serving(proxy(index)) as client:
        for name in "ab":
            response = client.get(file_url(client, name))
            assert 502 == response.status_code
            assert "on none of the hosts" in response.text
        assert not other.requests
    with serving(proxy(index)._replace(file_hosts=(other.origin,))) as client:
        assert wheel.content == client.get(file_url(client, "a")).content


def test_private_indexes(tmp_path: Path, index: IndexServer, wheel: BuiltWheel) -> None:
    """The files of an index with credentials come from the server, and the credentials stay with it."""
    index.credentials = ("user", "s3cret")
    url = index.url.replace("://", "://user:s3cret@")
    with serving(ServeOptions(common(index_url=url))) as client:
        page = client.get(f"{ROUTE}/simple/a/")
        assert "private" in page.headers["cache-control"]
        assert wheel.content == client.get(file_url(client)).content
        index.credentials = ("user", "other")
        denied = client.get(f"{ROUTE}/simple/b/")
        assert 502 == denied.status_code
    for response in (page, denied):
        assert "s3cret" not in response.text + str(response.headers)


def test_signed_urls(index: IndexServer) -> None:
    """URLs with a query, which may be a signature, are not passed on."""
    wheel = build_wheel("a", "1.0")
    index.add(wheel, url=f"{index.origin}/files/{wheel.filename}?Signature=s3cret")
    with serving(ServeOptions(common(index_url=index.url))) as client:
        assert "s3cret" not in client.get(f"{ROUTE}/simple/a/").text
        assert wheel.content == client.get(file_url(client)).content
    assert index.paths("*Signature=s3cret")


def test_full_disk(index: IndexServer, wheel: BuiltWheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the cache is full, the file continues in a temporary folder."""
    original = os.write

    def write(descriptor: int, data: bytes) -> int:
        if str(tmp_path / "cache") in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        return original(descriptor, data)

    with serving(proxy(index, tmp_path / "cache")) as client:
        url = file_url(client)
        monkeypatch.setattr("minglibc.cache.wheels.os.write", write)
        assert wheel.content == client.get(url).content


def test_no_index_leads_to_another(tmp_path: Path, index: IndexServer) -> None:
    """An index can't make the server request another index with its credentials, by a page, a file or a redirect."""
    private = index.other
    private.credentials = ("user", "s3cret")
    wheel = build_wheel("a", "1.0")
    private.add(wheel)
    index.add(wheel, url=f"{private.origin}/files/{wheel.filename}")
    index.add(build_wheel("b", "1.0"))
    redirect = Answer(302, headers={"Location": f"{private.origin}/files/{wheel.filename}"})
    index.fault("/files/b-*", lambda exchange: exchange.send(redirect))
    page = Answer(302, headers={"Location": f"{private.url}a/"})
    index.fault("/simple/c/", lambda exchange: exchange.send(page))
    url = private.url.replace("://", "://user:s3cret@")
    (tmp_path / "pyproject.toml").write_text(
        f'[[tool.minglibc.index]]\nname = "one"\nurl = "{index.url}"\n'
        f'[[tool.minglibc.index]]\nname = "two"\nurl = "{url}"\ndefault = true\n'
    )
    with serving(ServeOptions(common(tmp_path), proxy_files=True)) as client:
        for name in "ab":
            assert 502 == client.get(file_url(client, name)).status_code
        assert 502 == client.get(f"{ROUTE}/simple/c/").status_code
    assert not private.paths("/files/*")
    assert not private.paths("/simple/a/")
