"""Builds the documentation site: ``python -m website.build OUTPUT``.

The Markdown files of the repository are copied with their links adapted, and each command gets a page that is generated from its
parser. Sphinx builds the copy, with warnings as errors, and the links in its output are checked.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from minglibc.cli import COMMANDS
from website import command_pages

ROOT = Path(__file__).parents[1]
# The pages outside of docs, by their path in the repository.
OTHER_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md")

_LINK = re.compile(r"(?P<start>!?\[[^\]]*\]\()(?P<target>[^)\s]+)\)")
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


class Site:
    """The source of the site in a folder."""

    def __init__(self, source: Path) -> None:
        self.source = source
        examples = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*/README.md"))
        documents = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
        self.pages = {path: _page_of(path) for path in (*documents, *OTHER_PAGES, *examples)}

    def write(self) -> None:
        """Write all pages."""
        for path, page in self.pages.items():
            text = (ROOT / path).read_text(encoding="utf-8")
            if path == command_pages.REFERENCE:
                for name, part in command_pages.pages(text).items():
                    self._write(
                        f"reference/commands/{name}.md", self._adapted(part, path, f"reference/commands/{name}.md")
                    )
                text = command_pages.overview(text)
            adapted = self._adapted(text, path, page)
            self._write(page, adapted + self._navigation(text) if page == "index.md" else adapted)

    def _write(self, page: str, text: str) -> None:
        path = self.source / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _adapted(self, text: str, path: str, page: str) -> str:
        """*text* of the file *path*, with links that work on *page*."""
        anchors = command_pages.local_anchors(text)

        def link(match: re.Match[str]) -> str:
            target = self._target(match["target"], path, page, anchors)
            return f"{match['start']}{target})" if target else match["start"].strip("![]()") or path

        parts = re.split(f"({_BLOCK.pattern})", text, flags=_BLOCK.flags)
        return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)

    def _target(self, target: str, path: str, page: str, anchors: set[str]) -> str:
        """The link *target* of the file *path*, as seen from *page*; empty for what the site does not have."""
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or (not file and anchor in anchors):
            return target
        linked = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if linked == command_pages.REFERENCE and anchor.startswith("minglibc-"):
            destination, anchor = f"reference/commands/{anchor.removeprefix('minglibc-')}.md", ""
        elif linked in self.pages:
            destination = self.pages[linked]
        elif (ROOT / linked).is_file() and not linked.endswith(".md"):
            destination = linked.removeprefix("docs/")
            (self.source / destination).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / linked, self.source / destination)
        else:
            return ""
        relative = os.path.relpath(destination, os.path.dirname(page) or ".")
        return f"{relative}#{anchor}" if anchor else relative

    def _navigation(self, index: str) -> str:
        """A hidden table of contents for each section of docs/README.md."""
        trees = []
        listed: set[str] = set()
        for section in index.split("\n## ")[1:]:
            title, _, text = section.partition("\n")
            pages = [self.pages[path] for path in _linked(text) if path in self.pages]
            if "reference/commands.md" in pages:
                position = pages.index("reference/commands.md") + 1
                pages[position:position] = [f"reference/commands/{name}.md" for name in COMMANDS]
            new = [page for page in dict.fromkeys(pages) if page not in listed]
            listed |= set(new)
            trees.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(new) + "\n```\n")
        return "\n" + "\n".join(trees)


def _page_of(path: str) -> str:
    """The page of a file of the repository."""
    if path == "docs/README.md":
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else path.lower().replace("readme.md", "index.md")


def _linked(text: str) -> Iterator[str]:
    for match in _LINK.finditer(text):
        yield os.path.normpath(os.path.join("docs", match["target"].partition("#")[0]))


class _Links(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's anchor and link."""
        values = dict(attrs)
        self.anchors.add(values.get("id") or "")
        self.links.add(values.get("href" if tag in {"a", "link"} else "src") or "")


def broken_links(output: Path) -> list[str]:
    """The links between pages of the site whose file or anchor does not exist."""
    pages = {page: _Links(page) for page in output.rglob("*.html")}
    broken = []
    for page, content in pages.items():
        for link in sorted(content.links):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            anchors = pages[target].anchors if target in pages else {url.fragment}
            if not target.exists() or url.fragment not in {"", *anchors}:
                broken.append(f"{page.relative_to(output)}: {link}")
    return broken


def main(output: str) -> int:
    """Build the site into the folder *output*."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        Site(source).write()
        configuration = ("-c", str(Path(__file__).parent))
        strict = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--fresh-env")
        build = [sys.executable, "-m", "sphinx", "-b", "html", *configuration, *strict]
        code = subprocess.run([*build, "-d", f"{folder}-doctrees", folder, output], cwd=ROOT, check=False).returncode
        shutil.rmtree(f"{folder}-doctrees", ignore_errors=True)
    broken = broken_links(Path(output).resolve())
    for line in broken:
        print(f"broken link: {line}", file=sys.stderr)
    return code or bool(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
