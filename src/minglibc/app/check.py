"""The use case of `check` for locks: what the binaries of locked wheels need, compared with the caps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.pylock import PackageWheel

from minglibc.app.check_caps import CheckOptions, CheckResult, lowest_caps, result, wheel_count, with_cap
from minglibc.app.indexes import credentials_for
from minglibc.app.lenient_settings import choice
from minglibc.app.lock_file import read_lock_file
from minglibc.app.locked_project import LockedProject, build, download_of, open_builder, read_lock_source
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.audit.binaries import Binaries, of_wheel
from minglibc.audit.folders import NOTHING, Contents, read_folders
from minglibc.audit.import_paths import project_folders
from minglibc.audit.rules import Binary, Finding, Unreadable, audit
from minglibc.cache.pages import Store
from minglibc.index.downloads import Wheelhouse
from minglibc.lock.locked_files import without_editable
from minglibc.lock.reader import Lock
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection


def check_locked_files(options: CheckOptions, reporter: Reporter = SILENT) -> CheckResult:
    """Check every wheel of the lock."""
    file = read_lock_file(options.common, options.lock)
    return check_lock(file.lock, file.folder, options, reporter)


def check_lock(
    lock: Lock, folder: str, options: CheckOptions, reporter: Reporter = SILENT, *, builds: bool = True
) -> CheckResult:
    """Check every wheel of the lock in *folder*, together with the wheels that each target installs beside it.

    Sources are built for it; without *builds*, only cached builds are checked.
    """
    targets = [with_cap(target, options.overrides) for target in lock.targets]
    extras, groups = lock.pylock.extras or (), lock.pylock.dependency_groups or ()
    selections = {
        target: lock.select(original, extras=extras, groups=groups)
        for original, target in zip(lock.targets, targets, strict=True)
    }
    project = LockedProject(folder, read_lock_source(lock, folder, optional=True), "", lock)
    binaries = _read_wheels(project, selections, options.common, reporter)
    built = _read_sources(project, selections, options.common, reporter, builds=builds)
    own = _read_own(project)
    findings: list[Finding] = []
    cpu = options.cpu or choice(project.pyproject, "cpu", CPU_LEVELS)
    for target, selected in selections.items():
        together = [binary for _, file in selected for binary in binaries.get(file.filename, ())]
        together += [*(binary for wheel in built[target] for binary in wheel), *own.binaries]
        findings += audit(together, [target.architecture], target.cap, cpu, target.libstdcxx)
    everything = [binary for wheel in binaries.values() for binary in wheel]
    everything += [binary for wheels in built.values() for wheel in wheels for binary in wheel]
    everything += own.binaries
    count = len({file.filename for selected in selections.values() for _, file in selected})
    subject = f"{wheel_count(count)} and {folder}" if own.binaries else wheel_count(count)
    return result(subject, lowest_caps(targets), cpu, findings, everything, contents=own)


def _read_own(project: LockedProject) -> Contents:
    """The project's own extension modules, which were built in place or for an editable installation."""
    if project.pyproject is None or not project.lock.source.is_project:
        return NOTHING
    return read_folders(project.folder, project_folders(project.folder))


def _read_wheels(
    project: LockedProject, selections: "Mapping[Target, Selection]", common: CommonOptions, reporter: Reporter
) -> Mapping[str, Sequence[Binary]]:
    """The binaries of each wheel by its file name."""
    wheels = {
        file.filename: download_of(file, project.folder)
        for selected in selections.values()
        for _, file in selected
        if isinstance(file, PackageWheel)
    }
    house = Wheelhouse(
        common.cache_folder,
        offline=common.offline,
        credentials=credentials_for(project.pyproject, project.lock, common.index_url, common.indexes),
        on_progress=reporter.downloading,
        on_warning=reporter.warn,
        on_detail=reporter.details,
    )
    with house:
        return Binaries(Store(common.cache_folder, on_trouble=reporter.warn)).of_files(list(wheels.values()), house)


def _read_sources(
    project: LockedProject,
    selections: "Mapping[Target, Selection]",
    common: CommonOptions,
    reporter: Reporter,
    *,
    builds: bool,
) -> dict[Target, list[list[Binary]]]:
    """The binaries of each wheel that is built from a source, by target."""
    binaries: dict[Target, list[list[Binary]]] = {target: [] for target in selections}
    if not any(package.sdist or package.directory for package in project.lock.pylock.packages):
        return binaries
    from minglibc.app.built_sources import IncompatibleBuild  # noqa: PLC0415  60 ms, and few locks have sources

    with open_builder(project, list(selections), common, reporter, builds=builds) as builder:
        for target, selected in selections.items():
            for package, file in selected:
                if isinstance(file, PackageWheel):
                    continue
                try:
                    # Without the cap, which the audit compares.
                    wheel = build((package, without_editable(file)), project.folder, builder, target.uncapped)
                except IncompatibleBuild as error:
                    reason = f"it was not built for {target}: it {error.reason.text}"
                    binaries[target].append([Binary(package.name, file.filename, Unreadable(reason))])
                else:
                    binaries[target].append(of_wheel(wheel.path, wheel.filename))
    return binaries
