"""The fields of core metadata (PEP 566, 643) that a resolution needs."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from minglibc.model.artifacts import Artifact, printable


class CoreMetadata(NamedTuple):
    """The metadata of a wheel or source distribution."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()

    @classmethod
    def load(cls, fields: Any) -> Self | None:
        """The metadata whose *fields* were written as JSON; None if they are not such fields."""
        try:
            name, version, requires, python, extras = fields
            is_valid = isinstance(requires, list) and isinstance(extras, list)
            is_valid = is_valid and {str} == {*map(type, (name, version, python, *requires, *extras))}
        except (TypeError, ValueError):
            return None
        return cls(name, version, tuple(requires), python, tuple(extras)) if is_valid else None


class DynamicMetadata(ValueError):
    """A source distribution whose metadata is only known after a build (PEP 643)."""


# PEP 643: from this metadata version on, fields that are not dynamic are the same in every wheel built from the source.
_STATIC_SINCE = (2, 2)
# The largest real METADATA has some thousands.
_MAX_VALUES = 20_000
_RESOLVER_FIELDS = frozenset(("requires-dist", "requires-python", "provides-extra"))
_FIELDS = {"name": "name", "version": "version", "requires-python": "requires_python"}


def parse_metadata(text: str) -> CoreMetadata:
    """The fields of a METADATA file; raises ValueError if it has no name or version."""
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {"requires-dist": [], "provides-extra": []}
    for field, value in headers(text):
        if field in lists:
            lists[field].append(value)
            if len(lists[field]) > _MAX_VALUES:
                raise ValueError(f"its METADATA has more than {_MAX_VALUES} fields {field}")
        elif field in _FIELDS:
            fields.setdefault(_FIELDS[field], value)
    if not fields.get("name") or not fields.get("version"):
        raise ValueError("its METADATA has no Name or no Version")
    return CoreMetadata(
        **fields, requires_dist=tuple(lists["requires-dist"]), provides_extra=tuple(lists["provides-extra"])
    )


def parse_pkg_info(text: str) -> CoreMetadata | None:
    """The fields of a PKG-INFO file, if they are the same in every wheel built from the source (PEP 643); else None."""
    version, dynamic = "", set()
    for field, value in headers(text):
        if field == "metadata-version":
            version = value
        elif field == "dynamic":
            dynamic.add(value.lower())
    numbers = version.split(".")
    static = len(numbers) == 2 and all(number.isdecimal() and number.isascii() for number in numbers)
    if not static or (int(numbers[0]), int(numbers[1])) < _STATIC_SINCE or dynamic & _RESOLVER_FIELDS:
        return None
    return parse_metadata(text)


def headers(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a METADATA, PKG-INFO or WHEEL file up to the body, with names in lower case and values unfolded."""
    field, value = "", ""
    # str.splitlines() also splits at separators that may occur within a field, such as U+2028 in a Summary.
    lines = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    for line in lines.split("\n"):
        if line[:1] in {" ", "\t"} and field:
            value += " " + printable(line.strip())
            continue
        if field:
            yield field, value
        name, colon, rest = line.partition(":")
        if not colon:
            return  # the blank line before the description
        field, value = name.strip().lower(), printable(rest.strip())
    if field:
        yield field, value


def check_metadata(metadata: CoreMetadata, wheel: Artifact) -> str:
    """Why *metadata* can't be that of *wheel*; empty if it can."""
    # 10 ms in the process that fetches, which only parses metadata.
    from minglibc.model import versions  # noqa: PLC0415
    from minglibc.model.requirements import normalize_name  # noqa: PLC0415

    if normalize_name(metadata.name) != wheel.name:
        return f"its METADATA is of {metadata.name}"
    if metadata.version == wheel.version:
        return ""
    if versions.normalize(metadata.version) is None or versions.key(metadata.version) != versions.key(wheel.version):
        return f"its METADATA has version {metadata.version}"
    return ""
