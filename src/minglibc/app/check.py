"""The use case of `check`: what binaries need, compared with the cap."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from packaging.pylock import PackageWheel

from minglibc.app.indexes import credentials_for
from minglibc.app.lenient_settings import choice
from minglibc.app.lock_file import read_lock_file
from minglibc.app.locked_project import LockedProject, build, download_of, open_builder, read_lock_source
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.audit.binaries import Binaries, is_conda, of_environment, of_wheel, wheels_in
from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary, Finding, Tally, audit, tally
from minglibc.cache.pages import Store
from minglibc.config import files
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.index.downloads import Wheelhouse
from minglibc.install.environment import Environment
from minglibc.install.interpreter import inspect
from minglibc.lock.locked_files import without_editable
from minglibc.lock.reader import Lock
from minglibc.model.architectures import ARCHITECTURES, CPU_LEVELS
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import LIBCS, Cap, Target, check_architecture, oldest

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection

# By C library and architecture.
Caps = Mapping[tuple[str, str], Cap]
_NO_OVERRIDES = Overrides()


class CheckOptions(NamedTuple):
    """Where the caps come from: *overrides*, else the lock, else the project."""

    common: CommonOptions
    lock: str | None = None
    """The path of a lock; None: the project's."""
    overrides: Overrides = _NO_OVERRIDES
    cpu: str | None = None
    """The level of x86-64 that files may need; None: the project's, by default the baseline."""


class CheckResult(NamedTuple):
    """What was checked against which caps, and the findings."""

    subject: str
    caps: Caps
    findings: list[Finding]
    counts: Tally
    with_relr: tuple[str, ...] = ()
    """The distributions for musl with packed relocations, which musl before 1.2.4 can't load."""
    cpu: str = CPU_LEVELS[0]
    """The level of x86-64 that files may need."""


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
    targets = [_with_cap(target, options.overrides) for target in lock.targets]
    extras, groups = lock.pylock.extras or (), lock.pylock.dependency_groups or ()
    selections = {
        target: lock.select(original, extras=extras, groups=groups)
        for original, target in zip(lock.targets, targets, strict=True)
    }
    project = LockedProject(folder, read_lock_source(lock, folder, optional=True), "", lock)
    binaries = _read_wheels(project, selections, options.common, reporter)
    built = _read_sources(project, selections, options.common, reporter, builds=builds)
    findings: list[Finding] = []
    cpu = options.cpu or choice(project.pyproject, "cpu", CPU_LEVELS)
    for target, selected in selections.items():
        together = [binary for _, file in selected for binary in binaries.get(file.filename, ())]
        together += [binary for wheel in built[target] for binary in wheel]
        findings += audit(together, [target.architecture], target.cap, cpu)
    everything = [binary for wheel in binaries.values() for binary in wheel]
    everything += [binary for wheels in built.values() for wheel in wheels for binary in wheel]
    count = len({file.filename for selected in selections.values() for _, file in selected})
    return _result(_wheel_count(count), _lowest(targets), findings, everything, cpu)


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
        credentials=credentials_for(project.pyproject, project.lock, common.index_url),
        on_progress=reporter.downloading,
        on_warning=reporter.warn,
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
    from minglibc.app.source_builds import IncompatibleBuild  # noqa: PLC0415  60 ms, and few locks have sources

    with open_builder(project, list(selections), common, reporter, builds=builds) as builder:
        for target, selected in selections.items():
            for package, file in selected:
                if isinstance(file, PackageWheel):
                    continue
                try:
                    # Without the cap, which the audit compares.
                    wheel = build((package, without_editable(file)), project.folder, builder, target.uncapped)
                except IncompatibleBuild as error:
                    reporter.warn(f"{file.filename} is not checked for {target}: it {error.reason.text}")
                else:
                    binaries[target].append(of_wheel(wheel.path, wheel.filename))
    return binaries


def check_wheels(paths: Sequence[str], options: CheckOptions) -> CheckResult:
    """Check the wheels at *paths*, each on its own: one may not use the libraries of another."""
    caps, cpu = _caps(options), _cpu(options)
    wheels = [wheel for path in paths for wheel in wheels_in(path)]
    findings: list[Finding] = []
    everything: list[Binary] = []
    for wheel in wheels:
        filename = os.path.basename(wheel)
        binaries = of_wheel(wheel, filename)
        findings += _audit(binaries, _of_libcs(caps, lowest_libcs(filename[:-4])), cpu)
        everything += binaries
    return _result(_wheel_count(len(wheels)), caps, findings, everything, cpu)


def check_environment(path: str, options: CheckOptions) -> CheckResult:
    """Check all binaries of an environment, whichever installer they come from."""
    environment = Environment(inspect(_interpreter(path)))
    layout = environment.layout
    owners = {
        file: f"{distribution.name} {distribution.version}"
        for distribution in environment.distributions()
        for file in distribution.record
    }
    # The other folders of a system's own Python belong to the system.
    whole_prefix = environment.interpreter.is_environment or is_conda(layout.prefix)
    folders = [""] if whole_prefix else [layout.purelib, layout.platlib]
    binaries = list(of_environment(layout.prefix, owners, folders))
    libc = environment.interpreter.machine.libc
    caps = _of_libcs(_caps(options), {libc.libc} if libc else ())
    cpu = _cpu(options)
    return _result(path, caps, _audit(binaries, caps, cpu), binaries, cpu)


def _interpreter(path: str) -> str:
    if not os.path.isdir(path):
        return path
    executable = os.path.join(path, "bin", "python")
    if not os.path.exists(executable):
        raise EnvironmentProblem(
            f"{path} has no bin/python", hint="give --environment an environment's folder or an interpreter"
        )
    return executable


def _caps(options: CheckOptions) -> Caps:
    """The cap of each C library and architecture: of the overrides, else the lowest of the lock or project."""
    overrides = options.overrides
    named = {"glibc": overrides.glibc, "musl": overrides.musl}
    architectures = [check_architecture(name) for name in overrides.architectures]
    caps = [LIBCS[libc].parse(text) for libc in LIBCS if (text := named[libc])]
    if caps:
        return {(cap.libc, name): cap for cap in caps for name in architectures or ARCHITECTURES}
    if options.lock:
        return _lowest(read_lock_file(options.common, options.lock).lock.targets)
    project = files.read_pyproject(options.common.project_folder)
    return _lowest(
        parse(project, overrides=Overrides(python=overrides.python, architectures=tuple(architectures))).targets
    )


def _cpu(options: CheckOptions) -> str:
    """The level of x86-64 that files may need: of the options, else of the project, if there is one."""
    if options.cpu:
        return options.cpu
    try:
        pyproject = files.read_pyproject(options.common.project_folder)
    except SettingsError:
        return CPU_LEVELS[0]
    return choice(pyproject, "cpu", CPU_LEVELS)


def _with_cap(target: Target, overrides: Overrides) -> Target:
    text = overrides.glibc if target.cap.libc == "glibc" else overrides.musl
    if not text:
        return target
    lowest = target._replace(cap=oldest(target.architecture, target.cap.libc))
    return lowest.raised(LIBCS[target.cap.libc].parse(text))


def _lowest(targets: Iterable[Target]) -> Caps:
    caps: dict[tuple[str, str], Cap] = {}
    for target in targets:
        key = target.cap.libc, target.architecture
        caps[key] = min(target.cap, caps.get(key, target.cap))
    return caps


def _of_libcs(caps: Caps, libcs: Collection[str]) -> Caps:
    """The caps of *libcs*; all of them where there are none, or where the C library is unknown."""
    return {key: cap for key, cap in caps.items() if key[0] in libcs} or caps


def _audit(binaries: Sequence[Binary], caps: Caps, cpu: str) -> list[Finding]:
    return [one for (_, architecture), cap in caps.items() for one in audit(binaries, [architecture], cap, cpu)]


def _wheel_count(count: int) -> str:
    return f"{count} wheel{'' if count == 1 else 's'}"


def _result(subject: str, caps: Caps, findings: Iterable[Finding], binaries: Sequence[Binary], cpu: str) -> CheckResult:
    unique = sorted(dict.fromkeys(findings), key=lambda finding: (finding.distribution, finding.path))
    counts = tally(binaries, {architecture for _, architecture in caps})
    return CheckResult(subject, caps, unique, counts, _with_relr(binaries, caps), cpu)


def _with_relr(binaries: Iterable[Binary], caps: Caps) -> tuple[str, ...]:
    architectures = {architecture for libc, architecture in caps if libc == "musl"}
    elves = [(binary.distribution, binary.content) for binary in binaries if isinstance(binary.content, ElfFile)]
    names = [name for name, elf in elves if elf.architecture in architectures and elf.relr and not elf.glibc]
    return tuple(dict.fromkeys(names))
