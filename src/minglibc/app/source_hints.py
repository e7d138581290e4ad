"""All packages that a project needs from source, found by resolving as if they were allowed; nothing is built."""

from collections.abc import Iterable, Iterator, Sequence

from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.app.session import Session
from minglibc.app.static_index import StaticIndex
from minglibc.app.suggestions import as_options
from minglibc.errors import ProjectNotFound, ResolutionError
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Compatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, parse
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import Project
from minglibc.resolve.explain import SourceHint, lines_of, reason_of, source_only
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.suggestions import EXCLUDES, capped

# Each resolution finds at least one more package that has no wheel.
_MOST_RESOLUTIONS = 12
# Seconds of CPU time for each of them.
_PATIENCE = 10.0
# Lines of the obstacle that remains.
_SHOWN = 8


def source_hint(session: Session, failure: Unresolvable, offers: Sequence[str]) -> SourceHint:
    """What has to be built from source, with a higher cap if needed, so that the project of *failure* can be locked.

    If it still can't be locked, the hint names the next obstacle. It is empty if *offers* are enough.
    """
    blamed = frozenset(source_only(failure.provider, failure.causes, _Admission(session)))
    if failure.gave_up or (not blamed and offers):
        return SourceHint()
    without_wheels = {
        name: version for target in session.settings.targets for name, version in session.without_wheels(target).items()
    }
    blamed |= without_wheels.keys()
    lines = tuple(f"{name} {version} has no wheel" for name, version in sorted(without_wheels.items()))
    index = StaticIndex(session)
    names, result = _with_sources(session, index, session.settings.targets, set(blamed), failure)
    if not isinstance(result, Unresolvable):
        hint = _hint(session, index, result, "")
        with_cap = "" if offers else _with_higher_cap(session, index, names, result)
        hint = hint._replace(text="\nhint: ".join(filter(None, (with_cap, hint.text))))
        return hint._replace(lines=()) if len(hint.lines) == 1 and len(blamed) == 1 else hint
    if result.gave_up:
        return _unverified(names, lines)
    for cap in capped(result.provider):
        targets = [target.raised(cap) for target in session.settings.targets]
        _, raised = _with_sources(session, index, targets, set(names), None)
        if not isinstance(raised, Unresolvable):
            setting = _cap_setting(session, cap)
            hint = _hint(session, index, raised, setting)
            is_offered = not hint.lines and any(offer.startswith(setting) for offer in offers)
            return SourceHint() if is_offered else hint
    # What would work without sources is better than sources that do not suffice.
    if not names or any(not offer.startswith(("without ", EXCLUDES)) for offer in offers):
        return SourceHint()
    remaining = "".join(f"\n  {line}" for line in lines_of(result.provider, result.causes)[:_SHOWN])
    return SourceHint(
        lines,
        f"{_setting(session, names)} lets minglibc build from source what has no wheel; then this remains:{remaining}",
        tuple(sorted(names)),
    )


def _with_higher_cap(
    session: Session, index: "StaticIndex", names: Iterable[str], resolutions: Iterable[Resolution]
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
        result = _resolve(session, index, built, [target.raised(cap) for target in session.settings.targets])
        if not isinstance(result, Unresolvable):
            return _hint(session, index, result, _cap_setting(session, cap)).text
    return ""


def _cap_setting(session: Session, cap: Cap) -> str:
    return as_options(f'tool.minglibc.{cap.libc} = "{cap}"', session.inputs.source.given)


def _unverified(names: Iterable[str], lines: tuple[str, ...] = ()) -> SourceHint:
    """The hint where it is not known whether the project could be locked with *names* built from source."""
    text = "no suggestion could be verified; `lock --allow-sdist` tries to build from source what has no wheel"
    return SourceHint(lines, text, tuple(sorted(names)))


def _with_sources(
    session: Session, index: "StaticIndex", targets: Sequence[Target], names: set[str], failure: Unresolvable | None
) -> tuple[set[str], list[Resolution] | Unresolvable]:
    """The packages to build, *names* and those found to have no wheel, and the resolution with them or the last failure."""
    result = failure or _resolve(session, index, names, targets)
    checked: set[tuple[str, Target]] = set()
    for _ in range(_MOST_RESOLUTIONS):
        if not isinstance(result, Unresolvable) or result.gave_up:
            break
        more = set(source_only(result.provider, result.causes, _Admission(session)))
        target = result.provider.compatibility.target
        unchecked = [project for project in result.provider.seen() if (project.page.name, target) not in checked]
        more |= _without_alternative(session, unchecked, result.provider.compatibility)
        checked |= {(project.page.name, target) for project in unchecked}
        if more <= names and result is not failure:
            break
        names = names | more
        if not names:
            break
        result = _resolve(session, index, names, targets)
    return names, result


def _resolve(
    session: Session, index: "StaticIndex", names: Iterable[str], targets: Iterable[Target]
) -> list[Resolution] | Unresolvable:
    settings = session.settings._replace(allow_sdist=session.settings.allow_sdist | set(names))
    try:
        return resolve_all(
            session.roots,
            compatibilities_of(settings, targets, session.is_listed),
            index,
            policy=session.policy._replace(thorough=False),
            patience=_PATIENCE,
            locked=session.preferred,
        )
    except Unresolvable as failure:
        return failure


def _hint(session: Session, index: "StaticIndex", resolutions: Sequence[Resolution], cap: str) -> SourceHint:
    """The sources that *resolutions* need, and the setting *cap* if they need a higher one."""
    sources: dict[str, tuple[Sdist, Resolution]] = {}
    for resolution in resolutions:
        for file in resolution.artifacts.values():
            if isinstance(file, Sdist) and file.name not in session.settings.allow_sdist and not file.is_direct:
                sources.setdefault(file.name, (file, resolution))
    unknown = [name for name, (file, _) in sources.items() if file.filename in index.unknown]
    if session.needs_above_cap(resolutions):
        return _unverified(sources)
    if not sources:
        return SourceHint(text=f"this would work (verified): {cap}")
    verified, prefix = "verified", f"{cap} with " if cap else ""
    if unknown:
        verified += f" except for what {', '.join(unknown)} {'requires' if len(unknown) == 1 else 'require'}, which only a build can tell"
    lines = [_line(session, file, resolution) for file, resolution in sources.values()]
    text = (
        f"{prefix}{_setting(session, sources)} would work ({verified}): "
        f"it lets minglibc build from source what has no wheel; {_option(session)}"
    )
    return SourceHint(tuple(lines), text, tuple(sorted(sources)))


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


class _Admission:
    """Whether a release has a source distribution that the rules for its target admit."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._checks: dict[tuple[str, Target], Compatibility] = {}

    def __call__(self, page: ProjectPage, position: int, target: Target) -> bool:
        key = page.name, target
        if key not in self._checks:
            settings = self._session.settings._replace(allow_sdist=frozenset((page.name,)))
            self._checks[key] = compatibilities_of(settings, [target], self._session.is_listed)[0]
        return self._checks[key].best(page, position) is not None


def _without_alternative(session: Session, projects: Iterable[Project], compatibility: Compatibility) -> set[str]:
    """Those of *projects* that have no wheel for the target in any release, and a source distribution that is admitted."""
    admits, names = _Admission(session), set()
    for project in projects:
        page = project.page
        positions = range(len(page.versions) - 1, -1, -1)
        if (
            not compatibility.allows_sdist(page.name)
            and any(page.sdists(position) for position in positions)
            and not any(project.best(position, yanked=True) for position in positions)
            and any(admits(page, position, compatibility.target) for position in positions)
        ):
            names.add(page.name)
    return names


def stop_for_sources(session: Session) -> None:
    """Raise a ResolutionError for what a build reveals to be needed from source, before other releases are built instead."""
    index = session.wheel_index
    metadata_of = index.open_sdist

    def open_sdist(sdist: Sdist) -> CoreMetadata:
        metadata = metadata_of(sdist)
        names = {name for text in metadata.requires_dist for name in _needed_source(session, text)}
        if names:
            error = ResolutionError(
                f"{sdist.name} {sdist.version} requires {', '.join(sorted(names))}, without a wheel"
            )
            error.source_only = tuple(sorted(names))
            raise error
        return metadata

    index.open_sdist = open_sdist


def _needed_source(session: Session, text: str) -> Iterator[str]:
    """The name of the requirement *text*, if a target can only meet it with a source distribution that is not allowed yet."""
    try:
        requirement = parse(text)
        page = session.wheel_index.project(requirement.name)
    except (InvalidRequirement, ProjectNotFound):
        return
    admits = _Admission(session)
    mask = page.versions.mask(requirement.specifier)
    positions = [position for position in range(len(page.versions)) if mask >> position & 1]
    for compatibility in session.compatibilities:
        if (
            Environment(compatibility.target.environment).admits(requirement.marker)
            and any(page.sdists(position) for position in positions)
            and not any(compatibility.best(page, position) for position in positions)
            and any(admits(page, position, compatibility.target) for position in positions)
        ):
            yield page.name
