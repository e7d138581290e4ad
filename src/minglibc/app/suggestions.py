"""Suggestions for a project that can't be locked, each verified on the project's own indexes."""

from collections.abc import Sequence

from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.session import Session
from minglibc.model.artifacts import Sdist
from minglibc.model.targets import Cap
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.suggestions import PATIENCE, Proposal, offers


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


def works_with_cap(session: Session, cap: Cap) -> bool:
    """Whether all targets can be locked with *cap* as the lowest cap of its C library."""
    targets = [target.raised(cap) for target in session.settings.targets]
    compatibilities = compatibilities_of(session.settings, targets)
    try:
        resolutions = resolve_all(
            session.roots, compatibilities, session.wheel_index, policy=session.policy, patience=PATIENCE
        )
    except Unresolvable:
        return False
    return _has_builds(session, resolutions)


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
