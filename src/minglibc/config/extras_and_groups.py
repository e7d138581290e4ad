"""A project's dependencies, extras and dependency groups, with references between them resolved (PEP 621, PEP 735).

The dependency-groups library is not used: extras need the same resolution, and it stops at the first mistake.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from minglibc.config.problems import Problems, is_name
from minglibc.model import versions
from minglibc.model.requirements import (
    Environment,
    InvalidRequirement,
    Requirement,
    kernel_variable,
    normalize_name,
    parse,
)
from minglibc.model.targets import GlibcVersion, PythonVersion, Target

# Compiled on first use: few markers test an extra.
_EXTRA = r"\bextra\b"
# A list of requirements: ("extra", name), ("group", name) or ("project", "").
_Node = tuple[str, str]
# Another list that is included, the marker under which it is, and the key of the reference.
_Reference = tuple[_Node, str, str]


class RequirementParser:
    """Parses requirements and records invalid ones."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        # Only to check that markers are valid; their values do not matter.
        self._environment = Environment(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)).environment)

    def requirement(self, text: str, where: str) -> Requirement | None:
        """The requirement *text*, or None with a problem for *where*."""
        try:
            requirement = parse(text)
            self._environment.admits(requirement.marker)
            if requirement.specifier:
                versions.contains(requirement.specifier, "1")
        except InvalidRequirement as error:
            self.problems.add(where, f"is {text!r}, which is not a valid requirement: {error}")
        except ValueError as error:
            self.problems.add(where, f"is {text!r}: {error}")
        else:
            self._warn_of_marker(requirement, where)
            return requirement
        return None

    def _warn_of_marker(self, requirement: Requirement, where: str) -> None:
        if "extra" in requirement.marker and re.search(_EXTRA, requirement.marker):
            message = f"{where}: {str(requirement)!r} tests an extra, which is never requested here"
            self.problems.warnings.append(f"{message}; write it under project.optional-dependencies")
        if variable := kernel_variable(requirement.marker):
            self.problems.warnings.append(
                f"{where}: {str(requirement)!r} depends on {variable}, which targets do not have; it is taken as empty"
            )

    def constraints(self, table: Mapping[str, Any]) -> tuple[Requirement, ...]:
        """The ``constraints`` of [tool.minglibc]."""
        constraints = self.setting(table, "constraints")
        for constraint in constraints:
            if constraint.url or constraint.extras:
                message = f"contains {str(constraint)!r}; a constraint has a name and versions, without URL and extras"
                self.problems.add(self.problems.key("constraints"), message)
        return constraints

    def check_overrides(self, overrides: Iterable[Requirement], targets: Iterable[Target]) -> None:
        """Record overrides of one package that differ and apply to the same target."""
        for target in targets:
            environment = Environment(target.environment)
            applied: dict[str, Requirement] = {}
            for override in overrides:
                if not environment.admits(override.marker):
                    continue
                other = applied.setdefault(override.name, override)
                if (other.specifier, other.url) != (override.specifier, override.url):
                    message = f"contains {str(other)!r} and {str(override)!r}, of which only one can apply to {target}"
                    self.problems.add(self.problems.key("overrides"), message)
                    return

    def setting(self, table: Mapping[str, Any], name: str) -> tuple[Requirement, ...]:
        """The requirements in the list *name* of [tool.minglibc]."""
        strings = self.problems.strings(table.get(name, []), self.problems.key(name), f'{name} = ["…"]')
        return tuple(requirement for where, text in strings if (requirement := self.requirement(text, where)))

    def check_pins(self, requirements: Iterable[tuple[str, Requirement]]) -> None:
        """Record each project that is pinned to two versions."""
        pins: dict[tuple[str, str], Requirement] = {}
        for where, requirement in requirements:
            version = _pinned(requirement)
            if version is None:
                continue
            other = pins.setdefault((requirement.name, requirement.marker), requirement)
            # PEP 440: "==1.0" contains 1.0+local as well.
            if not versions.contains(other.specifier, version) and not versions.contains(
                requirement.specifier, _pinned(other) or ""
            ):
                message = f"is {str(requirement)!r}, which conflicts with {str(other)!r}; keep one of them"
                self.problems.add(where, message)


def _pinned(requirement: Requirement) -> str | None:
    version = requirement.specifier.removeprefix("==")
    return versions.normalize(version) if version != requirement.specifier else None


class DependencyGraph:
    """The project's dependencies, extras and groups with the references between them."""

    def __init__(
        self, parser: RequirementParser, project: str, metadata: Mapping[str, Any], groups: Mapping[str, Any]
    ) -> None:
        self._parser = parser
        self._problems = parser.problems
        self._project = project
        self._entries: dict[_Node, list[Requirement | _Reference]] = {}
        self._expanded: dict[_Node, tuple[Requirement, ...]] = {}
        self._cycles: set[frozenset[_Node]] = set()
        self._read_project(metadata)
        for name, value in groups.items():
            self._read("group", name, value, f"dependency-groups.{name}")

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The project's own dependencies."""
        return self._expand(("project", ""), ())

    def extras(self) -> dict[str, tuple[Requirement, ...]]:
        """The requirements of each extra."""
        return {node[1]: self._expand(node, ()) for node in self._entries if node[0] == "extra"}

    def groups(self) -> dict[str, tuple[Requirement, ...]]:
        """The requirements of each dependency group."""
        return {node[1]: self._expand(node, ()) for node in self._entries if node[0] == "group"}

    def _read_project(self, metadata: Mapping[str, Any]) -> None:
        self._read("project", "", metadata.get("dependencies", []), "project.dependencies")
        extras = metadata.get("optional-dependencies", {})
        if not isinstance(extras, dict):
            expected = 'expected a table: { name = ["…"] }'
            self._problems.unexpected("project.optional-dependencies", extras, expected)
            return
        for name, value in extras.items():
            self._read("extra", name, value, f"project.optional-dependencies.{name}")

    def _read(self, kind: str, name: str, value: object, key: str) -> None:
        node = (kind, normalize_name(name))
        if kind != "project" and not is_name(name):
            self._problems.add(key, "is not a valid name for an extra or a group")
        if node in self._entries:
            self._problems.add(key, f"is a duplicate: an earlier name is {node[1]} too")
            return
        entries = self._entries[node] = [*self._included_groups(value, key)] if kind == "group" else []
        requirements: list[tuple[str, Requirement]] = []
        for where, text in self._problems.strings(value, key, '["requests>=2"]', tables=kind == "group"):
            requirement = self._parser.requirement(text, where)
            if requirement is None:
                continue
            if self._project and requirement.name == self._project:
                entries += self._references(kind, requirement, text, where)
            else:
                requirements.append((where, requirement))
                entries.append(requirement)
        self._parser.check_pins(requirements)

    def _references(self, kind: str, requirement: Requirement, text: str, where: str) -> Iterable[_Reference]:
        """The extras, and for a group the dependencies, that a requirement on the project itself includes."""
        if kind == "project":
            self._problems.add(where, f"is {text!r}: the project depends on itself")
            return
        for extra in requirement.extras:
            yield ("extra", extra), requirement.marker, where
        if kind == "group":
            yield ("project", ""), requirement.marker, where

    def _included_groups(self, value: object, key: str) -> Iterable[_Reference]:
        for position, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict):
                where = f"{key}[{position}]"
                name = item.get("include-group")
                if len(item) == 1 and isinstance(name, str):
                    yield ("group", normalize_name(name)), "", where
                else:
                    self._problems.unexpected(where, item, 'expected a requirement or { include-group = "name" }')

    def _expand(self, node: _Node, path: tuple[_Node, ...]) -> tuple[Requirement, ...]:
        """The requirements of *node*, which *path* leads to, and of everything that it includes."""
        if node in self._expanded:
            return self._expanded[node]
        requirements: list[Requirement] = []
        for entry in self._entries[node]:
            if isinstance(entry, Requirement):
                requirements.append(entry)
                continue
            other, marker, where = entry
            if other not in self._entries and other[0] == "extra":
                # As in other tools: the rest of the project can be installed.
                self._problems.warnings.append(f"{where} refers to {other[1]!r}, which is not an extra of the project")
            elif other not in self._entries:
                self._problems.add(where, f"refers to {other[1]!r}, which is not a dependency group")
            elif other in (*path, node):
                self._report_cycle((*path, node)[(*path, node).index(other) :], where)
            else:
                requirements += [_restricted(r, marker) for r in self._expand(other, (*path, node))]
        if not path:
            self._expanded[node] = tuple(dict.fromkeys(requirements))
        return tuple(dict.fromkeys(requirements))

    def _report_cycle(self, cycle: tuple[_Node, ...], where: str) -> None:
        # Each member of the cycle finds it; one message is enough.
        if frozenset(cycle) not in self._cycles:
            self._cycles.add(frozenset(cycle))
            kind = "groups" if cycle[0][0] == "group" else "extras"
            names = " → ".join(name for _, name in (*cycle, cycle[0]))
            self._problems.add(where, f"is a circular reference between {kind}: {names}")


def _restricted(requirement: Requirement, marker: str) -> Requirement:
    """*requirement* under an additional *marker*."""
    if not marker or not requirement.marker:
        return requirement._replace(marker=requirement.marker or marker)
    return requirement._replace(marker=f"({requirement.marker}) and ({marker})")
