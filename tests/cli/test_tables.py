"""Tables at every width: whole where there is room, else as records, and plain where no terminal reads them."""

import io
import re
import sys
from collections.abc import Callable

import pytest

from minglibc.cli import output
from minglibc.cli.tables import Cell, Record, print_table

HEADS = [Cell("package"), Cell("blocked by")]
ROWS = [[Cell("nvidia-cublas-cu12", "bold"), Cell("torch 2.6.0 requires nvidia-cublas-cu12==12.4.5.8", "yellow")]]
HOSTILE = "https://me:s3cret@example.invalid/\x1b[2J[red]"


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._terminal


Printed = Callable[..., str]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Printed:
    """Print a table to a terminal with so many columns, or to a pipe."""

    def run(columns: int, *, rows: list[list[Cell]] = ROWS, color: str = "auto") -> str:
        stream = Stream(terminal=columns > 0)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(output, "_color", color)
        monkeypatch.setenv("COLUMNS", str(columns or 80))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        print_table(HEADS, rows, lambda: [Record(row[0], row[1:]) for row in rows])
        return stream.getvalue()

    return run


def plain(text: str) -> list[str]:
    """The lines of *text* without colors and without blanks at their ends."""
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]


def test_wide_terminals_show_columns(printed: Printed) -> None:
    """Where all columns fit, rows are not wrapped."""
    text = printed(80)
    assert ["package             blocked by", "  ".join(cell.text for cell in ROWS[0])] == plain(text)
    assert "\x1b[" in text


@pytest.mark.parametrize("columns", [60, 40, 20, 10])
def test_narrow_terminals_show_records(printed: Printed, columns: int) -> None:
    """Where they do not fit, each row is a title with indented lines, of which none is too long and nothing is lost."""
    lines = plain(printed(columns))
    assert all(len(line) <= columns for line in lines)
    assert "".join(cell.text for cell in ROWS[0]).replace(" ", "") == "".join(lines).replace(" ", "")
    assert lines[-1].startswith("  ")


def test_pipes_get_plain_text(printed: Printed) -> None:
    """Without a terminal there are no colors and no wrapped lines, whatever its width; --color always adds the colors."""
    wide = "  ".join(cell.text for cell in ROWS[0])
    assert ["package             blocked by", wide] == printed(0).splitlines()
    assert wide in plain(printed(0, color="always"))
    assert "\x1b[" in printed(0, color="always")
    assert "\x1b[" not in printed(80, color="never")


@pytest.mark.parametrize("columns", [0, 30, 80])
def test_cells_are_not_interpreted(printed: Printed, columns: int) -> None:
    """Markup of rich and control characters in a cell are shown as text, and passwords are hidden."""
    text = printed(columns, rows=[[Cell("a"), Cell(HOSTILE)]])
    assert "[red]" in text.replace("\n", "").replace(" ", "")
    assert "\x1b[2J" not in text
    assert "s3cret" not in text
