"""The lock as requirements.txt: one file a line with its one hash, so that every pip installs the same file."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minglibc.errors import SettingsError
from minglibc.lock.selection import target_name
from minglibc.model.artifacts import HASH_ALGORITHMS
from minglibc.model.targets import Target, shortest_marker

if TYPE_CHECKING:
    from packaging.pylock import Package

    from minglibc.lock.locked_files import LockedFile, Selection

Selections = Mapping[Target, "Selection"]


class Line(NamedTuple):
    """One file and where it is installed; *digest* is ``sha256:…``, an empty marker means everywhere."""

    name: str
    version: str
    url: str
    digest: str
    marker: str = ""
    from_source: bool = False

    @property
    def pinned(self) -> str:
        """The line for an index: the one hash makes pip choose this wheel among the release's files."""
        return f"{self.name}=={self.version}{self._where} --hash={self.digest}"

    @property
    def direct(self) -> str:
        """The line for the file itself."""
        # The pip of Python 3.6 reads a hash after a URL only as the URL's fragment; the newest does so too.
        return f"{self.name} @ {self.url.partition('#')[0]}#{self.digest.replace(':', '=')}{self._where}"

    @property
    def _where(self) -> str:
        # A URL ends at the blank before the semicolon, and nowhere else.
        return f" ; {self.marker}" if self.marker else ""


def check_distinct(targets: Sequence[Target]) -> None:
    """Markers tell *targets* apart; raises SettingsError where they don't."""
    alike: dict[tuple[int, str], list[str]] = {}
    for target in targets:
        alike.setdefault((target.python.minor, target.architecture), []).append(target_name(target))
    for names in alike.values():
        if len(names) > 1:
            raise SettingsError(
                f"no marker of requirements.txt distinguishes these targets: {', '.join(names)}",
                hint="choose one by --target",
            )


def lines(selections: Selections) -> list[Line]:
    """One line for each file, by name, with the marker of the targets that it serves; the targets are distinct."""
    served: dict[tuple[str, str], tuple[Package, LockedFile, list[Target]]] = {}
    for target, selected in selections.items():
        for package, file in selected:
            served.setdefault((package.name, file.filename), (package, file, []))[2].append(target)
    targets = list(selections)
    return [
        Line(
            name,
            str(package.version),
            file.url or "",
            digest_of(file),
            shortest_marker(serves, targets),
            not file.filename.endswith(".whl"),
        )
        for (name, _), (package, file, serves) in sorted(served.items(), key=lambda item: item[0])
    ]


def digest_of(file: "LockedFile") -> str:
    """The hash of *file* that is written down, ``sha256:…``."""
    return next(f"{name}:{file.hashes[name]}" for name in HASH_ALGORITHMS if name in file.hashes)


def dumps(selections: Selections, *, index: bool = False) -> str:
    """The text of requirements.txt: direct URLs, or names and versions for an *index*."""
    entries = lines(selections)
    names = ", ".join(target_name(target) for target in selections)
    sources = list(dict.fromkeys(line.name for line in entries if line.from_source))
    header = [
        "# Made by minglibc from pylock.toml: don't edit it, `minglibc export` creates it again.",
        f"# For {names}; each line is a {'file' if sources else 'wheel'} that is compatible with the cap.",
    ]
    if sources:
        header.append(
            f"# pip builds {', '.join(sources)} from source, and what that needs is the building machine's glibc."
        )
    header.append("--only-binary :all:" if index and not sources else "--require-hashes")
    body = [line.pinned if index else line.direct for line in entries]
    return "".join(f"{line}\n" for line in [*header, *body])
