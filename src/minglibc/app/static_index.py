"""The index of a session without builds: what only a build can tell about a source distribution is estimated."""

from collections.abc import Iterable
from contextlib import suppress

from minglibc.app.session import Session
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata
from minglibc.model.project_page import ProjectPage

_LARGEST_SDIST = 64 << 20


def _without_requirements(sdist: Sdist) -> CoreMetadata:
    return CoreMetadata(sdist.name, sdist.version)


class StaticIndex:
    """The index of a session, in which the metadata of source distributions that only a build can tell are estimated."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._index = session.wheel_index
        self.unknown: set[str] = set()
        """The file names of such source distributions."""
        self._estimates: dict[str, CoreMetadata] = {}

    def project(self, name: str) -> ProjectPage:
        """The page of a project."""
        return self._index.project(name)

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The metadata of *wheel*; of a source distribution, as far as they are static."""
        if not isinstance(wheel, Sdist) or wheel.is_direct:
            return self._index.metadata(wheel)
        if wheel.filename not in self._estimates:
            small = wheel.size is None or wheel.size <= _LARGEST_SDIST
            if small:
                with suppress(DynamicMetadata):
                    return self._session.static_metadata(wheel)
            self.unknown.add(wheel.filename)
            estimate = self._session.estimated_metadata if small else _without_requirements
            self._estimates[wheel.filename] = estimate(wheel)
        return self._estimates[wheel.filename]

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Request the metadata of *wheels* ahead."""
        self._index.prefetch([wheel for wheel in wheels if not isinstance(wheel, Sdist)])
