"""What a machine has that decides which wheels it can load."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from minglibc.fleet.mistakes import quoted
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.targets import LIBCS, Cap, PythonVersion

# The flags of /proc/cpuinfo that each level of the x86-64 psABI adds.
_CPU_FLAGS = {
    "x86-64-v2": ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"),
    "x86-64-v3": ("abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"),
    "x86-64-v4": ("avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"),
}

_LIBSTDCXX = r"(?:3\.4\.[0-9]{1,3})?"
# A name of a host in the DNS is not longer, nor is any other value.
_LONGEST = 253
_MOST_PYTHONS = 200


class Machine(NamedTuple):
    """A machine of a fleet."""

    name: str
    """How the inventory names it."""
    architecture: str
    """As ``uname -m`` has it."""
    cap: Cap
    """The version of its C library."""
    pythons: tuple[PythonVersion, ...] = ()
    """Its CPython interpreters with their patch releases, the default one first."""
    distribution: str = ""
    """ID and VERSION_ID of os-release(5), such as ``rhel-8.6``; empty if they are unknown."""
    libstdcxx: str = ""
    """The newest version of libstdc++'s symbols, such as ``3.4.25``; empty if it is unknown."""
    cpu: str = ""
    """The level of the x86-64 psABI; empty for other architectures."""
    free_kib: int | None = None
    """The free space in the home folder of the user, in KiB."""

    @property
    def table(self) -> dict[str, Any]:
        """The machine as ``fleet.json`` has it."""
        return {
            "name": self.name,
            "architecture": self.architecture,
            self.cap.libc: str(self.cap),
            "python": list(map(str, self.pythons)),
            "distribution": self.distribution,
            "libstdcxx": self.libstdcxx,
            "cpu": self.cpu,
            "free-kib": self.free_kib,
        }

    @classmethod
    def of_table(cls, table: dict[str, Any]) -> "Machine":
        """The machine of *table*; raises KeyError, TypeError, ValueError, TargetError."""
        (libc,) = LIBCS.keys() & table.keys()
        texts = {key: table.get(key, "") for key in ("name", "architecture", "distribution", "libstdcxx", "cpu", libc)}
        if not all(isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST for text in texts.values()):
            raise TypeError("a value is not a short text")
        check_name(texts["name"])
        if not re.fullmatch(_LIBSTDCXX, texts["libstdcxx"]):
            raise ValueError(f"libstdcxx is {texts['libstdcxx']!r}")
        if len(table["python"]) > _MOST_PYTHONS:
            raise ValueError(f"it has more than {_MOST_PYTHONS} interpreters")
        pythons = tuple(PythonVersion.parse(text) for text in table["python"])
        return cls(
            texts["name"],
            texts["architecture"],
            LIBCS[libc].parse(texts[libc]),
            pythons,
            texts["distribution"],
            texts["libstdcxx"],
            texts["cpu"],
            free if isinstance(free := table.get("free-kib"), int) else None,
        )


def check_name(name: str) -> None:
    """Raise ValueError if *name* is not that of a host."""
    if not 0 < len(name) <= _LONGEST or not name.isprintable():
        raise ValueError(f"{quoted(name)} is not the name of a host")


def cpu_level(flags: Iterable[str]) -> str:
    """The highest level of the x86-64 psABI whose *flags* of /proc/cpuinfo are all there."""
    level, known = CPU_LEVELS[0], set(flags)
    for name, needed in _CPU_FLAGS.items():
        if not known.issuperset(needed):
            break
        level = name
    return level
