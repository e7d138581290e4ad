"""Resolution with builds: what a target can't use once it is built is rejected, and the rest is resolved again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from minglibc.app.built_sources import IncompatibleBuild, not_built, skipped
from minglibc.app.parallel_builds import build_in_parallel, report_progress
from minglibc.app.reporter import Reporter
from minglibc.app.resolution import LockedVersions
from minglibc.app.session import Session, no_versions
from minglibc.app.source_builds import SourceBuilder, release_of
from minglibc.app.static_index import StaticIndex
from minglibc.errors import MinglibcError
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.targets import Target
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable

# Seconds of CPU time for the resolution that estimates what will be built.
_PATIENCE = 10.0


def resolve_with_builds(
    session: Session,
    builder: SourceBuilder,
    resolve: Callable[[Session], list[Resolution]],
    reporter: Reporter,
    *,
    jobs: int = 0,
    locked: LockedVersions = no_versions,
) -> list[Resolution]:
    """The result of *resolve*, in which every source has been built and its wheel is compatible with its target.

    *jobs* builds run at a time, as in jobs_within_limit. The *locked* versions tell which releases these probably are.
    """
    builder.before_metadata = lambda: _build_missing(session, builder, _estimated(session, locked), reporter, jobs)
    rejected: dict[Target, dict[str, Rejection]] = {check.target: {} for check in session.compatibilities}
    while True:
        compatibilities = tuple(check.rejecting(rejected[check.target]) for check in session.compatibilities)
        resolutions = resolve(session._replace(compatibilities=compatibilities))
        _build_missing(session, builder, resolutions, reporter, jobs)
        # Only the first: the next resolution may not need the other releases.
        target, sdist, error = next(_incompatible_builds(session, builder, resolutions), (None, None, None))
        if target is None or sdist is None or error is None:
            return resolutions
        reporter.warn(skipped(sdist.filename, target, error.reason, sdist.name))
        for other, earlier in rejected.items():
            if error.reason.concerns(other, target):
                earlier.update(_rejections(session, sdist, error.reason.rejection, earlier))


def _estimated(session: Session, locked: LockedVersions) -> list[Resolution]:
    """What will probably be locked, without builds; empty if the estimates have no solution."""
    if len(session.settings.allow_sdist) < 2 and len(session.compatibilities) < 2:
        return []
    try:
        return resolve_all(
            session.roots,
            session.compatibilities,
            StaticIndex(session),
            locked=locked,
            policy=session.policy._replace(thorough=False),
            patience=_PATIENCE,
        )
    except (Unresolvable, MinglibcError):
        return []


def _build_missing(
    session: Session, builder: SourceBuilder, resolutions: Sequence[Resolution], reporter: Reporter, jobs: int
) -> None:
    """Build what *resolutions* have from source, several at a time; a failure is raised where the wheel is needed."""
    builds = [
        (release, resolution.target)
        for resolution in resolutions
        for sdist in resolution.artifacts.values()
        if isinstance(sdist, Sdist)
        and not builder.has_cached(release := release_of(sdist, session.wheel_index), resolution.target)
    ]
    if len(builds) < 2:
        return
    finished: list[int] = []
    failures: dict[str, list[tuple[Target, MinglibcError]]] = {}

    def build(position: int) -> None:
        release, target = builds[position]
        failed = failures.setdefault(release.digest, [])
        if any(_concerns(error, target, other) for other, error in failed):
            return
        try:
            builder.build_release(release, target)
        except MinglibcError as error:
            failed.append((target, error))
        finished.append(position)
        is_failed = any(other == target for other, _ in failed)
        report_progress(reporter, f"{len(finished)}/{len(builds)}", str(release), target, failed=is_failed)

    build_in_parallel([(str(release), target) for release, target in builds], build, jobs)


def _concerns(error: MinglibcError, target: Target, other: Target) -> bool:
    """Whether the build for *target* would fail as that for *other* did."""
    return not isinstance(error, IncompatibleBuild) or error.reason.concerns(target, other)


def _incompatible_builds(
    session: Session, builder: SourceBuilder, resolutions: Sequence[Resolution]
) -> Iterator[tuple[Target, Sdist, IncompatibleBuild]]:
    for resolution in resolutions:
        for sdist in resolution.artifacts.values():
            if isinstance(sdist, Sdist):
                try:
                    builder.build_release(release_of(sdist, session.wheel_index), resolution.target)
                except IncompatibleBuild as error:
                    yield resolution.target, sdist, error


def _rejections(
    session: Session, sdist: Sdist, rejection: Rejection, earlier: Mapping[str, Rejection]
) -> dict[str, Rejection]:
    """What the rejection of *sdist* adds, by file name: the same compiler would build the project's other releases."""
    filenames = [source.filename for source in _sources(session, sdist.name)]
    untried = Rejection(Reason.UNUSABLE, not_built(sdist.version))
    return {**dict.fromkeys(filenames, untried), **earlier, sdist.filename: rejection}


def compatibility_with_builds(
    session: Session, builder: SourceBuilder, names: Collection[str]
) -> Callable[[Target], TargetCompatibility]:
    """The compatibility check of any target, which rejects sources of *names* whose cached builds it can't use."""

    @cache
    def compatibility_at(target: Target) -> Any:
        return session.compatibilities[0].at(target).rejecting(dict(rejected(target)), at=compatibility_at)

    def rejected(target: Target) -> Iterator[tuple[str, Rejection]]:
        for name in sorted(session.settings.allow_sdist & set(names)):
            for sdist in _sources(session, name):
                # A source without a hash would have to be downloaded.
                rejection = (
                    builder.cached_rejection(release_of(sdist, session.wheel_index), target) if sdist.hash else None
                )
                if rejection is not None:
                    yield sdist.filename, rejection

    return compatibility_at


def _sources(session: Session, name: str) -> Iterator[Sdist]:
    page = session.wheel_index.project(name)
    return (sdist for position in range(len(page.versions)) for sdist in page.sdists(position))
