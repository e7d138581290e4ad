"""The project itself, which `sync` installs as an editable wheel built by the project's own backend."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from minglibc.app.build_environment import BuildContext, BuildTask, build_wheel
from minglibc.app.indexes import credentials_for, index_of_lock
from minglibc.app.locked_project import LockedProject
from minglibc.app.options import CommonOptions
from minglibc.app.project_wheel import package_name
from minglibc.app.reporter import Reporter
from minglibc.audit.binaries import of_wheel
from minglibc.audit.rules import ABOVE_CAP, audit
from minglibc.config.parser import parse
from minglibc.config.poetry_project import standard
from minglibc.errors import WheelError
from minglibc.install.environment import Distribution
from minglibc.install.interpreter import Interpreter
from minglibc.install.plan import Action, Step
from minglibc.install.transaction import Prepared, direct_url
from minglibc.model import toml
from minglibc.model.targets import Target

_HINT = "fix the project, or exclude it with --no-install-project"


def step(project: LockedProject, distributions: Sequence[Distribution]) -> Step | None:
    """How to install the project; None where it has no backend, is up to date, or was installed by hand."""
    name = package_name(project)
    if not name:
        return None
    version = str(standard(toml.loads(project.pyproject or ""))["project"].get("version", "dynamic"))
    installed = [distribution for distribution in distributions if distribution.name == name]
    digest = _digest(project)
    if any(not distribution.digest or distribution.digest == digest for distribution in installed):
        return None
    if not installed:
        return Step(Action.INSTALL, name, (), version, "not installed")
    versions = tuple(distribution.version for distribution in installed)
    return Step(Action.REINSTALL, name, versions, version, "pyproject.toml has changed")


@contextmanager
def build_editable(
    project: LockedProject, interpreter: Interpreter, target: Target, common: CommonOptions, reporter: Reporter
) -> Iterator[Prepared]:
    """The project's editable wheel, which is deleted at the end of the context; raises MinglibcError."""
    context = BuildContext(
        common,
        project.folder,
        credentials_for(project.pyproject, project.lock, common.index_url),
        parse(project.pyproject or ""),
        index_of_lock(project.lock),
        reporter,
    )
    with tempfile.TemporaryDirectory(prefix="minglibc-build-") as folder:
        task = BuildTask(project.folder, "the project", _HINT, "editable")
        path = build_wheel(task, interpreter, context, folder)
        filename = os.path.basename(path)
        _check(path, filename, target)
        yield Prepared(path, filename, _digest(project), direct_url(project.folder, editable=True))


def _digest(project: LockedProject) -> str:
    """The digest of an editable installation, which is valid until the folder or pyproject.toml changes."""
    facts = f"{project.folder}\n{project.pyproject}"
    return f"editable:{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _check(path: str, filename: str, target: Target) -> None:
    for finding in audit(of_wheel(path, filename), [target.architecture], target.cap, libstdcxx=target.libstdcxx):
        if finding.kind in ABOVE_CAP:
            raise WheelError(
                f"{finding.path} of the project needs {finding.version or finding.library}, "
                f"the cap is {target.cap.named}",
                hint=f"build it on a machine with that {target.cap.libc}, or exclude it with --no-install-project",
            )
