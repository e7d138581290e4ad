"""A lock with the project that it was made from: read, selected from, and its sources built."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from packaging.pylock import PylockSelectError

from minglibc.app.lock_file import LockFile, read_lock_file
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.app.sync_options import SelectionOptions
from minglibc.config import files
from minglibc.config.settings import Overrides
from minglibc.errors import LockError, SettingsError, StaleLock
from minglibc.install import proof
from minglibc.lock import source_files
from minglibc.lock.digest import is_current
from minglibc.lock.locked_files import LockedFolder, version_of
from minglibc.lock.reader import Lock
from minglibc.model.artifacts import HASH_ALGORITHMS
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from packaging.pylock import Package

    from minglibc.app.source_builds import SourceBuilder
    from minglibc.cache.built_wheels import Built
    from minglibc.cache.wheels import LockedFile as Download
    from minglibc.install.interpreter import Interpreter
    from minglibc.lock.locked_files import LockedFile, Selection


class LockedProject(NamedTuple):
    """A lock, its folder and text, and the pyproject.toml that its source is equivalent to, if that is present."""

    folder: str
    pyproject: str | None
    lock_text: str
    lock: Lock


def read_locked_project(common: CommonOptions, options: SelectionOptions) -> LockedProject:
    """The lock and its project; raises LockError where the lock is missing, and StaleLock where it is stale."""
    file = read_lock_file(common, options.lock)
    pyproject = read_lock_source(file.lock, file.folder, optional=options.frozen)
    if pyproject is not None and not options.frozen:
        _check_fresh(file, pyproject)
    return LockedProject(file.folder, pyproject, file.text, file.lock)


def read_lock_source(lock: Lock, folder: str, *, optional: bool) -> str | None:
    """The source of *lock* as a pyproject.toml; None where it is missing and *optional*."""
    try:
        if lock.source.external:
            return None  # its inputs are unknown here
        if lock.source.is_project:
            return files.read_pyproject(folder)
        from minglibc.config import inputs  # noqa: PLC0415  imports tomli_w (5 ms); most locks are of projects

        return inputs.read(lock.source, folder).pyproject
    except SettingsError:
        if optional:
            return None
        raise


def _check_fresh(file: LockFile, pyproject: str) -> None:
    """Raise StaleLock where the source of a lock, or a file that it lists, has changed."""
    reasons = [
        f"{path} {'has changed' if os.path.exists(os.path.join(file.folder, path)) else 'is missing'}"
        for path in source_files.changed_with_members(file.text, pyproject, file.folder)
    ]
    if not _is_fresh(file.lock, pyproject):
        reasons.append(f"{file.lock.source.name} has changed")
    if reasons:
        raise StaleLock(
            f"{file.name} is stale: {reasons[-1]}",
            hint=f"run `{file.lock.source.command}`, or use the lock as it is with --frozen",
        )


def _is_fresh(lock: Lock, pyproject: str) -> bool:
    if is_current(lock.inputs, pyproject) or is_current(lock.inputs, pyproject, lock.source.given):
        return True
    # `lock` takes targets from these variables.
    variables = (os.environ.get(name, "") for name in proof.TARGET_VARIABLES)
    glibc, musl, pythons, architectures = (tuple(text.replace(",", " ").split()) for text in variables)
    overrides = Overrides(glibc[0] if glibc else None, musl[0] if musl else None, pythons, architectures)
    return is_current(lock.inputs, pyproject, overrides.given)


def select(project: LockedProject, target: Target, options: SelectionOptions) -> "Selection":
    """The packages and files of *target* with the extras and groups of *options*."""
    lock = project.lock
    if options.only_groups:
        from minglibc.app.only_groups import select_only  # noqa: PLC0415  50 ms, and rarely used

        groups = [name for name in _locked_names(options.only_groups, lock) if name not in options.excluded_groups]
        _check_known("dependency group", groups, lock.pylock.dependency_groups or ())
        return select_only(groups, lock, target, project.pyproject, folder=project.folder)
    known = {str(name) for name in lock.pylock.extras or ()}
    extras = known if options.all_extras else {normalize_name(name) for name in options.extras}
    _check_known("extra", extras, known)
    try:
        return lock.select(target, extras=sorted(extras), groups=_groups(lock, options))
    except PylockSelectError as error:
        raise LockError(f"the lock does not support {target}: {error}", hint="run `minglibc lock`") from error


def _groups(lock: Lock, options: SelectionOptions) -> list[str]:
    known = lock.pylock.dependency_groups or ()
    included, excluded = (_locked_names(names, lock) for names in (options.groups, options.excluded_groups))
    _check_known("dependency group", [*included, *excluded], known)
    defaults = (lock.pylock.default_groups or ()) if options.default_groups else ()
    names = dict.fromkeys([*defaults, *(known if options.all_groups else ()), *included])
    return [name for name in names if name not in excluded]


def _locked_names(groups: Iterable[str], lock: Lock) -> list[str]:
    """*groups* as the lock spells them; unknown ones as they are."""
    known = {normalize_name(name): name for name in lock.pylock.dependency_groups or ()}
    return [known.get(normalize_name(group), group) for group in groups]


def _check_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    if missing := sorted(set(names) - set(known)):
        hint = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise SettingsError(f"the lock has no {kind} {missing[0]!r}", hint=hint)


def download_of(file: "LockedFile", folder: str) -> "Download":
    """A file of the lock in *folder*, as the downloads take it."""
    from minglibc.cache.wheels import LockedFile  # noqa: PLC0415  most syncs download nothing
    from minglibc.index.local_files import url_of  # noqa: PLC0415  the same

    return LockedFile(file.filename, url_of(file.url, file.path, folder), file.hashes, file.size)


def digest_of(file: "LockedFile", folder: str) -> str:
    """What identifies a file of the lock in *folder*: its hash, or the state of a local project."""
    if isinstance(file, LockedFolder):
        from minglibc.build import source_tree  # noqa: PLC0415  few projects require local projects

        return source_tree.state(path_of(file, folder), editable=file.editable)
    algorithm = next(algorithm for algorithm in HASH_ALGORITHMS if algorithm in file.hashes)
    return f"{algorithm}:{file.hashes[algorithm].lower()}"


def path_of(locked: LockedFolder, folder: str) -> str:
    """The path of a local project that the lock in *folder* names."""
    return os.path.join(os.path.abspath(folder), locked.path)


def open_builder(
    project: LockedProject,
    targets: Sequence[Target],
    common: CommonOptions,
    reporter: Reporter,
    *,
    frozen: bool = False,
    builds: bool = True,
) -> "SourceBuilder":
    """The builder for the sources of a lock; with *frozen*, an invalid pyproject.toml is ignored."""
    # 150 ms, and few locks have sources.
    from minglibc.app.build_environment import BuildContext  # noqa: PLC0415
    from minglibc.app.indexes import credentials_for, index_of_lock  # noqa: PLC0415
    from minglibc.app.lock_request import overrides_from  # noqa: PLC0415
    from minglibc.app.source_builds import SourceBuilder  # noqa: PLC0415
    from minglibc.config.parser import parse  # noqa: PLC0415

    source = project.lock.source
    settings = None
    with suppress(*([SettingsError] if frozen else [])):
        if project.pyproject is not None:
            settings = parse(project.pyproject, overrides=overrides_from(source.given), written=source.is_project)
    credentials = credentials_for(project.pyproject, project.lock, common.index_url)
    context = BuildContext(common, project.folder, credentials, settings, index_of_lock(project.lock), reporter)
    return SourceBuilder(context, targets, builds=builds)


def build(
    locked: "tuple[Package, LockedFile]",
    folder: str,
    builder: "SourceBuilder",
    target: Target,
    interpreter: "Interpreter | None" = None,
) -> "Built":
    """The wheel built for *target* from a source of the lock in *folder*; raises IncompatibleBuild and MinglibcError."""
    from minglibc.app.built_sources import LocalProject, Release  # noqa: PLC0415  150 ms, and few locks have sources

    package, file = locked
    if isinstance(file, LockedFolder):
        project = LocalProject(package.name, path_of(file, folder), file.editable)
        return builder.build_project(project, target, interpreter)
    release = Release(package.name, version_of(package), download_of(file, folder))
    return builder.build_release(release, target, interpreter)
