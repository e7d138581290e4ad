"""The lists of files in a TOML lock, read without parsing them: they are most of its text.

tomllib reads about a megabyte per second, as much as a small lock has. A list that is not written exactly as the tool
writes it stays in the text and is parsed with the rest.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from minglibc.errors import LockError
from minglibc.model import toml
from minglibc.source_locks import checks
from minglibc.source_locks.model import FileSequence, Invalid, SourceFile

_STRING = r'"[^"\\\n]*"'
_VALUE = rf"(?:{_STRING}|[0-9]+)"
_ROW = rf"    \{{ ?[a-z-]+ = {_VALUE}(?:, [a-z-]+ = {_VALUE})* ?\}},?\n"
_LIST = re.compile(rf"^(wheels|files) = \[\n((?:{_ROW})+)\]$", re.MULTILINE)
_PAIR = re.compile(r"([a-z-]+) = (?:\"([^\"\\\n]*)\"|([0-9]+))")


class FileLists:
    """The parsed text of a lock, in which ``file_list`` resolves the lists that were not parsed."""

    def __init__(self, text: str) -> None:
        self._lists: list[str] = []
        reduced = text
        # Not where a string may have several lines: it could contain what looks like a list.
        if '"""' not in text and "'''" not in text:
            reduced = _LIST.sub(self._replace, text)
        try:
            self.document = toml.loads(reduced)
        except (ValueError, RecursionError) as error:
            if reduced is not text:
                # For an error that names the right line.
                try:
                    toml.loads(text)
                except (ValueError, RecursionError) as first:
                    raise Invalid(f"it is not valid TOML: {first}") from error
            raise Invalid(f"it is not valid TOML: {error}") from error

    def _replace(self, match: re.Match[str]) -> str:
        self._lists.append(match[2])
        return f"{match[1]} = {len(self._lists) - 1}"

    def file_list(self, package: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        """The tables of the list *key* of *package*; an empty one if it has none."""
        value = package.get(key, [])
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self._lists):
            return [
                {name: int(number) if number else text for name, text, number in _PAIR.findall(row)}
                for row in self._lists[value].splitlines()
            ]
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise Invalid(f"{key} is not a list of tables")
        return value

    def hashes(self, package: Mapping[str, Any], key: str) -> list[str]:
        """The hashes in the list *key* of *package*, without reading the rest of its tables."""
        value = package.get(key, [])
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self._lists):
            return [text for name, text, _ in _PAIR.findall(self._lists[value]) if name == "hash"]
        return [checks.text(row, "hash") for row in self.file_list(package, key)]


class LazyFiles(FileSequence):
    """The files of a package, converted when they are needed: no target installs most of a large lock.

    Raises LockError where they are not valid.
    """

    def __init__(
        self,
        package: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], Iterable[SourceFile]],
        read_hashes: Callable[[Mapping[str, Any]], Iterable[str]],
    ) -> None:
        self._package = package
        self._read = read
        self._read_hashes = read_hashes
        self._files: Sequence[SourceFile] | None = None

    def _known(self) -> Sequence[SourceFile]:
        if self._files is None:
            with self._errors():
                self._files = tuple(self._read(self._package))
        return self._files

    @property
    def hashes(self) -> frozenset[str]:
        """The hashes of the files; raises LockError."""
        with self._errors():
            return frozenset(filter(None, self._read_hashes(self._package)))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except Invalid as error:
            raise LockError(f"the source lock is invalid: {checks.in_package(self._package, error)}") from error

    def __getitem__(self, index: Any) -> Any:
        return self._known()[index]

    def __len__(self) -> int:
        return len(self._known())
