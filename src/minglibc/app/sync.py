"""The use case of `sync`: bring an environment to its lock."""

import time
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.environment_selection import EnvironmentChoice, open_environment, select_environment
from minglibc.app.locked_project import LockedProject, read_locked_project
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.sync_options import SyncOptions
from minglibc.app.sync_plan import LockedPackages, SyncPlan, plan_sync
from minglibc.app.sync_proof import write_proof
from minglibc.app.sync_warnings import warn_of_interpreter, warn_of_own_modules, warn_of_owner, warn_of_relocations
from minglibc.install import interpreter as interpreters
from minglibc.install import proof, relocation, transaction
from minglibc.install.environment import Environment
from minglibc.install.plan import Plan
from minglibc.lock.selection import check_python
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minglibc.install.wheel import CheckedWheel


class SyncOutcome(NamedTuple):
    """The environment, and what was or would be changed."""

    prefix: str
    executable: str
    target: Target
    plan: Plan
    changed: bool
    seconds: float
    moved_from: str = ""
    """The folder that the environment was created in, if it was moved or copied since."""


def sync_environment(
    common: CommonOptions, options: SyncOptions, reporter: Reporter = SILENT, project: LockedProject | None = None
) -> SyncOutcome:
    """Make the environment match the lock; with *dry_run*, only find out what that would change.

    *project* is a lock that is in no file. Raises MinglibcError, and has changed nothing then.
    """
    started = time.monotonic()
    project = project or read_locked_project(common, options.selection)
    choice = select_environment(project, options)
    reporter.info(f"Selected target {choice.target} for {choice.interpreter.executable}", level=1)
    locked = LockedPackages.of(project, choice.target, options)
    requires_python = {f"{package.name} {package.version}": package.requires_python for package, _ in locked.packages}
    check_python(choice.interpreter.machine, {name: str(python) for name, python in requires_python.items() if python})
    if options.dry_run:
        steps = plan_sync(None if choice.create else Environment(choice.interpreter), locked, options)
        interpreter, changed = choice.interpreter, steps.changed
        warn_of_own_modules(project, choice.target, None, reporter)
    else:
        interpreter, steps, changed = _apply(choice, locked, common, options, reporter)
    if steps.kept_for_conda and not options.inexact:
        reporter.info(f"Kept packages of conda that are not in the lock: {', '.join(steps.kept_for_conda)}")
    prefix = choice.prefix if options.dry_run else interpreter.layout.prefix
    seconds = time.monotonic() - started
    return SyncOutcome(prefix, interpreter.executable, choice.target, steps.plan, changed, seconds, steps.moved_from)


def _apply(
    choice: EnvironmentChoice, locked: LockedPackages, common: CommonOptions, options: SyncOptions, reporter: Reporter
) -> tuple[interpreters.Interpreter, SyncPlan, bool]:
    """Change the environment while it is locked; its interpreter, the steps, and whether anything was changed."""
    with transaction.locked(choice.prefix, lambda holder: reporter.info(f"waiting for another sync ({holder})")):
        environment = open_environment(choice, reporter)
        recovered = transaction.recover(environment)
        if recovered:
            reporter.info("Recovered from an interrupted sync", level=1)
        steps = plan_sync(environment, locked, options)
        installed: Sequence[CheckedWheel] = ()
        if steps.changed:
            from minglibc.app.installation import Installation  # noqa: PLC0415  imports httpx; most syncs change nothing

            warn_of_owner(choice.prefix, reporter)
            warn_of_interpreter(choice, common, reporter)
            proof.remove(choice.prefix)
            installed = Installation(environment, locked, common, options, reporter).apply(steps)
            if steps.moved_from:
                relocation.repair(environment.layout, steps.moved_from, steps.kept)
            warn_of_relocations(environment, steps.plan, reporter)
        if options.compile_bytecode:
            interpreters.compile_bytecode(environment.interpreter)
        exceeds = warn_of_own_modules(locked.project, locked.target, environment if installed else None, reporter)
        write_proof(environment, locked, steps, installed, options, is_complete=not exceeds)
    return environment.interpreter, steps, steps.changed or recovered
