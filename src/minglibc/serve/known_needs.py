"""What earlier checks found in wheels, by `lock` with the setting verify, or by `check`: nothing is downloaded for it."""

import threading
from collections.abc import Callable

from minglibc.audit.binaries import Binaries
from minglibc.audit.rules import Binary, need_above
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile
from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.platform_tags import architecture_of
from minglibc.serve.page import PassedFile, valid_hashes
from minglibc.serve.routes import Selection


class KnownNeeds:
    """The needs of wheels whose binaries are in the cache."""

    def __init__(self, store: Store) -> None:
        self._binaries = Binaries(store)
        self._lock = threading.Lock()

    def of(self, selection: Selection) -> Callable[[PassedFile], str]:
        """A function for what a file needs beyond the cap of *selection*; empty if it needs nothing or was not checked."""

        def need(file: PassedFile) -> str:
            binaries = self._of_file(file)
            architectures = [selection.architecture] if selection.architecture else _architectures(file.filename)
            return need_above(binaries, architectures, selection.cap) if binaries else ""

        return need

    def _of_file(self, file: PassedFile) -> list[Binary]:
        hashes = valid_hashes(file.hashes)
        if not hashes or file.filename.endswith("-none-any.whl"):
            return []
        with self._lock:
            return self._binaries.cached(LockedFile(file.filename, "", hashes)) or []


def _architectures(filename: str) -> list[str]:
    """The architectures that the tags of a wheel name; all if they name none."""
    platforms = filename[:-4].rpartition("-")[2].split(".")
    return [name for platform in platforms if (name := architecture_of(platform))] or list(ARCHITECTURES)
