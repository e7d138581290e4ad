"""What a sync has to do: the installed distributions compared with the packages of the lock."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.lenient_settings import choice, project_name
from minglibc.app.locked_project import LockedProject, digest_of, select
from minglibc.app.sync_options import SyncOptions
from minglibc.config.settings import FILE_CONFLICTS
from minglibc.install import transaction
from minglibc.install.environment import Distribution, Environment, differing
from minglibc.install.layout import wins
from minglibc.install.plan import Action, Installed, Plan, Step, Wanted, plan
from minglibc.lock.locked_files import LockedFolder, version_of
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection

# Environments contain an installer that is not in the lock.
_KEPT = "pip"
# What INSTALLER files of conda's packages contain.
_CONDA = "conda"


class LockedPackages(NamedTuple):
    """The packages of a lock for one target, with the project that they belong to."""

    project: LockedProject
    target: Target
    packages: "Selection"

    @classmethod
    def of(cls, project: LockedProject, target: Target, options: SyncOptions) -> "LockedPackages":
        """The packages that the options select."""
        return cls(project, target, select(project, target, options.selection))


class SyncPlan(NamedTuple):
    """The steps of a sync, and the distributions that were found."""

    plan: Plan
    changed: bool
    distributions: Sequence[Distribution] = ()
    has_foreign: bool = False
    """Whether a kept distribution was installed from another file than the locked one."""
    moved_from: str = ""
    """The folder that the environment was created in, if it was moved or copied since."""

    @property
    def removed(self) -> list[Distribution]:
        """The distributions that the steps remove."""
        names = set(self.plan.names(Action.REINSTALL, Action.REMOVE))
        return [distribution for distribution in self.distributions if distribution.name in names]

    @property
    def kept_for_conda(self) -> list[str]:
        """The packages that conda installed and that the lock does not have."""
        kept = {step.name for step in self.plan.steps if step.action is Action.KEEP and not step.new}
        return [one.name for one in self.distributions if one.installer == _CONDA and one.name in kept]

    @property
    def kept(self) -> list[Distribution]:
        """The other distributions."""
        names = {distribution.name for distribution in self.removed}
        return [distribution for distribution in self.distributions if distribution.name not in names]


def plan_sync(environment: Environment | None, locked: LockedPackages, options: SyncOptions) -> SyncPlan:
    """The steps that bring *environment*, which may not exist yet, to the lock."""
    wanted = [
        Wanted(
            package.name,
            version_of(package) or f"@ {file.filename}",
            file.filename,
            digest_of(file, locked.project.folder),
            isinstance(file, LockedFolder),
        )
        for package, file in locked.packages
    ]
    distributions = environment.distributions() if environment else []
    spare = {_KEPT, project_name(locked.project.pyproject)}
    # conda would still list a package of its own that is removed here, and its other packages may require it.
    spare.update(one.name for one in distributions if one.installer == _CONDA)

    def steps(above_cap: dict[str, str]) -> Plan:
        installed = [_installed(one, above_cap.get(one.name, "")) for one in distributions]
        return plan(wanted, installed, locked.target, inexact=options.inexact, spare=spare)

    project = _project_step(locked, distributions, options)
    first = steps({}).with_step(project)
    if environment is None:
        return SyncPlan(first, changed=True)
    digests = {wheel.name: wheel.digest for wheel in wanted}
    kept = set(first.names(Action.KEEP))
    foreign = [one for one in distributions if one.name in kept and one.digest != digests.get(one.name, one.digest)]
    above_cap = {one.name: _above_cap(environment, one, locked.target) for one in foreign}
    result = steps(above_cap).with_step(project) if foreign else first
    result = _with_restored(result, distributions, locked)
    changed = bool(result.changes or environment.former_prefix) or transaction.is_interrupted(environment)
    return SyncPlan(result, changed, distributions, bool(foreign), environment.former_prefix)


def _with_restored(result: Plan, distributions: Sequence[Distribution], locked: LockedPackages) -> Plan:
    """*result* with the packages reinstalled whose files were overwritten by one that is removed or replaced."""
    leaving, kept = set(result.names(Action.REINSTALL, Action.REMOVE)), set(result.names(Action.KEEP))
    kept &= {package.name for package, _ in locked.packages}
    for old in distributions if leaving else ():
        for other in distributions:
            if old.name in leaving and other.name in kept and wins(old.name, other.name):
                path = min(differing(other, old), default="")
                reason = f"its file {path} was overwritten by {old.name}"
                step = Step(Action.REINSTALL, other.name, (other.version,), other.version, reason)
                result = result.with_step(step if path else None)
    return result


def _project_step(locked: LockedPackages, distributions: Sequence[Distribution], options: SyncOptions) -> Step | None:
    """The step of the project itself, which is not in its lock."""
    if not options.install_project or "build-system" not in (locked.project.pyproject or ""):
        return None
    from minglibc.app import editable_project  # noqa: PLC0415  60 ms, and few projects have a build backend

    return editable_project.step(locked.project, distributions)


def _installed(distribution: Distribution, above_cap: str) -> Installed:
    return Installed(
        distribution.name,
        distribution.version,
        distribution.tags,
        distribution.digest,
        distribution.damage,
        distribution.direct_url,
        above_cap,
    )


def _above_cap(environment: Environment, distribution: Distribution, target: Target) -> str:
    """Why the target can't load a file of *distribution*; else empty."""
    from minglibc.audit.elf import ElfFile  # noqa: PLC0415  only distributions of other installers are read
    from minglibc.audit.rules import incompatibility  # noqa: PLC0415  the same

    for binary in environment.binaries(distribution):
        why = incompatibility(binary.content, target.cap) if isinstance(binary.content, ElfFile) else ""
        if why:
            return f"{binary.path} {why}"
    return ""


def shares_files(pyproject: str | None) -> bool:
    """Whether packages may have files with different content at the same path."""
    return choice(pyproject, "file-conflicts", FILE_CONFLICTS) == FILE_CONFLICTS[0]
