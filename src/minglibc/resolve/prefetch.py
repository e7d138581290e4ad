"""What will probably be asked for next: fetched ahead, because a lock's time is the length of its chain of round trips."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, Requirement
from minglibc.resolve.candidates import Root, by_extra


class Speculation:
    """Guesses for all targets at once; a wrong guess costs a request, never an answer."""

    def __init__(
        self,
        compatibilities: Sequence[Compatibility],
        roots: Iterable[Root],
        *,
        preferences: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._compatibilities = compatibilities
        self._environments = [Environment(compatibility.target.environment) for compatibility in compatibilities]
        self._specifiers: dict[str, set[str]] = {}
        self._extras: dict[str, set[str]] = {}
        self._known: dict[str, Mapping[str, Sequence[Requirement]]] = {}
        self._preferences = dict(preferences)
        self._roots = [root.requirement for root in roots]

    def start(self) -> list[str]:
        """The projects that the roots name."""
        return list(self._names(self._roots, "", deque()))

    def page(self, page: ProjectPage) -> list[Artifact]:
        """The wheels of *page* whose metadata will probably be wanted: for each target the best of what is asked so far."""
        mask = page.versions.all
        for specifier in self._specifiers.get(page.name, ()):
            try:
                mask &= page.versions.mask(specifier)
            except ValueError:
                continue
        finals = mask & ~page.versions.prereleases
        wheels = {}
        for compatibility in self._compatibilities:
            wheel = self._best(compatibility, page, finals or mask)
            if wheel is not None:
                wheels[wheel.filename] = wheel
        return list(wheels.values())

    def _best(self, compatibility: Compatibility, page: ProjectPage, mask: int) -> Artifact | None:
        preferred = self._preferences.get(page.name)
        index = page.versions.index_of(preferred) if preferred else None
        if index is not None and mask >> index & 1:
            wheel = compatibility.best(page, index)
            if wheel is not None:
                return wheel
        while mask:
            index = mask.bit_length() - 1
            wheel = compatibility.best(page, index)
            if wheel is not None:
                return wheel
            mask ^= 1 << index
        return None

    def metadata(self, wheel: Artifact, metadata: CoreMetadata) -> list[str]:
        """The projects that *wheel* will make the resolver ask for."""
        try:
            self._known[wheel.name] = by_extra(metadata.requires_dist)
        except InvalidRequirement:
            return []
        return list(self._follow(wheel.name, ["", *sorted(self._extras.get(wheel.name, ()))]))

    def _follow(self, name: str, extras: Iterable[str]) -> Iterator[str]:
        """What the metadata of a project names without an extra or with *extras*, and with the extras that these name."""
        waiting = deque((name, extra) for extra in extras)
        while waiting:
            project, extra = waiting.popleft()
            yield from self._names(self._known[project].get(extra, ()), extra, waiting)

    def _names(self, requirements: Iterable[Requirement], extra: str, waiting: deque[tuple[str, str]]) -> Iterator[str]:
        """The projects of *requirements*; extras of known projects that are named for the first time are added to *waiting*."""
        for requirement in requirements:
            if requirement.url or not self._admits(requirement.marker, extra):
                continue
            self._specifiers.setdefault(requirement.name, set()).add(requirement.specifier)
            extras = self._extras.setdefault(requirement.name, set())
            fresh = [extra for extra in requirement.extras if extra not in extras]
            extras.update(fresh)
            yield requirement.name
            if requirement.name in self._known:
                waiting.extend((requirement.name, extra) for extra in fresh)

    def _admits(self, marker: str, extra: str) -> bool:
        try:
            return any(environment.admits(marker, extra) for environment in self._environments)
        except InvalidRequirement:
            return False
