"""Which lock, which part of it and which environment: the arguments of all that read a lock."""

import os
from typing import TYPE_CHECKING, NamedTuple

from minglibc.cli.args import add_lock, add_selection
from minglibc.cli.args import add_lock_part as add_part
from minglibc.cli.options import Namespace
from minglibc.config import project_files
from minglibc.errors import LockError, SettingsError

if TYPE_CHECKING:
    from minglibc.lock.reader import Lock

__all__ = ["ENVIRONMENT", "add_lock", "add_part", "add_selection", "asked_lock", "selection"]
ENVIRONMENT = ".venv"
# How files come from the cache into an environment.
HARDLINK, COPY = "hardlink", "copy"


class Asked(NamedTuple):
    """The lock that the arguments ask for: where it is, its text, and what that says."""

    folder: str
    name: str
    text: str
    lock: "Lock"


def asked_lock(arguments: Namespace) -> Asked:
    """The lock that --lock names, else the project's; raises LockError where there is none, or one that is not whole."""
    from minglibc.lock.reader import loads  # noqa: PLC0415  `run` reads no lock when it is known to match

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


def selection(arguments: Namespace) -> str:
    """The arguments that decide what an environment holds, on one line, as part of the proof of a sync."""
    extras, groups = sorted(arguments.extra or ()), sorted(arguments.group or ())
    flags = (arguments.all_extras, arguments.no_default_groups, arguments.inexact)
    said = repr((arguments.target or "", extras, groups, flags))
    return f"{said} without the project" if arguments.no_install_project else said
