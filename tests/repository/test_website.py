"""The source of the documentation site; CI builds it with Sphinx."""

import re
from pathlib import Path

import pytest
from website import build, command_pages

from minglibc.cli import COMMANDS
from minglibc.cli.completion import subparsers, whole_parser


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the site."""
    folder = tmp_path_factory.mktemp("site")
    build.Site(folder).write()
    return folder


def test_links_of_the_source(source: Path) -> None:
    """Links between pages were adapted: their files exist."""
    for page in source.rglob("*.md"):
        text = build._BLOCK.sub("", page.read_text(encoding="utf-8"))
        for match in build._LINK.finditer(text):
            file = match["target"].partition("#")[0]
            assert re.match("[a-z]+:", file) or (page.parent / file).exists(), f"{page}: {match['target']}"


def test_all_pages_are_in_the_navigation(source: Path) -> None:
    """The index has a table of contents for each section, with each page in one of them."""
    trees = re.findall(
        r"```\{toctree\}\n.*?\n\n(.*?)\n```", (source / "index.md").read_text(encoding="utf-8"), re.DOTALL
    )
    listed = [page for tree in trees for page in tree.split("\n")]
    pages = [page.relative_to(source).as_posix() for page in source.rglob("*.md")]
    assert sorted(pages) == sorted([*listed, "index.md"])


def test_command_pages() -> None:
    """A command's page has its usage, its text and all of its options."""
    pages = command_pages.pages((build.ROOT / command_pages.REFERENCE).read_text(encoding="utf-8"))
    assert list(COMMANDS) == list(pages)
    parsers = subparsers(whole_parser(variables=True))
    for command, page in pages.items():
        assert page.startswith(f"# minglibc {command}\n\n```text\nusage: minglibc {command} ")
        for action in parsers[command]._actions:
            if action.option_strings and action.dest != "help":
                assert re.search(rf"^\| .*`{re.escape(action.option_strings[-1])}\b", page, re.MULTILINE)


def test_broken_links_are_listed(tmp_path: Path) -> None:
    """Missing files and anchors are named with their page; links to other sites are not followed."""
    text = '<a href="b.html#x"></a><a href="b.html#y"></a><img src="c.png"><a href="https://example.invalid/"></a>'
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="x"></p>', encoding="utf-8")
    assert ["a.html: b.html#y", "a.html: c.png"] == build.broken_links(tmp_path)
