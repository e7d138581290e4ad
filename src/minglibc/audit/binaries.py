"""The binaries of wheels, cached by digest."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from zipfile import BadZipFile

import msgspec

from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary, Foreign, Unreadable, wheel_binaries
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile
from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.model.requirements import normalize_name
from minglibc.model.zip_archive import open_zip

# Increase it when elf or rules read more from a file.
_KIND = "binaries-3"
_CONTENTS: Mapping[str, Any] = {"elf": ElfFile, "foreign": Foreign, "unreadable": Unreadable}


class WheelSource(Protocol):
    """Fetches the wheels of a lock."""

    def fetch(self, files: Sequence[LockedFile]) -> Mapping[str, str]:
        """A path for each of *files* by file name."""
        ...


class Binaries:
    """The binaries of wheels, from the cache or else from the wheels themselves."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_files(self, files: Sequence[LockedFile], source: WheelSource) -> dict[str, list[Binary]]:
        """The binaries of each of *files* by file name; only files that are not in the cache are fetched."""
        cached = {file.filename: self.cached(file) for file in files}
        missing = [file for file in files if cached[file.filename] is None]
        paths = source.fetch(missing) if missing else {}
        for file in missing:
            binaries = cached[file.filename] = of_wheel(paths[file.filename], file.filename)
            self._store_binaries(file, binaries)
        return {filename: binaries for filename, binaries in cached.items() if binaries is not None}

    def cached(self, file: LockedFile) -> list[Binary] | None:
        """The binaries of *file*, None if the cache does not have them."""
        entry = self._store.read(_KIND, _cache_name(file))
        if entry is None:
            return None
        distribution = distribution_of(file.filename)
        try:
            return [
                Binary(distribution, path, msgspec.convert(content, _CONTENTS[kind]))
                for path, kind, content in entry.head
            ]
        except (ValueError, KeyError, TypeError):
            return None

    def _store_binaries(self, file: LockedFile, binaries: Sequence[Binary]) -> None:
        names = {content: name for name, content in _CONTENTS.items()}
        head = [[binary.path, names[type(binary.content)], msgspec.to_builtins(binary.content)] for binary in binaries]
        self._store.write(_KIND, _cache_name(file), head)


def _cache_name(file: LockedFile) -> str:
    algorithm, digest = file.digest
    return f"{digest[:2]}/{algorithm}-{digest}"


def distribution_of(filename: str) -> str:
    """The name and version at the start of a wheel's file name, as findings show them."""
    name, _, rest = filename.partition("-")
    return f"{normalize_name(name)} {rest.partition('-')[0]}"


def of_wheel(path: str, filename: str) -> list[Binary]:
    """The binaries of the wheel at *path*; raises WheelError if it can't be opened."""
    try:
        with open(path, "rb", opener=open_regular) as file, open_zip(file) as archive:
            return list(wheel_binaries(distribution_of(filename), archive))
    except (OSError, BadZipFile) as error:
        raise WheelError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error
