"""pyproject.toml → Settings: [project], [dependency-groups] and [tool.minglibc]; all mistakes are reported together."""

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from minglibc.config import files, workspace
from minglibc.config.extras_and_groups import DependencyGraph, RequirementParser
from minglibc.config.index_settings import KnownIndexes, parse_index_url, parse_indexes, parse_sources
from minglibc.config.problems import NAME_EXPECTED, Problems, is_name, nearest
from minglibc.config.settings import (
    FILE_CONFLICTS,
    FORK_STRATEGIES,
    KEYS,
    RESOLUTIONS,
    TOOLCHAINS,
    DynamicProject,
    NamedIndex,
    OtherSources,
    Overrides,
    PathSource,
    Settings,
)
from minglibc.config.target_settings import TargetParser
from minglibc.config.toml_file import load, nested_table
from minglibc.errors import SettingsError
from minglibc.model import versions
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.artifacts import leaves_folder
from minglibc.model.requirements import Requirement, conjunction, normalize_name
from minglibc.model.targets import LIBCS

if TYPE_CHECKING:
    from minglibc.config.default_pythons import DefaultPythons, RecordedPythons

EXAMPLE = '[tool.minglibc]\nglibc = "2.17"\npython = ["3.9", "3.11"]'
# The keys of [project] that are read: a misspelled one would be ignored without a message.
_PROJECT_KEYS = ("dependencies", "optional-dependencies", "requires-python")
# Where projects without [project] have their requirements.
_WITH_REQUIREMENTS = ("setup.py", "setup.cfg", "requirements.txt")
# Tools with sources of packages in their own tables.
_OTHER_TOOLS = frozenset(("uv", "pdm", "poetry"))


def parse(
    text: str,
    *,
    name: str = "pyproject.toml",
    overrides: Overrides | None = None,
    now: datetime | None = None,
    written: bool = True,
    folder: str | None = None,
    recorded: "Callable[[], RecordedPythons | None]" = lambda: None,
    built: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in the *text* of pyproject.toml; raises one SettingsError that lists every mistake.

    *written* is false for a text that was composed from other files: messages then have no lines. Durations in
    ``exclude-newer`` are subtracted from *now*. Files that it refers to, such as
    members of a workspace, are read from *folder*, if it is given. *recorded* are the default Pythons of the existing lock.
    *built* are the fields of [project] that only a build can tell; without them, they are in ``Settings.unbuilt``.
    """
    text = text.removeprefix("\ufeff")
    problems = Problems(text if written else "", (overrides or Overrides()).given)
    settings = parse_document(load(text, name), problems, now, folder=folder, recorded=recorded, built=built)
    if problems.messages:
        lines = "\n".join(f"  {message}" for message in dict.fromkeys(problems.messages))
        error = SettingsError(f"{name} is invalid:\n{lines}", hint=problems.hint)
        if problems.unbuilt.keys() >= {*problems.messages}:
            error.source_only = tuple(set(problems.unbuilt.values()))
        raise error
    return settings


def parse_document(
    document: Mapping[str, Any],
    problems: Problems,
    now: datetime | None,
    *,
    folder: str | None = None,
    recorded: "Callable[[], RecordedPythons | None]" = lambda: None,
    built: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings in the tables of *document*, valid only if there are no *problems* afterwards."""
    _check_table_names(document, problems)
    _check_other_files(document, problems, folder)
    problems.table(document, "project", "project")
    original, document = document, _standard(document, problems)
    dynamic = _project_table(document, problems, folder, built)
    project = dynamic.project
    members = workspace.members(document, folder, problems) if folder is not None else {}
    if "project" not in document and not members:
        problems.add("project", _missing_project(folder))
    table = _with_rules_of_others(_own_table(document, problems), document, problems)
    requirements = RequirementParser(problems)
    project["requires-python"] = combined_requires_python(project, members)
    name, requires_python = _project_name(project, problems), _requires_python(project, problems)
    parser = _target_parser(project, table, requires_python, problems, now=now, recorded=recorded)
    named, targets = parser.targets(has_requires_python=bool(project.get("requires-python")))
    graph = DependencyGraph(
        requirements, name, project, problems.table(document, "dependency-groups", "dependency-groups")
    )
    extras, no_extras = _locked_parts(table, "no-extras", "an extra", graph.extras(), problems)
    groups, no_groups = _locked_parts(table, "no-groups", "a dependency group", graph.groups(), problems)
    indexes = parse_indexes(problems, table)
    known_indexes = _known_indexes(original, indexes, problems)
    problems.choice(table, "file-conflicts", FILE_CONFLICTS, problems.key("file-conflicts"))  # only `sync` uses it
    sources, paths = parse_sources(problems, table, known_indexes.indexes)
    lists = (graph.requirements, *extras.values(), *groups.values())
    required = {requirement.name for listed in lists for requirement in listed}
    folders = {member: path for member, (path, _) in members.items()}
    other = OtherSources()
    if members or _uses_other_tools(document):
        from minglibc.config.other_sources import SourceReader, unread_tables  # noqa: PLC0415  1 ms; only for their projects

        skipped = {*(("extra", extra) for extra in no_extras), *(("group", group) for group in no_groups)}
        reader = SourceReader(problems, targets, folders, folder, known_indexes, skipped=skipped)
        other = reader.read_all(original, members, required, {*sources, *paths})
        problems.warnings += unread_tables(document)
    pinned = {**known_indexes.pinned, **other.pinned, **sources}
    member_paths = {member: PathSource(path, editable=True) for member, path in folders.items()}
    replaced = _Replacement(other)
    overrides = requirements.setting(table, "overrides")
    requirements.check_overrides(overrides, targets)
    return Settings(
        project=name,
        requires_python=requires_python,
        targets=targets,
        target_names=named,
        requirements=(*replaced.all(graph.requirements), *map(Requirement, sorted(folders))),
        extras={extra: replaced.all(listed) for extra, listed in extras.items()},
        groups={group: replaced.all(listed) for group, listed in groups.items()},
        default_groups=_default_groups(table, groups, problems),
        no_extras=no_extras,
        no_groups=no_groups,
        constraints=requirements.constraints(table),
        overrides=overrides,
        **_plain_values(table, problems, now),
        indexes=known_indexes.used(pinned.values(), other.indexes),
        sources=pinned,
        paths={**member_paths, **other.paths, **paths},
        warnings=tuple(dict.fromkeys(problems.warnings)),
        notes=tuple(_notes(document, problems)),
        files=dynamic.files,
        unbuilt=dynamic.unbuilt,
        default_pythons=parser.default,
    )


def _check_other_files(document: Mapping[str, Any], problems: Problems, folder: str | None) -> None:
    """Warn of settings in the files that uv and PDM read beside pyproject.toml."""
    if folder is None or not any(os.path.lexists(os.path.join(folder, n)) for n in (files.UV_TOML, files.PDM_TOML)):
        return
    from minglibc.config.other_files import check_other_files  # noqa: PLC0415  1 ms; few projects have such files

    check_other_files({**nested_table(document, "tool", "minglibc"), **problems.given}, problems, folder)


def _known_indexes(document: Mapping[str, Any], own: tuple[NamedIndex, ...], problems: Problems) -> KnownIndexes:
    """The project's *own* indexes, and those of other tools, which only their packages use if there are own ones."""
    if not _uses_other_tools(document):
        return KnownIndexes(own, own=own)
    from minglibc.config.other_indexes import read_other_indexes  # noqa: PLC0415  1 ms; only for their projects

    tool = document["tool"].get("minglibc")
    has_own = isinstance(tool, dict) and not {"index", "index-url"}.isdisjoint(tool)
    return read_other_indexes(document, problems, own, only_named=has_own)


def _target_parser(
    project: Mapping[str, Any],
    table: Mapping[str, Any],
    requires_python: str,
    problems: Problems,
    *,
    now: datetime | None,
    recorded: "Callable[[], RecordedPythons | None]",
) -> TargetParser:
    def pythons() -> "DefaultPythons":
        from minglibc.config.default_pythons import classifiers_of, default_pythons  # noqa: PLC0415  1 ms; many name them

        today = (now or datetime.now(UTC)).date()
        return default_pythons(requires_python, classifiers_of(project), today, recorded)

    return TargetParser(problems, table, requires_python, pythons)


def _plain_values(table: Mapping[str, Any], problems: Problems, now: datetime | None) -> dict[str, Any]:
    """The settings whose values depend on nothing else, by the names of their fields."""
    return {
        "excludes": frozenset(problems.names(table, "excludes")),
        "resolution": problems.choice(table, "resolution", RESOLUTIONS, problems.key("resolution")),
        "index_url": parse_index_url(problems, table),
        "prereleases": _prereleases(table, problems),
        "exclude_newer": _exclude_newer(table.get("exclude-newer"), problems.key("exclude-newer"), problems, now),
        "exclude_newer_package": _exclude_newer_package(table, problems, now),
        "allow_linux_tag": frozenset(problems.names(table, "allow-linux-tag")),
        "allow_sdist": frozenset((*problems.names(table, "allow-sdist"), *problems.names(table, "build-newer"))),
        "build_newer": frozenset(problems.names(table, "build-newer")),
        "verify": problems.flag(table, "verify", problems.key("verify")),
        "cpu": problems.choice(table, "cpu", CPU_LEVELS, problems.key("cpu")),
        "fork_strategy": problems.choice(table, "fork-strategy", FORK_STRATEGIES, problems.key("fork-strategy")),
        "toolchain": problems.choice(table, "toolchain", TOOLCHAINS, problems.key("toolchain")),
        "built_wheels": _built_wheels(table.get("built-wheels", ""), problems),
        "graft": _graft(table, problems),
    }


class _Replacement:
    """Replaces the requirements on packages that have the URL of a wheel as their source."""

    def __init__(self, sources: OtherSources) -> None:
        self._urls = sources.urls

    def all(self, requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
        """*requirements* with their URLs, each with the marker of the targets that the URL is for."""
        if not self._urls:
            return tuple(requirements)
        return tuple(replaced for requirement in requirements for replaced in self._of(requirement))

    def _of(self, requirement: Requirement) -> Iterator[Requirement]:
        for marker, url in self._urls.get(requirement.name, [("", "")]):
            restricted = requirement._replace(marker=conjunction(requirement.marker, marker))
            yield restricted._replace(specifier="", url=url) if url else restricted


def _project_table(
    document: Mapping[str, Any], problems: Problems, folder: str | None, built: Mapping[str, Any] | None
) -> DynamicProject:
    """The [project] table with its dynamic dependencies, and the files that these were read from."""
    project = document.get("project")
    if not isinstance(project, dict) or "dynamic" not in project:
        return DynamicProject(dict(project) if isinstance(project, dict) else {})
    from minglibc.config.dynamic_metadata import may_build, with_dynamic  # noqa: PLC0415  1 ms; most projects have none

    return with_dynamic(document, problems, folder, is_built=may_build(document), built=built)


def _standard(document: Mapping[str, Any], problems: Problems) -> Mapping[str, Any]:
    """*document* with standard tables instead of Poetry's, uv's and PDM's."""
    if not _uses_other_tools(document):
        return document
    from minglibc.config.other_rules import with_groups  # noqa: PLC0415  1 ms; most projects use no such tool
    from minglibc.config.poetry_project import standard  # noqa: PLC0415  as above

    return with_groups(standard(document, problems.add), problems.add)


def _missing_project(folder: str | None) -> str:
    """The message about a missing [project], with the files of *folder* that have the requirements instead."""
    present = [name for name in _WITH_REQUIREMENTS if folder and os.path.isfile(os.path.join(folder, name))]
    if present and present[-1] == "requirements.txt":
        return "is missing; write [project] with the dependencies, or run `minglibc lock -r requirements.txt`"
    if present:
        advice = 'write [project] with name, version and dynamic = ["dependencies"], so that a build tells them'
        return f"is missing, and minglibc does not read {present[0]}; {advice}"
    return 'is missing; write [project] with a name and dependencies = ["…"]'


def combined_requires_python(project: Mapping[str, Any], members: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Any:
    """The Pythons that the project and all members of its workspace support; the value as it is without members."""
    values = [
        project.get("requires-python", ""),
        *(m["project"].get("requires-python", "") for _, m in members.values()),
    ]
    return (
        ",".join(dict.fromkeys(filter(None, values))) if all(isinstance(value, str) for value in values) else values[0]
    )


def _check_table_names(document: Mapping[str, Any], problems: Problems) -> None:
    """Record tables whose names are probably misspelled."""
    for name in problems.table(document, "tool", "tool"):
        if nearest(name, ("minglibc",)):
            problems.add(f"tool.{name}", "is not a known table; did you mean [tool.minglibc]?")
    for name in document:
        if name in {"project", "dependency-groups", "tool", "build-system"}:
            continue
        if nearest(name, ("minglibc",)):
            problems.add(name, "is not a known table; did you mean [tool.minglibc]?")
        elif similar := nearest(name, ("project", "dependency-groups")):
            problems.add(name, f"is not a known table; did you mean [{similar}]?")


def _own_table(document: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """[tool.minglibc] with the values from the command line or the environment."""
    tool = document.get("tool", {})
    table = tool.get("minglibc") if isinstance(tool, dict) else None
    # Without a valid table, a cap is filled in so that its absence is not reported as well.
    default = {"glibc": "2.17", **problems.given}
    if table is None and not LIBCS.keys() & problems.given.keys():
        lines = "".join(f"\n      {line}" for line in EXAMPLE.split("\n"))
        problems.add("tool.minglibc", f"is missing; add the glibc version of the oldest machine:{lines}")
        problems.hint = "`minglibc init` adds the table with this machine's own values"
        return default
    if table is not None and not isinstance(table, dict):
        problems.unexpected("tool.minglibc", table, "expected one table: [tool.minglibc]")
        return default
    problems.check_keys(table or {}, KEYS, "tool.minglibc")
    return {**(table or {}), **problems.given}


def _with_rules_of_others(table: dict[str, Any], document: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """[tool.minglibc] with the settings that it does not have and that uv or PDM have for the project."""
    if not _uses_other_tools(document):
        return table
    from minglibc.config.other_rules import rules  # noqa: PLC0415  1 ms; only for their projects

    others = {name: rule for name, rule in rules(document).items() if name not in table}
    problems.sources.update((name, rule.source) for name, rule in others.items())
    return {**{name: rule.value for name, rule in others.items()}, **table}


def _uses_other_tools(document: Mapping[str, Any]) -> bool:
    tool = document.get("tool")
    return isinstance(tool, dict) and not _OTHER_TOOLS.isdisjoint(tool)


def _project_name(project: Mapping[str, Any], problems: Problems) -> str:
    value = project.get("name", "")
    if isinstance(value, str) and (not value or is_name(value)):
        return normalize_name(value)
    problems.unexpected("project.name", value, NAME_EXPECTED)
    return ""


def _requires_python(project: Mapping[str, Any], problems: Problems) -> str:
    for key in project:
        if similar := nearest(key, _PROJECT_KEYS, similarity=0.85):
            problems.add(f"project.{key}", f"is not a key of [project]; did you mean {similar}?")
    value = project.get("requires-python", "")
    if not isinstance(value, str):
        problems.unexpected("project.requires-python", value, 'expected a string, such as ">=3.9"')
        return ""
    try:
        versions.contains(value, "3.9")
    except ValueError:
        problems.unexpected("project.requires-python", value, 'expected a version specifier, such as ">=3.9"')
        return ""
    return value


def _locked_parts(
    table: Mapping[str, Any], setting: str, kind: str, parts: dict[str, tuple[Requirement, ...]], problems: Problems
) -> tuple[dict[str, tuple[Requirement, ...]], tuple[str, ...]]:
    """The extras or groups among *parts* that are locked, and the names of the others, which *setting* lists."""
    skipped = tuple(dict.fromkeys(problems.names(table, setting)))
    defined = f"defined are {', '.join(parts)}" if parts else "there is none"
    for name in skipped:
        if name not in parts:
            problems.add(problems.key(setting), f"lists {name!r}, which is not {kind}; {defined}")
    return {name: part for name, part in parts.items() if name not in skipped}, skipped


def _default_groups(table: Mapping[str, Any], groups: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    names = problems.names(table, "default-groups")
    defined = f"defined are {', '.join(groups)}" if groups else "there is no [dependency-groups]"
    for name in names:
        if name not in groups:
            problems.add(problems.key("default-groups"), f"lists {name!r}, which is not a dependency group; {defined}")
    return tuple(dict.fromkeys(names))


def _built_wheels(value: object, problems: Problems) -> str:
    """The folder for built wheels, without a slash at its end."""
    key = problems.key("built-wheels")
    if not isinstance(value, str) or leaves_folder(value) or not value.isprintable():
        problems.unexpected(key, value, 'expected a folder of the project, such as "wheels"')
        return ""
    path = posixpath.normpath(value) if value else ""
    if path == ".":
        problems.unexpected(key, value, 'expected a folder of the project, such as "wheels"')
    return path


def _graft(table: Mapping[str, Any], problems: Problems) -> frozenset[str]:
    """The names of shared libraries, without "lib" and ".so"."""
    value = table.get("graft", [])
    if value == []:
        return frozenset()
    from minglibc.model.library_names import library_name  # noqa: PLC0415  a module that few projects need

    expected = 'expected a list of libraries, such as ["pq"] or ["libpq.so.5"]'
    if not isinstance(value, list) or not all(isinstance(name, str) and library_name(name) for name in value):
        problems.unexpected(problems.key("graft"), value, expected)
        return frozenset()
    if table.get("toolchain") != "zig":
        problems.add(problems.key("graft"), 'requires toolchain = "zig"')
    return frozenset(library_name(name) for name in value)


def _prereleases(table: Mapping[str, Any], problems: Problems) -> bool | frozenset[str]:
    value = table.get("prereleases", False)
    if isinstance(value, bool):
        return value
    if not isinstance(value, list):
        expected = 'expected true, false or a list of names: prereleases = ["…"]'
        problems.unexpected(problems.key("prereleases"), value, expected)
        return False
    return frozenset(problems.names(table, "prereleases"))


def _exclude_newer(value: object, key: str, problems: Problems, now: datetime | None) -> datetime | None:
    """The first moment that the limit *value* excludes."""
    if value is None:
        return None
    from minglibc.config.moments import first_excluded  # noqa: PLC0415  0.3 ms; most projects have no limit

    try:
        moment = first_excluded(value, now)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        expected = 'expected a date ("2026-11-01", in UTC, that day included), a time with a time zone, or "7 days"'
        problems.unexpected(key, value, expected)
    return moment


def _exclude_newer_package(
    table: Mapping[str, Any], problems: Problems, now: datetime | None
) -> dict[str, datetime | None]:
    moments: dict[str, datetime | None] = {}
    for package, value in problems.table(table, "exclude-newer-package", problems.key("exclude-newer-package")).items():
        key = f"{problems.key('exclude-newer-package')}.{package}"
        # false: no limit for this package.
        moments[problems.name(package, key)] = None if value is False else _exclude_newer(value, key, problems, now)
    return moments


def _notes(document: Mapping[str, Any], problems: Problems) -> Iterable[str]:
    tool = document.get("tool", {})
    table = tool.get("minglibc", {}) if isinstance(tool, dict) else {}
    for name, value in problems.given.items():
        if isinstance(table, dict) and name in table and table[name] != value:
            text = ", ".join(value) if isinstance(value, list) else value
            key = problems.key(name)
            yield f"{key} {text} (command line or environment) overrides tool.minglibc.{name} in the file"
