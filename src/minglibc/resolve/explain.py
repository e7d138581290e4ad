"""Why there is no answer: the requirements that conflict, what each release needs, and changes that are known to work."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from minglibc.errors import ResolutionError
from minglibc.model.compatibility import Reason, Rejection
from minglibc.model.targets import Cap, newest
from minglibc.resolve.candidates import Project, Provider
from minglibc.resolve.resolution import Cause, Unresolvable

_SHOWN = 6
_LONGEST = 16


def explain(
    failure: Unresolvable,
    works: Callable[[Cap], bool],
    *,
    conflicting: Sequence[str] = (),
    offers: Sequence[str] = (),
) -> ResolutionError:
    """The error that describes *failure*; *works* says whether a whole lock succeeds under another cap.

    *conflicting* names those of the project, its extras and its groups that can't be locked together; *offers* are
    small changes to the project that are known to work.
    """
    provider = failure.provider
    target = provider.compatibility.target
    if failure.seconds is not None:
        names = ", ".join(failure.contested)
        return ResolutionError(
            f"stopped searching for {target} after {failure.seconds:.0f} seconds; there may be a set of wheels that was"
            f" not found\n  the packages that conflict most: {names}",
            hint=f"add a constraint, such as a lower bound, on one of {names}",
        )
    lines = _lines(provider, failure.causes)
    if len(conflicting) > 1:
        lines.append(
            f"{_listed(conflicting)} are locked together, in one lock, and can't agree; each can be locked without the others (verified)"
        )
    source = _source_hint(provider, failure.causes)
    message = f"no set of wheels meets the requirements on {target}:\n" + "\n".join(f"  {line}" for line in lines)
    hint = _hint(provider, works, conflicting, offers)
    # To build is to run what a stranger wrote: it is named, and never tried unasked.
    return ResolutionError(message, hint="; or ".join(filter(None, (hint, source))) or _LOOSEN)


_LOOSEN = "loosen one of these requirements, or drop a Python or an architecture"


def _hint(provider: Provider, works: Callable[[Cap], bool], conflicting: Sequence[str], offers: Sequence[str]) -> str:
    """What would help, as far as it is known to work or two of them conflict; empty otherwise."""
    if offers:
        return f"{'this' if len(offers) == 1 else 'each of these'} would work (verified): {'; '.join(offers)}"
    cap = lowest_cap(provider, works)
    if cap is not None:
        return f'tool.minglibc.{cap.libc} = "{cap}" would work (verified); it is the lowest that does'
    if len(conflicting) > 1:
        return f"loosen what one of {_listed(conflicting)} requires, or give it a project and a lock of its own"
    return ""


def _source_hint(provider: Provider, causes: Iterable[Cause]) -> str:
    """The setting that admits the sources of projects without a wheel for the target; empty where there are none."""
    names = [name for name, asked in _by_name(causes).items() if _has_only_sources(provider, name, asked)]
    if not names:
        return ""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"tool.minglibc.allow-sdist = [{listed}] lets minglibc build from source what has no wheel (not verified)"


def _has_only_sources(provider: Provider, name: str, causes: Iterable[Cause]) -> bool:
    """Whether the releases that are asked for have no wheel for the target, and one of them a source."""
    page, compatibility = provider.project(name).page, provider.compatibility
    mask = page.versions.all
    for cause in causes:
        mask &= provider.narrow(cause.requirement)
    asked = [position for position in range(mask.bit_length()) if mask >> position & 1]
    sources = any(page.sdists(position) for position in asked)
    return (
        not compatibility.allows_sdist(name)
        and sources
        and not any(compatibility.best(page, position) for position in asked)
    )


def fewest(askers: Iterable[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """A smallest part of *askers* for which *fails* still holds, found by leaving out one after the other."""
    kept = list(askers)
    for asker in list(kept):
        rest = [each for each in kept if each != asker]
        if rest and fails(rest):
            kept = rest
    return kept


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def lowest_cap(provider: Provider, works: Callable[[Cap], bool]) -> Cap | None:
    """The lowest higher cap under which *works* holds, among those that a refused wheel asks for."""
    return next((cap for cap in wanted_caps(provider) if works(cap)), None)


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
    found: dict[str, list[Cause]] = {}
    for cause in causes:
        found.setdefault(cause.requirement.name, []).append(cause)
    return found


def _lines(provider: Provider, causes: Sequence[Cause]) -> list[str]:
    """The chain of requirements from the project to the conflict, and what the releases at its end need."""
    lines: list[str] = []
    ends = 0
    for name, on_name in _by_name(causes).items():
        dependencies = [cause.requirement for cause in on_name]
        if next(provider.candidates(name, dependencies), None) is None:
            lines += _end(provider, name, on_name)
            ends += 1
        else:
            # A root without a specifier excludes nothing.
            chain = [cause for cause in on_name if cause.parent is not None or cause.requirement.requirement.specifier]
            lines += [_wording(cause) for cause in chain]
    if not ends:
        lines.append("each of these can be met, but not all of them together")
    if len(lines) > _LONGEST:
        more = len(lines) - _LONGEST
        lines[_LONGEST:] = [f"and {more} more {'line' if more == 1 else 'lines'} like these"]
    return lines


def _end(provider: Provider, name: str, causes: Sequence[Cause]) -> Iterator[str]:
    """Why no release of a project meets the requirements on it."""
    project = provider.project(name)
    required = ", ".join(dict.fromkeys(_wording(cause) for cause in causes))
    if project.missing:
        yield f"{project.missing}; {required}"
        return
    if project.page.status == "quarantined":
        reason = f": {project.page.status_reason}" if project.page.status_reason else ""
        yield f"{name} is quarantined by its index{reason}; {required}"
        return
    mask = project.page.versions.all
    for cause in causes:
        mask &= provider.narrow(cause.requirement)
    yield required
    if not len(project.page.versions):
        yield f"{name} has no releases that minglibc can read{_skipped_files(project)}"
    elif not mask:
        several = len({cause.requirement.requirement.specifier for cause in causes}) > 1
        yield f"no release of {name} meets {'all of these' if several else 'this'}; {_range(project)}"
    else:
        yield from _releases(provider, project, mask)


def _wording(cause: Cause) -> str:
    dependency, parent = cause.requirement, cause.parent
    text = dependency.requirement.without_marker
    if dependency.extra:
        text = f"{dependency.name}[{dependency.extra}]{dependency.requirement.specifier}"
    if parent is None:
        return f"{dependency.parent or 'the project'} requires {text}"
    more = f" and {len(cause.releases) - _SHOWN} more" if len(cause.releases) > _SHOWN else ""
    verb = "require" if len(cause.releases) > 1 else "requires"
    return f"{parent.identifier} {', '.join(cause.releases[:_SHOWN])}{more} {verb} {text}"


def _skipped_files(project: Project) -> str:
    skipped = project.page.skipped
    return f"; skipped files: {', '.join(skipped[:_SHOWN])}" if skipped else ""


def _range(project: Project) -> str:
    texts = project.page.versions.texts
    return f"it has {texts[0]}" if len(texts) == 1 else f"it has {texts[0]} to {texts[-1]}"


def _releases(provider: Provider, project: Project, mask: int) -> Iterator[str]:
    """One line for each reason: the releases, newest first, that it keeps out."""
    grouped: dict[str, list[str]] = {}
    page = project.page
    for position in range(mask.bit_length() - 1, -1, -1):
        if mask >> position & 1:
            reason = _reason(provider, project, position)
            grouped.setdefault(reason, []).append(page.versions.texts[position])
    for reason, texts in grouped.items():
        more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
        yield f"{page.name} {', '.join(texts[:_SHOWN])}{more} {_of_many(reason) if texts[1:] else reason}"


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
    first = rejections[0]
    if first.needs:
        return f"{first}; the cap is {provider.compatibility.target.cap}"
    built_for = _pythons(rejections)
    others = [str(rejection) for rejection in rejections if rejection.reason is not Reason.INTERPRETER]
    return " or ".join([*built_for, *others][:3])


def _pythons(rejections: Iterable[Rejection]) -> list[str]:
    """The Pythons that a release's wheels are for, as one phrase; PyPy and its like only where there is no CPython."""
    found = {rejection.detail for rejection in rejections if rejection.reason is Reason.INTERPRETER}
    numbers = {detail.removeprefix("CPython ") for detail in found if detail.startswith("CPython ")}
    said = ", ".join(sorted(numbers, key=lambda number: (len(number), number)))
    detail = f"CPython {said}" if said else ", ".join(sorted(found))
    return [str(Rejection(Reason.INTERPRETER, detail))] if detail else []


_VERBS = {"needs ": "need ", "is ": "are ", "has ": "have ", "was ": "were "}


def _of_many(reason: str) -> str:
    """A reason of one release, said of several."""
    phrases = reason.split(" or ")
    for verb, plural in _VERBS.items():
        phrases = [plural + phrase.removeprefix(verb) if phrase.startswith(verb) else phrase for phrase in phrases]
    return " or ".join(phrases)
