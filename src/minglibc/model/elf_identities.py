"""How ELF headers identify the architectures of manylinux and musllinux tags."""

from typing import NamedTuple


class ElfIdentity(NamedTuple):
    """The machine (e_machine), class and byte order of an ELF header."""

    machine: int
    bits: int
    little_endian: bool


ELF_IDENTITIES = {
    "x86_64": ElfIdentity(62, 64, True),
    "i686": ElfIdentity(3, 32, True),
    "aarch64": ElfIdentity(183, 64, True),
    "armv7l": ElfIdentity(40, 32, True),
    "ppc64": ElfIdentity(21, 64, False),
    "ppc64le": ElfIdentity(21, 64, True),
    "s390x": ElfIdentity(22, 64, False),
    "riscv64": ElfIdentity(243, 64, True),
    "loongarch64": ElfIdentity(258, 64, True),
}
ARCHITECTURE_OF = {identity: name for name, identity in ELF_IDENTITIES.items()}
