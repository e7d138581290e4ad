"""An index in memory, described by plain data, and every valid answer for one, by exhaustion.

The oracle reads PEP 440, PEP 508 and PEP 592 by ``packaging`` alone, and shares no code with the resolver.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from minglibc.errors import ProjectNotFound
from minglibc.index.page_file import File
from minglibc.model.artifacts import Artifact
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage, reduce_files
from minglibc.model.requirements import parse
from minglibc.model.targets import GlibcVersion, Target
from minglibc.resolve.candidates import Policy, Root

TOO_NEW = "cp311-abi3-manylinux_2_39_x86_64"


class Release(NamedTuple):
    """What one version requires, in itself and with its extras, and its files."""

    requires: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = {}
    tags: tuple[str, ...] = ("py3-none-any",)
    yanked: bool = False
    requires_python: str = ""

    def requires_dist(self) -> list[str]:
        """The ``Requires-Dist`` of its metadata."""
        of_extras = [
            f'{text.partition(";")[0].strip()} ; extra == "{extra}"'
            + (f" and ({text.partition(';')[2].strip()})" if ";" in text else "")
            for extra, texts in self.extras.items()
            for text in texts
        ]
        return [*self.requires, *of_extras]


Packages = Mapping[str, Mapping[str, Release]]


class MemoryIndex:
    """*packages* as a WheelIndex; ``read`` lists the metadata that were asked for."""

    def __init__(self, packages: Packages) -> None:
        self.packages = packages
        self.read: list[str] = []
        self._pages: dict[str, ProjectPage] = {}

    def project(self, name: str) -> ProjectPage:
        """The page with all versions."""
        if name not in self.packages:
            raise ProjectNotFound(name)
        if name not in self._pages:
            base = "https://example.invalid/"
            files = [
                File(
                    f"{name.replace('-', '_')}-{version}-{tag}.whl",
                    f"{base}{name}-{version}-{tag}",
                    yanked=release.yanked,
                    requires_python=release.requires_python or None,
                )
                for version, release in self.packages[name].items()
                for tag in release.tags
            ]
            self._pages[name] = reduce_files(name, files, base_url=base)
        return self._pages[name]

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """What the version requires."""
        self.read.append(f"{wheel.name} {wheel.version}")
        release = self.packages[wheel.name][wheel.version]
        return CoreMetadata(
            wheel.name, wheel.version, tuple(release.requires_dist()), release.requires_python, tuple(release.extras)
        )

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Everything is here."""


class Case(NamedTuple):
    """An index, and what a project requires of it."""

    packages: Packages
    requires: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    """What has each requirement; without it, the project has all."""

    @property
    def roots(self) -> list[Root]:
        """The requirements as the resolver takes them."""
        parents = self.parents or ("the project",) * len(self.requires)
        return [Root(parse(text), parent) for text, parent in zip(self.requires, parents, strict=True)]

    @property
    def policy(self) -> Policy:
        """The settings as the resolver takes them."""
        return Policy(constraints=tuple(map(parse, self.constraints)), overrides=tuple(map(parse, self.overrides)))


Answer = dict[str, str]


class Oracle:
    """Every valid answer of a case for a target; wheels with the tag TOO_NEW need glibc 2.39 on x86_64."""

    def __init__(self, case: Case, target: Target) -> None:
        self._is_new = target.cap >= GlibcVersion(2, 39) and target.architecture == "x86_64"
        self._packages = case.packages
        self._roots = [Requirement(text) for text in case.requires]
        self._constraints = [Requirement(text) for text in case.constraints]
        self._overrides = {override.name: override for override in map(Requirement, case.overrides)}
        self._environment = {**target.environment}
        self._python = str(target.python.full)

    def answers(self) -> Iterator[Answer]:
        """The valid answers, each the versions of what the roots reach."""
        names = sorted(self._packages)
        domains = [[None, *self._usable(name)] for name in names]
        for chosen in itertools.product(*domains):
            answer = {name: version for name, version in zip(names, chosen, strict=True) if version is not None}
            if self.is_valid(answer):
                yield answer

    def is_valid(self, answer: Mapping[str, str]) -> bool:
        """Whether an answer is closed, minimal, and admitted by its own requirements."""
        in_force, reached = self.requirements(answer)
        if reached != answer.keys():
            return False
        return all(version in self.admitted(name, in_force[name]) for name, version in answer.items())

    def requirements(self, answer: Mapping[str, str]) -> tuple[dict[str, list[Requirement]], set[str]]:
        """The requirements in force, by name, and the names that the roots reach."""
        in_force: dict[str, list[Requirement]] = {}
        seen: set[tuple[str, str]] = set()
        waiting = [(requirement, "") for requirement in self._roots]
        while waiting:
            requirement, of_extra = waiting.pop()
            if requirement.marker and not requirement.marker.evaluate({**self._environment, "extra": of_extra}):
                continue
            in_force.setdefault(requirement.name, []).append(self._overrides.get(requirement.name, requirement))
            for extra in ("", *requirement.extras):
                if (requirement.name, extra) not in seen and requirement.name in answer:
                    seen.add((requirement.name, extra))
                    release = self._packages[requirement.name][answer[requirement.name]]
                    texts = (*release.requires, *release.extras.get(extra, ())) if extra else release.requires
                    waiting += [(Requirement(text), extra) for text in texts]
        return in_force, set(in_force)

    def admitted(self, name: str, requirements: Sequence[Requirement]) -> list[str]:
        """The usable versions of a project that *requirements* admit together."""
        pinned = any(
            clause.operator in {"==", "==="} and not clause.version.endswith(".*")
            for requirement in requirements
            for clause in requirement.specifier
        )
        limits = [constraint for constraint in self._constraints if constraint.name == name]
        admitted = [
            version
            for version in self._usable(name)
            if (pinned or not self._packages[name][version].yanked)
            and all(limit.specifier.contains(version, prereleases=True) for limit in (*requirements, *limits))
        ]
        finals = [version for version in admitted if not Version(version).is_prerelease]
        named = any(_names_prerelease(requirement.specifier) for requirement in requirements)
        return admitted if named or not finals else finals

    def _usable(self, name: str) -> list[str]:
        if name not in self._packages:
            return []
        return [
            version
            for version, release in self._packages[name].items()
            if any(tag != TOO_NEW or self._is_new for tag in release.tags)
            and SpecifierSet(release.requires_python).contains(self._python)
        ]


def _names_prerelease(specifier: SpecifierSet) -> bool:
    return any(
        clause.operator != "!=" and Version(clause.version.removesuffix(".*")).is_prerelease for clause in specifier
    )
