"""The architectures that manylinux and musllinux tags can name."""


class Architecture:
    """The C library versions that the tags of an architecture can name."""

    def __init__(self, *, oldest_tag: int = 17, first_glibc: int = 0, first_musl: int = 1) -> None:
        self.oldest_tag = oldest_tag
        """The minor version in the oldest manylinux tag (PEP 599; PEP 513 for x86)."""
        self.first_glibc = first_glibc
        """The minor version of the first glibc for the architecture, if it is newer than the oldest tag."""
        self.first_musl = first_musl
        """The minor version of the first musl; PEP 656 allows 1.0, but no wheels exist for it."""


ARCHITECTURES = {
    "x86_64": Architecture(oldest_tag=5),
    "i686": Architecture(oldest_tag=5),
    "aarch64": Architecture(),
    "armv7l": Architecture(),
    "ppc64": Architecture(),
    "ppc64le": Architecture(),
    "s390x": Architecture(),
    "riscv64": Architecture(first_glibc=27),
    "loongarch64": Architecture(first_glibc=36, first_musl=2),
}
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
