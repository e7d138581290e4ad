"""The binaries of wheels and environments on disk; a wheel's are remembered by its digest, so that reading costs once."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from zipfile import BadZipFile

import msgspec

from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import Binary, Foreign, Unreadable, read_binary, wheel_binaries
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile
from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.model.artifacts import printable
from minglibc.model.requirements import normalize_name
from minglibc.model.zip_archive import open_zip

# An entry is as good as what read it: raise this when elf or audit come to see more in a file.
_KIND = "binaries-1"
_CONTENTS: Mapping[str, Any] = {"elf": ElfFile, "foreign": Foreign, "unreadable": Unreadable}
_NEVER_BINARY = (".py", ".pyc", ".pyi")


class WheelSource(Protocol):
    """Fetches the wheels of a lock."""

    def fetch(self, files: Sequence[LockedFile]) -> Mapping[str, str]:
        """A path for each of *files* by file name."""
        ...


class Binaries:
    """What wheels hold, out of the store where it is known, else out of the wheels themselves."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_files(self, files: Sequence[LockedFile], source: WheelSource) -> dict[str, list[Binary]]:
        """The binaries of each of *files* by file name; only what was never read before is fetched."""
        found = {file.filename: self._known(file) for file in files}
        missing = [file for file in files if found[file.filename] is None]
        paths = source.fetch(missing) if missing else {}
        for file in missing:
            binaries = found[file.filename] = of_wheel(paths[file.filename], file.filename)
            self._remember(file, binaries)
        return {filename: binaries for filename, binaries in found.items() if binaries is not None}

    def _known(self, file: LockedFile) -> list[Binary] | None:
        kept = self._store.read(_KIND, _place(file))
        if kept is None:
            return None
        distribution = distribution_of(file.filename)
        try:
            return [
                Binary(distribution, path, msgspec.convert(content, _CONTENTS[kind])) for path, kind, content in kept[0]
            ]
        except (ValueError, KeyError, TypeError):
            return None

    def _remember(self, file: LockedFile, binaries: Sequence[Binary]) -> None:
        names = {content: name for name, content in _CONTENTS.items()}
        head = [[each.path, names[type(each.content)], msgspec.to_builtins(each.content)] for each in binaries]
        self._store.write(_KIND, _place(file), head)


def _place(file: LockedFile) -> str:
    algorithm, digest = file.digest
    return f"{digest[:2]}/{algorithm}-{digest}"


def distribution_of(filename: str) -> str:
    """The name and version that a wheel's file name begins with, as findings say them."""
    name, _, rest = filename.partition("-")
    return f"{normalize_name(name)} {rest.partition('-')[0]}"


def of_wheel(path: str, filename: str) -> list[Binary]:
    """The binaries of the wheel at *path*; raises WheelError where it can't be opened."""
    try:
        with open(path, "rb") as file, open_zip(file) as archive:
            return list(wheel_binaries(distribution_of(filename), archive))
    except (OSError, BadZipFile) as error:
        raise WheelError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error


def wheels_in(path: str) -> list[str]:
    """The paths of the wheels in the folder *path*, or of the one wheel that it is; raises WheelError where there is none."""
    if not os.path.isdir(path):
        if not path.endswith(".whl"):
            raise WheelError(
                f"{path} is neither a wheel nor a folder of wheels",
                hint="an environment is checked by --environment PATH",
            )
        return [path]
    found = sorted(os.path.join(path, entry) for entry in os.listdir(path) if entry.endswith(".whl"))
    if not found:
        raise WheelError(f"{path} holds no wheel", hint="an environment is checked by --environment PATH")
    return found


def is_conda(prefix: str) -> bool:
    """Whether conda made the environment at *prefix*: then all that is below belongs to it."""
    return os.path.isdir(os.path.join(prefix, "conda-meta"))


def of_environment(prefix: str, owners: Mapping[str, str], places: Iterable[str] = ("",)) -> Iterator[Binary]:
    """The binaries below *places* in *prefix*; *owners* says whose a path is, nobody's are the environment's own."""
    for folder, names in _folders(os.path.normpath(os.path.join(prefix, place)) for place in places):
        for name in sorted(names):
            path = os.path.join(folder, name)
            # A venv's interpreter is a link to one that is not the environment's.
            if name.endswith(_NEVER_BINARY) or os.path.islink(path) or not os.path.isfile(path):
                continue
            relative = os.path.relpath(path, prefix)
            try:
                with open(path, "rb", opener=open_regular) as stream:
                    binary = read_binary(owners.get(relative, ""), relative, stream)
            except OSError as error:
                binary = Binary(owners.get(relative, ""), printable(relative), Unreadable(error.strerror or str(error)))
            if binary is not None:
                yield binary


def _folders(roots: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    for root in dict.fromkeys(roots):
        for folder, _, names in os.walk(root):
            yield folder, names
