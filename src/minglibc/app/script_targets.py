"""The targets of a script whose inline metadata (PEP 723) names none: those of the project that it is in."""

import os

from minglibc.app.options import CommonOptions
from minglibc.config import files, inputs
from minglibc.config.lock_source import LockSource
from minglibc.config.parser import parse
from minglibc.config.settings import Overrides
from minglibc.config.toml_file import load
from minglibc.errors import SettingsError


def project_targets(script: str, common: CommonOptions) -> Overrides:
    """The cap and the Python versions of the project around *script*, as far as its block does not set them."""
    folder, name = os.path.split(os.path.abspath(script))
    block = load(inputs.read(LockSource(script=name), folder).pyproject)
    own = block["tool"]["minglibc"]
    try:
        project = files.find(common.project, start=folder)
    except SettingsError:
        return Overrides()  # what is missing is reported when the script is locked
    pyproject = files.read_pyproject(project)
    tool = load(pyproject).get("tool", {})
    table = tool.get("minglibc", {}) if isinstance(tool, dict) else {}
    if not isinstance(own, dict) or not isinstance(table, dict) or "target" in own:
        return Overrides()
    caps = {key: table[key] for key in ("glibc", "musl") if isinstance(table.get(key), str)}
    if {"glibc", "musl"} & own.keys():
        caps = {}
    python = table.get("python", [])
    listed = [python] if isinstance(python, str) else python if isinstance(python, list) else []
    versions = tuple(version for version in listed if isinstance(version, str))
    if "python" in own or "requires-python" in block["project"]:
        versions = ()
    elif not versions:
        versions = _selected_pythons(pyproject, project)
    return Overrides(glibc=caps.get("glibc"), musl=caps.get("musl"), python=versions)


def _selected_pythons(pyproject: str, folder: str) -> tuple[str, ...]:
    """The Python versions of a project whose settings list none; none where the settings are invalid."""
    try:
        targets = parse(pyproject, folder=folder).targets
    except SettingsError:
        return ()  # what is missing is reported when the script is locked
    return tuple(dict.fromkeys(str(target.python) for target in targets))
