"""Which environment to sync: an existing one, an interpreter, or a folder to create an environment in."""

import os
from typing import NamedTuple

from minglibc.app.locked_project import LockedProject
from minglibc.app.reporter import Reporter
from minglibc.app.sync_options import DEFAULT_ENVIRONMENT, SyncOptions
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.install import interpreter as interpreters
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from minglibc.lock.selection import MachineProblem, choose_target, describe_targets, find_targets
from minglibc.model.targets import Target


class EnvironmentChoice(NamedTuple):
    """The folder to create an environment in, or None for an existing one; the interpreter; the target to install."""

    create: str | None
    interpreter: Interpreter
    target: Target

    @property
    def prefix(self) -> str:
        """The environment's folder."""
        return self.create or self.interpreter.layout.prefix


class _Search(NamedTuple):
    project: LockedProject
    options: SyncOptions

    def inspect(self, executable: str) -> Interpreter:
        """The interpreter; while it starts, the modules that a change needs are imported."""
        if self.options.dry_run:
            return interpreters.inspect(executable)
        return interpreters.inspect(executable, _import_for_changes)

    def target_for(self, interpreter: Interpreter) -> Target:
        lock = self.project.lock
        return choose_target(interpreter.machine, lock.targets, self.options.selection.target or "", lock.names)


def _import_for_changes() -> None:
    """Import what a change will probably need, before processes are forked that would import it again."""
    from minglibc.app import installation  # noqa: F401, PLC0415
    from minglibc.install import unpack  # noqa: F401, PLC0415


def select_environment(project: LockedProject, options: SyncOptions) -> EnvironmentChoice:
    """The environment to sync; raises EnvironmentProblem where there is none, or none of the lock's targets fits."""
    search = _Search(project, options)
    path = options.python or os.path.join(project.folder, DEFAULT_ENVIRONMENT)
    if options.python and os.sep not in path and not os.path.isdir(path):
        return _existing(_on_path(path), search)
    if os.path.isfile(path):
        return _existing(path, search)
    path = os.path.abspath(path)
    executable = os.path.join(path, "bin", "python")
    if not interpreters.is_creatable(path):
        if not os.path.lexists(executable):
            hint = "choose another folder, or delete this one"
            raise EnvironmentProblem(f"{path} is neither empty nor an environment", hint=hint)
        return _existing(executable, search, path)
    if options.python and os.path.basename(os.path.dirname(path)) == "bin":
        raise EnvironmentProblem(
            f"there is no interpreter {path}", hint="choose an existing one, or a folder for a new environment"
        )
    return _new(path, search)


def _on_path(name: str) -> str:
    from shutil import which  # noqa: PLC0415  imports bz2 and lzma (5 ms)

    executable = which(name)
    if not executable:
        raise EnvironmentProblem(f"there is no {name} on PATH", hint="give --python the interpreter's full path")
    return executable


def _existing(executable: str, search: _Search, folder: str = "") -> EnvironmentChoice:
    """The environment of *executable*; *folder* is its folder where sync could create it again."""
    recreate = f"delete {folder} to let sync create it again"
    try:
        interpreter = search.inspect(executable)
    except EnvironmentProblem as error:
        if not folder:
            raise
        raise EnvironmentProblem(error.message, hint=recreate) from error
    if interpreter.externally_managed:
        raise EnvironmentProblem(
            f"{executable} is managed by the system's package manager (PEP 668)",
            hint="omit --python to create an environment, or name a folder for one",
        )
    try:
        return EnvironmentChoice(None, interpreter, search.target_for(interpreter))
    except MachineProblem:
        raise
    except EnvironmentProblem as error:
        if not folder:
            raise
        raise EnvironmentProblem(error.message, hint=f"{error.hint}; or {recreate}") from error


def _new(folder: str, search: _Search) -> EnvironmentChoice:
    lock, name = search.project.lock, search.options.selection.target or ""
    failures: list[str] = []
    targets = find_targets(name, lock.targets, lock.names)
    for executable in interpreters.find_interpreters(target.python for target in targets):
        try:
            interpreter = interpreters.inspect(executable, _import_for_changes)
            return EnvironmentChoice(folder, interpreter, search.target_for(interpreter))
        except (MachineProblem, SettingsError):
            raise
        except EnvironmentProblem as error:
            failures.append(f"{executable}: {error.message}")
    raise EnvironmentProblem(
        "no interpreter on PATH matches a target of the lock:\n" + "\n".join(f"  {line}" for line in failures),
        hint=f"{describe_targets(lock.targets, lock.names)}; put a matching Python on PATH, or name it with --python",
    )


def open_environment(choice: EnvironmentChoice, reporter: Reporter) -> Environment:
    """The environment, which is created where there is none; its lock has to be held."""
    if choice.create is None:
        return Environment(choice.interpreter)
    if not interpreters.is_creatable(choice.create):  # another process created it in the meantime
        return Environment(interpreters.inspect(os.path.join(choice.create, "bin", "python")))
    python = choice.interpreter.machine.python
    reporter.info(f"Creating an environment at {choice.create} with CPython {python}")
    return Environment(interpreters.create(choice.create, choice.interpreter.executable))
