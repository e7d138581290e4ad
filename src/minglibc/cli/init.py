"""`minglibc init`: add [tool.minglibc] to pyproject.toml."""

from argparse import Namespace

from minglibc.app.init import InitOptions, init
from minglibc.cli.args import ArgumentParser
from minglibc.cli.output import print_message, print_text
from minglibc.config.other_tools import Imported


def configure(parser: ArgumentParser) -> None:
    """The arguments of `init`."""
    add = parser.add_argument
    add(
        "--glibc",
        metavar="VERSION",
        help="the glibc of the oldest machine, or its distribution such as rhel-8 (default: this machine's)",
    )
    add("--musl", metavar="VERSION", help="the musl of the oldest machine that has it, such as Alpine's")
    add(
        "--python",
        metavar="VERSION",
        action="append",
        help="a CPython version that the project supports; can be repeated (default: the one that runs minglibc)",
    )
    add(
        "--arch",
        metavar="NAME",
        action="append",
        help="an architecture that the project supports; can be repeated (default: this machine's)",
    )


def run(arguments: Namespace) -> int:
    """Add the table, and print what it contains and which settings of other tools it includes."""
    outcome = init(
        InitOptions(
            arguments.project,
            arguments.glibc,
            arguments.musl,
            tuple(arguments.python or ()),
            tuple(arguments.arch or ()),
        )
    )
    print_text(f"Added to {outcome.path}:\n\n{outcome.added.rstrip()}")
    for result in outcome.settings:
        if isinstance(result, Imported):
            print_message(f"Imported {result.source} as {result.key}")
        else:
            print_message(f"Skipped {result.source}: {result.reason}")
    for libc, version in outcome.detected.items():
        print_message(
            f"{libc} {version} is this machine's version; change it to the oldest machine's, then run `minglibc lock`"
        )
    if outcome.problem:
        print_message(f"before `minglibc lock` can run: {outcome.problem}")
    return 0
