"""The manylinux and musllinux policies: the libraries, and the versions of their symbols, that wheels may need."""

from typing import NamedTuple

from minglibc.model.targets import GlibcVersion

# PEP 513, 571 and 599; libexpat was added by glibc 2.12's policy and libmvec by 2.24's.
_FIRST_LIBRARIES = frozenset(
    {
        "libGL.so.1",
        "libICE.so.6",
        "libSM.so.6",
        "libX11.so.6",
        "libXext.so.6",
        "libXrender.so.1",
        "libanl.so.1",
        "libatomic.so.1",
        "libc.so.6",
        "libdl.so.2",
        "libgcc_s.so.1",
        "libglib-2.0.so.0",
        "libgobject-2.0.so.0",
        "libgthread-2.0.so.0",
        "libm.so.6",
        "libnsl.so.1",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libstdc++.so.6",
        "libutil.so.1",
        "libz.so.1",
    }
)
_LATER_LIBRARIES = {"libexpat.so.1": GlibcVersion(2, 12), "libmvec.so.1": GlibcVersion(2, 24)}

# The newest version of each prefix that every machine with this glibc has; only changes are listed. Versions that exist
# only for other architectures are harmless here.
_NEWEST: dict[int, dict[str, str]] = {
    5: {"CXXABI": "1.3.1", "GCC": "4.2.0", "GLIBCXX": "3.4.8"},
    12: {"CXXABI": "1.3.3", "GCC": "4.5.0", "GLIBCXX": "3.4.13", "ZLIB": "1.2.2.4"},
    17: {"CXXABI": "1.3.7", "GCC": "4.8.0", "GLIBCXX": "3.4.19", "ZLIB": "1.2.5.2", "LIBATOMIC": "1.0"},
    24: {"CXXABI": "1.3.10", "GLIBCXX": "3.4.22", "LIBATOMIC": "1.2"},
    26: {"CXXABI": "1.3.11", "GCC": "7.0.0", "GLIBCXX": "3.4.24", "ZLIB": "1.2.9"},
    27: {},
    28: {},
    31: {"CXXABI": "1.3.12", "GLIBCXX": "3.4.28"},
    34: {"CXXABI": "1.3.13", "GCC": "11.0", "GLIBCXX": "3.4.29"},
    35: {"GCC": "12.0.0", "GLIBCXX": "3.4.30"},
    36: {},
    37: {"ZLIB": "1.2.12"},
    38: {},
    39: {"CXXABI": "1.3.15", "GCC": "14.0.0", "GLIBCXX": "3.4.33"},
    40: {},
    41: {},
}
# Architectures that differ from the rest; "" means no version.
_EXCEPTIONS: dict[tuple[int, str], dict[str, str]] = {
    (12, "x86_64"): {"GCC": "4.3.0"},
    (17, "x86_64"): {"LIBATOMIC": ""},
    (17, "s390x"): {"LIBATOMIC": ""},
    (26, "x86_64"): {"CXXABI": "1.3.10", "GCC": "4.8.0", "GLIBCXX": "3.4.22", "ZLIB": "1.2.5.2"},
    (26, "aarch64"): {"ZLIB": "1.2.5.2"},
    (36, "i686"): {"ZLIB": "1.2.12"},
    (39, "loongarch64"): {"GLIBCXX": "3.4.32"},
}
# Versions without a number, and the first glibc whose policy has them.
_UNNUMBERED = {"CXXABI_TM_1": 17, "CXXABI_FLOAT128": 24}
# aarch64's glibc 2.17 (CentOS 7) has a backport of GLIBC_2.18.
_BACKPORTS = {("aarch64", GlibcVersion(2, 18)): GlibcVersion(2, 17)}
# glibc versions that name a feature, and the first glibc that has it.
_FEATURES = {"GLIBC_ABI_DT_RELR": GlibcVersion(2, 36)}

# The newest version of CXXABI in each libstdc++ by the last number of its GLIBCXX version, from GCC's history of its ABI
# (https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html); only changes are listed.
_CXXABI = {
    8: 1,
    10: 2,
    11: 3,
    14: 4,
    15: 5,
    17: 6,
    19: 7,
    20: 8,
    21: 9,
    22: 10,
    23: 11,
    26: 12,
    29: 13,
    31: 14,
    33: 15,
    34: 16,
}

GLIBC_PREFIX = "GLIBC"
# PEP 656 lists only musl itself; auditwheel's musllinux policies add zlib.
MUSL_LIBRARIES = frozenset({"libc.so", "libz.so.1"})


class Policy(NamedTuple):
    """What a wheel may need on every machine with at least this glibc."""

    glibc: GlibcVersion
    libraries: frozenset[str]
    newest: dict[str, str]
    """The newest allowed version of each prefix."""

    def allows(self, version: str) -> bool:
        """Whether the symbol *version*, such as GLIBCXX_3.4.21, may be needed; True for prefixes without rules."""
        if version in _UNNUMBERED:
            return self.glibc >= (2, _UNNUMBERED[version])
        prefix, _, rest = version.partition("_")
        if prefix not in _PREFIXES:
            return True
        number = _number(rest.rpartition("_")[2])  # GLIBCXX_LDBL_3.4.21 is as old as GLIBCXX_3.4.21
        newest = _number(self.newest.get(prefix, ""))
        return number is not None and newest is not None and number <= newest

    def provided_by(self, libstdcxx: str) -> bool:
        """Whether a machine whose libstdc++ has the symbol version *libstdcxx* has all versions of it that are allowed."""
        return (_number(libstdcxx) or ()) >= (_number(self.newest["GLIBCXX"]) or ())


POLICIES = tuple(GlibcVersion(2, minor) for minor in _NEWEST)
"""The glibc versions of the policies."""
_PREFIXES = frozenset(prefix for newest in _NEWEST.values() for prefix in newest)


def policy_at(cap: GlibcVersion, architecture: str) -> Policy:
    """The newest manylinux policy at or below *cap*."""
    newest: dict[str, str] = {}
    policy_minor = min(_NEWEST)
    exception: dict[str, str] = {}
    for minor, changes in _NEWEST.items():
        if minor > max(cap.minor, policy_minor):
            break
        policy_minor = minor
        newest |= changes
        exception = _EXCEPTIONS.get((minor, architecture), {})
    glibc = GlibcVersion(2, policy_minor)
    libraries = _FIRST_LIBRARIES | {name for name, first in _LATER_LIBRARIES.items() if first <= glibc}
    return Policy(glibc, libraries, newest | exception)


def with_libstdcxx(policy: Policy, version: str) -> Policy:
    """*policy* for machines whose libstdc++ has at most the symbol *version*, such as ``3.4.22``; unchanged where it is empty."""
    number = _number(version) if version else None
    if number is None or number >= (_number(policy.newest["GLIBCXX"]) or ()):
        return policy
    cxxabi = max((abi for last, abi in _CXXABI.items() if last <= number[-1]), default=0)
    return policy._replace(newest={**policy.newest, "GLIBCXX": version, "CXXABI": f"1.3.{cxxabi}"})


def lowest_policy(version: str, architecture: str) -> GlibcVersion | None:
    """The lowest cap whose policy allows the symbol *version*; None if no policy does."""
    for minor in _NEWEST:
        policy = policy_at(GlibcVersion(2, minor), architecture)
        if policy.allows(version):
            return policy.glibc
    return None


def glibc_of(version: str, architecture: str) -> GlibcVersion | None:
    """The oldest glibc that has the symbol *version* GLIBC_…; None if unknown."""
    if version in _FEATURES:
        return _FEATURES[version]
    number = _number(version.partition("_")[2])
    if number is None or number[0] != 2 or len(number) < 2:
        return None
    glibc = GlibcVersion(2, number[1])
    return _BACKPORTS.get((architecture, glibc), glibc)


def version_number(version: str) -> tuple[float, ...]:
    """A sort key for symbol versions of one prefix; versions without a number are the newest."""
    known = _FEATURES.get(version)
    return known or _number(version.rpartition("_")[2]) or (float("inf"),)


def _number(text: str) -> tuple[int, ...] | None:
    """``3.4.21`` as numbers; None for anything else."""
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    return tuple(map(int, parts))
