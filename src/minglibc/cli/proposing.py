"""Proposals tried on a project's own index, for the hint of an error."""

from collections.abc import Sequence

from minglibc.cli.locking import Work, judges_of
from minglibc.lockfile import resolve_all
from minglibc.proposals import Proposal, offers
from minglibc.resolver import Resolution, Unresolvable


def tried(found: Work, failure: Unresolvable) -> list[str]:
    """The small changes to the project that were tried and work."""

    def attempt(proposal: Proposal) -> Sequence[Resolution] | None:
        judges = judges_of(found.settings, list(proposal.targets))
        try:
            return resolve_all(proposal.roots, judges, found.source, policy=proposal.policy)
        except Unresolvable:
            return None

    return [] if failure.gave_up else offers(failure, found.roots, found.settings.targets, found.policy, attempt)
