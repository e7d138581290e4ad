"""Functions that a build uses without linking with them, because the C library of the cap lacks them."""

import ctypes
import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

from minglibc.model.zip_archive import open_zip

_MAGIC = b"\x7fELF"
_LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1")
# The indexes of symbols without a version.
_UNVERSIONED = frozenset((0, 1, "VER_NDX_LOCAL", "VER_NDX_GLOBAL"))


class Symbol(NamedTuple):
    """A symbol that a file of a wheel needs from elsewhere."""

    path: str
    name: str


def newer_functions(path: str) -> list[Symbol]:
    """The functions of this machine's glibc that the wheel at *path* uses without a version.

    A linker gives each symbol of a C library that it links with a version. The headers of newer releases declare functions
    that the cap's library lacks, and loading a file that uses them fails there.
    """
    defined: set[str] = set()
    undefined: list[Symbol] = []
    with open(path, "rb") as file, open_zip(file) as archive:
        for member in archive.namelist():
            needs, provides = _symbols(archive, member)
            defined |= provides
            undefined += [Symbol(member, name) for name in sorted(needs)]
    return [symbol for symbol in undefined if symbol.name not in defined and _is_of_glibc(symbol.name)]


def _symbols(archive: zipfile.ZipFile, member: str) -> tuple[set[str], set[str]]:
    """The symbols that *member* needs without a version, and those that it defines."""
    with archive.open(member) as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            return set(), set()
    # The audit reports invalid files.
    with suppress(ELFError, ValueError, KeyError, AttributeError):
        entries = list(_entries(ELFFile(io.BytesIO(archive.read(member)))))
        needs = {name for name, is_defined, is_needed in entries if is_needed and not is_defined}
        return needs, {name for name, is_defined, _ in entries if is_defined}
    return set(), set()


def _entries(elf: ELFFile) -> Iterator[tuple[str, bool, bool]]:
    """The name of each dynamic symbol, whether the file defines it, and whether it must have it without a version."""
    versions = elf.get_section_by_name(".gnu.version")
    table = elf.get_section_by_name(".dynsym")
    for index, symbol in enumerate(table.iter_symbols() if isinstance(table, SymbolTableSection) else ()):
        version = versions.get_symbol(index)["ndx"] if isinstance(versions, GNUVerSymSection) else 0
        is_strong = symbol["st_info"]["bind"] == "STB_GLOBAL"
        yield symbol.name, symbol["st_shndx"] != "SHN_UNDEF", is_strong and version in _UNVERSIONED


@cache
def _is_of_glibc(name: str) -> bool:
    return bool(name) and any(hasattr(library, name) for library in _libraries())


@cache
def _libraries() -> list[ctypes.CDLL]:
    libraries = []
    for name in _LIBRARIES:
        # Newer releases of glibc have all of them in one file; musl has none.
        with suppress(OSError):
            libraries.append(ctypes.CDLL(name))
    return libraries
