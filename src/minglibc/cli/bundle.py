"""`minglibc bundle`: create a folder, or an archive of one, that installs a target's wheels without network access."""

import os
from argparse import Namespace

from minglibc.app.bundle import create_bundle
from minglibc.cli.args import ArgumentParser, add_index, add_lock_part, common_options, selection_options
from minglibc.cli.output import Terminal, plural


def configure(parser: ArgumentParser) -> None:
    """The arguments of `bundle`."""
    add_lock_part(parser)
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="PATH",
        help="the folder, or the archive X.tar.gz (default: bundle-TARGET)",
    )
    parser.add_argument(
        "--sign",
        variable=False,
        metavar="KEY",
        help="sign the bundle with this private key of OpenSSH; install.sh --allowed-signers FILE verifies it",
    )
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Create the bundle and print its path."""
    with Terminal.of(arguments) as terminal:
        outcome = create_bundle(
            common_options(arguments), selection_options(arguments), arguments.output, terminal, key=arguments.sign
        )
    if outcome.sha256:
        terminal.info(f"sha256 {outcome.sha256}")
    terminal.info(f"Bundled {plural(outcome.packages, 'package')} and {outcome.pip} for {outcome.target}")
    print(os.path.abspath(outcome.path))
    return 0
