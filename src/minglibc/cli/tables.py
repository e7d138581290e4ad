"""Tables for people: colored in a terminal, and as records where it is too narrow for all columns."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minglibc.cli import output
from minglibc.model.artifacts import printable
from minglibc.model.urls import hide_secrets

if TYPE_CHECKING:
    from rich.text import Text

_GAP = 2


class Cell(NamedTuple):
    """Text with a style of rich, which never carries meaning that the text lacks."""

    text: str
    style: str = ""


class Record(NamedTuple):
    """A row as lines: a title, and further lines that are indented."""

    title: Cell
    lines: Sequence[Cell]


def print_table(heads: Sequence[Cell], rows: Sequence[Sequence[Cell]], records: Callable[[], Iterable[Record]]) -> None:
    """Print *rows* under *heads* to stdout; as *records* if the table is wider than the terminal, plain without one."""
    is_terminal, is_colored = sys.stdout.isatty(), output.uses_color(sys.stdout)
    if not is_terminal and not is_colored:
        output.print_table([head.text for head in heads], [[cell.text for cell in row] for row in rows])
        return
    # 60 ms, and only a terminal shows it.
    from rich.console import Console  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    lines = [[_text(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(line[column].cell_len for line in lines) for column in range(len(heads))]
    needed = sum(widths) + _GAP * (len(widths) - 1)
    width = output.terminal_width() if is_terminal else needed
    console = Console(
        file=sys.stdout, width=width, force_terminal=is_colored, no_color=not is_colored, highlight=False, emoji=False
    )
    if needed > width:
        for record in records():
            console.print(_text(record.title), overflow="fold")
            for line in record.lines:
                console.print(Padding(_text(line), (0, 0, 0, _GAP), expand=False), overflow="fold")
        return
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for head in lines[0]:
        table.add_column(head, no_wrap=True)
    for row in lines[1:]:
        table.add_row(*row)
    console.print(table)


def _text(cell: Cell) -> "Text":
    from rich.text import Text  # noqa: PLC0415  as above

    return Text(printable(hide_secrets(cell.text)), cell.style)
