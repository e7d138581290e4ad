"""The index of a session without builds: what only a build can tell about a source distribution is estimated."""

import math
import sys
import time
from collections.abc import Iterable

from minglibc.app.session import Session
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage

_LARGEST_SDIST = 64 << 20


class StaticIndex:
    """The index of a session, in which the metadata of source distributions that only a build can tell are estimated.

    No archive is opened twice, none after *until*, in CPU seconds of the thread, and at most *most_archives*.
    """

    def __init__(self, session: Session, *, until: float = math.inf, most_archives: int = sys.maxsize) -> None:
        self._session = session
        self._index = session.wheel_index
        self._until = until
        self._archives_left = most_archives
        self.unknown: set[str] = set()
        """The file names of such source distributions."""
        self._known: dict[str, CoreMetadata | ValueError] = {}
        # By name: the first estimate serves for all releases.
        self._estimates: dict[str, CoreMetadata] = {}

    def project(self, name: str) -> ProjectPage:
        """The page of a project."""
        return self._index.project(name)

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The metadata of *wheel*; of a source distribution, as far as they are static."""
        if not isinstance(wheel, Sdist) or wheel.is_direct:
            return self._index.metadata(wheel)
        metadata = self._known.get(wheel.filename)
        if metadata is None:
            try:
                metadata = self._read(wheel)
            except ValueError as error:
                metadata = error
            self._known[wheel.filename] = metadata
        if isinstance(metadata, ValueError):
            raise metadata
        return metadata

    def _read(self, sdist: Sdist) -> CoreMetadata:
        estimate = self._estimates.get(sdist.name)
        if estimate is None:
            estimate = CoreMetadata(sdist.name, sdist.version)
            is_small = sdist.size is None or sdist.size <= _LARGEST_SDIST
            if is_small and self._archives_left and time.thread_time() < self._until:
                self._archives_left -= 1
                estimate, is_complete = self._session.probable_metadata(sdist)
                if is_complete:
                    return estimate
            self._estimates[sdist.name] = estimate
        self.unknown.add(sdist.filename)
        return estimate._replace(version=sdist.version)

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Request the metadata of *wheels* ahead."""
        self._index.prefetch([wheel for wheel in wheels if not isinstance(wheel, Sdist)])
