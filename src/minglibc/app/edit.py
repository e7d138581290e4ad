"""The use cases of `add` and `remove`: pyproject.toml is edited, and the lock is updated with it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from minglibc.app.indexes import added_index
from minglibc.app.lock import LockOptions, LockResult, report_wait, resolve_lock
from minglibc.app.lock_request import LockRequest, project_request
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.source_permission import resolve_with_sources
from minglibc.config import edit, files, folder_lock, project_files
from minglibc.config.edit import DependencyList
from minglibc.config.edit_indexes import add_indexes
from minglibc.errors import SettingsError
from minglibc.index.credentials import without_credentials
from minglibc.lock.reader import Lock, loads
from minglibc.model import versions


class EditOptions(NamedTuple):
    """Requirements to add, or the names of requirements to remove, and where they are."""

    requirements: Sequence[str]
    common: CommonOptions = CommonOptions()
    dependency_list: DependencyList = DependencyList()
    """An extra or a dependency group; otherwise project.dependencies."""
    allow_sdist: bool = False
    """Whether to add all packages that have no wheel to ``allow-sdist``."""
    allow_sdist_packages: Sequence[str] = ()
    """The names of packages to add to ``allow-sdist``."""
    writes_indexes: bool = False
    """Whether to add the indexes of *common* to the settings."""


class _Edited(NamedTuple):
    """A new text of pyproject.toml, and its resolution."""

    pyproject: str
    result: LockResult


# Resolves a new text of pyproject.toml, preferring the versions of a lock. The text may allow more packages to be built afterwards.
_Resolve = Callable[[str, str | None, Reporter], _Edited]


def add_requirements(options: EditOptions, reporter: Reporter = SILENT) -> LockResult:
    """Add requirements to pyproject.toml and update the lock; those without a specifier get the locked version as a bound."""

    def edited(text: str, old: str | None, resolve: _Resolve) -> _Edited:
        names = list(options.requirements)
        if options.writes_indexes:
            text = add_indexes(text, [_written_index(index) for index in options.common.indexes])
        added = resolve(edit.add(text, names, options.dependency_list), old, reporter)
        unbounded = edit.unbounded(added.pyproject, names, options.dependency_list)
        if not unbounded:
            return added
        lock = loads(added.result.text)
        bounded = [_with_bound(name, lock) if name in unbounded else name for name in names]
        # The resolution stays the same, but the lock's digest is that of the text that is written. All pages are cached.
        final = resolve(edit.add(added.pyproject, bounded, options.dependency_list), added.result.text, SILENT)
        return _Edited(final.pyproject, added.result._replace(text=final.result.text))

    return _edit(options, edited, reporter)


def remove_requirements(options: EditOptions, reporter: Reporter = SILENT) -> LockResult:
    """Remove the requirements with these names from pyproject.toml and update the lock."""

    def edited(text: str, old: str | None, resolve: _Resolve) -> _Edited:
        return resolve(edit.remove(text, list(options.requirements), options.dependency_list), old, reporter)

    return _edit(options, edited, reporter)


def _written_index(text: str) -> tuple[str, str]:
    """The name and the URL of an index as they are written, without its user and password."""
    name, url = added_index(text)
    return name, without_credentials(url)


def _with_bound(requirement: str, lock: Lock) -> str:
    name = edit.parse(requirement).name
    locked = {str(package.version) for package in lock.pylock.packages if package.name == name and package.version}
    # No target may have it, because of its marker.
    return edit.with_bound(requirement, min(locked, key=versions.key)) if locked else requirement


def _edit(
    options: EditOptions, edited: Callable[[str, str | None, _Resolve], _Edited], reporter: Reporter
) -> LockResult:
    """Write the edited pyproject.toml and its lock, both or neither."""
    folder = options.common.project_folder
    own_folder = files.find(options.common.project)
    is_member = own_folder != folder
    if is_member:
        _check_member(options, own_folder, folder)
    with folder_lock.lock(folder, on_wait=lambda holder: report_wait(reporter, holder)):
        request = project_request(options.common)
        project_files.check_pyproject_path(folder)
        project_files.check_lock_path(request.path)

        def resolve(text: str, old: str | None, reporter: Reporter) -> _Edited:
            if is_member:
                # The lock of the root reads the member's file.
                project_files.write_pyproject(own_folder, text)
                return _Edited(text, resolve_lock(request, old, LockOptions(options.common), reporter))
            return _resolve_project(request._replace(pyproject=text), old, options, reporter)

        original = files.read_pyproject(own_folder)
        try:
            new = edited(original, files.read_lock(request.path), resolve)
            project_files.write_pyproject(own_folder, new.pyproject)
            project_files.write_lock(request.path, new.result.text)
        except BaseException:
            if files.read_pyproject(own_folder) != original:
                project_files.write_pyproject(own_folder, original)
            raise
    return new.result


def _resolve_project(request: LockRequest, old: str | None, options: EditOptions, reporter: Reporter) -> _Edited:
    """Resolve *request* with the packages that *options* allow to be built."""
    request, result = resolve_with_sources(
        request,
        lambda request, reporter: resolve_lock(request, old, LockOptions(options.common), reporter),
        reporter,
        packages=options.allow_sdist_packages,
        all_needed=options.allow_sdist,
    )
    return _Edited(request.pyproject, result)


def _check_member(options: EditOptions, member: str, root: str) -> None:
    """Raise SettingsError if *options* edit what only the workspace's root has."""
    if options.dependency_list.group:
        raise SettingsError(
            f"{member} is a member of the workspace at {root}, whose lock has only the root's dependency groups",
            hint=f"add the group to the root: --project {root}",
        )
    if options.writes_indexes:
        raise SettingsError(
            f"indexes are settings of the workspace at {root}", hint="add a [[tool.minglibc.index]] table there"
        )
    if options.allow_sdist or options.allow_sdist_packages:
        raise SettingsError(
            f"allow-sdist is a setting of the workspace at {root}",
            hint=f"write it there, or run `minglibc lock --project {root} --allow-sdist` afterwards",
        )
