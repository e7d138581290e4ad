"""The project in Poetry's own tables, as the standard tables [project] and [dependency-groups].

Poetry uses [tool.poetry.dependencies] for what [project] does not have; where [project] has the dependencies, or another
build backend is named, the table only names their sources (https://python-poetry.org/docs/pyproject/).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minglibc.config import poetry_syntax
from minglibc.config.toml_file import nested_table
from minglibc.model.requirements import normalize_name

Report = Callable[[str, str], None]
"""Takes the key and the message of a mistake."""

DEPENDENCIES = "tool.poetry.dependencies"
_NAMES = ("name", "dependencies", "group", "dev-dependencies", "extras")
_SOURCES = frozenset(("path", "file", "git", "source"))
_PYPI = "pypi"


def poetry_table(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """[tool.poetry] if it describes a project; else an empty table."""
    poetry = nested_table(nested_table(document, "tool"), "poetry")
    return poetry if any(name in poetry for name in _NAMES) else {}


def standard(
    document: Mapping[str, Any], report: Report = lambda _key, _message: None, *, exact: bool = True
) -> Mapping[str, Any]:
    """*document* with standard tables instead of Poetry's; the same document if it is not a project of Poetry.

    Unless *exact*, alternatives of versions that no specifier can express are left out.
    """
    poetry = poetry_table(document)
    if not poetry or not isinstance(document.get("project", {}), dict):
        return document
    return _Conversion(document, poetry, report, exact=exact).converted()


def sources(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """The packages with a source other than the default index: the name, the key, and the sources in uv's form."""
    poetry = poetry_table(document)
    # Otherwise, requirements include the URL.
    with_url = _SOURCES | {"url"} if nested_table(document, "project").get("dependencies") else _SOURCES
    for table_key, dependencies in _dependency_tables(poetry):
        for name, value in dependencies.items():
            try:
                tables = poetry_syntax.entries(value)
                if any((with_url if table_key == DEPENDENCIES else _SOURCES) & table.keys() for table in tables):
                    yield normalize_name(name), f"{table_key}.{name}", [_uv_source(table) for table in tables]
            except ValueError:
                continue  # reported by the conversion


def _uv_source(fields: Mapping[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = {}
    if path := fields.get("path", fields.get("file")):
        source = {"path": path, **({"editable": True} if fields.get("develop") is True else {})}
        if "subdirectory" in fields:
            source["subdirectory"] = fields["subdirectory"]
    elif key := next((key for key in ("git", "url") if key in fields), ""):
        source = {key: fields[key]}
    elif str(fields.get("source", _PYPI)).lower() != _PYPI:
        source = {"index": fields["source"]}
    marker = poetry_syntax.marker_of(fields)
    return {**source, "marker": marker} if marker else source


def _dependency_tables(poetry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield DEPENDENCIES, nested_table(poetry, "dependencies")
    yield "tool.poetry.dev-dependencies", nested_table(poetry, "dev-dependencies")
    for name in nested_table(poetry, "group"):
        yield (
            f"tool.poetry.group.{name}.dependencies",
            nested_table(nested_table(nested_table(poetry, "group"), name), "dependencies"),
        )


class _Conversion:
    def __init__(self, document: Mapping[str, Any], poetry: Mapping[str, Any], report: Report, *, exact: bool) -> None:
        self._document = document
        self._poetry = poetry
        self._report = report
        self._exact = exact
        self._prereleases: set[str] = set()

    def converted(self) -> Mapping[str, Any]:
        groups = self._groups()
        result = {**self._document, "project": self._project(), "tool": self._tool()}
        if groups:
            result["dependency-groups"] = groups
        return result

    def _project(self) -> dict[str, Any]:
        project = dict(self._document.get("project", {}))
        for key in ("name", "version", "classifiers"):
            if key in self._poetry:
                project.setdefault(key, self._poetry[key])
        if not _is_built_by_poetry(self._document):
            return project
        main = nested_table(self._poetry, "dependencies")
        if "python" in main and "requires-python" not in project:
            project["requires-python"] = self._requires_python(main["python"])
        texts = {name: self._requirements(DEPENDENCIES, name, value) for name, value in main.items()}
        optional = {normalize_name(name): listed for name, listed in texts.items() if _is_optional(main[name])}
        if not project.get("dependencies"):
            project["dependencies"] = [text for name in texts if not _is_optional(main[name]) for text in texts[name]]
        if "optional-dependencies" not in project and (extras := self._extras(optional)):
            project["optional-dependencies"] = extras
        if isinstance(project.get("dynamic"), list):
            fields = {"dependencies", "optional-dependencies", "requires-python"}
            project["dynamic"] = [field for field in project["dynamic"] if field not in fields]
        return project

    def _requires_python(self, constraint: object) -> str:
        try:
            return poetry_syntax.python_specifier(constraint if isinstance(constraint, str) else "invalid")
        except ValueError as error:
            self._report(f"{DEPENDENCIES}.python", str(error))
            return ""

    def _requirements(self, table_key: str, name: str, value: object) -> list[str]:
        if normalize_name(name) == "python":
            return []
        try:
            requirements = [*poetry_syntax.requirements(name, value, exact=self._exact)]
            if any(table.get("allow-prereleases") is True for table in poetry_syntax.entries(value)):
                self._prereleases.add(normalize_name(name))
        except ValueError as error:
            self._report(f"{table_key}.{name}", str(error))
            return []
        return requirements

    def _extras(self, optional: Mapping[str, list[str]]) -> dict[str, list[str]]:
        extras: dict[str, list[str]] = {}
        for extra, listed in nested_table(self._poetry, "extras").items():
            key = f"tool.poetry.extras.{extra}"
            if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
                self._report(key, "is not a list of names")
                continue
            extras[extra] = []
            for item in listed:
                name = normalize_name(re.split(r"[\[ <>=!~;(]", item)[0])
                if name not in optional:
                    self._report(key, f"lists {item!r}, which is not an optional dependency in {DEPENDENCIES}")
                extras[extra] += optional.get(name, [])
        return extras

    def _groups(self) -> dict[str, Any]:
        groups = dict(nested_table(self._document, "dependency-groups"))
        own = {name: f"tool.poetry.group.{name}" for name in nested_table(self._poetry, "group")}
        for name, key in own.items():
            table = nested_table(nested_table(self._poetry, "group"), name)
            included = [{"include-group": other} for other in _list(table, "include-groups")]
            self._add(
                groups, name, [*included, *self._group(f"{key}.dependencies", nested_table(table, "dependencies"))]
            )
        if legacy := nested_table(self._poetry, "dev-dependencies"):
            self._add(groups, "dev", self._group("tool.poetry.dev-dependencies", legacy))
        return groups

    def _group(self, key: str, dependencies: Mapping[str, Any]) -> list[str]:
        return [text for name, value in dependencies.items() for text in self._requirements(key, name, value)]

    def _add(self, groups: dict[str, Any], name: str, listed: list[Any]) -> None:
        known = next((group for group in groups if normalize_name(group) == normalize_name(name)), name)
        earlier = groups.get(known, [])
        if isinstance(earlier, list):
            groups[known] = [*earlier, *listed]

    def _tool(self) -> dict[str, Any]:
        """[tool] without the tables of Poetry that were read, and with the packages whose pre-releases it allows."""
        tool = dict(nested_table(self._document, "tool"))
        rest = {key: value for key, value in self._poetry.items() if key not in ("group", "dev-dependencies")}
        if all(_is_explicit(source) for source in _list(self._poetry, "source")):
            rest.pop("source", None)
        tool["poetry"] = rest
        own = tool.get("minglibc")
        if self._prereleases and isinstance(own, dict) and isinstance(own.get("prereleases", []), list):
            tool["minglibc"] = {**own, "prereleases": [*own.get("prereleases", []), *sorted(self._prereleases)]}
        return tool


def _is_built_by_poetry(document: Mapping[str, Any]) -> bool:
    """Whether Poetry completes [project]: another build backend does not read the tables of Poetry."""
    backend = nested_table(document, "build-system").get("build-backend", "poetry")
    return "project" not in document or str(backend).startswith("poetry")


def _is_optional(value: object) -> bool:
    listed = value if isinstance(value, list) else [value]
    return any(isinstance(entry, dict) and entry.get("optional") is True for entry in listed)


def _is_explicit(source: object) -> bool:
    """Whether an index of Poetry is only used for the packages that name it, or is the default one."""
    if not isinstance(source, dict):
        return False
    return source.get("priority") == "explicit" or str(source.get("name", "")).lower() == _PYPI


def _list(parent: Mapping[str, Any], key: str) -> list[Any]:
    value = parent.get(key)
    return value if isinstance(value, list) else []
