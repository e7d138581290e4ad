"""The model that the locks of all tools are read into."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from minglibc.errors import LockError
from minglibc.model import versions
from minglibc.model.requirements import Environment, InvalidRequirement
from minglibc.model.urls import PUBLIC_INDEXES

HASH_KINDS = ("sha256", "sha512", "sha384")


class SourceKind(Enum):
    """Where the source lock takes a package from; the value describes it in messages."""

    INDEX = "an index"
    URL = "a URL"
    VCS = "a Git repository"
    LOCAL = "a local project"
    FILE = "a local file"


class SourceFile(NamedTuple):
    """A file of a release; *name* or *hash* is empty where the lock does not have it."""

    name: str
    hash: str
    url: str = ""
    size: int | None = None


class FileSequence(Sequence[SourceFile]):
    """The files of a package, with their hashes, which can be known before the files."""

    @property
    @abstractmethod
    def hashes(self) -> frozenset[str]:
        """The hashes of the files; raises LockError."""


class Edge(NamedTuple):
    """A dependency in the graph of a lock, on the package at *position*."""

    position: int
    extras: tuple[str, ...] = ()
    marker: str = ""
    group: str = ""
    """Of a root: the dependency group that requires it."""
    is_project: bool = False
    """Whether it is a project itself, whose *extras* are all that it has."""


class SourcePackage(NamedTuple):
    """A package of the source lock; *marker* and *groups* say where it is installed, if the format records that."""

    name: str
    version: str
    kind: SourceKind = SourceKind.INDEX
    location: str = ""
    """The URL of its index, or the URL or path of the package itself; empty if the lock names none."""
    files: Sequence[SourceFile] = ()
    marker: str = ""
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    """The extras and groups of which one installs it; empty if it needs none, or the format does not record that."""

    @property
    def hashes(self) -> frozenset[str]:
        """The hashes of its files."""
        if isinstance(self.files, FileSequence):
            return self.files.hashes
        return frozenset(file.hash for file in self.files if file.hash)

    @property
    def has_public_index(self) -> bool:
        """Whether it comes from PyPI, or the lock does not say from where."""
        return self.kind is SourceKind.INDEX and self.location.rstrip("/") in {"", *PUBLIC_INDEXES}

    def __str__(self) -> str:
        return f"{self.name} {self.version}".rstrip()


Graph = Mapping[tuple[int, str], Sequence[Edge]]
"""The dependencies of each package, by its position and extra ("" for those without one)."""


class SourceLock(NamedTuple):
    """A lock of another tool: its packages, and the requirements of the project that it was made for."""

    format: str
    """The tool or the standard, and the version of the format: ``uv.lock version 1``."""
    packages: tuple[SourcePackage, ...]
    requires_python: str = ""
    requirements: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = {}
    groups: Mapping[str, tuple[str, ...]] = {}
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    graph: Graph = {}  # noqa: RUF012  not changed, as the defaults above
    roots: tuple[Edge, ...] = ()
    """With *graph*: what the project, its extras and its groups depend on."""
    local: tuple[SourcePackage, ...] = ()
    """The local projects whose requirements are included, and which are not locked themselves."""
    names_files: bool = True
    """Whether the lock has the names of the files, not only their hashes."""

    def selected(self, environment: Environment) -> dict[str, SourcePackage]:
        """The packages that an environment can install, by name, with all extras and groups; raises LockError."""
        try:
            if self.graph:
                return self._reached(environment)
            return self._admitted(environment)
        except InvalidRequirement as error:
            raise LockError(f"the source lock is invalid: {error}") from error

    def _reached(self, environment: Environment) -> dict[str, SourcePackage]:
        reached: dict[str, SourcePackage] = {}
        seen: set[tuple[int, str]] = set()
        waiting = list(self.roots)
        while waiting:
            edge = waiting.pop()
            if not environment.admits(edge.marker):
                continue
            for extra in ("", *edge.extras):
                key = (edge.position, extra)
                if key not in seen:
                    seen.add(key)
                    waiting += self.graph.get(key, ())
            package = self.packages[edge.position]
            known = reached.get(package.name)
            # Conflicting extras can have two versions of a package, which no environment has together.
            if known is None or _order(package) > _order(known):
                reached[package.name] = package
        return {name: package for name, package in reached.items() if package.kind is not SourceKind.LOCAL}

    def _admitted(self, environment: Environment) -> dict[str, SourcePackage]:
        python = environment.variables["python_full_version"]
        admitted: dict[str, SourcePackage] = {}
        for package in self.packages:
            if package.kind is SourceKind.LOCAL or not environment.admits(package.marker):
                continue
            if package.requires_python and not _contains(package.requires_python, python):
                continue
            known = admitted.get(package.name)
            if known is None or _order(package) > _order(known):
                admitted[package.name] = package
        return admitted


def _order(package: SourcePackage) -> versions.Key | tuple[()]:
    return versions.key(package.version) if versions.normalize(package.version) else ()


def _contains(specifier: str, python: str) -> bool:
    try:
        return versions.contains(specifier, python)
    except ValueError:
        return True  # a form that only its tool reads


def strongest_hash(hashes: Mapping[str, object]) -> str:
    """The strongest hash of a PEP 751 table as ``algorithm:hex``; empty if it has none.

    A hash of another algorithm than HASH_KINDS is never that of a file, and so does not admit any.
    """
    for kind in (*HASH_KINDS, *hashes):
        digest = hashes.get(kind)
        if isinstance(digest, str):
            return f"{kind}:{digest.lower()}"
    return ""


class Invalid(ValueError):
    """A lock does not have the form that its format requires."""


Reader = Callable[[str, Mapping[str, str]], SourceLock]
"""Reads a lock's text; the files beside it that the format needs are given by their names."""
