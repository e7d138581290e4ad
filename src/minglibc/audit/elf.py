"""Read from an ELF file what it needs from the machine that loads it: libraries and versions of their symbols."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, NoReturn

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

from minglibc.errors import MinglibcError
from minglibc.model.artifacts import printable
from minglibc.model.elf_identities import ARCHITECTURE_OF, ElfIdentity

MAGIC = b"\x7fELF"
DT_RELR_VERSION = "GLIBC_ABI_DT_RELR"

_GLIBC_LOADERS = {"ld64.so.1", "ld64.so.2"}
_ARM_SOFT_FLOAT = 0x200
_LINUX_ABIS = {"ELFOSABI_SYSV", "ELFOSABI_LINUX"}
_VER_FLG_WEAK = 2
_DF_1_PIE = 0x08000000
_PF_X = 1
# Architectures whose files need an executable stack unless PT_GNU_STACK says otherwise (glibc's DEFAULT_STACK_PERMS).
_EXECUTABLE_BY_DEFAULT = frozenset(("x86_64", "i686", "armv7l", "s390x", "riscv64"))
# The notes of the x86-64 psABI; the bits of ISA_1_NEEDED are the baseline, v2, v3 and v4.
_NT_GNU_PROPERTY_TYPE_0 = 5
_X86_ISA_1_NEEDED = 0xC0008002
_X86 = frozenset(("x86_64", "i686"))

# Limits for untrusted files; real ones stay far below.
_MAX_SEGMENTS = 1024
_MAX_TAGS = 4096
_MAX_VERSIONS = 4096
_MAX_SYMBOLS = 1 << 20
_MAX_NAME = 4096
_MAX_SEARCH = 1 << 16
_MAX_TABLE = 1 << 28
_MAX_NOTES = 1 << 16
# The smallest page of any architecture.
_PAGE = 4096
_EXAMPLES = 2


class MalformedElf(MinglibcError):
    """The file begins like an ELF file but is invalid."""


@dataclass(frozen=True, slots=True)
class Need:
    """A version of a library's symbols that a file needs, such as GLIBC_2.17 of libc.so.6."""

    library: str
    version: str
    symbols: tuple[str, ...] = ()
    """One or two of the symbols that need it."""
    weak: bool = False
    """The loader ignores it if it is missing."""


@dataclass(frozen=True, slots=True)
class ElfFile:
    """An ELF file, and what it needs from the machine that loads it."""

    architecture: str | None
    """Its name in manylinux tags; None for other machines."""
    system: str
    """``Linux``, or the name of another system."""
    executable: bool
    interpreter: str | None = None
    """The loader of an executable; None for static ones."""
    soname: str | None = None
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    """DT_RUNPATH's folders, or else DT_RPATH's."""
    needs: tuple[Need, ...] = ()
    cpu_level: int = 0
    """The level of x86-64 that its note requires, 1 to 4; 0 without such a note."""
    executable_stack: bool = False
    """Whether it is a shared object that requires an executable stack."""

    @property
    def static(self) -> bool:
        """Whether this is an executable without a loader."""
        return self.executable and self.interpreter is None

    @property
    def musl(self) -> bool:
        """Whether this is linked with musl; glibc's loader can't run such files."""
        has_loader = (self.interpreter or "").rpartition("/")[2].startswith("ld-musl")
        return has_loader or any(name == "libc.so" or name.startswith("libc.musl-") for name in self.needed)

    @property
    def relr(self) -> bool:
        """Whether its relocations are packed (DT_RELR); musl before 1.2.4 ignores them and then crashes."""
        return any(need.version == DT_RELR_VERSION for need in self.needs)

    @property
    def glibc(self) -> str:
        """The loader, library or symbol version that links this with glibc; empty if it is not linked with glibc."""
        loader = (self.interpreter or "").rpartition("/")[2]
        libraries = [name for name in (loader, *self.needed) if name == "libc.so.6" or _is_glibc_loader(name)]
        # Other prefixes belong to libraries that also exist for musl; DT_RELR's version may be inferred.
        versions = [need.version for need in self.needs if need.version.startswith("GLIBC_")]
        return next((name for name in [*libraries, *versions] if name != DT_RELR_VERSION), "")


def is_loader(name: str) -> bool:
    """Whether *name* is the loader of a C library, which files may list as a library; musl's loader is all of musl."""
    return _is_glibc_loader(name) or name.startswith(("libc.musl-", "ld-musl-"))


def _is_glibc_loader(name: str) -> bool:
    return name in _GLIBC_LOADERS or name.startswith("ld-linux")


def read_elf(stream: IO[bytes]) -> ElfFile:
    """The ELF file in the seekable *stream*, read as a loader does; raises only MalformedElf, whatever the content."""
    try:
        return _Reader(stream).elf_file()
    except (ELFError, struct.error) as error:
        raise MalformedElf(printable(f"invalid ELF file: {error}")) from error


def _malformed(reason: str) -> NoReturn:
    raise MalformedElf(f"invalid ELF file: {reason}")


@dataclass(frozen=True, slots=True)
class _Load:
    """A PT_LOAD segment, which maps addresses to offsets in the file."""

    address: int
    offset: int
    size: int


def _tail(segment: Mapping[str, int]) -> _Load:
    """The rest of the last page of a segment."""
    end = segment["p_vaddr"] + segment["p_filesz"]
    return _Load(end, segment["p_offset"] + segment["p_filesz"], -end % _PAGE)


class _Memory:
    """Maps the addresses of PT_LOAD segments to ranges of the file."""

    def __init__(self, loads: Iterable[_Load], tails: Iterable[_Load]) -> None:
        # Whole pages are mapped: the bytes after a segment are those that follow in the file, unless it has zeros there.
        self._loads = [*loads, *tails]

    def ranges(self, address: int, limit: int) -> Iterator[tuple[int, int]]:
        """Offset and size of each part of the file from *address*, up to *limit* bytes in adjoining segments."""
        end = address + limit
        while address < end:
            load = next((one for one in self._loads if one.address <= address < one.address + one.size), None)
            if load is None:
                return
            skip = address - load.address
            following = min((one.address - address for one in self._loads if one.address > address), default=end)
            size = min(load.size - skip, end - address, following)
            yield load.offset + skip, size
            address += size


class _Reader:
    """Reads few large blocks, mostly in order, so that the stream may be compressed.

    Like a loader it uses PT_DYNAMIC only: stripped files have no section headers, and loaders ignore them.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        head = self._read(0, 64)
        if not head.startswith(MAGIC):
            _malformed("it does not begin with the ELF magic number")
        elf = ELFFile(BytesIO(head))
        self._header = elf.header
        self._structs = elf.structs
        self._machine = int.from_bytes(head[18:20], "little" if elf.little_endian else "big")
        self._bits = elf.elfclass
        self._little_endian = elf.little_endian
        self._order = "<" if elf.little_endian else ">"
        self._segments = self._read_segments()
        loads = [segment for segment in self._segments if segment["p_type"] == "PT_LOAD"]
        self._memory = _Memory(
            (_Load(segment["p_vaddr"], segment["p_offset"], segment["p_filesz"]) for segment in loads),
            (_tail(segment) for segment in loads if segment["p_filesz"] == segment["p_memsz"]),
        )
        self._strings = b""

    def elf_file(self) -> ElfFile:
        """Read the file."""
        interpreter = self._interpreter()
        tags = list(self._tags())
        last = dict(tags)  # loaders use the last tag of each kind
        tables = self._tables(last)
        self._strings = tables.get("DT_STRTAB", b"")
        needed = tuple(self._string(value) for tag, value in tags if tag == "DT_NEEDED")
        needs = tuple(self._needs(tables))
        if "DT_RELR" in last and needed and not any(need.version == DT_RELR_VERSION for need in needs):
            # Old linkers wrote these relocations without this version; glibc before 2.36 ignores them.
            needs += (Need("libc.so.6", DT_RELR_VERSION),)
        search = last.get("DT_RUNPATH", last.get("DT_RPATH"))
        architecture, executable = self._architecture(), self._is_executable(interpreter, last)
        return ElfFile(
            architecture=architecture,
            system=self._system(interpreter, needs),
            executable=executable,
            interpreter=interpreter,
            soname=self._string(last["DT_SONAME"]) if "DT_SONAME" in last else None,
            needed=needed,
            search=() if search is None else tuple(self._string(search, _MAX_SEARCH).split(":")),
            needs=needs,
            cpu_level=self._cpu_level() if architecture in _X86 else 0,
            executable_stack=bool(tags) and not executable and self._has_executable_stack(architecture),
        )

    def _has_executable_stack(self, architecture: str | None) -> bool:
        flags = [segment["p_flags"] for segment in self._segments if segment["p_type"] == "PT_GNU_STACK"]
        return bool(flags[-1] & _PF_X) if flags else architecture in _EXECUTABLE_BY_DEFAULT

    def _cpu_level(self) -> int:
        """The highest level in GNU_PROPERTY_X86_ISA_1_NEEDED; 0 without it."""
        kinds = ("PT_GNU_PROPERTY", "PT_NOTE")
        # The same note is usually in segments of both kinds.
        segments = {
            (one["p_offset"], one["p_filesz"], one["p_align"]) for one in self._segments if one["p_type"] in kinds
        }
        alignment = self._bits // 8
        levels = [
            int.from_bytes(value[:4], "little").bit_length()
            for offset, size, align in sorted(segments)
            if align == alignment and size <= _MAX_NOTES
            for kind, value in _properties(self._read(offset, size), self._order, alignment)
            if kind == _X86_ISA_1_NEEDED
        ]
        return max(levels, default=0)

    def _architecture(self) -> str | None:
        name = ARCHITECTURE_OF.get(ElfIdentity(self._machine, self._bits, self._little_endian))
        soft_float = name == "armv7l" and self._header["e_flags"] & _ARM_SOFT_FLOAT
        return None if soft_float else name

    def _system(self, interpreter: str | None, needs: tuple[Need, ...]) -> str:
        abi = str(self._header["e_ident"]["EI_OSABI"])
        if abi not in _LINUX_ABIS:
            return abi.removeprefix("ELFOSABI_")
        # The symbols of Android's libc have the versions LIBC, LIBC_N, LIBC_O, …
        bionic = any(need.library == "libc.so" and need.version.startswith("LIBC") for need in needs)
        android = bionic or (interpreter or "").startswith("/system/")
        return "Android" if android else "Linux"

    def _is_executable(self, interpreter: str | None, tags: Mapping[object, int]) -> bool:
        if self._header["e_type"] == "ET_EXEC":
            return True
        pie = tags.get("DT_FLAGS_1", 0) & _DF_1_PIE
        return self._header["e_type"] == "ET_DYN" and bool(interpreter or pie)

    def _read(self, offset: int, size: int) -> bytes:
        """At most *size* bytes at *offset*; fewer at the end of the file."""
        if size > _MAX_TABLE or offset.bit_length() > 62:
            _malformed(f"{size} bytes at offset {offset} exceed the limits")
        self._stream.seek(offset)
        return self._stream.read(size)

    def _read_exactly(self, offset: int, size: int) -> bytes:
        data = self._read(offset, size)
        if len(data) < size:
            _malformed(f"it ends before byte {offset + size}")
        return data

    def _read_segments(self) -> list[Any]:
        count, size = self._header["e_phnum"], self._structs.Elf_Phdr.sizeof()
        if not count:
            return []
        if count > _MAX_SEGMENTS or self._header["e_phentsize"] != size:
            _malformed("its program headers are invalid")
        table = BytesIO(self._read_exactly(self._header["e_phoff"], count * size))
        return [struct_parse(self._structs.Elf_Phdr, table) for _ in range(count)]

    def _interpreter(self) -> str | None:
        for segment in self._segments:
            if segment["p_type"] == "PT_INTERP":
                if segment["p_filesz"] > _MAX_NAME:
                    _malformed("the name of its loader is too long")
                return _text(self._read_exactly(segment["p_offset"], segment["p_filesz"]).partition(b"\0")[0])
        return None

    def _tags(self) -> Iterator[tuple[object, int]]:
        """The entries of PT_DYNAMIC up to DT_NULL."""
        # Loaders use the address of the last PT_DYNAMIC that is not empty; debug files have empty ones.
        addresses = [
            segment["p_vaddr"]
            for segment in self._segments
            if segment["p_type"] == "PT_DYNAMIC" and segment["p_filesz"]
        ]
        if not addresses:
            return
        size = self._structs.Elf_Dyn.sizeof()
        table = self._read_memory(addresses[-1], _MAX_TAGS * size)
        stream = BytesIO(table)
        for _ in range(len(table) // size):
            entry = struct_parse(self._structs.Elf_Dyn, stream)
            if entry["d_tag"] == "DT_NULL":
                return
            yield entry["d_tag"], entry["d_val"]
        _malformed("its dynamic section is not terminated")

    def _ranges(self, address: int, limit: int) -> list[tuple[int, int]]:
        ranges = list(self._memory.ranges(address, limit))
        return ranges or _malformed(f"address {address:#x} is in no segment")

    def _read_memory(self, address: int, limit: int) -> bytes:
        return b"".join(self._read(offset, size) for offset, size in self._ranges(address, limit))

    def _tables(self, tags: Mapping[object, int]) -> dict[str, bytes]:
        """The tables that contain versions, each up to the next known table."""
        entry = self._structs.Elf_Sym.sizeof()
        largest = {
            "DT_STRTAB": tags.get("DT_STRSZ", _MAX_TABLE),
            "DT_SYMTAB": _MAX_SYMBOLS * entry,
            "DT_VERSYM": _MAX_SYMBOLS * 2,
            "DT_VERNEED": _MAX_VERSIONS * 64,
        }
        if "DT_VERNEED" not in tags:
            largest = {"DT_STRTAB": largest["DT_STRTAB"]}
        starts = sorted({tags[tag] for tag in (*largest, "DT_HASH", "DT_GNU_HASH") if tag in tags})
        ranges: list[tuple[int, int, str]] = []
        for tag in largest:
            if tag in tags:
                address = tags[tag]
                following = next((start - address for start in starts if start > address), _MAX_TABLE)
                # Strings may overlap other tables, and the needs have no declared end.
                bound = _MAX_TABLE if tag in {"DT_STRTAB", "DT_VERNEED"} else following
                ranges += [(*part, tag) for part in self._ranges(address, min(bound, largest[tag]))]
        # Read in the order of the file; the parts of a table are joined in the order of their addresses.
        parts = {(offset, size): self._read(offset, size) for offset, size, _ in sorted(ranges)}
        tables: dict[str, bytes] = {}
        for offset, size, tag in ranges:
            tables[tag] = tables.get(tag, b"") + parts[offset, size]
        return tables

    def _string(self, at: int, limit: int = _MAX_NAME) -> str:
        end = self._strings.find(b"\0", at, at + limit) if at < len(self._strings) else -1
        if end < 0:
            _malformed("a name is outside its string table")
        return _text(self._strings[at:end])

    def _needs(self, tables: Mapping[str, bytes]) -> Iterator[Need]:
        needs = list(self._version_needs(tables.get("DT_VERNEED", b"")))
        symbols = self._symbols({index for index, _, _, _ in needs}, tables) if needs else {}
        for index, library, version, weak in needs:
            yield Need(library, version, tuple(symbols.get(index, ())), weak)

    def _version_needs(self, table: bytes) -> Iterator[tuple[int, str, str, bool]]:
        """Index, library, version and weakness of each need, following the links until the first zero, as loaders do."""
        entry = 0
        count = 0
        while table:
            _, _, library, auxiliary, following = struct.unpack_from(f"{self._order}HHIII", table, entry)
            name = self._string(library)
            at = entry + auxiliary
            while True:
                _, flags, index, version, step = struct.unpack_from(f"{self._order}IHHII", table, at)
                yield index & 0x7FFF, name, self._string(version), bool(flags & _VER_FLG_WEAK)
                count += 1
                if count > _MAX_VERSIONS:
                    _malformed("its version needs are not terminated")
                if not step:
                    break
                at += step
            if not following:
                break
            entry += following

    def _symbols(self, indexes: set[int], tables: Mapping[str, bytes]) -> dict[int, list[str]]:
        """Up to two symbols for each of the version *indexes*."""
        layout = struct.Struct(self._order + ("IBBHQQ" if self._bits == 64 else "IIIBBH"))
        symbols, versions = tables.get("DT_SYMTAB", b""), tables.get("DT_VERSYM", b"")
        count = min(len(symbols) // layout.size, len(versions) // 2)
        examples: dict[int, list[str]] = {index: [] for index in indexes}
        for position, version in enumerate(struct.unpack_from(f"{self._order}{count}H", versions)):
            names = examples.get(version & 0x7FFF)
            if names is None or len(names) == _EXAMPLES:
                continue
            # Defined symbols count too: a program may copy data such as __libc_single_threaded.
            # Bytes after the last symbol may look like one; their name is usually outside the strings.
            name = layout.unpack_from(symbols, position * layout.size)[0]
            if 0 < name < len(self._strings):
                names.append(self._string(name))
        return examples


def _properties(notes: bytes, order: str, alignment: int) -> Iterator[tuple[int, bytes]]:
    """Type and value of each property in the notes of type NT_GNU_PROPERTY_TYPE_0; ends where they are invalid."""
    at = 0
    while at + 16 <= len(notes):
        name_size, size, kind = struct.unpack_from(f"{order}3I", notes, at)
        start = at + 12 + _aligned(name_size, 4)
        start = _aligned(start, alignment)
        if name_size == 4 and kind == _NT_GNU_PROPERTY_TYPE_0 and notes[at + 12 : at + 16] == b"GNU\0":
            properties, position = notes[start : start + size], 0
            while position + 8 <= len(properties):
                name, length = struct.unpack_from(f"{order}2I", properties, position)
                yield name, properties[position + 8 : position + 8 + length]
                position += 8 + _aligned(length, alignment)
        at = start + _aligned(size, alignment)


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _text(name: bytes) -> str:
    """*name* without control characters, for output on a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode()
