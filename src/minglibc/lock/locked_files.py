"""The files in a lock, and the selection of those that a target installs."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.model.targets import Target, compatible_tags

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock
    from packaging.tags import Tag


class LockedFolder(NamedTuple):
    """A source tree in a lock, with the attributes of a locked file; it has no hash and no URL."""

    path: str
    editable: bool = False
    url: None = None
    size: None = None
    upload_time: None = None
    hashes: Mapping[str, str] = {}

    @property
    def filename(self) -> str:
        """The path from the lock's folder."""
        return self.path


if TYPE_CHECKING:
    LockedFile = PackageWheel | PackageSdist | LockedFolder
    # What a target installs: each package with its one file.
    Selection = list[tuple[Package, LockedFile]]


def without_editable(file: "LockedFile") -> "LockedFile":
    """*file* as it is installed on another machine: a source tree is not editable."""
    return file._replace(editable=False) if isinstance(file, LockedFolder) else file


def version_of(package: "Package") -> str:
    """The version of a locked package; empty for a source tree, whose version can change."""
    return str(package.version or "")


@cache
def _tags(target: Target) -> "Sequence[Tag]":
    """The tags of *target*, cached because parsing its 900 tags takes 5 ms and a command selects several times."""
    from packaging.tags import parse_tag  # noqa: PLC0415  not needed to write a lock

    return [tag for text in compatible_tags(target, linux=True) for tag in parse_tag(text)]


def select(pylock: "Pylock", target: Target, *, extras: Iterable[str], groups: Iterable[str] | None) -> "Selection":
    """What *target* installs, as PEP 751 selects it; the default groups if *groups* is None."""
    from packaging.pylock import PackageDirectory, PackageSdist, PackageWheel  # noqa: PLC0415  not needed to write a lock

    environment: Any = target.environment
    selected = pylock.select(
        environment=environment,
        tags=_tags(target),
        extras=list(extras),
        dependency_groups=None if groups is None else list(groups),
    )
    selection: Selection = []
    for package, file in selected:
        if isinstance(file, PackageDirectory):
            selection.append((package, LockedFolder(file.path, bool(file.editable))))
        elif isinstance(file, PackageWheel | PackageSdist):
            selection.append((package, file))
    return selection
