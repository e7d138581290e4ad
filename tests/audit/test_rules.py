"""Binaries held against the cap."""

import random
import struct
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.audit import rules as audit_module
from minglibc.audit.elf import ElfFile, read_elf
from minglibc.audit.policies import glibc_of, lowest_policy, policy_at
from minglibc.audit.rules import (
    Binary,
    Finding,
    Foreign,
    Kind,
    Tally,
    Unreadable,
    audit,
    highest_glibc,
    misfit,
    read_binary,
    tally,
    wheel_binaries,
)
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion
from tests.support.elves import MACHINES, elf

CAP = GlibcVersion(2, 17)
CAPS = st.builds(GlibcVersion, st.just(2), st.integers(5, 43))
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(60)
FAT_MACH_O = b"\xca\xfe\xba\xbe" + (2).to_bytes(4, "big") + bytes(60)
JAVA_CLASS = b"\xca\xfe\xba\xbe" + (52).to_bytes(4, "big") + bytes(60)


def binary(data: bytes, path: str = "pkg/_x.so", distribution: str = "pkg") -> Binary:
    """What a wheel's file with these bytes is."""
    found = read_binary(distribution, path, BytesIO(data))
    assert found
    return found


def findings(*files: bytes | Binary, cap: Cap = CAP, architecture: str = "x86_64") -> list[Finding]:
    """What an audit of *files* finds."""
    return audit([file if isinstance(file, Binary) else binary(file) for file in files], [architecture], cap)


def kinds(*files: bytes | Binary, cap: Cap = CAP, architecture: str = "x86_64") -> list[Kind]:
    """The kinds of what an audit of *files* finds."""
    return [finding.kind for finding in findings(*files, cap=cap, architecture=architecture)]


def needs(library: str, *versions: str, machine: str = "x86_64") -> bytes:
    """A library that needs *versions* of another."""
    return elf(machine, needs={library: versions})


def test_an_honest_file_has_no_finding() -> None:
    """What needs exactly the cap is within it."""
    assert findings(needs("libc.so.6", "GLIBC_2.2.5", "GLIBC_2.17")) == []


def test_a_liar_is_named_with_its_symbol() -> None:
    """A finding says distribution, file, library, the highest version, the symbol, and the cap that would do."""
    data = elf(needs={"libm.so.6": ("GLIBC_2.29",), "libc.so.6": ("GLIBC_2.17", "GLIBC_2.34", "GLIBC_2.9")})
    expected = Finding(
        "pkg", "pkg/_x.so", Kind.GLIBC, "libc.so.6", "GLIBC_2.34", ("pthread_create",), GlibcVersion(2, 34)
    )
    assert [expected] == findings(data)
    assert str(expected) == "pkg: pkg/_x.so needs GLIBC_2.34 of libc.so.6 (pthread_create)"


def test_the_highest_version_is_the_highest_number() -> None:
    """Of many versions above the cap the finding names the newest: 2.10 is newer than 2.9."""
    found = findings(needs("libc.so.6", "GLIBC_2.9", "GLIBC_2.10", "GLIBC_2.7"), cap=GlibcVersion(2, 5))
    assert ["GLIBC_2.10"] == [finding.version for finding in found]


@pytest.mark.parametrize(
    "library", ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"]
)
def test_every_part_of_glibc_counts(library: str) -> None:
    """A version of any of glibc's libraries is held against the cap, and none of them is a missing library."""
    assert kinds(needs(library, "GLIBC_2.18")) == [Kind.GLIBC]
    assert kinds(needs(library, "GLIBC_2.17")) == []


@pytest.mark.parametrize("machine", MACHINES)
def test_every_architecture_is_held(machine: str) -> None:
    """The same need is a finding on each architecture, and only when that architecture is asked for."""
    data = needs("libc.so.6", "GLIBC_2.99", machine=machine)
    other = "i686" if machine != "i686" else "x86_64"
    assert kinds(data, cap=GlibcVersion(2, 41), architecture=machine) == [Kind.GLIBC]
    assert kinds(data, cap=GlibcVersion(2, 41), architecture=other) == []


def test_programs_count() -> None:
    """A bundled program is held against the cap as a library is."""
    assert kinds(elf(needs={"libc.so.6": ("GLIBC_2.28",)}, executable=True)) == [Kind.GLIBC]


def test_static_programs_need_nothing() -> None:
    """A static program has no finding at any cap."""
    assert kinds(elf(executable=True, static=True), cap=GlibcVersion(2, 5)) == []


def test_weak_needs_are_no_findings() -> None:
    """A version that the loader goes on without is not held against a file."""
    data = elf(needs={"libc.so.6": ("GLIBC_2.34",)}, weak=["GLIBC_2.34"])
    assert kinds(data) == []
    assert highest_glibc(read_elf(BytesIO(data))) is None


def test_relative_relocations_need_2_36() -> None:
    """GLIBC_ABI_DT_RELR is 2.36, though it has no number."""
    assert [GlibcVersion(2, 36)] == [finding.lowest_cap for finding in findings(elf(relr=True))]
    assert findings(elf(relr=True), cap=GlibcVersion(2, 36)) == []


def test_unknown_features_are_above_every_cap() -> None:
    """A glibc feature that nobody here has heard of is a finding whatever the cap, with no cap that would do."""
    found = findings(needs("libc.so.6", "GLIBC_ABI_SOMETHING"), cap=GlibcVersion(2, 43))
    assert [(finding.kind, finding.lowest_cap) for finding in found] == [(Kind.GLIBC, None)]


@given(CAPS)
def test_private_symbols_are_never_right(cap: GlibcVersion) -> None:
    """GLIBC_PRIVATE is a finding whatever the cap."""
    assert kinds(needs("libc.so.6", "GLIBC_2.2.5", "GLIBC_PRIVATE"), cap=cap) == [Kind.PRIVATE]


@pytest.mark.parametrize(
    ("library", "version", "kind", "lowest"),
    [
        ("libstdc++.so.6", "GLIBCXX_3.4.20", Kind.LIBSTDCXX, 24),
        ("libstdc++.so.6", "GLIBCXX_3.4.30", Kind.LIBSTDCXX, 35),
        ("libstdc++.so.6", "CXXABI_1.3.9", Kind.LIBSTDCXX, 24),
        ("libstdc++.so.6", "CXXABI_FLOAT128", Kind.LIBSTDCXX, 24),
        ("libgcc_s.so.1", "GCC_7.0.0", Kind.LIBGCC, 27),
        ("libz.so.1", "ZLIB_1.2.9", Kind.LIBRARY_VERSION, 27),
        ("libstdc++.so.6", "GLIBCXX_9.9", Kind.LIBSTDCXX, None),
    ],
)
def test_compiler_libraries_age_with_the_machine(library: str, version: str, kind: Kind, lowest: int | None) -> None:
    """An old glibc comes with an old libstdc++: what its policy lacks is a finding, up to the policy that has it."""
    expected = GlibcVersion(2, lowest) if lowest else None
    assert [(kind, expected)] == [(finding.kind, finding.lowest_cap) for finding in findings(needs(library, version))]
    if expected:
        assert kinds(needs(library, version), cap=expected) == []


def test_libraries_that_come_along_bring_their_versions() -> None:
    """A newer libstdc++ inside the wheel serves its own files, not those of other distributions."""
    user = needs("libstdc++.so.6", "GLIBCXX_3.4.30")
    brought = binary(elf(soname="libstdc++.so.6"), "pkg.libs/libstdc++.so.6.0.30")
    assert kinds(user, brought) == []
    assert kinds(user, Binary("other", brought.path, brought.content)) == [Kind.LIBSTDCXX]
    assert kinds(user, Binary("", "lib/libstdc++.so.6", brought.content)) == []


def test_libraries_from_nowhere_are_findings() -> None:
    """A needed library is on the policy's list, comes along with some distribution, or is a finding."""
    user = elf(needed=["libz.so.1", "libfoo-1a2b.so.3", "libpython3.9.so.1.0"])
    found = findings(user, binary(elf(), "foo.libs/libfoo-1a2b.so.3", "foo"))
    assert [(finding.kind, finding.library) for finding in found] == [(Kind.LIBRARY, "libpython3.9.so.1.0")]
    assert kinds(elf(needed=["libfoo.so.3"]), binary(elf("i686"), "foo.libs/libfoo.so.3")) == [Kind.LIBRARY]


def test_lists_of_libraries_grow_with_the_cap() -> None:
    """Libexpat is on every machine from glibc 2.12 on, not before."""
    data = elf(needs={}, needed=["libexpat.so.1"])
    assert kinds(data, cap=GlibcVersion(2, 11)) == [Kind.LIBRARY]
    assert kinds(data, cap=GlibcVersion(2, 12)) == []


def test_a_loader_of_its_own_is_a_finding() -> None:
    """A program linked on Nix asks for a loader that other machines don't have."""
    data = elf(executable=True, interpreter="/nix/store/0-glibc/lib/ld-linux-x86-64.so.2")
    assert kinds(data) == [Kind.LIBRARY]


ON_MUSL = MuslVersion(1, 2)
ALPINE = "libc.musl-x86_64.so.1"


@pytest.mark.parametrize(
    "data",
    [
        elf(needs={}, needed=[ALPINE]),
        elf(needs={}, needed=["libc.so", "libz.so.1"]),
        elf(needs={}, needed=[ALPINE], relr=True),
        elf(needs={}, executable=True, interpreter="/lib/ld-musl-x86_64.so.1"),
        elf(executable=True, static=True),
        elf(needs={"libgcc_s.so.1": ["GCC_3.0"]}, needed=[ALPINE], soname="libgcc_s.so.1"),
    ],
    ids=["Alpine's name", "musl's own", "packed relocations", "program", "static program", "brought along"],
)
def test_an_honest_file_for_musl_has_no_finding(data: bytes) -> None:
    """musl itself and libz are there; what a wheel brings along may have versions of its own."""
    assert [] == findings(data, cap=ON_MUSL)
    assert "" == misfit(read_elf(BytesIO(data)), ON_MUSL)


@pytest.mark.parametrize(
    ("data", "library"),
    [
        (elf(), "libc.so.6"),
        (elf(needs={}, needed=["libc.so.6"]), "libc.so.6"),
        (elf(needs={}, needed=["ld-linux-x86-64.so.2"]), "ld-linux-x86-64.so.2"),
        (elf(needs={"libm.so.6": ["GLIBC_2.29"]}), "GLIBC_2.29"),
        (elf(needs={}, executable=True), "ld-linux-x86-64.so.2"),
    ],
)
def test_a_file_for_glibc_is_no_file_for_musl(data: bytes, library: str) -> None:
    """glibc's loader, its library by name, or any version of its symbols: no machine with musl has them."""
    expected = Finding("pkg", "pkg/_x.so", Kind.LINKED_GLIBC, library)
    assert [expected] == findings(data, cap=ON_MUSL)
    assert f"pkg: pkg/_x.so is linked with glibc ({library}), which no machine with musl has" == str(expected)
    assert "is linked with glibc" == misfit(read_elf(BytesIO(data)), ON_MUSL)


def test_what_a_machine_with_musl_need_not_have() -> None:
    """Alpine brings neither GCC's runtime nor any other library, and a loader from elsewhere is not there either."""
    needs_runtime = elf(needs={}, needed=[ALPINE, "libstdc++.so.6", "libgcc_s.so.1"])
    assert ["libstdc++.so.6", "libgcc_s.so.1"] == [found.library for found in findings(needs_runtime, cap=ON_MUSL)]
    assert [Kind.LIBRARY] * 2 == kinds(needs_runtime, cap=ON_MUSL)
    assert [Kind.LIBRARY] == kinds(elf(needs={}, executable=True, interpreter="/nix/ld-musl-x86_64.so.1"), cap=ON_MUSL)


def test_a_file_for_musl_is_no_file_for_glibc() -> None:
    """The other way round, the words for sync are as short."""
    assert "is linked with musl" == misfit(read_elf(BytesIO(elf(needs={}, needed=[ALPINE]))), CAP)
    assert "needs glibc 2.28, the cap is 2.17" == misfit(read_elf(BytesIO(needs("libc.so.6", "GLIBC_2.28"))), CAP)
    assert "" == misfit(read_elf(BytesIO(elf())), CAP)


def test_musl_is_a_finding_of_its_own() -> None:
    """A program for musl's loader, or a library that needs musl's libc, doesn't run on glibc."""
    program = elf(executable=True, needs={}, interpreter="/lib/ld-musl-x86_64.so.1")
    library = elf(needs={}, needed=["libc.musl-x86_64.so.1"])
    assert kinds(program) == [Kind.MUSL]
    assert kinds(library) == [Kind.MUSL]


def test_unreadable_files_are_findings() -> None:
    """What begins as an ELF file and goes on as none is named, with the reason."""
    (found,) = findings(binary(elf()[:100]))
    assert (found.kind, "not a whole ELF file" in str(found)) == (Kind.UNREADABLE, True)


def test_foreign_files_are_counted_and_left_alone() -> None:
    """Binaries of other systems and architectures are no findings and are counted."""
    files = [
        binary(MACH_O),
        binary(FAT_MACH_O),
        binary(b"MZ" + bytes(80)),
        binary(needs("libc.so.6", "GLIBC_2.99", machine="aarch64")),
        binary(elf(executable=True, static=True)),
        binary(elf()),
        binary(elf()[:70]),
    ]
    assert Tally(held=2, static=1, foreign=4, unreadable=1) == tally(files, ["x86_64"])
    assert kinds(*files) == [Kind.UNREADABLE]


@pytest.mark.parametrize("data", [b"", b"print()\n", JAVA_CLASS, b"\x7fEL", b"/* GNU ld script */"])
def test_other_files_are_no_binaries(data: bytes) -> None:
    """Scripts, texts and Java classes are nothing that a loader takes."""
    assert read_binary("pkg", "pkg/file", BytesIO(data)) is None


# Wheels


def wheel(**members: bytes) -> bytes:
    """An archive of *members*."""
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        archive.writestr(ZipInfo("pkg/"), b"")
        for name, data in members.items():
            archive.writestr(name, data, ZIP_DEFLATED)
    return stream.getvalue()


def in_wheel(data: bytes) -> dict[str, ElfFile | Foreign | Unreadable]:
    """The binaries in an archive, by path."""
    with ZipFile(BytesIO(data)) as archive:
        return {binary.path: binary.content for binary in wheel_binaries("pkg", archive)}


@pytest.fixture(params=["in memory", "unpacked twice"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read a member: small ones whole, large ones as they come out of the archive."""
    if request.param != "in memory":
        monkeypatch.setattr(audit_module, "_READ_WHOLE", 0)
    return str(request.param)


def test_binaries_are_found_anywhere_in_a_wheel(reading: str) -> None:
    """Libraries and programs are found by their first bytes, whatever their names."""
    padding = random.Random(0).randbytes(1 << 18)
    data = wheel(
        **{
            "pkg/_x.so": elf() + padding,
            "pkg-1.data/scripts/tool": elf(executable=True) + padding,
            "pkg/mac.dylib": MACH_O,
            "pkg/__init__.py": b"",
            "pkg/not.so": b"INPUT(libc.so.6)",
        }
    )
    expected = {
        "pkg/_x.so": read_elf(BytesIO(elf())),
        "pkg-1.data/scripts/tool": read_elf(BytesIO(elf(executable=True))),
        "pkg/mac.dylib": Foreign("macOS"),
    }
    assert expected == in_wheel(data)


def test_real_needs_are_read_out_of_a_compressed_member(reading: str) -> None:
    """The versions are the same, in memory or as they come out of the archive."""
    data = elf(needs={"libc.so.6": ("GLIBC_2.34",)}, rpath="$ORIGIN")
    assert {"x": read_elf(BytesIO(data))} == in_wheel(wheel(x=data))


def test_damaged_members_are_unreadable_not_fatal() -> None:
    """A member whose checksum is wrong is named; the others are read all the same."""
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("bad.so", elf() + b"tail")
        archive.writestr("good.so", elf())
    found = in_wheel(stream.getvalue().replace(b"tail", b"tale"))
    assert (isinstance(found["bad.so"], Unreadable), isinstance(found["good.so"], ElfFile)) == (True, True)


def test_members_that_claim_too_much_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member above the bound is named and not read."""
    monkeypatch.setattr(audit_module, "_LARGEST_MEMBER", 1000)
    found = in_wheel(wheel(bomb=elf() + bytes(1 << 20)))["bomb"]
    assert (isinstance(found, Unreadable), f"{len(elf()) + (1 << 20)} bytes" in str(found)) == (True, True)


def test_encrypted_and_unknown_members_are_unreadable() -> None:
    """A member that this Python can't unpack is named."""
    for offset, value in ((6, 1), (8, 97)):  # the encryption flag; a method that nobody has
        data = bytearray(wheel(x=elf()))
        local, central = data.rindex(b"PK\x03\x04"), data.rindex(b"PK\x01\x02")
        for at in (local + offset, central + offset + 2):
            struct.pack_into("<H", data, at, value)
        assert isinstance(in_wheel(bytes(data))["x"], Unreadable)


# Laws and the table of facts

VERSIONS = st.sampled_from(
    [
        *((library, f"GLIBC_2.{minor}") for library in ("libc.so.6", "libm.so.6") for minor in range(2, 43)),
        *(("libstdc++.so.6", f"GLIBCXX_3.4.{patch}") for patch in range(35)),
        *(("libstdc++.so.6", f"CXXABI_1.3.{patch}") for patch in range(1, 17)),
        *(("libgcc_s.so.1", f"GCC_{version}") for version in ("3.0", "4.2.0", "4.8.0", "7.0.0", "12.0.0", "14.0.0")),
        ("libz.so.1", "ZLIB_1.2.9"),
        ("libexpat.so.1", "EXPAT_1"),
        ("libc.so.6", "GLIBC_PRIVATE"),
    ]
)


@given(st.lists(VERSIONS, max_size=6), CAPS, CAPS, st.sampled_from(sorted(MACHINES)))
def test_raising_the_cap_only_removes_findings(
    versions: list[tuple[str, str]], one: GlibcVersion, other: GlibcVersion, machine: str
) -> None:
    """What is a finding at a cap is a finding at every lower one."""
    wanted: dict[str, list[str]] = {}
    for library, version in versions:
        wanted.setdefault(library, []).append(version)
    data = elf(machine, needs=wanted)
    low, high = sorted([one, other])
    assert set(findings(data, cap=high, architecture=machine)) <= set(findings(data, cap=low, architecture=machine))


@given(VERSIONS, CAPS, st.sampled_from(sorted(MACHINES)))
def test_the_lowest_cap_is_the_one_at_which_a_finding_goes(
    need: tuple[str, str], cap: GlibcVersion, machine: str
) -> None:
    """A finding's lowest cap would really do, and is really needed."""
    library, version = need
    data = elf(machine, needs={library: [version]})
    for finding in findings(data, cap=cap, architecture=machine):
        if finding.version and finding.lowest_cap:
            assert cap < finding.lowest_cap
            assert findings(data, cap=finding.lowest_cap, architecture=machine) == []


def test_the_policy_is_the_newest_at_or_below_the_cap() -> None:
    """A cap between two policies takes the older one's word; one above all takes the newest's."""
    assert [
        policy_at(GlibcVersion(2, minor), "x86_64").glibc.minor for minor in (5, 12, 17, 23, 25, 27, 28, 30, 43)
    ] == [5, 12, 17, 17, 24, 27, 28, 28, 41]


@pytest.mark.parametrize(
    ("architecture", "version", "lowest"),
    [
        ("x86_64", "GLIBCXX_3.4.8", 5),
        ("x86_64", "GLIBCXX_3.4.24", 27),
        ("aarch64", "GLIBCXX_3.4.24", 26),
        ("ppc64le", "GLIBCXX_LDBL_3.4.29", 34),
        ("armv7l", "CXXABI_ARM_1.3.3", 12),
        ("x86_64", "CXXABI_TM_1", 17),
        ("x86_64", "LIBATOMIC_1.0", 24),
        ("i686", "LIBATOMIC_1.0", 17),
        ("x86_64", "ZLIB_1.2.2.4", 12),
        ("x86_64", "ZLIB_1.2.12", 37),
        ("i686", "ZLIB_1.2.12", 36),
        ("x86_64", "OPENSSL_3.0.0", 5),
    ],
)
def test_known_versions_have_known_policies(architecture: str, version: str, lowest: int) -> None:
    """The table says of each version which policy is the first to have it; prefixes without rules are always in."""
    assert GlibcVersion(2, lowest) == lowest_policy(version, architecture)


def test_aarch64_has_2_18_from_2_17_on() -> None:
    """GLIBC_2.18 was brought back to aarch64's glibc 2.17, and to no other's."""
    assert GlibcVersion(2, 17) == glibc_of("GLIBC_2.18", "aarch64")
    assert GlibcVersion(2, 18) == glibc_of("GLIBC_2.18", "x86_64")
