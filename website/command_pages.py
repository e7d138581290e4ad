"""The pages of the commands: the usage and the options of each parser, with the text of docs/reference/commands.md."""

import re
from argparse import Action

from minglibc.cli import COMMANDS
from minglibc.cli.args import ArgumentParser
from minglibc.cli.completion import subparsers, whole_parser

REFERENCE = "docs/reference/commands.md"

_TABLE = re.compile(r"^\| Option \|.*?\n\n", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (?P<options>`-.*?) \| (?P<text>.*) \| (?P<variable>[^|]*) \|$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])(--?[a-zA-Z][a-z-]*)")


def pages(reference: str) -> dict[str, str]:
    """The page of each command, from the text of the reference."""
    sections = _sections(reference)
    parsers = subparsers(whole_parser(variables=True))
    return {name: _page(name, parsers[name], sections) for name in COMMANDS}


def overview(reference: str) -> str:
    """The reference without the sections of commands, with a list of their pages."""
    head, *_ = reference.partition("\n## minglibc ")
    rows = "".join(f"| [minglibc {name}](#minglibc-{name}) | {purpose} |\n" for name, purpose in COMMANDS.items())
    return f"{head}\n## All commands\n\n| Command | Purpose |\n|---|---|\n{rows}"


def local_anchors(text: str) -> set[str]:
    """The anchors of the headings in *text*."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


def _sections(reference: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    return {
        title: text.strip("\n") + "\n\n"
        for title, _, text in (part.partition("\n") for part in reference.split("\n## ")[1:])
    }


def _page(command: str, parser: ArgumentParser, sections: dict[str, str]) -> str:
    title = f"minglibc {command}"
    text = _TABLE.sub("", sections[title])
    documented = {heading: list(_ROW.finditer(section)) for heading, section in sections.items()}
    # The command's own table comes first, then those that several commands share.
    headings = [title, *(heading for heading in sections if heading.endswith(" options"))]
    tables: dict[str, list[str]] = {heading: [] for heading in headings}
    for action in parser._actions:  # noqa: SLF001  argparse has no public name for it
        if action.option_strings and action.dest != "help":
            heading, row = _documented(action, headings, documented)
            if row not in tables[heading]:
                tables[heading].append(row)
    parts = [f"# {title}\n\n```text\n{parser.format_usage()}```\n\n{text}"]
    for heading, rows in tables.items():
        if rows:
            name = "Options" if heading == title else heading
            parts.append(
                f"## {name}\n\n| Option | Description | Variable |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
            )
    return "".join(parts)


def _documented(action: Action, headings: list[str], documented: dict[str, list[re.Match[str]]]) -> tuple[str, str]:
    """The heading and the row of the table that describes an option."""
    for heading in headings:
        for row in documented[heading]:
            if set(action.option_strings) & set(_OPTION.findall(row["options"])):
                return heading, row[0]
    options = ", ".join(f"`{option}`" for option in action.option_strings)
    return headings[0], f"| {options} | {action.help} |  |"
