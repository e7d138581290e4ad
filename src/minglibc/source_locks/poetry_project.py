"""The requirements in the pyproject.toml of Poetry: [project], and its own tables with its own syntax for versions.

The syntax is documented at https://python-poetry.org/docs/dependency-specification/.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minglibc.model import toml, versions
from minglibc.model.requirements import normalize_name, parse
from minglibc.source_locks import markers
from minglibc.source_locks.checks import strings, table
from minglibc.source_locks.model import Invalid, SourceKind, SourcePackage
from minglibc.source_locks.standard_project import ProjectRequirements, plain, reading

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def read(pyproject: str, packages: Sequence[SourcePackage]) -> ProjectRequirements | None:
    """The requirements in a pyproject.toml, without local projects among *packages*; None if it has none for Poetry."""
    with reading():
        document = toml.loads(pyproject.removeprefix("\ufeff"))
        poetry = table(table(document, "tool"), "poetry")
        project = table(document, "project")
    # The name decides between a project of Poetry and the settings of minglibc alone.
    if not table(poetry, "dependencies") and not table(poetry, "group") and "dependencies" not in project:
        return None
    return _Project(document, project, poetry, packages).read()


class _Project:
    def __init__(
        self,
        document: Mapping[str, Any],
        project: Mapping[str, Any],
        poetry: Mapping[str, Any],
        packages: Sequence[SourcePackage],
    ) -> None:
        self._document = document
        self._project = project
        self._poetry = poetry
        from_elsewhere = {package.name for package in packages if package.kind is not SourceKind.LOCAL}
        self._local = {package.name for package in packages} - from_elsewhere

    def read(self) -> ProjectRequirements:
        main = table(self._poetry, "dependencies")
        standard = [*plain(strings(self._project, "dependencies"), self._local)]
        named = {parse(text).name for text in standard}
        optional: dict[str, list[str]] = {}
        requirements = list(standard)
        for name, value in main.items():
            texts = [*self._own(name, value)]
            entries = value if isinstance(value, list) else [value]
            if any(isinstance(entry, dict) and entry.get("optional") is True for entry in entries):
                optional[normalize_name(name)] = texts
            elif normalize_name(name) not in named:
                # With [project], Poetry's table only adds where a package comes from.
                requirements += texts
        groups = {name: self._group(group) for name, group in self._groups().items()}
        for name, group in table(self._document, "dependency-groups").items():
            own = [item for item in group if isinstance(item, str)] if isinstance(group, list) else []
            groups[name] = (*groups.get(name, ()), *plain(own, self._local))
        return ProjectRequirements(tuple(requirements), self._extras(optional), groups)

    def _groups(self) -> dict[str, Mapping[str, Any]]:
        groups = {
            name: table(table(table(self._poetry, "group"), name), "dependencies")
            for name in table(self._poetry, "group")
        }
        legacy = table(self._poetry, "dev-dependencies")
        if legacy:
            groups["dev"] = {**legacy, **groups.get("dev", {})}
        return groups

    def _group(self, dependencies: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(text for name, value in dependencies.items() for text in self._own(name, value))

    def _extras(self, optional: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        own = table(self._project, "optional-dependencies")
        extras = {name: tuple(plain(strings(own, name), self._local)) for name in own}
        legacy = table(self._poetry, "extras")
        for name in legacy:
            listed = [normalize_name(re.split(r"[\[ <>=!~;(]", item)[0]) for item in strings(legacy, name)]
            extras[name] = tuple(text for item in listed for text in optional.get(item, ()))
        return extras

    def _own(self, name: str, value: object) -> Iterator[str]:
        name = normalize_name(name)
        if name == "python" or name in self._local:
            return
        for entry in value if isinstance(value, list) else [value]:
            fields = entry if isinstance(entry, dict) else {"version": entry}
            extras = ",".join(strings(fields, "extras"))
            marker = markers.conjunction(str(fields.get("markers", "")), _python_marker(fields), _platform(fields))
            requested = f"{name}[{extras}]" if extras else name
            url = str(fields.get("url", ""))
            address = f" @ {url}" if url.endswith(".whl") else specifier(str(fields.get("version", "*")))
            yield f"{requested}{address} ; {marker}" if marker else f"{requested}{address}"


def _python_marker(fields: Mapping[str, Any]) -> str:
    alternatives = [
        markers.conjunction(*(_comparison(clause) for clause in specifier(part).split(",") if clause))
        for part in str(fields.get("python", "")).split("||")
    ]
    return markers.disjunction(alternatives)


def _comparison(clause: str) -> str:
    match = re.fullmatch(r"\s*(===?|!=|<=?|>=?|~=)\s*(.+?)\s*", clause)
    if match is None:
        raise Invalid(f"{clause!r} is not a version of Python")
    variable = "python_version" if match[2].removesuffix(".*").count(".") < 2 else "python_full_version"
    return f'{variable} {match[1]} "{match[2].removesuffix(".*")}"'


def _platform(fields: Mapping[str, Any]) -> str:
    platform = fields.get("platform", "")
    return f'sys_platform == "{platform}"' if platform and isinstance(platform, str) else ""


def specifier(constraint: str) -> str:
    """The specifier (PEP 440) of a constraint in Poetry's syntax; alternatives (``||``) can't be written as one."""
    alternatives = constraint.split("||")
    if len(alternatives) > 1:
        for alternative in alternatives:
            specifier(alternative)  # raises Invalid
        return ""
    clauses = [_clause(part) for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^0-9*])(?<![<>=!~^] )", constraint.strip())]
    return ",".join(clause for clause in clauses if clause)


def _clause(text: str) -> str:
    text = text.strip().replace(" ", "")
    if text in {"", "*"}:
        return ""
    if text.startswith(("^", "~")) and not text.startswith("~="):
        version = text[1:]
        return f">={version},<{_upper(version, caret=text[0] == '^')}"
    if text[0].isdigit():
        text = f"=={text}"
    if re.fullmatch(r"(==|!=)[0-9]+(\.[0-9]+)*\.\*", text):
        return text
    if not versions.is_plain(text):
        raise Invalid(f"{text!r} is not a version in Poetry's syntax")
    return text


def _upper(version: str, *, caret: bool) -> str:
    """The first version that ^ or ~ excludes: ^1.2.3 is <2.0, ^0.2.3 is <0.3, ~1.2.3 is <1.3, ~1 is <2."""
    match = _RELEASE.match(version)
    if match is None:
        raise Invalid(f"{version!r} is not a version in Poetry's syntax")
    numbers = [int(number) for number in match[0].split(".")]
    if caret:
        position = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        position = min(1, len(numbers) - 1)
    return ".".join(map(str, [*numbers[:position], numbers[position] + 1]))
