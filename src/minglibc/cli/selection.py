"""Which environment and which part of the lock: the arguments that `sync` and `run` share."""

from argparse import ArgumentParser, Namespace

from minglibc.cli.options import Parser

ENVIRONMENT = ".venv"


def add_selection(parser: Parser) -> None:
    """What `sync` and `run` both take: which environment, which target, which part of the lock."""
    # MINGLIBC_PYTHON is a version, for `lock`; this is a path, and has no variable.
    ArgumentParser.add_argument(
        parser, "--python", metavar="PATH", help="an interpreter, or the folder of an environment (default: .venv)"
    )
    add = parser.add_argument
    add("--lock", metavar="FILE", help="another lock than the project's, such as pylock.tools.toml")
    add("--target", metavar="NAME", help="the target of the lock to install, such as cp39-x86_64-glibc2.27")
    add("--extra", action="append", metavar="NAME", help="install this extra of the project; repeat for more")
    add("--all-extras", action="store_true", help="install every extra")
    add("--group", action="append", metavar="NAME", help="install this dependency group; repeat for more")
    add("--no-default-groups", action="store_true", help="leave the default dependency groups out")
    add("--inexact", action="store_true", help="keep what the lock does not name")
    add(
        "--no-install-project", action="store_true", help="leave the project itself out, even if it has a build backend"
    )
    add("--frozen", action="store_true", help="take the lock as it is, even if pyproject.toml has changed since")


def selection(arguments: Namespace) -> str:
    """The arguments that decide what an environment holds, on one line, for the stamp."""
    extras, groups = sorted(arguments.extra or ()), sorted(arguments.group or ())
    flags = (arguments.all_extras, arguments.no_default_groups, arguments.inexact)
    said = repr((arguments.target or "", extras, groups, flags))
    return f"{said} without the project" if arguments.no_install_project else said
