"""`minglibc export`: export the lock to requirements.txt or CycloneDX."""

import os
from argparse import Namespace

from minglibc.app.export import export_lock
from minglibc.cli.args import ArgumentParser, add_lock_part, common_options, selection_options
from minglibc.cli.output import Terminal
from minglibc.config import atomic_file
from minglibc.errors import MinglibcError


def configure(parser: ArgumentParser) -> None:
    """The arguments of `export`."""
    add = parser.add_argument
    add("--format", choices=["requirements", "cyclonedx"], default="requirements", help="the output format")
    add("--index", action="store_true", help="write name==version with hashes, for an index, instead of URLs")
    add_lock_part(parser)
    add("-o", "--output", metavar="FILE", help="write to this file instead of stdout")


def run(arguments: Namespace) -> int:
    """Write the lock in the chosen format."""
    text = export_lock(common_options(arguments), selection_options(arguments), arguments.format, index=arguments.index)
    if not arguments.output:
        print(text, end="")
        return 0
    try:
        atomic_file.replace(os.path.realpath(arguments.output), text.encode())
    except OSError as error:
        raise MinglibcError(f"can't write {arguments.output}: {error.strerror}") from error
    Terminal.of(arguments).info(f"Wrote {arguments.output}")
    return 0
