"""pyproject.toml, read once: [tool.minglibc], the project's requirements, extras and groups → Settings."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from minglibc.errors import SettingsError, TargetError
from minglibc.model import requirements, versions
from minglibc.model.requirements import Environment, InvalidRequirement, Requirement, normalize_name
from minglibc.model.targets import (
    LIBCS,
    NEWEST_PYTHON,
    OLDEST_PYTHON,
    Cap,
    GlibcVersion,
    PythonVersion,
    Target,
    check_architecture,
    check_cap,
    newest,
)

DEFAULT_ARCHITECTURES = ("x86_64",)
RESOLUTIONS = ("highest", "lowest", "lowest-direct")
EXAMPLE = '[tool.minglibc]\nglibc = "2.17"\npython = ["3.9", "3.11"]'

KEYS = (
    "glibc",
    "musl",
    "python",
    "architectures",
    "target",
    "index-url",
    "index",
    "sources",
    "prereleases",
    "exclude-newer",
    "exclude-newer-package",
    "allow-linux-tag",
    "allow-sdist",
    "verify",
    "default-groups",
    "constraints",
    "overrides",
    "excludes",
    "resolution",
)
INDEX_KEYS = ("name", "url", "default", "explicit", "format")
INDEX_FORMATS = ("simple", "flat")
TARGET_KEYS = ("name", "glibc", "musl", "python", "architecture")
# What minglibc reads of [project]; a near miss of one of these would be silently nothing.
PROJECT_KEYS = ("dependencies", "optional-dependencies", "requires-python")
OPTIONS = {"architectures": "--arch"}

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
# Compiled when they are needed, which most are not.
_URL = r"(?i:https?)://(?P<credentials>[^/?#\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^/?#\s@:\[\]]+)(?::[0-9]{1,5})?(?:/[^?#\s]*)?"
_USER_INFO = r"//[^/?#]*@"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DURATION = r"(?P<number>[0-9]{1,6}) ?(?P<unit>hour|day|week)s?|P(?P<days>[0-9]{1,6})D|P(?P<weeks>[0-9]{1,5})W|PT(?P<hours>[0-9]{1,6})H"
_HEADER = r"\s*\[\[?\s*([^\]]+?)\s*\]"
_KEY = r"""\s*["']?([\w.-]+)["']?\s*="""
_CONFLICT = r"(?m)^(?:<{7}|>{7})(?: .*)?$"
_LONGEST_VERSION = 40
_HIGHEST_MINOR = 999


class _Libc(NamedTuple):
    """How the cap on one C library is written; its key has the library's name."""

    accepted: str
    example: str
    trap: str


_WRITTEN = {
    "glibc": _Libc('"2.27", "manylinux_2_28" or "manylinux2014"', "2.17", "2.30 as 2.3"),
    "musl": _Libc('"1.2" or "musllinux_1_2"', "1.2", "1.10 as 1.1"),
}


class Overrides(NamedTuple):
    """What the command line or the environment says instead of [tool.minglibc]; what is not said is None or empty."""

    glibc: str | None = None
    musl: str | None = None
    python: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    index_url: str | None = None
    prereleases: bool | None = None
    exclude_newer: str | None = None
    resolution: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The values that are said, under the names of their keys."""
        return {
            field.replace("_", "-"): list(value) if isinstance(value, tuple) else value
            for field, value in self._asdict().items()
            if value is not None and value != ()
        }


class NamedIndex(NamedTuple):
    """A [[tool.minglibc.index]]: *default* takes the public one's place, *explicit* is asked for what is pinned to it alone."""

    name: str
    url: str
    default: bool = False
    explicit: bool = False
    # A simple index has a page for each project (PEP 503); a flat one is a page of files, find-links to pip.
    format: str = "simple"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or a page on this machine."""
        return not self.url.lower().startswith(("https://", "http://"))


class PathSource(NamedTuple):
    """Where on this machine a project is: a wheel, a source distribution or a folder, from the lock's folder."""

    path: str
    editable: bool = False


class Settings(NamedTuple):
    """Everything that a lock is made from, but the index."""

    project: str
    requires_python: str
    targets: tuple[Target, ...]
    target_names: dict[str, Target]
    requirements: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]
    groups: dict[str, tuple[Requirement, ...]]
    default_groups: tuple[str, ...]
    constraints: tuple[Requirement, ...]
    overrides: tuple[Requirement, ...]
    excludes: frozenset[str]
    resolution: str
    index_url: str | None
    indexes: tuple[NamedIndex, ...]
    sources: dict[str, str]
    paths: dict[str, PathSource]
    prereleases: bool | frozenset[str]
    exclude_newer: datetime | None
    exclude_newer_package: dict[str, datetime | None]
    allow_linux_tag: frozenset[str]
    allow_sdist: frozenset[str]
    verify: bool
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def parse(
    text: str,
    *,
    name: str = "pyproject.toml",
    overrides: Overrides | None = None,
    now: datetime | None = None,
    written: bool = True,
) -> Settings:
    """What pyproject.toml's *text* asks for; raises one SettingsError that lists every mistake in it.

    *written* is false for a text that was put together from other files, whose lines and [project] no user has seen.
    *now* is what durations in ``exclude-newer`` are counted back from. The bound itself is left out: a file that was
    uploaded at that moment or later is too new.
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader(text if written else "", load(text, name), overrides or Overrides(), now)
    settings = reader.settings()
    if reader.problems:
        lines = "\n".join(f"  {problem}" for problem in dict.fromkeys(reader.problems))
        raise SettingsError(f"{name} can't be used as it is:\n{lines}", hint=reader.hint)
    return settings


def load(text: str, name: str = "pyproject.toml") -> dict[str, Any]:
    """The tables of *text*; raises a SettingsError that says where it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise SettingsError(f"{name} is not TOML: it nests too deeply") from error
    except ValueError as error:
        marker = re.search(_CONFLICT, text)
        if marker:
            line = text.count("\n", 0, marker.start()) + 1
            raise SettingsError(
                f"{name} has a merge-conflict marker at line {line}, column 1",
                hint="settle the conflict, then run again",
            ) from error
        said = str(error)
        twice = re.match(r"Cannot declare \((.*?),?\) twice", said)
        if twice:
            table = ".".join(part.strip(" '\"") for part in twice[1].split(","))
            said = f"the table [{table}] stands there twice{said[twice.end() :]}"
        elif said.startswith("Exceeds the limit"):
            said = "a number in it is too long"
        raise SettingsError(f"{name} is not TOML: {said.replace('(at ', '(')}") from error


class _Reader:
    """One reading of one file: collects every mistake instead of stopping at the first."""

    def __init__(self, text: str, document: dict[str, Any], overrides: Overrides, now: datetime | None) -> None:
        self.text = text
        self.document = document
        self.given = overrides.given
        self.now = now
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.hint = ""
        # What a marker says is judged later, for each target; here it only has to be a marker.
        self.anywhere = Environment(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)).environment)

    def settings(self) -> Settings:
        """The settings; of use only where no problem was found."""
        self._check_table_names()
        project = self._table(self.document, "project", "project")
        if "project" not in self.document:
            self.problem("project", 'is missing; write [project] with a name and dependencies = ["…"]')
        table = self._own_table()
        name = self._project_name(project)
        requires_python = self._requires_python(project)
        named, targets = self._targets(table, project, requires_python)
        graph = _Graph(self, name, project, self._table(self.document, "dependency-groups", "dependency-groups"))
        groups = graph.groups()
        newer_package = self._table(table, "exclude-newer-package", "tool.minglibc.exclude-newer-package")
        indexes = self._indexes(table)
        sources, paths = self._sources(table, indexes)
        return Settings(
            project=name,
            requires_python=requires_python,
            targets=targets,
            target_names=named,
            requirements=graph.requirements,
            extras=graph.extras(),
            groups=groups,
            default_groups=self._default_groups(table, groups),
            constraints=self._own_requirements(table, "constraints"),
            overrides=self._own_requirements(table, "overrides"),
            excludes=frozenset(self._names(table, "excludes")),
            resolution=self._choice(table, "resolution", RESOLUTIONS),
            index_url=self._index_url(table),
            indexes=indexes,
            sources=sources,
            paths=paths,
            prereleases=self._prereleases(table),
            exclude_newer=self._moment(table.get("exclude-newer"), self.key("exclude-newer")),
            exclude_newer_package={
                self._name(package, f"tool.minglibc.exclude-newer-package.{package}"): None
                if moment is False
                else self._moment(moment, f"tool.minglibc.exclude-newer-package.{package}")
                for package, moment in newer_package.items()
            },
            allow_linux_tag=frozenset(self._names(table, "allow-linux-tag")),
            allow_sdist=frozenset(self._names(table, "allow-sdist")),
            verify=self._flag(table, "verify", default=False),
            warnings=tuple(dict.fromkeys(self.warnings)),
            notes=tuple(self._notes()),
        )

    # ---- saying what is wrong

    def problem(self, key: str, what: str) -> None:
        """Note that *key* is wrong in the way that *what* says."""
        line = _line_of(self.text, key)
        spoken = key if self.text else key.removeprefix("project.")
        self.problems.append(f"{spoken}{f' (line {line})' if line else ''} {what}")

    def wrong(self, key: str, value: object, accepted: str) -> None:
        """Note that *key* holds *value* where *accepted* is due."""
        self.problem(key, f"is {_found(value)}; {accepted}")

    def key(self, name: str) -> str:
        """Where the value of the setting *name* comes from, as the user wrote it."""
        if name in self.given:
            return OPTIONS.get(name, f"--{name}")
        return f"tool.minglibc.{name}"

    def _notes(self) -> Iterable[str]:
        table = self.document.get("tool", {}).get("minglibc", {}) if isinstance(self.document.get("tool"), dict) else {}
        for name, value in self.given.items():
            if isinstance(table, dict) and name in table and table[name] != value:
                said = ", ".join(value) if isinstance(value, list) else value
                yield (
                    f"{self.key(name)} {said} (command line or environment) wins over tool.minglibc.{name} in the file"
                )

    # ---- tables and plain values

    def _table(self, parent: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        value = parent.get(name, {})
        if isinstance(value, dict):
            return value
        self.wrong(key, value, f"a table is due: [{key}]")
        return {}

    def _check_table_names(self) -> None:
        tool = self._table(self.document, "tool", "tool")
        for other in tool:
            if other != "minglibc" and _nearest(other, ("minglibc",)):
                self.problem(f"tool.{other}", "is not read by anybody; did you mean [tool.minglibc]?")
        for other in self.document:
            if other in {"project", "dependency-groups", "tool", "build-system"}:
                continue
            if _nearest(other, ("minglibc",)):
                self.problem(other, "is not read by anybody; did you mean [tool.minglibc]?")
            elif nearest := _nearest(other, ("project", "dependency-groups")):
                self.problem(other, f"is not read by anybody; did you mean [{nearest}]?")

    def _own_table(self) -> dict[str, Any]:
        """[tool.minglibc] with what the command line says in its place."""
        tool = self.document.get("tool", {})
        found = tool.get("minglibc") if isinstance(tool, dict) else None
        if found is None and not LIBCS.keys() & self.given.keys():
            lines = "".join(f"\n      {line}" for line in EXAMPLE.split("\n"))
            self.problem("tool.minglibc", f"is missing; it says what the oldest machine has:{lines}")
            self.hint = "`minglibc init` adds these lines with this machine's own values"
            # The keys below are only due where there is a table.
            return {"glibc": "2.17", **self.given}
        if found is not None and not isinstance(found, dict):
            self.wrong("tool.minglibc", found, "one table is due: [tool.minglibc]")
            return {"glibc": "2.17", **self.given}
        table: dict[str, Any] = found or {}
        self._check_keys(table, KEYS, "tool.minglibc")
        return {**table, **self.given}

    def _check_keys(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                nearest = _nearest(key, known)
                asked = f"did you mean {nearest}?" if nearest else f"known are {', '.join(known)}"
                self.problem(f"{where}.{key}", f"is not a setting; {asked}")

    def _flag(self, table: Mapping[str, Any], name: str, *, default: bool) -> bool:
        value = table.get(name, default)
        if not isinstance(value, bool):
            self.wrong(self.key(name), value, "true or false is due")
            return default
        return value

    def _choice(self, table: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
        value = table.get(name, choices[0])
        if not isinstance(value, str) or value not in choices:
            self.wrong(self.key(name), value, f"one of {_quoted(choices)} is due")
            return choices[0]
        return value

    def texts(self, value: object, key: str, example: str, *, tables: bool = False) -> list[tuple[str, str]]:
        """The strings of the list *value*, each with the key that names it in an error; *tables* may stand between."""
        if not isinstance(value, list):
            self.wrong(key, value, f"a list of strings is due: {example}")
            return []
        found = []
        for position, item in enumerate(value):
            if isinstance(item, str):
                found.append((f"{key}[{position}]", item))
            elif not (tables and isinstance(item, dict)):
                self.wrong(f"{key}[{position}]", item, f"a string in quotes is due: {example}")
        return found

    def _name(self, value: str, key: str) -> str:
        if not _NAME.fullmatch(value):
            self.wrong(key, value, "a project's name is due, without version or extras")
        return normalize_name(value)

    def _names(self, table: Mapping[str, Any], name: str) -> list[str]:
        key = self.key(name)
        return [self._name(text, where) for where, text in self.texts(table.get(name, []), key, f'{name} = ["…"]')]

    def _project_name(self, project: Mapping[str, Any]) -> str:
        value = project.get("name", "")
        if isinstance(value, str) and (not value or _NAME.fullmatch(value)):
            return normalize_name(value)
        self.wrong("project.name", value, "a name of letters, digits, '-', '_' and '.' is due")
        return ""

    # ---- targets

    def _requires_python(self, project: Mapping[str, Any]) -> str:
        for key in project:
            if key not in PROJECT_KEYS and (nearest := _nearest(key, PROJECT_KEYS, likeness=0.85)):
                self.problem(f"project.{key}", f"is not a key of [project]; did you mean {nearest}?")
        value = project.get("requires-python", "")
        if not isinstance(value, str):
            self.wrong("project.requires-python", value, 'a string in quotes is due, such as ">=3.9"')
            return ""
        try:
            versions.contains(value, "3.9")
        except ValueError:
            self.wrong("project.requires-python", value, 'a version specifier is due, such as ">=3.9"')
            return ""
        return value

    def _targets(
        self, table: Mapping[str, Any], project: Mapping[str, Any], requires_python: str
    ) -> tuple[dict[str, Target], tuple[Target, ...]]:
        named: dict[str, Target] = {}
        if "target" in table:
            named = self._named_targets(table)
            targets = set(named.values())
        else:
            caps = self._caps(table)
            targets = {
                Target(python, architecture, cap)
                for python in self._pythons(table, project, requires_python)
                for architecture, cap in caps
            }
        for python in dict.fromkeys(target.python for target in sorted(targets, key=_order)):
            if requires_python and not versions.contains(requires_python, python.full):
                self.problem(
                    self.key("python"), f"names {python}, which project.requires-python {requires_python} refuses"
                )
        for cap in {target.cap for target in targets}:
            if cap > newest(cap):
                self.warnings.append(f"{cap.named} is newer than any that this minglibc knows ({newest(cap)})")
        return named, tuple(sorted(targets, key=_order))

    def _caps(self, table: Mapping[str, Any]) -> list[tuple[str, Cap]]:
        """Each architecture with each of its caps; a table of one C library names its own architectures."""
        stated = [libc for libc in LIBCS if libc in table] or ["glibc"]
        return list(dict.fromkeys(pair for libc in stated for pair in self._caps_of(libc, table).items()))

    def _caps_of(self, libc: str, table: Mapping[str, Any]) -> dict[str, Cap]:
        """The cap of each architecture on one C library."""
        value = table.get(libc)
        by_architecture = value if isinstance(value, dict) else None
        asked = table.get("architectures", list(by_architecture or DEFAULT_ARCHITECTURES))
        architectures = [
            name
            for where, text in self.texts(asked, self.key("architectures"), 'architectures = ["x86_64"]')
            if (name := self._architecture(text, where))
        ]
        if not asked:
            self.problem(self.key("architectures"), "is an empty list; a lock needs one architecture at least")
        if by_architecture is None:
            cap = self._cap(libc, value, self.key(libc))
            return {name: cap for name in architectures if cap and self._fits(cap, name, self.key(libc))}
        if not by_architecture:
            example = _WRITTEN[libc].example
            self.problem(self.key(libc), f'is an empty table; write {libc} = {{ x86_64 = "{example}" }}')
        caps = {}
        for name, text in by_architecture.items():
            where = f"tool.minglibc.{libc}.{name}"
            cap = self._cap(libc, text, where)
            if "architectures" in table and name not in architectures:
                if "architectures" not in self.given and self._architecture(name, where):
                    self.problem(where, "names an architecture that tool.minglibc.architectures does not")
            elif name in architectures and cap and self._fits(cap, name, where):
                caps[name] = cap
        for name in architectures:
            if name not in by_architecture:
                self.problem(self.key(libc), f"says nothing of {name}, which {self.key('architectures')} names")
        return caps

    def _architecture(self, text: str, where: str) -> str:
        try:
            return check_architecture(text)
        except TargetError as error:
            self.problem(where, f"is wrong: {error.message}")
            return ""

    def _fits(self, cap: Cap, architecture: str, where: str) -> bool:
        try:
            check_cap(cap, architecture)
        except TargetError as error:
            self.problem(where, f"is too low: {error.message}")
            return False
        return True

    def _cap(self, libc: str, value: object, where: str) -> Cap | None:
        accepted, example, trap = _WRITTEN[libc]
        if value is None:
            self.problem(
                where, f'is missing; write {libc} = "{example}" with the {libc} of the oldest machine (`ldd --version`)'
            )
        elif isinstance(value, int | float) and not isinstance(value, bool):
            also = f", for TOML reads the number {trap}"
            self.wrong(where, value, f'it must be a string in quotes, "{value}"{also}')
        elif not isinstance(value, str):
            self.wrong(where, value, f"a string is due: {accepted}")
        elif len(value) > _LONGEST_VERSION:
            self.problem(where, f"is too long; write {accepted}")
        else:
            return self._parsed_cap(libc, value, where)
        return None

    def _parsed_cap(self, libc: str, text: str, where: str) -> Cap | None:
        try:
            cap = LIBCS[libc].parse(text)
        except TargetError as error:
            self.problem(where, f"is wrong: {error.message}")
            return None
        if cap.minor <= _HIGHEST_MINOR:
            return cap
        self.problem(where, f"is wrong: there is no {cap.named}; the newest known is {newest(cap)}")
        return None

    def _pythons(
        self, table: Mapping[str, Any], project: Mapping[str, Any], requires_python: str
    ) -> list[PythonVersion]:
        key = self.key("python")
        if "python" not in table:
            return self._admitted_pythons(project, requires_python)
        value = table["python"]
        if value == []:
            self.problem(key, 'is an empty list; write python = ["3.9"], or leave it to project.requires-python')
            return []
        items = value if isinstance(value, list) else [value]
        labels = [f"{key}[{position}]" for position in range(len(items))] if isinstance(value, list) else [key]
        pythons = [
            python
            for where, item in zip(labels, items, strict=True)
            if (python := self._python(item, where)) is not None
        ]
        self._check_distinct(pythons, key)
        return pythons

    def _check_distinct(self, pythons: list[PythonVersion], key: str) -> None:
        for position, python in enumerate(pythons):
            if python in pythons[:position]:
                self.problem(key, f"names {python} twice")
            elif python.patch is not None and python._replace(patch=None) in pythons:
                self.problem(key, f"names {python.short} and {python}, and a lock can't tell them apart; keep one")

    def _python(self, value: object, where: str) -> PythonVersion | None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.wrong(
                where, value, 'it must be a string in quotes, such as "3.10", for TOML reads the number 3.10 as 3.1'
            )
        elif not isinstance(value, str) or len(value) > _LONGEST_VERSION:
            self.wrong(where, value, 'versions in quotes are due, such as "3.9"')
        else:
            try:
                return PythonVersion.parse(value)
            except TargetError as error:
                also = "; a range belongs in project.requires-python" if value[:1] in set("<>=~!^") else ""
                self.problem(where, f"is wrong: {error.message}{also}")
        return None

    def _admitted_pythons(self, project: Mapping[str, Any], requires_python: str) -> list[PythonVersion]:
        if not requires_python:
            # A requires-python that can't be read has its own line already.
            if not project.get("requires-python"):
                self.problem(
                    "tool.minglibc.python",
                    'is missing, and so is project.requires-python; write requires-python = ">=3.9" under [project], '
                    'or python = ["3.9"] under [tool.minglibc]',
                )
            return []
        every = [PythonVersion(minor) for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1)]
        admitted = [python for python in every if versions.contains(requires_python, python.full)]
        if not admitted:
            self.problem(
                "project.requires-python",
                f"is {requires_python!r}, which admits the newest release of no CPython from 3.{OLDEST_PYTHON} to "
                f'3.{NEWEST_PYTHON}; for one exact release, write python = ["3.9.2"] under [tool.minglibc]',
            )
        return admitted

    def _named_targets(self, table: Mapping[str, Any]) -> dict[str, Target]:
        """The targets of the [[tool.minglibc.target]] tables, by their names."""
        for name in ("python", "architectures"):
            if name in table:
                self.problem(self.key(name), "can't stand beside [[tool.minglibc.target]] tables, which say it each")
        for libc in filter(self.given.__contains__, LIBCS):
            self.problem(f"--{libc}", "can't be given where [[tool.minglibc.target]] tables say it each")
        tables = table["target"]
        if not isinstance(tables, list) or not tables or not all(isinstance(item, dict) for item in tables):
            self.wrong("tool.minglibc.target", tables, "tables are due: [[tool.minglibc.target]]")
            return {}
        named: dict[str, Target] = {}
        for position, item in enumerate(tables):
            where = f"tool.minglibc.target[{position}]"
            self._check_keys(item, TARGET_KEYS, where)
            name, target = item.get("name"), self._target(item, table, where)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                self.wrong(f"{where}.name", name, "a name of letters, digits, '-', '_' and '.' is due")
            elif name in named:
                self.problem(f"{where}.name", f"is {name!r}, and an earlier target has that name")
            elif target:
                self._check_alike(name, target, named)
                named[name] = target
        return named

    def _target(self, item: Mapping[str, Any], table: Mapping[str, Any], where: str) -> Target | None:
        python = self._python(item.get("python"), f"{where}.python")
        text = item.get("architecture", DEFAULT_ARCHITECTURES[0])
        architecture = ""
        if isinstance(text, str):
            architecture = self._architecture(text, f"{where}.architecture")
        else:
            self.wrong(f"{where}.architecture", text, 'a string is due, such as "x86_64"')
        libc = self._libc(item, table, where)
        value = item.get(libc, table.get(libc))
        if isinstance(value, dict):
            value = value.get(architecture)
        cap = self._cap(libc, value, f"{where}.{libc}") if libc else None
        if python and architecture and cap and self._fits(cap, architecture, f"{where}.{libc}"):
            return Target(python, architecture, cap)
        return None

    def _libc(self, item: Mapping[str, Any], table: Mapping[str, Any], where: str) -> str:
        """The C library of the target *item*: its own, else the only one that the whole table has; "" where two are said."""
        own = [libc for libc in LIBCS if libc in item]
        stated = own or [libc for libc in LIBCS if libc in table] or ["glibc"]
        if len(stated) == 1:
            return stated[0]
        if own:
            self.problem(where, "has glibc and musl, and a machine has one of them; write a target for each")
        else:
            self.problem(where, "has neither glibc nor musl, and tool.minglibc has both; write one of them here")
        return ""

    def _check_alike(self, name: str, target: Target, named: Mapping[str, Target]) -> None:
        for other, earlier in named.items():
            if earlier.kind == target.kind and earlier.cap != target.cap:
                # Markers (PEP 508) know nothing of C libraries, and tags can only keep glibc and musl apart.
                self.problem(
                    "tool.minglibc.target",
                    f"{other} and {name} differ in {target.cap.libc} alone, and a lock can't tell them apart; "
                    f"give both {min(earlier.cap, target.cap)}, which runs on either",
                )
            elif earlier[:2] == target[:2]:
                continue  # of a wheel for glibc and one for musl, an installer's tags choose
            elif earlier[1] == target[1] and earlier != target:
                self._check_distinct([earlier.python, target.python], "tool.minglibc.target")

    # ---- indexes and choices

    def _index_url(self, table: Mapping[str, Any]) -> str | None:
        value, key = table.get("index-url"), self.key("index-url")
        return None if value is None else self._address(value, key, committed="index-url" not in self.given)

    def _address(self, value: object, key: str, *, committed: bool = True) -> str | None:
        """The index at the address *value*; None and a problem where it is none."""
        accepted = 'an address such as "https://index.example.invalid/simple" is due, without # or ?'
        if not isinstance(value, str):
            self.wrong(key, value, accepted)
            return None
        match = re.fullmatch(_URL, value)
        if not match:
            self.wrong(key, re.sub(_USER_INFO, "//****@", value), accepted)
        elif match["credentials"] and committed:
            self.warnings.append(
                f"{key} holds credentials, in a file that is committed; keep them in netrc or in the environment"
            )
        return value

    def _indexes(self, table: Mapping[str, Any]) -> tuple[NamedIndex, ...]:
        """The indexes of the [[tool.minglibc.index]] tables, in their order."""
        tables = table.get("index", [])
        if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
            self.wrong("tool.minglibc.index", tables, "tables are due: [[tool.minglibc.index]]")
            return ()
        found: list[NamedIndex] = []
        for position, item in enumerate(tables):
            where = f"tool.minglibc.index[{position}]"
            self._check_keys(item, INDEX_KEYS, where)
            index = self._index(item, where)
            if index:
                self._check_apart(index, found, where)
                found.append(index)
        if any(index.default for index in found) and "index-url" in table and "index-url" not in self.given:
            self.problem("tool.minglibc.index-url", "can't stand beside an index that is the default; keep one")
        return tuple(found)

    def _index(self, item: Mapping[str, Any], where: str) -> NamedIndex | None:
        name = item.get("name")
        flags = []
        for flag in ("default", "explicit"):
            value = item.get(flag, False)
            if not isinstance(value, bool):
                self.wrong(f"{where}.{flag}", value, "true or false is due")
            flags.append(value is True)
        form = item.get("format", INDEX_FORMATS[0])
        if form not in INDEX_FORMATS:
            self.wrong(f"{where}.format", form, f"one of {_quoted(INDEX_FORMATS)} is due")
        if all(flags):
            self.problem(where, "is the default and explicit; the default is asked for whatever no other index has")
        url = self._index_address(item.get("url"), f"{where}.url", flat=form == "flat")
        if isinstance(name, str) and _NAME.fullmatch(name):
            default, explicit = flags
            return NamedIndex(name, url, default, explicit, form) if url else None
        self.wrong(f"{where}.name", name, "a name of letters, digits, '-', '_' and '.' is due")
        return None

    def _index_address(self, value: object, key: str, *, flat: bool) -> str | None:
        """The address of an index, which may be a path where it is *flat*."""
        if not isinstance(value, str) or not value.isprintable() or not _is_path(value):
            return self._address(value, key)
        if flat:
            return value
        self.wrong(key, value, 'an address is due; a folder of wheels wants format = "flat" beside it')
        return None

    def _check_apart(self, index: NamedIndex, earlier: Iterable[NamedIndex], where: str) -> None:
        for other in earlier:
            # Its environment variables have no more letters than these.
            if normalize_name(other.name) == normalize_name(index.name):
                self.problem(f"{where}.name", f"is {index.name!r}, and an earlier index has that name")
            if other.default and index.default:
                self.problem(where, f"is the default, and so is {other.name}; keep one")

    def _sources(
        self, table: Mapping[str, Any], indexes: Iterable[NamedIndex]
    ) -> tuple[dict[str, str], dict[str, PathSource]]:
        """The index that each of these projects belongs to, by its name; and the place on this machine of the others."""
        known = {index.name for index in indexes}
        pins: dict[str, str] = {}
        paths: dict[str, PathSource] = {}
        for project, item in self._table(table, "sources", "tool.minglibc.sources").items():
            where = f"tool.minglibc.sources.{project}"
            name = self._name(project, where)
            index = item.get("index") if isinstance(item, dict) else None
            path = self._path_source(item)
            if name in pins or name in paths:
                self.problem(where, f"is the same project as an earlier one: both are {name}")
            elif path is not None:
                paths[name] = path
            elif not isinstance(item, dict) or set(item) != {"index"} or not isinstance(index, str):
                self.wrong(where, item, 'a table is due: { index = "name" } or { path = "libs/name" }')
            elif index not in known:
                named = f"known are {', '.join(sorted(known))}" if known else "there is no [[tool.minglibc.index]]"
                self.problem(where, f"names the index {index!r}; {named}")
            else:
                pins[name] = index
        return pins, paths

    @staticmethod
    def _path_source(item: object) -> PathSource | None:
        if not isinstance(item, dict) or not {"path"} <= set(item) <= {"path", "editable"}:
            return None
        path, editable = item["path"], item.get("editable", False)
        fits = isinstance(path, str) and path and path.isprintable() and isinstance(editable, bool)
        return PathSource(path, editable) if fits else None

    def _prereleases(self, table: Mapping[str, Any]) -> bool | frozenset[str]:
        value = table.get("prereleases", False)
        if isinstance(value, bool):
            return value
        if not isinstance(value, list):
            self.wrong(self.key("prereleases"), value, 'true, false or a list of names is due: prereleases = ["…"]')
            return False
        return frozenset(self._names(table, "prereleases"))

    def _moment(self, value: object, key: str) -> datetime | None:
        """The first moment that is too new."""
        accepted = 'a date is due ("2026-11-01", in UTC and that day included), a time with its zone, or "7 days"'
        if value is None:
            return None
        try:
            moment = _moment(value, self.now)
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            self.wrong(key, value, accepted)
        return moment

    # ---- requirements

    def _default_groups(self, table: Mapping[str, Any], groups: Mapping[str, Any]) -> tuple[str, ...]:
        names = self._names(table, "default-groups")
        for name in names:
            if name not in groups:
                known = f"known are {', '.join(groups)}" if groups else "there is no [dependency-groups]"
                self.problem(self.key("default-groups"), f"names {name!r}, which is no dependency group; {known}")
        return tuple(dict.fromkeys(names))

    def _own_requirements(self, table: Mapping[str, Any], name: str) -> tuple[Requirement, ...]:
        key = self.key(name)
        return tuple(
            requirement
            for where, text in self.texts(table.get(name, []), key, f'{name} = ["…"]')
            if (requirement := self.requirement(text, where))
        )

    def requirement(self, text: str, where: str) -> Requirement | None:
        """The requirement that *text* states, or None and a problem."""
        try:
            requirement = requirements.parse(text)
            self.anywhere.admits(requirement.marker)
            if requirement.specifier:
                versions.contains(requirement.specifier, "1")
        except InvalidRequirement as error:
            self.problem(where, f"is {text!r}, which is not a requirement: {error}")
        except ValueError as error:
            self.problem(where, f"is {text!r}: {error}")
        else:
            return requirement
        return None

    def check_pins(self, found: Iterable[tuple[str, Requirement]]) -> None:
        """Note each name that is pinned to two versions at once."""
        pins: dict[tuple[str, str], Requirement] = {}
        for where, requirement in found:
            pin = requirement.specifier.removeprefix("==")
            if pin == requirement.specifier or not versions.normalize(pin):
                continue
            other = pins.setdefault((requirement.name, requirement.marker), requirement)
            if versions.normalize(other.specifier.removeprefix("==")) != versions.normalize(pin):
                self.problem(where, f"is {str(requirement)!r}, and {str(other)!r} stands there too; keep one")


# A part of the project that requirements come from: ("extra", name), ("group", name), or ("project", "").
_Node = tuple[str, str]
# Another part that is taken in whole, the marker under which, and the key that says so.
_Reference = tuple[_Node, str, str]


class _Graph:
    """Extras that name the project's other extras, and groups that include groups (PEP 735), written out.

    Not the dependency-groups library: extras need the same walk, and it stops at the first mistake.
    """

    def __init__(self, reader: _Reader, project: str, metadata: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
        self.reader = reader
        self.project = project
        self.entries: dict[_Node, list[Requirement | _Reference]] = {}
        self.written: dict[_Node, tuple[Requirement, ...]] = {}
        self.circles: set[frozenset[_Node]] = set()
        self._read_project(metadata)
        for name, value in groups.items():
            self._read("group", name, value, f"dependency-groups.{name}")

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What the project itself depends on."""
        return self._expanded(("project", ""), ())

    def extras(self) -> dict[str, tuple[Requirement, ...]]:
        """What each extra adds."""
        return {node[1]: self._expanded(node, ()) for node in self.entries if node[0] == "extra"}

    def groups(self) -> dict[str, tuple[Requirement, ...]]:
        """What each dependency group asks for."""
        return {node[1]: self._expanded(node, ()) for node in self.entries if node[0] == "group"}

    def _read_project(self, metadata: Mapping[str, Any]) -> None:
        dynamic = metadata.get("dynamic", [])
        for key in ("dependencies", "optional-dependencies"):
            if isinstance(dynamic, list) and key in dynamic:
                self.reader.problem(
                    "project.dynamic",
                    f"leaves {key} to the build backend, which minglibc does not ask; write them under project.{key}",
                )
        self._read("project", "", metadata.get("dependencies", []), "project.dependencies")
        extras = metadata.get("optional-dependencies", {})
        if not isinstance(extras, dict):
            self.reader.wrong("project.optional-dependencies", extras, 'a table is due: { name = ["…"] }')
            return
        for name, value in extras.items():
            self._read("extra", name, value, f"project.optional-dependencies.{name}")

    def _read(self, kind: str, name: str, value: object, key: str) -> None:
        node = (kind, normalize_name(name))
        if kind != "project" and not _NAME.fullmatch(name):
            self.reader.problem(key, "is no name that an extra or a group can have")
        if node in self.entries:
            self.reader.problem(key, f"is the same name as an earlier one: both are {node[1]}")
            return
        entries: list[Requirement | _Reference] = []
        self.entries[node] = entries
        if kind == "group":
            entries += [(("group", normalize_name(item)), "", where) for where, item in self._included(value, key)]
        found: list[tuple[str, Requirement]] = []
        for where, text in self.reader.texts(value, key, '["requests>=2"]', tables=kind == "group"):
            requirement = self.reader.requirement(text, where)
            if requirement is None:
                continue
            if not self.project or requirement.name != self.project:
                found.append((where, requirement))
                entries.append(requirement)
            elif kind == "project":
                self.reader.problem(where, f"is {text!r}: the project depends on itself")
            else:
                entries += [(("extra", extra), requirement.marker, where) for extra in requirement.extras]
                if kind == "group":
                    entries.append((("project", ""), requirement.marker, where))
        self.reader.check_pins(found)

    def _included(self, value: object, key: str) -> Iterable[tuple[str, str]]:
        for position, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict):
                where = f"{key}[{position}]"
                name = item.get("include-group")
                if len(item) == 1 and isinstance(name, str):
                    yield where, name
                else:
                    self.reader.wrong(where, item, 'a requirement or { include-group = "name" } is due')

    def _expanded(self, node: _Node, trail: tuple[_Node, ...]) -> tuple[Requirement, ...]:
        if node in self.written:
            return self.written[node]
        found: list[Requirement] = []
        for entry in self.entries[node]:
            if isinstance(entry, Requirement):
                found.append(entry)
                continue
            other, marker, where = entry
            if other not in self.entries:
                kind = "a dependency group" if other[0] == "group" else "an extra of the project"
                self.reader.problem(where, f"names {other[1]!r}, which is not {kind}")
            elif other in (*trail, node):
                self._report_circle((*trail, node)[(*trail, node).index(other) :], where)
            else:
                found += [_narrowed(requirement, marker) for requirement in self._expanded(other, (*trail, node))]
        if not trail:
            self.written[node] = tuple(dict.fromkeys(found))
        return tuple(dict.fromkeys(found))

    def _report_circle(self, circle: tuple[_Node, ...], where: str) -> None:
        # Every member of a circle meets it; one line is enough.
        if frozenset(circle) not in self.circles:
            self.circles.add(frozenset(circle))
            kind = "groups" if circle[0][0] == "group" else "extras"
            names = " → ".join(name for _, name in (*circle, circle[0]))
            self.reader.problem(where, f"closes a circle of {kind}: {names}")


def _narrowed(requirement: Requirement, marker: str) -> Requirement:
    if not marker or not requirement.marker:
        return requirement._replace(marker=requirement.marker or marker)
    return requirement._replace(marker=f"({requirement.marker}) and ({marker})")


def _is_path(address: str) -> bool:
    """Whether *address* is a path, or a file: URL."""
    scheme, colon, rest = address.partition(":")
    return bool(address) if not colon or "/" in scheme else scheme.lower() == "file" and bool(rest)


def _order(target: Target) -> tuple[PythonVersion, str, str, Cap]:
    # An exact patch release has no order with "any patch"; the markers keep them apart.
    python = target.python
    return python._replace(patch=python.patch or 0), target.architecture, target.cap.libc, target.cap


def _moment(value: object, now: datetime | None) -> datetime | None:
    """The first moment after what *value* names; raises ValueError or OverflowError."""
    if isinstance(value, str):
        duration = re.fullmatch(_DURATION, value)
        if duration:
            return (now or datetime.now(UTC)) - _length(duration)
        if not re.match(_DATE, value):
            return None
        value = date.fromisoformat(value) if re.fullmatch(_DATE, value) else datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else None
    if isinstance(value, date):
        return datetime.combine(value + timedelta(days=1), time(), UTC)
    return None


def _length(duration: re.Match[str]) -> timedelta:
    if duration["unit"]:
        return int(duration["number"]) * timedelta(**{f"{duration['unit']}s": 1})
    days, weeks, hours = (int(duration[unit] or 0) for unit in ("days", "weeks", "hours"))
    return timedelta(days=days, weeks=weeks, hours=hours)


def _nearest(word: str, known: tuple[str, ...], *, likeness: float = 0.7) -> str:
    """The one of *known* that *word* was probably meant to be, or ""."""
    word = word.lower().replace("_", "-") if word not in known else ""
    # No likeness is above the share of common letters, so that most tables of other tools pay no import.
    close = [
        name
        for name in known
        if 2 * sum(min(word.count(c), name.count(c)) for c in {*word}) >= likeness * len(word + name)
    ]
    if not word or not close:
        return ""
    import difflib  # noqa: PLC0415  only files with an unknown key pay for it

    found = difflib.get_close_matches(word, close, 1, likeness)
    return found[0] if found else ""


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _found(value: object) -> str:  # noqa: PLR0911  one kind of TOML value a line
    """*value* as a user wrote it, with its kind where that is what is wrong."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f'"{value if len(value) <= 80 else value[:77] + "…"}"'
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table"
        case None:
            return "missing"
        case _:
            return str(value)


def _line_of(text: str, key: str) -> int:
    """The line where *key*, with its tables before it, seems to stand; 0 where it is not found."""
    path, _, rest = key.partition("[")
    position = int(rest.partition("]")[0] or 0) if rest else 0
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(_HEADER, line):
            table = re.sub(r"[\s\"']", "", header[1])
            if table == path:
                # An array of tables has its header once for each.
                if not line.lstrip().startswith("[[") or not position:
                    return number
                position -= 1
        elif (found := re.match(_KEY, line)) and path in {f"{table}.{found[1]}", found[1] if not table else ""}:
            return number
    return 0
