"""Which lock, which part of it and which environment: the arguments of all that read a lock."""

import os
from typing import TYPE_CHECKING, NamedTuple

from minglibc.cli.options import Namespace, Parser
from minglibc.config import project_files
from minglibc.errors import LockError, SettingsError

if TYPE_CHECKING:
    from minglibc.lock.document import Lock

ENVIRONMENT = ".venv"
# How files come from the cache into an environment.
HARDLINK, COPY = "hardlink", "copy"


class Asked(NamedTuple):
    """The lock that the arguments ask for: where it is, its text, and what that says."""

    folder: str
    name: str
    text: str
    lock: "Lock"


def add_lock(parser: Parser) -> None:
    """The option that names another lock than the project's."""
    parser.add_argument("--lock", metavar="FILE", help="another lock than the project's, such as pylock.tools.toml")


def asked_lock(arguments: Namespace) -> Asked:
    """The lock that --lock names, else the project's; raises LockError where there is none, or one that is not whole."""
    from minglibc.lock.document import loads  # noqa: PLC0415  `run` reads no lock when it is known to match

    path = os.path.abspath(arguments.lock) if arguments.lock else _path(arguments)
    folder, name = os.path.split(path)
    text = project_files.read_lock(path)
    if text is None:
        raise LockError(f"there is no {name} in {folder}", hint="run `minglibc lock` and commit the file")
    return Asked(folder, name, text, loads(text, name=name))


def _path(arguments: Namespace) -> str:
    try:
        return project_files.lock_path(project_files.find(arguments.project))
    except SettingsError:
        # Requirements files have no project, and a frozen lock needs none beside it: so it travels to the machines
        # that only install.
        path = project_files.lock_path(os.path.abspath(arguments.project or "."))
        if not os.path.exists(path):
            raise
        return path


def add_part(parser: Parser) -> None:
    """Which part of which lock: what all take that install it or pass it on."""
    add_lock(parser)
    add = parser.add_argument
    add("--target", metavar="NAME", help="this target of the lock, such as cp39-x86_64-glibc2.27")
    add("--extra", action="append", metavar="NAME", help="with this extra of the project; repeat for more")
    add("--all-extras", action="store_true", help="with every extra")
    add("--group", action="append", metavar="NAME", help="with this dependency group; repeat for more")
    add("--no-default-groups", action="store_true", help="without the default dependency groups")
    add("--frozen", action="store_true", help="take the lock as it is, even if pyproject.toml has changed since")


def add_selection(parser: Parser) -> None:
    """What `sync` and `run` both take: which environment, which part of the lock, and what else is in it."""
    # MINGLIBC_PYTHON is a version, for `lock`; this is a path, and has no variable.
    parser.add_argument(
        "--python",
        variable=False,
        metavar="PATH",
        help="an interpreter, or the folder of an environment (default: .venv)",
    )
    add_part(parser)
    add = parser.add_argument
    add("--inexact", action="store_true", help="keep what the lock does not name")
    add(
        "--link-mode",
        choices=[HARDLINK, COPY],
        default=HARDLINK,
        help="how files come from the cache: linked, which is fast, or as copies of their own (default: hardlink)",
    )
    add(
        "--no-install-project", action="store_true", help="leave the project itself out, even if it has a build backend"
    )


def selection(arguments: Namespace) -> str:
    """The arguments that decide what an environment holds, on one line, for the stamp."""
    extras, groups = sorted(arguments.extra or ()), sorted(arguments.group or ())
    flags = (arguments.all_extras, arguments.no_default_groups, arguments.inexact)
    said = repr((arguments.target or "", extras, groups, flags))
    return f"{said} without the project" if arguments.no_install_project else said
