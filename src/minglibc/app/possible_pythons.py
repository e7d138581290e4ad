"""A source lock may have no solution for some of the Pythons that no setting names; the others are locked."""

import time
from collections.abc import Callable

from minglibc.app.reporter import Reporter
from minglibc.app.resolution import LockedVersions, explained
from minglibc.app.session import Session
from minglibc.resolve.explain import lines_of
from minglibc.resolve.resolution import Resolution, Unresolvable

Resolve = Callable[[Session, LockedVersions], list[Resolution]]
# CPU seconds. If no target has a solution after so long, the others would take as long.
_MOST_SECONDS = 20.0
# Lines of the reason why a Python is not locked.
_SHOWN = 3


def resolve_for_possible_pythons(
    session: Session, locked: LockedVersions, resolve: Resolve, reporter: Reporter
) -> list[Resolution]:
    """The resolutions of the targets whose default Python has one; with Pythons that a setting names, all have to."""
    if session.settings.default_pythons is None:
        return resolve(session, locked)
    remaining = session._replace(explains=False)
    failures: list[Unresolvable] = []
    started = time.thread_time()
    while True:
        try:
            resolutions = resolve(remaining, locked)
            break
        except Unresolvable as failure:
            failures.append(failure)
        python = failures[-1].provider.compatibility.target.python
        possible = [check.target for check in remaining.compatibilities if check.target.python != python]
        is_first = remaining.compatibilities[0].target == failures[-1].provider.compatibility.target
        is_hopeless = is_first and time.thread_time() - started > _MOST_SECONDS
        if not possible or failures[-1].gave_up or is_hopeless:
            raise explained(session, failures[0]) from failures[0]
        remaining = remaining.restricted(possible)
    for skipped in failures:
        reporter.warn(_warning(skipped))
    return resolutions


def _warning(failure: Unresolvable) -> str:
    reasons = "".join(f"\n  {line}" for line in lines_of(failure.provider, failure.causes)[:_SHOWN])
    return f"not locked for CPython {failure.provider.compatibility.target.python}, which no setting names:{reasons}"
