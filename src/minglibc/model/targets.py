"""Targets: environment markers, and the ordered tags within the cap on the C library."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from minglibc.errors import TargetError
from minglibc.model.architectures import ARCHITECTURES, OTHER_NAMES

# PEP 513, 571 and 599: the legacy name comes right after its perennial one (PEP 600).
LEGACY_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}

# Newest patch release of each CPython minor version, as of November 2026: "3.9" means 3.9.25, because
# Requires-Python and python_full_version are evaluated for it (some wheels exclude 3.9.0 and 3.9.1).
NEWEST_PATCH = {6: 15, 7: 17, 8: 20, 9: 25, 10: 22, 11: 18, 12: 16, 13: 18, 14: 10, 15: 2}
# The first release of each minor version, from the release schedules: PEP 494, 537, 569, 596, 619, 664, 693, 719, 745 and 790.
FIRST_RELEASE = {
    6: "2016-12-23",
    7: "2018-06-27",
    8: "2019-10-14",
    9: "2020-10-05",
    10: "2021-10-04",
    11: "2022-10-24",
    12: "2023-10-02",
    13: "2024-10-07",
    14: "2025-10-07",
    15: "2026-10-01",
}
OLDEST_PYTHON, NEWEST_PYTHON = min(NEWEST_PATCH), max(NEWEST_PATCH)
FIRST_FREE_THREADED = 13

_VERSION = re.compile(r"([1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")
# Compiled on first use, because most projects use plain numbers, and many name no Python.
_MUSLLINUX = r"musllinux_([1-9][0-9]{0,2})_(0|[1-9][0-9]{0,2})"
_MANYLINUX = r"manylinux_([1-9][0-9]{0,2})_(0|[1-9][0-9]{0,2})"
_LIBSTDCXX = r"3\.4\.(?:0|[1-9][0-9]{0,2})"
_PYTHON = r"3\.([0-9]{1,2})(?:\.([0-9]{1,3}))?(t?)"


class GlibcVersion(NamedTuple):
    """A glibc release, such as 2.27."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "GlibcVersion":
        """The version that ``2.27``, ``manylinux_2_28``, ``manylinux2014`` or ``debian-11`` names; raises TargetError."""
        for minor, name in LEGACY_NAMES.items():
            if text == name:
                return cls(2, minor)
        match = _VERSION.fullmatch(text) or re.fullmatch(_MANYLINUX, text)
        if not match or not text.isascii():
            return cls(*_glibc_of_distribution(text))
        version = cls(int(match[1]), int(match[2]))
        if version.major != 2:
            also = "; 1.x is musl's" if version.major == 1 else ""
            raise TargetError(f"there is no glibc {version}: every release is 2.x{also}")
        return version

    @property
    def libc(self) -> str:
        """The C library's name, which is also its key in [tool.minglibc]."""
        return "glibc"

    @property
    def named(self) -> str:
        """``glibc 2.27``."""
        return f"glibc {self}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def _glibc_of_distribution(text: str) -> tuple[int, int]:
    from minglibc.model.distributions import find_distribution, similar_names  # noqa: PLC0415  2 ms, for few projects

    distribution = find_distribution(text)
    if distribution is None:
        names = similar_names(text)
        if text.lower().startswith("alpine"):
            raise TargetError(f'{text!r} has no glibc: Alpine uses musl; set musl = "1.2" instead')
        known = (
            f"; did you mean {', '.join(names)}?" if names else "; `minglibc caps --distributions` lists distributions"
        )
        expected = 'write "2.27", "manylinux_2_28", "manylinux2014" or a distribution such as "debian-11"'
        raise TargetError(f"{text!r} is not a glibc version; {expected}{known}")
    major, minor = distribution.glibc.split(".")
    return int(major), int(minor)


class MuslVersion(NamedTuple):
    """A musl release as tags have it (PEP 656), such as 1.2; every musl is 1.x and every glibc 2.x, so none equals another."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "MuslVersion":
        """The version that ``1.2`` or ``musllinux_1_2`` names; raises TargetError."""
        match = _VERSION.fullmatch(text) or re.fullmatch(_MUSLLINUX, text)
        if not match or not text.isascii():
            raise TargetError(f'{text!r} is not a musl version; write "1.2" or "musllinux_1_2"')
        version = cls(int(match[1]), int(match[2]))
        if version.major != 1:
            also = "; 2.x is glibc's" if version.major == 2 else ""
            raise TargetError(f"there is no musl {version}: every release is 1.x{also}")
        return version

    @property
    def libc(self) -> str:
        """The C library's name, which is also its key in [tool.minglibc]."""
        return "musl"

    @property
    def named(self) -> str:
        """``musl 1.2``."""
        return f"musl {self}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


Cap = GlibcVersion | MuslVersion
# By the key of each in [tool.minglibc].
LIBCS: dict[str, type[GlibcVersion] | type[MuslVersion]] = {"glibc": GlibcVersion, "musl": MuslVersion}

NEWEST_GLIBC = GlibcVersion(2, 43)
NEWEST_MUSL = MuslVersion(1, 2)


class PythonVersion(NamedTuple):
    """A CPython minor version, or one exact patch release of it; free-threaded or not."""

    minor: int
    patch: int | None = None
    free_threaded: bool = False

    @classmethod
    def parse(cls, text: str) -> "PythonVersion":
        """The interpreter ``3.9``, ``3.9.2`` or ``3.13t``; raises TargetError."""
        match = re.fullmatch(_PYTHON, text)
        if not match or not text.isascii():
            raise TargetError(f'{text!r} is not a CPython version; write "3.9", "3.9.2" or "3.13t"')
        minor, patch, free_threaded = int(match[1]), match[2], bool(match[3])
        if not OLDEST_PYTHON <= minor <= NEWEST_PYTHON:
            raise TargetError(f"Python {text} is not one of 3.{OLDEST_PYTHON} to 3.{NEWEST_PYTHON}")
        if free_threaded and minor < FIRST_FREE_THREADED:
            raise TargetError(f"Python 3.{minor} has no free-threaded build; the first is 3.{FIRST_FREE_THREADED}t")
        return cls(minor, int(patch) if patch else None, free_threaded)

    @property
    def short(self) -> str:
        """``3.9``, the value of the marker variable ``python_version``."""
        return f"3.{self.minor}"

    @property
    def full(self) -> str:
        """The patch release for which markers and Requires-Python are evaluated."""
        return f"3.{self.minor}.{NEWEST_PATCH[self.minor] if self.patch is None else self.patch}"

    def __str__(self) -> str:
        patch = "" if self.patch is None else f".{self.patch}"
        return f"{self.short}{patch}{'t' if self.free_threaded else ''}"


class Target(NamedTuple):
    """A machine that a lock is for: interpreter, architecture, and the newest glibc or musl that is allowed."""

    python: PythonVersion
    architecture: str
    cap: Cap
    libstdcxx: str = ""
    """The newest version of libstdc++'s symbols that is allowed, such as ``3.4.22``; empty: what the cap suggests."""

    @property
    def kind(self) -> tuple[PythonVersion, str, str]:
        """Interpreter, architecture and C library, without its version."""
        return self.python, self.architecture, self.cap.libc

    @property
    def table(self) -> dict[str, str]:
        """The target as in locks and JSON output."""
        table = {"python": str(self.python), "architecture": self.architecture, self.cap.libc: str(self.cap)}
        return {**table, "libstdcxx": self.libstdcxx} if self.libstdcxx else table

    def raised(self, cap: Cap) -> "Target":
        """The target with *cap* if that is higher; unchanged if *cap* is for the other C library."""
        return self._replace(cap=max(self.cap, cap)) if self.cap.libc == cap.libc else self

    @property
    def uncapped(self) -> "Target":
        """The target with the newest known version of its C library."""
        return self.raised(newest(self.cap))._replace(libstdcxx="")

    @property
    def environment(self) -> dict[str, str]:
        """Every environment marker variable (PEP 508) of this target; nothing is taken from the host."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python.full,
            "os_name": "posix",
            "platform_machine": self.architecture,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python.full,
            "python_version": self.python.short,
            "sys_platform": "linux",
        }

    @property
    def marker(self) -> str:
        """The marker for this target's environments, in a form that all readers of pylock.toml accept."""
        return f"{MACHINE_MARKER} and platform_machine == '{self.architecture}' and {self.python_marker}"

    @property
    def python_marker(self) -> str:
        """The part of the marker for the Python version."""
        if self.python.patch is None:
            return f"python_version == '{self.python.short}'"
        return f"python_full_version == '{self.python.full}'"

    def __str__(self) -> str:
        libstdcxx = f" and GLIBCXX_{self.libstdcxx}" if self.libstdcxx else ""
        return f"CPython {self.python} on {self.architecture} with {self.cap.named}{libstdcxx}"


# PDM refuses a lock whose environments lack platform_system or platform_machine.
MACHINE_MARKER = "sys_platform == 'linux' and platform_system == 'Linux' and implementation_name == 'cpython'"


def shortest_marker(served: Sequence[Target], targets: Sequence[Target]) -> str:
    """A marker that is true for *served* and false for the other *targets*, as short as possible."""
    if {target.marker for target in served} == {target.marker for target in targets}:
        return ""
    for part in (_python_part, _machine_part):
        kinds = dict.fromkeys(map(part, served))
        if sum(part(target) in kinds for target in targets) == len(served):
            return " or ".join(kinds)
    return " or ".join(dict.fromkeys(f"{_python_part(target)} and {_machine_part(target)}" for target in served))


def _python_part(target: Target) -> str:
    return target.python_marker


def _machine_part(target: Target) -> str:
    return f"platform_machine == '{target.architecture}'"


def check_architecture(name: str) -> str:
    """*name* if there are manylinux tags for it; raises TargetError."""
    if name in ARCHITECTURES:
        return name
    known = ", ".join(ARCHITECTURES)
    other = OTHER_NAMES.get(name.lower())
    meant = f"; it is called {other} here" if other else ""
    raise TargetError(f"{name!r} is not an architecture that manylinux wheels exist for{meant} (known: {known})")


def check_libstdcxx(text: str) -> str:
    """The version of libstdc++'s symbols in *text*, ``3.4.22`` or ``GLIBCXX_3.4.22``; raises TargetError."""
    version = text.removeprefix("GLIBCXX_")
    if not re.fullmatch(_LIBSTDCXX, version) or not text.isascii():
        raise TargetError(f'{text!r} is not a version of libstdc++\'s symbols; write "3.4.22" or "GLIBCXX_3.4.22"')
    return version


def lowest_libstdcxx(versions: Iterable[str]) -> str:
    """The lowest of *versions* that are not empty; empty if there is none."""
    return min(filter(None, versions), key=lambda version: int(version.rpartition(".")[2]), default="")


def newest(cap: Cap) -> Cap:
    """The newest known version of the C library of *cap*."""
    return NEWEST_MUSL if isinstance(cap, MuslVersion) else NEWEST_GLIBC


def oldest_glibc(architecture: str) -> GlibcVersion:
    """The lowest glibc cap that is possible for *architecture*."""
    facts = ARCHITECTURES[architecture]
    return GlibcVersion(2, max(facts.oldest_tag, facts.first_glibc))


def oldest(architecture: str, libc: str) -> Cap:
    """The lowest cap on the C library *libc* that is possible for *architecture*."""
    if libc == "musl":
        return MuslVersion(1, ARCHITECTURES[architecture].first_musl)
    return oldest_glibc(architecture)


def check_cap(cap: Cap, architecture: str) -> Cap:
    """*cap* if it is possible for *architecture*; raises TargetError."""
    floor = oldest(architecture, cap.libc)
    if cap < floor:
        raise TargetError(f"{cap.named} is too old for {architecture}, which has wheels from {floor.named} on")
    return cap


def platform_tags(architecture: str, cap: Cap) -> list[str]:
    """The platform tags (PEP 600, 656) of a machine with the C library version *cap*, newest first."""
    if isinstance(cap, MuslVersion):
        return [f"musllinux_{cap.major}_{minor}_{architecture}" for minor in range(cap.minor, -1, -1)]
    tags = []
    for minor in range(cap.minor, ARCHITECTURES[architecture].oldest_tag - 1, -1):
        tags.append(f"manylinux_2_{minor}_{architecture}")
        if minor in LEGACY_NAMES:
            tags.append(f"{LEGACY_NAMES[minor]}_{architecture}")
    return tags


@cache
def compatible_tags(target: Target, *, linux: bool = False) -> tuple[str, ...]:
    """The tags (PEP 425) of *target*, best first; *linux* adds ``linux_ARCH``, whose C library is unknown, as the last platform."""
    platforms = platform_tags(target.architecture, target.cap)
    if linux:
        platforms.append(f"linux_{target.architecture}")
    minor = target.python.minor
    cpython = f"cp3{minor}"
    # PEP 803: free-threaded builds load abi3t and neither the version's own ABI nor abi3.
    stable_abi = "abi3t" if target.python.free_threaded else "abi3"
    abi = f"{cpython}t" if target.python.free_threaded else f"{cpython}m" if minor < 8 else cpython
    generic = [f"py3{minor}", "py3", *(f"py3{older}" for older in range(minor - 1, -1, -1))]
    pairs = [f"{cpython}-{abi}", f"{cpython}-{stable_abi}", f"{cpython}-none"]
    pairs += [f"cp3{older}-{stable_abi}" for older in range(minor - 1, 1, -1)]
    pairs += [f"{interpreter}-none" for interpreter in generic]
    tags = [f"{pair}-{platform}" for pair in pairs for platform in platforms]
    tags.append(f"{cpython}-none-any")
    tags += [f"{interpreter}-none-any" for interpreter in generic]
    return tuple(tags)


@cache
def tag_ranks(target: Target, *, linux: bool = False) -> dict[str, int]:
    """Each compatible tag of *target* with its rank; 0 is the best."""
    return {tag: rank for rank, tag in enumerate(compatible_tags(target, linux=linux))}
