"""`minglibc export`: export the lock to requirements.txt or CycloneDX."""

import os
from argparse import SUPPRESS, Namespace

from minglibc.app.export import export_lock
from minglibc.cli.args import ArgumentParser, add_lock_part, common_options, selection_options
from minglibc.cli.output import Terminal
from minglibc.config import atomic_file
from minglibc.errors import MinglibcError


def configure(parser: ArgumentParser) -> None:
    """The arguments of `export`."""
    add = parser.add_argument
    add("--format", choices=["requirements", "cyclonedx"], default="requirements", help="the output format")
    add("--pinned", action="store_true", help="write name==version with hashes, for an index, instead of URLs")
    # Of minglibc 0.1.0, and to be removed in 0.3.0: elsewhere, an index is an address.
    add("--index", dest="old_pinned", variable=False, action="store_true", help=SUPPRESS)
    add_lock_part(parser)
    add("-o", "--output", variable=False, metavar="FILE", help="write to this file instead of stdout")


def run(arguments: Namespace) -> int:
    """Write the lock in the chosen format."""
    terminal = Terminal.of(arguments)
    if arguments.old_pinned:
        terminal.warn("--index is deprecated; use --pinned, which means the same")
    pinned = arguments.pinned or arguments.old_pinned
    text = export_lock(common_options(arguments), selection_options(arguments), arguments.format, pinned=pinned)
    if not arguments.output:
        print(text, end="")
        return 0
    try:
        atomic_file.replace(os.path.realpath(arguments.output), text.encode())
    except OSError as error:
        raise MinglibcError(f"can't write {arguments.output}: {error.strerror}") from error
    terminal.info(f"Wrote {arguments.output}")
    return 0
