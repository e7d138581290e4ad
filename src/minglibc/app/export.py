"""The use case of `export`: a lock as requirements.txt or CycloneDX."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from minglibc.app.locked_project import LockedProject, read_locked_project, select
from minglibc.app.options import CommonOptions
from minglibc.app.sync_options import SelectionOptions
from minglibc.errors import MinglibcError, SettingsError
from minglibc.lock import requirements_txt
from minglibc.lock.selection import find_targets
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.requirements_txt import Selections

Format = Literal["requirements", "cyclonedx"]


def export_lock(common: CommonOptions, options: SelectionOptions, style: Format, *, pinned: bool = False) -> str:
    """The text of the lock in another format; with *pinned*, requirements name versions instead of URLs."""
    if pinned and style != "requirements":
        raise SettingsError("--pinned only applies to --format requirements", hint="omit one of the two")
    project = read_locked_project(common, options)
    targets = find_targets(options.target, project.lock.targets, project.lock.names)
    if style == "requirements":
        return _requirements(project, targets, options, pinned=pinned)
    return _sbom(project, targets, options)


def _requirements(project: LockedProject, targets: Sequence[Target], options: SelectionOptions, *, pinned: bool) -> str:
    requirements_txt.check_distinct(targets)
    selections = _selections(project, targets, options)
    local = sorted(package.name for chosen in selections.values() for package, file in chosen if file.url is None)
    if local:
        raise SettingsError(
            f"{local[0]} is a file on this machine, which other machines can't install from requirements.txt",
            hint="`minglibc bundle` includes it",
        )
    return requirements_txt.dumps(selections, index=pinned)


def _sbom(project: LockedProject, targets: Sequence[Target], options: SelectionOptions) -> str:
    try:
        from minglibc.lock import sbom  # noqa: PLC0415  the library is an optional dependency
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("cyclonedx", "packageurl")):
            raise
        raise MinglibcError(
            "CycloneDX needs cyclonedx-python-lib, which is not installed", hint="install minglibc[sbom]"
        ) from error
    selections = _selections(project, targets, options)
    return sbom.dumps(selections, pyproject=project.pyproject, lock=project.lock_text)


def _selections(project: LockedProject, targets: Sequence[Target], options: SelectionOptions) -> "Selections":
    return {target: select(project, target, options) for target in targets}
