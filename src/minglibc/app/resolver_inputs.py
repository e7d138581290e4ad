"""Settings as the resolver takes them: requirements with their parents, compatibility checks, and the selection policy."""

from collections.abc import Iterable, Iterator, Sequence

from minglibc.config.settings import Settings
from minglibc.lock.document import EXTRA, GROUP
from minglibc.model.compatibility import Cutoff, Listing, TargetCompatibility
from minglibc.model.requirements import Requirement
from minglibc.model.targets import Target
from minglibc.resolve.candidates import PROJECT, Policy, Root


def roots_of(settings: Settings) -> tuple[Root, ...]:
    """Every requirement of the project, its extras and its groups, with the one of them that it belongs to."""
    requirements = {
        PROJECT: settings.requirements,
        **{EXTRA + name: required for name, required in settings.extras.items()},
        **{GROUP + name: required for name, required in settings.groups.items()},
    }
    return tuple(Root(requirement, parent) for parent, required in requirements.items() for requirement in required)


def compatibilities_of(
    settings: Settings, targets: Iterable[Target], is_listed: Listing | None = None, *, any_sdist: bool = False
) -> tuple[TargetCompatibility, ...]:
    """A compatibility check for each target, the oldest first: its resolution is tried on the others.

    With *any_sdist*, every project may be built from source.
    """
    cutoff = Cutoff(
        _cutoff_time(settings.exclude_newer),
        {name: _cutoff_time(moment) for name, moment in settings.exclude_newer_package.items()},
    )
    ordered = sorted(targets, key=lambda t: (t.python, t.cap.libc, t.cap, t.architecture))
    first = TargetCompatibility(
        ordered[0],
        allow_linux_tag=settings.allow_linux_tag,
        allow_sdist=settings.allow_sdist,
        any_sdist=any_sdist,
        exclude_newer=cutoff,
        is_listed=is_listed,
    )
    return tuple(map(first.at, ordered))


def policy_of(settings: Settings) -> Policy:
    """The settings' rules for choosing between candidates."""
    return Policy(
        settings.prereleases,
        settings.resolution,
        settings.constraints,
        settings.overrides,
        settings.excludes,
        fewest=settings.fork_strategy == "fewest",
    )


def direct_requirements(settings: Settings) -> Sequence[Requirement]:
    """The requirements that give a URL or a path (direct references, PEP 508)."""
    return [requirement for requirement in _requirements(settings) if requirement.url]


def _requirements(settings: Settings) -> Iterator[Requirement]:
    yield from settings.requirements
    yield from settings.overrides
    for required in (*settings.extras.values(), *settings.groups.values()):
        yield from required


def _cutoff_time(moment: object) -> str:
    """The prefix of the upload times that are too new; without Z, because fractions of a second sort after it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else ""  # type: ignore[attr-defined]
