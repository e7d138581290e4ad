"""Workspaces of uv: a root with ``[tool.uv.workspace]``, and members that share its lock."""

import os

from minglibc.config import files
from minglibc.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from minglibc.config.problems import Problems


def root_of(folder: str) -> str:
    """The root of the workspace that the project in *folder* is a member of; *folder* itself outside of a workspace.

    A member with [tool.minglibc] settings of its own stays separate if the root has none.
    """
    parent = os.path.dirname(folder)
    while parent != os.path.dirname(parent):
        text = _read(parent)
        # Parsing is for roots only: every command looks for them.
        if "workspace" in text and _is_root_for(text, parent, folder):
            return parent
        parent = os.path.dirname(parent)
    return folder


def _is_root_for(text: str, root: str, folder: str) -> bool:
    document = _parsed(text)
    workspace = table_of(document)
    if workspace is None or os.path.relpath(folder, root) not in _member_folders(workspace, root):
        return False
    return _has_settings(document) or not _has_settings(_parsed(_read(folder)))


def table_of(document: "Mapping[str, Any]") -> "Mapping[str, Any] | None":
    """The table [tool.uv.workspace] of *document*; None if it is not the root of a workspace."""
    value: object = document
    for name in ("tool", "uv", "workspace"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def member_folders(document: "Mapping[str, Any]", root: str) -> list[str]:
    """The folders of the members, relative to the *root* whose pyproject.toml is *document*, sorted."""
    workspace = table_of(document)
    return [] if workspace is None else sorted(_member_folders(workspace, root))


def new_members(pyproject: str, root: str, known: "Collection[str]") -> list[str]:
    """The pyproject.toml of each member of the workspace at *root* that is not among the *known* paths."""
    if "workspace" not in pyproject:
        return []
    folders = member_folders(_parsed(pyproject), root)
    return [path for folder in folders if (path := f"{folder}/{files.PYPROJECT}") not in known]


def members(
    document: "Mapping[str, Any]", root: str, problems: "Problems"
) -> "dict[str, tuple[str, Mapping[str, Any]]]":
    """The folder and pyproject.toml of each member, by normalized name; mistakes are added to *problems*."""
    from minglibc.model.requirements import normalize_name  # noqa: PLC0415  10 ms, and few projects have workspaces

    result: dict[str, tuple[str, Mapping[str, Any]]] = {}
    key = "tool.uv.workspace.members"
    for folder in member_folders(document, root):
        member = _parsed(_read(os.path.join(root, folder)))
        project = member.get("project")
        name = project.get("name") if isinstance(project, dict) else None
        if not isinstance(name, str) or not name:
            problems.add(key, f"includes {folder}, whose pyproject.toml has no project.name")
            continue
        if normalize_name(name) in result:
            problems.add(key, f"includes {result[normalize_name(name)][0]} and {folder}, which are both named {name}")
            continue
        if _has_settings(member):
            message = f"{folder}/pyproject.toml: [tool.minglibc] is not read; the settings of the workspace root apply"
            problems.warnings.append(message)
        result[normalize_name(name)] = folder, member
    for pattern in _strings(table_of(document), "members"):
        if _leaves(pattern):
            problems.add(key, f"has {pattern!r}, which is outside the workspace")
    return result


def _member_folders(workspace: "Mapping[str, Any]", root: str) -> set[str]:
    included = {folder for pattern in _strings(workspace, "members") for folder in _matches(pattern, root)}
    excluded = {folder for pattern in _strings(workspace, "exclude") for folder in _matches(pattern, root)}
    return included - excluded - {"."}


def _matches(pattern: str, root: str) -> "Iterator[str]":
    """The folders that *pattern* matches and that have a pyproject.toml."""
    if _leaves(pattern):
        return
    from glob import iglob  # noqa: PLC0415  5 ms, and few projects have workspaces

    for match in iglob(pattern.rstrip("/"), root_dir=root, recursive=True):
        if os.path.isfile(os.path.join(root, match, files.PYPROJECT)) and match.isprintable():
            yield os.path.normpath(match)


def _leaves(pattern: str) -> bool:
    return pattern.startswith("/") or ".." in pattern.split("/") or "\0" in pattern


def _strings(table: "Mapping[str, Any] | None", key: str) -> "list[str]":
    value = (table or {}).get(key, [])
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _has_settings(document: "Mapping[str, Any]") -> bool:
    tool = document.get("tool")
    return isinstance(tool, dict) and "minglibc" in tool


def _read(folder: str) -> str:
    try:
        return files.read_file(files.pyproject_path(folder)) or ""
    except SettingsError:
        return ""  # a folder above the project is of no concern; the project's own file is read again


def _parsed(text: str) -> "Mapping[str, Any]":
    from minglibc.model import toml  # noqa: PLC0415  15 ms, and few projects have workspaces

    try:
        return toml.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
