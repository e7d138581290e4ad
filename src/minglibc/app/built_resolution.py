"""Resolution with builds: what a target can't use once it is built is rejected, and the rest is resolved again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from minglibc.app.reporter import Reporter
from minglibc.app.session import Session
from minglibc.app.source_builds import IncompatibleBuild, SourceBuilder, not_built, release_of, skipped
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.targets import Target
from minglibc.resolve.resolution import Resolution


def resolve_with_builds(
    session: Session, builder: SourceBuilder, resolve: Callable[[Session], list[Resolution]], reporter: Reporter
) -> list[Resolution]:
    """The result of *resolve*, in which every source has been built and its wheel is compatible with its target."""
    rejected: dict[Target, dict[str, Rejection]] = {check.target: {} for check in session.compatibilities}
    while True:
        compatibilities = tuple(check.rejecting(rejected[check.target]) for check in session.compatibilities)
        resolutions = resolve(session._replace(compatibilities=compatibilities))
        # Only the first: the next resolution may need none of the other builds.
        target, sdist, error = next(_incompatible_builds(session, builder, resolutions), (None, None, None))
        if target is None or sdist is None or error is None:
            return resolutions
        reporter.warn(skipped(sdist.filename, target, error.reason, sdist.name))
        for other, earlier in rejected.items():
            if error.reason.concerns(other, target):
                earlier.update(_rejections(session, sdist, error.reason.rejection, earlier))


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
