"""The mistakes found in a file's tables, collected so that they are reported together, and the checks of plain values."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from minglibc.model.artifacts import printable
from minglibc.model.requirements import normalize_name

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
NAME_EXPECTED = "expected a name of letters, digits, '-', '_' and '.'"
# Settings whose command-line option has another name.
_OPTIONS = {"architectures": "--arch", "allow-sdist": "--allow-sdist-package"}


class Problems:
    """Collects the problems of one file, each with its key and line; every check returns a usable value."""

    def __init__(self, text: str, given: Mapping[str, Any]) -> None:
        """*given* are the settings from the command line or the environment."""
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self.hint = ""
        self.given = given
        # The messages about what is unknown until a package is built, and these packages.
        self.unbuilt: dict[str, str] = {}
        # Settings that are read from the table of another tool, and their keys there.
        self.sources: dict[str, str] = {}
        self._text = text

    def add(self, key: str, message: str) -> None:
        """Record that *key* has the problem in *message*, which continues the sentence."""
        from minglibc.config.positions import line_of  # noqa: PLC0415  0.3 ms, for an error

        line = line_of(self._text, key)
        name = key if self._text else key.removeprefix("project.")
        lines = f"{printable(name)}{f' (line {line})' if line else ''} {message}".split("\n")
        self.messages.append("\n".join(map(printable, lines)))

    def add_unbuilt(self, key: str, message: str, package: str) -> None:
        """Record that *key* is unknown until *package* is built, which the user has not allowed."""
        self.add(key, message)
        self.unbuilt[self.messages[-1]] = package

    def unexpected(self, key: str, value: object, expected: str) -> None:
        """Record that *key* has a *value* of another form than *expected*."""
        self.add(key, f"is {_describe(value)}; {expected}")

    def key(self, name: str) -> str:
        """Where the value of the setting *name* comes from: the option, or the key in the file."""
        if name in self.given:
            return _OPTIONS.get(name, f"--{name}")
        return self.sources.get(name, f"tool.minglibc.{name}")

    def check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        """Record each key of *table* that is not *known*."""
        for key in table:
            if key not in known:
                longer = [name for name in known if len(key) > 2 and name.startswith(key)]
                similar = nearest(key, known) or (longer[0] if len(longer) == 1 else "")
                hint = f"did you mean {similar}?" if similar else f"known settings: {', '.join(known)}"
                self.add(f"{where}.{key}", f"is not a known setting; {hint}")

    def table(self, parent: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        """The table *name* of *parent*; an empty one if it is missing."""
        value = parent.get(name, {})
        if isinstance(value, dict):
            return value
        self.unexpected(key, value, f"expected a table: [{key}]")
        return {}

    def flag(self, table: Mapping[str, Any], name: str, key: str) -> bool:
        """The boolean *name* of *table*; false if it is missing."""
        value = table.get(name, False)
        if not isinstance(value, bool):
            self.unexpected(key, value, "expected true or false")
        return value is True

    def choice(self, table: Mapping[str, Any], name: str, choices: tuple[str, ...], key: str) -> str:
        """The value *name* of *table*, which is one of *choices*; the first one if it is missing."""
        value = table.get(name, choices[0])
        if not isinstance(value, str) or value not in choices:
            self.unexpected(key, value, f"expected one of {quoted(choices)}")
            return choices[0]
        return value

    def strings(self, value: object, key: str, example: str, *, tables: bool = False) -> list[tuple[str, str]]:
        """The strings of the list *value*, each with its key; tables among them are skipped if *tables* is true."""
        if not isinstance(value, list):
            self.unexpected(key, value, f"expected a list of strings: {example}")
            return []
        strings = []
        for position, item in enumerate(value):
            if isinstance(item, str):
                strings.append((f"{key}[{position}]", item))
            elif not (tables and isinstance(item, dict)):
                self.unexpected(f"{key}[{position}]", item, f"expected a string: {example}")
        return strings

    def name(self, value: str, key: str) -> str:
        """The normalized project name *value*."""
        if not is_name(value):
            self.unexpected(key, value, "expected a project name without version or extras")
        return normalize_name(value)

    def names(self, table: Mapping[str, Any], name: str) -> list[str]:
        """The normalized project names in the list *name* of *table*."""
        key = self.key(name)
        return [self.name(text, where) for where, text in self.strings(table.get(name, []), key, f'{name} = ["…"]')]


def is_name(value: object) -> bool:
    """Whether *value* is a string that can name a project, an extra, a group, an index or a target."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def quoted(words: Iterable[str]) -> str:
    """*words* as a list of TOML strings."""
    return ", ".join(f'"{word}"' for word in words)


def nearest(word: str, known: Iterable[str], *, similarity: float = 0.7) -> str:
    """The one of *known* that *word* is probably a misspelling of, or "" if there is none."""
    known = tuple(known)
    if word in known:
        return ""
    word = word.lower().replace("_", "-")
    # The ratio of common letters is an upper bound, which spares most files the import below.
    candidates = [
        name
        for name in known
        if 2 * sum(min(word.count(c), name.count(c)) for c in {*word}) >= similarity * len(word + name)
    ]
    if not candidates:
        return ""
    import difflib  # noqa: PLC0415  about 5 ms, for files with an unknown key only

    matches = difflib.get_close_matches(word, candidates, 1, similarity)
    return matches[0] if matches else ""


def _describe(value: object) -> str:  # noqa: PLR0911  one return for each kind of TOML value
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f'"{printable(value if len(value) <= 80 else value[:77] + "…")}"'
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case None:
            return "missing"
        case _:
            return str(value)
