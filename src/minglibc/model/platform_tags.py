"""The C library version in a platform tag (PEP 600, 656)."""

import re
from functools import lru_cache
from itertools import product

from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.limits import MAX_TAGS
from minglibc.model.targets import LEGACY_NAMES, Cap, GlibcVersion, MuslVersion

FOREIGN_PLATFORMS = ("win", "macosx", "android", "ios", "pyodide", "emscripten", "wasi", "freebsd", "cygwin", "mingw")
_LONGEST_FIRST = sorted(ARCHITECTURES, key=len, reverse=True)
# PEP 600 and 656; bounded, because tags of installed distributions are not validated.
# Compiled on first use: the target's own tags are compared as they are.
_PERENNIAL = r"(many|musl)linux_([0-9]{1,4})_([0-9]{1,4})_."


def needed_libc(platform: str) -> Cap | None:
    """The oldest C library that a manylinux or musllinux tag is for; None for other tags."""
    if perennial := re.match(_PERENNIAL, platform):
        version = int(perennial[2]), int(perennial[3])
        return MuslVersion(*version) if perennial[1] == "musl" else GlibcVersion(*version)
    name = platform.partition("_")[0]
    return next((GlibcVersion(2, minor) for minor, legacy in LEGACY_NAMES.items() if legacy == name), None)


def architecture_of(platform: str) -> str:
    """The architecture at the end of a Linux tag; empty if it is unknown."""
    return next((name for name in _LONGEST_FIRST if platform.endswith(f"_{name}")), "")


def lowest_libcs(tag_set: str) -> dict[str, Cap]:
    """The oldest version of each C library, by name, that a compressed tag set is for."""
    lowest: dict[str, Cap] = {}
    for platform in tag_set.rsplit("-", 1)[-1].split("."):
        needs = needed_libc(platform)
        if needs is not None:
            lowest[needs.libc] = min(needs, lowest.get(needs.libc, needs))
    return lowest


@lru_cache(maxsize=1 << 14)
def libcs_of(tag_set: str) -> frozenset[Cap]:
    """Every C library version in a compressed tag set."""
    return frozenset(needs for platform in tag_set.rpartition("-")[2].split(".") if (needs := needed_libc(platform)))


@lru_cache(maxsize=1 << 10)
def expand_tags(tag_set: str) -> tuple[str, ...]:
    """The single tags of a compressed tag set (PEP 425); the text itself if it is not one or has too many."""
    parts = [part.split(".") for part in tag_set.split("-")]
    if len(parts) != 3 or len(parts[0]) * len(parts[1]) * len(parts[2]) > MAX_TAGS:
        return (tag_set,)
    return tuple("-".join(tag) for tag in product(*parts))
