"""The use cases of `add` and `remove`: pyproject.toml is edited, and the lock is updated with it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from minglibc.app.lock import LockOptions, LockResult, report_wait, resolve_lock
from minglibc.app.lock_request import project_request
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.source_permission import resolve_with_sources
from minglibc.config import edit, files, folder_lock, project_files
from minglibc.config.edit import DependencyList
from minglibc.errors import SettingsError
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


# A lock request's resolution by the new text of pyproject.toml.
_Resolve = Callable[[str, str | None, Reporter], LockResult]


def add_requirements(options: EditOptions, reporter: Reporter = SILENT) -> LockResult:
    """Add requirements to pyproject.toml and update the lock; those without a specifier get the locked version as a bound."""

    def edited(text: str, old: str | None, resolve: _Resolve) -> tuple[str, LockResult]:
        names = list(options.requirements)
        unbounded_text = edit.add(text, names, options.dependency_list)
        result = resolve(unbounded_text, old, reporter)
        unbounded = edit.unbounded(unbounded_text, names, options.dependency_list)
        if not unbounded:
            return unbounded_text, result
        lock = loads(result.text)
        bounded = [_with_bound(name, lock) if name in unbounded else name for name in names]
        bounded_text = edit.add(text, bounded, options.dependency_list)
        # The resolution stays the same, but the lock's digest is that of the text that is written. All pages are cached.
        return bounded_text, result._replace(text=resolve(bounded_text, result.text, SILENT).text)

    return _edit(options, edited, reporter)


def remove_requirements(options: EditOptions, reporter: Reporter = SILENT) -> LockResult:
    """Remove the requirements with these names from pyproject.toml and update the lock."""

    def edited(text: str, old: str | None, resolve: _Resolve) -> tuple[str, LockResult]:
        new = edit.remove(text, list(options.requirements), options.dependency_list)
        return new, resolve(new, old, reporter)

    return _edit(options, edited, reporter)


def _with_bound(requirement: str, lock: Lock) -> str:
    name = edit.parse(requirement).name
    locked = {str(package.version) for package in lock.pylock.packages if package.name == name and package.version}
    # No target may have it, because of its marker.
    return edit.with_bound(requirement, min(locked, key=versions.key)) if locked else requirement


def _edit(
    options: EditOptions,
    edited: Callable[[str, str | None, _Resolve], tuple[str, LockResult]],
    reporter: Reporter,
) -> LockResult:
    """Write the edited pyproject.toml and its lock, both or neither."""
    folder = options.common.project_folder
    own_folder = files.find(options.common.project)
    is_member = own_folder != folder
    if is_member and options.dependency_list.group:
        raise SettingsError(
            f"{own_folder} is a member of the workspace at {folder}, whose lock has only the root's dependency groups",
            hint=f"add the group to the root: --project {folder}",
        )
    lock_options = LockOptions(options.common)
    allowed = tuple(options.allow_sdist_packages)
    if is_member and (options.allow_sdist or allowed):
        raise SettingsError(
            f"allow-sdist is a setting of the workspace at {folder}",
            hint=f"write it there, or run `minglibc lock --project {folder} --allow-sdist` afterwards",
        )
    with folder_lock.lock(folder, on_wait=lambda holder: report_wait(reporter, holder)):
        request = project_request(options.common)
        project_files.check_pyproject_path(folder)
        project_files.check_lock_path(request.path)

        with_sources = ""

        def resolve(text: str, old: str | None, reporter: Reporter) -> LockResult:
            nonlocal allowed, with_sources
            if is_member:
                # The lock of the root reads the member's file.
                project_files.write_pyproject(own_folder, text)
                return resolve_lock(request, old, lock_options, reporter)
            edited_request = request._replace(pyproject=text)
            if not options.allow_sdist and not allowed:
                return resolve_lock(edited_request, old, lock_options, reporter)
            resolved, result = resolve_with_sources(
                edited_request,
                lambda request, reporter: resolve_lock(request, old, lock_options, reporter),
                reporter,
                packages=allowed,
                all_needed=options.allow_sdist,
            )
            allowed, with_sources = tuple(resolved.settings().allow_sdist), resolved.pyproject
            return result

        original = files.read_pyproject(own_folder)
        try:
            text, result = edited(original, files.read_lock(request.path), resolve)
            # The text of the last resolution, with the packages that it allowed to build.
            project_files.write_pyproject(own_folder, with_sources or text)
            project_files.write_lock(request.path, result.text)
        except BaseException:
            if files.read_pyproject(own_folder) != original:
                project_files.write_pyproject(own_folder, original)
            raise
    return result
