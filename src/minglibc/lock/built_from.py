"""What the lock records of wheels that minglibc built: their source, their builder, and the libraries in them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from packaging.pylock import Package


class BuiltFrom(NamedTuple):
    """A built wheel by its file name, the source distribution and its hash (``sha256:…``), and the builder."""

    wheel: str
    source: str
    hash: str
    builder: str
    grafted: tuple[str, ...] = ()
    """The shared libraries of the build machine that were copied into the wheel."""

    @property
    def table(self) -> dict[str, Any]:
        """Its table in the lock."""
        algorithm, _, digest = self.hash.partition(":")
        table: dict[str, Any] = {
            "wheel": self.wheel,
            "source": self.source,
            "hashes": {algorithm: digest},
            "builder": self.builder,
        }
        return {**table, "grafted": list(self.grafted)} if self.grafted else table


def tool_table(filenames: Iterable[str], built: Mapping[str, BuiltFrom]) -> dict[str, Any]:
    """The ``tool`` table of a package with these files; empty where none of them was built."""
    tables = [built[filename].table for filename in sorted(filenames) if filename in built]
    return {"tool": {"minglibc": {"built": tables}}} if tables else {}


def built_from(package: "Package") -> dict[str, BuiltFrom]:
    """What a package of a lock records of its built wheels, by their file names; entries of another form are ignored."""
    own = (package.tool or {}).get("minglibc")
    tables = own.get("built") if isinstance(own, Mapping) else None
    entries = [_parsed(table) for table in tables] if isinstance(tables, list) else []
    return {entry.wheel: entry for entry in entries if entry is not None}


def _parsed(table: object) -> BuiltFrom | None:
    if not isinstance(table, Mapping):
        return None
    hashes, grafted = table.get("hashes"), table.get("grafted", [])
    if not isinstance(hashes, Mapping) or len(hashes) != 1 or not isinstance(grafted, list):
        return None
    ((algorithm, digest),) = hashes.items()
    values = [table.get("wheel"), table.get("source"), f"{algorithm}:{digest}", table.get("builder")]
    texts = [*values, *grafted]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        return None
    return BuiltFrom(*values, tuple(grafted))  # type: ignore[call-arg, arg-type]
