"""Resolutions for hints, in which packages without a wheel may be built from source; nothing is built."""

import time
from collections.abc import Iterable, Sequence

from minglibc.app.needed_sources import SourceChecks
from minglibc.app.session import Session
from minglibc.app.static_index import StaticIndex
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility, Rejection
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.explain import source_only
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Resolution, Unresolvable

# Nearly all packages without a wheel are known after the first resolution.
_MOST_RESOLUTIONS = 3
# Each archive is a download.
_MOST_ARCHIVES = 30


class SourceSearch:
    """Resolves a session's project until a time, in CPU seconds of the thread."""

    def __init__(self, session: Session, checks: SourceChecks, until: float) -> None:
        self._session = session
        self._checks = checks
        self._until = until
        self.index = StaticIndex(session, until=until, most_archives=_MOST_ARCHIVES)
        self._only_sources: dict[tuple[str, Target], bool] = {}

    def resolve(
        self, targets: Sequence[Target], names: Iterable[str]
    ) -> tuple[set[str], list[Resolution] | Unresolvable]:
        """The packages to build, *names* and those that turn out to have no wheel, and the resolution with them or the failure."""
        names = set(names)
        for _ in range(_MOST_RESOLUTIONS):
            result = self.resolve_once(targets, names)
            if not isinstance(result, Unresolvable) or result.gave_up:
                break
            more = set(source_only(result.provider, result.causes, self._checks.admits))
            if more <= names:
                break
            names |= more
        return names | {name for (name, _), is_so in self._only_sources.items() if is_so}, result

    def resolve_once(self, targets: Iterable[Target], names: Iterable[str]) -> list[Resolution] | Unresolvable:
        """The resolution where *names* and what has no wheel at all may be built, or the failure."""
        session = self._session
        first = SourcesWhereNeeded(session.compatibilities[0], self._checks, names, self._only_sources)
        try:
            return resolve_all(
                session.roots,
                [first.at(target) for target in targets],
                self.index,
                policy=session.policy._replace(thorough=False),
                patience=self._until - time.thread_time(),
                locked=session.preferred,
            )
        except Unresolvable as failure:
            return failure


class SourcesWhereNeeded:
    """A session's check that admits source distributions of *names*, and of projects that have no wheel for its target."""

    def __init__(
        self,
        own: Compatibility,
        checks: SourceChecks,
        names: Iterable[str],
        only_sources: dict[tuple[str, Target], bool],
    ) -> None:
        self._own = own
        self._checks = checks
        self._names = frozenset(names)
        self._with_sources = checks.at(own.target)
        # By name and target, shared by the checks of all targets: whether no release has a wheel, but one a source.
        self._only_sources = only_sources

    @property
    def target(self) -> Target:
        """The target that is checked."""
        return self._own.target

    def at(self, target: Target) -> "SourcesWhereNeeded":
        """The check for another *target* by the same rules."""
        return SourcesWhereNeeded(self._own.at(target), self._checks, self._names, self._only_sources)

    def at_cap(self, cap: Cap) -> "SourcesWhereNeeded":
        """The check for the same machine under another cap."""
        return self.at(self.target._replace(cap=cap))

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source."""
        return name in self._names or self._only_sources.get((name, self.target), False) or self._own.allows_sdist(name)

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Artifact | None:
        """The most suitable file of a version."""
        file = self._own.best(page, index, yanked=yanked)
        if file is None and (page.name in self._names or self._has_only_sources(page)):
            file = self._with_sources.best(page, index, yanked=yanked)
        return file

    def _has_only_sources(self, page: ProjectPage) -> bool:
        """Whether no release of a project has a wheel for the target, and one has a source distribution that is admitted."""
        key = page.name, self.target
        if key not in self._only_sources:
            positions = range(len(page.versions) - 1, -1, -1)
            self._only_sources[key] = not any(
                self._own.best(page, position, yanked=True) for position in positions
            ) and any(self._with_sources.best(page, position) for position in positions)
        return self._only_sources[key]

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why each file of a version is rejected."""
        return (self._with_sources if self.allows_sdist(page.name) else self._own).rejections(page, index)

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that the files of an incompatible version need."""
        return self._own.wanted_caps(page, index)
