"""`minglibc remove`: requirements out of pyproject.toml, the lock brought up to date, the environment synced."""

from minglibc.cli import lock as locker
from minglibc.cli.add import Edit, add_place, change, place_of
from minglibc.cli.options import Namespace, Parser
from minglibc.config import edit


def configure(parser: Parser) -> None:
    """The arguments of `remove`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="the name of a requirement")
    add_place(parser, "from")


def run(arguments: Namespace) -> int:
    """Remove every requirement of these names from where the arguments say."""
    place = place_of(arguments)

    def edited(text: str, old: str | None) -> Edit:
        without = edit.remove(text, arguments.names, place)
        return Edit(without, locker.lock(without, old, arguments))

    return change(arguments, edited, place)
