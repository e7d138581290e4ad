"""Requirements files and scripts, converted into the text of a pyproject.toml."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import tomli_w

from minglibc.config.files import PYPROJECT, UV_TOML, read_file, read_pyproject, real_path
from minglibc.config.inline_metadata import EXAMPLE, script_block
from minglibc.config.lock_source import LockSource, leads_out
from minglibc.config.other_files import uv_settings
from minglibc.config.other_rules import INDEXES_OF_UV, RULES_OF_REQUIREMENTS, RULES_OF_UV
from minglibc.config.poetry_project import standard
from minglibc.config.problems import is_name
from minglibc.config.requirements_file import Kind, Line, lines
from minglibc.config.requirements_indexes import IndexOptions
from minglibc.config.toml_file import load, nested_table
from minglibc.errors import SettingsError
from minglibc.model.requirements import Requirement, normalize_name, parse

# The cache's folder for the environments of scripts.
SCRIPTS = "scripts-1"
# Where other tools name indexes.
INDEX_KEYS = {
    "uv": INDEXES_OF_UV,
    "pdm": ("source",),
    "poetry": ("source",),
}
# Requirements files, each of which includes the next one.
_MAX_DEPTH = 50


class Text(NamedTuple):
    """The source of a lock as the text of a pyproject.toml, and notes for the user."""

    pyproject: str
    notes: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = {}
    """The hashes that requirements files give, by project."""


def read(source: LockSource, folder: str) -> Text:
    """The text of *source*, whose files are relative to *folder*; raises SettingsError with every mistake."""
    if source.is_project:
        return Text(read_pyproject(folder))
    if source.script:
        return Text(_of_script(source, folder))
    if source.source_lock:
        return Text(_of_source_lock(source, folder))
    if not source.requirements:
        raise SettingsError(
            f"{source.lock} was made from files outside its folder, which it does not name",
            hint=f"run `{source.command}`",
        )
    return _of_requirements(source, folder)


def script_lock(script: str) -> str:
    """The path of the lock of *script*: pylock.NAME.toml beside it (PEP 751 allows no dots in NAME)."""
    head, name = os.path.split(os.path.abspath(script))
    return os.path.join(head, f"pylock.{name.removesuffix('.py').replace('.', '-')}.toml")


def _of_script(source: LockSource, folder: str) -> str:
    path = source.script
    text = _required(os.path.join(folder, path), path)
    try:
        block = script_block(text)
    except ValueError as error:
        raise SettingsError(
            f"{path}: {error}", hint=f"a script has one block, such as (PEP 723):\n{EXAMPLE}"
        ) from error
    if block is None:
        raise SettingsError(f"{path} has no script block (PEP 723)", hint=f"write it at the top:\n{EXAMPLE}")
    document = load(block, f"the script block of {path}")
    metadata = {key: document[key] for key in ("dependencies", "requires-python") if key in document}
    tool = document.get("tool", {})
    table = tool.get("minglibc", {}) if isinstance(tool, dict) else {}
    tables = {"minglibc": table}
    uv = tool.get("uv", {}) if isinstance(tool, dict) else {}
    if isinstance(uv, dict) and (used := {key: uv[key] for key in ("sources", *RULES_OF_UV) if uv.get(key)}):
        tables["uv"] = used
    return tomli_w.dumps({"project": metadata, "tool": tables})


def _of_requirements(source: LockSource, folder: str) -> Text:
    files = _RequirementsFiles(folder)
    for path in source.requirements:
        if not source.external and leads_out(path, folder):
            raise SettingsError(
                f"{source.lock} was made from {path}, which leads outside its folder", hint=f"run `{source.command}`"
            )
        files.read(path, constraints=False)
    beside = os.path.dirname(source.requirements[0])
    document = pyproject_beside(os.path.join(folder, beside))
    table = settings_for(document, beside)
    where, uv = _rules_of_uv(document, os.path.join(folder, beside), beside)
    rules = tuple(uv)
    files.indexes.add_to(uv, table)
    files.check(source.name)
    if rules:
        files.notes.append(f"{where} applies as in `uv pip compile`: {', '.join(rules)}")
    if files.constraints:
        others = uv.pop("constraint-dependencies", [])
        table["constraints"] = [*table.get("constraints", others), *files.constraints]
    if files.prereleases:
        table["prereleases"] = True
    metadata: dict[str, Any] = {"dependencies": files.requirements}
    project = standard(document).get("project", {})
    if "requires-python" in project:
        metadata["requires-python"] = project["requires-python"]
    if files.hashes:
        # Not read by the parser: a change of a hash makes the lock stale.
        metadata["hashes"] = {name: sorted(hashes) for name, hashes in sorted(files.hashes.items())}
    if files.projects:
        uv["sources"] = files.projects
    tool: dict[str, Any] = {"minglibc": table, **({"uv": uv} if uv else {})}
    text = tomli_w.dumps({"project": metadata, "tool": tool})
    hashes = {name: frozenset(listed) for name, listed in files.hashes.items()}
    return Text(text, tuple(dict.fromkeys((*files.notes, *files.indexes.notes))), hashes)


def _of_source_lock(source: LockSource, folder: str) -> str:
    """What the lock of another tool depends on, as far as this is known without reading its format."""
    path = os.path.join(folder, source.source_lock)
    content = _required(path, source.source_lock)
    document = pyproject_beside(os.path.dirname(path))
    poetry = document.get("tool", {}).get("poetry", {})
    tables = {key: poetry[key] for key in ("dependencies", "dev-dependencies", "group", "extras") if key in poetry}
    project = {**document.get("project", {}), "source-lock": digest(content), "policy": source.policy, "poetry": tables}
    groups = {"dependency-groups": document["dependency-groups"]} if "dependency-groups" in document else {}
    table = settings_for(document, os.path.dirname(source.source_lock))
    indexes = indexes_for(document, os.path.dirname(source.source_lock))
    if indexes:
        project["indexes"] = indexes
    return tomli_w.dumps({"project": project, **groups, "tool": {"minglibc": table}})


def digest(text: str) -> str:
    """The SHA-256 of *text*, with any line endings."""
    import hashlib  # noqa: PLC0415  loads OpenSSL (3 ms); few locks are made from another tool's

    return hashlib.sha256(text.replace("\r\n", "\n").encode("utf-8")).hexdigest()


def settings_for(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The [tool.minglibc] table of *document*, for the lock of another file beside it, in *folder* from the lock's folder."""
    table = _rebased_indexes(document.get("tool", {}).get("minglibc", {}), folder)
    for key in ("default-groups", "from", "no-extras", "no-groups"):
        table.pop(key, None)
    return table


def indexes_for(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The indexes of other tools in *document*, and the packages that are pinned to one, as `settings_for`."""
    from minglibc.config.other_sources import sources_of_other_tools  # noqa: PLC0415  1 ms; few locks need it

    tables: dict[str, Any] = {}
    for tool, keys in INDEX_KEYS.items():
        table = document.get("tool", {}).get(tool, {})
        used = {key: table[key] for key in keys if key in table} if isinstance(table, dict) else {}
        if used:
            tables[tool] = _rebased_indexes(used, folder)
    pinned = {
        name: sources
        for name, (_, value) in sources_of_other_tools(document).items()
        if (sources := _indexes_in(value))
    }
    if tables and pinned:
        tables["uv"] = {**tables.get("uv", {}), "sources": pinned}
    return tables


def _indexes_in(value: object) -> list[dict[str, Any]]:
    """The entries of a source that name an index."""
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, dict) and "index" in entry]


def _rules_of_uv(document: Mapping[str, Any], path: str, folder: str) -> tuple[str, dict[str, Any]]:
    """What uv applies to the requirements files in the folder at *path*, and where it is: all but its sources.

    It is in uv.toml, or in [tool.uv] of *document*; the folder is *folder* from the lock's folder.
    """
    name, uv = uv_settings(document, path)
    where = f"{os.path.join(folder, PYPROJECT)}: {name}" if name != UV_TOML else os.path.join(folder, name)
    merged = {**uv, **nested_table(uv, "pip")}
    return where, _rebased_indexes({key: merged[key] for key in RULES_OF_REQUIREMENTS if merged.get(key)}, folder)


def check_targets(source: LockSource, pyproject: str) -> None:
    """Raise SettingsError if neither the text nor the options of *source* have a cap and Python versions."""
    document = load(pyproject)
    table, given = document["tool"]["minglibc"], source.given
    if not isinstance(table, dict) or "target" in table:
        return
    where = "[tool.minglibc] of its script block" if source.script else f"[tool.minglibc] of a {PYPROJECT} beside it"
    # `run` locks scripts too, and does not have these options.
    give = f"run `{source.command} {{}} VERSION`" if source.script else "give {}"
    if not {"glibc", "musl"} & {*table, *given}:
        raise SettingsError(
            f"there is no cap for {source.name}", hint=f"{give.format('--glibc')}, or write glibc in {where}"
        )
    if "python" not in table and "python" not in given and "requires-python" not in document["project"]:
        raise SettingsError(
            f"there are no Python versions for {source.name}",
            hint=f"{give.format('--python')}, or write python in {where}",
        )


def pyproject_beside(folder: str) -> dict[str, Any]:
    """The tables of the pyproject.toml in *folder*; none if there is no such file. Raises SettingsError."""
    text = read_file(os.path.join(folder, PYPROJECT))
    document = load(text) if text is not None else {}
    tables = document.get("tool", {}), document.get("project", {})
    if not all(isinstance(table, dict) for table in (*tables, tables[0].get("minglibc", {}))):
        raise SettingsError(f"the {PYPROJECT} beside it can't be used", hint="[project] and [tool.minglibc] are tables")
    return document


def _required(path: str, name: str) -> str:
    text = read_file(path)
    if text is None:
        raise SettingsError(f"there is no {name}", hint="give a file that exists")
    return text


def _rebased(requirement: Requirement, path: str) -> Requirement:
    """*requirement* of the file at *path*, with a relative path of a wheel made relative to the lock."""
    if not requirement.url or requirement.url.startswith("/") or urlsplit(requirement.url).scheme:
        return requirement
    return requirement._replace(url=os.path.normpath(os.path.join(os.path.dirname(path), requirement.url)))


def _rebased_indexes(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """A copy of *table* in which the paths of local indexes, relative to *folder*, are relative to the lock's folder."""
    rebased = dict(table)
    for key, rebase in (("index", _rebased_index), ("find-links", _rebased_path)):
        if folder and isinstance(table.get(key), list):
            rebased[key] = [rebase(item, folder) for item in table[key]]
    return rebased


def _rebased_index(index: Any, folder: str) -> Any:
    if not isinstance(index, dict) or index.get("format") != "flat":
        return index
    return {**index, "url": _rebased_path(index.get("url"), folder)}


def _rebased_path(url: Any, folder: str) -> Any:
    """The relative path or `file:` URL *url* of the file in *folder*, relative to the lock's folder."""
    path = url.removeprefix("file:") if isinstance(url, str) else ""
    if not path or urlsplit(path).scheme or path.startswith("/"):
        return url
    return os.path.normpath(os.path.join(folder, path))


def _project_name(folder: str) -> str:
    """The name of the project in *folder*; empty if its pyproject.toml has none. Raises SettingsError."""
    text = read_file(os.path.join(folder, PYPROJECT)) if os.path.isdir(folder) else None
    project = standard(load(text, os.path.join(folder, PYPROJECT))).get("project", {}) if text is not None else {}
    name = project.get("name") if isinstance(project, dict) else None
    return normalize_name(name) if is_name(name) else ""


class _RequirementsFiles:
    """Reads requirements files and the files that they include, each once."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.requirements: list[str] = []
        self.constraints: list[str] = []
        self.hashes: dict[str, set[str]] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        """The sources of local projects, in uv's form."""
        self.prereleases = False
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.indexes = IndexOptions()
        self._seen: set[tuple[str, bool]] = set()
        self._depth = 0

    def read(self, path: str, *, constraints: bool) -> None:
        """Read the file at *path*, relative to the folder; files that a constraints file includes are constraints too."""
        real = real_path(os.path.join(self.folder, path))
        if (real, constraints) in self._seen:
            return
        self._seen.add((real, constraints))
        for line in lines(_required(real, path)):
            self._add(line, path, constraints=constraints)

    def check(self, name: str) -> None:
        """Raise SettingsError with all problems of the files of the source *name*."""
        if problems := [*self.problems, *self.indexes.problems]:
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise SettingsError(f"{name} is invalid:\n{listed}")

    def _add(self, line: Line, path: str, *, constraints: bool) -> None:
        where = f"{path}:{line.number}"
        match line.kind:
            case Kind.REQUIREMENT if constraints:
                self._constrain(line.text, where)
            case Kind.REQUIREMENT:
                # In a normalized form, so that whitespace does not make the lock stale.
                requirement = _rebased(parse(line.text), path)
                self.requirements.append(str(requirement))
                if line.hashes:
                    self.hashes.setdefault(requirement.name, set()).update(line.hashes)
            case Kind.INCLUDE | Kind.CONSTRAINTS:
                self._include(line, path, where, constraints=constraints)
            case Kind.LOCAL:
                self._add_project(line, path, where, constraints=constraints)
            case Kind.PRERELEASES:
                self.prereleases = True
            case Kind.INDEX:
                self.indexes.add(line, path, where)
            case Kind.NOTE:
                self.notes.append(f"{path}: {line.text}")
            case Kind.PROBLEM:
                self.problems.append(f"{where} {line.text}")

    def _add_project(self, line: Line, path: str, where: str, *, constraints: bool) -> None:
        """Add a requirement on a local project, with its folder as the source."""
        folder = os.path.normpath(os.path.join(os.path.dirname(path), line.text))
        name = "" if constraints else _project_name(os.path.join(self.folder, folder))
        if not name:
            reason = (
                "names a project as a constraint" if constraints else f"names {line.text}, which has no {PYPROJECT}"
            )
            advice = "" if constraints else " with a name; add one, or require a wheel of it"
            self.problems.append(f"{where} {reason}{advice}")
            return
        text = f"{name}[{line.extras}]" if line.extras else name
        self.requirements.append(str(parse(f"{text} ; {line.marker}" if line.marker else text)))
        self.projects[name] = {"path": folder, "editable": True} if line.editable else {"path": folder}

    def _constrain(self, text: str, where: str) -> None:
        requirement = parse(text)
        if requirement.extras or requirement.url:
            self.problems.append(f"{where} {text!r} is not a constraint: expected a name and versions")
        self.constraints.append(str(requirement))

    def _include(self, line: Line, path: str, where: str, *, constraints: bool) -> None:
        included = os.path.normpath(os.path.join(os.path.dirname(path), line.text))
        full = os.path.join(self.folder, included)
        if not os.path.isfile(full):
            reason = "is not a regular file" if os.path.exists(full) else "does not exist"
            self.problems.append(f"{where} names {line.text}, which {reason}")
            return
        if real_path(full) == real_path(os.path.join(self.folder, path)):
            self.problems.append(f"{where} includes the file itself")
            return
        if self._depth == _MAX_DEPTH:
            self.problems.append(f"{where} includes files more than {_MAX_DEPTH} levels deep")
            return
        self._depth += 1
        self.read(included, constraints=constraints or line.kind is Kind.CONSTRAINTS)
        self._depth -= 1
