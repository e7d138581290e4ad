"""Write the man pages of minglibc and of each command to a folder: `python -m website.man_pages man/man1`."""

import os
import re
import sys
from pathlib import Path

from argparse_manpage.manpage import Manpage

from minglibc import __version__
from minglibc.cli.completion import subparsers, whole_parser

# Unwrapped: a line that begins with ".venv" would be a request of roff. The reader's terminal decides where lines end.
os.environ["COLUMNS"] = "100000"


def write_pages(folder: Path) -> list[Path]:
    """Write minglibc.1 and minglibc-COMMAND.1; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    parser = whole_parser(variables=True)
    pages = []
    for name, command in {"minglibc": parser, **subparsers(parser)}.items():
        title = name if command is parser else f"minglibc-{name}"
        data = {
            "prog": command.prog,
            "project_name": "minglibc",
            "version": __version__,
            "manual_title": "minglibc",
            "description": (command.description or "").rstrip("."),
            "long_description": command.description or "",
            "authors": [],
            "url": "",
        }
        page = Manpage(command, _data=data, format="single-commands-section" if command is parser else "pretty")
        heading, _, text = str(page).partition("\n")
        # The name of a command has a blank, which would separate it from the section.
        heading = re.sub(r'^\.TH .*? "1"', f'.TH {title.upper()} "1"', heading)
        path = folder / f"{title}.1"
        path.write_text(f"{heading}\n{text}", encoding="utf-8")
        pages.append(path)
    return pages


if __name__ == "__main__":
    for page in write_pages(Path(sys.argv[1])):
        print(page)
