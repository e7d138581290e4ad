"""A large page of the Simple API in JSON, read while it comes: of its files, only a piece at a time is in memory.

No lexer of JSON is needed for that. Where a beginning of a text, with the brackets closed that it should have left open,
is JSON, the text is at just that depth there, and in no string: so a place to cut is guessed, and the decoder compatibilities it.
"""

import re
from itertools import islice

import msgspec

from minglibc.index.json_page import HTML_TYPES, JSON_TYPES, Head, RawFile, check_head, content_type, read_page, reading
from minglibc.index.response import Answer, Reader, read_on, unpacked
from minglibc.index.spool import Spool
from minglibc.model.project_page import ProjectPage, Reduction

PIECE = 256 * 1024
_GUESSES = 4
_FILES = re.compile(rb'"files"\s*:\s*\[')
_BREAK = re.compile(rb"\}\s*,\s*\{")
# How far from the end of a piece a break is looked for.
_NEAR = 16 * 1024
# What the key "files" is called where its list is no longer whole.
_REST = "minglibc: the rest of files"


class _Probe(msgspec.Struct):
    """An object whose only key of interest is ``files``."""

    files: list[msgspec.Raw]


class _Remainder(Head, rename="kebab"):
    """What is left of a page when most of its files were read: the last of them, and all other keys."""

    rest: list[RawFile] = msgspec.field(name=_REST)
    files: list[RawFile] | msgspec.UnsetType = msgspec.UNSET


_probe = msgspec.json.Decoder(_Probe)
_files = msgspec.json.Decoder(list[RawFile])
_remainder = msgspec.json.Decoder(_Remainder)


def reader(answer: Answer, name: str) -> Reader | None:
    """Who reads the page of project *name* out of *answer* while it comes; None where it is neither JSON nor HTML."""
    kind = content_type(answer) if answer.status == 200 else ""
    if kind in HTML_TYPES:
        from minglibc.index.html_page import HtmlPage  # noqa: PLC0415  most indexes speak JSON

        return HtmlPage(answer, name)
    return LargePage(answer, name) if kind in JSON_TYPES else None


def read_in_pieces(answer: Answer, name: str) -> ProjectPage:
    """The page of project *name* in *answer*, as it was sent."""
    page = reader(answer, name)
    if page is None:
        return read_page(unpacked(answer), name)
    found: ProjectPage = read_on(page, answer, (answer.body,))
    return found


class LargePage:
    """The page of a project, of which ``feed`` is given the text piece by piece."""

    def __init__(self, answer: Answer, name: str, *, piece: int = PIECE) -> None:
        self._answer = answer
        self._name = name
        self._reduction = Reduction(name, Spool())
        self._text = bytearray()
        # The text before the key "files", once that is found; what came since is its list.
        self._head: bytes | None = None
        self._guesses = 0
        self._searched = 0
        self._piece = piece
        self._due = piece

    def feed(self, data: bytes) -> None:
        """Read on."""
        self._text += data
        with reading(self._answer):
            if self._head is None and self._guesses < _GUESSES:
                self._begin()
            if self._head is not None and len(self._text) >= self._due:
                self._cut()

    def _begin(self) -> None:
        """Find the list of files: the first ``"files": [`` after which ``]}`` would end the page."""
        for start, end in self._places(_FILES, self._searched):
            try:
                _probe.decode(self._text[:end] + b"]}")
            except msgspec.DecodeError:
                self._guesses += 1
                self._searched = end
            else:
                self._head = bytes(self._text[:start])
                del self._text[:end]
                return
        # The next data may begin within the key.
        self._searched = max(self._searched, len(self._text) - 64)

    def _places(self, pattern: re.Pattern[bytes], start: int) -> list[tuple[int, int]]:
        return [match.span() for match in pattern.finditer(self._text, start)]

    def _cut(self) -> None:
        """Read the files up to the last break between two of them; where none is found, wait for twice as much."""
        breaks = self._places(_BREAK, max(0, len(self._text) - _NEAR))
        for start, end in islice(reversed(breaks), _GUESSES):
            piece = b"[%b]" % bytes(self._text[: start + 1])
            try:
                files = _files.decode(piece)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                continue
            if not piece.isascii():
                piece.decode()  # msgspec passes over bad bytes in what it doesn't decode
            self._reduction.add(files)
            del self._text[: end - 1]
            self._due = self._piece
            return
        self._due = 2 * len(self._text)

    def close(self) -> ProjectPage:
        """The page, the same as ``read_page`` makes of the whole text."""
        if self._head is None:
            return read_page(self._answer._replace(body=bytes(self._text)), self._name)
        with reading(self._answer):
            text = b'%b"%b":[%b' % (self._head, _REST.encode(), bytes(self._text))
            if not text.isascii():
                text.decode()
            remainder = _remainder.decode(text)
            rest = remainder.rest
            if remainder.files is not msgspec.UNSET:
                # Of a key that comes twice the last one counts, as in a page that is read whole.
                after = _remainder.decode(b'{"%b":[%b' % (_REST.encode(), bytes(self._text)))
                if after.files is not msgspec.UNSET:
                    self._reduction = Reduction(self._name, Spool())
                    rest = after.files
        check_head(remainder, self._answer, self._name)
        self._reduction.add(rest)
        return self._reduction.page(
            base_url=self._answer.url,
            status=remainder.project_status.status,
            status_reason=remainder.project_status.reason or "",
        )
