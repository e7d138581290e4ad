"""The proof that a sync leaves in an environment."""

import os
from typing import TYPE_CHECKING

from minglibc.app.sync_options import SyncOptions
from minglibc.app.sync_plan import LockedPackages, SyncPlan
from minglibc.install import proof
from minglibc.install.environment import Environment
from minglibc.install.plan import Action
from minglibc.lock.locked_files import LockedFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minglibc.install.wheel import CheckedWheel


def write_proof(
    environment: Environment,
    locked: LockedPackages,
    steps: SyncPlan,
    installed: "Sequence[CheckedWheel]",
    options: SyncOptions,
    *,
    is_complete: bool = True,
) -> None:
    """Record that *environment* matches the lock, for ``unchanged_environment``; if not *is_complete*, only for `run`."""
    interpreter, layout, project = environment.interpreter, environment.layout, locked.project
    pyproject = None if options.selection.frozen else project.pyproject
    proof.write(
        layout.prefix,
        proof.Request(proof.digest(project.lock_text), proof.digest(pyproject), options.key),
        cap=str(locked.target.cap),
        musl_loader=interpreter.loader if locked.target.cap.libc == "musl" else "",
        folders=(layout.purelib, layout.platlib, layout.scripts),
        snapshot=_snapshot(environment, locked, steps, installed) if is_complete else None,
    )


def _snapshot(
    environment: Environment, locked: LockedPackages, steps: SyncPlan, installed: "Sequence[CheckedWheel]"
) -> proof.Snapshot | None:
    """What the next sync compares to find that nothing changed; None if more than files decides."""
    interpreter, layout, project = environment.interpreter, environment.layout, locked.project
    has_folders = any(isinstance(file, LockedFolder) for _, file in locked.packages)
    incomplete = steps.has_foreign or has_folders or any(distribution.damage for distribution in steps.kept)
    if incomplete or project.pyproject is None or not interpreter.is_environment or not interpreter.files:
        return None
    distributions = [proof.InstalledFiles(old.site, old.folder, old.identity, old.sizes) for old in steps.kept]
    for wheel in installed:
        site = layout.folder(wheel.root, wheel.name)
        identity = proof.metadata_identity(os.path.join(layout.prefix, site, wheel.dist_info))
        distributions.append(proof.InstalledFiles(site, wheel.dist_info, identity, wheel.sizes))
    return proof.Snapshot(
        project.folder,
        proof.digest(project.pyproject),
        interpreter.executable,
        interpreter.files,
        (layout.purelib, layout.platlib),
        distributions,
        packages=len(steps.plan.names(Action.KEEP, Action.INSTALL, Action.REINSTALL)),
    )
