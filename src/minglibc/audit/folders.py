"""The binaries in folders on disk: environments, folders of packages, and root file systems."""

import csv
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from minglibc.audit.rules import Binary, Unreadable, read_binary
from minglibc.config.files import open_regular, real_path
from minglibc.config.project_modules import NOT_PACKAGES
from minglibc.model.artifacts import printable
from minglibc.model.core_metadata import headers
from minglibc.model.requirements import normalize_name

_NEVER_BINARY = (".py", ".pyc", ".pyi")
METADATA_FOLDERS = (".dist-info", ".egg-info")
_PROJECT_FILES = ("pyproject.toml", "setup.py")
# Mounted by the kernel; the folders of an unpacked image may have files of the machine that unpacked it.
_KERNEL_FOLDERS = ("dev", "proc", "sys")
_MAX_METADATA = 8 << 20
# The memory of all paths that metadata lists, each of which needs more than its characters. Files above it have no owner.
_MAX_OWNED_SIZE, _ENTRY_SIZE = 100 << 20, 100
_INTERPRETER = re.compile(r"(?:python|\U0001d70bthon|pypy)[0-9.]*t?")


class Folder(NamedTuple):
    """A folder to read, and the file of the distribution that its files belong to, unless metadata says otherwise."""

    path: str
    listed_in: str = ""
    is_import_path: bool = False
    """Whether it is an entry of sys.path outside of an environment: other folders than packages are not read."""


class Skipped(NamedTuple):
    """Something that was not read because no interpreter loads it."""

    path: str
    reason: str


class Contents(NamedTuple):
    """What was read from folders."""

    binaries: list[Binary]
    files: dict[str, int]
    """The number of files in each folder."""
    skipped: list[Skipped]
    wheels: list[str]
    """The paths of wheels, which are not read."""
    has_packages: bool = False
    """Whether there is metadata of an installed distribution."""


NOTHING = Contents([], {}, [], [])


def read_folders(base: str, folders: Iterable[Folder]) -> Contents:
    """The binaries in *folders*, with paths relative to *base* where they are inside; links are followed.

    What can't be read is a binary with the content ``Unreadable``.
    """
    reader = _Reader(base)
    for folder in folders:
        reader.read(folder)
    return reader.contents()


def read_root(base: str) -> Contents:
    """The binaries in the root file system at *base*, whose links lead to other files of it."""
    reader = _Reader(base, is_root=True)
    reader.read(Folder(base))
    return reader.contents()


def is_environment(folder: str) -> bool:
    """Whether *folder* is a virtual or conda environment."""
    return os.path.isfile(os.path.join(folder, "pyvenv.cfg")) or os.path.isdir(os.path.join(folder, "conda-meta"))


def contains(folder: str, path: str) -> bool:
    """Whether *path* is *folder* or below it; both are real paths."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


class _Reader:
    def __init__(self, base: str, *, is_root: bool = False) -> None:
        self._base = os.path.abspath(base)
        self._real_base = os.path.realpath(base)
        self._is_root = is_root
        self._binaries: dict[str, Binary] = {}
        self._owners: dict[str, str] = {}
        self._visited: set[str] = set()
        # The path of each file by its path without links, and the names of the links to it.
        self._paths: dict[str, str] = {}
        self._aliases: dict[str, list[str]] = {}
        self._links: deque[str] = deque()
        self._count = 0
        self._files: dict[str, int] = {}
        self._skipped: list[Skipped] = []
        self._wheels: list[str] = []
        self._has_packages = False
        self._owned_size = 0

    def read(self, folder: Folder) -> None:
        before, known = self._count, set(self._binaries)
        path = os.path.abspath(folder.path)
        if os.path.isfile(path):
            self._read_file(path, real_path(path))
        elif not os.path.isdir(path):
            self._unreadable(path, "it is neither a regular file nor a folder")
        else:
            self._walk(path, real_path(path), is_import_path=folder.is_import_path)
        self._follow_links()
        for name in self._binaries.keys() - known:
            self._owners.setdefault(name, self._owners.get(folder.listed_in, ""))
        if self._count > before:
            self._files[folder.path] = self._count - before

    def contents(self) -> Contents:
        binaries = [
            replace(binary, distribution=self._owners.get(path, ""), names=tuple(self._aliases.get(path, ())))
            for path, binary in sorted(self._binaries.items())
        ]
        return Contents(binaries, self._files, self._skipped, self._wheels, self._has_packages)

    def _shown(self, path: str) -> str:
        return printable(path.removeprefix(f"{self._base}/"))

    def _unreadable(self, path: str, reason: str) -> None:
        self._binaries[path] = Binary("", self._shown(path), Unreadable(reason))

    def _note_special(self, path: str) -> None:
        """Report a FIFO, device or socket whose name is that of a wheel or library; others are nobody's binaries."""
        if _is_binary_name(os.path.basename(path)):
            self._unreadable(path, "it is not a regular file")

    def _walk(self, top: str, real_top: str, *, is_import_path: bool) -> None:
        pending = [(top, real_top)]
        while pending:
            folder, real = pending.pop()
            if real in self._visited:
                continue
            self._visited.add(real)
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self._unreadable(folder, error.strerror or str(error))
                continue
            is_top = folder == top
            if is_import_path and is_top:
                entries = list(_packages(entries))
            pending += reversed(list(self._read_entries(folder, real, entries, nested=not is_import_path)))

    def _read_entries(
        self, folder: str, real: str, entries: list[os.DirEntry[str]], *, nested: bool
    ) -> Iterator[tuple[str, str]]:
        """Read the files among *entries*; the folders among them, with their paths without links."""
        is_site = any(entry.name.endswith(METADATA_FOLDERS) for entry in entries)
        for entry in entries:
            name, path = entry.name, f"{folder}/{entry.name}"
            if is_site and name.startswith("~"):
                self._skipped.append(Skipped(self._shown(path), "left by an interrupted pip"))
            elif entry.is_symlink():
                self._links.append(path)
            elif entry.is_dir(follow_symlinks=False):
                if name.endswith(METADATA_FOLDERS):
                    self._read_owner(folder, name)
                if self._is_root and folder == self._base and name in _KERNEL_FOLDERS:
                    if os.listdir(path):
                        self._skipped.append(Skipped(name, "a mount point of the kernel"))
                elif nested or not is_environment(path):
                    yield path, f"{real}/{name}"
            elif entry.is_file(follow_symlinks=False):
                self._read_file(path, f"{real}/{name}")
            else:
                self._note_special(path)

    def _follow_links(self) -> None:
        """Read what links lead to, unless it is read anyway: first folders, which may contain other links."""
        files: list[str] = []
        while self._links:
            path = self._links.popleft()
            real = self._resolve(path)
            if os.path.isdir(real) and not self._is_outside(real):
                if not self._is_root and real not in self._visited:
                    self._follow_folder(path, real)
            else:
                files.append(path)
        for path in files:
            self._follow_file(path, self._resolve(path))

    def _follow_folder(self, path: str, real: str) -> None:
        if contains(real, self._real_base):
            self._unreadable(path, f"it is a link to {printable(real)}, which contains the checked folder")
        else:
            self._walk(path, real, is_import_path=False)

    def _follow_file(self, path: str, real: str) -> None:
        name = os.path.basename(path)
        if not self._is_root and self._is_interpreter(path):
            skipped = Skipped(printable(real), "the interpreter, which machines have at that path")
            self._skipped += [] if skipped in self._skipped else [skipped]
        elif real in self._paths:
            self._aliases.setdefault(self._paths[real], []).append(name)
        elif self._is_outside(real):
            self._skipped.append(Skipped(self._shown(path), f"a link to {printable(real)}, outside of the root"))
        elif os.path.isfile(real):
            self._read_file(path, real)
        elif os.path.exists(real):
            self._note_special(path)
        else:
            target = printable(os.readlink(path))
            is_binary = (
                _is_binary_name(name) or path in self._owners or os.path.basename(os.path.dirname(path)) == "bin"
            )
            if is_binary and not self._is_root and not name.endswith(_NEVER_BINARY):
                self._unreadable(path, f"it is a link to {target}, which is missing")
            else:
                self._skipped.append(Skipped(self._shown(path), f"a link to {target}, which is missing"))

    def _is_outside(self, real: str) -> bool:
        return self._is_root and not contains(self._real_base, real)

    def _is_interpreter(self, path: str) -> bool:
        """Whether the link *path* is the interpreter of a virtual environment."""
        folder = os.path.dirname(path)
        is_environment_bin = os.path.isfile(os.path.join(os.path.dirname(folder), "pyvenv.cfg"))
        return is_environment_bin and _INTERPRETER.fullmatch(path[len(folder) + 1 :]) is not None

    def _resolve(self, path: str) -> str:
        """The path that the link *path* leads to."""
        target = os.readlink(path)
        if self._is_root and target.startswith("/"):
            return real_path(f"{self._real_base}{target}")
        return real_path(path)

    def _read_file(self, path: str, real: str) -> None:
        if real in self._paths:
            return
        self._paths[real] = path
        self._count += 1
        if path.endswith(".whl"):
            self._wheels.append(path)
        elif not path.endswith(_NEVER_BINARY):
            self._read_binary(path)

    def _read_binary(self, path: str) -> None:
        try:
            with open(path, "rb", opener=open_regular) as stream:
                binary = read_binary("", self._shown(path), stream)
        except OSError as error:
            self._unreadable(path, error.strerror or str(error))
        else:
            if binary is not None:
                self._binaries[path] = binary

    def _read_owner(self, site: str, name: str) -> None:
        """Record which files the distribution with the metadata folder *name* in *site* owns."""
        self._has_packages = True
        info = f"{site}/{name}"
        owner = _owner(info, name)
        for path in _owned(info):
            owned = os.path.normpath(os.path.join(site, path))
            self._owned_size += len(owned) + _ENTRY_SIZE
            if self._owned_size > _MAX_OWNED_SIZE:
                break
            self._owners[owned] = owner


def _is_binary_name(name: str) -> bool:
    return ".so" in name or name.endswith(".whl")


def _packages(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """The *entries* of an import path that can be imported."""
    entries = list(entries)
    is_project = any(entry.name in _PROJECT_FILES for entry in entries)
    for entry in entries:
        if not entry.is_dir() or (entry.name.isidentifier() and not (is_project and entry.name in NOT_PACKAGES)):
            yield entry


def _owner(info: str, folder: str) -> str:
    name, _, version = folder.rpartition(".")[0].partition("-")
    values: Mapping[str, str] = {}
    with suppress(OSError):
        file = "METADATA" if folder.endswith(".dist-info") else "PKG-INFO"
        with open(f"{info}/{file}", encoding="utf-8", errors="replace", opener=open_regular) as stream:
            values = dict(reversed(list(headers(stream.read(_MAX_METADATA)))))
    return printable(f"{normalize_name(values.get('name', name))} {values.get('version', version)}")


def _owned(info: str) -> Iterator[str]:
    """The paths that the metadata folder *info* lists, relative to its parent or absolute."""
    with suppress(OSError, csv.Error):
        if info.endswith(".dist-info"):
            with open(f"{info}/RECORD", encoding="utf-8", errors="surrogateescape", opener=open_regular) as stream:
                yield from (row[0] for row in csv.reader(stream) if row)
            return
        path = f"{info}/installed-files.txt"
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_regular) as stream:
            yield from (f"{os.path.basename(info)}/{line.strip()}" for line in stream)
