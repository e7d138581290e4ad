"""Suggestions for a project that can't be locked, each verified on the project's own indexes."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence

from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.session import Session
from minglibc.lock.document import EXTRA, GROUP
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Reason, Rejection
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Policy, Root
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.suggestions import NO_PARTS, Kept, Offers, Proposal, capped, concerned, offers, without_part

# Wheels are downloaded to verify a suggestion.
_MOST_VERIFICATIONS = 3
# Extras and groups in one hint.
_MOST_PARTS = 6


def without_parts(session: Session, failure: Unresolvable, until: float) -> str:
    """The hint to leave out the extras and groups that can't be locked, as far as known at *until*, in CPU seconds; or empty."""
    kept, parts, roots = _kept(session), list[str](), session.roots
    policy = session.policy._replace(thorough=False)
    while len(parts) < _MOST_PARTS and (part := _only_part(failure, roots, kept)):
        parts.append(part)
        roots = tuple(root for root in roots if root.parent != part)
        setting = without_part(parts, kept)
        patience = until - time.thread_time()
        try:
            resolutions = resolve_all(
                roots, session.compatibilities, session.wheel_index, policy=policy, patience=patience
            )
        except Unresolvable as other:
            if other.gave_up:
                break
            failure = other
            continue
        if session.needs_above_cap(resolutions) or not _has_builds(session, resolutions):
            break
        return f"this would work (verified): {setting}"
    return f"{without_part(parts, kept)} leaves out what can't be locked; other obstacles may remain" if parts else ""


def _only_part(failure: Unresolvable, roots: Sequence[Root], kept: Kept) -> str:
    """The one extra or group whose requirements *failure* is about; empty if it is about others, too."""
    parents = {roots[position].parent for position in concerned(failure, roots)}
    part = parents.pop() if len(parents) == 1 else ""
    others = any(root.parent != part for root in roots)
    return part if others and part.partition(" ")[0] in NO_PARTS and part not in kept.parts else ""


def _kept(session: Session) -> Kept:
    settings = session.settings
    if session.has_source_lock:
        # Other options and settings leave out parts of a source lock; source_lock_hints names them.
        return Kept(settings.paths, {root.parent for root in session.roots})
    skipped = (*(EXTRA + name for name in settings.no_extras), *(GROUP + name for name in settings.no_groups))
    return Kept(settings.paths, [GROUP + name for name in settings.default_groups], skipped)


def suggestions(session: Session, failure: Unresolvable, until: float) -> Offers:
    """The small changes to the project with which it can be locked, as far as known at *until*, in CPU seconds of the thread."""

    def attempt(proposal: Proposal, patience: float) -> Sequence[Resolution] | None:
        resolutions = resolve_as_proposed(session, proposal.roots, proposal.targets, proposal.policy, patience)
        return resolutions if resolutions is not None and _has_builds(session, resolutions) else None

    policy = session.policy._replace(thorough=False)
    settings = session.settings
    working = offers(failure, session.roots, settings.targets, policy, attempt, until=until, kept=_kept(session))
    return working._replace(texts=tuple(as_options(text, session.inputs.source.given) for text in working.texts))


def how_to_examine(session: Session, failure: Unresolvable) -> str:
    """The hint where the limit for suggestions was reached before one was verified."""
    if not capped(failure.provider):
        return ""
    command = "`minglibc caps` tries" if session.inputs.source.is_project else "give --glibc to try"
    return f"no suggestion could be verified within the limits for them; {command} other caps"


def as_options(text: str, given: Mapping[str, object]) -> str:
    """*text* with options instead of the settings that options have *given*."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] not in given:
            return match[0]
        flag = "--arch" if match[1] == "architectures" else f"--{match[1]}"
        return " ".join(f"{flag} {value}" for value in re.findall('"([^"]*)"', match[2]))

    return re.sub(r"tool\.minglibc\.([a-z]+) = (\[[^]]*\]|\"[^\"]*\")", replaced, text)


def resolve_as_proposed(
    session: Session, roots: Sequence[Root], targets: Iterable[Target], policy: Policy, patience: float
) -> list[Resolution] | None:
    """The resolution of *roots* under all rules of the session, ``verify`` included; None where there is none."""
    rejections: dict[str, Rejection] = {}
    checks = compatibilities_of(session.settings, targets, session.is_listed)
    for _ in range(_MOST_VERIFICATIONS):
        compatibilities = [check.rejecting(rejections) if rejections else check for check in checks]
        try:
            resolutions = resolve_all(roots, compatibilities, session.wheel_index, policy=policy, patience=patience)
        except Unresolvable:
            return None
        needs = session.needs_above_cap(resolutions)
        if not needs:
            return resolutions
        rejections |= {filename: Rejection(Reason.UNUSABLE, need) for filename, need in needs.items()}
    return None


def _has_builds(session: Session, resolutions: Sequence[Resolution]) -> bool:
    """Whether each source in *resolutions* has a cached build that its target can use; a suggestion builds nothing."""
    sources = [
        (resolution.target, wheel)
        for resolution in resolutions
        for wheel in resolution.artifacts.values()
        if isinstance(wheel, Sdist)
    ]
    if not sources or session.builder is None:
        return not sources
    from minglibc.app.source_builds import release_of  # noqa: PLC0415  150 ms; few projects build

    return all(session.builder.has_cached(release_of(sdist, session.wheel_index), target) for target, sdist in sources)
