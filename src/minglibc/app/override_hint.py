"""The overrides with which a source lock's project could be locked under the cap, although it requires newer versions."""

import time
from collections.abc import Collection, Mapping

from minglibc.app.session import Session
from minglibc.model import versions
from minglibc.model.requirements import Requirement, parse
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable

# More requirements are another project.
_MOST_OVERRIDES = 8
# Seconds of CPU time for all resolutions.
_MOST_SECONDS = 10.0
_Versions = Mapping[str, list[str]]


def override_hint(session: Session, failure: Unresolvable) -> str:
    """The requirements of the project to replace by overrides, verified; empty if that does not help, or if it is unknown."""
    end = time.thread_time() + _MOST_SECONDS
    names: set[str] = set()
    result: list[Resolution] | Unresolvable = failure
    while isinstance(result, Unresolvable):
        own = {cause.requirement.requirement for cause in result.causes if cause.parent is None}
        more = {requirement.name for requirement in own if requirement.specifier and not requirement.url} - names
        names |= more
        if result.gave_up or not more or len(names) > _MOST_OVERRIDES:
            return ""
        result = _resolve(session, names, (), end)
    for name in sorted(names):
        fewer = _resolve(session, names - {name}, (), end)
        if len(names) > 1 and not isinstance(fewer, Unresolvable):
            names, result = names - {name}, fewer
    loosened = _versions(result, names)
    overrides = [f"{name}>={min(loosened[name], key=versions.key)}" for name in sorted(names) if loosened[name]]
    verified = _resolve(session, (), [parse(text) for text in overrides], end)
    # An override replaces the requirements of all packages: the other ones are met if it selects the same versions.
    if isinstance(verified, Unresolvable) or _versions(verified, names) != loosened:
        return ""
    listed = ", ".join(f'"{text}"' for text in overrides)
    return f"this would work (verified), in place of what the project requires: tool.minglibc.overrides = [{listed}]"


def _versions(resolutions: list[Resolution], names: Collection[str]) -> _Versions:
    return {name: [r.artifacts[name].version for r in resolutions if name in r.artifacts] for name in names}


def _resolve(
    session: Session, names: Collection[str], overrides: Collection[Requirement], end: float
) -> list[Resolution] | Unresolvable:
    """The resolution in which the project requires any version of *names*, with additional *overrides*."""
    roots = [
        root._replace(requirement=root.requirement._replace(specifier="")) if root.requirement.name in names else root
        for root in session.roots
    ]
    policy = session.policy._replace(nearest=True, thorough=False, overrides=(*session.policy.overrides, *overrides))
    try:
        return resolve_all(
            roots,
            session.compatibilities,
            session.wheel_index,
            locked=session.preferred,
            policy=policy,
            patience=end - time.thread_time(),
        )
    except Unresolvable as failure:
        return failure
