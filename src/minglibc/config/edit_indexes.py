"""Adding indexes to pyproject.toml, with comments and layout preserved."""

import tomllib
from collections.abc import Sequence
from typing import Any

import tomlkit

from minglibc.config.edit import changed, table_in
from minglibc.config.index_settings import name_of
from minglibc.config.other_indexes import read_other_indexes
from minglibc.config.problems import Problems
from minglibc.config.toml_file import nested_table
from minglibc.errors import SettingsError


def add_indexes(pyproject: str, indexes: Sequence[tuple[str, str]]) -> str:
    """*pyproject* with each name and URL as the first of [[tool.minglibc.index]]; raises SettingsError.

    Where the project's indexes are those of uv, it is the first of these. An index that is there already keeps its place; one without a
    name is named after its host.
    """
    tool = _tool_of_indexes(tomllib.loads(pyproject.removeprefix("\ufeff")))
    key = f"tool.{tool}.index"

    def edit(document: Any) -> None:
        settings = table_in(table_in(document, "tool"), tool)
        for name, url in reversed(indexes):
            _add(settings, name, url, key)

    def others(text: str) -> dict[str, Any]:
        document = tomllib.loads(text)
        document.setdefault("tool", {}).setdefault(tool, {}).pop("index", None)
        return document

    return changed(pyproject, edit, others, key, f"write a [[{key}]] table for it")


def _tool_of_indexes(document: dict[str, Any]) -> str:
    """The tool whose indexes the project uses; raises SettingsError for one to which none is added."""
    own = nested_table(document, "tool", "minglibc")
    if "index" in own or "index-url" in own or not read_other_indexes(document, Problems("", {})).indexes:
        return "minglibc"
    if nested_table(document, "tool", "uv").get("index"):
        return "uv"
    raise SettingsError(
        "the project uses the indexes of another tool, which [[tool.minglibc.index]] would replace",
        hint="add the index to that tool's settings, and run `minglibc add` without --index",
    )


def _add(settings: Any, name: str, url: str, key: str) -> None:
    tables = settings.get("index", tomlkit.aot())
    same = [str(table.get("name", "")) for table in tables if str(table.get("url", "")).rstrip("/") == url.rstrip("/")]
    if same and name in {"", *same}:
        return
    taken = {str(table.get("name", "")) for table in tables}
    if name in taken - {""}:
        raise SettingsError(f"the index {name} has another URL in [[{key}]]", hint="use another name")
    new = tomlkit.table()
    new.add("name", name or name_of(url.partition("://")[2].partition("/")[0], taken))
    new.add("url", url)
    new.add(tomlkit.nl())
    settings["index"] = tomlkit.aot()
    for table in (new, *tables):
        settings["index"].append(table)
