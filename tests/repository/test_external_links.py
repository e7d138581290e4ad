"""The links of the documentation to other sites lead somewhere."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.repository.test_docs import DOCUMENTS

# Links in Markdown; addresses in code are examples.
_LINK = re.compile(r"\]\((https?://[^\s()]+(?:\([^\s()]*\)[^\s()]*)*)\)|<(https?://[^\s<>]+)>")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_GONE = {404, 410}


def links(text: str) -> set[str]:
    """The addresses that a document links to, without the part after ``#``."""
    matches = _LINK.finditer(_CODE.sub("", text))
    return {(match[1] or match[2]).partition("#")[0] for match in matches}


def test_links_are_found() -> None:
    """Links in text are found, with parentheses in them; those in code and relative ones are not."""
    text = "[a](https://a.invalid/x#y) [b](b.md) <https://b.invalid> `https://c.invalid` [d](https://d.invalid/e_(f))\n"
    assert {"https://a.invalid/x", "https://b.invalid", "https://d.invalid/e_(f)"} == links(text)
    assert set() == links("```console\n$ open <https://e.invalid>\n```\n")


@pytest.mark.online
@pytest.mark.nightly
def test_external_links() -> None:
    """No page that the documentation links to is gone; sites that do not answer are skipped."""
    sources: dict[str, list[str]] = {}
    for path in DOCUMENTS:
        for link in links(path.read_text(encoding="utf-8")):
            if ".invalid" not in link and "://127." not in link:
                sources.setdefault(link, []).append(path.name)
    with httpx.Client(follow_redirects=True, timeout=20) as client, ThreadPoolExecutor(8) as executor:

        def status(link: str) -> int | None:
            try:
                return client.get(link, headers={"User-Agent": "Mozilla/5.0"}).status_code
            except httpx.HTTPError:
                return None

        statuses = dict(zip(sources, executor.map(status, sources), strict=True))
    if not any(statuses.values()):
        pytest.skip("no site can be reached")
    assert {} == {link: sources[link] for link, code in statuses.items() if code in _GONE}
