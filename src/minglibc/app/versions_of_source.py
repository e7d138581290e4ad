"""The resolution of a lock that is made from another tool's: how far its versions may change, and what changed."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from minglibc.app.reporter import Reporter
from minglibc.app.session import Session
from minglibc.app.source_lock import ListedHashes, LoadedLock, release
from minglibc.errors import LockError, MinglibcError, ProjectNotFound, ResolutionError
from minglibc.index.credentials import without_credentials
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility, Reason, Rejection
from minglibc.model.requirements import Environment
from minglibc.model.targets import Target
from minglibc.model.versions import contains
from minglibc.resolve.candidates import Policy, Root, WheelIndex
from minglibc.resolve.explain import reason_of
from minglibc.resolve.fewest_changes import changed_names, is_usable, is_yanked, resolve_with_fewest_changes
from minglibc.resolve.multi_target import Solve
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.resolver import resolve
from minglibc.source_locks.model import SourceKind, SourcePackage


class SourceChange(NamedTuple):
    """A package whose version is not the one of the source lock: None where the source lock does not have it."""

    name: str
    before: str | None
    after: str
    reason: str


class Offender(NamedTuple):
    """A release of the source lock that a target can't have, and the cap under which it could; empty if no cap helps."""

    name: str
    version: str
    target: Target
    reason: str
    wheel: str
    cap: str
    is_unlisted: bool = False

    def __str__(self) -> str:
        wheel = f" ({self.wheel})" if self.wheel else ""
        cap = f"; cap {self.cap} allows it" if self.cap else ""
        return f"{self.name} {self.version} on {self.target}: {self.reason}{wheel}{cap}"


class SourceVersions:
    """The versions of a source lock in one session."""

    def __init__(self, loaded: LoadedLock, session: Session) -> None:
        self.loaded = loaded
        self._session = session
        self._selected = {c.target: loaded.selected(c.target) for c in session.compatibilities}
        self._preferred = {c.target: loaded.preferred(c.target) for c in session.compatibilities}
        self._locked = {c.target: loaded.versions(c.target) for c in session.compatibilities}

    def locked(self, target: Target) -> Mapping[str, str]:
        """The versions of the source lock for *target*."""
        versions = self._locked.get(target)
        if versions is None:
            versions = self._locked[target] = self.loaded.versions(target)
        return versions

    @property
    def solve(self) -> Solve:
        """Resolves a target by the policy."""
        solvers: dict[str, Solve] = {
            "same": self._solve_same,
            "nearest": self._solve_nearest,
            "newest": self._solve_newest,
        }
        return solvers[self.loaded.policy]

    def _solve_same(
        self, roots: Iterable[Root], compatibility: Compatibility, index: WheelIndex, *, policy: Policy, **options: Any
    ) -> Resolution:
        pinned = policy._replace(pins=self.locked(compatibility.target))
        return resolve(roots, compatibility, index, policy=pinned, **options)

    def _solve_nearest(
        self, roots: Iterable[Root], compatibility: Compatibility, index: WheelIndex, **options: Any
    ) -> Resolution:
        locked = self.locked(compatibility.target)
        return resolve_with_fewest_changes(roots, compatibility, index, locked=locked, **options)

    def _solve_newest(
        self, roots: Iterable[Root], compatibility: Compatibility, index: WheelIndex, *, policy: Policy, **options: Any
    ) -> Resolution:
        roots = tuple(roots)
        # Only a pin admits a yanked release (PEP 592).
        yanked = self._yanked(compatibility, index)
        if yanked:
            with suppress(Unresolvable):
                return resolve(roots, compatibility, index, policy=policy._replace(pins=yanked), **options)
        return resolve(roots, compatibility, index, policy=policy, **options)

    def _yanked(self, compatibility: Compatibility, index: WheelIndex) -> dict[str, str]:
        """The releases of the source lock that were yanked since it was made."""
        locked = self.locked(compatibility.target)
        releases = {}
        for name, package in self._selected.get(compatibility.target, {}).items():
            with suppress(ProjectNotFound):
                is_locked = package.kind is SourceKind.INDEX and name in locked
                if is_locked and is_yanked(compatibility, index, name, locked[name]):
                    releases[name] = locked[name]
        return releases

    # What can't be used.

    def restrict(self, targets: Collection[Target]) -> None:
        """Take only *targets* into account from now on."""
        self._session = self._session.restricted(targets)

    def without_wheels(self, target: Target) -> dict[str, str]:
        """The releases that have no wheel for any machine, and a source distribution that may not be built."""
        releases = {}
        for name, version in self.locked(target).items():
            if name not in self._selected.get(target, ()) or name in self._session.settings.allow_sdist:
                continue
            with suppress(ProjectNotFound):
                page = self._session.wheel_index.project(name)
                position = page.versions.index_of(version)
                if position is not None and not page.tag_sets(position) and page.sdists(position):
                    releases[name] = version
        return releases

    def check_sources(self) -> None:
        """Raise LockError that names every package that no configured index has and that has no wheel at its URL or path."""
        provided = {*self._session.settings.paths, *self._session.settings.excludes}
        packages = {
            p: None for selected in self._selected.values() for p in selected.values() if p.name not in provided
        }
        direct = [
            p for p in packages if p.kind is not SourceKind.INDEX and not p.location.partition("#")[0].endswith(".whl")
        ]
        missing = [] if direct else [package for package in packages if not self._is_available(package)]
        if not direct and not missing:
            return
        from minglibc.app.unavailable_packages import Origin, direct_error, index_error  # noqa: PLC0415  3 ms; few fail

        environments = [Environment(target.environment) for target in self._selected]
        origin = Origin(self.loaded.path, self.loaded.lock, self._session.inputs.source, environments)
        raise direct_error(direct, origin) if direct else index_error(missing, origin)

    def _is_available(self, package: SourcePackage) -> bool:
        """Whether an index has the project of *package*; only asked for those of an index that is not configured."""
        if package.kind is not SourceKind.INDEX or self.is_configured(package):
            return True
        try:
            self._session.wheel_index.project(package.name)
        except ProjectNotFound:
            return False
        return True

    def offenders(self, names: Collection[str] | None = None) -> list[Offender]:
        """The releases that their target can't have, of all packages or those of *names*."""
        return list(self._offenders(names))

    def _offenders(self, names: Collection[str] | None) -> Iterator[Offender]:
        excludes = self._session.settings.excludes
        for compatibility in self._session.compatibilities:
            for name, version in sorted(self.locked(compatibility.target).items()):
                package = self._preferred[compatibility.target][name]
                is_wanted = name in (self._selected[compatibility.target] if names is None else names)
                if package.kind is not SourceKind.INDEX or name in excludes or not is_wanted:
                    continue
                offender = self._offender(compatibility, package, version)
                if offender is not None:
                    yield offender

    def _offender(self, compatibility: Compatibility, package: SourcePackage, version: str) -> Offender | None:
        index, target = self._session.wheel_index, compatibility.target
        make = partial(Offender, package.name, version, target)
        try:
            page = index.project(package.name)
        except ProjectNotFound:
            return make("is not on the index" + self._where(package), "", "")
        position = page.versions.index_of(version)
        if position is None:
            return make("is not on the index" + self._where(package), "", "")
        if is_usable(compatibility, index, package.name, version):
            return None
        rejections = compatibility.rejections(page, position)
        unlisted = next((rejection for rejection in rejections if rejection.reason is Reason.UNLISTED), None)
        if unlisted is not None:
            return make(str(unlisted), "", "", is_unlisted=True)
        caps = compatibility.wanted_caps(page, position)
        cap = min(caps) if caps else None
        wheel = compatibility.at_cap(cap).best(page, position, yanked=True) if cap is not None else None
        nearest = str(Rejection(Reason.GLIBC, str(cap))) if cap is not None and cap.libc == "glibc" else ""
        return make(
            nearest or reason_of(rejections),
            wheel.filename if wheel is not None else "",
            str(cap) if wheel is not None and cap else "",
        )

    def _where(self, package: SourcePackage) -> str:
        if self.is_configured(package):
            return ""
        return f"; {self.loaded.path} takes it from {without_credentials(package.location)}, which is not configured"

    def is_configured(self, package: SourcePackage) -> bool:
        """Whether the settings have the index of *package*; PyPI is the default index, whichever URL that has."""
        known = {self._session.inputs.index_url, *self._session.inputs.indexes.values()}
        location = without_credentials(package.location).rstrip("/")
        return package.has_public_index or location in {url.rstrip("/") for url in known}

    # What was selected.

    def check(self, resolutions: Sequence[Resolution], listed: ListedHashes) -> None:
        """Raise LockError where a file is not one that the source lock lists, or may come from another index."""
        problems: dict[str, None] = {}
        foreign: dict[SourcePackage, None] = {}
        for resolution in resolutions:
            selected = self._preferred[resolution.target]
            for name, file in sorted(resolution.artifacts.items()):
                if file.hash and not listed.is_listed(file):
                    problems[f"{file.filename} has the hash {file.hash}, which is not listed"] = None
                package = selected.get(name)
                if package is None or package.kind is not SourceKind.INDEX or self.is_configured(package):
                    continue
                if release(name, file.version) != release(name, package.version) or not listed.hashes_of(file):
                    problems[f"{name} {file.version} would replace {package}{self._where(package)}"] = None
                    foreign[package] = None
        if problems:
            from minglibc.app.unavailable_packages import index_hint  # noqa: PLC0415  as above

            raise LockError(
                f"files are not those of {self.loaded.path}:\n" + "\n".join(f"  {problem}" for problem in problems),
                hint=index_hint(foreign) if foreign else "create the source lock again, if its hashes are out of date",
            )

    def changes(self, resolutions: Sequence[Resolution]) -> list[SourceChange]:
        """The packages with another version than in the source lock, and those that it does not have, with reasons."""
        changes: dict[SourceChange, None] = {}
        by_target = {compatibility.target: compatibility for compatibility in self._session.compatibilities}
        for resolution in resolutions:
            locked = self.locked(resolution.target)
            changed = changed_names(resolution, locked)
            for name, file in sorted(resolution.artifacts.items()):
                if name in changed:
                    reason = self._reason(by_target[resolution.target], resolution, name, locked[name])
                    changes[SourceChange(name, locked[name], file.version, reason)] = None
                elif name not in self._preferred[resolution.target]:
                    parents = [active.parent for active in resolution.requirements.get(name, ())]
                    changes[SourceChange(name, None, file.version, f"required by {', '.join(parents[:3])}")] = None
        return list(changes)

    def _reason(self, compatibility: Compatibility, resolution: Resolution, name: str, version: str) -> str:
        package = self._preferred[compatibility.target][name]
        offender = self._offender(compatibility, package, version)
        if offender is not None:
            return f"{version} {offender.reason}"
        for active in resolution.requirements.get(name, ()):
            if active.requirement.specifier and not contains(active.requirement.specifier, version):
                return f"{active.parent} requires {active.requirement.without_marker}"
        if is_yanked(compatibility, self._session.wheel_index, name, version):
            return f"{version} was yanked"
        return f"a requirement of {version} can't be met with the other versions"


def explain_failure(
    source: SourceVersions, session: Session, error: ResolutionError, reporter: Reporter
) -> MinglibcError:
    """The error for a source lock that can't be resolved: its offenders where there are any, else *error*."""
    reporter.info("Checking every release of the source lock", level=1)
    offenders = source.offenders()
    unlisted = [offender for offender in offenders if offender.is_unlisted]
    if unlisted:
        return unlisted_error(source.loaded.path, unlisted)
    if source.loaded.policy != "same":
        from minglibc.app.source_lock_hints import override_hint, part_hint  # noqa: PLC0415  as above

        failure = error.__cause__
        if isinstance(failure, Unresolvable):
            hints = (error.hint, part_hint(session, source.loaded, failure), override_hint(session, failure))
            error.hint = "\nhint: ".join(filter(None, hints))
        return error
    if not offenders:
        return error
    return offenders_error(source.loaded.path, offenders)


def offenders_error(path: str, offenders: Sequence[Offender]) -> ResolutionError:
    """The error that lists all releases that their targets can't have."""
    listed = "\n".join(f"  {offender}" for offender in offenders)
    count = len({(offender.name, offender.version) for offender in offenders})
    return ResolutionError(
        f"{count} release{'' if count == 1 else 's'} of {path} can't be used under the cap:\n{listed}",
        hint="raise the cap, lock other versions there, or let minglibc change them with --version-policy nearest",
    )


def unlisted_error(path: str, offenders: Sequence[Offender]) -> LockError:
    """The error that lists the releases whose compatible files have other hashes than the source lock."""
    lines = dict.fromkeys(f"{offender.name} {offender.version} {offender.reason}" for offender in offenders)
    return LockError(
        f"{path} does not list the hashes of files that would be used:\n" + "\n".join(f"  {line}" for line in lines),
        hint="if these are releases that you trust, accept other files of them with --accept-new-hashes",
    )


def accepted_files(resolutions: Sequence[Resolution], strict: ListedHashes) -> list[Artifact]:
    """The selected files whose hashes the source does not list for their release."""
    files = (file for resolution in resolutions for file in resolution.artifacts.values())
    return [file for file in dict.fromkeys(files) if not strict.is_listed(file)]
