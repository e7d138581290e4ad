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

# Seconds of CPU time for all hints: half of what the refusal took, within these limits.
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 5.0
# The parts of it after which suggestions, and the search for conflicting extras and groups, end; sources have the rest.
_SUGGESTIONS, _PARENTS = 0.5, 0.65


def resolve_session(session: Session, locked: LockedVersions, reporter: Reporter) -> list[Resolution]:
    """One resolution per target; raises ResolutionError, or Unresolvable if *session* does not explain failures."""
    started = time.thread_time()
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
        raise explained(session, failure, time.thread_time() - started) from failure


def explained(session: Session, failure: Unresolvable, seconds: float = 0.0) -> ResolutionError:
    """The error for *failure*, found in *seconds* of CPU time, with an explanation and verified suggestions."""
    # 3 ms; most locks have no conflict.
    from minglibc.app.source_hints import source_hint  # noqa: PLC0415
    from minglibc.app.suggestions import how_to_examine, suggestions, without_parts  # noqa: PLC0415
    from minglibc.resolve.explain import explain, names_missing_project  # noqa: PLC0415
    from minglibc.resolve.suggestions import DROPPED  # noqa: PLC0415

    # Neither a build nor another requirement replaces a project that no index has.
    if names_missing_project(failure):
        return explain(failure)
    budget = min(max(seconds / 2, _LEAST_SECONDS), _MOST_SECONDS)
    start = time.thread_time()
    offers = suggestions(session, failure, start + _SUGGESTIONS * budget)
    conflicting = _conflicting_parents(session, failure, start + _PARENTS * budget)
    sources = source_hint(session, failure, offers.texts, start + budget)
    verified = offers.texts or sources.text
    others = without_parts(session, failure, start + budget) if not verified else ""
    if not others and not offers.complete:
        others = how_to_examine(session, failure)
    return explain(
        failure,
        conflicting=conflicting,
        offers=[text for text in offers.texts if not (sources.is_verified and text.startswith(DROPPED))],
        sources=sources,
        unverified="" if verified else others,
    )


def _conflicting_parents(session: Session, failure: Unresolvable, until: float) -> list[str]:
    """The fewest of the project, its extras and its groups that conflict on the failure's target.

    Empty where it is not known at *until*, in CPU seconds of the thread.
    """
    from minglibc.resolve.explain import fewest  # noqa: PLC0415  as above

    def fails(parents: Collection[str]) -> bool:
        patience = until - time.thread_time()
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
