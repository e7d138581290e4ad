"""`minglibc bundle`: create a folder, or an archive of one, that installs a target's wheels without network access."""

import os
from argparse import Namespace

from minglibc.app.bundle import BundleOptions, create_bundle
from minglibc.bundle.system_package import FORMATS
from minglibc.cli.args import ArgumentParser, add_index, add_lock_part, common_options, selection_options
from minglibc.cli.output import Terminal, plural
from minglibc.errors import SettingsError


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
        "--as",
        dest="package_format",
        variable=False,
        choices=FORMATS,
        help="create a package that apt or yum installs: the environment is /opt/NAME/current",
    )
    parser.add_argument(
        "--release",
        variable=False,
        metavar="N",
        default="1",
        help="the release of that package, to be raised if the version of the project stays (default: 1)",
    )
    parser.add_argument(
        "--sign",
        variable=False,
        metavar="KEY",
        help="sign the bundle with this private key of OpenSSH; install.sh --allowed-signers FILE verifies it",
    )
    parser.add_argument(
        "--project-wheel",
        variable=False,
        metavar="FILE",
        help="include this wheel of the project, instead of building it",
    )
    parser.add_argument(
        "--interpreter",
        variable=False,
        metavar="FILE",
        help="include this archive (X.tar.gz) of a relocatable Python, for machines without a suitable one",
    )
    parser.add_argument("--no-install-project", action="store_true", help="leave out the project itself")
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Create the bundle and print its path."""
    with Terminal.of(arguments) as terminal:
        outcome = create_bundle(common_options(arguments), selection_options(arguments), _options(arguments), terminal)
    if outcome.sha256:
        terminal.info(f"sha256 {outcome.sha256}")
    own = f", including {outcome.project}," if outcome.project else ""
    terminal.info(f"Bundled {plural(outcome.packages, 'package')}{own} and {outcome.pip} for {outcome.target}")
    print(os.path.abspath(outcome.path))
    return 0


def _options(arguments: Namespace) -> BundleOptions:
    """The options of `bundle` alone, typed."""
    excluded = arguments.no_install_project or bool(arguments.only_group)
    if arguments.project_wheel and excluded:
        other = "--no-install-project" if arguments.no_install_project else "--only-group"
        raise SettingsError(f"--project-wheel can't be combined with {other}")
    return BundleOptions(
        arguments.output,
        arguments.sign,
        not excluded,
        arguments.project_wheel,
        arguments.interpreter,
        _package_format(arguments.package_format, arguments.output or ""),
        arguments.release,
    )


def _package_format(selected: str | None, output: str) -> str | None:
    """The format of the package, which the name of the file tells, too."""
    suffix = output.rpartition(".")[2]
    named = suffix if suffix in FORMATS else None
    if selected and output and named != selected:
        raise SettingsError(f"--as {selected} writes a file X.{selected}, --output is {output}")
    return selected or named
