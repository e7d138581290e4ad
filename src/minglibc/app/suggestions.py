"""Suggestions for a project that can't be locked, each verified on the project's own indexes."""

from collections.abc import Sequence

from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.session import Session
from minglibc.model.artifacts import Sdist
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.suggestions import Proposal, offers


def suggestions(session: Session, failure: Unresolvable) -> list[str]:
    """The small changes to the project with which it can be locked."""

    def attempt(proposal: Proposal, patience: float) -> Sequence[Resolution] | None:
        compatibilities = compatibilities_of(session.settings, proposal.targets)
        try:
            resolutions = resolve_all(
                proposal.roots, compatibilities, session.wheel_index, policy=proposal.policy, patience=patience
            )
        except Unresolvable:
            return None
        return resolutions if _has_builds(session, resolutions) else None

    return offers(failure, session.roots, session.settings.targets, session.policy, attempt)


def _has_builds(session: Session, resolutions: Sequence[Resolution]) -> bool:
    """Whether each source in *resolutions* has a cached build that its target can use; a suggestion builds nothing."""
    sources = [
        (resolution.target, wheel)
        for resolution in resolutions
        for wheel in resolution.wheels.values()
        if isinstance(wheel, Sdist)
    ]
    if not sources or session.builder is None:
        return not sources
    from minglibc.app.source_builds import release_of  # noqa: PLC0415  150 ms; few projects build

    return all(session.builder.has_cached(release_of(sdist, session.wheel_index), target) for target, sdist in sources)
