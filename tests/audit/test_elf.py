"""Reading ELF files as loaders do."""

import contextlib
import ctypes
import os
import platform
import struct
import sysconfig
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.audit.elf import DT_RELR_VERSION, ElfFile, MalformedElf, Need, read_elf
from minglibc.audit.rules import highest_glibc
from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.targets import GlibcVersion
from tests.support.elves import DT_RELR, DT_RUNPATH, DT_VERNEEDNUM, MACHINES, elf

only_x86_64_glibc = pytest.mark.skipif(
    platform.machine() != "x86_64" or "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="loads x86_64 glibc files"
)
REAL = sorted(Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so"))
TWO = {"libc.so.6": ("GLIBC_2.17", "GLIBC_2.34"), "libstdc++.so.6": ("GLIBCXX_3.4.21",)}


def read(data: bytes) -> ElfFile:
    """The needs of *data*."""
    return read_elf(BytesIO(data))


def load(tmp_path: Path, data: bytes) -> None:
    """Load *data* with this machine's loader."""
    path = tmp_path / "made.so"
    path.write_bytes(data)
    ctypes.CDLL(str(path))


# Generated files


def test_generator_supports_every_architecture() -> None:
    """A test file can be generated for each architecture of a target."""
    assert set(ARCHITECTURES) == set(MACHINES)


@pytest.mark.parametrize("machine", MACHINES)
def test_generated_files_are_small_and_reproducible(machine: str) -> None:
    """The same arguments give the same few bytes."""
    assert elf(machine, needs=TWO, section_headers=True) == elf(machine, needs=TWO, section_headers=True)
    assert len(elf(machine, needs=TWO, section_headers=True)) < 1500


@only_x86_64_glibc
@pytest.mark.parametrize(
    "data",
    [elf(), elf(section_headers=True, soname="made.so", rpath="$ORIGIN"), elf(needs={}, needed=["libm.so.6"])],
    ids=["versions", "all", "no versions"],
)
def test_loader_accepts_available_versions(tmp_path: Path, data: bytes) -> None:
    """This machine's loader loads a generated file if it has the versions."""
    load(tmp_path, data)


@only_x86_64_glibc
def test_loader_rejects_newer_versions(tmp_path: Path) -> None:
    """This machine's loader rejects a generated file with the message that users see."""
    with pytest.raises(OSError, match=r"version `GLIBC_2\.99' not found"):
        load(tmp_path, elf(needs={"libc.so.6": ("GLIBC_2.17", "GLIBC_2.99")}))


@only_x86_64_glibc
def test_loader_ignores_weak_versions(tmp_path: Path) -> None:
    """A weak version may be missing; the loader loads the file."""
    load(tmp_path, elf(needs={"libc.so.6": ("GLIBC_2.17", "GLIBC_2.99")}, weak=["GLIBC_2.99"]))


# Reading them


@pytest.mark.parametrize("section_headers", [False, True])
@pytest.mark.parametrize("machine", MACHINES)
def test_all_needs_are_read(machine: str, *, section_headers: bool) -> None:
    """On each architecture, with and without section headers, everything that was written is read."""
    data = elf(
        machine,
        needs=TWO,
        needed=["libm.so.6"],
        soname="libmade.so.1",
        rpath="$ORIGIN/../made.libs:/opt/lib",
        symbols={"GLIBC_2.34": ("dlopen", "dlsym", "dlclose")},
        section_headers=section_headers,
    )
    expected = ElfFile(
        architecture=machine,
        system="Linux",
        executable=False,
        soname="libmade.so.1",
        needed=("libm.so.6", "libc.so.6", "libstdc++.so.6"),
        search=("$ORIGIN/../made.libs", "/opt/lib"),
        needs=(
            Need("libc.so.6", "GLIBC_2.17", ("clock_gettime",)),
            Need("libc.so.6", "GLIBC_2.34", ("dlopen", "dlsym")),
            Need("libstdc++.so.6", "GLIBCXX_3.4.21"),
        ),
    )
    assert expected == read(data)


def test_weak_needs_are_marked() -> None:
    """A version that the loader can ignore is kept and marked."""
    needs = read(elf(needs=TWO, weak=["GLIBC_2.34"])).needs
    assert [need.weak for need in needs] == [False, True, False]


@pytest.mark.parametrize("machine", MACHINES)
def test_executables_have_a_loader(machine: str) -> None:
    """An executable is distinguished from a library by its loader."""
    program = read(elf(machine, executable=True))
    assert (True, False, MACHINES[machine].loader) == (program.executable, program.static, program.interpreter)


def test_static_executables_have_no_needs() -> None:
    """An executable without a loader is static and has no needs."""
    program = read(elf(executable=True, static=True))
    assert (program.static, program.needed, program.needs) == (True, (), ())


def test_musl_is_recognised_by_loader_or_library() -> None:
    """Executables with musl's loader and libraries that need musl's libc are recognised."""
    assert read(elf(executable=True, needs={}, interpreter="/lib/ld-musl-x86_64.so.1")).musl
    assert read(elf(needs={}, needed=["libc.musl-x86_64.so.1"])).musl
    assert not read(elf()).musl


def test_relative_relocations_need_their_version() -> None:
    """DT_RELR needs glibc 2.36, whether or not the linker wrote the version."""
    declared, undeclared = elf(relr=True), bytearray(elf(relr=True))
    name = undeclared.index(DT_RELR_VERSION.encode())
    undeclared[name : name + len(DT_RELR_VERSION)] = b"GLIBC_2.0".ljust(len(DT_RELR_VERSION), b"\0")
    assert DT_RELR_VERSION in {need.version for need in read(declared).needs}
    assert Need("libc.so.6", DT_RELR_VERSION) == read(bytes(undeclared)).needs[-1]
    assert GlibcVersion(2, 36) == highest_glibc(read(bytes(undeclared)))


@pytest.mark.parametrize(
    ("machine", "bits", "architecture"),
    [("x86_64", 32, None), ("i686", 32, "i686"), ("aarch64", 32, None), ("s390x", 32, None)],
)
def test_other_word_sizes_are_other_architectures(machine: str, bits: int, architecture: str | None) -> None:
    """A 32-bit file for a 64-bit machine (x32, ILP32) has no architecture that wheels support."""
    assert architecture == read(elf(machine, bits=bits)).architecture


def test_soft_float_is_another_architecture() -> None:
    """A file for ARM without hardware floating point is not for armv7l."""
    data = bytearray(elf("armv7l"))
    struct.pack_into("<I", data, 36, 0x05000200)
    assert read(bytes(data)).architecture is None


def test_static_pie_is_recognised() -> None:
    """A static position-independent executable has no loader and is an executable."""
    program = read(patched(elf(needs={}, rpath="$ORIGIN"), DT_RUNPATH, {"tag": 0x6FFFFFFB, "value": 0x08000000}))
    assert (True, True) == (program.executable, program.static)


def test_debug_files_have_no_needs() -> None:
    """A file of debug information, whose dynamic section has no content, is read as having none."""
    data = bytearray(elf())
    struct.pack_into("<QQ", data, 64 + 56 + 32, 0, 0)  # the sizes in the second program header, PT_DYNAMIC
    assert ((), ()) == (read(bytes(data)).needed, read(bytes(data)).needs)


def test_hidden_versions_have_their_symbols() -> None:
    """The highest bit of a version's index marks it as hidden and is not part of the index."""
    data = elf()
    at = data.index(struct.pack("<HHI", 0, 2, 1 + len("libc.so.6") + 1))
    hidden = data[:at] + struct.pack("<HH", 0, 0x8002) + data[at + 4 :]
    assert read(data) == read(hidden)


def test_other_systems_are_recognised() -> None:
    """ELF files for FreeBSD and Android are not for Linux."""
    freebsd = bytearray(elf())
    freebsd[7] = 9
    assert read(bytes(freebsd)).system == "FREEBSD"
    assert read(elf(executable=True, interpreter="/system/bin/linker64")).system == "Android"
    assert read(elf(needs={"libc.so": ("LIBC",)})).system == "Android"


def test_escape_sequences_are_escaped() -> None:
    """Escape sequences in a name are shown as text."""
    assert read(elf(needs={}, needed=["\x1b[2Jlibc.so.6"])).needed == ("\\x1b[2Jlibc.so.6",)


@only_x86_64_glibc
@pytest.mark.parametrize("path", REAL[:40], ids=lambda path: path.name)
def test_modules_of_this_python_need_its_glibc_at_most(path: Path) -> None:
    """Compiled modules of the running Python need symbol versions, and none above the machine's glibc."""
    own = GlibcVersion.parse((os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc "))
    with path.open("rb") as stream:
        file = read_elf(stream)
    # Small modules need only symbols of Python itself.
    assert bool(file.needed) == bool(file.needs)
    assert GlibcVersion(2, 2) <= (highest_glibc(file) or own) <= own
    assert all(need.symbols for need in file.needs if need.version != DT_RELR_VERSION)


# Invalid files


def test_invalid_files() -> None:
    """Other formats and truncated files are MalformedElf."""
    for data in (b"", b"\x7fELF", b"#!/bin/sh\n", elf()[:63], elf()[:120], b"\x7fELF" + bytes(200)):
        with pytest.raises(MalformedElf, match="invalid ELF file"):
            read(data)


def test_excessive_needs() -> None:
    """More versions than any linker writes are an error before they fill the memory."""
    with pytest.raises(MalformedElf, match="not terminated"):
        read(elf(needs={"libc.so.6": [f"GLIBC_2.{minor}" for minor in range(5000)]}))


def patched(data: bytes, tag: int, change: dict[str, int]) -> bytes:
    """*data* (x86_64) with another tag or value in the entry *tag* of its dynamic section."""
    at = next(at for at in range(0, len(data) - 16, 8) if struct.unpack_from("<Q", data, at)[0] == tag)
    old = struct.unpack_from("<QQ", data, at)
    new = struct.pack("<QQ", change.get("tag", old[0]), change.get("value", old[1]))
    return data[:at] + new + data[at + 16 :]


def test_needs_are_read_despite_a_wrong_count() -> None:
    """Loaders ignore the number of version needs, and so does the reader."""
    assert read(elf(needs=TWO)).needs == read(patched(elf(needs=TWO), DT_VERNEEDNUM, {"value": 0})).needs


def test_addresses_outside_the_file() -> None:
    """A table at an address outside all segments is MalformedElf."""
    with pytest.raises(MalformedElf, match="no segment"):
        read(patched(elf(), 0x6FFFFFFE, {"value": 1 << 63}))


def test_names_outside_the_string_table() -> None:
    """A name that begins after its string table is MalformedElf."""
    with pytest.raises(MalformedElf, match="string table"):
        read(patched(elf(rpath="$ORIGIN"), DT_RUNPATH, {"value": 1 << 40}))


@pytest.mark.parametrize("machine", ["x86_64", "i686", "ppc64"])
@pytest.mark.parametrize("split", [".dynstr", ".dynamic", ".gnu.version_r", ".dynsym"])
def test_tables_may_be_in_adjoining_segments(machine: str, split: str) -> None:
    """patchelf adds segments, and a table may begin in one and end in the next."""
    whole, halves = (read(elf(machine, needs=TWO, needed=["libm.so.6"], split=name)) for name in ("", split))
    assert whole == halves


@pytest.mark.parametrize("split", [".dynstr", ".dynamic"])
def test_tables_may_be_in_the_rest_of_a_page(split: str) -> None:
    """Loaders map whole pages: what patchelf wrote behind a segment is there, too."""
    assert read(elf(needs=TWO)) == read(elf(needs=TWO, split=split, only_half=True))


@only_x86_64_glibc
def test_loader_maps_whole_pages(tmp_path: Path) -> None:
    """This machine's loader rejects such a file for a version that only the rest of the page names."""
    with pytest.raises(OSError, match=r"version `GLIBC_2\.99' not found"):
        load(tmp_path, elf(needs={"libc.so.6": ["GLIBC_2.99"]}, split=".dynamic", only_half=True))


def test_long_search_paths() -> None:
    """A search path may be longer than a file name."""
    assert ("/" * 5000,) == read(elf(rpath="/" * 5000)).search


# What they need of the machine


@pytest.mark.parametrize(("bits", "level"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (0xF, 4)])
@pytest.mark.parametrize("machine", ["x86_64", "i686"])
def test_the_processor_is_read_from_the_note(machine: str, bits: int, level: int) -> None:
    """The highest level in GNU_PROPERTY_X86_ISA_1_NEEDED counts, with and without section headers."""
    assert level == read(elf(machine, cpu_bits=bits)).cpu_level
    assert level == read(elf(machine, cpu_bits=bits, section_headers=True)).cpu_level


def test_other_architectures_have_no_levels() -> None:
    """The same property of another architecture means something else."""
    assert 0 == read(elf("aarch64", cpu_bits=4)).cpu_level


def test_damaged_notes_are_ignored() -> None:
    """Notes that end too early are ignored, as the loader does."""
    data = elf(cpu_bits=4)
    at = data.index(b"GNU\0\x02\0\0\xc0")
    for size in (12, 3):
        damaged = data[: at - 8] + struct.pack("<I", size) + data[at - 4 :]
        assert 0 == read(damaged).cpu_level


@only_x86_64_glibc
@pytest.mark.skipif("glibc 2.33" > (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="older loaders ignore the note")
def test_loader_rejects_files_for_newer_processors(tmp_path: Path) -> None:
    """This machine's loader reads the same note: no processor has a level after v4."""
    with pytest.raises(OSError, match="CPU ISA level is lower than required"):
        load(tmp_path, elf(cpu_bits=16))
    assert 5 == read(elf(cpu_bits=16)).cpu_level


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (elf(), False),
        (elf(stack=7), True),
        (elf(stack=None), True),  # the default of x86-64
        (elf("aarch64", stack=None), False),
        (elf("aarch64", stack=7), True),
        (elf(stack=7, executable=True), False),  # the kernel gives programs the stack that they ask for
        (elf(stack=7, static=True), False),
    ],
)
def test_executable_stacks(data: bytes, *, expected: bool) -> None:
    """A shared object requires an executable stack by its PT_GNU_STACK, or without one by its architecture's default."""
    assert expected == read(data).executable_stack


def test_rpath_is_used_without_runpath() -> None:
    """DT_RPATH has the folders if DT_RUNPATH is missing."""
    assert read(patched(elf(rpath="$ORIGIN"), DT_RUNPATH, {"tag": 15})).search == ("$ORIGIN",)


SEEDS = [
    *(elf(machine, needs=TWO, executable=True, rpath="$ORIGIN", section_headers=True) for machine in MACHINES),
    elf(relr=True, weak=["GLIBC_2.17"]),
    *(path.read_bytes()[: 1 << 16] for path in REAL[:2]),
    *(path.read_bytes() for path in REAL[2:4]),
]
NUMBERS = st.sampled_from([0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1, 16, 64, DT_RELR])


def read_damaged(data: st.DataObject) -> None:
    """Read one of SEEDS after overwriting and truncating it."""
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    near_the_head = st.integers(0, min(len(content) - 1, 1600))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(near_the_head | st.integers(0, len(content) - 1))
        order = data.draw(st.sampled_from(["little", "big"]))
        size = data.draw(st.sampled_from([1, 2, 4, 8]))
        value = data.draw(NUMBERS | st.integers(0, 1 << 12)) % (1 << 8 * size)
        content[at : at + size] = value.to_bytes(size, "little" if order == "little" else "big")
    cut = data.draw(st.none() | st.integers(0, len(content)))
    with contextlib.suppress(MalformedElf):
        assert isinstance(read(bytes(content[:cut])), ElfFile)


@pytest.mark.slow
@settings(max_examples=120)
@given(data=st.data())
def test_damaged_files_raise_only_malformed_elf(data: st.DataObject) -> None:
    """Whatever is overwritten or truncated, the result is an ElfFile or MalformedElf."""
    read_damaged(data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=2000)
@given(data=st.data())
def test_many_damaged_files_raise_only_malformed_elf(data: st.DataObject) -> None:
    """The same for many files, and without delay."""
    read_damaged(data)
