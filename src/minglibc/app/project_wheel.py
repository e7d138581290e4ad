"""The project's own wheel in a bundle: built by its backend, or a file that the user gives."""

import os
from typing import TYPE_CHECKING

from packaging.pylock import Package, PackageWheel
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from minglibc.app.build_environment import checked_wheel
from minglibc.app.built_sources import LocalProject
from minglibc.app.lenient_settings import overridden_names, project_name
from minglibc.app.locked_project import LockedProject
from minglibc.audit.binaries import of_wheel
from minglibc.audit.rules import need_above
from minglibc.build.backend import has_backend
from minglibc.build.verified_wheel import rewrite
from minglibc.bundle.archive import sha256_of
from minglibc.cache.built_wheels import Built
from minglibc.config.poetry_project import standard
from minglibc.errors import WheelError
from minglibc.install.plan import unmet
from minglibc.lock.locked_files import version_of
from minglibc.model import toml
from minglibc.model.artifacts import FileSource, Wheel
from minglibc.model.compatibility import Rejection, TargetCompatibility
from minglibc.model.targets import Target
from minglibc.model.versions import contains

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from minglibc.app.source_builds import SourceBuilder
    from minglibc.lock.locked_files import Selection

_FROM_DIST = "`python -m build --wheel` creates one in dist/"
_ALTERNATIVE = "bundle a wheel of it with --project-wheel, or leave it out with --no-install-project"


def package_name(project: LockedProject) -> str:
    """The normalized name of the project if it is a package, as `sync` installs it; else empty."""
    if project.pyproject is None or not project.lock.source.is_project or not has_backend(project.pyproject):
        return ""
    document = standard(toml.loads(project.pyproject))
    tool = document.get("tool", {})
    if tool.get("poetry", {}).get("package-mode") is False or tool.get("uv", {}).get("package") is False:
        return ""
    return project_name(project.pyproject)


def metadata_table(project: LockedProject) -> "Mapping[str, Any]":
    """The table [project], which may be that of Poetry; empty where the lock is not of a project."""
    if project.pyproject is None or not project.lock.source.is_project:
        return {}
    return standard(toml.loads(project.pyproject)).get("project", {})  # type: ignore[no-any-return]


def build_project_wheel(project: LockedProject, target: Target, builder: "SourceBuilder", folder: str) -> Built:
    """The wheel of the project itself, below *folder*; the same files give the same bytes. Raises MinglibcError."""
    source = LocalProject(package_name(project), os.path.abspath(project.folder), alternative=_ALTERNATIVE)
    return reproducible(builder.build_project(source, target), folder)


def reproducible(built: Built, folder: str) -> Built:
    """The same wheel without times, in *folder*."""
    path = os.path.join(folder, built.filename)
    rewrite(built.path, path)
    return built._replace(path=path, sha256=sha256_of(path))


def given_project_wheel(path: str, project: LockedProject, target: Target) -> Built:
    """The wheel at *path* if it is the project's and *target* can use it; raises WheelError."""
    filename = os.path.basename(path)
    if not os.path.isfile(path) or not filename.endswith(".whl"):
        problem = "is not a wheel" if os.path.exists(path) else "does not exist"
        raise WheelError(f"--project-wheel {path} {problem}", hint=_FROM_DIST)
    name = project_name(project.pyproject)
    wheel = checked_wheel(path)
    if name not in {"", wheel.name}:
        raise WheelError(f"{filename} is a wheel of {wheel.name}, the project is {name}", hint=_FROM_DIST)
    _check_target(path, filename, target)
    return Built(path, filename, sha256_of(path), "")


def _check_target(path: str, filename: str, target: Target) -> None:
    hint = "build it for the target"
    wheel = Wheel("", "", filename, "", source=FileSource.DIRECT_REFERENCE)
    verdict = TargetCompatibility(target, allow_linux_tag=[""]).check(wheel)
    if isinstance(verdict, Rejection):
        raise WheelError(f"{filename} is incompatible with {target}: it {verdict}", hint=hint)
    binaries = of_wheel(path, filename)
    if needs := need_above(binaries, [target.architecture], target.cap, libstdcxx=target.libstdcxx):
        raise WheelError(f"{filename} is incompatible with {target}: {needs}", hint=hint)


def check_requirements(built: Built, project: LockedProject, selected: "Selection", target: Target) -> None:
    """Raise WheelError where the project's wheel requires what the lock does not have, or another Python."""
    wheel = checked_wheel(built.path)
    locked = {str(package.name): version_of(package) for package, _ in selected}
    # The versions of local projects are not locked.
    ignored = overridden_names(project.pyproject) | {name for name, version in locked.items() if not version}
    if missing := unmet(wheel.requires, locked, target, ignored):
        raise WheelError(f"{built.filename} requires {missing}, which is not in the lock", hint="run `minglibc lock`")
    if wheel.requires_python and not contains(wheel.requires_python, target.python.full):
        raise WheelError(f"{built.filename} requires Python {wheel.requires_python}, the target is {target}")


def locked_entry(built: Built) -> tuple[Package, PackageWheel]:
    """The wheel as a package of the lock."""
    name, version = built.filename.split("-")[:2]
    wheel = PackageWheel(name=built.filename, path=built.filename, hashes={"sha256": built.sha256})
    normalized: NormalizedName = canonicalize_name(name)
    return Package(name=normalized, version=Version(version), wheels=[wheel]), wheel
