"""`minglibc add`: requirements into pyproject.toml, the lock brought up to date, the environment synced."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from minglibc.cli import lock as locker
from minglibc.cli.options import Namespace, Parser, add_common, add_index, folder, talk
from minglibc.config import edit as requirement_edits
from minglibc.config import project_files
from minglibc.config.edit import Place
from minglibc.lock.document import Lock, loads
from minglibc.model import versions

_COMMON = ("project", "cache_dir", "offline", "quiet", "verbose", "color")


class Edit(NamedTuple):
    """A changed pyproject.toml and the outcome of locking it."""

    pyproject: str
    outcome: locker.Outcome


def configure(parser: Parser) -> None:
    """The arguments of `add`."""
    parser.add_argument("names", nargs="+", metavar="NAME", help='a requirement, such as foo, "foo>=1.2" or "foo[bar]"')
    add_place(parser, "to")


def add_place(parser: Parser, preposition: str) -> None:
    """What `add` and `remove` both take."""
    # No variable of the environment chooses where pyproject.toml is edited: MINGLIBC_GROUP is for `sync`.
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--group", metavar="NAME", help=f"{preposition} this dependency group")
    place.add_argument("--extra", metavar="NAME", help=f"{preposition} this extra of the project")
    parser.add_argument("--no-sync", action="store_true", help="leave the environment as it is")
    add_index(parser)
    # What `lock` also takes and these two don't: the targets are pyproject.toml's.
    parser.set_defaults(
        glibc=None, musl=None, python=None, arch=None, upgrade=False, upgrade_package=None, dry_run=False, json=False
    )


def run(arguments: Namespace) -> int:
    """Add the requirements, each without a specifier at the release that was locked or newer."""
    place = place_of(arguments)

    def edited(text: str, old: str | None) -> Edit:
        first = requirement_edits.add(text, arguments.names, place)
        outcome = locker.lock(first, old, arguments)
        bare = requirement_edits.unbounded(first, arguments.names, place)
        if not bare:
            return Edit(first, outcome)
        lock = loads(outcome.text)
        bounded = [_bounded(each, lock) if each in bare else each for each in arguments.names]
        second = requirement_edits.add(text, bounded, place)
        # The same answer under the inputs that are written: everything it asks for has just been fetched.
        again = locker.lock(second, outcome.text, Namespace(**{**vars(arguments), "quiet": True}))
        return Edit(second, outcome._replace(text=again.text))

    return change(arguments, edited, place)


def place_of(arguments: Namespace) -> Place:
    """Where the arguments say that the requirements stand."""
    return Place(extra=arguments.extra or "", group=arguments.group or "")


def _bounded(text: str, lock: Lock) -> str:
    name = requirement_edits.parse(text).name
    locked = {str(package.version) for package in lock.pylock.packages if package.name == name and package.version}
    # A marker may keep it from every target.
    return requirement_edits.with_bound(text, min(locked, key=versions.key)) if locked else text


def change(arguments: Namespace, edited: Callable[[str, str | None], Edit], place: Place) -> int:
    """Write what *edited* makes of pyproject.toml with its lock, both or neither, and sync."""
    directory = folder(arguments)
    path = project_files.lock_path(directory)
    with project_files.lock(
        directory, on_wait=lambda holder: talk(arguments, f"waiting for another minglibc ({holder})")
    ):
        text = project_files.read_pyproject(directory)
        edit = edited(text, project_files.read_lock(path))
        project_files.write_pyproject(directory, edit.pyproject)
        try:
            project_files.write_lock(path, edit.outcome.text)
        except BaseException:
            project_files.write_pyproject(directory, text)
            raise
    locker.tell(edit.outcome, arguments)
    return 0 if arguments.no_sync else _sync(arguments, place)


def _sync(arguments: Namespace, place: Place) -> int:
    """`sync` as it runs without options, but with the extra or group that was changed."""
    command = import_module("minglibc.cli.sync")
    parser = Parser(prog="minglibc sync")
    command.configure(parser)
    add_common(parser)
    given = parser.parse_args(place.option.split())
    for name in _COMMON:
        setattr(given, name, getattr(arguments, name))
    code: int = command.run(given)
    return code
