"""The pages for people."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.browser import Page, browser, chromium
from tests.support.index import IndexServer
from tests.support.serve import common, serving
from tests.support.wheels import build_wheel


@pytest.fixture
def filled(index: IndexServer) -> IndexServer:
    """An index with releases that have files under different caps."""
    for version, minor in (("1.0", 17), ("1.9", 28), ("1.10", 34)):
        index.add(build_wheel("a", version, tag=f"cp39-cp39-manylinux_2_{minor}_x86_64"))
        index.add(build_wheel("a", version, tag="cp39-cp39-win_amd64"))
        index.add_sdist("a", version)
    index.project_status("a", "archived", "<b>old</b>")
    return index


def test_project(filled: IndexServer, client: httpx.Client) -> None:
    """A project's page says what is hidden, why, and which cap shows it, the newest release first."""
    response = client.get("/glibc-2.27/project/A", follow_redirects=True)
    text = response.text
    assert text.index(">1.10<") < text.index(">1.9<") < text.index(">1.0<")
    assert "1 of 3 releases have files under this cap" in text
    assert "<td>glibc 2.28</td>" in text
    assert "a-1.10-cp39-cp39-manylinux_2_34_x86_64.whl: needs glibc 2.34" in text
    assert "a-1.0-cp39-cp39-win_amd64.whl: is built for Windows" in text
    assert "a-1.0.tar.gz: is a source distribution" in text
    assert "&lt;b&gt;old&lt;/b&gt;" in text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert 404 == client.get("/glibc-2.27/project/nonexistent").status_code


def test_home(client: httpx.Client) -> None:
    """The home page names the caps and has a snippet for each tool."""
    response = client.get("/")
    for part in ("rhel-8/simple/", "UV_DEFAULT_INDEX", "[[tool.poetry.source]]", "[pypi-options]", "--index-url"):
        assert part in response.text
    assert 304 == client.get("/", headers={"If-None-Match": response.headers["etag"]}).status_code


@pytest.fixture
def opened(filled: IndexServer, tmp_path: Path) -> Iterator[tuple[Page, str]]:
    """A browser, and the URL of a server."""
    with serving(ServeOptions(common(index_url=filled.url))) as client, browser(tmp_path / "profile") as page:
        yield page, str(client.base_url)


@pytest.mark.browser
@pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser(opened: tuple[Page, str], width: int, dark: bool) -> None:  # noqa: FBT001  pytest calls it
    """Snippets have the server's URL and the selected cap; no page scrolls horizontally, has errors or uses other hosts."""
    page, url = opened
    page.show(dark=dark, width=width, height=900)
    page.open(f"{url}/")
    snippet = "document.querySelector('pre').textContent"
    assert f"pip install --index-url {url}/glibc-2.17/simple/ NAME" == page.evaluate(snippet)
    page.evaluate("cap.value = 'rhel-8'; cap.dispatchEvent(new Event('change'))")
    assert f"pip install --index-url {url}/rhel-8/simple/ NAME" == page.evaluate(snippet)
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    _keep(page, f"home-{width}-{dark}")
    page.evaluate("document.querySelector('#name').value = 'A'; document.querySelector('form').requestSubmit()")
    while "a under glibc 2.28" != page.evaluate("document.querySelector('h1')?.textContent"):
        pass
    page.evaluate("document.querySelector('details').open = true")
    assert page.evaluate(fits)
    assert page.evaluate("document.querySelector('table').offsetWidth <= document.querySelector('.scroll').clientWidth")
    _keep(page, f"project-{width}-{dark}")
    assert f"{url}/" == page.evaluate("document.querySelector('header a').href")
    assert f"{url}/glibc-2.28/simple/a/" == page.evaluate("document.querySelectorAll('header a')[1].href")
    assert all(request.startswith(url) for request in page.requests)
    assert [] == [error for error in page.errors if "favicon" not in str(error)]


def _keep(page: Page, name: str) -> None:
    """Save a screenshot in the folder that TEST_PICTURES names."""
    if folder := os.environ.get("TEST_PICTURES"):
        Path(folder, f"{name}.png").write_bytes(page.screenshot())
