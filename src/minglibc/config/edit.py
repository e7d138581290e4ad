"""Adding requirements to pyproject.toml and removing them, with comments and layout preserved."""

import re
import tomllib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable

from minglibc.config.problems import quoted
from minglibc.errors import SettingsError
from minglibc.model import requirements
from minglibc.model.requirements import InvalidRequirement, Requirement, normalize_name

_COMMENT = re.compile(r"#[^\n]*")
_COMMENT_ABOVE = re.compile(r"^[ \t]*#[^\n]*\n\s*\Z", re.MULTILINE)
_LAST_COMMA = re.compile(r",\s*\]$")


class DependencyList(NamedTuple):
    """A list of requirements in pyproject.toml: the project's dependencies, an extra, or a dependency group."""

    extra: str = ""
    group: str = ""

    def __str__(self) -> str:
        if self.extra:
            return f"project.optional-dependencies.{self.extra}"
        return f"dependency-groups.{self.group}" if self.group else "project.dependencies"

    @property
    def option(self) -> str:
        """The command-line option that selects it."""
        return f"--extra {self.extra}" if self.extra else f"--group {self.group}" if self.group else ""


def parse(text: str) -> Requirement:
    """A requirement from the command line; raises SettingsError."""
    try:
        return requirements.parse(text)
    except InvalidRequirement as error:
        raise SettingsError(
            f"{text!r} is not a valid requirement: {error}", hint='write "name" or "name>=1.2"'
        ) from error


def with_bound(text: str, version: str) -> str:
    """The requirement *text*, which has no specifier, with *version* as its lower bound."""
    name, semicolon, marker = text.partition(";")
    return f"{name.rstrip()}>={version.partition('+')[0]}{'; ' if semicolon else ''}{marker.strip()}"


def unbounded(pyproject: str, texts: list[str], dependency_list: DependencyList) -> list[str]:
    """Those of *texts* without a version whose entry in *dependency_list* has none either."""
    array = _array(tomlkit.parse(pyproject.removeprefix("\ufeff")), dependency_list)
    bare = {entry.name for _, entry in _entries(array) if not _is_bound(entry)}
    return [text for text in texts if not _is_bound(parse(text)) and parse(text).name in bare]


def add(pyproject: str, texts: list[str], dependency_list: DependencyList) -> str:
    """*pyproject* with *texts* added to *dependency_list*; each replaces an entry with the same name and marker."""

    def edit(document: Any) -> None:
        for text in texts:
            _put(_array(document, dependency_list), text)

    return _edited(pyproject, edit, dependency_list)


def remove(pyproject: str, names: list[str], dependency_list: DependencyList) -> str:
    """*pyproject* without the requirements *names* in *dependency_list*; raises SettingsError if one is missing."""

    def edit(document: Any) -> None:
        for name in names:
            _delete(document, name, dependency_list)

    return _edited(pyproject, edit, dependency_list)


def allow_sdist(pyproject: str, names: Collection[str]) -> str:
    """*pyproject* with the packages *names* in tool.minglibc.allow-sdist; raises SettingsError."""

    def edit(document: Any) -> None:
        for name in sorted(names):
            array = _list(table_in(table_in(document, "tool"), "minglibc"), "allow-sdist", "tool.minglibc.allow-sdist")
            listed = [normalize_name(str(item)) for item in array]
            if name not in listed:
                _insert(array, sum(other < name for other in listed) if listed == sorted(listed) else len(array), name)

    def others(text: str) -> dict[str, Any]:
        document = tomllib.loads(text)
        document.setdefault("tool", {}).setdefault("minglibc", {}).pop("allow-sdist", None)
        return document

    advice = f"write allow-sdist = [{quoted(sorted(names))}] under [tool.minglibc]"
    return changed(pyproject, edit, others, "tool.minglibc.allow-sdist", advice)


def _check_poetry(document: Any, dependency_list: DependencyList) -> None:
    """Raise SettingsError if Poetry's own tables have the list, which would be ignored or in two places afterwards."""
    poetry = document.get("tool", {}).get("poetry", {})
    project = document.get("project", {})
    if not isinstance(poetry, dict) or not isinstance(project, dict):
        return
    if dependency_list.group:
        name = _spelling(poetry.get("group", {}), dependency_list.group)
        key, is_own = f"group.{name}", name in poetry.get("group", {})
        command = f"poetry add --group {name} NAME"
    elif dependency_list.extra:
        key, is_own, command = (
            "extras",
            bool(poetry.get("extras")),
            f"poetry add --optional {dependency_list.extra} NAME",
        )
    else:
        key, is_own, command = "dependencies", bool(poetry.get("dependencies")), "poetry add NAME"
        is_own = is_own and not project.get("dependencies")
    if is_own:
        raise SettingsError(
            f"the requirements are in [tool.poetry.{key}], which minglibc reads and does not edit",
            hint=f"edit it with Poetry, such as `{command}`, then run `minglibc lock`",
        )


def _edited(pyproject: str, edit: Callable[[Any], None], dependency_list: DependencyList) -> str:
    def edit_list(document: Any) -> None:
        _check_poetry(document, dependency_list)
        edit(document)

    def others(text: str) -> dict[str, Any]:
        return _without(text, dependency_list)

    table = str(dependency_list).rpartition(".")[0]
    advice = f"write [{table}] as a table with a header instead of dotted keys or an inline table"
    return changed(pyproject, edit_list, others, str(dependency_list), advice)


def changed(
    pyproject: str, edit: Callable[[Any], None], others: Callable[[str], dict[str, Any]], key: str, advice: str
) -> str:
    """*pyproject* with the list *key* changed by *edit*, and the *others* of its values unchanged; raises SettingsError."""
    mark = "\ufeff" if pyproject.startswith("\ufeff") else ""
    text = pyproject.removeprefix(mark)
    # tomlkit writes new lines with \n, so CRLF is converted before and after.
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    try:
        document = tomlkit.parse(text.replace("\r\n", "\n") if windows else text)
    except TOMLKitError as error:
        raise SettingsError(f"pyproject.toml is not valid TOML: {error}") from error
    try:
        edit(document)
        edited = tomlkit.dumps(document)
        is_correct = others(edited) == others(text)
    except (TOMLKitError, ValueError, KeyError, TypeError):
        is_correct = False  # tomlkit does not support every combination of inline tables and dotted keys
    if not is_correct:
        raise SettingsError(f"{key} can't be edited in the form that pyproject.toml has", hint=advice)
    if not text.endswith("\n\n"):
        edited = edited.rstrip("\n") + "\n"
    return mark + (edited.replace("\n", "\r\n") if windows else edited)


def _without(text: str, dependency_list: DependencyList) -> dict[str, Any]:
    """The values in *text* without those of *dependency_list*, and without the tables that contain nothing else."""
    document = tomllib.loads(text)
    path = ["project", "optional-dependencies"] if dependency_list.extra else ["project"]
    path = ["dependency-groups"] if dependency_list.group else path
    tables = [document]
    for key in path:
        tables.append(tables[-1].get(key, {}))
    name = dependency_list.extra or dependency_list.group or "dependencies"
    tables[-1].pop(_spelling(tables[-1], name), None)
    for parent, key in zip(reversed(tables[:-1]), reversed(path), strict=True):
        if not parent.get(key):
            parent.pop(key, None)
    return document


def _array(document: Any, dependency_list: DependencyList) -> Array:
    """The array of *dependency_list*, which is created if it is missing."""
    if not dependency_list.group:
        table = document.get("project")
        if not isinstance(table, dict):
            raise SettingsError("pyproject.toml has no [project] table", hint="create one with `minglibc init`")
        if not dependency_list.extra:
            return _list(table, "dependencies", dependency_list)
        return _list(
            table_in(table, "optional-dependencies"),
            _spelling(table["optional-dependencies"], dependency_list.extra),
            dependency_list,
        )
    table = table_in(document, "dependency-groups")
    return _list(table, _spelling(table, dependency_list.group), dependency_list)


def table_in(parent: Any, key: str) -> Any:
    """The table *key* of *parent*, which is created if it is missing; raises SettingsError for another value."""
    if key not in parent:
        # A header can't be inside an inline table.
        table = tomlkit.inline_table() if isinstance(parent, InlineTable) else tomlkit.table()
        if isinstance(parent, tomlkit.TOMLDocument) and parent.as_string().strip():
            parent.add(tomlkit.nl())
        parent[key] = table
    if not isinstance(parent[key], dict):
        raise SettingsError(f"{key} of pyproject.toml is not a table")
    return parent[key]


def _spelling(table: Any, name: str) -> str:
    """The key of *table* that names the same extra or group as *name* (PEP 685, 735), else *name*."""
    return next((str(key) for key in table if normalize_name(str(key)) == normalize_name(name)), name)


def _list(table: Any, key: str, dependency_list: DependencyList | str) -> Array:
    if key not in table:
        table[key] = tomlkit.array()
        if len(table) == 1 and not isinstance(table, InlineTable):
            table.add(tomlkit.nl())  # a blank line after the new table
    array = table[key]
    if not isinstance(array, Array):
        raise SettingsError(f"{dependency_list} of pyproject.toml is not a list")
    return array


def _put(array: Array, text: str) -> None:
    wanted = parse(text)
    entries = [(position, entry) for position, entry in _entries(array) if entry.name == wanted.name]
    same = [(position, entry) for position, entry in entries if _marker(entry) == _marker(wanted)]
    # A requirement without a marker replaces the only entry whatever its marker; a new marker adds an entry.
    if not same and not wanted.marker and len(entries) == 1:
        same = entries
    if same:
        position, entry = same[0]
        array[position] = _merged(text, wanted, str(array[position]), entry)
    elif _is_sorted(array):
        _insert(array, _sorted_position(array, wanted.name), text)
    else:
        _insert(array, len(array), text)


def _insert(array: Array, position: int, text: str) -> None:
    formatted = array.as_string()
    # tomlkit drops the comma after a new last entry, and keeps the one before an entry that is deleted.
    keeps_comma = position == len(array) and _LAST_COMMA.search(_COMMENT.sub("", formatted))
    if position == 0 and len(array) and "\n" not in formatted:
        # tomlkit would write no space after the comma of a new first entry.
        array.insert(1, array[0])
        array[0] = text
        return
    array.insert(position, text)
    if keeps_comma:
        array.append(text)
        del array[-1]


def _merged(text: str, wanted: Requirement, present: str, entry: Requirement) -> str:
    """The replacement of *present* by *text*; a bare name keeps the specifier."""
    if _is_bound(wanted) or not _is_bound(entry):
        return text
    extras = ",".join(sorted({*entry.extras, *wanted.extras}))
    if set(wanted.extras) <= set(entry.extras) or entry.url:
        return present
    marker = f"; {entry.marker}" if entry.marker else ""
    return f"{entry.name}[{extras}]{entry.specifier}{marker}"


def _is_bound(requirement: Requirement) -> bool:
    return bool(requirement.specifier or requirement.url)


def _marker(entry: Requirement) -> str:
    return "".join(entry.marker.replace('"', "'").split())


def _entries(array: Array) -> Iterator[tuple[int, Requirement]]:
    """The requirements in *array* with their positions; other items (``include-group``) are skipped."""
    for position, item in enumerate(array):
        if isinstance(item, str):
            try:
                yield position, requirements.parse(str(item))
            except InvalidRequirement:
                continue


def _is_sorted(array: Array) -> bool:
    names = [entry.name for _, entry in _entries(array)]
    return len(names) > 1 and names == sorted(names)


def _sorted_position(array: Array, name: str) -> int:
    position = next((position for position, entry in _entries(array) if entry.name > name), len(array))
    if position < len(array):
        before = array.as_string().partition(array[position].as_string())[0]
        if _COMMENT_ABOVE.search(before):
            # A new entry here would separate the comment from its entry.
            return len(array)
    return position


def _delete(document: Any, name: str, dependency_list: DependencyList) -> None:
    wanted = parse(name).name
    array = _existing(document, dependency_list)
    positions = [i for i, entry in _entries(array) if entry.name == wanted] if array is not None else []
    if not positions or array is None:
        others = [other for other in _lists(document) if _contains(document, other, wanted)]
        where = ", ".join(f"in {other}{f' (use {other.option})' if other.option else ''}" for other in others)
        raise SettingsError(
            f"{name} is not in {dependency_list}",
            hint=f"it is {where}" if where else "`minglibc tree` shows which packages require it",
        )
    for position in reversed(positions):
        del array[position]


def _existing(document: Any, dependency_list: DependencyList) -> Array | None:
    project = document.get("project", {})
    if dependency_list.extra:
        table = project.get("optional-dependencies", {})
        array = table.get(_spelling(table, dependency_list.extra))
    elif dependency_list.group:
        table = document.get("dependency-groups", {})
        array = table.get(_spelling(table, dependency_list.group))
    else:
        array = project.get("dependencies")
    return array if isinstance(array, Array) else None


def _lists(document: Any) -> Iterator[DependencyList]:
    project = document.get("project", {})
    yield DependencyList()
    for extra in project.get("optional-dependencies", {}):
        yield DependencyList(extra=str(extra))
    for group in document.get("dependency-groups", {}):
        yield DependencyList(group=str(group))


def _contains(document: Any, dependency_list: DependencyList, name: str) -> bool:
    array = _existing(document, dependency_list)
    return array is not None and any(entry.name == name for _, entry in _entries(array))
