"""Why there is no answer: the requirements that conflict, what each release needs, and changes that are known to work."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from minglibc.errors import ResolutionError, SearchStopped
from minglibc.model.compatibility import Reason, Rejection
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target, newest
from minglibc.resolve.candidates import Project, Provider
from minglibc.resolve.conflict import Cause, ranges_of
from minglibc.resolve.resolution import Unresolvable

_LONGEST = 14
# Lines for releases of one parent with different requirements on one package; reasons of rejections; skipped files.
_ALTERNATIVES = 3
_REASONS = 4
_FILES = 6


class SourceHint(NamedTuple):
    """The packages without wheels: why each is needed, the setting that allows to build them, and their names.

    It is verified if it is known that the project can be locked with this setting.
    """

    lines: tuple[str, ...] = ()
    text: str = ""
    names: tuple[str, ...] = ()
    is_verified: bool = False


NO_SOURCES = SourceHint()


def explain(
    failure: Unresolvable,
    *,
    conflicting: Sequence[str] = (),
    offers: Sequence[str] = (),
    sources: SourceHint = NO_SOURCES,
    unverified: str = "",
) -> ResolutionError:
    """The error that describes *failure*.

    *conflicting* names those of the project, its extras and its groups that can't be locked together; *offers* are
    small changes to the project that are known to work; *sources* says what would have to be built; *unverified* is a
    hint where not everything was tried.
    """
    provider = failure.provider
    target = provider.compatibility.target
    if failure.seconds is not None:
        return _stopped(failure, failure.seconds, offers)
    # A package without any wheel has no alternative, while a conflict may be about old releases of another one.
    lines = [*sources.lines] or lines_of(provider, failure.causes)
    if len(conflicting) > 1:
        lines.append(
            f"{_listed(conflicting)} are locked together, in one lock, and can't agree; each can be locked without the others (verified)"
        )
    message = f"no set of wheels meets the requirements on {target}:\n" + "\n".join(f"  {line}" for line in lines)
    hint = _hint(conflicting, offers)
    # To build is to run what a stranger wrote: it is named, and never tried unasked.
    is_missing = any(provider.project(cause.requirement.name).missing for cause in failure.causes)
    default = _CHECK_NAME if is_missing else _LOOSEN
    error = ResolutionError(message, hint="\nhint: ".join(filter(None, (hint, sources.text, unverified))) or default)
    error.source_only = sources.names
    return error


def names_missing_project(failure: Unresolvable) -> bool:
    """Whether the project itself requires a name that no index has."""
    return any(
        cause.parent is None and failure.provider.project(cause.requirement.name).missing for cause in failure.causes
    )


def _stopped(failure: Unresolvable, seconds: float, offers: Sequence[str]) -> SearchStopped:
    names = ", ".join(failure.contested)
    message = (
        f"stopped searching for {failure.provider.compatibility.target} after {seconds:.0f} seconds; "
        "it is unknown whether there is a solution"
    )
    if offers:
        hint = _verified(offers)
    else:
        example = f', such as "{failure.bound}"' if failure.bound else ""
        hint = f"loosen what the project requires of one of these, or add a lower bound to constraints{example}"
    return SearchStopped(f"{message}\n  the packages that conflict most: {names}", hint=hint)


_LOOSEN = "loosen one of these requirements"
_CHECK_NAME = "check the spelling, or add the index that has it as [[tool.minglibc.index]]"


def _hint(conflicting: Sequence[str], offers: Sequence[str]) -> str:
    """What would help, as far as it is known to work or two of them conflict; empty otherwise."""
    if offers:
        return _verified(offers)
    if len(conflicting) > 1:
        return f"loosen what one of {_listed(conflicting)} requires, or give it a project and a lock of its own"
    return ""


def _verified(offers: Sequence[str]) -> str:
    if len(offers) == 1:
        return f"this would work (verified): {offers[0]}"
    return "\n  ".join(["each of these would work (verified):", *offers])


def source_only(
    provider: Provider, causes: Iterable[Cause], admits: Callable[[ProjectPage, int, Target], bool]
) -> list[str]:
    """The projects of which a requirement admits only releases without a wheel, one of them with a source that is admitted."""
    names: dict[str, None] = {}
    for cause in causes:
        name = cause.requirement.name
        page, compatibility = provider.project(name).page, provider.compatibility
        # Each requirement for itself: several parents can require different releases.
        mask = page.versions.all & provider.narrow(cause.requirement)
        required = [position for position in range(mask.bit_length()) if mask >> position & 1]
        if (
            not compatibility.allows_sdist(name)
            and any(page.sdists(position) for position in required)
            and not any(compatibility.best(page, position) for position in required)
            and any(admits(page, position, compatibility.target) for position in required)
        ):
            names[name] = None
    return list(names)


def fewest(parents: Iterable[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """A smallest part of *parents* for which *fails* still holds; each is left out in turn."""
    kept = list(parents)
    for parent in list(kept):
        rest = [other for other in kept if other != parent]
        if rest and fails(rest):
            kept = rest
    return kept


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def wanted_caps(provider: Provider) -> list[Cap]:
    """The higher caps that rejected releases need, lowest first; only those of C libraries that exist."""
    compatibility = provider.compatibility
    caps = {
        cap
        for project in provider.seen()
        for position in project.rejected()
        for cap in compatibility.wanted_caps(project.page, position)
    }
    return sorted(cap for cap in caps if cap <= newest(cap))


def _by_name(causes: Iterable[Cause]) -> dict[str, list[Cause]]:
    by_name: dict[str, list[Cause]] = {}
    for cause in causes:
        by_name.setdefault(cause.requirement.name, []).append(cause)
    return by_name


def lines_of(provider: Provider, causes: Sequence[Cause]) -> list[str]:
    """The chain of requirements from the project to the conflict, and what the releases at its end need."""
    chain: list[str] = []
    ends: list[str] = []
    for name, on_project in _by_name(causes).items():
        conflicts: list[list[Cause]] = []
        met: list[Cause] = []
        for together in _in_force_together(on_project):
            if next(provider.candidates(name, [cause.requirement for cause in together]), None) is None:
                conflicts.append(together)
            else:
                # A root without a specifier excludes nothing.
                met += [cause for cause in together if cause.parent or cause.requirement.requirement.specifier]
        chain += _described(met)
        ends += _ends(provider, name, conflicts)
    chain = list(dict.fromkeys(chain))
    if not ends:
        ends = ["each of these can be met, but not all of them together"]
    shown = max(_LONGEST - len(ends), _LONGEST // 2)
    if len(chain) > shown:
        chain[shown - 1 :] = [f"and {len(chain) - shown + 1} more requirements like these"]
    shown = _LONGEST - len(chain)
    if len(ends) > shown:
        ends[shown - 1 :] = [f"and {len(ends) - shown + 1} more lines like these"]
    return chain + ends


def _in_force_together(causes: Sequence[Cause]) -> list[list[Cause]]:
    """The requirements on one project, where those of different releases of one parent are alternatives."""
    alternatives = [
        cause
        for cause in causes
        if any(
            cause.parent and other.parent and cause.parent.identifier == other.parent.identifier
            and not {*cause.releases} & {*other.releases}
            for other in causes
        )
    ]  # fmt: skip
    common = [cause for cause in causes if cause not in alternatives]
    return [[*common, cause] for cause in alternatives] or [common]


def _described(causes: Iterable[Cause]) -> Iterator[str]:
    """A line for each cause; of many releases of one parent with different requirements, the newest ones are named."""
    by_parent: dict[tuple[str, str], list[Cause]] = {}
    for cause in dict.fromkeys(causes):
        parent = cause.parent.identifier if cause.parent else ""
        by_parent.setdefault((parent, cause.requirement.identifier), []).append(cause)
    for (parent, identifier), group in by_parent.items():
        group.sort(key=lambda cause: -cause.parent.index if cause.parent else 0)
        shown = len(group) if not parent or len(group) <= _ALTERNATIVES else _ALTERNATIVES - 1
        yield from map(str, group[:shown])
        rest = sum(len(cause.releases) for cause in group[shown:])
        if rest:
            yield f"{rest} other releases of {parent} have similar requirements on {identifier}"


def _ends(provider: Provider, name: str, conflicts: Sequence[Sequence[Cause]]) -> Iterator[str]:
    """The requirements of *conflicts* on a project, and why none of its releases meets those of one conflict."""
    if not conflicts:
        return
    project = provider.project(name)
    lines = list(dict.fromkeys(_described(cause for conflict in conflicts for cause in conflict)))
    lines += [f"the constraints have {name}{specifier}" for specifier in provider.constraints_on(name)]
    if project.missing:
        yield f"{project.missing}; {', '.join(lines)}"
        return
    if project.page.status == "quarantined":
        reason = f": {project.page.status_reason}" if project.page.status_reason else ""
        yield f"{name} is quarantined by its index{reason}; {', '.join(lines)}"
        return
    yield from lines
    if not len(project.page.versions):
        yield f"{name} has no releases that minglibc can read{_skipped_files(project)}"
        return
    common = [cause for cause in conflicts[0] if all(cause in conflict for conflict in conflicts)]
    combined = _combined(common) if len(conflicts) > 1 else ""
    yield from dict.fromkeys(
        reason for conflict in conflicts for reason in _reasons(provider, project, conflict, combined)
    )


def _combined(common: Sequence[Cause]) -> str:
    """What no release meets, where several causes conflict with those that they have in *common*."""
    if len(common) == 1:
        return f"{common[0].requirement.requirement.without_marker} and any of the others"
    return "a combination of these" if common else "any of these"


def _reasons(provider: Provider, project: Project, conflict: Sequence[Cause], combined: str) -> Iterator[str]:
    """Why no release of a project meets the requirements of a conflict; *combined* names those of several conflicts."""
    mask, name = project.page.versions.all, project.page.name
    for cause in conflict:
        mask &= provider.narrow(cause.requirement)
    if mask:
        yield from _releases(provider, project, mask)
        return
    alone = len({*(cause.requirement.requirement.specifier for cause in conflict), *provider.constraints_on(name)}) == 1
    yield f"no release of {name} meets {combined or ('this' if alone else 'all of these')}; {_range(project)}"


def _skipped_files(project: Project) -> str:
    skipped = project.page.skipped
    return f"; skipped files: {', '.join(skipped[:_FILES])}" if skipped else ""


def _range(project: Project) -> str:
    texts = project.page.versions.texts
    return f"it has {texts[0]}" if len(texts) == 1 else f"it has {texts[0]} to {texts[-1]}"


def _releases(provider: Provider, project: Project, mask: int) -> Iterator[str]:
    """One line for each reason: the releases, newest first, that it keeps out."""
    grouped: dict[str, list[int]] = {}
    page = project.page
    for position in range(mask.bit_length() - 1, -1, -1):
        if mask >> position & 1:
            grouped.setdefault(_reason(provider, project, position), []).append(position)
    groups = list(grouped.items())
    shown = _REASONS if len(groups) > _REASONS + 1 else len(groups)
    for reason, positions in groups[:shown]:
        listed = ranges_of(page.versions.texts, positions)
        yield f"{page.name} {listed} {_of_many(reason) if positions[1:] else reason}"
    rest = sum(len(positions) for _, positions in groups[shown:])
    if rest:
        yield f"{rest} other releases of {page.name} are incompatible as well"


def _reason(provider: Provider, project: Project, position: int) -> str:
    unusable = project.unusable.get(position)
    if unusable:
        return f"can't be used: {unusable}"
    rejections: list[Rejection] = provider.compatibility.rejections(project.page, position)
    if not rejections:
        return "would fit, and conflicts with the rest"
    built = [rejection for rejection in rejections if rejection.reason is Reason.UNUSABLE]
    if built and provider.compatibility.allows_sdist(project.page.name):
        return str(built[0])
    if rejections[0].needs:
        return f"{rejections[0]}; the cap is {provider.compatibility.target.cap}"
    return reason_of(rejections)


def reason_of(rejections: Sequence[Rejection]) -> str:
    """Why a release is rejected, in one phrase: what it needs, or what its wheels are for."""
    if rejections[0].needs:
        return str(rejections[0])
    built_for = _pythons(rejections)
    others = [str(rejection) for rejection in rejections if rejection.reason is not Reason.INTERPRETER]
    return " or ".join([*built_for, *others][:3])


def _pythons(rejections: Iterable[Rejection]) -> list[str]:
    """The Pythons that a release's wheels are for, as one phrase; PyPy and its like only where there is no CPython."""
    details = {rejection.detail for rejection in rejections if rejection.reason is Reason.INTERPRETER}
    numbers = {detail.removeprefix("CPython ") for detail in details if detail.startswith("CPython ")}
    listed = ", ".join(sorted(numbers, key=lambda number: (len(number), number)))
    detail = f"CPython {listed}" if listed else ", ".join(sorted(details))
    return [str(Rejection(Reason.INTERPRETER, detail))] if detail else []


_VERBS = {"needs ": "need ", "is ": "are ", "has ": "have ", "was ": "were "}


def _of_many(reason: str) -> str:
    """A reason of one release, said of several."""
    phrases = reason.split(" or ")
    for verb, plural in _VERBS.items():
        phrases = [plural + phrase.removeprefix(verb) if phrase.startswith(verb) else phrase for phrase in phrases]
    return " or ".join(phrases)
