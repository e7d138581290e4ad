"""Binary files held against the cap: a wheel's tag is its word, the symbol versions that its files need are the truth."""

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
)
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion

# The first bytes of the binaries that no Linux loader takes.
_OTHER_SYSTEMS = {
    b"MZ": "Windows",
    b"\xfe\xed\xfa\xce": "macOS",
    b"\xfe\xed\xfa\xcf": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_FAT_MACH_O = b"\xca\xfe\xba\xbe"
_MOST_FAT_PARTS = 32  # a Java class begins with the same four bytes, then a version above 44
_HEAD_SIZE = 8
_READ_WHOLE = 64 << 20
_LARGEST_MEMBER = 8 << 30


class Kind(StrEnum):
    """What is wrong with a file."""

    GLIBC = "glibc"
    LIBSTDCXX = "libstdc++"
    LIBGCC = "libgcc"
    LIBRARY_VERSION = "library version"
    PRIVATE = "private symbol"
    LIBRARY = "library"
    MUSL = "musl"
    LINKED_GLIBC = "linked with glibc"
    UNREADABLE = "unreadable"


_KINDS = {"GLIBCXX": Kind.LIBSTDCXX, "CXXABI": Kind.LIBSTDCXX, "GCC": Kind.LIBGCC}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A binary for another system."""

    system: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A binary that begins as an ELF file and can't be read as one."""

    why: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A file of a distribution that some machine could load or run."""

    distribution: str
    path: str
    content: ElfFile | Foreign | Unreadable


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a file asks for and that a machine at the cap need not have."""

    distribution: str
    path: str
    kind: Kind
    library: str = ""
    version: str = ""
    symbols: tuple[str, ...] = ()
    lowest_cap: GlibcVersion | None = None
    """The lowest cap that would have it; None when none is known to."""
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
    Kind.PRIVATE: "needs {version} of {library}, which every glibc may change",
    Kind.LIBRARY: "needs {library}, which no wheel brings and not every machine has",
    Kind.MUSL: "is linked with musl ({library}), which glibc's loader can't run",
    Kind.LINKED_GLIBC: "is linked with glibc ({library}), which no machine with musl has",
    Kind.UNREADABLE: "can't be read: {detail}",
}


class Tally(NamedTuple):
    """How many binaries there are, by what can be said of them."""

    held: int
    """ELF files of the architectures asked for: those that the findings are about."""
    static: int
    """Those of them that need nothing of the machine."""
    foreign: int
    """Files for other architectures and systems; they are no findings."""
    unreadable: int


def audit(binaries: Iterable[Binary], architectures: Iterable[str], cap: Cap) -> list[Finding]:
    """What *binaries* need beyond what every machine of *architectures* with the C library *cap* has, the worst of each kind."""
    binaries, architectures = list(binaries), frozenset(architectures)
    findings: list[Finding] = []
    present = _Present(binaries)
    for binary in binaries:
        content = binary.content
        if isinstance(content, Unreadable):
            findings.append(Finding(binary.distribution, binary.path, Kind.UNREADABLE, detail=content.why))
        elif isinstance(content, ElfFile) and _is_held(content, architectures):
            findings += _findings(binary, content, cap, present)
    order = list(Kind)
    return sorted(findings, key=lambda finding: (finding.distribution, finding.path, order.index(finding.kind)))


def tally(binaries: Iterable[Binary], architectures: Iterable[str]) -> Tally:
    """How many of *binaries* an audit for *architectures* looks at, and how many it leaves aside."""
    architectures = frozenset(architectures)
    held = static = foreign = unreadable = 0
    for binary in binaries:
        match binary.content:
            case Unreadable():
                unreadable += 1
            case ElfFile() as elf if _is_held(elf, architectures):
                held += 1
                static += elf.static
            case _:
                foreign += 1
    return Tally(held, static, foreign, unreadable)


def highest_glibc(elf: ElfFile) -> GlibcVersion | None:
    """The oldest glibc that can load *elf*; None when it asks for no version of it."""
    versions = [glibc_of(need.version, elf.architecture or "") for need in elf.needs if _must_have_glibc(need)]
    return max((version for version in versions if version), default=None)


def misfit(elf: ElfFile, cap: Cap) -> str:
    """Why no machine at *cap* loads *elf*, in words; empty where its C library is no reason."""
    if isinstance(cap, MuslVersion):
        return "is linked with glibc" if elf.glibc else ""
    if elf.musl:
        return "is linked with musl"
    needs = highest_glibc(elf)
    return f"needs glibc {needs}, the cap is {cap}" if needs and needs > cap else ""


def read_binary(distribution: str, path: str, stream: IO[bytes]) -> Binary | None:
    """What the seekable *stream* holds; None when it is no binary of any system."""
    content = _content(stream.read(_HEAD_SIZE), stream)
    return Binary(distribution, path, content) if content else None


def wheel_binaries(distribution: str, wheel: ZipFile) -> Iterator[Binary]:
    """The binaries of an open wheel; a member is read whole only when it begins as an ELF file."""
    for member in wheel.infolist():
        if not member.is_dir():
            content = _member_content(wheel, member)
            if content:
                yield Binary(distribution, member.filename, content)


def _must_have_glibc(need: Need) -> bool:
    return not need.weak and need.version.startswith(f"{GLIBC_PREFIX}_")


def _is_held(elf: ElfFile, architectures: frozenset[str]) -> bool:
    return elf.system == "Linux" and elf.architecture in architectures


class _Present:
    """The libraries that come along: which distribution brings which name, for which architecture."""

    def __init__(self, binaries: Iterable[Binary]) -> None:
        self._names: set[tuple[str | None, str]] = set()
        self._own: set[tuple[str, str | None, str]] = set()
        for binary in binaries:
            if isinstance(binary.content, ElfFile):
                architecture = binary.content.architecture
                for name in {binary.path.rpartition("/")[2], binary.content.soname}:
                    if name:
                        self._names.add((architecture, name))
                        self._own.add((binary.distribution, architecture, name))

    def anywhere(self, library: str, architecture: str | None) -> bool:
        """Whether any distribution brings it: torch takes its libraries from a dozen others."""
        return (architecture, library) in self._names

    def beside(self, binary: Binary, library: str, architecture: str | None) -> bool:
        """Whether the distribution of *binary* brings it, or the environment itself does, as conda's do."""
        return any((owner, architecture, library) in self._own for owner in (binary.distribution, ""))


def _findings(binary: Binary, elf: ElfFile, cap: Cap, present: _Present) -> Iterator[Finding]:
    where = (binary.distribution, binary.path)
    if isinstance(cap, MuslVersion):
        if elf.glibc:
            yield Finding(*where, Kind.LINKED_GLIBC, elf.glibc)
            return
        # musl's symbols have no versions: what an older one lacks can't be seen.
        policy_libraries = MUSL_LIBRARIES
    else:
        if elf.musl:
            loader = elf.interpreter or next(name for name in elf.needed if name.startswith("libc."))
            yield Finding(*where, Kind.MUSL, loader)
            return
        policy = policy_at(cap, elf.architecture or "")
        policy_libraries = policy.libraries
        yield from _version_findings(binary, elf, cap, policy, present)
    for library in dict.fromkeys(elf.needed):
        name = library.rpartition("/")[2]
        if not (name in policy_libraries or is_loader(name) or present.anywhere(name, elf.architecture)):
            yield Finding(*where, Kind.LIBRARY, library)
    # Nix and others link programs with a loader of their own, which no other machine has.
    if elf.interpreter and not elf.interpreter.startswith(("/lib", "/usr/lib")):
        yield Finding(*where, Kind.LIBRARY, elf.interpreter)


def _version_findings(
    binary: Binary, elf: ElfFile, cap: GlibcVersion, policy: Policy, present: _Present
) -> Iterator[Finding]:
    """What *elf* needs of its libraries' versions, the worst of each kind."""
    architecture = elf.architecture or ""
    worst: dict[tuple[Kind, str], tuple[Need, GlibcVersion | None]] = {}
    for need in elf.needs:
        kind, lowest = _compatibility(need, architecture, cap, policy)
        bundled = kind not in {Kind.GLIBC, Kind.PRIVATE} and present.beside(binary, need.library, architecture)
        if kind is None or bundled:
            continue
        prefix = need.version.partition("_")[0]
        known = worst.get((kind, prefix))
        if known is None or version_number(need.version) > version_number(known[0].version):
            worst[kind, prefix] = need, lowest
    for (kind, _), (need, lowest) in worst.items():
        yield Finding(binary.distribution, binary.path, kind, need.library, need.version, need.symbols, lowest)


def _compatibility(
    need: Need, architecture: str, cap: GlibcVersion, policy: Policy
) -> tuple[Kind | None, GlibcVersion | None]:
    """What is wrong with *need* at *cap*, and the lowest cap at which it would not be."""
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
    return _KINDS.get(prefix, Kind.LIBRARY_VERSION), lowest_policy(need.version, architecture)


def _content(head: bytes, stream: IO[bytes]) -> ElfFile | Foreign | Unreadable | None:
    if head.startswith(MAGIC):
        try:
            return read_elf(stream)
        except MalformedElf as error:
            return Unreadable(error.message)
    if head.startswith(_FAT_MACH_O) and int.from_bytes(head[4:8], "big") > _MOST_FAT_PARTS:
        return None
    return next((Foreign(system) for magic, system in _OTHER_SYSTEMS.items() if head.startswith(magic)), None)


def _member_content(wheel: ZipFile, member: ZipInfo) -> ElfFile | Foreign | Unreadable | None:
    try:
        with wheel.open(member) as stream:
            head = stream.read(_HEAD_SIZE)
            if not head.startswith(MAGIC):
                return _content(head, stream)
            if member.file_size > _LARGEST_MEMBER:
                return Unreadable(f"it claims {member.file_size} bytes")
            # Small ones in memory; large ones are unpacked twice rather than held.
            if member.file_size <= _READ_WHOLE:
                return _content(head, BytesIO(head + stream.read(_READ_WHOLE)))
            return _content(head, stream)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return Unreadable(f"the archive is damaged there: {error}")
