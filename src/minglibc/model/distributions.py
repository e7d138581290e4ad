"""Linux distributions by name, such as ``rhel-8`` or ``ubuntu-18.04``, and the C libraries of their releases."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from minglibc.model.distribution_table import TABLE

if TYPE_CHECKING:
    from minglibc.model.targets import Cap

# What an ID of os-release is also called.
_ALIASES = {
    "alma": "almalinux",
    "amazon": "amzn",
    "amazon-linux": "amzn",
    "amazonlinux": "amzn",
    "opensuse": "opensuse-leap",
    "oracle": "ol",
    "oraclelinux": "ol",
    "raspbian": "debian",
    "raspios": "debian",
    "redhat": "rhel",
    "rockylinux": "rocky",
    "sle": "sles",
    "suse": "sles",
}
_TITLES = {
    "almalinux": "AlmaLinux",
    "amzn": "Amazon Linux",
    "anolisos": "Anolis OS",
    "centos": "CentOS",
    "jetpack": "JetPack",
    "ol": "Oracle Linux",
    "opencloudos": "OpenCloudOS",
    "openeuler": "openEuler",
    "opensuse-leap": "openSUSE Leap",
    "rhel": "RHEL",
    "rocky": "Rocky Linux",
    "sles": "SLES",
}
# Those that messages name, the first with a version of glibc.
_WELL_KNOWN = ("rhel", "debian", "ubuntu", "amzn", "sles")
_NAME = re.compile(r"([a-z][a-z-]*[a-z])-?([0-9]+(?:\.[0-9]+)*)")
_LONGEST = 40


class Distribution(NamedTuple):
    """A release of a distribution."""

    id: str
    """ID of os-release(5), such as ``rhel``."""
    version: str
    """VERSION_ID of os-release(5), or its beginning where all minor releases have the same glibc."""
    glibc: str
    glibcxx: str
    """The newest version of libstdc++'s symbols, such as ``3.4.25``; empty if it is unknown."""
    end_of_life: str
    """The date, ``YYYY-MM-DD``; empty if it is unknown."""
    end_of_extended_support: str

    @property
    def name(self) -> str:
        """How settings name it: ``rhel-8``."""
        return f"{self.id}-{self.version}"

    def __str__(self) -> str:
        """How people name it: ``RHEL 8``."""
        return f"{_TITLES.get(self.id, self.id.capitalize())} {self.version}"


@cache
def distributions() -> Mapping[str, Distribution]:
    """All known releases by their names, the oldest of each distribution first."""
    rows = [[field.strip("-") for field in line.split()] for line in TABLE.splitlines()]
    known = [Distribution(*row) for row in rows]
    return {distribution.name: distribution for distribution in known}


def find_distribution(text: str) -> Distribution | None:
    """The release that *text* names: ``rhel-8``, ``rhel8``, ``RHEL 8``, ``rhel-8.6`` or ``ubuntu-18``.

    A major version alone is the oldest of its releases. None if it is unknown.
    """
    match = _match(text)
    if match is None:
        return None
    name, version = match
    known = distributions()
    if exact := known.get(f"{name}-{version}"):
        return exact
    major = version.partition(".")[0]
    if whole := known.get(f"{name}-{major}"):
        return whole
    minors = (one for one in known.values() if one.id == name and one.version.startswith(f"{version}."))
    return next(minors, None)


def with_distribution(cap: "Cap") -> str:
    """*cap* as people know it: ``glibc 2.28 (RHEL 8)``; without a well-known distribution, ``glibc 2.29``."""
    if cap.libc != "glibc":
        return cap.named
    names = {one.id: str(one) for one in reversed([*distributions().values()]) if one.glibc == str(cap)}
    known = next((names[name] for name in _WELL_KNOWN if name in names), "")
    return f"{cap.named} ({known})" if known else cap.named


def similar_names(text: str) -> list[str]:
    """The names of known releases that are most like *text*, for a message."""
    if len(text) > _LONGEST:
        return []
    match = _match(text)
    if match and (same := [one.name for one in distributions().values() if one.id == match[0]]):
        return same
    plain = "-".join(match) if match else text.lower()
    return get_close_matches(plain, list(distributions()), 3, 0.6)


def _match(text: str) -> tuple[str, str] | None:
    """The ID and the version in *text*."""
    match = _NAME.fullmatch(re.sub(r"[ _]", "-", text.strip().lower())) if len(text) <= _LONGEST else None
    return (_ALIASES.get(match[1], match[1]), match[2]) if match else None
