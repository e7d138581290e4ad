"""The architectures that manylinux and musllinux tags can name."""

from typing import NamedTuple


class ElfIdentity(NamedTuple):
    """The machine (e_machine), class and byte order of an ELF header."""

    machine: int
    bits: int
    little_endian: bool


class Architecture(NamedTuple):
    """How ELF headers identify an architecture, and the C library versions that its tags can name."""

    elf: ElfIdentity
    oldest_tag: int = 17
    """The minor version in the oldest manylinux tag (PEP 599; PEP 513 for x86)."""
    first_glibc: int = 0
    """The minor version of the first glibc for the architecture, if it is newer than the oldest tag."""
    first_musl: int = 1
    """The minor version of the first musl; PEP 656 allows 1.0, but no wheels exist for it."""


ARCHITECTURES = {
    "x86_64": Architecture(ElfIdentity(62, 64, True), oldest_tag=5),
    "i686": Architecture(ElfIdentity(3, 32, True), oldest_tag=5),
    "aarch64": Architecture(ElfIdentity(183, 64, True)),
    "armv7l": Architecture(ElfIdentity(40, 32, True)),
    "ppc64": Architecture(ElfIdentity(21, 64, False)),
    "ppc64le": Architecture(ElfIdentity(21, 64, True)),
    "s390x": Architecture(ElfIdentity(22, 64, False)),
    "riscv64": Architecture(ElfIdentity(243, 64, True), first_glibc=27),
    "loongarch64": Architecture(ElfIdentity(258, 64, True), first_glibc=36, first_musl=2),
}
BY_ELF_IDENTITY = {architecture.elf: name for name, architecture in ARCHITECTURES.items()}
# The levels of the x86-64 psABI, lowest first; other architectures have none.
CPU_LEVELS = ("x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")
OTHER_NAMES = {
    "amd64": "x86_64",
    "x86-64": "x86_64",
    "x64": "x86_64",
    "arm64": "aarch64",
    "i386": "i686",
    "i586": "i686",
    "armhf": "armv7l",
}
