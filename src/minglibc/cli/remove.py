"""`minglibc remove`: remove requirements from pyproject.toml, update the lock and sync the environment."""

from argparse import Namespace

from minglibc.app.edit import remove_requirements
from minglibc.cli.add import add_list_options, edit_and_sync
from minglibc.cli.args import ArgumentParser


def configure(parser: ArgumentParser) -> None:
    """The arguments of `remove`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="the name of a requirement")
    add_list_options(parser, "from")


def run(arguments: Namespace) -> int:
    """Remove all requirements with these names from one list in pyproject.toml."""
    return edit_and_sync(arguments, remove_requirements)
