"""The use case of `init`: add [tool.minglibc] to pyproject.toml, with the settings of uv and PDM."""

import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import tomlkit

from minglibc.config import files, parser, project_files, settings, toml_file
from minglibc.config.default_pythons import classifiers_of, default_pythons
from minglibc.config.other_tools import Imported, Skipped, combine, import_settings
from minglibc.config.poetry_project import standard
from minglibc.errors import SettingsError, TargetError
from minglibc.model import versions
from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.targets import LIBCS, PythonVersion, check_architecture, check_cap

_INVALID_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_WIDTH = 80


class InitOptions(NamedTuple):
    """The project, and settings that are otherwise taken from other tools or from this machine."""

    project: str | None = None
    glibc: str | None = None
    musl: str | None = None
    python: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()

    @property
    def caps(self) -> dict[str, str]:
        """The cap on each C library that is given."""
        caps = {"glibc": self.glibc, "musl": self.musl}
        return {libc: cap for libc in LIBCS if (cap := caps[libc])}


class InitOutcome(NamedTuple):
    """What was added to the file at *path*."""

    path: str
    added: str
    settings: list[Imported | Skipped]
    """The settings of other tools."""
    detected: dict[str, str]
    """The caps that were taken from this machine."""
    problem: str
    """Why the project can't be locked yet; else empty."""


def init(options: InitOptions) -> InitOutcome:
    """Add the table, or create the file; raises SettingsError and has changed nothing then."""
    folder, text = _open(options)
    path = files.pyproject_path(folder)
    project_files.check_pyproject_path(folder)
    document = toml_file.load(text.removeprefix("\ufeff"))
    tool = document.get("tool", {})
    if not isinstance(tool, dict):
        raise SettingsError("pyproject.toml: tool is not a table, so [tool.minglibc] can't be added")
    if "minglibc" in tool:
        raise SettingsError(f"{path} already has a [tool.minglibc] table", hint="edit it, then run `minglibc lock`")
    results = import_settings(document, {libc: f"--{libc}" for libc in options.caps})
    imported = combine(results)
    caps = {libc: cap for libc in LIBCS if (cap := options.caps.get(libc) or imported.get(libc))}
    detected = {} if caps else _machine_caps()
    added = _rendered(_table(caps or detected, imported, options, document))
    project_files.write_pyproject(folder, _appended(text, added))
    return InitOutcome(path, added, results, detected, _problem(folder))


def _open(options: InitOptions) -> tuple[str, str]:
    """The project's folder and the text of its pyproject.toml, or of a new one."""
    try:
        folder = files.find(options.project)
    except SettingsError:
        folder = os.path.abspath(options.project or ".")
        if not os.path.isdir(folder):
            raise
        return folder, _new_text(folder, options.python)
    return folder, files.read_pyproject(folder)


def _new_text(folder: str, pythons: tuple[str, ...]) -> str:
    name = _INVALID_IN_NAMES.sub("-", folder.rpartition("/")[2]).strip("-._") or "project"
    versions = [PythonVersion.parse(text) for text in pythons] or [PythonVersion(sys.version_info.minor)]
    oldest = min(versions, key=lambda python: python.minor)
    return f'[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">={oldest.short}"\ndependencies = []\n'


def _table(
    caps: Mapping[str, str], imported: Mapping[str, Any], options: InitOptions, document: Mapping[str, Any]
) -> dict[str, Any]:
    """The new table: options, then settings of other tools, then facts about this machine."""
    architectures = [check_architecture(name) for name in options.architectures]
    if not architectures and os.uname().machine in ARCHITECTURES:
        architectures = [os.uname().machine]
    for libc, cap in caps.items():
        for architecture in architectures:
            check_cap(LIBCS[libc].parse(cap), architecture)
    table: dict[str, Any] = dict(caps)
    if pythons := _pythons(options.python, document):
        table["python"] = pythons
    if architectures and tuple(architectures) != settings.DEFAULT_ARCHITECTURES:
        table["architectures"] = architectures
    # Arrays of tables come last: keys after them would belong to their last table.
    return table | {key: imported[key] for key in sorted(imported, key="index".__eq__) if key not in LIBCS}


def _machine_caps() -> dict[str, str]:
    try:
        # platform.libc_ver() reads the interpreter's file, which may name an older glibc than the running one.
        library, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError, AttributeError):
        library = version = ""
    if library == "glibc":
        # Distributions may use versions such as 2.36.9000.
        return {library: ".".join(version.split(".")[:2])}
    from minglibc.install import interpreter  # noqa: PLC0415  imports subprocess (10 ms), for machines without glibc

    libc = interpreter.inspect(sys.executable).machine.libc
    if libc is None:
        raise SettingsError(
            "found neither glibc nor musl on this machine", hint="give the oldest machine's version: --glibc 2.17"
        )
    return {libc.libc: str(libc)}


def _pythons(given: tuple[str, ...], document: Mapping[str, Any]) -> list[str]:
    """The Python versions of the table: the running one, or where that is excluded, the default ones."""
    metadata = standard(document).get("project", {})
    requires_python = metadata.get("requires-python", "") if isinstance(metadata, dict) else ""
    if not given:
        try:
            running = PythonVersion.parse(f"3.{sys.version_info.minor}")
            if versions.contains(requires_python, running.full):
                return [str(running)]
            default = default_pythons(requires_python, classifiers_of(metadata), datetime.now(UTC).date())
            return [str(python) for python in default.pythons]
        except (TargetError, ValueError, TypeError):
            return []
    for text in given:
        python = PythonVersion.parse(text)
        if isinstance(requires_python, str) and not versions.contains(requires_python, python.full):
            raise SettingsError(f"--python {text} is outside project.requires-python {requires_python}")
    return list(given)


def _rendered(table: Mapping[str, Any]) -> str:
    rendered = tomlkit.table()
    for key, value in table.items():
        item = tomlkit.item(value)
        if isinstance(item, tomlkit.items.Array) and len(item.as_string()) > _MAX_WIDTH:
            item.multiline(multiline=True)
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            item = inline
        rendered.add(key, item)
    return tomlkit.dumps({"tool": {"minglibc": rendered}})


def _appended(text: str, added: str) -> str:
    """*text*, unchanged byte for byte, followed by *added* with the same line ends."""
    newline = "\r\n" if "\r\n" in text else "\n"
    bare = text.rstrip("\r\n")
    first = text if text != bare or not text else text + newline
    result = f"{first}{newline if bare else ''}{added.replace(chr(10), newline)}"
    try:
        toml_file.load(result.removeprefix("\ufeff"))
    except SettingsError as error:
        raise SettingsError(
            "[tool.minglibc] can't be added at the end of pyproject.toml, where tool is an inline table",
            hint=f"add it manually:\n{added}",
        ) from error
    return result


def _problem(folder: str) -> str:
    """Why `minglibc lock` would fail."""
    try:
        parser.parse(files.read_pyproject(folder))
    except SettingsError as error:
        return error.message
    return ""
