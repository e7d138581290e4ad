"""Indexes on this machine: folders and pages of links."""

import hashlib
import os
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.index import Answer, IndexServer
from tests.support.serve import JSON, common, listed, serving
from tests.support.wheels import build_wheel, tamper

ROUTE = "/glibc-2.27"
OLD, NEW = (build_wheel("a", version, f"cp39-cp39-manylinux_2_{minor}_x86_64") for version, minor in (("1.0", 17), ("2.0", 34)))  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project whose first index is a folder, and whose default index is the test index."""
    folder = tmp_path / "project" / "wheels"
    folder.mkdir(parents=True)
    for wheel in (OLD, NEW):
        (folder / wheel.filename).write_bytes(wheel.content)
    (folder / "README.md").write_text("no wheel", encoding="utf-8")
    configure(folder.parent, index, "wheels")
    return folder.parent


def configure(project: Path, index: IndexServer, url: str) -> None:
    """Write the index tables."""
    (project / "pyproject.toml").write_text(
        f'[[tool.minglibc.index]]\nname = "local"\nurl = "{url}"\nformat = "flat"\n\n'
        f'[[tool.minglibc.index]]\nname = "main"\nurl = "{index.url}"\ndefault = true\n',
        encoding="utf-8",
    )


def page_of(client: httpx.Client, name: str = "a") -> httpx.Response:
    """A page in JSON."""
    return client.get(f"{ROUTE}/simple/{name}/", headers=JSON)


def test_folder(project: Path, index: IndexServer) -> None:
    """A folder is an index: its files have hashes, come from the server, and other projects from the next index."""
    index.add(build_wheel("a", "1.5"))
    index.add(build_wheel("b", "1.0"))
    with serving(ServeOptions(common(project))) as client:
        page = page_of(client)
        assert [OLD.filename] == listed(page)
        (file,) = page.json()["files"]
        assert {"sha256": OLD.sha256} == file["hashes"]
        assert len(OLD.content) == file["size"]
        assert str(project) not in page.text
        url = str(page.url.join(file["url"]))
        assert url.startswith(f"{client.base_url}{ROUTE}/files/a/")
        assert OLD.content == client.get(url).content
        assert OLD.content[5:10] == client.get(url, headers={"Range": "bytes=5-9"}).content
        assert 404 == client.get(url.replace(OLD.filename, NEW.filename)).status_code
        assert ["b-1.0-py3-none-any.whl"] == listed(page_of(client, "b"))
        assert 404 == page_of(client, "readme-md").status_code
        assert "a-2.0" in client.get(f"{ROUTE}/project/a").text
    assert not index.paths("/simple/a/")


def test_metadata(project: Path) -> None:
    """The metadata of a wheel is listed and served (PEP 658), with Requires-Python, unless it can't be read."""
    wheel = build_wheel("a", "1.2", requires=["b"], requires_python=">=3.9")
    wheels = project / "wheels"
    (wheels / wheel.filename).write_bytes(wheel.content)
    (wheels / "a-1.3-py3-none-any.whl").write_bytes(b"no wheel")
    (wheels / "a-1.4-py3-none-any.whl").write_bytes(tamper(wheel, add={"a-1.2.dist-info/METADATA": b"none"}).content)
    with serving(ServeOptions(common(project))) as client:
        page = page_of(client)
        files = {file["filename"]: file for file in page.json()["files"]}
        file = files.pop(wheel.filename)
        assert ">=3.9" == file["requires-python"]
        url = str(page.url.join(file["url"])) + ".metadata"
        content = client.get(url).content
        assert wheel.metadata == content
        assert {"sha256": hashlib.sha256(content).hexdigest()} == file["core-metadata"]
        assert len(content) == int(client.head(url).headers["content-length"])
        for filename, other in files.items():
            metadata = str(page.url.join(other["url"])) + ".metadata"
            assert (200 if filename == OLD.filename else 404) == client.get(metadata).status_code
            assert ("core-metadata" in other) == (filename == OLD.filename)


def test_changed_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New, changed and removed files are noticed, and a file that has changed is not sent with the old hash."""
    monkeypatch.setattr("minglibc.serve.local_files.SECONDS", 0)
    monkeypatch.setattr("minglibc.serve.upstream.LOCAL_SECONDS", 0)
    other = build_wheel("a", "1.0", OLD.filename[6:-4], files={"a/other": "x"})
    added = build_wheel("a", "1.1")
    path = project / "wheels" / OLD.filename
    with serving(ServeOptions(common(project))) as client:
        before = page_of(client)
        (project / "wheels" / added.filename).write_bytes(added.content)
        path.write_bytes(other.content)
        after = page_of(client)
        assert [OLD.filename, added.filename] == listed(after)
        assert other.sha256 == after.json()["files"][0]["hashes"]["sha256"]
        assert before.headers["etag"] != after.headers["etag"]
        path.unlink()
        assert [added.filename] == listed(page_of(client))


def test_file_that_changes_after_its_page(project: Path) -> None:
    """A file that is not the one of the page any more is not sent."""
    path = project / "wheels" / OLD.filename
    with serving(ServeOptions(common(project))) as client:
        page = page_of(client)
        url = str(page.url.join(page.json()["files"][0]["url"]))
        path.write_bytes(b"x")
        response = client.get(url)
        assert (503, True) == (response.status_code, "changed or removed" in response.text)
        path.unlink()
        assert 503 == client.get(url).status_code


def test_links_out_of_the_folder(project: Path, tmp_path: Path) -> None:
    """Files outside of the folder, FIFOs and files of another user's choice are not listed."""
    wheels = project / "wheels"
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    (wheels / "a-3.0-py3-none-any.whl").symlink_to(secret)
    (wheels / "a-4.0-py3-none-any.whl").symlink_to(OLD.filename)
    os.mkfifo(wheels / "a-5.0-py3-none-any.whl")
    (wheels / "a-6.0-py3-none-any.whl").mkdir()
    (wheels / "a-7.0-py3-none-any.whl").symlink_to("missing")
    with serving(ServeOptions(common(project))) as client:
        assert [OLD.filename, "a-4.0-py3-none-any.whl"] == listed(page_of(client))
        assert 404 == client.get(f"{ROUTE}/files/a/a-3.0-py3-none-any.whl").status_code


def test_page_of_links(project: Path, index: IndexServer, tmp_path: Path) -> None:
    """A page of links may name files beside it and on other servers, but no other file of this machine."""
    (tmp_path / "b-2.0-py3-none-any.whl").write_bytes(b"secret")
    links = f"""<a href="wheels/{OLD.filename}">x</a> <a href="http://example.invalid/a-1.1-py3-none-any.whl">x</a>
    <a href="../b-2.0-py3-none-any.whl">x</a> <a href="{(tmp_path / "b-2.0-py3-none-any.whl").as_uri()}">x</a>"""
    (project / "links.html").write_text(links, encoding="utf-8")
    configure(project, index, "links.html")
    with serving(ServeOptions(common(project))) as client:
        page = page_of(client)
        assert [OLD.filename, "a-1.1-py3-none-any.whl"] == listed(page)
        assert "http://example.invalid/a-1.1-py3-none-any.whl" == page.json()["files"][1]["url"]
        assert OLD.content == client.get(str(page.url.join(page.json()["files"][0]["url"]))).content
        assert 404 == page_of(client, "b").status_code


def test_remote_page_that_names_local_files(index: IndexServer, project: Path) -> None:
    """A page of a server can't make this server send a file of this machine."""
    path = project / "wheels" / OLD.filename
    index.add(build_wheel("b", "1.0"), url=path.as_uri())
    page = f'<base href="{path.parent.as_uri()}/"><a href="c-1.0-py3-none-any.whl">x</a>'.encode()
    index.fault("/simple/c/", lambda exchange: exchange.send(Answer(200, page, {"Content-Type": "text/html"})))
    for is_proxied in (False, True):
        with serving(ServeOptions(common(index_url=index.url), proxy_files=is_proxied)) as client:
            for name in ("b", "c"):
                assert [] == listed(page_of(client, name))
                assert 404 == client.get(f"{ROUTE}/files/{name}/{name}-1.0-py3-none-any.whl").status_code


def test_missing_folder(project: Path) -> None:
    """An index that can't be read is an error, and no other index is used."""
    (project / "wheels").rename(project / "moved")
    with serving(ServeOptions(common(project))) as client:
        response = page_of(client)
        assert (503, True) == (response.status_code, "wheels: No such file" in response.text)
        assert str(project) not in response.text


def test_list_of_projects(project: Path) -> None:
    """Only projects with files are listed."""
    (project / "pyproject.toml").write_text(
        '[[tool.minglibc.index]]\nname = "local"\nurl = "wheels"\nformat = "flat"\ndefault = true\n', encoding="utf-8"
    )
    with serving(ServeOptions(common(project))) as client:
        assert [{"name": "a"}] == client.get(f"{ROUTE}/simple/", headers=JSON).json()["projects"]
