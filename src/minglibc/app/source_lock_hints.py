"""How a source lock's project could be locked under the cap, if it can't: with overrides, or without extras and groups."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from minglibc.app.session import Session
from minglibc.app.source_lock import LoadedLock
from minglibc.config.lock_source import LockSource
from minglibc.lock.document import EXTRA, GROUP
from minglibc.model import versions
from minglibc.model.requirements import Requirement, parse
from minglibc.resolve.candidates import Root
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.source_locks.model import SourceLock
from minglibc.source_locks.parts import Parts

# More requirements are another project.
_MOST_OVERRIDES = 8
# Seconds of CPU time for all resolutions of one hint.
_MOST_SECONDS = 10.0
_Versions = Mapping[str, list[str]]


def part_hint(session: Session, loaded: LoadedLock, failure: Unresolvable) -> str:
    """The extras and groups to exclude, verified; empty if that does not help, or if it is unknown."""
    end = time.thread_time() + _MOST_SECONDS

    def resolve_without(parents: Collection[str]) -> list[Resolution] | Unresolvable:
        return _resolve(session, [root for root in session.roots if root.parent not in parents], (), end)

    excluded: set[str] = set()
    result: list[Resolution] | Unresolvable = failure
    while isinstance(result, Unresolvable):
        parents = {cause.requirement.parent for cause in result.causes if cause.parent is None}
        more = {parent for parent in parents if parent.startswith((EXTRA, GROUP))} - excluded
        if result.gave_up or not more:
            return ""
        excluded |= more
        result = resolve_without(excluded)
    for parent in sorted(excluded) if len(excluded) > 1 else ():
        if not isinstance(resolve_without(excluded - {parent}), Unresolvable):
            excluded.remove(parent)
    no_extras, no_groups = (
        [name for name in names if prefix + name in excluded]
        for prefix, names in ((EXTRA, loaded.lock.extras), (GROUP, loaded.lock.groups))
    )
    parts = Parts(no_extras=no_extras, no_groups=no_groups)
    return f"this would work (verified): {exclusion_of(parts, loaded.lock, session.inputs.source)}"


def exclusion_of(parts: Parts, lock: SourceLock, source: LockSource) -> str:
    """The options or settings that exclude the extras and groups that *parts* excludes."""
    if not source.is_project:
        options = [f"--no-extra {name}" for name in parts.no_extras]
        return " ".join(options + [f"--no-group {name}" for name in parts.no_groups])
    lists = (("extras", lock.extras, parts.no_extras), ("groups", lock.groups, parts.no_groups))
    settings = [
        f"{key} = {[name for name in names if name not in excluded]}".replace("'", '"')
        for key, names, excluded in lists
        if excluded
    ]
    return f"{', '.join(settings)} in tool.minglibc.from"


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
        result = _resolve(session, _loosened(session.roots, names), (), end)
    for name in sorted(names):
        fewer = _resolve(session, _loosened(session.roots, names - {name}), (), end)
        if len(names) > 1 and not isinstance(fewer, Unresolvable):
            names, result = names - {name}, fewer
    loosened = _versions(result, names)
    overrides = [f"{name}>={min(loosened[name], key=versions.key)}" for name in sorted(names) if loosened[name]]
    verified = _resolve(session, session.roots, [parse(text) for text in overrides], end)
    # An override replaces the requirements of all packages: the other ones are met if it selects the same versions.
    if isinstance(verified, Unresolvable) or _versions(verified, names) != loosened:
        return ""
    listed = ", ".join(f'"{text}"' for text in overrides)
    return f"this would work (verified), in place of what the project requires: tool.minglibc.overrides = [{listed}]"


def _versions(resolutions: list[Resolution], names: Collection[str]) -> _Versions:
    return {name: [r.artifacts[name].version for r in resolutions if name in r.artifacts] for name in names}


def _loosened(roots: Iterable[Root], names: Collection[str]) -> list[Root]:
    """*roots* with requirements on any version of *names*."""
    return [
        root._replace(requirement=root.requirement._replace(specifier="")) if root.requirement.name in names else root
        for root in roots
    ]


def _resolve(
    session: Session, roots: Sequence[Root], overrides: Collection[Requirement], end: float
) -> list[Resolution] | Unresolvable:
    """The resolution in which the project has the requirements *roots*, with additional *overrides*."""
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
