"""What a source distribution with dynamic metadata probably requires, as its author's own build had it."""

import re
from collections.abc import Iterator

from minglibc.build.sdist import SourceArchive
from minglibc.model.core_metadata import CoreMetadata, parse_metadata

_EGG_INFO = re.compile(r"(?:.+/)?[^/]+\.egg-info/requires\.txt")


def estimate(source: SourceArchive, name: str, version: str) -> CoreMetadata:
    """The requirements in PKG-INFO, or those that setuptools writes beside it; good for hints, never for a lock."""
    try:
        metadata = parse_metadata(source.pkg_info())
    except ValueError:
        metadata = CoreMetadata(name, version)
    if metadata.requires_dist:
        return metadata
    return metadata._replace(requires_dist=tuple(_requirements(source.text(_EGG_INFO))))


def _requirements(text: str) -> Iterator[str]:
    """The requirements of a requires.txt, whose sections are ``[extra]``, ``[:marker]`` or ``[extra:marker]``."""
    extra, marker = "", ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
        elif line and not line.startswith("#"):
            conditions = [f"({marker})"] if marker else []
            conditions += [f'extra == "{extra}"'] if extra else []
            yield f"{line} ; {' and '.join(conditions)}" if conditions else line
