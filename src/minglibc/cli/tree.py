"""`minglibc tree`: show the dependency tree."""

from argparse import ArgumentTypeError, Namespace

from minglibc.app.tree import tree
from minglibc.cli.args import ArgumentParser, add_lock, common_options
from minglibc.cli.output import Terminal, print_json, print_text
from minglibc.lock.tree import CYCLE, SHOWN, drawn, nested


def configure(parser: ArgumentParser) -> None:
    """The arguments of `tree`."""
    add = parser.add_argument
    add("--invert", action="append", metavar="NAME", help="show what requires NAME; can be repeated")
    add("--depth", type=_depth, metavar="NUMBER", help="the maximum depth")
    add_lock(parser)
    add("--target", metavar="NAME", help="show only what this target installs, e.g. cp39-x86_64-glibc2.27")
    add("--json", action="store_true", help="print JSON")


def _depth(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number of levels")
    return int(text)


def run(arguments: Namespace) -> int:
    """Print the tree."""
    invert = arguments.invert or ()
    rows = tree(
        common_options(arguments),
        lock=arguments.lock,
        target=arguments.target,
        invert=invert,
        depth=arguments.depth,
    )
    if arguments.json:
        print_json(nested(rows, "required-by" if invert else "requires"))
        return 0
    for line in drawn(rows):
        print_text(line)
    marks = {row.mark for row in rows}
    terminal = Terminal.of(arguments)
    if SHOWN in marks:
        terminal.info(f"({SHOWN}) already shown above")
    if CYCLE in marks:
        terminal.info(f"({CYCLE}) circular dependency")
    return 0
