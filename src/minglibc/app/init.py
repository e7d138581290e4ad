"""The use case of `init`: add [tool.minglibc] to pyproject.toml, with the settings of uv and PDM."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import tomlkit

from minglibc.app.fleet import write_fleet
from minglibc.app.init_sources import ImportedRequirements, import_requirements
from minglibc.config import files, parser, project_files, settings, toml_file, workspace
from minglibc.config.default_pythons import classifiers_of, default_pythons
from minglibc.config.other_tools import Imported, Skipped, combine, import_settings
from minglibc.config.poetry_project import standard
from minglibc.config.problems import Problems
from minglibc.config.toml_file import nested_table
from minglibc.errors import SettingsError, TargetError
from minglibc.fleet.machine import Machine
from minglibc.fleet.targets import Fleet, fleet_of
from minglibc.model import versions
from minglibc.model.architectures import ARCHITECTURES
from minglibc.model.targets import LIBCS, PythonVersion, check_architecture, check_cap

_INVALID_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_WIDTH = 80


def _no_cap() -> str:
    raise SettingsError("there is no cap", hint="give the glibc of the oldest machine: --glibc 2.17")


class InitOptions(NamedTuple):
    """The project, and settings that are otherwise taken from other tools."""

    project: str | None = None
    glibc: str | None = None
    musl: str | None = None
    python: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    choose_glibc: Callable[[], str] = _no_cap
    """The glibc of the oldest machine, if neither an option nor the settings of another tool name a cap."""
    machines: Sequence[Machine] = ()
    """Machines, from which caps, Pythons and architectures are taken."""

    @property
    def caps(self) -> dict[str, str]:
        """The cap on each C library that is given."""
        caps = {"glibc": self.glibc, "musl": self.musl}
        return {libc: cap for libc in LIBCS if (cap := caps[libc])}

    @property
    def all_pythons(self) -> tuple[str, ...]:
        """The Pythons that are given, or the default ones of the machines."""
        return self.python or tuple(str(machine.pythons[0]) for machine in self.machines if machine.pythons)


class InitOutcome(NamedTuple):
    """What was added to the file at *path*."""

    path: str
    added: str
    settings: list[Imported | Skipped]
    """The settings of other tools."""
    imported: ImportedRequirements | None
    """The requirements of a new project."""
    problem: str
    """Why the project can't be locked yet; else empty."""
    fleet: Fleet | None = None
    """With machines: the targets that they need."""
    is_written: bool = True
    """False if the file has a table already, which is to be edited."""


def init(options: InitOptions) -> InitOutcome:
    """Add the table, or create the file; raises SettingsError and has changed nothing then."""
    folder, text, requirements = _open(options)
    path = files.pyproject_path(folder)
    project_files.check_pyproject_path(folder)
    document = toml_file.load(text.removeprefix("\ufeff"))
    tool = document.get("tool", {})
    if not isinstance(tool, dict):
        raise SettingsError("pyproject.toml: tool is not a table, so [tool.minglibc] can't be added")
    if "minglibc" in tool and not options.machines:
        raise SettingsError(f"{path} already has a [tool.minglibc] table", hint="edit it, then run `minglibc lock`")
    metadata = _metadata(document, folder)
    results = import_settings(document, {libc: f"--{libc}" for libc in options.caps})
    imported = combine(results)
    if options.machines:
        fleet = _fleet(options, metadata)
        write_fleet(folder, options.machines)
        if "minglibc" in tool:
            return InitOutcome(path, _rendered(fleet.table), [], requirements, "", fleet, is_written=False)
        added = _rendered(fleet.table | _without_targets(imported))
        project_files.write_pyproject(folder, _appended(text, added))
        return InitOutcome(path, added, results, requirements, _problem(folder), fleet)
    caps = {libc: cap for libc in LIBCS if (cap := options.caps.get(libc) or imported.get(libc))}
    if not caps:
        # What is wrong with the file or the options is reported before the user has to look for a version.
        _appended(text, _rendered(_table({}, imported, options, metadata)))
        caps = {"glibc": options.choose_glibc()}
    added = _rendered(_table(caps, imported, options, metadata))
    project_files.write_pyproject(folder, _appended(text, added))
    return InitOutcome(path, added, results, requirements, _problem(folder))


def _open(options: InitOptions) -> tuple[str, str, ImportedRequirements | None]:
    """The project's folder and the text of its pyproject.toml, or of a new one with the requirements of other files."""
    try:
        folder = files.find(options.project)
    except SettingsError:
        folder = os.path.abspath(options.project or ".")
        if not os.path.isdir(folder):
            raise
        imported = import_requirements(folder)
        return folder, _new_text(folder, options.all_pythons, imported.requirements if imported else ()), imported
    return folder, files.read_pyproject(folder), None


def _new_text(folder: str, pythons: tuple[str, ...], requirements: tuple[str, ...]) -> str:
    name = _INVALID_IN_NAMES.sub("-", folder.rpartition("/")[2]).strip("-._") or "project"
    versions = [PythonVersion.parse(text) for text in pythons] or [PythonVersion(sys.version_info.minor)]
    oldest = min(versions, key=lambda python: python.minor)
    dependencies = tomlkit.array().multiline(bool(requirements))
    dependencies.extend(requirements)
    project = {"name": name, "version": "0.1.0", "requires-python": f">={oldest.short}", "dependencies": dependencies}
    return tomlkit.dumps({"project": project})


def _table(
    caps: Mapping[str, str], imported: Mapping[str, Any], options: InitOptions, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The new table: options, then settings of other tools, then facts about this machine."""
    architectures = [check_architecture(name) for name in options.architectures]
    if not architectures and os.uname().machine in ARCHITECTURES:
        architectures = [os.uname().machine]
    for libc, cap in caps.items():
        for architecture in architectures:
            check_cap(LIBCS[libc].parse(cap), architecture)
    table: dict[str, Any] = dict(caps)
    if pythons := _pythons(options.python, metadata):
        table["python"] = pythons
    if architectures and tuple(architectures) != settings.DEFAULT_ARCHITECTURES:
        table["architectures"] = architectures
    # Arrays of tables come last: keys after them would belong to their last table.
    return table | _without_targets(imported)


def _without_targets(imported: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of other tools that do not depend on machines."""
    return {key: imported[key] for key in sorted(imported, key="index".__eq__) if key not in LIBCS}


def _metadata(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """[project] of *document*, with the Pythons that all members of its workspace in *folder* support."""
    project = nested_table(standard(document), "project")
    members = workspace.members(document, folder, Problems("", {}))
    return {**project, "requires-python": parser.combined_requires_python(project, members)}


def _fleet(options: InitOptions, metadata: Mapping[str, Any]) -> Fleet:
    """The fleet of the machines in *options*; raises SettingsError where no target can serve any of them."""
    fleet = fleet_of(options.machines, _requires_python(metadata))
    if not fleet.kinds:
        reasons = "\n".join(f"  {machine.name}: {reason}" for machine, reason in fleet.unserved)
        raise SettingsError(f"no target can serve these machines:\n{reasons}")
    return fleet


def _requires_python(metadata: Mapping[str, Any]) -> str:
    specifier = metadata["requires-python"]
    try:
        versions.contains(specifier, "3.11.0")
    except (ValueError, TypeError):
        return ""  # `lock` reports it
    return str(specifier)


def _pythons(given: tuple[str, ...], metadata: Mapping[str, Any]) -> list[str]:
    """The Python versions of the table: the running one, or where that is excluded, the default ones."""
    requires_python = metadata["requires-python"]
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
        parser.parse(files.read_pyproject(folder), folder=folder)
    except SettingsError as error:
        return error.message
    return ""
