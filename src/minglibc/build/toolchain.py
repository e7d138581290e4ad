"""Compilers for builds: the machine's own, or zig's, whose results need no newer C library than the cap."""

import os
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from minglibc.build._zig_compiler import NO_FORTRAN, SYSTEM_FOLDERS
from minglibc.build.cross import cross_environment
from minglibc.config.processors import usable_processors
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.limits import EARLIEST_TIME
from minglibc.model.targets import GlibcVersion, Target

# As zig names architectures and C libraries.
_TRIPLES = {
    ("x86_64", "glibc"): "x86_64-linux-gnu",
    ("x86_64", "musl"): "x86_64-linux-musl",
    ("i686", "glibc"): "x86-linux-gnu",
    ("aarch64", "glibc"): "aarch64-linux-gnu",
    ("aarch64", "musl"): "aarch64-linux-musl",
}
_OLDEST_GLIBC = GlibcVersion(2, 17)
# The prefixes of names that interpreters' own settings and build systems use.
_PREFIXES = ("", "x86_64-linux-gnu-", "aarch64-linux-gnu-")


def _prefixed(*names: str) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in _PREFIXES for name in names)


_C_NAMES = (*_prefixed("cc", "gcc", "clang"), "c89", "c99")
_CPP_NAMES = _prefixed("c++", "g++", "clang++")
_TOOL_NAMES = {
    **dict.fromkeys((*_prefixed("ar", "gcc-ar"), "llvm-ar"), "ar"),
    **dict.fromkeys((*_prefixed("ranlib", "gcc-ranlib"), "llvm-ranlib"), "ranlib"),
    **dict.fromkeys((*_prefixed("ld"), "ld.lld"), "ld.lld"),
}
# zig has none, and this machine's own needs its newer libraries.
_FORTRAN_NAMES = _prefixed("gfortran", "f77", "f95", "flang")
_CMAKE = """\
set(CMAKE_C_COMPILER "{bin}/cc")
set(CMAKE_CXX_COMPILER "{bin}/c++")
set(CMAKE_ASM_COMPILER "{bin}/cc")
set(CMAKE_AR "{bin}/ar" CACHE FILEPATH "")
set(CMAKE_RANLIB "{bin}/ranlib" CACHE FILEPATH "")
set(CMAKE_SYSTEM_IGNORE_PATH {ignored})
"""
# CMake does not run what it builds, and searches no programs for the target.
_CMAKE_CROSS = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR {architecture})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
"""


class Zig(NamedTuple):
    """An installed zig: the path of its executable, and its version."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"zig{self.version}"


def find_zig() -> Zig:
    """The zig of the package ziglang beside minglibc; raises SettingsError where it is not installed."""
    spec = find_spec("ziglang")
    path = os.path.join(os.path.dirname(spec.origin), "zig") if spec is not None and spec.origin else ""
    if not os.access(path, os.X_OK):
        raise SettingsError(
            'toolchain = "zig" requires the package ziglang, which is not installed',
            hint='install minglibc with its extra: pip install "minglibc[zig]"',
        )
    from importlib.metadata import version  # noqa: PLC0415  30 ms, and few projects build

    return Zig(path, version("ziglang"))


def zig_target(target: Target) -> str:
    """What zig calls the architecture and the cap of *target*; raises SettingsError where it can't build for them."""
    triple = _TRIPLES.get((target.architecture, target.cap.libc))
    if triple is None:
        raise SettingsError(
            f'toolchain = "zig" can\'t build for {target}', hint="build its wheels on such a machine, and list them"
        )
    if not isinstance(target.cap, GlibcVersion):
        return triple
    # zig's headers of older releases are those of 2.17.
    if target.cap < _OLDEST_GLIBC:
        raise SettingsError(
            f'toolchain = "zig" can\'t build for {target.cap.named}',
            hint=f"it supports glibc {_OLDEST_GLIBC} and newer",
        )
    return f"{triple}.{target.cap}"


class ZigToolchain(NamedTuple):
    """Compilers for one target in a private folder, and the environment in which builds use them."""

    folder: str
    environment: Mapping[str, str]


def create_toolchain(
    zig: Zig, target: Target, folder: str, *, scratch: str, cache: str, include: str, cross: bool = False
) -> ZigToolchain:
    """Write compilers for *target* to the new *folder*.

    *scratch* is the folder of the build, which does not appear in its results; *cache* has what zig builds on first use;
    *include* has the interpreter's headers. With *cross*, the interpreter can't run what is built.
    """
    tools = os.path.join(folder, "bin")
    try:
        os.makedirs(tools)
        headers = _multiarch_headers(include, os.path.join(folder, "include"))
        script = os.path.join(os.path.dirname(__file__), "_zig_compiler.py")
        start = shlex.join([sys.executable, "-I", "-S", script, zig.path])
        last = shlex.join([zig_target(target), os.path.realpath(scratch), headers])
        for kind, names in (("cc", _C_NAMES), ("c++", _CPP_NAMES)):
            for name in names:
                _write_script(os.path.join(tools, name), f"exec {start} {kind} {last}")
        for name, tool in _TOOL_NAMES.items():
            _write_script(os.path.join(tools, name), f"exec {shlex.quote(zig.path)} {tool}")
        _write_script(os.path.join(tools, "cpp"), f"exec {shlex.quote(os.path.join(tools, 'cc'))} -E")
        for name in _FORTRAN_NAMES:
            _write_script(os.path.join(tools, name), f"echo '{name}: error: {NO_FORTRAN}' >&2; exit 1; :")
        # Everything is linked without symbols already.
        _write_script(os.path.join(tools, "strip"), ":")
        with open(os.path.join(folder, "toolchain.cmake"), "w", encoding="utf-8") as file:
            file.write(_CMAKE.format(bin=tools, ignored=" ".join(f'"{path}"' for path in _ignored_folders())))
            if cross:
                file.write(_CMAKE_CROSS.format(architecture=target.architecture))
        described = cross_environment(target, os.path.join(folder, "platform")) if cross else {}
    except OSError as error:
        raise EnvironmentProblem(f"can't create compilers in {folder}: {error.strerror}") from error
    return ZigToolchain(folder, {**_environment(folder, os.path.join(cache, zig.version), scratch), **described})


def _ignored_folders() -> Iterator[str]:
    """The folders with this machine's own libraries and headers."""
    for folder in SYSTEM_FOLDERS:
        yield folder
        for triple in ("x86_64-linux-gnu", "aarch64-linux-gnu", "i386-linux-gnu"):
            yield f"{folder}/{triple}"


def _multiarch_headers(include: str, folder: str) -> str:
    """A folder with the headers that Debian's interpreters include from /usr/include; empty for others."""
    parent, name = os.path.split(include)
    for entry in sorted(os.listdir(parent)) if parent == "/usr/include" else ():
        if "-linux-" in entry and os.path.isdir(os.path.join(parent, entry, name)):
            os.makedirs(os.path.join(folder, entry))
            os.symlink(os.path.join(parent, entry, name), os.path.join(folder, entry, name))
            return folder
    return ""


def _write_script(path: str, command: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f'#!/bin/sh\n{command} "$@"\n')
    os.chmod(path, stat.S_IRWXU)


def _environment(folder: str, cache: str, scratch: str) -> dict[str, str]:
    tools = os.path.join(folder, "bin")
    compiler, cpp = os.path.join(tools, "cc"), os.path.join(tools, "c++")
    cargo = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    processors = str(usable_processors())
    return {
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", os.defpath)]),
        "CC": compiler,
        "CXX": cpp,
        "CPP": f"{compiler} -E",
        "LD": os.path.join(tools, "ld"),
        "AR": os.path.join(tools, "ar"),
        "RANLIB": os.path.join(tools, "ranlib"),
        "STRIP": os.path.join(tools, "strip"),
        "LDSHARED": f"{compiler} -shared",
        "LDCXXSHARED": f"{cpp} -shared",
        "CMAKE_TOOLCHAIN_FILE": os.path.join(folder, "toolchain.cmake"),
        "CMAKE_BUILD_PARALLEL_LEVEL": processors,
        # No .pc file of this machine.
        "PKG_CONFIG_LIBDIR": os.path.join(folder, "pkgconfig"),
        "ZIG_GLOBAL_CACHE_DIR": cache,
        "ZIG_LOCAL_CACHE_DIR": cache,
        "SOURCE_DATE_EPOCH": str(EARLIEST_TIME),
        "PYTHONHASHSEED": "0",
        # Rust: the rest of its settings are in the user's own folders.
        "CARGO_HOME": cargo,
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup"),
        "CARGO_NET_OFFLINE": "true",
        "RUSTFLAGS": f"--remap-path-prefix={os.path.realpath(scratch)}=/build --remap-path-prefix={cargo}=/cargo",
        **dict.fromkeys(_linker_variables(), compiler),
    }


def _linker_variables() -> Iterator[str]:
    for architecture in ("X86_64", "AARCH64"):
        for libc in ("GNU", "MUSL"):
            yield f"CARGO_TARGET_{architecture}_UNKNOWN_LINUX_{libc}_LINKER"
