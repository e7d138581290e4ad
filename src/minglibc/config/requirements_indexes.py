"""The index options of requirements files, as pip reads them, but with the rule that a project comes from one index.

The first index that has a project is used: folders and pages of `--find-links`, then those of `--extra-index-url`, then that
of `--index-url`. PyPI is always the last one, so that it can't replace a private project.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from minglibc.config.index_settings import is_path, name_of, parse_index
from minglibc.config.other_indexes import OPTION
from minglibc.config.problems import Problems
from minglibc.config.requirements_file import Line
from minglibc.model.urls import PUBLIC_INDEXES, display_url

_NO_FOLDER = "leaves no index, because there is no --find-links; remove it, or add the folder of the wheels"


class _Option(NamedTuple):
    """The value of an index option, and the file and line that it is in."""

    name: str
    url: str
    where: str

    @property
    def is_public(self) -> bool:
        return self.url.rstrip("/") in PUBLIC_INDEXES


class IndexOptions:
    """Collects the index options of requirements files, and their mistakes."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._options: dict[str, list[_Option]] = {}

    def add(self, line: Line, path: str, where: str) -> None:
        """Add the option of *line*, in the file at *path* from the lock's folder."""
        url = _rebased(line.text, path) if line.option == "--find-links" else line.text
        if not url and line.option != "--no-index":
            self.problems.append(f"{where} {line.option} has no value")
            return
        options = self._options.setdefault(line.option, [])
        if line.option == "--index-url":
            options.clear()  # the last one is used
        if not any(_same(url, option.url) for option in options):
            options.append(_Option(line.option, url, where))

    def add_to(self, uv: dict[str, Any], table: Mapping[str, Any]) -> None:
        """Add the indexes to *uv*, the rules of [tool.uv]; if *table*, [tool.minglibc], has indexes, they must be among these."""
        if not self._options:
            return
        if "index" in table or "index-url" in table:
            self._check_against(table)
            return
        tables, others = self._tables(), uv.get("index", [])
        if self._options.keys() & {"--index-url", "--no-index"} and isinstance(others, list):
            uv.pop("index-url", None)
            others = [item for item in others if not (isinstance(item, dict) and item.get("default") is True)]
        if tables or others:
            uv["index"] = [*tables, *others] if isinstance(others, list) else others

    def _check_against(self, table: Mapping[str, Any]) -> None:
        """Add a problem for each index that [tool.minglibc], which has indexes of its own, does not have."""
        own = [item.get("url") for item in table.get("index", []) if isinstance(item, dict)]
        known = [url for url in (table.get("index-url"), *own) if isinstance(url, str)]
        for option in (option for options in self._options.values() for option in options):
            if option.name == "--no-index":
                self.problems.append(f"{option.where} --no-index contradicts the indexes of [tool.minglibc]; remove it")
            elif not option.is_public and not any(_same(option.url, url) for url in known):
                self.problems.append(
                    f"{option.where} {option.name} {display_url(option.url)} is not an index of [tool.minglibc]; "
                    "add it there as [[tool.minglibc.index]], or remove the line"
                )

    def _tables(self) -> list[dict[str, Any]]:
        """The indexes as [[tool.uv.index]] tables in their order, without PyPI if it is the default one."""
        folders, no_index = self._options.get("--find-links", []), self._options.get("--no-index", [])
        extra, default = self._options.get("--extra-index-url", []), self._options.get("--index-url", [])
        if no_index and not folders:
            self.problems.append(f"{no_index[0].where} --no-index {_NO_FOLDER}")
        servers = [] if no_index else [option for option in (*extra, *default) if not option.is_public]
        is_pypi_last = not no_index and (not default or any(option.is_public for option in (*extra, *default)))
        used = [*folders, *servers]
        names: list[str] = []
        for option in used:
            names.append(name_of(_host(option), names))
        tables = [
            {
                "name": name,
                "url": option.url,
                OPTION: f"{option.where.rpartition(':')[0]}: {option.name}",
                "default": option is used[-1] and not is_pypi_last,
                **({"format": "flat"} if option.name == "--find-links" else {}),
            }
            for name, option in zip(names, used, strict=True)
        ]
        for option, item in zip(used, tables, strict=True):
            self._check(option, item)
        if tables:
            listed = ", ".join([*names, *(["PyPI"] if is_pypi_last else [])])
            files = ", ".join(dict.fromkeys(option.where.rpartition(":")[0] for option in used))
            self.notes.append(f"{files}: a package comes from the first index that has it: {listed}")
        return tables

    def _check(self, option: _Option, item: dict[str, Any]) -> None:
        if "format" not in item and is_path(option.url):
            self.problems.append(
                f"{option.where} {option.name} is a path; give a URL, or a folder of wheels by --find-links"
            )
            return
        problems = Problems("", {})
        parse_index(problems, item, option.where, url_key=f"{option.where} {option.name}")
        self.problems += problems.messages


def _rebased(url: str, path: str) -> str:
    """*url*, or its path relative to the lock's folder instead of that of the requirements file at *path*."""
    if not is_path(url) or url.startswith(("/", "file:///")):
        return url
    return os.path.normpath(os.path.join(os.path.dirname(path), url.removeprefix("file:")))


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _host(option: _Option) -> str:
    """The host of the index, or the last part of its path."""
    text = option.url.rstrip("/").rpartition("/")[2]
    if not is_path(option.url):
        with suppress(ValueError):  # an invalid URL is reported by its check
            text = urlsplit(option.url).hostname or ""
    return text
