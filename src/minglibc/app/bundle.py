"""The use case of `bundle`: the wheels of a target, its lock, pip and an install script in one folder or archive."""

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from packaging.pylock import PackageWheel
from packaging.utils import parse_wheel_filename

from minglibc.app.indexes import credentials_for, index_of_lock, open_index
from minglibc.app.lock_request import overrides_from
from minglibc.app.locked_project import LockedProject, build, download_of, open_builder, read_locked_project, select
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.sync_options import SelectionOptions
from minglibc.bundle import archive
from minglibc.bundle.contents import SIGNATURE, SUMS, WHEELS, check_pip, name_of, own_files, sums
from minglibc.bundle.signature import sign
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.config.parser import parse
from minglibc.errors import ResolutionError, SettingsError
from minglibc.index.downloads import Wheelhouse
from minglibc.lock.locked_files import without_editable
from minglibc.lock.reader import Lock
from minglibc.lock.selection import describe_targets, find_targets
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolution import Unresolvable
from minglibc.resolve.resolver import resolve

if TYPE_CHECKING:
    from minglibc.app.source_builds import SourceBuilder
    from minglibc.lock.locked_files import Selection

_ARCHIVES = (".tar.gz", ".tgz")
_PIP = "pip"


class BundleOutcome(NamedTuple):
    """What was written."""

    path: str
    target: Target
    packages: int
    pip: str
    sha256: str
    """The digest of an archive; empty for a folder."""


def create_bundle(
    common: CommonOptions,
    options: SelectionOptions,
    output: str | None = None,
    reporter: Reporter = SILENT,
    *,
    key: str | None = None,
) -> BundleOutcome:
    """Write the bundle to *output*, a folder or X.tar.gz (default: bundle-TARGET); raises MinglibcError.

    *key* is the path of a private key of OpenSSH that signs it.
    """
    project = read_locked_project(common, options)
    target = _only_target(project.lock, options.target)
    selected = select(project, target, options)
    files = [download_of(file, project.folder) for _, file in selected if isinstance(file, PackageWheel)]
    pip = _locked_pip(selected, project.folder) or _newest_pip(project, target, common, reporter)
    check_pip(pip.filename, target)
    path = output or name_of(target)
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
        if not all(isinstance(file, PackageWheel) for _, file in selected):
            builder = open_builder(project, [target], common, reporter, frozen=options.frozen)
            selected, built = _with_built_wheels(selected, project.folder, target, stack.enter_context(builder))
            paths |= built
        own = own_files(target, selected, pip.filename, project.lock_text)
        wheels = {f"{WHEELS}/{name}": wheel for name, wheel in paths.items()}
        own[SUMS] = sums(archive.digests(own, wheels))
        if key:
            own[SIGNATURE] = sign(own[SUMS], key)
        sha256 = ""
        if path.endswith(_ARCHIVES):
            sha256 = archive.write_archive(path, name_of(target), own, wheels)
        else:
            archive.write_folder(path, own, wheels)
    return BundleOutcome(path, target, len(selected), pip.filename, sha256)


def _with_built_wheels(
    selected: "Selection", folder: str, target: Target, builder: "SourceBuilder"
) -> "tuple[Selection, dict[str, str]]":
    """The selection with a built wheel in place of each source, and the paths of these wheels by file name."""
    wheels: Selection = []
    paths = {}
    for package, file in selected:
        if isinstance(file, PackageWheel):
            wheels.append((package, file))
            continue
        built = build((package, without_editable(file)), folder, builder, target)
        paths[built.filename] = built.path
        wheel = PackageWheel(name=built.filename, path=built.filename, hashes={"sha256": built.sha256})
        # The lock has no version of a local project.
        version = parse_wheel_filename(built.filename)[1]
        wheels.append((replace(package, version=version), wheel))
    return wheels, paths


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
