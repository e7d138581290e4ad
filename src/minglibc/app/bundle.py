"""The use case of `bundle`: the wheels of a target, its lock, pip and an install script in one folder or archive."""

import re
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from packaging.pylock import Package, PackageWheel
from packaging.utils import parse_wheel_filename

from minglibc.app.indexes import credentials_for, index_of_lock, open_index
from minglibc.app.lenient_settings import choice, project_name
from minglibc.app.lock_request import overrides_from
from minglibc.app.locked_project import LockedProject, build, download_of, open_builder, read_locked_project, select
from minglibc.app.options import CommonOptions
from minglibc.app.project_wheel import (
    build_project_wheel,
    check_requirements,
    given_project_wheel,
    locked_entry,
    metadata_table,
    package_name,
    reproducible,
)
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.sync_options import SelectionOptions
from minglibc.bundle import archive
from minglibc.bundle.contents import INTERPRETER, SIGNATURE, SUMS, WHEELS, check_pip, name_of, own_files, sums
from minglibc.bundle.interpreter import InterpreterArchive, read_interpreter
from minglibc.bundle.signature import sign
from minglibc.bundle.system_package import (
    PackageInfo,
    build_package,
    check_name,
    check_target,
    package_filename,
)
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.config.parser import parse
from minglibc.errors import ResolutionError, SettingsError
from minglibc.index.downloads import Wheelhouse
from minglibc.lock.locked_files import LockedFolder, without_editable
from minglibc.lock.reader import Lock
from minglibc.lock.selection import Machine, check_python, describe_targets, find_targets
from minglibc.model import versions
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.artifacts import printable
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import PythonVersion, Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from minglibc.app.source_builds import SourceBuilder
    from minglibc.cache.built_wheels import Built
    from minglibc.lock.locked_files import LockedFile as SelectedFile
    from minglibc.lock.locked_files import Selection

_ARCHIVES = (".tar.gz", ".tgz")
_PIP = "pip"


class BundleOptions(NamedTuple):
    """What to add to a bundle, and where to write it."""

    output: str | None = None
    """A folder or X.tar.gz; None: bundle-TARGET."""
    key: str | None = None
    """The path of a private key of OpenSSH that signs the bundle."""
    includes_project: bool = True
    """Whether to build the project itself, if it is a package."""
    project_wheel: str | None = None
    """The path of a wheel of the project, instead of a build."""
    interpreter: str | None = None
    """The path of an archive (X.tar.gz) of a relocatable interpreter for the target."""
    package_format: str | None = None
    """``deb`` or ``rpm``, for a package of a distribution."""
    release: str = "1"
    """The release of that package."""


_DEFAULT = BundleOptions()


class BundleOutcome(NamedTuple):
    """What was written."""

    path: str
    target: Target
    packages: int
    pip: str
    sha256: str
    """The digest of an archive; empty for a folder."""
    project: str = ""
    """The file name of the project's own wheel."""


def create_bundle(
    common: CommonOptions,
    options: SelectionOptions,
    bundle: BundleOptions = _DEFAULT,
    reporter: Reporter = SILENT,
) -> BundleOutcome:
    """Write a bundle of the packages that *options* select; raises MinglibcError."""
    project = read_locked_project(common, options)
    target = _only_target(project.lock, options.target)
    selected = select(project, target, options)
    files = [download_of(file, project.folder) for _, file in selected if isinstance(file, PackageWheel)]
    pip = _locked_pip(selected, project.folder) or _newest_pip(project, target, common, reporter)
    check_pip(pip.filename, target)
    if bundle.package_format:
        check_target(target)
    interpreter = _interpreter(bundle.interpreter, project, selected, target, reporter) if bundle.interpreter else None
    house = Wheelhouse(
        common.cache_folder,
        offline=common.offline,
        credentials=credentials_for(project.pyproject, project.lock, common.index_url, common.indexes),
        on_progress=reporter.downloading,
        on_warning=reporter.warn,
        on_detail=reporter.details,
    )
    with house, ExitStack() as stack:
        paths = house.fetch(list({file.filename: file for file in (*files, pip)}.values()))
        sources = _Sources(
            project, target, stack, lambda: open_builder(project, [target], common, reporter, frozen=options.frozen)
        )
        selected = [sources.built(package, file) for package, file in selected]
        if own_wheel := sources.project_wheel(bundle, selected):
            selected.append(own_wheel)
        paths |= sources.paths
        executable = interpreter.executable if interpreter else ""
        own = own_files(target, selected, pip.filename, project.lock_text, executable)
        wheels = {f"{WHEELS}/{name}": wheel for name, wheel in paths.items()}
        if interpreter:
            wheels[INTERPRETER] = interpreter.path
        own[SUMS] = sums(archive.digests(own, wheels))
        if bundle.key:
            own[SIGNATURE] = sign(own[SUMS], bundle.key)
        path, sha256 = _write(bundle, target, own, wheels, project=project, own_wheel=own_wheel)
    own_name = own_wheel[1].filename if own_wheel else ""
    return BundleOutcome(path, target, len(selected), pip.filename, sha256, own_name)


def _write(
    bundle: BundleOptions,
    target: Target,
    own: dict[str, bytes],
    wheels: dict[str, str],
    *,
    project: LockedProject,
    own_wheel: "tuple[Package, SelectedFile] | None",
) -> tuple[str, str]:
    """Write the bundle in the form that the options select; its path, and the digest of a file."""
    if bundle.package_format:
        form, info = bundle.package_format, _package_info(bundle, project, own_wheel)
        path = bundle.output or package_filename(info, target, form)
        sha256 = archive.write_package(
            path, own, wheels, lambda folder, new: build_package(folder, new, info, target, form)
        )
        return path, sha256
    path = bundle.output or name_of(target)
    if path.endswith(_ARCHIVES):
        return path, archive.write_archive(path, name_of(target), own, wheels)
    archive.write_folder(path, own, wheels)
    return path, ""


def _package_info(
    bundle: BundleOptions, project: LockedProject, own_wheel: "tuple[Package, SelectedFile] | None"
) -> PackageInfo:
    """What a package of a distribution states, from [project] and the project's own wheel; raises SettingsError."""
    table = metadata_table(project)
    version = str(own_wheel[0].version) if own_wheel else str(table.get("version", ""))
    name = project_name(project.pyproject)
    if not name or versions.normalize(version) is None:
        missing = "version" if name else "name"
        raise SettingsError(
            f"a {bundle.package_format} package needs the project's {missing}",
            hint="set project.name and project.version in pyproject.toml",
        )
    description = printable(str(table.get("description") or f"Python environment of {name}"))
    info = PackageInfo(name, version, bundle.release, printable(_maintainer(table, name)), description)
    check_name(info)
    return info


def _maintainer(table: "Mapping[str, Any]", name: str) -> str:
    """The first maintainer or author with an address; else the superuser of the machine."""
    for key in ("maintainers", "authors"):
        people = table.get(key)
        # `lock` does not read them, so that they may be anything.
        for person in people if isinstance(people, list) else ():
            if isinstance(person, dict) and person.get("email"):
                return f"{person.get('name', name)} <{person['email']}>"
    return f"{name} <root@localhost>"


class _Sources:
    """Wheels of what the lock has from source and of the project itself; *paths* has those that were added, by file name."""

    def __init__(
        self, project: LockedProject, target: Target, stack: ExitStack, open_builder: "Callable[[], SourceBuilder]"
    ) -> None:
        self.paths: dict[str, str] = {}
        self._project = project
        self._target = target
        self._builder = cache(lambda: stack.enter_context(open_builder()))
        self._folder = cache(lambda: stack.enter_context(tempfile.TemporaryDirectory(prefix="minglibc-bundle-")))

    def built(self, package: Package, file: "SelectedFile") -> "tuple[Package, SelectedFile]":
        """*package* with its wheel, which is built where the lock has a source."""
        if isinstance(file, PackageWheel):
            return package, file
        wheel = build((package, without_editable(file)), self._project.folder, self._builder(), self._target)
        if isinstance(file, LockedFolder):
            wheel = reproducible(wheel, self._folder())
        _, entry = self._add(wheel)
        # The lock has no version of a local project.
        return replace(package, version=parse_wheel_filename(wheel.filename)[1]), entry

    def project_wheel(self, bundle: BundleOptions, selected: "Selection") -> "tuple[Package, SelectedFile] | None":
        """The package of the project itself; None where the bundle does not include it, or the lock does."""
        if bundle.project_wheel:
            wheel = given_project_wheel(bundle.project_wheel, self._project, self._target)
        else:
            name = package_name(self._project) if bundle.includes_project else ""
            if not name or name in {package.name for package, _ in selected}:
                return None
            wheel = build_project_wheel(self._project, self._target, self._builder(), self._folder())
        check_requirements(wheel, self._project, selected, self._target)
        return self._add(wheel)

    def _add(self, wheel: "Built") -> tuple[Package, PackageWheel]:
        self.paths[wheel.filename] = wheel.path
        return locked_entry(wheel)


def _interpreter(
    path: str, project: LockedProject, selected: "Selection", target: Target, reporter: Reporter
) -> InterpreterArchive:
    """The archive at *path*, checked for *target* and what is *selected*; raises EnvironmentProblem."""
    interpreter = read_interpreter(path, target, choice(project.pyproject, "cpu", CPU_LEVELS))
    if interpreter.missing:
        reporter.warn(
            f"modules of the interpreter need libraries that some machines lack: {', '.join(interpreter.missing)}"
        )
    match = re.fullmatch(r"3\.([0-9]+)\.([0-9]+)", interpreter.version)
    if match:
        python = PythonVersion(int(match[1]), int(match[2]), target.python.free_threaded)
        needs = {f"{one.name} {one.version}": str(one.requires_python) for one, _ in selected if one.requires_python}
        check_python(Machine(python, target.architecture, target.cap), needs)
    return interpreter


def _only_target(lock: Lock, name: str | None) -> Target:
    targets = find_targets(name, lock.targets, lock.names)
    if len(targets) > 1:
        raise SettingsError(
            f"a bundle is for one target, the lock has {len(targets)}",
            hint=f"choose one with --target; {describe_targets(lock.targets, lock.names)}",
        )
    return targets[0]


def _locked_pip(selected: "Selection", folder: str) -> LockedFile | None:
    """The pip that the project itself requires, if it does: the bundle then depends on the lock alone."""
    return next((download_of(wheel, folder) for package, wheel in selected if package.name == _PIP), None)


def _newest_pip(project: LockedProject, target: Target, common: CommonOptions, reporter: Reporter) -> LockedFile:
    """The newest pip that supports *target*, as the project's settings allow."""
    overrides = overrides_from(project.lock.source.given)
    settings = parse(project.pyproject, overrides=overrides) if project.pyproject is not None else None
    compatibility = compatibilities_of(settings, [target])[0] if settings else TargetCompatibility(target)
    roots = (Root(Requirement(_PIP), "the bundle"),)
    index = open_index(
        settings,
        common,
        Store(common.cache_folder, on_trouble=reporter.warn),
        lambda: Speculation([compatibility], roots),
        folder=project.folder,
        fallback=index_of_lock(project.lock),
    )
    try:
        wheel = resolve(roots, compatibility, index).artifacts[_PIP]
        return file_of(wheel if wheel.hash else index.hashed(wheel))
    except Unresolvable as error:
        raise ResolutionError(
            f"the index has no pip that supports {target}",
            hint="add pip to the project's requirements, or use another --index-url",
        ) from error
    finally:
        index.close()
