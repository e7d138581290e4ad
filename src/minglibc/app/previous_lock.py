"""The lock that is about to be replaced: the versions that the new one prefers, and what the two are compared by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minglibc.app.reporter import Reporter
from minglibc.app.resolution import LockedVersions
from minglibc.errors import LockError, NewerLock
from minglibc.lock.changes import replaced_files, versions_of
from minglibc.lock.locked_files import version_of
from minglibc.lock.reader import Lock, loads
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target


class PreviousLock:
    """An existing lock that is valid."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that it was made for."""
        return self._lock.targets

    @property
    def versions(self) -> dict[str, list[str]]:
        """The versions of each package, as ``lock.changes`` compares them."""
        return versions_of(
            {"name": p.name, "version": version_of(p), "directory": {"path": p.directory.path if p.directory else ""}}
            for p in self._lock.pylock.packages
        )

    def preferred_versions(self, *, upgraded: Iterable[str]) -> LockedVersions:
        """The versions that a target prefers: those locked for it, without the packages that are *upgraded*."""
        without = {normalize_name(name) for name in upgraded}
        by_target = {target: self._lock.versions(target) for target in self.targets}
        # The cap may have changed: the versions locked for the same Python and architecture are still preferred.
        by_machine = {target[:2]: versions for target, versions in by_target.items()}
        by_kind = {target.kind: versions for target, versions in by_target.items()}

        def locked(target: Target) -> Mapping[str, str]:
            versions = by_target.get(target) or by_kind.get(target.kind) or by_machine.get(target[:2], {})
            return {name: version for name, version in versions.items() if name not in without}

        return locked

    def replaced(self, packages: Sequence[Mapping[str, Any]]) -> set[str]:
        """Those of *packages*, of the new lock, that have other wheels here."""
        old: dict[str, set[str]] = {}
        for package in self._lock.pylock.packages:
            old.setdefault(package.name, set()).update(wheel.filename for wheel in package.wheels or ())
        new: dict[str, set[str]] = {}
        for table in packages:
            new.setdefault(table["name"], set()).update(wheel["name"] for wheel in table.get("wheels", ()))
        return replaced_files(old, new)

    def with_unknown_keys(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The new lock's *document* with the keys of this one that minglibc does not know."""
        return self._lock.unknown.kept_in(document)


def read_previous(text: str, reporter: Reporter) -> PreviousLock | None:
    """The lock in *text*; None for a damaged one. Raises LockError for one of a newer minglibc."""
    try:
        lock = loads(text)
    except NewerLock:
        raise
    except LockError as error:
        reporter.warn(f"{error.message}; ignoring it and locking from pyproject.toml")
        return None
    if lock.unknown.names:
        reporter.warn(f"pylock.toml has unknown keys, which are kept: {', '.join(lock.unknown.names)}")
    return PreviousLock(lock)
