"""`minglibc run`: a command in the environment, which is synced first if it is not known to match the lock."""

# What stands between a person and the command: nothing is imported here that the common case can do without.

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from minglibc.cli.options import Namespace
from minglibc.config import project_files
from minglibc.errors import LockError, MinglibcError, SettingsError
from minglibc.install import proof
from minglibc.lock import source_files

if TYPE_CHECKING:
    from minglibc.cli.options import Parser

_ALL_THE_REST = "..."  # argparse.REMAINDER, which is imported where it is used
_EXIT_NOT_EXECUTABLE, _EXIT_NOT_FOUND = 126, 127


def configure(parser: "Parser") -> None:
    """The arguments of `run`."""
    from minglibc.cli.selection import add_selection  # noqa: PLC0415  paid for only where it is needed

    add_selection(parser)
    # What comes after it is the script's own, and no variable names a script.
    parser.add_argument(
        "--script",
        variable=False,
        nargs=_ALL_THE_REST,
        metavar="FILE",
        help="run a script with its arguments, in an environment of its own lock",
    )
    parser.add_argument(
        "command", nargs=_ALL_THE_REST, metavar="COMMAND", help="the command and its arguments, as they are"
    )


def run(arguments: Namespace) -> NoReturn:
    """Become the command; its exit code and its signals are this process's."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if arguments.script:
        _run_script(arguments, *arguments.script)
    if not command:
        raise SettingsError("there is no command to run", hint="minglibc run [--] COMMAND [ARGUMENTS]")
    prefix = _known_to_match(arguments)
    if prefix is None:
        prefix = _synchronized(arguments)
    _become(command, prefix)


def _run_script(arguments: Namespace, script: str, *rest: str) -> NoReturn:
    """Become the script, in an environment of the cache that is its lock's and nobody else's."""
    from minglibc.cli.options import cache_folder  # noqa: PLC0415  the same
    from minglibc.cli.selection import selection  # noqa: PLC0415  the same
    from minglibc.config import inputs  # noqa: PLC0415  paid for only where it is needed
    from minglibc.config.lock_source import LockSource  # noqa: PLC0415  the same

    arguments.lock = inputs.script_lock(script)
    lock = project_files.read_lock(arguments.lock)
    if lock is None:
        raise LockError(f"{script} has no lock {arguments.lock}", hint=f"run `minglibc lock --script {script}`")
    known = proof.digest(lock + selection(arguments))[:16]
    prefix = os.path.join(os.path.abspath(cache_folder(arguments)), inputs.SCRIPTS, known)
    if arguments.python is None:
        arguments.python = prefix
        asks = inputs.read(LockSource(script=os.path.basename(script)), os.path.dirname(arguments.lock))
        # What lies beside the lock is looked at by the sync.
        if source_files.lists_any(lock) or not proof.matches(prefix, _request(lock, asks.pyproject, arguments)):
            _synchronized(arguments)
    else:
        prefix = _synchronized(arguments)
    _become([os.path.join(prefix, "bin", "python"), script, *rest], prefix)


def _known_to_match(arguments: Namespace) -> str | None:
    """The environment, if its proof says that it matches the lock."""
    from minglibc.cli.selection import ENVIRONMENT  # noqa: PLC0415  paid for only where it is needed

    if arguments.lock:
        return None  # what it was made from is for the sync to find
    try:
        folder = project_files.find(arguments.project)
        lock, pyproject = project_files.read_lock(project_files.lock_path(folder)), project_files.read_pyproject(folder)
    except MinglibcError:
        return None  # the sync says it better
    given = arguments.python or os.path.join(folder, ENVIRONMENT)
    prefix = os.path.abspath(given if os.path.isdir(given) else os.path.dirname(os.path.dirname(given)))
    # What lies beside the lock is looked at by the sync.
    holds = (
        lock is not None
        and not source_files.lists_any(lock)
        and proof.matches(prefix, _request(lock, pyproject, arguments))
    )
    return prefix if holds and os.path.exists(os.path.join(prefix, "bin", "python")) else None


def _request(lock: str, pyproject: str | None, arguments: Namespace) -> proof.Request:
    from minglibc.cli.selection import selection  # noqa: PLC0415  paid for only where it is needed

    known = None if arguments.frozen else proof.digest(pyproject)
    return proof.Request(proof.digest(lock), known, selection(arguments))


def _synchronized(arguments: Namespace) -> str:
    from minglibc.cli import sync, syncing  # noqa: PLC0415  paid for only where it is needed

    vars(arguments).update(dry_run=False, check=False, json=False, compile_bytecode=False)
    outcome = syncing.synchronize(arguments)
    if outcome.changed:
        sync.tell(outcome, arguments)
    return outcome.prefix


def _become(command: list[str], prefix: str) -> NoReturn:
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([os.path.join(prefix, "bin"), os.environ.get("PATH", os.defpath)])
    if os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        environment["VIRTUAL_ENV"] = prefix
    # It would lead the environment's interpreter to another one's library.
    environment.pop("PYTHONHOME", None)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606  that is the purpose
    except FileNotFoundError:
        missing = _refusal(f"there is no command {command[0]} in {prefix} or on PATH", _EXIT_NOT_FOUND)
        raise missing from None
    except OSError as error:
        raise _refusal(f"can't run {command[0]}: {error.strerror}", _EXIT_NOT_EXECUTABLE) from error


def _refusal(message: str, exit_code: int) -> MinglibcError:
    error = MinglibcError(message, hint="a package of the lock may bring it; `minglibc tree` lists them")
    error.exit_code = exit_code
    return error
