"""Check binaries against the cap: the symbol versions that they need, whatever the wheel's tag says."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import IO, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from minglibc.audit.elf import MAGIC, ElfFile, MalformedElf, Need, is_loader, read_elf
from minglibc.audit.policies import (
    GLIBC_PREFIX,
    MUSL_LIBRARIES,
    Policy,
    glibc_of,
    lowest_policy,
    policy_at,
    version_number,
    with_libstdcxx,
)
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.artifacts import printable
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion

# Magic numbers of binaries for other systems.
_OTHER_SYSTEMS = {
    b"MZ": "Windows",
    b"\xfe\xed\xfa\xce": "macOS",
    b"\xfe\xed\xfa\xcf": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_FAT_MACH_O = b"\xca\xfe\xba\xbe"
_MAX_FAT_PARTS = 32  # Java classes begin with the same four bytes, followed by a version above 44
HEAD_SIZE = 8
_READ_WHOLE = 64 << 20
_LARGEST_MEMBER = 8 << 30


class Kind(StrEnum):
    """The kind of a finding."""

    GLIBC = "glibc"
    LIBSTDCXX = "libstdc++"
    LIBGCC = "libgcc"
    LIBRARY_VERSION = "library version"
    PRIVATE = "private symbol"
    LIBRARY = "library"
    MUSL = "musl"
    LINKED_GLIBC = "linked with glibc"
    CPU = "cpu"
    EXECUTABLE_STACK = "executable stack"
    UNREADABLE = "unreadable"


_KINDS = {"GLIBCXX": Kind.LIBSTDCXX, "CXXABI": Kind.LIBSTDCXX, "GCC": Kind.LIBGCC}


# What no machine at the cap can load. Other libraries, such as those of drivers, may be present.
ABOVE_CAP = frozenset((Kind.GLIBC, Kind.LIBSTDCXX, Kind.LIBGCC, Kind.MUSL, Kind.LINKED_GLIBC))


@dataclass(frozen=True, slots=True)
class Foreign:
    """A binary for another system."""

    system: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that begins like an ELF file but can't be read as one."""

    why: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A file of a distribution that some machine could load or run."""

    distribution: str
    path: str
    content: ElfFile | Foreign | Unreadable
    names: tuple[str, ...] = ()
    """The names of links to it, by which other files may need it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a file needs and that a machine at the cap may lack."""

    distribution: str
    path: str
    kind: Kind
    library: str = ""
    version: str = ""
    symbols: tuple[str, ...] = ()
    lowest_cap: GlibcVersion | None = None
    """The lowest cap that provides it; None if unknown."""
    detail: str = ""

    def __str__(self) -> str:
        what = _SENTENCES[self.kind].format(library=self.library, version=self.version, detail=self.detail)
        symbols = f" ({', '.join(self.symbols)})" if self.symbols else ""
        return f"{self.distribution}: {self.path} {what}{symbols}"


_SENTENCES = {
    Kind.GLIBC: "needs {version} of {library}",
    Kind.LIBSTDCXX: "needs {version} of {library}",
    Kind.LIBGCC: "needs {version} of {library}",
    Kind.LIBRARY_VERSION: "needs {version} of {library}",
    Kind.PRIVATE: "needs {version} of {library}, which may change with any glibc release",
    Kind.LIBRARY: "needs {library}, which no wheel contains and some machines lack",
    Kind.MUSL: "is linked with musl ({library}), and glibc's loader can't run it",
    Kind.LINKED_GLIBC: "is linked with glibc ({library}), which machines with musl lack",
    Kind.CPU: "needs a processor with {version}",
    Kind.EXECUTABLE_STACK: "needs an executable stack, with which glibc 2.41 and newer do not load it",
    Kind.UNREADABLE: "can't be read: {detail}",
}


class Tally(NamedTuple):
    """The number of binaries of each kind."""

    checked: int
    """ELF files for the given architectures."""
    static: int
    """Those of them that need no library."""
    skipped: int
    """Files for other architectures and systems."""
    unreadable: int


def audit(
    binaries: Iterable[Binary], architectures: Iterable[str], cap: Cap, cpu: str = CPU_LEVELS[0], libstdcxx: str = ""
) -> list[Finding]:
    """What *binaries* need that a machine of *architectures* at *cap*, with the *cpu* level, may lack; the worst of each kind.

    *libstdcxx* is the newest version of libstdc++'s symbols where it is older than the cap suggests.
    """
    binaries, architectures = list(binaries), frozenset(architectures)
    findings: list[Finding] = []
    present = _Present(binaries)
    for binary in binaries:
        content = binary.content
        if isinstance(content, Unreadable):
            findings.append(Finding(binary.distribution, binary.path, Kind.UNREADABLE, detail=content.why))
        elif isinstance(content, ElfFile) and _is_checked(content, architectures):
            findings += _findings(binary, content, cap, present, libstdcxx)
            findings += _machine_findings(binary, content, cap, cpu)
    order = list(Kind)
    return sorted(findings, key=lambda finding: (finding.distribution, finding.path, order.index(finding.kind)))


def need_above(
    binaries: Iterable[Binary], architectures: Iterable[str], cap: Cap, cpu: str = CPU_LEVELS[0], libstdcxx: str = ""
) -> str:
    """What *binaries* need beyond *cap* or beyond the level *cpu*, with the first path that needs it; empty if nothing."""
    for finding in audit(binaries, architectures, cap, cpu, libstdcxx):
        if finding.kind in ABOVE_CAP or finding.kind is Kind.CPU:
            return f"{finding.path} needs {finding.version or finding.library}"
    return ""


def tally(binaries: Iterable[Binary], architectures: Iterable[str]) -> Tally:
    """How many of *binaries* an audit for *architectures* checks, and how many it skips."""
    architectures = frozenset(architectures)
    checked = static = skipped = unreadable = 0
    for binary in binaries:
        match binary.content:
            case Unreadable():
                unreadable += 1
            case ElfFile() as elf if _is_checked(elf, architectures):
                checked += 1
                static += elf.static
            case _:
                skipped += 1
    return Tally(checked, static, skipped, unreadable)


def highest_glibc(elf: ElfFile) -> GlibcVersion | None:
    """The oldest glibc that can load *elf*; None if it needs no version of glibc."""
    versions = [glibc_of(need.version, elf.architecture or "") for need in elf.needs if _must_have_glibc(need)]
    return max((version for version in versions if version), default=None)


def incompatibility(elf: ElfFile, cap: Cap) -> str:
    """Why the C library of a machine at *cap* can't load *elf*; empty if it can."""
    if isinstance(cap, MuslVersion):
        return "is linked with glibc" if elf.glibc else ""
    if elf.musl:
        return "is linked with musl"
    needs = highest_glibc(elf)
    return f"needs glibc {needs}, the cap is {cap}" if needs and needs > cap else ""


def read_binary(distribution: str, path: str, stream: IO[bytes]) -> Binary | None:
    """The content of the seekable *stream*; None if it is not a binary of any system."""
    content = _content(stream.read(HEAD_SIZE), stream)
    return Binary(distribution, printable(path), content) if content else None


def wheel_binaries(distribution: str, wheel: ZipFile) -> Iterator[Binary]:
    """The binaries of an open wheel; only members that begin like ELF files are read completely."""
    for member in wheel.infolist():
        if not member.is_dir():
            content = _member_content(wheel, member)
            if content:
                yield Binary(distribution, printable(member.filename), content)


def _must_have_glibc(need: Need) -> bool:
    return not need.weak and need.version.startswith(f"{GLIBC_PREFIX}_")


def _is_checked(elf: ElfFile, architectures: frozenset[str]) -> bool:
    return elf.system == "Linux" and elf.architecture in architectures


class _Present:
    """The libraries that distributions contain, by name and architecture."""

    def __init__(self, binaries: Iterable[Binary]) -> None:
        self._names: set[tuple[str | None, str]] = set()
        self._own: set[tuple[str, str | None, str]] = set()
        for binary in binaries:
            if isinstance(binary.content, ElfFile):
                architecture = binary.content.architecture
                for name in {binary.path.rpartition("/")[2], binary.content.soname, *binary.names}:
                    if name:
                        self._names.add((architecture, name))
                        self._own.add((binary.distribution, architecture, name))

    def anywhere(self, library: str, architecture: str | None) -> bool:
        """Whether any distribution contains it: torch uses libraries of a dozen others."""
        return (architecture, library) in self._names

    def beside(self, binary: Binary, library: str, architecture: str | None) -> bool:
        """Whether the distribution of *binary* contains it, or the environment itself, as with conda."""
        return any((owner, architecture, library) in self._own for owner in (binary.distribution, ""))


def _findings(binary: Binary, elf: ElfFile, cap: Cap, present: _Present, libstdcxx: str) -> Iterator[Finding]:
    where = (binary.distribution, binary.path)
    if isinstance(cap, MuslVersion):
        if elf.glibc:
            yield Finding(*where, Kind.LINKED_GLIBC, elf.glibc)
            return
        # musl's symbols have no versions, so missing ones can't be detected.
        policy_libraries = MUSL_LIBRARIES
    else:
        if elf.musl:
            loader = elf.interpreter or next(name for name in elf.needed if name.startswith("libc."))
            yield Finding(*where, Kind.MUSL, loader)
            return
        policy = with_libstdcxx(policy_at(cap, elf.architecture or ""), libstdcxx)
        policy_libraries = policy.libraries
        yield from _version_findings(binary, elf, cap, policy, present)
    for library in dict.fromkeys(elf.needed):
        name = library.rpartition("/")[2]
        if not (name in policy_libraries or is_loader(name) or present.anywhere(name, elf.architecture)):
            yield Finding(*where, Kind.LIBRARY, library)
    # Nix and others link programs with their own loader, which other machines lack.
    if elf.interpreter and not elf.interpreter.startswith(("/lib", "/usr/lib")):
        yield Finding(*where, Kind.LIBRARY, elf.interpreter)


def _machine_findings(binary: Binary, elf: ElfFile, cap: Cap, cpu: str) -> Iterator[Finding]:
    """What *elf* needs of the processor and of the stack, whatever its libraries."""
    where = (binary.distribution, binary.path)
    if elf.cpu_level > CPU_LEVELS.index(cpu) + 1:
        yield Finding(*where, Kind.CPU, version=f"x86-64-v{elf.cpu_level}")
    # musl ignores what files say about the stack.
    if elf.executable_stack and not isinstance(cap, MuslVersion) and not elf.musl:
        yield Finding(*where, Kind.EXECUTABLE_STACK)


def _version_findings(
    binary: Binary, elf: ElfFile, cap: GlibcVersion, policy: Policy, present: _Present
) -> Iterator[Finding]:
    """The symbol versions that *elf* needs and the cap does not provide, the worst of each kind."""
    architecture = elf.architecture or ""
    worst: dict[tuple[Kind, str], tuple[Need, GlibcVersion | None]] = {}
    for need in elf.needs:
        kind, lowest = _check_need(need, architecture, cap, policy)
        is_bundled = kind not in {Kind.GLIBC, Kind.PRIVATE} and present.beside(binary, need.library, architecture)
        if kind is None or is_bundled:
            continue
        prefix = need.version.partition("_")[0]
        known = worst.get((kind, prefix))
        if known is None or version_number(need.version) > version_number(known[0].version):
            worst[kind, prefix] = need, lowest
    for (kind, _), (need, lowest) in worst.items():
        yield Finding(binary.distribution, binary.path, kind, need.library, need.version, need.symbols, lowest)


def _check_need(
    need: Need, architecture: str, cap: GlibcVersion, policy: Policy
) -> tuple[Kind | None, GlibcVersion | None]:
    """The kind of finding for *need* at *cap*, if any, and the lowest cap that provides it."""
    prefix = need.version.partition("_")[0]
    if need.weak:
        return None, None
    if need.version == "GLIBC_PRIVATE":
        return Kind.PRIVATE, None
    if prefix == GLIBC_PREFIX:
        glibc = glibc_of(need.version, architecture)
        return (None, glibc) if glibc and glibc <= cap else (Kind.GLIBC, glibc)
    if policy.allows(need.version):
        return None, None
    lowest = lowest_policy(need.version, architecture)
    # A higher cap does not help where the machines have an older libstdc++ than the cap suggests.
    return _KINDS.get(prefix, Kind.LIBRARY_VERSION), lowest if lowest and lowest > policy.glibc else None


def _content(head: bytes, stream: IO[bytes]) -> ElfFile | Foreign | Unreadable | None:
    if head.startswith(MAGIC):
        try:
            return read_elf(stream)
        except MalformedElf as error:
            return Unreadable(error.message)
    if head.startswith(_FAT_MACH_O) and int.from_bytes(head[4:8], "big") > _MAX_FAT_PARTS:
        return None
    return next((Foreign(system) for magic, system in _OTHER_SYSTEMS.items() if head.startswith(magic)), None)


def _member_content(wheel: ZipFile, member: ZipInfo) -> ElfFile | Foreign | Unreadable | None:
    try:
        with wheel.open(member) as stream:
            head = stream.read(HEAD_SIZE)
            if not head.startswith(MAGIC):
                return _content(head, stream)
            if member.file_size > _LARGEST_MEMBER:
                return Unreadable(f"its size is given as {member.file_size} bytes")
            # Small members are read into memory; large ones are decompressed twice instead.
            if member.file_size <= _READ_WHOLE:
                return _content(head, BytesIO(head + stream.read(_READ_WHOLE)))
            return _content(head, stream)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        return Unreadable(printable(f"the archive is damaged: {error}"))
