"""Files beside pyproject.toml that another tool reads in place of its table there, and that minglibc does not read."""

import os
from collections.abc import Mapping
from typing import Any

from minglibc.config import files
from minglibc.config.other_rules import INDEXES_OF_UV
from minglibc.config.problems import Problems
from minglibc.config.toml_file import load, nested_table

# The keys that change what uv locks for a project, and the settings that say the same.
_OWN_INDEX = ("index", "index-url")
_UV_KEYS = {
    **dict.fromkeys(INDEXES_OF_UV, _OWN_INDEX),
    "exclude-newer": ("exclude-newer",),
    "exclude-newer-package": ("exclude-newer-package",),
    "prerelease": ("prereleases",),
    "resolution": ("resolution",),
    "fork-strategy": ("fork-strategy",),
}


def check_other_files(own: Mapping[str, Any], problems: Problems, folder: str) -> None:
    """Add a problem for each key in a file of uv or PDM in *folder* that would change the lock, unless *own* has its setting.

    *own* is [tool.minglibc].
    """
    uv = _load(folder, files.UV_TOML)
    for key in [key for key in _UV_KEYS if key in uv]:
        if own.keys().isdisjoint(_UV_KEYS[key]):
            advice = f"uv reads it in place of [tool.uv]; write it there, or {_UV_KEYS[key][0]} under [tool.minglibc]"
            problems.add(f"{files.UV_TOML}: {key}", f"is not read by minglibc: {advice}")
    pypi = nested_table(_load(folder, files.PDM_TOML), "pypi")
    if own.keys().isdisjoint(_OWN_INDEX) and any(
        key == "url" or isinstance(value, dict) for key, value in pypi.items()
    ):
        advice = "write its indexes as [[tool.pdm.source]], or index-url under [tool.minglibc]"
        problems.add(f"{files.PDM_TOML}: pypi", f"is not read by minglibc; {advice}")


def uv_settings(document: Mapping[str, Any], folder: str) -> tuple[str, dict[str, Any]]:
    """The settings of uv for requirements files in *folder*, and where they are: uv.toml, or tool.uv in *document*."""
    if os.path.lexists(os.path.join(folder, files.UV_TOML)):
        return files.UV_TOML, _load(folder, files.UV_TOML)
    return "tool.uv", nested_table(document, "tool", "uv")


def _load(folder: str, name: str) -> dict[str, Any]:
    text = files.read_file(os.path.join(folder, name))
    return load(text.removeprefix("\ufeff"), name) if text is not None else {}
