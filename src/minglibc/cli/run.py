"""`minglibc run`: run a command in the environment, syncing it first if needed."""

import argparse
import os
import sys
from argparse import Namespace
from typing import NoReturn

from minglibc.app.run import (
    ReadyEnvironment,
    has_script_block,
    prepare_environment,
    prepare_script,
    started_in_overlay,
    variables_for,
)
from minglibc.cache import location
from minglibc.cli.args import ArgumentParser, add_selection, common_options, sync_options
from minglibc.cli.output import Terminal
from minglibc.cli.stale_lock import with_current_lock
from minglibc.errors import MinglibcError, SettingsError

_EXIT_NOT_EXECUTABLE, _EXIT_NOT_FOUND = 126, 127


def configure(parser: ArgumentParser) -> None:
    """The arguments of `run`."""
    add_selection(parser)
    parser.add_argument("--exact", action="store_true", help="remove packages that are not in the lock")
    parser.add_argument("--no-sync", action="store_true", help="run in the environment as it is")
    parser.add_argument(
        "--with",
        dest="with_packages",
        variable=False,
        action="append",
        metavar="PACKAGE",
        help="run with this requirement, which is not locked, on top of the environment; can be repeated",
    )
    # All arguments after the script's name are its own; no environment variable names a script.
    parser.add_argument(
        "--script",
        variable=False,
        nargs=argparse.REMAINDER,
        metavar="FILE",
        help="run a script with its arguments, in an environment for its own lock",
    )
    parser.add_argument(
        "-m",
        dest="module",
        variable=False,
        nargs=argparse.REMAINDER,
        metavar="MODULE",
        help="run a module with its arguments, as `python -m` does",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command, or a Python file, and its arguments"
    )


def run(arguments: Namespace) -> NoReturn:
    """Replace this process by the command, so that its exit code and signals are this process's."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    script = arguments.script or []
    if arguments.module:
        command = ["python", "-m", *arguments.module]
    elif command and _is_python_file(command[0]):
        if has_script_block(command[0]):
            script = command
        else:
            command = ["python", *command]
    if not command and not script:
        raise SettingsError("no command was given", hint="minglibc run [--] COMMAND [ARGUMENTS]")
    # A script's own environment is always exact.
    inexact = not arguments.exact and not script
    common, options = common_options(arguments), sync_options(arguments)._replace(inexact=inexact)
    if script and arguments.with_packages:
        raise SettingsError(
            "--with can't be combined with a script that has inline metadata",
            hint="add the requirement to its script block",
        )
    if script and arguments.no_sync:
        raise SettingsError("--no-sync can't be combined with a script, whose environment is in the cache")
    with Terminal.of(arguments) as terminal:
        if script:
            ready = prepare_script(script[0], common, options, terminal)
            command = [os.path.join(ready.prefix, "bin", "python"), *script]
        else:
            ready = with_current_lock(
                lambda: prepare_environment(common, options, terminal, sync=not arguments.no_sync),
                arguments,
                common,
                terminal,
            )
        _print_outcome(ready, terminal)
        prefixes = [ready.prefix]
        if arguments.with_packages:
            from minglibc.app.run_with import prepare_overlay  # noqa: PLC0415  150 ms, and rarely used

            overlay = prepare_overlay(arguments.with_packages, ready.prefix, common, options, terminal)
            _print_outcome(overlay, terminal)
            prefixes.insert(0, overlay.prefix)
            command = started_in_overlay(command, *prefixes)
    _replace_process(command, prefixes)


def _is_python_file(path: str) -> bool:
    return path.endswith((".py", ".pyw")) and os.path.isfile(path)


def _print_outcome(ready: ReadyEnvironment, terminal: Terminal) -> None:
    if ready.outcome and ready.outcome.changed:
        from minglibc.cli.sync import print_outcome  # noqa: PLC0415  only after a sync

        print_outcome(ready.outcome, terminal)


def _replace_process(command: list[str], prefixes: list[str]) -> NoReturn:
    location.remove_temporary()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, variables_for(*prefixes))  # noqa: S606  the purpose of `run`
    except FileNotFoundError:
        if command[0].endswith(".py"):
            raise _error(
                f"there is no file {command[0]}", _EXIT_NOT_FOUND, hint="give the path of a Python file"
            ) from None
        raise _error(f"command not found in {prefixes[-1]} or on PATH: {command[0]}", _EXIT_NOT_FOUND) from None
    except OSError as error:
        hint = f"`minglibc run python {command[0]}` runs a Python file" if isinstance(error, PermissionError) else ""
        raise _error(f"can't run {command[0]}: {error.strerror}", _EXIT_NOT_EXECUTABLE, hint=hint) from error


def _error(
    message: str, exit_code: int, *, hint: str = "it may be provided by a group or extra, e.g. `--group dev`"
) -> MinglibcError:
    error = MinglibcError(message, hint=hint)
    error.exit_code = exit_code
    return error
