"""All packages that a project needs from source, found by resolving as if they were allowed; nothing is built."""

import time
from collections.abc import Iterable, Sequence

from minglibc.app.needed_sources import SourceChecks
from minglibc.app.session import Session
from minglibc.app.source_search import SourceSearch
from minglibc.app.suggestions import as_options
from minglibc.model.artifacts import Sdist
from minglibc.model.targets import Cap
from minglibc.resolve.explain import SourceHint, lines_of, reason_of, source_only
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.suggestions import DROPPED, EXCLUDES, NO_PARTS, capped

# Lines of the obstacle that remains.
_SHOWN = 8


def source_hint(session: Session, failure: Unresolvable, offers: Sequence[str], until: float) -> SourceHint:
    """What has to be built from source, with a higher cap if needed, so that the project of *failure* can be locked.

    If it still can't be locked, the hint names the next obstacle. It is empty if *offers* are enough. No resolution
    begins or goes on after *until*, in CPU seconds of the thread.
    """
    checks = SourceChecks(session.settings, session.is_listed)
    blamed = frozenset(source_only(failure.provider, failure.causes, checks.admits))
    if failure.gave_up or (not blamed and offers):
        return SourceHint()
    without_wheels = {
        name: version for target in session.settings.targets for name, version in session.without_wheels(target).items()
    }
    blamed |= without_wheels.keys()
    lines = tuple(f"{name} {version} has no wheel" for name, version in sorted(without_wheels.items()))
    search = SourceSearch(session, checks, until)
    names, result = search.resolve(session.settings.targets, blamed)
    if not isinstance(result, Unresolvable):
        hint = _hint(session, search, result, "")
        with_cap = "" if offers else _with_higher_cap(session, search, names, result)
        hint = hint._replace(text="\nhint: ".join(filter(None, (with_cap, hint.text))))
        return hint._replace(lines=()) if len(hint.lines) == 1 and len(blamed) == 1 else hint
    if result.gave_up:
        # Another obstacle than the packages without wheels is possible.
        causes = lines_of(failure.provider, failure.causes)
        return _unverified(names, (*causes, *(line for line in lines if not any(line in cause for cause in causes))))
    for cap in capped(result.provider):
        if time.thread_time() > until:
            break
        _, raised = search.resolve([target.raised(cap) for target in session.settings.targets], names)
        if not isinstance(raised, Unresolvable):
            setting = _cap_setting(session, cap)
            hint = _hint(session, search, raised, setting)
            is_offered = not hint.lines and any(offer.startswith(setting) for offer in offers)
            return SourceHint() if is_offered else hint
    # What would work without sources is better than sources that do not suffice.
    if not names or any(not offer.startswith((DROPPED, EXCLUDES, *NO_PARTS.values())) for offer in offers):
        return SourceHint()
    return _insufficient(session, failure, result, names, lines)


def _insufficient(
    session: Session, failure: Unresolvable, result: Unresolvable, names: Iterable[str], lines: tuple[str, ...]
) -> SourceHint:
    """The hint where *result* is what remains of *failure* with *names* built from source."""
    setting, remaining = _setting(session, names), lines_of(result.provider, result.causes)
    if remaining == lines_of(failure.provider, failure.causes):
        text = (
            f"{setting} is needed as well, to build from source what has no wheel; it does not solve the conflict above"
        )
    else:
        listed = "".join(f"\n  {line}" for line in remaining[:_SHOWN])
        text = f"{setting} lets minglibc build from source what has no wheel; then this remains:{listed}"
    return SourceHint(lines, text, tuple(sorted(names)))


def _with_higher_cap(
    session: Session, search: SourceSearch, names: Iterable[str], resolutions: Iterable[Resolution]
) -> str:
    """The hint with the cap under which fewer of *names* have to be built, as some of them have wheels for it; or empty."""
    wanted: dict[str, set[Cap]] = {}
    for resolution in resolutions:
        own = session.compatibilities[0].at(resolution.target)
        for file in resolution.artifacts.values():
            page = session.wheel_index.project(file.name)
            position = page.versions.index_of(file.version)
            if isinstance(file, Sdist) and file.name in names and position is not None:
                wanted.setdefault(file.name, set()).update(own.wanted_caps(page, position))
    for cap in sorted(set().union(*wanted.values())):
        built = {name for name in names if not any(other <= cap for other in wanted.get(name, ()))}
        result = search.resolve_once([target.raised(cap) for target in session.settings.targets], built)
        if not isinstance(result, Unresolvable):
            return _hint(session, search, result, _cap_setting(session, cap)).text
    return ""


def _cap_setting(session: Session, cap: Cap) -> str:
    return as_options(f'tool.minglibc.{cap.libc} = "{cap}"', session.inputs.source.given)


def _unverified(names: Iterable[str], lines: tuple[str, ...] = ()) -> SourceHint:
    """The hint where it is not known whether the project could be locked with *names* built from source."""
    known = f" ({listed} at least)" if (listed := ", ".join(sorted(names))) else ""
    text = f"`lock --allow-sdist` tries to build from source what has no wheel{known}; this was not verified"
    return SourceHint(lines, text, tuple(sorted(names)))


def _hint(session: Session, search: SourceSearch, resolutions: Sequence[Resolution], cap: str) -> SourceHint:
    """The sources that *resolutions* need, and the setting *cap* if they need a higher one."""
    sources: dict[str, tuple[Sdist, Resolution]] = {}
    for resolution in resolutions:
        for file in resolution.artifacts.values():
            if isinstance(file, Sdist) and file.name not in session.settings.allow_sdist and not file.is_direct:
                sources.setdefault(file.name, (file, resolution))
    unknown = [name for name, (file, _) in sources.items() if file.filename in search.index.unknown]
    if session.needs_above_cap(resolutions):
        return _unverified(sources)
    if not sources:
        return SourceHint(text=f"this would work (verified): {cap}" if cap else "")
    verified, prefix = "verified", f"{cap} with " if cap else ""
    if unknown:
        verified += f" except for what {', '.join(unknown)} {'requires' if len(unknown) == 1 else 'require'}, which only a build can tell"
    lines = [_line(session, file, resolution) for file, resolution in sources.values()]
    text = (
        f"{prefix}{_setting(session, sources)} would work ({verified}): "
        f"it lets minglibc build from source what has no wheel; {_option(session)}"
    )
    return SourceHint(tuple(lines), text, tuple(sorted(sources)), is_verified=True)


def _line(session: Session, file: Sdist, resolution: Resolution) -> str:
    """Why *resolution* needs the package of *file*, and why it has no wheel."""
    page = session.wheel_index.project(file.name)
    own = session.compatibilities[0].at(resolution.target)
    position = page.versions.index_of(file.version)
    rejections = own.rejections(page, position) if position is not None else []
    reason = reason_of(rejections) if rejections else "has no wheel"
    active = resolution.requirements.get(file.name, ())
    requirement = f"{active[0].parent} requires {active[0].requirement.without_marker}; " if active else ""
    return f"{requirement}{file.name} {file.version} {reason}"


def _setting(session: Session, names: Iterable[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in sorted(set(names) - session.settings.allow_sdist))
    return f"tool.minglibc.allow-sdist = [{listed}]"


def _option(session: Session) -> str:
    return f"`lock`{' and `add` write' if session.inputs.source.is_project else ' allows'} it with --allow-sdist"
