"""`run --with`: an environment of more packages on top of another one, resolved under the same cap and not locked."""

import os
import re
from collections.abc import Sequence
from typing import Any

import tomli_w

from minglibc.app.lock import LockOptions, resolve_lock
from minglibc.app.lock_request import LockRequest
from minglibc.app.locked_project import LockedProject, read_locked_project
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.run import ReadyEnvironment
from minglibc.app.sync import sync_environment
from minglibc.app.sync_options import SyncOptions
from minglibc.app.unchanged_environment import script_matches
from minglibc.cache import location
from minglibc.config import files, inputs
from minglibc.config.other_rules import RULES_OF_UV
from minglibc.config.toml_file import load
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.install import interpreter as interpreters
from minglibc.install import proof, transaction
from minglibc.install.interpreter import Interpreter
from minglibc.lock.reader import loads
from minglibc.lock.selection import choose_target
from minglibc.model.requirements import InvalidRequirement, parse
from minglibc.model.targets import Target

# A comma between requirements, not between specifiers or extras.
_COMMA = r",(?=\s*[A-Za-z0-9])(?![^\[]*\])"
# Python's site module adds what it names to sys.path, after the overlay's own packages.
_PATH_FILE = "_minglibc_base.pth"


def prepare_overlay(
    requirements: Sequence[str], base: str, common: CommonOptions, options: SyncOptions, reporter: Reporter
) -> ReadyEnvironment:
    """An environment in the cache with *requirements*, whose interpreter also imports the packages of that at *base*."""
    project = read_locked_project(common, options.selection)
    interpreter = interpreters.inspect(os.path.join(base, "bin", "python"))
    lock = project.lock
    target = choose_target(interpreter.machine, lock.targets, options.selection.target or "", lock.names)
    overlay = _resolved(listed(requirements), project, target, common, reporter)
    options = SyncOptions(link_mode=options.link_mode, install_project=False)
    if location.is_temporary(common.cache_folder):
        raise EnvironmentProblem(
            "--with needs an environment in the cache, which can't be used",
            hint="name a folder that only you can write with --cache-dir",
        )
    prefix = _create(overlay.lock_text, interpreter, common)
    if script_matches(prefix, overlay.lock_text, overlay.pyproject or "", options):
        return ReadyEnvironment(prefix)
    outcome = sync_environment(common, options._replace(python=prefix), reporter, overlay)
    return ReadyEnvironment(prefix, outcome)


def listed(requirements: Sequence[str]) -> list[str]:
    """The requirements in the values of --with, of which each may be several, separated by commas."""
    listed = [part.strip() for text in requirements for part in re.split(_COMMA, text)]
    for text in listed:
        try:
            parse(text)
        except InvalidRequirement as error:
            raise SettingsError(
                f"--with {text!r} is not a valid requirement: {error}", hint='write a name, such as foo or "foo>=1.2"'
            ) from error
    return listed


def _resolved(
    requirements: list[str], project: LockedProject, target: Target, common: CommonOptions, reporter: Reporter
) -> LockedProject:
    """The resolution of *requirements* for *target*, with the settings of *project* and its versions where they are allowed."""
    text = _pyproject(requirements, project, target)
    request = LockRequest(files.lock_path(project.folder), project.lock.source, text)
    result = resolve_lock(request, project.lock_text, LockOptions(common), reporter)
    return LockedProject(project.folder, text, result.text, loads(result.text))


def _pyproject(requirements: list[str], project: LockedProject, target: Target) -> str:
    document: dict[str, Any] = load(project.pyproject) if project.pyproject is not None else {}
    table = inputs.settings_for(document, "")
    for key in ("target", "glibc", "musl", "built-wheels"):
        table.pop(key, None)
    table |= {"python": [str(target.python)], "architectures": [target.architecture], target.cap.libc: str(target.cap)}
    uv = document.get("tool", {}).get("uv", {})
    used = {key: uv[key] for key in ("sources", *RULES_OF_UV) if isinstance(uv, dict) and uv.get(key)}
    for key in ("default-groups", "dev-dependencies"):
        used.pop(key, None)
    return tomli_w.dumps({"project": {"dependencies": requirements}, "tool": {"minglibc": table, "uv": used}})


def _create(lock: str, base: Interpreter, common: CommonOptions) -> str:
    """The folder of the environment for the text *lock* on top of *base*, which is created where there is none."""
    layout = base.layout
    key = proof.digest(f"{layout.prefix}\n{base.executable}\n{base.machine}\n{lock}")[:16]
    folder = os.path.join(os.path.abspath(common.cache_folder), inputs.SCRIPTS)
    location.make_folders(folder)
    prefix = os.path.join(folder, key)
    if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return prefix
    with transaction.locked(prefix):
        if interpreters.is_creatable(prefix):
            created = interpreters.create(prefix, base.executable)
            folders = dict.fromkeys(os.path.join(layout.prefix, part) for part in (layout.purelib, layout.platlib))
            path = os.path.join(prefix, created.layout.purelib, _PATH_FILE)
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(f"import site; site.addsitedir({folder!r})\n" for folder in folders)
    return prefix
