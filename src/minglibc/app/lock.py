"""The use case of `lock`: a project, requirements files or a script → pylock.toml."""

import os
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.lock_request import (
    NO_OVERRIDES,
    LockRequest,
    check_lock_source,
    project_request,
    requirements_request,
    script_request,
    source_lock_request,
)
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.resolution import LockedVersions, resolve_session
from minglibc.app.session import Session, no_versions, open_session
from minglibc.config import files, folder_lock, project_files
from minglibc.config.settings import Overrides, Settings
from minglibc.errors import SettingsError
from minglibc.insight.held_back import HeldBack, held_back
from minglibc.lock import source_files
from minglibc.lock.changes import Change, changes, versions_of
from minglibc.lock.digest import lock_digests, record_current
from minglibc.lock.document import Inputs, dumps, merge
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target
from minglibc.resolve.resolution import Resolution

if TYPE_CHECKING:
    from minglibc.app.listed_resolution import ListedResolution
    from minglibc.app.previous_lock import PreviousLock
    from minglibc.app.versions_of_source import SourceChange
    from minglibc.insight.shared_versions import SharedVersion


class LockOptions(NamedTuple):
    """What to lock and how; without *requirements* and *script* it is the project."""

    common: CommonOptions = CommonOptions()
    requirements: Sequence[str] = ()
    """Paths of requirements files."""
    script: str | None = None
    """The path of a script with inline metadata (PEP 723)."""
    output: str | None = None
    """With *requirements* or *source_lock*: the path of the lock."""
    overrides: Overrides = Overrides()
    """Targets instead of those in [tool.minglibc]."""
    upgrade: bool = False
    """Whether to ignore all locked versions."""
    upgrade_packages: Sequence[str] = ()
    """The names of packages whose locked versions to ignore."""
    dry_run: bool = False
    """Whether to write nothing."""
    source_lock: str | None = None
    """The path of another tool's lock, whose versions and hashes are used."""
    version_policy: str | None = None
    """How these versions are used: ``same``, ``nearest`` (the default) or ``newest``."""
    accept_new_hashes: bool = False
    """Whether to accept files whose hashes the source lock does not list for their release."""
    allow_sdist: bool = False
    """Whether to add all packages that have no wheel to ``allow-sdist``."""
    allow_sdist_packages: Sequence[str] = ()
    """The names of packages to add to ``allow-sdist``."""
    jobs: int = 0
    """How many builds run at a time; 0 for the number of processors, which is also the most."""

    @property
    def allows_sources(self) -> bool:
        """Whether packages are added to ``allow-sdist``."""
        return self.allow_sdist or bool(self.allow_sdist_packages)


class LockResult(NamedTuple):
    """The outcome of `lock`; where *up_to_date*, nothing was resolved and the rest is empty."""

    name: str
    text: str = ""
    packages: int = 0
    targets: tuple[Target, ...] = ()
    changes: Sequence[Change] = ()
    held_back: Sequence[HeldBack] = ()
    shared: "Sequence[SharedVersion]" = ()
    """The releases that are older because of another target."""
    seconds: float = 0.0
    up_to_date: bool = False
    source_changes: "Sequence[SourceChange]" = ()
    """With a source lock: the packages that have another version there, or that it does not have."""
    accepted: Sequence[str] = ()
    """The names of the files that were accepted although their hashes are not listed."""


def lock_project(options: LockOptions, reporter: Reporter = SILENT) -> LockResult:
    """Update the lock that *options* describe, unless it is up to date; raises MinglibcError."""
    request = request_for(options, reporter)
    old = files.read_lock(request.path)
    if not request.follows_links:
        project_files.check_lock_path(request.path, "" if request.source.is_project else os.getcwd())
    request = request._replace(upgrade=options.upgrade)
    # The lock does not record the indexes of the command line.
    changes_versions = options.upgrade or options.upgrade_packages or options.common.indexes
    if old is not None and not changes_versions and is_fresh(request, old):
        project_files.remove_stale_files(request.folder)
        return LockResult(request.name, old, up_to_date=True)
    if old is not None:
        check_lock_source(old, request)
    if options.dry_run:
        return _resolved(request, old, options, reporter)[1]
    with folder_lock.lock(request.folder, on_wait=lambda holder: report_wait(reporter, holder)):
        # Another process may have changed both files while this one waited.
        request = request.reread()
        original = request.pyproject
        request, result = _resolved(request, files.read_lock(request.path), options, reporter)
        if request.pyproject == original:
            project_files.write_lock(request.path, result.text)
        else:
            from minglibc.app.source_permission import write_both  # noqa: PLC0415  see _resolved

            write_both(request, original, result.text, reporter)
        _record_digest(request, result, options.common.cache_folder)
    return result


def _resolved(
    request: LockRequest, old: str | None, options: LockOptions, reporter: Reporter
) -> tuple[LockRequest, LockResult]:
    """The result, and the request with the packages that *options* add to its settings."""
    if not options.allows_sources:
        return request, resolve_lock(request, old, options, reporter)
    from minglibc.app.source_permission import resolve_with_sources  # noqa: PLC0415  imports tomlkit (40 ms)

    return resolve_with_sources(
        request,
        lambda request, reporter: resolve_lock(request, old, options, reporter),
        reporter,
        packages=options.allow_sdist_packages,
        all_needed=options.allow_sdist,
    )


def _record_digest(request: LockRequest, result: LockResult, cache: str) -> None:
    """Let the next `lock` see without parsing that the lock is up to date."""
    digests = lock_digests(result.text)
    if digests is not None and request.source.is_project and request.overrides == NO_OVERRIDES:
        record_current(digests.inputs, request.pyproject, cache=cache, folder=request.folder)


def request_for(options: LockOptions, reporter: Reporter) -> LockRequest:
    """The request that *options* describe; raises SettingsError."""
    if sum(map(bool, (options.script, options.requirements, options.source_lock))) > 1:
        raise SettingsError(
            "--requirements, --script and --from can't be combined", hint="give one of -r, --script and --from"
        )
    if options.output and not (options.requirements or options.source_lock):
        raise SettingsError(
            "--output requires --requirements or --from",
            hint="a project's lock is pylock.toml, a script's pylock.NAME.toml",
        )
    selected = (
        options.overrides.extra,
        options.overrides.no_extra,
        options.overrides.group,
        options.overrides.no_group,
    )
    if any(selected) and not options.source_lock:
        raise SettingsError(
            "--extra, --no-extra, --group and --no-group require --from",
            hint="a project's extras and groups are locked together; for a source lock, write extras and groups in "
            "tool.minglibc.from",
        )
    if options.source_lock:
        return source_lock_request(
            options.source_lock, options.output, options.version_policy, options.overrides, reporter
        )
    if options.script:
        return script_request(options.script, options.overrides, reporter)
    if options.requirements:
        return requirements_request(options.requirements, options.output, options.overrides, reporter)
    request = project_request(options.common, options.overrides)
    if options.version_policy and request.loaded is not None:
        request = request._replace(loaded=request.loaded._replace(policy=options.version_policy))
    elif options.version_policy:
        raise SettingsError(
            "--version-policy requires a source lock", hint="give it with --from, or as from in [tool.minglibc]"
        )
    return request


def report_wait(reporter: Reporter, holder: str) -> None:
    """Report that another process works on the project."""
    reporter.info(f"waiting for another minglibc ({holder})")


def is_fresh(request: LockRequest, old: str) -> bool:
    """Whether the lock *old* is undamaged and was made from the same inputs."""
    digests = lock_digests(old)
    if digests is None or not digests.intact or not request.is_current(digests.inputs):
        return False
    return not source_files.changed_with_members(old, request.pyproject, request.folder)


def resolve_lock(
    request: LockRequest, old: str | None, options: LockOptions, reporter: Reporter = SILENT
) -> LockResult:
    """Resolve *request*, preferring the versions of the lock *old*; nothing is written."""
    started = time.monotonic()
    before = _previous_lock(old, reporter)
    locked: LockedVersions = no_versions
    if before is not None and not options.upgrade:
        locked = before.preferred_versions(upgraded=options.upgrade_packages)
    listed = _listed_resolution(request, options, reporter)
    with open_session(
        request,
        options.common,
        reporter,
        preferences=_preferences(request, before, locked),
        builds=True,
        is_listed=listed.is_listed if listed is not None else None,
        stops_for_sources=options.allow_sdist,
    ) as session:
        _report_default_pythons(session.settings, is_new=before is None or options.upgrade, reporter=reporter)
        resolutions, inputs = _resolved_session(session, locked, listed, options, reporter)
        result = _result(request, session, resolutions, inputs, before=before, locked=locked)
        _report_skipped(session, resolutions, reporter)
        _report_sources(resolutions, reporter)
    for warning in dict.fromkeys(warning for resolution in resolutions for warning in resolution.warnings):
        reporter.warn(warning)
    known = {name for resolution in resolutions for name in resolution.artifacts}
    _warn_of_unknown(options, known | {*(before.versions if before is not None else ())}, reporter)
    if listed is not None:
        result = result._replace(source_changes=listed.changes, accepted=listed.accepted)
    return result._replace(seconds=time.monotonic() - started)


def _previous_lock(old: str | None, reporter: Reporter) -> "PreviousLock | None":
    if old is None:
        return None
    from minglibc.app.previous_lock import read_previous  # noqa: PLC0415  5 ms, and a new project has no lock

    return read_previous(old, reporter)


def _listed_resolution(request: LockRequest, options: LockOptions, reporter: Reporter) -> "ListedResolution | None":
    if request.loaded is None and not request.hashes:
        return None
    from minglibc.app.listed_resolution import ListedResolution  # noqa: PLC0415  most locks have no source

    return ListedResolution(request, accept=options.accept_new_hashes, reporter=reporter)


def _preferences(request: LockRequest, before: "PreviousLock | None", locked: LockedVersions) -> dict[str, str]:
    """The versions whose metadata is requested ahead."""
    targets = before.targets if before is not None else ()
    preferences = {name: version for target in targets for name, version in locked(target).items()}
    if request.loaded is not None:
        for target in request.settings().targets:
            preferences |= request.loaded.versions(target)
    return preferences


def _resolved_session(
    session: Session,
    locked: LockedVersions,
    listed: "ListedResolution | None",
    options: LockOptions,
    reporter: Reporter,
) -> tuple[list[Resolution], Inputs]:
    """The resolution for each target, with hashes and built wheels, and the inputs to record in the lock."""

    def resolve(session: Session, locked: LockedVersions) -> list[Resolution]:
        return _with_hashes(session, _resolve(session, locked, options, reporter), reporter)

    resolutions = resolve(session, locked) if listed is None else listed.resolve(session, locked, resolve)
    return _with_built_wheels(session, resolutions, options, reporter)


def _result(
    request: LockRequest,
    session: Session,
    resolutions: Sequence[Resolution],
    inputs: Inputs,
    *,
    before: "PreviousLock | None",
    locked: LockedVersions,
) -> LockResult:
    targets = tuple(resolution.target for resolution in resolutions)
    document = merge(resolutions, inputs)
    if before is not None:
        document = before.with_unknown_keys(document)
    packages = document["packages"]
    return LockResult(
        request.name,
        dumps(document, targets, inputs),
        len({package["name"] for package in packages}),
        targets,
        changes(
            before.versions if before is not None else {},
            versions_of(packages),
            before.replaced(packages) if before is not None else (),
        ),
        held_back(resolutions, session.restricted(targets).compatibilities, session.wheel_index),
        _shared_versions(session, resolutions, locked) if request.loaded is None else (),
    )


def _shared_versions(
    session: Session, resolutions: Sequence[Resolution], locked: LockedVersions
) -> "Sequence[SharedVersion]":
    """The releases that are older because of another target."""
    if len(resolutions) == 1 or not session.policy.fewest:
        return ()
    from minglibc.insight.shared_versions import shared_versions  # noqa: PLC0415  0.5 ms; one target shares nothing

    return shared_versions(resolutions, session.compatibilities, session.wheel_index, locked)


def _report_default_pythons(settings: Settings, *, is_new: bool, reporter: Reporter) -> None:
    if is_new and settings.default_pythons is not None and settings.default_pythons.message:
        reporter.info(settings.default_pythons.message)


def _warn_of_unknown(options: LockOptions, known: Collection[str], reporter: Reporter) -> None:
    for name in options.upgrade_packages:
        if normalize_name(name) not in known:
            reporter.warn(f"{name} of --upgrade-package is not in the lock")


def _resolve(session: Session, locked: LockedVersions, options: LockOptions, reporter: Reporter) -> list[Resolution]:
    def resolve(session: Session) -> list[Resolution]:
        if not session.settings.verify:
            return resolve_session(session, locked, reporter)
        from minglibc.app.verify import resolve_verified  # noqa: PLC0415  130 ms; few locks verify

        return resolve_verified(session, locked, options.common, reporter)

    if session.builder is None:
        return resolve(session)
    from minglibc.app.built_resolution import resolve_with_builds  # noqa: PLC0415  150 ms; few locks build

    return resolve_with_builds(session, session.builder, resolve, reporter, jobs=options.jobs, locked=locked)


def _with_hashes(session: Session, resolutions: Sequence[Resolution], reporter: Reporter) -> list[Resolution]:
    """Every file with a SHA-256: where its page has none, or only a weaker hash, it is downloaded; local files are read."""
    selected = (wheel for resolution in resolutions for wheel in resolution.artifacts.values())
    missing = {wheel.url: wheel for wheel in selected if not wheel.hash or wheel.is_local}
    hashed = {}
    for url, wheel in sorted(missing.items()):
        if not wheel.is_local:
            where = "its URL" if wheel.is_direct else "the index"
            reporter.warn(f"{where} gives no sha256 for {wheel.filename}; downloading it to compute one")
        hashed[url] = session.wheel_index.hashed(wheel)
    if not hashed:
        return list(resolutions)
    return [
        resolution._replace(artifacts={name: hashed.get(w.url, w) for name, w in resolution.artifacts.items()})
        for resolution in resolutions
    ]


def _with_built_wheels(
    session: Session, resolutions: list[Resolution], options: LockOptions, reporter: Reporter
) -> tuple[list[Resolution], Inputs]:
    """*resolutions* with the wheels that were built, where the settings name a folder for them."""
    if session.builder is None or not session.settings.built_wheels:
        return resolutions, session.inputs
    from minglibc.app.locked_builds import lock_built_wheels  # noqa: PLC0415  150 ms; few locks build

    return lock_built_wheels(session, session.builder, resolutions, reporter, writes=not options.dry_run)


def _report_sources(resolutions: Sequence[Resolution], reporter: Reporter) -> None:
    """Report what the lock has no wheel of, so that each machine builds it."""
    sources: dict[Artifact, list[Target]] = {}
    for resolution in resolutions:
        for wheel in resolution.artifacts.values():
            if isinstance(wheel, Sdist):
                sources.setdefault(wheel, []).append(resolution.target)
    for sdist, targets in sources.items():
        where = "" if len(targets) == len(resolutions) else f" for {', '.join(str(target) for target in targets)}"
        reporter.info(f"from source{where}: {sdist.name} {sdist.version}")


def _report_skipped(session: Session, resolutions: Sequence[Resolution], reporter: Reporter) -> None:
    """Report the files whose names are not valid for their project; those that contain a path may be an attack."""
    for name in sorted({name for resolution in resolutions for name in resolution.artifacts}):
        skipped = session.wheel_index.project(name).skipped
        hostile = [filename for filename in skipped if "/" in filename or "\\" in filename]
        if hostile:
            reporter.warn(f"skipped a file of {name} whose name contains a path: {hostile[0]!r}")
        elif skipped:
            files = "1 file with an invalid name" if len(skipped) == 1 else f"{len(skipped)} files with invalid names"
            reporter.info(f"Skipped {files} of {name}: {', '.join(skipped[:3])}", level=1)
