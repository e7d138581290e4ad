"""Which lock, made from what: a project's own, one of requirements files (`-r`), or a script's (`--script`)."""

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from minglibc.cli.locking import overrides
from minglibc.cli.options import Namespace, Parser, folder, talk
from minglibc.cli.selection import asked_lock
from minglibc.config import project_files
from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.config.settings import Overrides
from minglibc.errors import LockError, SettingsError
from minglibc.lock.digest import lock_digests
from minglibc.lock.document import Lock

# PEP 751: no dots in the name between.
_LOCK_NAME = re.compile(r"pylock(?:\.[^.]+)?\.toml")


class Subject(NamedTuple):
    """A lock to be made: its path, what it is made from, and that in the words of a pyproject.toml."""

    path: str
    origin: LockSource
    text: str

    @property
    def folder(self) -> str:
        """The folder of the lock; its origin's files are relative to it."""
        return os.path.dirname(self.path)

    @property
    def name(self) -> str:
        """The lock's own name."""
        return os.path.basename(self.path)

    def read_again(self) -> str:
        """What the origin asks for by now."""
        if self.origin.is_project:
            return project_files.read_pyproject(self.folder)
        from minglibc.config import inputs as sources  # noqa: PLC0415  most locks are of projects

        return sources.read(self.origin, self.folder).pyproject


def add_lock_source(parser: Parser) -> None:
    """The options that name another origin than the project; which lock to make is said each time, by no variable."""
    parser.add_argument(
        "-r",
        "--requirements",
        variable=False,
        action="append",
        metavar="FILE",
        help="lock a requirements file instead of the project; repeat for more",
    )
    parser.add_argument(
        "--script", variable=False, metavar="FILE", help="lock a script that states its requirements (PEP 723)"
    )
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="FILE",
        help="with -r: the lock to write, pylock.toml or pylock.NAME.toml",
    )


def subject(arguments: Namespace) -> Subject:
    """What the arguments ask to be locked; options that its lock remembers are filled in."""
    if arguments.script and arguments.requirements:
        raise SettingsError("a lock is of requirements files or of a script", hint="give -r or --script")
    if arguments.output and not arguments.requirements:
        raise SettingsError("-o goes with -r", hint="a project's lock is pylock.toml, a script's pylock.NAME.toml")
    if not arguments.script and not arguments.requirements:
        return own(arguments)
    from minglibc.config import inputs as sources  # noqa: PLC0415  most locks are of projects

    path = sources.script_lock(arguments.script) if arguments.script else _output(arguments)
    origin = _origin(arguments, os.path.dirname(path))._replace(lock=os.path.basename(path))
    origin = _remembered(origin, path, arguments)
    found = sources.read(origin, os.path.dirname(path))
    sources.check_targets(origin, found.pyproject)
    for note in found.notes:
        talk(arguments, note)
    return Subject(path, origin, found.pyproject)


def own(arguments: Namespace) -> Subject:
    """The project's own lock."""
    directory = folder(arguments)
    return Subject(project_files.lock_path(directory), PROJECT_FILE, project_files.read_pyproject(directory))


def existing(arguments: Namespace) -> tuple[Lock, Subject]:
    """The lock that is asked for, and what it is made from by now; options that it remembers are filled in."""
    found = asked_lock(arguments)
    origin = found.lock.origin
    _fill(arguments, {**origin.given, **overrides(arguments).given})
    asked = Subject(os.path.join(found.folder, found.name), origin, "")
    return found.lock, asked._replace(text=asked.read_again())


def check_lock_source(old: str, asked: Subject) -> None:
    """Raise LockError where *old*, which is about to be replaced, is the lock of something else."""
    found = origin_of(old, asked.name)
    if found is None or found[:2] == asked.origin[:2]:
        return
    raise LockError(
        f"{asked.path} is the lock of {found.name}, not of {asked.origin.name}",
        hint="write another one by -o pylock.NAME.toml, or delete it first"
        if asked.origin.requirements
        else f"`{found.command}` brings it up to date; delete it to lock {asked.origin.name} in its place",
    )


def origin_of(lock: str, name: str) -> LockSource | None:
    """What a lock says that it was made from; None where it is not whole."""
    digests = lock_digests(lock)
    if digests is None or not digests.intact:
        return None
    try:
        return LockSource.load(tomllib.loads(lock)["tool"]["minglibc"], name)
    except (ValueError, KeyError, TypeError):
        return None


def overrides_of(origin: LockSource) -> Overrides:
    """The options that a lock remembers, in the place of its settings."""
    given: dict[str, Any] = {
        key: value if isinstance(value, str) else tuple(value) for key, value in origin.given.items()
    }
    return Overrides(**given)


def _output(arguments: Namespace) -> str:
    if arguments.output is None:
        return os.path.join(os.path.dirname(os.path.abspath(arguments.requirements[0])), project_files.LOCK)
    path: str = os.path.abspath(arguments.output)
    if not _LOCK_NAME.fullmatch(os.path.basename(path)):
        raise SettingsError(
            f"{arguments.output} is no name for a lock (PEP 751)",
            hint="pylock.toml or pylock.NAME.toml, no dots in NAME",
        )
    if not os.path.isdir(os.path.dirname(path)):
        raise SettingsError(f"there is no folder {os.path.dirname(path)}", hint="make it first")
    return path


def _origin(arguments: Namespace, place: str) -> LockSource:
    for path in (arguments.script, *(arguments.requirements or ())):
        # It stands in the lock's first comment.
        if path and not path.isprintable():
            raise SettingsError(f"{path!r} is a name that a lock can't carry", hint="rename the file")
    if arguments.script:
        return LockSource(script=os.path.relpath(arguments.script, place))
    return LockSource(requirements=tuple(os.path.relpath(path, place) for path in arguments.requirements))


def _remembered(origin: LockSource, path: str, arguments: Namespace) -> LockSource:
    """*origin* with the options that are given, and for the rest those of the lock there is."""
    old = project_files.read_lock(path)
    before = origin_of(old, os.path.basename(path)) if old is not None else None
    same = before is not None and before[:2] == origin[:2]
    given = {**(before.given if before and same else {}), **overrides(arguments).given}
    _fill(arguments, given)
    return origin.with_given(given)


def _fill(arguments: Namespace, given: Mapping[str, Any]) -> None:
    """Let the options say what is *given*, in the form of ``Overrides.given``."""
    arguments.glibc, arguments.musl = given.get("glibc"), given.get("musl")
    arguments.python, arguments.arch = given.get("python"), given.get("architectures")
