"""The resolution of a session: one set of wheels for each target, or an error that explains the conflict."""

import time
from collections.abc import Callable, Collection, Mapping

from minglibc.app.reporter import Reporter
from minglibc.app.session import Session
from minglibc.errors import ResolutionError
from minglibc.model.targets import Target
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.resolver import resolve

LockedVersions = Callable[[Target], Mapping[str, str]]
"""The versions that each target prefers, by name."""

# Seconds of CPU time; finding the smallest conflict takes a resolution for each extra and group.
_MOST_SECONDS = 2.0


def resolve_session(session: Session, locked: LockedVersions, reporter: Reporter) -> list[Resolution]:
    """One resolution per target; raises ResolutionError, or Unresolvable if *session* does not explain failures."""
    try:
        return resolve_all(
            session.roots,
            session.compatibilities,
            session.wheel_index,
            locked=locked,
            policy=session.policy,
            on_target=reporter.resolving,
            on_try=reporter.trying,
            solve=session.solve,
        )
    except Unresolvable as failure:
        if not session.explains:
            raise
        raise explained(session, failure) from failure


def explained(session: Session, failure: Unresolvable) -> ResolutionError:
    """The error for *failure*, with an explanation and verified suggestions."""
    # 3 ms; most locks have no conflict.
    from minglibc.app.source_hints import source_hint  # noqa: PLC0415
    from minglibc.app.suggestions import how_to_examine, suggestions  # noqa: PLC0415
    from minglibc.resolve.explain import explain  # noqa: PLC0415

    offers = suggestions(session, failure)
    sources = source_hint(session, failure, offers.texts)
    verified = offers.texts or sources.text
    return explain(
        failure,
        conflicting=_conflicting_parents(session, failure),
        offers=offers.texts,
        sources=sources,
        unverified="" if verified or offers.complete else how_to_examine(session, failure),
    )


def _conflicting_parents(session: Session, failure: Unresolvable) -> list[str]:
    """The fewest of the project, its extras and its groups that conflict on the failure's target; empty where unknown."""
    from minglibc.resolve.explain import fewest  # noqa: PLC0415  as above

    end = time.thread_time() + _MOST_SECONDS

    def fails(parents: Collection[str]) -> bool:
        patience = end - time.thread_time()
        if patience < 0:
            raise TimeoutError
        roots = [root for root in session.roots if root.parent in parents]
        try:
            resolve(
                roots,
                failure.provider.compatibility,
                session.wheel_index,
                policy=session.policy,
                patience=patience,
            )
        except Unresolvable as other:
            if other.gave_up:
                raise TimeoutError from other
            return True
        return False

    try:
        return [] if failure.gave_up else fewest(dict.fromkeys(root.parent for root in session.roots), fails)
    except TimeoutError:
        return []
