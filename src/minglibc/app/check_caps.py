"""The caps that `check` compares binaries with, and the result of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

from minglibc.app.lenient_settings import choice
from minglibc.app.lock_file import read_lock_file
from minglibc.app.options import CommonOptions
from minglibc.audit.elf import ElfFile
from minglibc.audit.folders import NOTHING, Contents, Skipped
from minglibc.audit.rules import Binary, Finding, Tally, audit, tally
from minglibc.config import files
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides
from minglibc.errors import SettingsError
from minglibc.model.architectures import ARCHITECTURES, CPU_LEVELS
from minglibc.model.targets import LIBCS, Cap, Target, check_architecture, lowest_libstdcxx, oldest

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
    files: Mapping[str, int] = MappingProxyType({})
    """The number of files in each folder that was read."""
    skipped: tuple[Skipped, ...] = ()
    """What was not read in these folders because no interpreter loads it."""


def read_caps(options: CheckOptions) -> Caps:
    """The cap of each C library and architecture: of the overrides, else the lowest of the lock or project."""
    overrides = options.overrides
    named = {"glibc": overrides.glibc, "musl": overrides.musl}
    architectures = [check_architecture(name) for name in overrides.architectures]
    caps = [LIBCS[libc].parse(text) for libc in LIBCS if (text := named[libc])]
    if caps:
        return {(cap.libc, name): cap for cap in caps for name in architectures or ARCHITECTURES}
    if options.lock:
        return lowest_caps(read_lock_file(options.common, options.lock).lock.targets)
    project = files.read_pyproject(options.common.project_folder)
    return lowest_caps(
        parse(project, overrides=Overrides(python=overrides.python, architectures=tuple(architectures))).targets
    )


class Limits(NamedTuple):
    """What files may need besides the C library."""

    cpu: str
    """A level of x86-64."""
    libstdcxx: str = ""
    """The newest version of libstdc++'s symbols; empty: what the cap suggests."""


def read_limits(options: CheckOptions) -> Limits:
    """The limits of the options, else of the project, if there is one; libstdc++ goes with the project's caps."""
    pyproject = _pyproject(options)
    cpu = options.cpu or choice(pyproject, "cpu", CPU_LEVELS)
    if options.overrides.glibc or options.overrides.musl:
        return Limits(cpu)
    if options.lock:
        return Limits(cpu, _lowest(read_lock_file(options.common, options.lock).lock.targets))
    return Limits(cpu, _lowest(parse(pyproject).targets) if pyproject and "libstdcxx" in pyproject else "")


def _lowest(targets: Iterable[Target]) -> str:
    return lowest_libstdcxx(target.libstdcxx for target in targets)


def has_project(options: CheckOptions) -> bool:
    """Whether there is a project, whose caps apply."""
    return options.common.project is not None or _pyproject(options) is not None


def _pyproject(options: CheckOptions) -> str | None:
    with suppress(SettingsError):
        return files.read_pyproject(options.common.project_folder)
    return None


def with_cap(target: Target, overrides: Overrides) -> Target:
    """*target* with the cap of the *overrides*, if there is one for its C library."""
    text = overrides.glibc if target.cap.libc == "glibc" else overrides.musl
    if not text:
        return target
    lowest = target._replace(cap=oldest(target.architecture, target.cap.libc), libstdcxx="")
    return lowest.raised(LIBCS[target.cap.libc].parse(text))


def lowest_caps(targets: Iterable[Target]) -> Caps:
    """The lowest cap of *targets* for each C library and architecture."""
    caps: dict[tuple[str, str], Cap] = {}
    for target in targets:
        key = target.cap.libc, target.architecture
        caps[key] = min(target.cap, caps.get(key, target.cap))
    return caps


def of_libcs(caps: Caps, libcs: Collection[str]) -> Caps:
    """The caps of *libcs*; all of them where there are none, or where the C library is unknown."""
    return {key: cap for key, cap in caps.items() if key[0] in libcs} or caps


def audit_caps(binaries: Sequence[Binary], caps: Caps, limits: Limits) -> list[Finding]:
    """The findings in *binaries* for each of *caps*."""
    return [one for (_, architecture), cap in caps.items() for one in audit(binaries, [architecture], cap, *limits)]


def wheel_count(count: int) -> str:
    """``1 wheel``, ``2 wheels``."""
    return f"{count} wheel{'' if count == 1 else 's'}"


def result(
    subject: str,
    caps: Caps,
    cpu: str,
    findings: Iterable[Finding],
    binaries: Sequence[Binary],
    *,
    contents: Contents = NOTHING,
) -> CheckResult:
    """The result of comparing *binaries*, some of which may come from the *contents* of folders, with *caps*."""
    unique = sorted(dict.fromkeys(findings), key=lambda finding: (finding.distribution, finding.path))
    counts = tally(binaries, {architecture for _, architecture in caps})
    skipped = tuple(contents.skipped)
    return CheckResult(subject, caps, unique, counts, _with_relr(binaries, caps), cpu, contents.files, skipped)


def _with_relr(binaries: Iterable[Binary], caps: Caps) -> tuple[str, ...]:
    architectures = {architecture for libc, architecture in caps if libc == "musl"}
    elves = [(binary.distribution, binary.content) for binary in binaries if isinstance(binary.content, ElfFile)]
    names = [name for name, elf in elves if elf.architecture in architectures and elf.relr and not elf.glibc]
    return tuple(dict.fromkeys(names))
