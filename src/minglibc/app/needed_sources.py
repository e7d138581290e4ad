"""The packages that can only be had from source: those of which a requirement admits no release with a compatible wheel."""

from collections.abc import Iterator, Sequence

from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.config.settings import Settings
from minglibc.errors import ProjectNotFound, ResolutionError
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Compatibility, Listing
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import Environment, InvalidRequirement, parse
from minglibc.model.targets import Target
from minglibc.resolve.candidates import WheelIndex


class SourceChecks:
    """The compatibility checks by the rules of *settings*, as if every project could be built from source."""

    def __init__(self, settings: Settings, is_listed: Listing | None) -> None:
        self._first = compatibilities_of(settings, settings.targets, is_listed, any_sdist=True)[0]

    def at(self, target: Target) -> Compatibility:
        """The check for *target*."""
        return self._first.at(target)

    def admits(self, page: ProjectPage, position: int, target: Target) -> bool:
        """Whether a release has a file that the rules for *target* admit, a source distribution included."""
        return self.at(target).best(page, position) is not None


class NeededSources:
    """What a build reveals to be needed from source, before other releases are built instead."""

    def __init__(
        self, index: WheelIndex, settings: Settings, compatibilities: Sequence[Compatibility], is_listed: Listing | None
    ) -> None:
        self._index = index
        self._compatibilities = compatibilities
        self._checks = SourceChecks(settings, is_listed)

    def check(self, sdist: Sdist, metadata: CoreMetadata) -> None:
        """Raise a ResolutionError that names the packages if *sdist*, by its *metadata*, requires some that have to be built."""
        names = {name for text in metadata.requires_dist for name in self._needed(text)}
        if names:
            listed = ", ".join(sorted(names))
            error = ResolutionError(f"{sdist.name} {sdist.version} requires {listed}, without a wheel")
            error.source_only = tuple(sorted(names))
            raise error

    def _needed(self, text: str) -> Iterator[str]:
        """The name of the requirement *text*, if a target can only meet it with a source distribution that is not allowed yet."""
        try:
            requirement = parse(text)
            page = self._index.project(requirement.name)
        except (InvalidRequirement, ProjectNotFound):
            return
        mask = page.versions.mask(requirement.specifier)
        positions = [position for position in range(len(page.versions)) if mask >> position & 1]
        for compatibility in self._compatibilities:
            if (
                Environment(compatibility.target.environment).admits(requirement.marker)
                and any(page.sdists(position) for position in positions)
                and not any(compatibility.best(page, position) for position in positions)
                and any(self._checks.admits(page, position, compatibility.target) for position in positions)
            ):
                yield page.name
