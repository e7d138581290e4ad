"""Colour for the lines that people look for, on a terminal; the words are the same without it."""

import os
import re
import sys
from typing import TextIO

_RED, _GREEN, _YELLOW, _CYAN, _BOLD, _RESET = "\33[31m", "\33[32m", "\33[33m", "\33[36m", "\33[1m", "\33[0m"
# How a line begins → how that beginning looks.
_LABELS = {
    "error:": _BOLD + _RED,
    "warning:": _BOLD + _YELLOW,
    "hint:": _BOLD + _CYAN,
    " + ": _GREEN,
    " - ": _RED,
    " ~ ": _YELLOW,
    "held back by the cap:": _YELLOW,
}
_chosen = ["auto"]
# What strangers say, on pages and in wheels, stands in messages: it moves no cursor and turns no reading direction.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"


def choose(choice: str) -> None:
    """What --color says, for the rest of this run: auto, always or never."""
    _chosen[:] = [choice]


def wanted(stream: TextIO) -> bool:
    """Whether *stream* gets colour: as --color says, else on a terminal without NO_COLOR (no-color.org)."""
    if _chosen[0] != "auto":
        return _chosen[0] == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def say(text: str, stream: TextIO | None = None) -> None:
    """Print *text*, each line with its label in colour where colour is wanted; to stderr if nothing else is said."""
    stream = stream or sys.stderr
    if not text.isascii() or not text.replace("\n", "").isprintable():
        text = re.sub(_CONTROL, "\ufffd", text)
    if wanted(stream):
        text = "\n".join(_painted(line) for line in text.split("\n"))
    print(text, file=stream)


def _painted(line: str) -> str:
    label = next((label for label in _LABELS if line.startswith(label)), "")
    return f"{_LABELS[label]}{label}{_RESET}{line[len(label) :]}" if label else line
