"""The version of the C library in a root file system, which the library's own bytes tell."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary
from minglibc.config.files import open_regular
from minglibc.model.targets import GlibcVersion, MuslVersion

_BANNER = re.compile(rb"GNU C Library [^\n\0]{0,100}")
_VERSION = re.compile(rb" version 2\.(\d{1,3})")
_GLIBC_NAMES = re.compile(r"libc\.so\.6|libc-2\.\d+\.so")
_MUSL_NAMES = re.compile(r"ld-musl-[a-z0-9_]+\.so\.1|libc\.musl-[a-z0-9_]+\.so\.1")
_MUSL_VERSION = re.compile(rb"\0(1\.\d{1,2})\.\d{1,2}(?:[-_][^\0]{0,40})?\0")
_MAX_LIBC = 16 << 20
_MAX_LIBCS = 20


def glibc_of_root(root: str, binaries: Iterable[Binary]) -> dict[str, GlibcVersion]:
    """The version of glibc in the root file system, by architecture."""
    return {
        architecture: version
        for architecture, content in _libraries(root, binaries, _GLIBC_NAMES)
        if (version := _banner_version(content))
    }


def musl_of_root(root: str, binaries: Iterable[Binary]) -> dict[str, MuslVersion]:
    """The version of musl in the root file system, by architecture."""
    return {
        architecture: MuslVersion.parse(match[1].decode())
        for architecture, content in _libraries(root, binaries, _MUSL_NAMES)
        if (match := _MUSL_VERSION.search(content))
    }


def _libraries(root: str, binaries: Iterable[Binary], names: re.Pattern[str]) -> list[tuple[str, bytes]]:
    """The architecture and content of the libraries that *names* matches, the last first."""
    libraries = []
    libcs = (binary for binary in binaries if names.fullmatch(os.path.basename(binary.path)))
    for binary in islice(libcs, _MAX_LIBCS):
        elf = binary.content
        if isinstance(elf, ElfFile) and elf.architecture:
            with suppress(OSError), open(os.path.join(root, binary.path), "rb", opener=open_regular) as file:
                libraries.append((elf.architecture, file.read(_MAX_LIBC)))
    # Where there are several, the first counts.
    return libraries[::-1]


def _banner_version(libc: bytes) -> GlibcVersion | None:
    """The version in the text that the glibc with these bytes prints if it is started."""
    matches = (_VERSION.search(banner[0]) for banner in _BANNER.finditer(libc))
    return next((GlibcVersion(2, int(match[1])) for match in matches if match), None)
