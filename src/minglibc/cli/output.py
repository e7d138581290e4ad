"""All output to the terminal: messages, colors, tables and progress."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Self, TextIO

from minglibc.model.artifacts import printable
from minglibc.model.urls import hide_secrets

if TYPE_CHECKING:
    from argparse import Namespace

    from minglibc.model.targets import Target
    from minglibc.resolve.conflict import Attempt

_RED, _GREEN, _YELLOW, _CYAN, _BOLD, _RESET = "\33[31m", "\33[32m", "\33[33m", "\33[36m", "\33[1m", "\33[0m"
# The color of a line's beginning.
_LABELS = {
    "error:": _BOLD + _RED,
    "warning:": _BOLD + _YELLOW,
    "hint:": _BOLD + _CYAN,
    " + ": _GREEN,
    " - ": _RED,
    " ~ ": _YELLOW,
    "held back by the cap:": _YELLOW,
}
# Messages quote pages and wheels, which must not move the cursor or change the direction of the text.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
# Progress is displayed after so many seconds.
_DELAY = 0.4
_LONG_SEARCH = 10.0
# Columns of a table are not wrapped below this width.
_NARROWEST = 12
# The width of "12.3/455.6 MB" beside a progress bar, with the spaces around it.
_NUMBERS = 18
_ROOM_FOR_TARGET = 120
_color = "auto"


def set_color(choice: str) -> None:
    """Use colors as --color says: auto, always or never."""
    global _color  # noqa: PLW0603  one per process, as the streams are
    _color = choice


def uses_color(stream: TextIO) -> bool:
    """Whether output to *stream* is colored: as --color says, else on a terminal without NO_COLOR (no-color.org)."""
    if _color != "auto":
        return _color == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def print_message(text: str, stream: TextIO | None = None) -> None:
    """Print *text* to *stream* (default: stderr), with colored labels, without control characters and secrets of URLs.

    In a terminal, lines are wrapped to its width; elsewhere they are not, so that tools can read them.
    """
    stream = stream or sys.stderr
    text = _safe(text)
    if stream.isatty():
        width = terminal_width(stream)
        text = "\n".join(_fitted(line, width) for line in text.split("\n"))
    if uses_color(stream):
        text = "\n".join(_colored(line) for line in text.split("\n"))
    print(text, file=stream)


def print_text(text: str) -> None:
    """Print *text*, a command's result, to stdout, without control characters and secrets of URLs."""
    print(_safe(text))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print *value* as JSON, which escapes control characters, without secrets of URLs."""
    import json  # noqa: PLC0415  3 ms, and an unchanged environment or lock prints no JSON

    print(json.dumps(_without_secrets(value), indent=indent))


def _safe(text: str) -> str:
    text = hide_secrets(text)
    if not text.isascii() or not text.replace("\n", "").isprintable():
        text = re.sub(_CONTROL, "\ufffd", text)
    return text


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, dict):
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, (list, tuple)) else value


def _colored(line: str) -> str:
    label = next((label for label in _LABELS if line.startswith(label)), "")
    return f"{_LABELS[label]}{label}{_RESET}{line[len(label) :]}" if label else line


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *heads* to stdout; in a terminal, the cells of the widest columns are wrapped to fit its width."""
    lines = [[printable(hide_secrets(cell)) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    if sys.stdout.isatty():
        excess = sum(widths) + 2 * len(widths) - 2 - terminal_width()
        while excess > 0 and max(widths) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
            excess -= 1
    for line in lines:
        wrapped = [_wrap(cell, width) for cell, width in zip(line, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            print("  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())


def _wrap(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    from textwrap import wrap  # noqa: PLC0415  few tables are too wide

    return wrap(cell, width, break_on_hyphens=False)


def _fitted(line: str, width: int) -> str:
    """A line of a message, wrapped between words; what follows is indented further than its beginning."""
    if len(line) <= width:
        return line
    from textwrap import fill  # noqa: PLC0415  most messages are short

    indent = line[: len(line) - len(line.lstrip())] + "    "
    return fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def terminal_width(stream: TextIO | None = None) -> int:
    """The number of columns of the terminal that *stream* (default: stdout) is, 80 without one."""
    try:
        if columns := os.environ.get("COLUMNS"):
            return int(columns) or 80
        return os.get_terminal_size(stream.fileno() if stream is not None else 1).columns or 80
    except (OSError, ValueError):
        return 80


def _release_of(filename: str) -> str:
    """``numpy 2.4.6`` for the name of its wheel; other names as they are."""
    return " ".join(filename.split("-")[:2]) if filename.endswith(".whl") else filename


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def plural(number: int, noun: str) -> str:
    """``1 package``, ``2 packages``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Terminal:
    """The reporter of the command line: messages on stderr, and progress where stderr is a terminal.

    A context manager that removes the progress display.
    """

    def __init__(self, *, quiet: bool = False, verbose: int = 0) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self.details: Callable[[str], None] | None = self._detail if verbose and not quiet else None
        self._shows_progress = sys.stderr.isatty() and not quiet
        self._started = time.monotonic()
        self._target = ""
        # rich.status.Status while resolving, rich.progress.Progress while downloading.
        self._status: Any = None
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    @classmethod
    def of(cls, arguments: "Namespace") -> Self:
        """A reporter as --quiet and --verbose say."""
        return cls(quiet=arguments.quiet, verbose=arguments.verbose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def info(self, message: str, *, level: int = 0) -> None:
        """Print *message*, unless --quiet is given or more -v options are needed."""
        if not self._quiet and self._verbose >= level:
            print_message(message)

    def _detail(self, detail: str) -> None:
        print_message(f"[{time.monotonic() - self._started:6.2f}s] {detail}")

    def warn(self, message: str) -> None:
        """Print a warning, unless --quiet is given."""
        self.info(f"warning: {message}")

    def resolving(self, target: "Target") -> None:
        """Show the target that is being resolved; with -v, print it."""
        self._target = str(target)
        if self.details is not None:
            self.details(f"resolving for {target}")
        self._show_status("")

    def trying(self, attempt: "Attempt") -> None:
        """Show what a long search tries; after ten seconds, what would end it."""
        hint = ""
        if attempt.seconds > _LONG_SEARCH and attempt.bound:
            hint = f' (the constraint "{attempt.bound}" would shorten the search)'
        self._show_status(f"trying {attempt.package} {attempt.version}{hint}")

    def fetching(self, what: str) -> None:
        """Show what the resolver waits for; with -vv, print it."""
        if self.details is not None and self._verbose > 1:
            self.details(f"waiting for {what}")
        self._show_status(f"waiting for {_release_of(what)}")

    def _show_status(self, what: str) -> None:
        # What is waited for is shown rather than the target where there is no room for both.
        target = f" for {self._target}" if not what or terminal_width() >= _ROOM_FOR_TARGET else ""
        self._show_spinner(f"Resolving{target}{f': {what}' if what else ''}")

    def _show_spinner(self, text: str) -> None:
        if not self._shows_progress or time.monotonic() - self._started < _DELAY:
            return
        if self._status is None:
            from rich.console import Console  # noqa: PLC0415  40 ms, and most locks are done before it is needed
            from rich.status import Status  # noqa: PLC0415

            self._stop()
            self._status = Status("", console=Console(stderr=True))
            self._status.start()
        # A longer line would be wrapped, and drawn again on several lines.
        self._status.update(_shortened(text, terminal_width() - len("⠋ ") - 1))

    def building(self, names: Sequence[str]) -> None:
        """Show what is built; afterwards, what is resolved."""
        if names:
            self._show_spinner(f"Building {', '.join(names)}")
        elif self._target:
            self._show_status("")
        elif self._status is not None:
            self._stop()

    def installing(self, packages: int) -> None:
        """Show that packages are installed."""
        if self._bars is not None:
            self._stop()
        self._show_spinner(f"Installing {plural(packages, 'package')}")

    def downloading(self, filename: str, done: int, size: int | None) -> None:
        """Draw a progress bar for a file."""
        if not self._shows_progress:
            return
        if self._bars is None:
            from rich.console import Console  # noqa: PLC0415  40 ms, and only a terminal shows it
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

            self._stop()
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=self._bar_width()), DownloadColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        if filename not in self._tasks:
            name = _shortened(_release_of(filename), terminal_width() - _NUMBERS - self._bar_width() - 1)
            self._tasks[filename] = self._bars.add_task(name, total=size)
        self._bars.update(self._tasks[filename], completed=done, total=size, visible=done != size)

    @staticmethod
    def _bar_width() -> int:
        return min(40, max(terminal_width() - _NUMBERS, 2) // 2)

    def _stop(self) -> None:
        for display in (self._status, self._bars):
            if display is not None:
                display.stop()
        self._status = self._bars = None
        self._tasks.clear()
