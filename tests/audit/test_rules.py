"""Checking binaries against the cap."""

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
    incompatibility,
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
    """A file of a wheel with the content *data*."""
    binary_file = read_binary(distribution, path, BytesIO(data))
    assert binary_file
    return binary_file


def findings(*files: bytes | Binary, cap: Cap = CAP, architecture: str = "x86_64") -> list[Finding]:
    """The findings of an audit of *files*."""
    return audit([file if isinstance(file, Binary) else binary(file) for file in files], [architecture], cap)


def kinds(*files: bytes | Binary, cap: Cap = CAP, architecture: str = "x86_64") -> list[Kind]:
    """The kinds of findings of an audit of *files*."""
    return [finding.kind for finding in findings(*files, cap=cap, architecture=architecture)]


def needs(library: str, *versions: str, machine: str = "x86_64") -> bytes:
    """A library that needs *versions* of another one."""
    return elf(machine, needs={library: versions})


def test_file_at_the_cap_has_no_finding() -> None:
    """A file that needs exactly the cap is accepted."""
    assert findings(needs("libc.so.6", "GLIBC_2.2.5", "GLIBC_2.17")) == []


def test_finding_names_the_symbol() -> None:
    """A finding has the distribution, file, library, highest version, symbol, and the lowest cap that provides it."""
    data = elf(needs={"libm.so.6": ("GLIBC_2.29",), "libc.so.6": ("GLIBC_2.17", "GLIBC_2.34", "GLIBC_2.9")})
    expected = Finding(
        "pkg", "pkg/_x.so", Kind.GLIBC, "libc.so.6", "GLIBC_2.34", ("pthread_create",), GlibcVersion(2, 34)
    )
    assert [expected] == findings(data)
    assert str(expected) == "pkg: pkg/_x.so needs GLIBC_2.34 of libc.so.6 (pthread_create)"


def test_versions_are_compared_as_numbers() -> None:
    """Of several versions above the cap the finding names the newest: 2.10 is newer than 2.9."""
    reported = findings(needs("libc.so.6", "GLIBC_2.9", "GLIBC_2.10", "GLIBC_2.7"), cap=GlibcVersion(2, 5))
    assert ["GLIBC_2.10"] == [finding.version for finding in reported]


@pytest.mark.parametrize(
    "library", ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"]
)
def test_all_libraries_of_glibc_are_checked(library: str) -> None:
    """Versions of all of glibc's libraries are checked, and none of them is a missing library."""
    assert kinds(needs(library, "GLIBC_2.18")) == [Kind.GLIBC]
    assert kinds(needs(library, "GLIBC_2.17")) == []


@pytest.mark.parametrize("machine", MACHINES)
def test_every_architecture_is_checked(machine: str) -> None:
    """The same need is a finding on each architecture, and only if that architecture is checked."""
    data = needs("libc.so.6", "GLIBC_2.99", machine=machine)
    other = "i686" if machine != "i686" else "x86_64"
    assert kinds(data, cap=GlibcVersion(2, 41), architecture=machine) == [Kind.GLIBC]
    assert kinds(data, cap=GlibcVersion(2, 41), architecture=other) == []


def test_executables_are_checked() -> None:
    """A bundled executable is checked as a library is."""
    assert kinds(elf(needs={"libc.so.6": ("GLIBC_2.28",)}, executable=True)) == [Kind.GLIBC]


def test_static_executables_have_no_findings() -> None:
    """A static executable has no finding at any cap."""
    assert kinds(elf(executable=True, static=True), cap=GlibcVersion(2, 5)) == []


def test_weak_needs_are_no_findings() -> None:
    """A version that the loader can ignore is not a finding."""
    data = elf(needs={"libc.so.6": ("GLIBC_2.34",)}, weak=["GLIBC_2.34"])
    assert kinds(data) == []
    assert highest_glibc(read_elf(BytesIO(data))) is None


def test_relative_relocations_need_2_36() -> None:
    """GLIBC_ABI_DT_RELR needs 2.36, although it has no number."""
    assert [GlibcVersion(2, 36)] == [finding.lowest_cap for finding in findings(elf(relr=True))]
    assert findings(elf(relr=True), cap=GlibcVersion(2, 36)) == []


def test_unknown_features_are_above_every_cap() -> None:
    """An unknown glibc feature is a finding at every cap, without a lowest cap."""
    reported = findings(needs("libc.so.6", "GLIBC_ABI_SOMETHING"), cap=GlibcVersion(2, 43))
    assert [(finding.kind, finding.lowest_cap) for finding in reported] == [(Kind.GLIBC, None)]


@given(CAPS)
def test_private_symbols_are_always_findings(cap: GlibcVersion) -> None:
    """GLIBC_PRIVATE is a finding at every cap."""
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
def test_compiler_libraries_follow_the_policies(library: str, version: str, kind: Kind, lowest: int | None) -> None:
    """An old glibc comes with an old libstdc++: versions that its policy lacks are findings."""
    expected = GlibcVersion(2, lowest) if lowest else None
    assert [(kind, expected)] == [(finding.kind, finding.lowest_cap) for finding in findings(needs(library, version))]
    if expected:
        assert kinds(needs(library, version), cap=expected) == []


def test_older_libstdcxx() -> None:
    """A libstdc++ that is older than the cap suggests limits its own versions, and a higher cap does not help."""

    def found(*versions: str, libstdcxx: str = "3.4.21") -> list[tuple[str, GlibcVersion | None]]:
        file = binary(needs("libstdc++.so.6", *versions))
        audited = audit([file], ["x86_64"], GlibcVersion(2, 28), libstdcxx=libstdcxx)
        return [(finding.version, finding.lowest_cap) for finding in audited]

    assert found("GLIBCXX_3.4.21", "CXXABI_1.3.9") == []
    assert found("GLIBCXX_3.4.22") == [("GLIBCXX_3.4.22", None)]
    assert found("CXXABI_1.3.10") == [("CXXABI_1.3.10", None)]
    assert found("GLIBCXX_3.4.29") == [("GLIBCXX_3.4.29", GlibcVersion(2, 34))]
    assert found("GLIBCXX_3.4.25", libstdcxx="3.4.33") == found("GLIBCXX_3.4.25", libstdcxx="") != []


def test_bundled_libraries_provide_their_versions() -> None:
    """A newer libstdc++ in the wheel provides versions to its own files, not to other distributions."""
    user = needs("libstdc++.so.6", "GLIBCXX_3.4.30")
    brought = binary(elf(soname="libstdc++.so.6"), "pkg.libs/libstdc++.so.6.0.30")
    assert kinds(user, brought) == []
    assert kinds(user, Binary("other", brought.path, brought.content)) == [Kind.LIBSTDCXX]
    assert kinds(user, Binary("", "lib/libstdc++.so.6", brought.content)) == []


def test_missing_libraries_are_findings() -> None:
    """A needed library is in the policy, in some distribution, or a finding."""
    user = elf(needed=["libz.so.1", "libfoo-1a2b.so.3", "libpython3.9.so.1.0"])
    reported = findings(user, binary(elf(), "foo.libs/libfoo-1a2b.so.3", "foo"))
    assert [(finding.kind, finding.library) for finding in reported] == [(Kind.LIBRARY, "libpython3.9.so.1.0")]
    assert kinds(elf(needed=["libfoo.so.3"]), binary(elf("i686"), "foo.libs/libfoo.so.3")) == [Kind.LIBRARY]


def test_lists_of_libraries_grow_with_the_cap() -> None:
    """libexpat is on every machine from glibc 2.12 on, not before."""
    data = elf(needs={}, needed=["libexpat.so.1"])
    assert kinds(data, cap=GlibcVersion(2, 11)) == [Kind.LIBRARY]
    assert kinds(data, cap=GlibcVersion(2, 12)) == []


def test_other_loader_is_a_finding() -> None:
    """A program linked on Nix needs a loader that other machines lack."""
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
def test_file_for_musl_has_no_finding(data: bytes) -> None:
    """musl itself and libz are available; bundled libraries may have versions."""
    assert [] == findings(data, cap=ON_MUSL)
    assert "" == incompatibility(read_elf(BytesIO(data)), ON_MUSL)


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
def test_file_for_glibc_is_a_finding_on_musl(data: bytes, library: str) -> None:
    """Machines with musl lack glibc's loader, its library and all versions of its symbols."""
    expected = Finding("pkg", "pkg/_x.so", Kind.LINKED_GLIBC, library)
    assert [expected] == findings(data, cap=ON_MUSL)
    assert f"pkg: pkg/_x.so is linked with glibc ({library}), which machines with musl lack" == str(expected)
    assert "is linked with glibc" == incompatibility(read_elf(BytesIO(data)), ON_MUSL)


def test_missing_libraries_on_musl() -> None:
    """Alpine has neither GCC's runtime nor other libraries or loaders."""
    needs_runtime = elf(needs={}, needed=[ALPINE, "libstdc++.so.6", "libgcc_s.so.1"])
    assert ["libstdc++.so.6", "libgcc_s.so.1"] == [finding.library for finding in findings(needs_runtime, cap=ON_MUSL)]
    assert [Kind.LIBRARY] * 2 == kinds(needs_runtime, cap=ON_MUSL)
    assert [Kind.LIBRARY] == kinds(elf(needs={}, executable=True, interpreter="/nix/ld-musl-x86_64.so.1"), cap=ON_MUSL)


def test_incompatibility_for_sync() -> None:
    """The short reasons that sync shows."""
    assert "is linked with musl" == incompatibility(read_elf(BytesIO(elf(needs={}, needed=[ALPINE]))), CAP)
    assert "needs glibc 2.28, the cap is 2.17" == incompatibility(
        read_elf(BytesIO(needs("libc.so.6", "GLIBC_2.28"))), CAP
    )
    assert "" == incompatibility(read_elf(BytesIO(elf())), CAP)


def test_file_for_musl_is_a_finding_on_glibc() -> None:
    """An executable with musl's loader, or a library that needs musl's libc, does not run on glibc."""
    program = elf(executable=True, needs={}, interpreter="/lib/ld-musl-x86_64.so.1")
    library = elf(needs={}, needed=["libc.musl-x86_64.so.1"])
    assert kinds(program) == [Kind.MUSL]
    assert kinds(library) == [Kind.MUSL]


def test_levels_of_the_processor() -> None:
    """A file that needs a newer processor is a finding unless the machines have it, at any cap."""
    data = elf(cpu_bits=4)
    for cap in (GlibcVersion(2, 17), GlibcVersion(2, 40)):
        (finding,) = audit([binary(data)], ["x86_64"], cap)
        assert (Kind.CPU, "x86-64-v3") == (finding.kind, finding.version)
        assert "needs a processor with x86-64-v3" in str(finding)
    assert [Kind.CPU] == [one.kind for one in audit([binary(data)], ["x86_64"], GlibcVersion(2, 17), "x86-64-v2")]
    assert [] == audit([binary(data)], ["x86_64"], GlibcVersion(2, 17), "x86-64-v3")


def test_executable_stacks_are_findings_at_every_cap() -> None:
    """glibc 2.41 and newer do not load such a library; musl ignores the flag."""
    for cap in (GlibcVersion(2, 17), GlibcVersion(2, 41)):
        (finding,) = audit([binary(elf(stack=7))], ["x86_64"], cap)
        assert (Kind.EXECUTABLE_STACK, None) == (finding.kind, finding.lowest_cap)
    data = elf(needs={}, needed=["libc.musl-x86_64.so.1"], stack=7)
    assert [] == audit([binary(data)], ["x86_64"], MuslVersion(1, 2))


def test_unreadable_files_are_findings() -> None:
    """A file that begins like an ELF file but is invalid is a finding with the reason."""
    (finding,) = findings(binary(elf()[:100]))
    assert (finding.kind, "invalid ELF file" in str(finding)) == (Kind.UNREADABLE, True)


def test_files_for_other_platforms_are_counted() -> None:
    """Binaries for other systems and architectures are counted and are not findings."""
    files = [
        binary(MACH_O),
        binary(FAT_MACH_O),
        binary(b"MZ" + bytes(80)),
        binary(needs("libc.so.6", "GLIBC_2.99", machine="aarch64")),
        binary(elf(executable=True, static=True)),
        binary(elf()),
        binary(elf()[:70]),
    ]
    assert Tally(checked=2, static=1, skipped=4, unreadable=1) == tally(files, ["x86_64"])
    assert kinds(*files) == [Kind.UNREADABLE]


@pytest.mark.parametrize("data", [b"", b"print()\n", JAVA_CLASS, b"\x7fEL", b"/* GNU ld script */"])
def test_other_files_are_not_binaries(data: bytes) -> None:
    """Scripts, texts and Java classes are not loaded by a loader."""
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
    """Both ways to read a member: small ones from memory, large ones from the archive."""
    if request.param != "in memory":
        monkeypatch.setattr(audit_module, "_READ_WHOLE", 0)
    return str(request.param)


def test_binaries_are_recognised_by_content(reading: str) -> None:
    """Libraries and executables are recognised by their first bytes, whatever their names."""
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


def test_compressed_members_are_read(reading: str) -> None:
    """The versions are the same, from memory or from the archive."""
    data = elf(needs={"libc.so.6": ("GLIBC_2.34",)}, rpath="$ORIGIN")
    assert {"x": read_elf(BytesIO(data))} == in_wheel(wheel(x=data))


def test_damaged_members_are_unreadable() -> None:
    """A member with a wrong checksum is reported; the others are read."""
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("bad.so", elf() + b"tail")
        archive.writestr("good.so", elf())
    binaries = in_wheel(stream.getvalue().replace(b"tail", b"tale"))
    assert (isinstance(binaries["bad.so"], Unreadable), isinstance(binaries["good.so"], ElfFile)) == (True, True)


def test_excessive_members_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member above the limit is reported and not read."""
    monkeypatch.setattr(audit_module, "_LARGEST_MEMBER", 1000)
    bomb_file = in_wheel(wheel(bomb=elf() + bytes(1 << 20)))["bomb"]
    assert (isinstance(bomb_file, Unreadable), f"{len(elf()) + (1 << 20)} bytes" in str(bomb_file)) == (True, True)


def test_encrypted_and_unknown_members_are_unreadable() -> None:
    """A member that can't be decompressed is reported."""
    for offset, value in ((6, 1), (8, 97)):  # the encryption flag; an unknown method
        data = bytearray(wheel(x=elf()))
        local, central = data.rindex(b"PK\x03\x04"), data.rindex(b"PK\x01\x02")
        for at in (local + offset, central + offset + 2):
            struct.pack_into("<H", data, at, value)
        assert isinstance(in_wheel(bytes(data))["x"], Unreadable)


# Properties and the table of policies

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
    """A finding at a cap is a finding at every lower one."""
    wanted: dict[str, list[str]] = {}
    for library, version in versions:
        wanted.setdefault(library, []).append(version)
    data = elf(machine, needs=wanted)
    low, high = sorted([one, other])
    assert set(findings(data, cap=high, architecture=machine)) <= set(findings(data, cap=low, architecture=machine))


@given(VERSIONS, CAPS, st.sampled_from(sorted(MACHINES)))
def test_lowest_cap_removes_the_finding(need: tuple[str, str], cap: GlibcVersion, machine: str) -> None:
    """At its lowest cap a finding disappears, and below it does not."""
    library, version = need
    data = elf(machine, needs={library: [version]})
    for finding in findings(data, cap=cap, architecture=machine):
        if finding.version and finding.lowest_cap:
            assert cap < finding.lowest_cap
            assert findings(data, cap=finding.lowest_cap, architecture=machine) == []


def test_the_policy_is_the_newest_at_or_below_the_cap() -> None:
    """A cap between two policies uses the older one; a cap above all uses the newest."""
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
    """The first policy of known versions; prefixes without rules are always allowed."""
    assert GlibcVersion(2, lowest) == lowest_policy(version, architecture)


def test_aarch64_has_2_18_from_2_17_on() -> None:
    """GLIBC_2.18 was backported to aarch64's glibc 2.17 only."""
    assert GlibcVersion(2, 17) == glibc_of("GLIBC_2.18", "aarch64")
    assert GlibcVersion(2, 18) == glibc_of("GLIBC_2.18", "x86_64")
