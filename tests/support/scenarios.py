"""Reads resolver scenarios from tests/scenarios/*.toml (tests/scenarios/README.md describes the keys)."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from tests.support.index import UPLOADED, IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import BuiltSdist, BuiltWheel, build_wheel

FOLDER = Path(__file__).parent.parent / "scenarios"


class ScenarioError(Exception):
    """A scenario file is invalid; the message names the file, the scenario and the key."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A TOML table: an unknown key or a wrong type is an error."""


class Release(_Table, frozen=True):
    """A release on the index: its files and metadata."""

    wheels: tuple[str, ...] = ("py3-none-any",)
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requires_python: str | None = None
    yanked: bool | str = False
    upload_time: str = UPLOADED
    # True: a source distribution that builds a pure wheel; a string: the glibc that the built wheel needs.
    sdist: bool | str = False


class Package(_Table, frozen=True):
    """One project on the index."""

    versions: Mapping[str, Release] = {}
    status: str = "active"
    reason: str = ""


class ExpectedError(_Table, frozen=True):
    """The texts that an error message must contain, and the exit code."""

    contains: tuple[str, ...]
    exit_code: int = 1


class Scenario(_Table, frozen=True):
    """The content of an index, a project, and the expected versions for each target, or the expected error."""

    description: str
    requires: tuple[str, ...] = ()
    requires_python: str = ">=3.11"
    glibc: str | Mapping[str, str] = "2.17"
    musl: str | Mapping[str, str] = ""
    python: tuple[str, ...] = ("3.11",)
    architectures: tuple[str, ...] = ("x86_64",)
    settings: Mapping[str, Any] = {}
    optional_dependencies: Mapping[str, tuple[str, ...]] = {}
    dependency_groups: Mapping[str, tuple[str | Mapping[str, str], ...]] = {}
    packages: Mapping[str, Package] = {}
    expected: Mapping[str, Mapping[str, str]] = {}
    wheels: Mapping[str, Mapping[str, str]] = {}
    warnings: tuple[str, ...] = ()
    error: ExpectedError | None = None
    # The source of the scenario, for the name of the test.
    file: str = ""
    name: str = ""

    @property
    def id(self) -> str:
        """``cap/no-wheel-within-the-cap``."""
        return f"{self.file}/{self.name}"

    @property
    def targets(self) -> tuple[str, ...]:
        """The label of each target, as in *expected* and *wheels*: ``cp311-x86_64-glibc2.17``."""
        return tuple(
            target_label(python, architecture, f"{libc}{cap}")
            for python in self.python
            for libc, caps in (("glibc", self.glibc), ("musl", self.musl))
            for architecture, cap in self.caps(caps)
        )

    def pyproject(self, *, index_url: str | None = None) -> str:
        """The text of pyproject.toml."""
        stated = {
            "glibc": self.glibc,
            "musl": self.musl,
            "python": list(self.python),
            "architectures": list(self.architectures),
        }
        tool: dict[str, Any] = {key: value for key, value in stated.items() if value} | dict(self.settings)
        if index_url:
            tool["index-url"] = index_url
        document: dict[str, Any] = {
            "project": {
                "name": "example",
                "version": "0.1.0",
                "requires-python": self.requires_python,
                "dependencies": list(self.requires),
            },
            "tool": {"minglibc": tool},
        }
        if self.optional_dependencies:
            document["project"]["optional-dependencies"] = self.optional_dependencies
        if self.dependency_groups:
            document["dependency-groups"] = self.dependency_groups
        return tomli_w.dumps(msgspec.to_builtins(document))

    def serve(self, server: IndexServer) -> None:
        """Publish every package of the scenario."""
        for name, package in self.packages.items():
            server.add_project(name)
            if package.status != "active":
                server.project_status(name, package.status, package.reason)
            for version, release in package.versions.items():
                for wheel in built_wheels(name, version, release):
                    server.add(wheel, yanked=release.yanked, upload_time=release.upload_time)
                if release.sdist:
                    server.add(
                        source_of(name, version, release), yanked=release.yanked, upload_time=release.upload_time
                    )

    def caps(self, caps: str | Mapping[str, str]) -> Iterable[tuple[str, str]]:
        """Each architecture with its cap; *caps* are those of one C library."""
        if isinstance(caps, str):
            return [(architecture, caps) for architecture in self.architectures if caps]
        return [(name, cap) for name, cap in caps.items() if name in (self.architectures or caps)]


def target_label(python: str, architecture: str, libc: str) -> str:
    """The label of a target; ``3.13t`` is ``cp313t``, ``3.9.2`` is ``cp39.2``; *libc* is ``glibc2.17``."""
    return f"cp{python.replace('.', '', 1)}-{architecture}-{libc}"


def source_of(name: str, version: str, release: Release) -> BuiltSdist:
    """The source distribution of a release, whose requirements are dynamic."""
    needs = release.sdist if isinstance(release.sdist, str) else ""
    return build_source(name, version, requires=release.requires, requires_python=release.requires_python, needs=needs)


def built_wheels(name: str, version: str, release: Release) -> Iterator[BuiltWheel]:
    """The wheels of one release; an entry of four parts starts with the build tag."""
    for entry in release.wheels:
        build, tag = ("", entry) if entry.count("-") == 2 else entry.split("-", 1)
        yield build_wheel(
            name,
            version,
            tag,
            build=build,
            requires=release.requires,
            requires_python=release.requires_python,
            provides_extra=release.extras,
        )


def load(folder: Path = FOLDER) -> list[Scenario]:
    """Every scenario of every file in *folder*; raises ScenarioError."""
    return [scenario for path in sorted(folder.glob("*.toml")) for scenario in load_file(path)]


def load_file(path: Path) -> list[Scenario]:
    """The scenarios of one file; raises ScenarioError."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as mistake:
        raise ScenarioError(f"{path.name}: {mistake}") from None
    return [_checked(path, name, table) for name, table in tables.items()]


def _checked(path: Path, name: str, table: object) -> Scenario:
    try:
        scenario = msgspec.convert(table, Scenario)
    except msgspec.ValidationError as mistake:
        raise ScenarioError(f"{path.name} [{name}]: {mistake}") from None
    if problems := list(_problems(scenario)):
        raise ScenarioError(f"{path.name} [{name}]: {'; '.join(problems)}")
    return msgspec.structs.replace(scenario, file=path.stem, name=name)


def _problems(scenario: Scenario) -> Iterator[str]:
    if bool(scenario.expected) == bool(scenario.error):
        yield "it needs either expected or error"
    if scenario.expected and set(scenario.expected) != set(scenario.targets):
        yield f"expected has {sorted(scenario.expected)}, the targets are {sorted(scenario.targets)}"
    for target, answer in scenario.expected.items():
        for name, version in answer.items():
            if name not in scenario.packages or version not in scenario.packages[name].versions:
                yield f"expected.{target} has {name} {version}, which is not on the index"
    yield from _wheel_problems(scenario)


def _wheel_problems(scenario: Scenario) -> Iterable[str]:
    for target, answer in scenario.wheels.items():
        for name, entry in answer.items():
            version = scenario.expected.get(target, {}).get(name)
            if version is None or not _has(scenario.packages[name].versions[version], entry):
                yield f"wheels.{target} has {name} {entry}, which is not a wheel of the expected release"


def _has(release: Release, entry: str) -> bool:
    return entry in release.wheels or (entry == "sdist" and bool(release.sdist))
