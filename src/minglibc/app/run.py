"""The use case of `run`: an environment that matches its lock, for a command or a script."""

# Imported before every command that `run` starts: nothing that takes long to import.

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.sync_options import SyncOptions
from minglibc.app.unchanged_environment import find_matching, script_matches
from minglibc.cache import location
from minglibc.config import files
from minglibc.errors import EnvironmentProblem, LockError
from minglibc.install import proof

if TYPE_CHECKING:
    from minglibc.app.sync import SyncOutcome


class ReadyEnvironment(NamedTuple):
    """An environment that matches its lock, and the outcome of the sync if one was needed."""

    prefix: str
    outcome: "SyncOutcome | None" = None


def prepare_environment(
    common: CommonOptions, options: SyncOptions, reporter: Reporter = SILENT, *, sync: bool = True
) -> ReadyEnvironment:
    """The environment to run a command in, synced if it is not known to match the lock; without *sync*, as it is."""
    if not sync:
        return ReadyEnvironment(_existing(common, options))
    # With -v, the target is selected again in order to print it.
    prefix = None if reporter.details else find_matching(common, options)
    return ReadyEnvironment(prefix) if prefix is not None else _sync(common, options, reporter)


def _existing(common: CommonOptions, options: SyncOptions) -> str:
    """The folder of the environment; raises EnvironmentProblem if there is none."""
    path = os.path.abspath(options.python or options.folder_in(common.project_folder))
    prefix = path if os.path.isdir(path) else os.path.dirname(os.path.dirname(path))
    if not os.path.exists(os.path.join(prefix, "bin", "python")):
        raise EnvironmentProblem(f"there is no environment at {path}", hint="run without --no-sync to create it")
    return prefix


def prepare_script(
    script: str, common: CommonOptions, options: SyncOptions, reporter: Reporter = SILENT
) -> ReadyEnvironment:
    """The environment to run *script* in, which belongs to its lock and is in the cache unless *options* names one."""
    from minglibc.config import inputs  # noqa: PLC0415  3 ms, and most commands are no scripts
    from minglibc.config.lock_source import LockSource  # noqa: PLC0415  the same

    path = inputs.script_lock(script)
    lock = files.read_lock(path)
    if lock is None:
        if options.selection.frozen:
            raise LockError(f"{script} has no lock {path}", hint=f"run `minglibc lock --script {script}`")
        lock = _lock_script(script, common, reporter)
    options = options._replace(selection=options.selection._replace(lock=path))
    if location.is_temporary(common.cache_folder) and not os.path.isdir(options.python or ""):
        raise EnvironmentProblem(
            f"{script} needs an environment in the cache, which can't be used",
            hint="name a folder that only you can write with --cache-dir, or an environment with --python",
        )
    key = proof.digest(lock + options.key)[:16]
    scripts = os.path.join(os.path.abspath(common.cache_folder), inputs.SCRIPTS)
    with suppress(OSError):  # the sync reports it
        location.make_folders(scripts)
    prefix = os.path.join(scripts, key)
    if options.python is not None:
        return _sync(common, options._replace(environment=prefix), reporter)
    source = inputs.read(LockSource(script=os.path.basename(script)), os.path.dirname(path))
    if script_matches(prefix, lock, source.pyproject, options):
        return ReadyEnvironment(prefix)
    return _sync(common, options._replace(environment=prefix), reporter)


def has_script_block(path: str) -> bool:
    """Whether the Python file at *path* has inline metadata (PEP 723), or a block that only looks like it."""
    from minglibc.config.inline_metadata import script_block  # noqa: PLC0415  3 ms, and most commands are no scripts

    try:
        return script_block(files.read_file(path) or "") is not None
    except ValueError:  # reported when it is locked
        return True


def _lock_script(script: str, common: CommonOptions, reporter: Reporter) -> str:
    """The text of a new lock of *script*; what its block does not set is taken from the project that it is in."""
    from minglibc.app.lock import LockOptions, lock_project  # noqa: PLC0415  only before the first run of a script
    from minglibc.app.script_targets import project_targets  # noqa: PLC0415  the same

    overrides = project_targets(script, common)
    return lock_project(LockOptions(common, script=script, overrides=overrides), reporter).text


def _sync(common: CommonOptions, options: SyncOptions, reporter: Reporter) -> ReadyEnvironment:
    from minglibc.app.sync import sync_environment  # noqa: PLC0415  100 ms, and most environments match their lock

    outcome = sync_environment(common, options, reporter)
    return ReadyEnvironment(outcome.prefix, outcome)


def started_in_overlay(command: list[str], overlay: str, base: str) -> list[str]:
    """*command*; if it is a script of the environment at *base*, it is started by the interpreter of that at *overlay*."""
    name = command[0]
    path = os.path.join(base, "bin", name)
    if os.sep in name or os.path.exists(os.path.join(overlay, "bin", name)) or not os.path.isfile(path):
        return command
    with open(path, "rb") as file:
        is_script = file.read(2) == b"#!" and b"python" in file.readline()
    return [os.path.join(overlay, "bin", "python"), path, *command[1:]] if is_script else command


def variables_for(prefix: str, *others: str) -> dict[str, str]:
    """The variables of a command that runs in the environment at *prefix*, with the commands of the *others*."""
    variables = dict(os.environ)
    folders = [os.path.join(path, "bin") for path in (prefix, *others)]
    variables["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)])
    if os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        variables["VIRTUAL_ENV"] = prefix
    # With the caller's PYTHONHOME the environment's interpreter would use another one's library.
    variables.pop("PYTHONHOME", None)
    return variables
