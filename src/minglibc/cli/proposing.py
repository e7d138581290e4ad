"""Proposals tried on a project's own index, for the hint of an error."""

from collections.abc import Sequence

from minglibc.cli.locking import Work, compatibilities_of
from minglibc.model.artifacts import Sdist
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolver import Resolution, Unresolvable
from minglibc.resolve.suggestions import Proposal, offers


def tried(found: Work, failure: Unresolvable) -> list[str]:
    """The small changes to the project that were tried and work."""

    def attempt(proposal: Proposal) -> Sequence[Resolution] | None:
        compatibilities = compatibilities_of(found.settings, list(proposal.targets))
        try:
            answers = resolve_all(proposal.roots, compatibilities, found.source, policy=proposal.policy)
        except Unresolvable:
            return None
        return answers if is_proven(found, answers) else None

    return [] if failure.gave_up else offers(failure, found.roots, found.settings.targets, found.policy, attempt)


def is_proven(found: Work, answers: Sequence[Resolution]) -> bool:
    """Whether all that would come from source was built before, and may be had; nothing is built for a hint."""
    sources = [
        (answer.target, each) for answer in answers for each in answer.wheels.values() if isinstance(each, Sdist)
    ]
    if not sources or found.maker is None:
        return not sources
    from minglibc.cli.making import release_of  # noqa: PLC0415  few projects build

    return all(found.maker.is_proven(release_of(each, found.source), target) for target, each in sources)
