"""Writes small, reproducible ELF files for any architecture that need any symbol versions."""

from collections.abc import Iterable, Mapping
from struct import pack
from typing import NamedTuple

# A symbol that each version of glibc introduced.
FIRST_SYMBOL = {
    "GLIBC_2.2.5": "printf",
    "GLIBC_2.3": "__ctype_b_loc",
    "GLIBC_2.4": "__stack_chk_fail",
    "GLIBC_2.7": "__isoc99_sscanf",
    "GLIBC_2.14": "memcpy",
    "GLIBC_2.15": "posix_spawn",
    "GLIBC_2.17": "clock_gettime",
    "GLIBC_2.18": "__cxa_thread_atexit_impl",
    "GLIBC_2.25": "getrandom",
    "GLIBC_2.27": "memfd_create",
    "GLIBC_2.28": "fcntl64",
    "GLIBC_2.30": "gettid",
    "GLIBC_2.32": "__libc_single_threaded",
    "GLIBC_2.33": "stat64",
    "GLIBC_2.34": "pthread_create",
    "GLIBC_2.35": "_dl_find_object",
    "GLIBC_2.36": "arc4random",
    "GLIBC_2.38": "strlcpy",
}
DT_RELR_VERSION = "GLIBC_ABI_DT_RELR"

PT_NULL, PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_GNU_STACK = 0, 1, 2, 3, 4, 0x6474E551
ET_EXEC, ET_DYN = 2, 3
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 1, 4, 5, 6, 10, 11, 14
DT_RUNPATH, DT_RELRSZ, DT_RELR, DT_RELRENT = 29, 35, 36, 37
DT_VERSYM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
VER_FLG_WEAK = 2
PAGE = 0x10000  # loaders reject segments aligned to less than a page; 64 KiB is the largest page size


class Machine(NamedTuple):
    """The ELF format of an architecture."""

    number: int
    bits: int
    order: str
    flags: int
    loader: str


MACHINES = {
    "x86_64": Machine(62, 64, "<", 0, "/lib64/ld-linux-x86-64.so.2"),
    "i686": Machine(3, 32, "<", 0, "/lib/ld-linux.so.2"),
    "aarch64": Machine(183, 64, "<", 0, "/lib/ld-linux-aarch64.so.1"),
    "armv7l": Machine(40, 32, "<", 0x05000400, "/lib/ld-linux-armhf.so.3"),
    "ppc64": Machine(21, 64, ">", 1, "/lib64/ld64.so.1"),
    "ppc64le": Machine(21, 64, "<", 2, "/lib64/ld64.so.2"),
    "s390x": Machine(22, 64, ">", 0, "/lib/ld64.so.1"),
    "riscv64": Machine(243, 64, "<", 5, "/lib/ld-linux-riscv64-lp64d.so.1"),
    "loongarch64": Machine(258, 64, "<", 0x43, "/lib64/ld-linux-loongarch-lp64d.so.1"),
}


def elf(
    machine: str = "x86_64",
    *,
    needs: Mapping[str, Iterable[str]] | None = None,
    needed: Iterable[str] = (),
    soname: str | None = None,
    symbols: Mapping[str, Iterable[str]] | None = None,
    weak: Iterable[str] = (),
    executable: bool = False,
    static: bool = False,
    interpreter: str | None = None,
    bits: int | None = None,
    section_headers: bool = False,
    relr: bool = False,
    rpath: str | None = None,
    stack: int | None = 6,
    cpu_bits: int = 0,
    split: str = "",
    only_half: bool = False,
) -> bytes:
    """An ELF file for *machine* that needs the symbol versions *needs* of each library, and the libraries *needed*.

    *symbols* names what each version is needed for (FIRST_SYMBOL otherwise); *weak* lists the versions that may be
    missing. The default is a shared object that needs GLIBC_2.17 of libc.so.6; *executable* gives it the loader of its
    architecture (or *interpreter*), *static* leaves out everything dynamic, *section_headers* adds the section headers
    that readelf and auditwheel need. *stack* are the flags of PT_GNU_STACK, or None to omit it; *cpu_bits* the levels of
    x86-64 in GNU_PROPERTY_X86_ISA_1_NEEDED; *split* the part in whose middle one PT_LOAD ends and the next begins, unless *only_half* omits that one.
    """
    needs = {"libc.so.6": ("GLIBC_2.17",)} if needs is None else needs
    versions = {library: list(names) for library, names in needs.items()}
    needed = [*needed]
    # With musl these relocations have no symbol version.
    if relr and not any("musl" in library for library in needed):
        versions.setdefault("libc.so.6", []).append(DT_RELR_VERSION)
    writer = _Writer(MACHINES[machine], bits or MACHINES[machine].bits, stack, split, only_half=only_half)
    if cpu_bits:
        writer.add_cpu(cpu_bits)
    if not static:
        writer.add_dynamic(versions, needed, symbols or {}, set(weak), soname=soname, rpath=rpath, relr=relr)
    loader = interpreter or (MACHINES[machine].loader if executable and not static else None)
    return writer.file(executable=executable, interpreter=loader, section_headers=section_headers)


class _Strings:
    """A string table that grows as names are asked for."""

    def __init__(self) -> None:
        self.data = b"\0"

    def __call__(self, name: str) -> int:
        encoded = name.encode() + b"\0"
        at = self.data.find(b"\0" + encoded)
        if at >= 0:
            return at + 1
        self.data += encoded
        return len(self.data) - len(encoded)


def _hash(name: str) -> int:
    """The hash of a symbol or version name (System V ABI)."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return value


class _Writer:
    """The parts of one file; addresses are file offsets, so one LOAD segment maps the whole of it."""

    def __init__(self, machine: Machine, bits: int, stack: int | None, split: str, *, only_half: bool) -> None:
        self.stack, self.split, self.only_half = stack, split, only_half
        self.machine, self.wide, self.order = machine, bits == 64, machine.order
        self.word = "Q" if self.wide else "I"
        self.parts: dict[str, bytes] = {}
        self.tags: list[tuple[int, int | str]] = []  # a value, or the part whose address is the value
        self.verneed_count = 0

    def pack(self, layout: str, *values: int) -> bytes:
        return pack(self.order + layout, *values)

    def add_cpu(self, levels: int) -> None:
        """Write the note that requires *levels* of x86-64, after a property that is ignored."""
        width = 8 if self.wide else 4
        properties = [
            self.pack("III", kind, 4, bits) + bytes(width - 4) for kind, bits in ((0xC0000002, 3), (0xC0008002, levels))
        ]
        content = b"".join(properties)
        self.parts[".note.gnu.property"] = self.pack("III", 4, len(content), 5) + b"GNU\0" + content

    def add_dynamic(
        self,
        versions: Mapping[str, Iterable[str]],
        needed: list[str],
        symbols: Mapping[str, Iterable[str]],
        weak: set[str],
        *,
        soname: str | None,
        rpath: str | None,
        relr: bool,
    ) -> None:
        """Write the tables that PT_DYNAMIC refers to."""
        strings = _Strings()
        libraries = dict.fromkeys([*needed, *versions])
        self.tags += [(DT_NEEDED, strings(library)) for library in libraries]
        self.tags += [(DT_SONAME, strings(soname))] if soname else []
        self.tags += [(DT_RUNPATH, strings(rpath))] if rpath else []
        self.parts[".dynsym"] = self._symbol(0)
        self.parts[".gnu.version"] = self.pack("H", 0)
        count = 1
        entries, index = [], 2
        for library, names in versions.items():
            auxiliaries = []
            for version in names:
                flags = VER_FLG_WEAK if version in weak else 0
                auxiliaries.append((_hash(version), flags, index, strings(version)))
                default = (FIRST_SYMBOL[version],) if version in FIRST_SYMBOL else ()
                for symbol in symbols.get(version, default):
                    self.parts[".dynsym"] += self._symbol(strings(symbol), weak=bool(flags))
                    self.parts[".gnu.version"] += self.pack("H", index)
                    count += 1
                index += 1
            if auxiliaries:
                entries.append((strings(library), auxiliaries))
        # Only s390x has 64-bit words in DT_HASH. All symbols are in one bucket.
        word = "Q" if self.machine.number == 22 and self.wide else "I"
        chain = [0, *range(2, count), 0][:count]
        self.parts[".hash"] = self.pack(f"{3 + count}{word}", 1, count, 1 if count > 1 else 0, *chain)
        self.parts[".gnu.version_r"] = self._verneed(entries)
        self.verneed_count = len(entries)
        self.parts[".dynstr"] = strings.data
        self.tags += [
            (DT_HASH, ".hash"),
            (DT_STRTAB, ".dynstr"),
            (DT_SYMTAB, ".dynsym"),
            (DT_STRSZ, len(strings.data)),
            (DT_SYMENT, len(self._symbol(0))),
        ]
        if relr:
            self.tags += [(DT_RELR, ".dynstr"), (DT_RELRSZ, 0), (DT_RELRENT, 8 if self.wide else 4)]
        if entries:
            self.tags += [
                (DT_VERSYM, ".gnu.version"),
                (DT_VERNEED, ".gnu.version_r"),
                (DT_VERNEEDNUM, len(entries)),
            ]

    def _symbol(self, name: int, *, weak: bool = False) -> bytes:
        info = 0 if name == 0 else 0x22 if weak else 0x12  # STB_WEAK or STB_GLOBAL, STT_FUNC; undefined
        if self.wide:
            return self.pack("IBBHQQ", name, info, 0, 0, 0, 0)
        return self.pack("IIIBBH", name, 0, 0, info, 0, 0)

    def _verneed(self, entries: list[tuple[int, list[tuple[int, int, int, int]]]]) -> bytes:
        data = b""
        for library, auxiliaries in entries:
            following = 16 + 16 * len(auxiliaries) if library != entries[-1][0] else 0
            data += self.pack("HHIII", 1, len(auxiliaries), library, 16, following)
            for position, auxiliary in enumerate(auxiliaries, 1):
                data += self.pack("IHHII", *auxiliary, 16 if position < len(auxiliaries) else 0)
        return data

    def file(self, *, executable: bool, interpreter: str | None, section_headers: bool) -> bytes:
        """The finished bytes."""
        if interpreter:
            self.parts[".interp"] = interpreter.encode() + b"\0"
        dynamic_size = (len(self.tags) + 1) * (16 if self.wide else 8) if self.tags else 0
        header_size, segment_size, section_size = (64, 56, 64) if self.wide else (52, 32, 40)
        has_note = ".note.gnu.property" in self.parts
        segment_count = 1 + sum(map(bool, (self.tags, interpreter, has_note, self.split, self.stack is not None)))
        at = header_size + segment_count * segment_size
        addresses: dict[str, int] = {}
        body = b""
        for name, data in self.parts.items():
            body += bytes(-(at + len(body)) % 8)
            addresses[name] = at + len(body)
            body += data
        if dynamic_size:
            body += bytes(-(at + len(body)) % 8)
            addresses[".dynamic"] = at + len(body)
            body += self._dynamic(addresses)
        sections = b""
        section_table, section_count = 0, 0
        if section_headers:
            sections, section_count, names = self._sections(addresses, at + len(body), dynamic_size)
            body += names
            body += bytes(-(at + len(body)) % 8)
            section_table = at + len(body)
        end = at + len(body)
        segments = self._segments(addresses, end, dynamic_size, interpreter)
        kind = ET_EXEC if executable and not self.tags else ET_DYN
        ident = b"\x7fELF" + bytes([2 if self.wide else 1, 1 if self.order == "<" else 2, 1]) + bytes(9)
        header = ident + self.pack(
            f"HHI{self.word * 3}IHHHHHH",
            kind,
            self.machine.number,
            1,
            at if executable else 0,
            header_size,
            section_table,
            self.machine.flags,
            header_size,
            segment_size,
            segment_count,
            section_size,
            section_count,
            max(0, section_count - 1),
        )
        return header + segments + body + sections

    def _dynamic(self, addresses: dict[str, int]) -> bytes:
        values = [(tag, addresses[value] if isinstance(value, str) else value) for tag, value in self.tags]
        return b"".join(self.pack(self.word * 2, tag, value) for tag, value in [*values, (0, 0)])

    def _segments(self, addresses: dict[str, int], end: int, dynamic_size: int, interpreter: str | None) -> bytes:
        # The kernel requires PT_INTERP before PT_LOAD; loaders write to PT_DYNAMIC; without PT_GNU_STACK glibc requires
        # an executable stack, which newer kernels and glibc versions reject.
        segments = []
        if interpreter:
            segments.append((PT_INTERP, 4, addresses[".interp"], len(interpreter) + 1, 1))
        if self.split:
            middle = (
                addresses[self.split] + (dynamic_size if self.split == ".dynamic" else len(self.parts[self.split])) // 2
            )
            segments.append((PT_LOAD, 6, 0, middle, PAGE))
            # As the last segment's page is mapped completely, a file may end without another one.
            segments.append((PT_NULL, 0, 0, 0, 1) if self.only_half else (PT_LOAD, 6, middle, end - middle, PAGE))
        else:
            segments.append((PT_LOAD, 6, 0, end, PAGE))
        if note := self.parts.get(".note.gnu.property"):
            segments.append((PT_NOTE, 4, addresses[".note.gnu.property"], len(note), 8 if self.wide else 4))
        if dynamic_size:
            segments.append((PT_DYNAMIC, 6, addresses[".dynamic"], dynamic_size, 8))
        if self.stack is not None:
            segments.append((PT_GNU_STACK, self.stack, 0, 0, 16))
        return b"".join(self._segment(*segment) for segment in segments)

    def _segment(self, kind: int, flags: int, at: int, size: int, align: int) -> bytes:
        if self.wide:
            return self.pack("IIQQQQQQ", kind, flags, at, at, at, size, size, align)
        return self.pack("IIIIIIII", kind, at, at, at, size, size, flags, align)

    def _sections(self, addresses: dict[str, int], at: int, dynamic_size: int) -> tuple[bytes, int, bytes]:
        """The section header table, the number of its entries, and the section names."""
        # Type, the part that sh_link names, entry size.
        kinds = {
            ".dynsym": (11, ".dynstr", 24 if self.wide else 16),
            ".gnu.version": (0x6FFFFFFF, ".dynsym", 2),
            ".hash": (5, ".dynsym", 4),
            ".gnu.version_r": (0x6FFFFFFE, ".dynstr", 0),
            ".dynstr": (3, "", 0),
            ".interp": (1, "", 0),
            ".note.gnu.property": (7, "", 0),
            ".dynamic": (6, ".dynstr", 16 if self.wide else 8),
        }
        names = _Strings()
        order = ["", *addresses]
        table = self._section(0, 0, 0, 0)
        for name, address in addresses.items():
            kind, link, entry = kinds[name]
            size = dynamic_size if name == ".dynamic" else len(self.parts[name])
            info = {".gnu.version_r": self.verneed_count, ".dynsym": 1}.get(name, 0)
            table += self._section(names(name), kind, address, size, link=order.index(link), info=info, entry=entry)
        shstrtab = names(".shstrtab")
        table += self._section(shstrtab, 3, at, len(names.data))
        return table, len(order) + 1, names.data

    def _section(
        self, name: int, kind: int, at: int, size: int, *, link: int = 0, info: int = 0, entry: int = 0
    ) -> bytes:
        flags = 2 if kind else 0  # SHF_ALLOC
        values = (name, kind, flags, at, at, size, link, info, 8 if kind else 0, entry)
        return self.pack(f"II{self.word * 4}II{self.word * 2}", *values)
