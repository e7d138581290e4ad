"""Installs a lock for each of its targets, whatever Python and machine run the tests."""

import os
from pathlib import Path

from packaging.pylock import PackageWheel

from minglibc.app.installation import Installation
from minglibc.app.locked_project import read_locked_project
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT
from minglibc.app.sync_options import SelectionOptions, SyncOptions
from minglibc.app.sync_plan import LockedPackages, plan_sync
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from minglibc.install.layout import Layout
from minglibc.lock.selection import Machine
from minglibc.model.targets import Target


def empty_environment(folder: Path, target: Target) -> Environment:
    """An empty environment whose interpreter is that of *target*, as far as an installation depends on it."""
    site = f"lib/python{target.python.short}/site-packages"
    (folder / site).mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text("home = /nowhere\n", encoding="utf-8")
    layout = Layout(os.path.realpath(folder), site, site, "bin", "", "include", f"{folder}/bin/python")
    # A target without a patch release is resolved for the newest one.
    python = target.python._replace(patch=int(target.python.full.rpartition(".")[2]))
    machine = Machine(python, target.architecture, target.cap, "cpython")
    return Environment(Interpreter(layout.interpreter, machine, layout, is_environment=True))


def check_installs(common: CommonOptions, folder: Path) -> None:
    """Assert that `sync` into an empty environment succeeds for each target of the lock, and changes nothing the next time.

    Targets with a package that is built are left out: a build needs the target's interpreter.
    """
    options = SyncOptions(SelectionOptions(all_extras=True), install_project=False)
    project = read_locked_project(common, options.selection)
    for position, target in enumerate(project.lock.targets):
        locked = LockedPackages.of(project, target, options)
        if not all(isinstance(file, PackageWheel) for _, file in locked.packages):
            continue
        environment = empty_environment(folder / str(position), target)
        steps = plan_sync(environment, locked, options)
        Installation(environment, locked, common, options, SILENT).apply(steps)
        installed = {distribution.name for distribution in environment.distributions()}
        assert {package.name for package, _ in locked.packages} == installed
        assert not plan_sync(environment, locked, options).changed
