"""The HTML of the Simple API (PEP 503) and flat pages of links → files, read in pieces.

html.parser takes a text in pieces, and keeps of it what is not whole yet. In one place that goes wrong: where a value's quote
does not follow its ``=`` at once, and is still to be closed, a ``>`` within it ends the tag. So the text is cut before an
anchor, and not within such a quote.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Self
from urllib.parse import unquote, urldefrag, urlsplit

from minglibc.errors import IndexAnswerError
from minglibc.index.json_page import HTML_TYPES, File, content_type, reading
from minglibc.index.response import Answer, read_on, shown
from minglibc.index.spool import Spool
from minglibc.model.project_page import ProjectPage, Reduction, project_of

PIECE = 256 * 1024
_TO_LAST_ANCHOR = re.compile(r".+(?=<a\s)", re.IGNORECASE | re.DOTALL)
# It begins where no run of blanks and equals signs is under way: each is gone through once.
_OPEN_QUOTE = re.compile(r"""(?<![\s=])\s*+=[\s=]++(?:"[^"]*+|'[^']*+)\Z""")
# What pages that may well list nothing say: PEP 629's version, servers' own words, and folders that are listed as they are.
_MARKS = (b"pypi:repository-version", b"simple index", b"links for", b"index of /", b"directory listing for")
_NO_FILES = "the index answered with a web page that lists no files — a log-in page?"


class _Links(HTMLParser):
    """The anchors of a page; ``files`` are those that were met since somebody took them."""

    def __init__(self, piece: int) -> None:
        super().__init__()
        self.files: list[File] = []
        self.version = "1.0"
        self.base = ""
        self._piece = self._due = piece
        self._text = ""

    def read(self, text: str) -> None:
        """Read on; where the text is cut depends on nothing but what stands before."""
        self._text += text
        while len(self._text) >= self._due:
            cut = self._cut()
            if not cut:
                self._due *= 2
                continue
            self.feed(self._text[:cut])
            self._text = self._text[cut:]
            # What the parser goes through again is no longer than what is new.
            self._due = max(self._piece, len(self.rawdata))

    def _cut(self) -> int:
        """The place of the last anchor of the text that is due; 0 where that is no place to cut."""
        before = _TO_LAST_ANCHOR.match(self._text, 0, self._due)
        return before.end() if before and not _OPEN_QUOTE.search(self._text, 0, before.end()) else 0

    def read_rest(self) -> None:
        """Read to the end; a tag that is not whole there is none."""
        self.feed(self._text)
        self._text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag == "a" and found.get("href"):
            file = _linked(found)
            # A listing of a folder leads to the folders around it too.
            if file.filename:
                self.files.append(file)
        elif tag == "base" and found.get("href"):
            self.base = found["href"]
        elif tag == "meta" and found.get("name") == "pypi:repository-version":
            self.version = found.get("content", "1.0")


def _linked(found: Mapping[str, str]) -> File:
    url, fragment = urldefrag(found["href"])
    metadata = found.get("data-core-metadata", found.get("data-dist-info-metadata"))
    return File(
        filename=unquote(urlsplit(url).path.rpartition("/")[2]),
        url=url,
        hashes=_hashes(fragment),
        requires_python=found.get("data-requires-python"),
        yanked=(found["data-yanked"] or True) if "data-yanked" in found else False,
        core_metadata=None if metadata is None else metadata != "false" and (_hashes(metadata) or True),
    )


def _hashes(text: str) -> dict[str, str]:
    algorithm, equals, digest = text.partition("=")
    return {algorithm: digest} if equals else {}


class _InPieces:
    """HTML of which ``feed`` is given the text piece by piece; who inherits it says what becomes of the files."""

    def __init__(self, answer: Answer, words: tuple[bytes, ...], piece: int) -> None:
        self._answer = answer
        self._links = _Links(piece)
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._marks = _Marks(words)

    def feed(self, data: bytes) -> None:
        """Read on."""
        self._marks.feed(data)
        with reading(self._answer):
            self._links.read(self._decode(data))
            self._take_all()

    def _end(self) -> str:
        """Read to the end; the address that those of the files are relative to."""
        with reading(self._answer):
            self._links.read(self._decode(b"", final=True))
            self._links.read_rest()
            self._take_all()
        if self._links.version.partition(".")[0] != "1":
            raise IndexAnswerError(
                f"{shown(self._answer.url)}: the index speaks version {self._links.version} of the Simple API; "
                "minglibc knows 1.x"
            )
        return self._links.base or self._answer.url

    def _take_all(self) -> None:
        if self._links.files:
            self._take(self._links.files)
            self._links.files.clear()

    def _take(self, files: Sequence[File]) -> None:
        raise NotImplementedError


class HtmlPage(_InPieces):
    """The page of a project."""

    def __init__(self, answer: Answer, name: str, *, piece: int = PIECE) -> None:
        super().__init__(answer, _MARKS, piece)
        self._reduction = Reduction(name, Spool())

    def _take(self, files: Sequence[File]) -> None:
        self._reduction.add(files)

    def close(self) -> ProjectPage:
        """The page; raises IndexAnswerError where it is none."""
        page = self._reduction.page(base_url=self._end())
        if not len(page.versions) and not page.skipped and not self._marks.found:
            raise IndexAnswerError(
                f"{shown(self._answer.url)}: {_NO_FILES}",
                hint="check index-url and whether the network wants you to log in",
            )
        return page


class LinkedFiles(_InPieces):
    """A flat page, which lists the files of many projects: all of them."""

    def __init__(self, answer: Answer, *, piece: int = PIECE) -> None:
        super().__init__(answer, (b"<a", *_MARKS), piece)
        kind = content_type(answer)
        if kind not in HTML_TYPES:
            raise IndexAnswerError(
                f"{shown(answer.url)}: a flat index is a page of HTML, and this is {kind or 'nothing'}"
            )
        self.files: list[File] = []
        self.base_url = ""

    def _take(self, files: Sequence[File]) -> None:
        self.files += files

    def close(self) -> Self:
        """This page, whole; raises IndexAnswerError where it is none."""
        self.base_url = self._end()
        if not self._marks.found:
            raise IndexAnswerError(
                f"{shown(self._answer.url)}: {_NO_FILES}",
                hint="check its url and whether the network wants you to log in",
            )
        return self


class Listing(LinkedFiles):
    """A flat page, of which only a piece at a time is in memory."""

    def __init__(self, answer: Answer, *, piece: int = PIECE) -> None:
        super().__init__(answer, piece=piece)
        self._spool = Spool()
        self._projects: dict[str, Reduction] = {}

    def _take(self, files: Sequence[File]) -> None:
        found: dict[str, list[File]] = {}
        for file in files:
            found.setdefault(project_of(file.filename), []).append(file)
        for name, those in found.items():
            if name not in self._projects:
                self._projects[name] = Reduction(name, self._spool)
            self._projects[name].add(those)

    def project(self, name: str) -> ProjectPage:
        """The files of project *name*; no versions where there are none."""
        found = self._projects.get(name) or Reduction(name, self._spool)
        return found.page(base_url=self.base_url)


class _Marks:
    """Whether a text that comes in pieces has one of some words, in whatever case."""

    def __init__(self, words: tuple[bytes, ...]) -> None:
        self._words = words
        self._kept = max(map(len, words)) - 1
        self._tail = b""
        self.found = False

    def feed(self, data: bytes) -> None:
        """Look at *data* too."""
        if not self.found:
            text = self._tail + data.lower()
            self.found = any(word in text for word in self._words)
            self._tail = text[-self._kept :]


def read_html(answer: Answer, name: str) -> ProjectPage:
    """The page of project *name* in *answer*, which is HTML; raises IndexAnswerError where it is none."""
    found: ProjectPage = read_on(HtmlPage(answer, name), answer, (answer.body,))
    return found


def read_listing(answer: Answer) -> Listing:
    """The flat page that *answer* holds, as it was sent; raises IndexAnswerError where it holds none."""
    found: Listing = read_on(Listing(answer), answer, (answer.body,))
    return found


def linked_files(answer: Answer) -> LinkedFiles:
    """The files that the flat page in *answer* lists; raises IndexAnswerError where it is none."""
    found: LinkedFiles = read_on(LinkedFiles(answer), answer, (answer.body,))
    return found
