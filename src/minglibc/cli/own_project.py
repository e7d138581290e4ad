"""The project itself in its environment: editable, made by its own build backend, which gets wheels from the project's index."""

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minglibc.app.build_environment import BuildContext, BuildTask, build_wheel
from minglibc.app.indexes import credentials_for, index_of_lock
from minglibc.app.verify import ABOVE_CAP
from minglibc.audit.binaries import of_wheel
from minglibc.audit.rules import audit
from minglibc.build.backend import has_backend
from minglibc.cli.args import common_options
from minglibc.cli.options import Namespace
from minglibc.cli.output import Terminal
from minglibc.config.parser import parse as parse_settings
from minglibc.errors import WheelError
from minglibc.install.environment import Distribution
from minglibc.install.interpreter import Interpreter
from minglibc.install.plan import Action, Step
from minglibc.install.transaction import Prepared, direct_url
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.cli.syncing import Source

_HINT = "mend the project, or leave it out by --no-install-project"


def due(source: "Source", present: Sequence[Distribution]) -> Step | None:
    """What is to happen to the project itself; None where it has no backend, stands already, or was installed by hand."""
    if source.pyproject is None or not source.lock.origin.is_project or not has_backend(source.pyproject):
        return None
    table = tomllib.loads(source.pyproject)["project"]
    name, version = normalize_name(str(table.get("name", ""))), str(table.get("version", "dynamic"))
    installed = [each for each in present if each.name == name]
    if not name or any(not each.digest or each.digest == _digest(source) for each in installed):
        return None
    if not installed:
        return Step(Action.INSTALL, name, (), version, "not installed")
    return Step(Action.REINSTALL, name, tuple(e.version for e in installed), version, "pyproject.toml has changed")


@contextmanager
def built(source: "Source", interpreter: Interpreter, target: Target, arguments: Namespace) -> Iterator[Prepared]:
    """The project's editable wheel as long as it is needed; raises MinglibcError."""
    common = common_options(arguments)
    context = BuildContext(
        common,
        source.folder,
        credentials_for(source.pyproject, source.lock, common.index_url),
        parse_settings(source.pyproject or ""),
        index_of_lock(source.lock),
        Terminal.of(arguments),
    )
    with tempfile.TemporaryDirectory(prefix="minglibc-build-") as folder:
        path = build_wheel(BuildTask(source.folder, "the project", _HINT, "editable"), interpreter, context, folder)
        filename = os.path.basename(path)
        _check(path, filename, target)
        yield Prepared(path, filename, _digest(source), direct_url(source.folder, editable=True))


def _digest(source: "Source") -> str:
    """What a made distribution keeps in place of a wheel's digest: it stands as long as pyproject.toml and its place do."""
    facts = f"{source.folder}\n{source.pyproject}"
    return f"editable:{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _check(path: str, filename: str, target: Target) -> None:
    findings = audit(of_wheel(path, filename), [target.architecture], target.cap)
    for finding in findings:
        if finding.kind in ABOVE_CAP:
            raise WheelError(
                f"the project's own {finding.path} needs {finding.version or finding.library}, "
                f"the cap is {target.cap.named}",
                hint=f"build it on a machine with that {target.cap.libc}, or leave it out by --no-install-project",
            )
