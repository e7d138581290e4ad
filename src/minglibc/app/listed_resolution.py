"""The resolution of a lock whose hashes are bound by another tool's lock, or by requirements files."""

from collections.abc import Callable, Sequence

from minglibc.app.lock_request import LockRequest
from minglibc.app.possible_pythons import resolve_for_possible_pythons
from minglibc.app.reporter import Reporter
from minglibc.app.resolution import LockedVersions
from minglibc.app.session import Session
from minglibc.app.source_lock import ListedHashes, release
from minglibc.app.versions_of_source import (
    Offender,
    SourceChange,
    SourceVersions,
    accepted_files,
    explain_failure,
    offenders_error,
    unlisted_error,
)
from minglibc.errors import LockError, ResolutionError
from minglibc.model.artifacts import Artifact
from minglibc.model.targets import PythonVersion, Target
from minglibc.resolve.fewest_changes import changed_names
from minglibc.resolve.resolution import Resolution

Resolve = Callable[[Session, LockedVersions], list[Resolution]]


class ListedResolution:
    """Resolves with files whose hashes are listed; afterwards, *changes* and *accepted* say what differs."""

    def __init__(self, request: LockRequest, *, accept: bool, reporter: Reporter) -> None:
        self.changes: Sequence[SourceChange] = ()
        self.accepted: Sequence[str] = ()
        self._request = request
        self._loaded = request.loaded
        self._accept = accept
        self._reporter = reporter
        lock = request.loaded.lock if request.loaded is not None else None
        self._strict = self._listed = ListedHashes(lock, request.hashes)

    def is_listed(self, file: Artifact) -> bool:
        """Whether *file* may be used."""
        return self._listed.is_listed(file)

    def resolve(self, session: Session, locked: LockedVersions, resolve: Resolve) -> list[Resolution]:
        """The resolutions of *session*; raises MinglibcError."""
        if self._loaded is None:
            resolutions = self._resolve_listed(session, locked, resolve)
        else:
            resolutions = self._resolve_source(SourceVersions(self._loaded, session), session, locked, resolve)
        self.accepted = [file.filename for file in accepted_files(resolutions, self._strict)]
        return resolutions

    def _resolve_listed(self, session: Session, locked: LockedVersions, resolve: Resolve) -> list[Resolution]:
        """The resolutions of requirements files with hashes."""
        if self._accept:
            self._listed = ListedHashes()
            return resolve(session, locked)
        resolutions = resolve(session, locked)
        unlisted = accepted_files(resolutions, self._strict)
        if unlisted:
            listed = "\n".join(f"  {file.filename} has the hash {file.hash}" for file in unlisted)
            raise LockError(f"{self._request.source.name} lists other hashes:\n{listed}")
        return resolutions

    def _resolve_source(
        self, source: SourceVersions, session: Session, locked: LockedVersions, resolve: Resolve
    ) -> list[Resolution]:
        loaded = source.loaded
        self._report(loaded.lock.local)
        source.check_sources()
        session = session._replace(solve=source.solve, preferred=source.locked, without_wheels=source.without_wheels)

        def preferences(target: Target) -> dict[str, str]:
            return {**locked(target), **source.locked(target)}

        if self._accept:
            unlisted = [offender for offender in source.offenders() if offender.is_unlisted]
            self._listed = self._strict.accepting([release(o.name, o.version) for o in unlisted])
        try:
            resolutions = self._resolve_pythons(source, session, preferences, resolve)
        except ResolutionError as error:
            raise explain_failure(source, session, error, self._reporter) from error
        self._check(source, resolutions)
        source.check(resolutions, self._listed)
        self.changes = source.changes(resolutions)
        return resolutions

    def _resolve_pythons(
        self, source: SourceVersions, session: Session, locked: LockedVersions, resolve: Resolve
    ) -> list[Resolution]:
        """The resolutions, without default Pythons for which the source lock has no solution or does not list the files."""
        while True:
            resolutions = resolve_for_possible_pythons(session, locked, resolve, self._reporter)
            targets = [resolution.target for resolution in resolutions]
            source.restrict(targets)
            unlisted = {} if session.settings.default_pythons is None else self._unlisted(source, resolutions)
            listed = [target for target in targets if target.python not in unlisted]
            if not unlisted or not listed:
                return resolutions
            for python, offender in unlisted.items():
                self._reporter.warn(
                    f"not locked for CPython {python}, which no setting names:\n"
                    f"  {offender.name} {offender.version} {offender.reason}"
                )
            session = session.restricted(listed)

    def _unlisted(self, source: SourceVersions, resolutions: Sequence[Resolution]) -> dict[PythonVersion, Offender]:
        """The Pythons whose versions changed because the source lock does not list their files, with one of these."""
        offenders = source.offenders(_changed(source, resolutions))
        return {offender.target.python: offender for offender in offenders if offender.is_unlisted}

    def _check(self, source: SourceVersions, resolutions: Sequence[Resolution]) -> None:
        """Raise an error if a version changed because its files have other hashes, or although none may change."""
        changed = _changed(source, resolutions)
        offenders = source.offenders(changed) if changed else []
        unlisted = [offender for offender in offenders if offender.is_unlisted]
        if unlisted:
            raise unlisted_error(source.loaded.path, unlisted)
        if offenders and source.loaded.policy == "same":
            raise offenders_error(source.loaded.path, offenders)

    def _report(self, local: Sequence[object]) -> None:
        if local:
            names = ", ".join(str(package) for package in local[:5])
            more = f" and {len(local) - 5} more" if len(local) > 5 else ""
            self._reporter.info(f"not in the lock, as local projects: {names}{more}", level=1)


def _changed(source: SourceVersions, resolutions: Sequence[Resolution]) -> set[str]:
    """The packages with another version than in the source lock."""
    return {name for resolution in resolutions for name in changed_names(resolution, source.locked(resolution.target))}
