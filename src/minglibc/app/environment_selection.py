"""Which environment to sync: an existing one, an interpreter, or a folder to create an environment in."""

import os
from typing import NamedTuple

from minglibc.app.locked_project import LockedProject
from minglibc.app.reporter import Reporter
from minglibc.app.sync_options import SyncOptions
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.install import interpreter as interpreters
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from minglibc.lock.selection import MachineProblem, choose_target, describe_targets, find_targets, is_same_python
from minglibc.model.targets import PythonVersion, Target


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
    """The environment to sync; raises EnvironmentProblem where there is none, or none of the lock's targets fits.

    It is in the folder that was requested: base interpreters are only used to create environments.
    """
    search = _Search(project, options)
    path, default = options.python, options.folder_in(project.folder)
    if path is None:
        return _existing(default, search) or _new(default, search)
    if version := _version(path):
        return _existing_for(default, version, search) or _new(default, search, version)
    if os.sep not in path and not os.path.isdir(path):
        path = _on_path(path)
    if os.path.isfile(path):
        return _of_interpreter(path, search)
    path = os.path.abspath(path)
    if os.path.basename(os.path.dirname(path)) == "bin" and not os.path.lexists(path):
        raise EnvironmentProblem(
            f"there is no interpreter {path}", hint="choose an existing one, or a folder for a new environment"
        )
    return _existing(path, search, is_default=False) or _new(path, search)


def _version(text: str) -> PythonVersion | None:
    if not text[:1].isdigit() or os.sep in text:
        return None
    return PythonVersion.parse(text)


def _on_path(name: str) -> str:
    from shutil import which  # noqa: PLC0415  imports bz2 and lzma (5 ms)

    executable = which(name)
    if not executable:
        raise EnvironmentProblem(f"there is no {name} on PATH", hint="give --python the interpreter's full path")
    return executable


def _existing(folder: str, search: _Search, *, is_default: bool = True) -> EnvironmentChoice | None:
    """The environment in *folder*, or None if one can be created there."""
    if interpreters.is_creatable(folder):
        return None
    executable = os.path.join(folder, "bin", "python")
    if not os.path.lexists(executable):
        hint = "choose another folder"
        if is_default and not os.path.islink(folder):
            hint += ", or delete this one"
        raise EnvironmentProblem(f"{folder} is neither empty nor an environment", hint=hint)
    recreate = f"delete {folder} to let sync create it again"
    try:
        interpreter = search.inspect(executable)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(error.message, hint=recreate) from error
    if not is_default and interpreters.is_base(interpreter, folder):
        return _with_base(interpreter, search)
    interpreters.check_location(interpreter, folder)
    try:
        return _choice(interpreter, search)
    except MachineProblem:
        raise
    except EnvironmentProblem as error:
        raise EnvironmentProblem(error.message, hint=f"{error.hint}; or {recreate}") from error


def _of_interpreter(executable: str, search: _Search) -> EnvironmentChoice:
    """The environment that *executable* belongs to, or the default one, created from the base interpreter *executable*."""
    interpreter = search.inspect(executable)
    folder = os.path.dirname(os.path.dirname(os.path.abspath(executable)))
    is_base = interpreters.is_base(interpreter, folder)  # conda's base environment has bin/activate
    if is_base or not (interpreters.is_changeable(interpreter) or interpreters.has_environment_files(folder)):
        return _with_base(interpreter, search)
    interpreters.check_location(interpreter, folder)
    return _choice(interpreter, search)


def _choice(interpreter: Interpreter, search: _Search) -> EnvironmentChoice:
    if interpreter.externally_managed:
        raise EnvironmentProblem(
            f"{interpreter.layout.prefix} is managed by another package manager (PEP 668)",
            hint="omit --python to create an environment, or name a folder for one",
        )
    return EnvironmentChoice(None, interpreter, search.target_for(interpreter))


def _with_base(interpreter: Interpreter, search: _Search) -> EnvironmentChoice:
    """The default environment, which is created with the base *interpreter* unless it has the same Python."""
    target = search.target_for(interpreter)
    folder = search.options.folder_in(search.project.folder)
    existing = _existing(folder, search)
    if existing is None:
        return EnvironmentChoice(_new_folder(folder), interpreter, target)
    if existing.interpreter.machine != interpreter.machine:
        raise _other_python(folder, existing, interpreter.machine.description)
    return existing


def _existing_for(folder: str, version: PythonVersion, search: _Search) -> EnvironmentChoice | None:
    existing = _existing(folder, search)
    if existing and not is_same_python(existing.interpreter.machine.python, version):
        raise _other_python(folder, existing, f"CPython {version}")
    return existing


def _other_python(folder: str, existing: EnvironmentChoice, requested: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{folder} has {existing.interpreter.machine.description}, and --python requests {requested}",
        hint=f"delete {folder} to let sync create it again",
    )


def _new(folder: str, search: _Search, version: PythonVersion | None = None) -> EnvironmentChoice:
    """A new environment in *folder*, with an interpreter on PATH of *version* or of one of the lock's targets."""
    lock, name = search.project.lock, search.options.selection.target or ""
    failures: list[str] = []
    targets = find_targets(name, lock.targets, lock.names)
    for executable in interpreters.find_interpreters([version] if version else [target.python for target in targets]):
        try:
            interpreter = interpreters.inspect(executable, _import_for_changes)
            if version and not is_same_python(interpreter.machine.python, version):
                failures.append(f"{executable}: it is {interpreter.machine.description}")
                continue
            return EnvironmentChoice(_new_folder(folder), interpreter, search.target_for(interpreter))
        except (MachineProblem, SettingsError):
            raise
        except EnvironmentProblem as error:
            failures.append(f"{executable}: {error.message}")
    wanted = f"is CPython {version} and matches" if version else "matches"
    raise EnvironmentProblem(
        f"no interpreter on PATH {wanted} a target of the lock:\n" + "\n".join(f"  {line}" for line in failures),
        hint=f"{describe_targets(lock.targets, lock.names)}; put a matching Python on PATH, or name it with --python",
    )


def _new_folder(folder: str) -> str:
    """Where to create an environment at *folder*, which may be a link to an empty or missing folder."""
    return os.path.realpath(folder) if os.path.islink(folder) else folder


def open_environment(choice: EnvironmentChoice, reporter: Reporter) -> Environment:
    """The environment, which is created where there is none; its lock has to be held."""
    if choice.create is None:
        return Environment(choice.interpreter)
    if not interpreters.is_creatable(choice.create):  # another process created it in the meantime
        interpreter = interpreters.inspect(os.path.join(choice.create, "bin", "python"))
        interpreters.check_location(interpreter, choice.create)
        return Environment(interpreter)
    python = choice.interpreter.machine.python
    reporter.info(f"Creating an environment at {choice.create} with CPython {python}")
    return Environment(interpreters.create(choice.create, choice.interpreter.executable))
