"""Adding requirements to pyproject.toml and removing them, with comments and layout preserved."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from minglibc.errors import SettingsError
from minglibc.model import requirements
from minglibc.model.requirements import InvalidRequirement, Requirement, normalize_name

_COMMENT = re.compile(r"#[^\n]*")
_COMMENT_ABOVE = re.compile(r"^[ \t]*#[^\n]*\n\s*\Z", re.MULTILINE)
_LAST_COMMA = re.compile(r",\s*\]$")


class Place(NamedTuple):
    """The list in pyproject.toml that a requirement is in: the project's dependencies, an extra, or a dependency group."""

    extra: str = ""
    group: str = ""

    def __str__(self) -> str:
        if self.extra:
            return f"project.optional-dependencies.{self.extra}"
        return f"dependency-groups.{self.group}" if self.group else "project.dependencies"

    @property
    def option(self) -> str:
        """The command-line option for it."""
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


def unbounded(pyproject: str, texts: list[str], place: Place) -> list[str]:
    """Those of *texts* without a version whose entry at *place* in *pyproject* has none either."""
    array = _array(tomlkit.parse(pyproject.removeprefix("\ufeff")), place)
    bare = {entry.name for _, entry in _entries(array) if not _is_bound(entry)}
    return [text for text in texts if not _is_bound(parse(text)) and parse(text).name in bare]


def add(pyproject: str, texts: list[str], place: Place) -> str:
    """*pyproject* with *texts* at *place*; each replaces an entry with the same name and marker."""

    def edit(document: Any) -> None:
        for text in texts:
            _put(_array(document, place), text)

    return _edited(pyproject, edit)


def remove(pyproject: str, names: list[str], place: Place) -> str:
    """*pyproject* without the requirements *names* at *place*; raises SettingsError if one is missing."""

    def edit(document: Any) -> None:
        for name in names:
            _take(document, name, place)

    return _edited(pyproject, edit)


def _edited(pyproject: str, edit: Callable[[Any], None]) -> str:
    mark = "\ufeff" if pyproject.startswith("\ufeff") else ""
    text = pyproject.removeprefix(mark)
    # tomlkit writes new lines with \n, so CRLF is converted before and after.
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    try:
        document = tomlkit.parse(text.replace("\r\n", "\n") if windows else text)
    except TOMLKitError as error:
        raise SettingsError(f"pyproject.toml is not valid TOML: {error}") from error
    edit(document)
    edited = tomlkit.dumps(document)
    if not text.endswith("\n\n"):
        edited = edited.rstrip("\n") + "\n"
    return mark + (edited.replace("\n", "\r\n") if windows else edited)


def _array(document: Any, place: Place) -> Array:
    """The array at *place*, which is created if it is missing."""
    if not place.group:
        table = document.get("project")
        if not isinstance(table, dict):
            raise SettingsError("pyproject.toml has no [project] table", hint="`minglibc init` shows how to begin")
        if not place.extra:
            return _list(table, "dependencies", place)
        return _list(
            _table(table, "optional-dependencies"), _spelling(table["optional-dependencies"], place.extra), place
        )
    table = _table(document, "dependency-groups")
    return _list(table, _spelling(table, place.group), place)


def _table(parent: Any, key: str) -> Any:
    if key not in parent:
        table = tomlkit.table()
        if isinstance(parent, tomlkit.TOMLDocument) and parent.as_string().strip():
            parent.add(tomlkit.nl())
        parent[key] = table
    if not isinstance(parent[key], dict):
        raise SettingsError(f"{key} of pyproject.toml is not a table")
    return parent[key]


def _spelling(table: Any, name: str) -> str:
    """The key of *table* that names the same extra or group as *name* (PEP 685, 735), else *name*."""
    return next((str(key) for key in table if normalize_name(str(key)) == normalize_name(name)), name)


def _list(table: Any, key: str, place: Place) -> Array:
    if key not in table:
        table[key] = tomlkit.array()
        if len(table) == 1:
            table.add(tomlkit.nl())  # between this table, which is new, and the next
    found = table[key]
    if not isinstance(found, Array):
        raise SettingsError(f"{place} of pyproject.toml is not a list")
    return found


def _put(array: Array, text: str) -> None:
    wanted = parse(text)
    entries = [(place, entry) for place, entry in _entries(array) if entry.name == wanted.name]
    same = [(place, entry) for place, entry in entries if _marker(entry) == _marker(wanted)]
    # Without a marker it is meant wherever the one entry is; a new marker makes another entry.
    if not same and not wanted.marker and len(entries) == 1:
        same = entries
    if same:
        place, entry = same[0]
        array[place] = _merged(text, wanted, str(array[place]), entry)
    elif _is_sorted(array):
        _insert(array, _sorted_place(array, wanted.name), text)
    else:
        _insert(array, len(array), text)


def _insert(array: Array, place: int, text: str) -> None:
    written = array.as_string()
    # tomlkit drops the comma after a new last entry, and keeps the one before an entry that is deleted.
    keeps_comma = place == len(array) and _LAST_COMMA.search(_COMMENT.sub("", written))
    if place == 0 and len(array) and "\n" not in written:
        # At the front of a line it would leave no blank after the comma.
        array.insert(1, array[0])
        array[0] = text
        return
    array.insert(place, text)
    if keeps_comma:
        array.append(text)
        del array[-1]


def _merged(text: str, wanted: Requirement, present: str, entry: Requirement) -> str:
    """*text* in the stead of *present*, whose specifier a bare name leaves as it is."""
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
    """The requirements of *array* with their places; what is none of them (``include-group``) is passed over."""
    for place, item in enumerate(array):
        if isinstance(item, str):
            try:
                yield place, requirements.parse(str(item))
            except InvalidRequirement:
                continue


def _is_sorted(array: Array) -> bool:
    names = [entry.name for _, entry in _entries(array)]
    return len(names) > 1 and names == sorted(names)


def _sorted_place(array: Array, name: str) -> int:
    place = next((place for place, entry in _entries(array) if entry.name > name), len(array))
    if place < len(array):
        before = array.as_string().partition(array[place].as_string())[0]
        if _COMMENT_ABOVE.search(before):
            # Anything put here would come between that comment and what it speaks of.
            return len(array)
    return place


def _take(document: Any, name: str, place: Place) -> None:
    wanted = parse(name).name
    array = _existing(document, place)
    found = [at for at, entry in _entries(array) if entry.name == wanted] if array is not None else []
    if not found or array is None:
        elsewhere = [other for other in _places(document) if _holds(document, other, wanted)]
        where = ", ".join(f"in {other}{f': say {other.option}' if other.option else ''}" for other in elsewhere)
        raise SettingsError(
            f"{name} is not in {place}",
            hint=f"it is {where}" if where else "`minglibc tree` shows who else requires it",
        )
    for at in reversed(found):
        del array[at]


def _existing(document: Any, place: Place) -> Array | None:
    project = document.get("project", {})
    if place.extra:
        table = project.get("optional-dependencies", {})
        found = table.get(_spelling(table, place.extra))
    elif place.group:
        table = document.get("dependency-groups", {})
        found = table.get(_spelling(table, place.group))
    else:
        found = project.get("dependencies")
    return found if isinstance(found, Array) else None


def _places(document: Any) -> Iterator[Place]:
    project = document.get("project", {})
    yield Place()
    for extra in project.get("optional-dependencies", {}):
        yield Place(extra=str(extra))
    for group in document.get("dependency-groups", {}):
        yield Place(group=str(group))


def _holds(document: Any, place: Place, name: str) -> bool:
    array = _existing(document, place)
    return array is not None and any(entry.name == name for _, entry in _entries(array))
