"""`minglibc serve`: an index server for the files within a cap."""

import argparse
from argparse import Namespace

from minglibc.app.serve import DEFAULT_PORT, ServeOptions, serve
from minglibc.cli.args import ArgumentParser, add_index, common_options
from minglibc.cli.output import Terminal

_HIGHEST_PORT = 65_535


def configure(parser: ArgumentParser) -> None:
    """The arguments of `serve`."""
    add = parser.add_argument
    add("--host", metavar="ADDRESS", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    add("--port", metavar="N", type=_port, help=f"the port to listen at (default: {DEFAULT_PORT})")
    add(
        "--allow",
        action="append",
        choices=["macos", "windows", "sdist"],
        help="also list wheels for this system, or source distributions; can be repeated",
    )
    add_index(parser)


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {_HIGHEST_PORT}, not {text!r}")
    return port


def run(arguments: Namespace) -> int:
    """Serve until the process is interrupted."""
    options = ServeOptions(
        common_options(arguments),
        arguments.host,
        DEFAULT_PORT if arguments.port is None else arguments.port,
        tuple(dict.fromkeys(arguments.allow or ())),
    )
    with Terminal.of(arguments) as terminal:
        serve(options, terminal)
    return 0
