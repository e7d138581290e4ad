"""Sources of packages in the tables of uv, PDM and Poetry: a package that one of them replaces must not come from an index."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from minglibc.config import files, other_rules, poetry_project
from minglibc.config.index_settings import KnownIndexes
from minglibc.config.other_indexes import read_other_indexes
from minglibc.config.problems import Problems
from minglibc.config.settings import NamedIndex, OtherSources, PathSource
from minglibc.config.toml_file import nested_table
from minglibc.model import toml
from minglibc.model.requirements import Environment, InvalidRequirement, disjunction, normalize_name, parse
from minglibc.model.targets import Target

_UV_SOURCES = "tool.uv.sources"
_CONDITIONS = {"marker", "extra", "group"}
# Tables whose requirements only their own tool installs.
_GROUPS = (("poetry", "group"), ("poetry", "dev-dependencies"))


_Part = tuple[str, str]
"""The project itself, or `extra` or `group` and its name."""
_PROJECT: _Part = ("", "")


class Project(NamedTuple):
    """A pyproject.toml whose sources are read: *folder* is relative to the lock, *document* are its tables."""

    folder: str
    document: Mapping[str, Any]

    def key(self, key: str) -> str:
        """*key* of this file, for messages."""
        return key if self.folder == "." else f"{self.folder}/{files.PYPROJECT}: {key}"

    def rebased(self, index: NamedIndex) -> NamedIndex:
        """*index* with its path relative to the lock."""
        is_relative = index.is_local and not index.url.startswith(("/", "file:"))
        return index._replace(url=os.path.normpath(os.path.join(self.folder, index.url))) if is_relative else index


class SourceReader:
    """Reads the sources of a project, of its workspace's members and of its path dependencies."""

    def __init__(
        self,
        problems: Problems,
        targets: Iterable[Target],
        members: Mapping[str, str],
        root: str | None,
        known_indexes: KnownIndexes,
        *,
        skipped: Collection[_Part] = (),
    ) -> None:
        """*members* are the folders of the workspace's members by name; without *root*, path dependencies are not read.

        The *skipped* extras and groups of the project are not locked.
        Sources name the *known_indexes* of the project, and those of the file that they are in.
        """
        self._problems = problems
        self._environments = [Environment(target.environment) for target in targets]
        self._members = members
        self._root = root
        self._paths: dict[str, PathSource] = {}
        self._pinned: dict[str, str] = {}
        self._known_indexes = known_indexes
        self._skipped = skipped
        self._indexes: dict[str, NamedIndex] = {}
        self._urls: dict[str, list[tuple[str, str]]] = {}

    def read_all(
        self,
        document: Mapping[str, Any],
        members: Mapping[str, tuple[str, Mapping[str, Any]]],
        required: Collection[str],
        known: Collection[str],
    ) -> OtherSources:
        """The sources of the *required* packages in the project's *document*, and of what its *members* depend on."""
        self.read(Project(".", document), required, known)
        for path, member in members.values():
            self.read_dependency(Project(path, member), known)
        return OtherSources(self._paths, self._pinned, tuple(self._indexes.values()), self._urls)

    def read(self, project: Project, required: Collection[str], known: Collection[str]) -> None:
        """Read the sources of the *required* packages; those of *known* packages are in [tool.minglibc.sources].

        Sources that can't be read are problems: the public project of the same name would replace them.
        """
        for name, (key, value) in sources_of_other_tools(project.document).items():
            if name in required and name not in known:
                self._add(project, name, key, value)

    def read_dependency(self, project: Project, known: Collection[str]) -> None:
        """Read the sources of a project that the lock's project depends on."""
        self.read(project, _required_names(project.document), known)

    def _add(self, project: Project, name: str, key: str, value: object) -> None:
        try:
            skipped = self._skipped if project.folder == "." else ()
            selected = self._applicable(value, _requiring(project.document, name, skipped))
            sources = [source for source, _ in selected if source is not None]
        except ValueError as error:
            self._problems.add(project.key(key), f"{error}; {_advice(name, value)}")
            return
        if not sources or (self._root is None and "workspace" in sources[0]):
            return
        if len(selected) > 1 and not all(map(_is_wheel, sources)):
            self._problems.add(project.key(key), f"is not the same for all targets; {_advice(name, value)}")
            return
        path = self._path(project, name, sources[0])
        if path is not None:
            self._add_path(project, name, key, path)
        elif sources[0].keys() == {"index"} and self._add_index(project, name, sources[0]):
            pass
        elif all(map(_is_wheel, sources)):
            self._urls[name] = [(marker, source["url"] if source is not None else "") for source, marker in selected]
        else:
            self._problems.add(
                project.key(key), f"is {_kind(sources[0])}, which minglibc does not read; {_advice(name, sources[0])}"
            )

    def _applicable(self, value: object, parts: Collection[_Part]) -> list[tuple[Mapping[str, Any] | None, str]]:
        """The sources of the targets without their conditions (None for the default index), each with a marker of its targets.

        *parts* of the project require the package. Raises ValueError.
        """
        values = value if isinstance(value, list) else [value]
        entries = [entry for entry in values if isinstance(entry, dict)]
        if len(entries) < len(values):
            raise ValueError("is not a table of a source")
        selected: list[tuple[Mapping[str, Any] | None, list[Environment]]] = []
        for environment in self._environments:
            try:
                matches = [entry for entry in entries if environment.admits(str(entry.get("marker", "")))]
            except InvalidRequirement as error:
                raise ValueError(f"has an invalid marker: {error}") from error
            source = _source_for(matches, parts)
            for other, environments in selected:
                if source == other:
                    environments.append(environment)
                    break
            else:
                selected.append((source, [environment]))
        if len(selected) == 1:
            return [(selected[0][0], "")]
        return [(source, disjunction([*map(_marker_for, environments)])) for source, environments in selected]

    def _path(self, project: Project, name: str, source: Mapping[str, Any]) -> PathSource | None:
        editable = source.get("editable", False)
        if not isinstance(editable, bool):
            return None
        if source.keys() <= {"workspace", "editable"} and source.get("workspace") is True and name in self._members:
            return PathSource(self._members[name], editable=True)
        path = source.get("path")
        if source.keys() <= {"path", "editable", "package"} and isinstance(path, str) and path and path.isprintable():
            return PathSource(os.path.normpath(os.path.join(project.folder, path)), editable)
        return None

    def _add_path(self, project: Project, name: str, key: str, path: PathSource) -> None:
        other = self._paths.setdefault(name, path)
        if other.path != path.path:
            self._problems.add(
                project.key(key), f"is {path.path}, while another project has {other.path}; use one path"
            )
        if other is not path or self._root is None or name in self._members:
            return
        text = files.read_file(os.path.join(self._root, path.path, files.PYPROJECT))
        try:
            document = toml.loads(text.removeprefix("\ufeff")) if text is not None else {}
        except (ValueError, RecursionError):
            return  # reported where its metadata are read
        self.read_dependency(Project(path.path, document), ())

    def _add_index(self, project: Project, name: str, source: Mapping[str, Any]) -> bool:
        """Pin a package to an index of uv; false if minglibc can't use the index."""
        known = self._known_indexes
        if project.folder != ".":
            # Mistakes in it are those of another project; an index that can't be read is refused.
            own = read_other_indexes(project.document, Problems("", {}), only_named=True)
            known = KnownIndexes((*map(project.rebased, own.indexes), *known.indexes))
        index = known.named(source["index"])
        if index is None or self._indexes.setdefault(index.name, index).url != index.url:
            return False
        self._pinned[name] = index.name
        return True


def sources_of_other_tools(document: Mapping[str, Any]) -> dict[str, tuple[str, object]]:
    """The packages that uv or Poetry would not take from the default index: the key and value of each source, by name."""
    sources: dict[str, tuple[str, object]] = {}
    for name, key, value in poetry_project.sources(document):
        sources.setdefault(name, (key, value))
    for name, value in nested_table(document, *_UV_SOURCES.split(".")).items():
        if isinstance(value, dict | list):
            sources[normalize_name(name)] = f"{_UV_SOURCES}.{name}", value
    return sources


def _is_wheel(source: Mapping[str, Any]) -> bool:
    """Whether *source* is the URL of a wheel."""
    return source.keys() == {"url"} and str(source["url"]).endswith(".whl")


def _marker_for(environment: Environment) -> str:
    """A marker that admits the Python and the architecture of *environment*."""
    names = ("python_version", "platform_machine")
    return " and ".join(f'{name} == "{environment.variables[name]}"' for name in names)


def unread_tables(document: Mapping[str, Any]) -> Iterator[str]:
    """A warning for each table of another tool that would change the lock and is not read."""
    for names in _GROUPS:
        if nested_table(document, "tool", *names[:-1]).get(names[-1]):
            yield f"tool.{'.'.join(names)} is not read; move its requirements to [dependency-groups] (PEP 735)"
    yield from other_rules.unread(document)


def _source_for(entries: Sequence[Mapping[str, Any]], parts: Collection[_Part]) -> Mapping[str, Any] | None:
    """The first of *entries* for each of the *parts*, without its conditions; raises ValueError where they differ."""
    sources: dict[_Part, Mapping[str, Any] | None] = {}
    for kind, part in parts or [_PROJECT]:
        conditions = [(entry, {key: entry[key] for key in ("extra", "group") if key in entry}) for entry in entries]
        entry = next(
            (e for e, c in conditions if all((k, normalize_name(str(v))) == (kind, part) for k, v in c.items())), {}
        )
        sources[kind, part] = {key: item for key, item in entry.items() if key not in _CONDITIONS} or None
    first, *others = sources.values()
    if any(other != first for other in others):
        listed = ", ".join(
            f"{_described(source)} for {f'the {kind} {part}' if kind else 'the project'}"
            for (kind, part), source in sources.items()
        )
        raise ValueError(f"is {listed}, while a lock has one version from one source")
    return first


def _described(source: Mapping[str, Any] | None) -> str:
    return " ".join(f"{key} {value!r}" for key, value in source.items()) if source else "the default index"


def _requiring(document: Mapping[str, Any], name: str, skipped: Collection[_Part]) -> list[_Part]:
    """The project, its extras and its groups without those that are *skipped*, as far as they require *name* themselves."""
    return [part for part, names in _names_by_part(document).items() if name in names and part not in skipped]


def _required_names(document: Mapping[str, Any]) -> set[str]:
    """The names in the dependencies and extras of a project."""
    return {name for (kind, _), names in _names_by_part(document).items() if kind != "group" for name in names}


def _names_by_part(document: Mapping[str, Any]) -> dict[_Part, set[str]]:
    """The names that each part of a project requires; invalid requirements are reported where they are used."""
    standard = poetry_project.standard(document)
    project = nested_table(standard, "project")
    listed = {_PROJECT: project.get("dependencies")}
    listed |= {("extra", normalize_name(n)): v for n, v in nested_table(project, "optional-dependencies").items()}
    listed |= {("group", normalize_name(n)): v for n, v in nested_table(standard, "dependency-groups").items()}
    names: dict[_Part, set[str]] = {part: set() for part in listed}
    for part, texts in listed.items():
        for text in texts if isinstance(texts, list) else []:
            with suppress(InvalidRequirement):
                names[part].add(parse(str(text)).name)
    return names


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list of sources"
    keys = value.keys() if isinstance(value, dict) else set()
    kinds = {
        "git": "a Git repository",
        "workspace": "not a member of a workspace here",
        "url": "a URL",
        "path": "a path",
    }
    return next((kind for key, kind in kinds.items() if key in keys), "an index")


def _advice(name: str, value: object) -> str:
    entries = value if isinstance(value, list) else [value]
    table = next((entry for entry in entries if isinstance(entry, dict)), {})
    if "workspace" in table or "path" in table:
        path = table.get("path", f"packages/{name}")
        return f'write {name} = {{ path = "{path}" }} under [tool.minglibc.sources], with the path of its folder'
    if "git" in table:
        return (
            f"build a wheel of it, and require {name} @ URL with the URL or path of that wheel, or write "
            f'{name} = {{ path = "…" }} under [tool.minglibc.sources] with the path of a checkout'
        )
    if "url" in table:
        return f'require "{name} @ {table["url"]}"'
    source = f'write {name} = {{ index = "{table.get("index", "…")}" }} under [tool.minglibc.sources]'
    return source if len(entries) > 1 else f"{source}, and that index as [[tool.minglibc.index]]"
