"""The distributions that are installed in an environment, read from their metadata and compared with their files."""

import csv
import json
import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem
from minglibc.install import proof
from minglibc.install.interpreter import Interpreter
from minglibc.install.layout import DIRECT_URL, ORIGIN, wins
from minglibc.install.relocation import former_prefix, names_former
from minglibc.model.core_metadata import headers
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    from minglibc.audit.rules import Binary


class Record(NamedTuple):
    """What a RECORD lists."""

    hashes: dict[str, str]
    """Each path, relative to the prefix, with its hash."""
    sizes: dict[str, int]
    """Each existing path with the size of the file, except bytecode, which interpreters write and delete at will."""
    damage: str = ""
    """The first difference from the files, or why RECORD is unreadable; else empty."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution: the contents of its .dist-info (or .egg-info), compared with its files."""

    name: str
    version: str
    site: str
    folder: str
    tags: frozenset[str]
    installer: str
    digest: str
    record: dict[str, str]
    """Each path that it owns, relative to the prefix, with its hash."""
    damage: str = ""
    direct_url: str = ""
    """Where it came from if not from an index (PEP 610)."""
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Each path that it owns with the size of the file, except bytecode."""
    identity: tuple[str, ...] = ()
    """The identities of the metadata files that all of this was read from."""

    @property
    def info(self) -> str:
        """Its .dist-info folder, relative to the prefix."""
        return posixpath.join(self.site, self.folder)


def differing(one: Distribution, other: Distribution) -> Iterator[str]:
    """The paths that both own with different content."""
    for path in one.record.keys() & other.record.keys():
        if one.record[path] != other.record[path]:
            yield path


class Environment:
    """The environment of an interpreter, for reading; ``transaction`` changes it."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.layout = interpreter.layout
        self.prefix = interpreter.layout.prefix
        self._is_inside: dict[str, bool] = {}
        self.former_prefix = former_prefix(self.layout)
        """The folder that the environment was created in, if it was moved or copied since; else empty."""

    def distributions(self) -> list[Distribution]:
        """Every installed distribution, sorted by name."""
        sites = dict.fromkeys([self.layout.purelib, self.layout.platlib])
        distributions = [distribution for site in sites for distribution in self._in_site(site)]
        distributions = [self._without_overwritten(one, distributions) if one.damage else one for one in distributions]
        return sorted(distributions, key=lambda distribution: (distribution.name, distribution.folder))

    def _without_overwritten(self, damaged: Distribution, distributions: Iterable[Distribution]) -> Distribution:
        """*damaged*, read again without comparing the files in whose place another distribution's are installed."""
        winners = [other for other in distributions if wins(other.name, damaged.name)]
        overwritten = {path for other in winners for path in differing(damaged, other)}
        return self._distribution(damaged.site, damaged.folder, overwritten) if overwritten else damaged

    def binaries(self, distribution: Distribution) -> "Iterator[Binary]":
        """The files of *distribution* that a machine could load or run."""
        from minglibc.audit.rules import read_binary  # noqa: PLC0415  imports pyelftools, which most syncs don't need

        for path in distribution.record:
            if path.endswith((".py", ".pyc", ".pyi")):
                continue
            with suppress(OSError), open(os.path.join(self.prefix, path), "rb", opener=open_regular) as file:
                if binary := read_binary(distribution.name, path, file):
                    yield binary

    def read_record(self, site: str, folder: str, overwritten: Collection[str] = ()) -> Record:
        """The RECORD in *folder*, a .dist-info whose distribution is installed in *site*, compared with the files.

        Files of *overwritten* belong to another distribution and are not compared.
        """
        text = _read_text(os.path.join(folder, "RECORD"))
        if not text:
            return Record({}, {}, "it has no RECORD")
        hashes: dict[str, str] = {}
        sizes: dict[str, int] = {}
        damage = ""
        try:
            for row in csv.reader(text.splitlines()):
                path = self._relative(site, row[0])
                if path is None:
                    continue
                hashes[path] = row[1] if len(row) > 1 else ""
                if path not in overwritten:
                    damage = damage or self._compare(path, row[2] if len(row) > 2 else "", sizes)
        except (csv.Error, IndexError):
            return Record(hashes, sizes, "its RECORD can't be read")
        return Record(hashes, sizes, damage)

    def _in_site(self, site: str) -> Iterator[Distribution]:
        try:
            entries = sorted(os.listdir(os.path.join(self.prefix, site)))
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentProblem(f"can't read {self.prefix}/{site}: {error.strerror}") from error
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")) and not entry.startswith("~"):
                yield self._distribution(site, entry)

    def _distribution(self, site: str, folder: str, overwritten: Collection[str] = ()) -> Distribution:
        path = os.path.join(self.prefix, site, folder)
        identity = proof.metadata_identity(path)  # before reading, so that concurrent changes are detected
        is_modern = folder.endswith(".dist-info")
        stem = folder.rpartition(".")[0]
        name, _, version = stem.partition("-")
        metadata = _headers(
            os.path.join(path, "METADATA" if is_modern else "PKG-INFO") if os.path.isdir(path) else path
        )
        tags = frozenset(_headers(os.path.join(path, "WHEEL")).get("tag", ()))
        record = self.read_record(site, path, overwritten) if is_modern else self._legacy_record(site, folder)
        damage = record.damage or self._script_damage(record.hashes)
        if not metadata.get("name"):
            damage = damage or "it has no METADATA"
        return Distribution(
            normalize_name((metadata.get("name") or [name])[0]),
            (metadata.get("version") or [version])[0],
            site,
            folder,
            tags,
            _read_text(os.path.join(path, "INSTALLER")).strip(),
            _json_value(os.path.join(path, ORIGIN), "digest"),
            record.hashes,
            damage,
            _json_value(os.path.join(path, DIRECT_URL), "url"),
            record.sizes,
            identity,
        )

    def _script_damage(self, paths: Iterable[str]) -> str:
        former, scripts = self.former_prefix, f"{self.layout.scripts}/"
        for path in paths if former else ():
            if path.startswith(scripts) and names_former(os.path.join(self.prefix, path), former):
                return f"its script {path} names the environment at {former}"
        return ""

    def _compare(self, path: str, size: str, sizes: dict[str, int]) -> str:
        """Add the size of the file at *path* to *sizes*; how the file differs from RECORD, or nothing."""
        if path.endswith(".pyc"):
            return ""
        try:
            actual = sizes[path] = os.lstat(f"{self.prefix}/{path}").st_size
        except OSError:
            return f"its file {path} is missing"
        if size.isdecimal() and actual != int(size):
            return f"its file {path} was changed"
        return ""

    def _legacy_record(self, site: str, folder: str) -> Record:
        listing = _read_text(os.path.join(self.prefix, site, folder, "installed-files.txt"))
        paths = (self._relative(f"{site}/{folder}", line) for line in listing.splitlines())
        return Record({path: "" for path in paths if path}, {}, "it has no RECORD")

    def _relative(self, site: str, path: str) -> str | None:
        """A RECORD's *path* relative to the prefix; None if it is outside, behind a link, or protected."""
        joined = path if path.startswith("/") else f"{self.prefix}/{site}/{path}"
        full = posixpath.normpath(joined) if "/." in joined or "//" in joined else joined
        if not full.startswith(f"{self.prefix}/") or "\0" in full:
            return None
        parent = posixpath.dirname(full)
        if parent not in self._is_inside:
            real = os.path.realpath(parent)
            self._is_inside[parent] = real == self.prefix or real.startswith(f"{self.prefix}/")
        relative = full.removeprefix(f"{self.prefix}/")
        return relative if self._is_inside[parent] and not self.layout.protector(relative) else None


def _headers(path: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers(_read_text(path)):
        values.setdefault(name, []).append(value)
    return values


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_regular) as file:
            return file.read()
    except OSError:
        return ""


def _json_value(path: str, key: str) -> str:
    """The value of *key* in the JSON file at *path*; empty without a file, "unknown" if it is invalid."""
    text = _read_text(path)
    try:
        return str(json.loads(text)[key]) if text else ""
    except (ValueError, KeyError, TypeError):
        return "unknown"
