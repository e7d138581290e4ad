"""Projects in folders of this machine: their static metadata (PEP 621), and what tells whether they have changed."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from minglibc.config import files
from minglibc.errors import SettingsError, WheelError
from minglibc.index.local_files import path_of
from minglibc.lock.digest import hexdigest
from minglibc.model import versions
from minglibc.model.artifacts import SourceTree
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.requirements import InvalidRequirement, normalize_name, parse

# What is asked of a project before it is built.
_ASKED = ("dependencies", "optional-dependencies", "requires-python")
# What a build or an editor leaves in a folder, and what no build reads.
_ASIDE = frozenset(("__pycache__", "build", "dist", "node_modules", "venv"))


def read(folder: SourceTree) -> tuple[SourceTree, CoreMetadata]:
    """*folder* with its version and the digest of its pyproject.toml, and what it requires; raises WheelError."""
    place = path_of(folder.url)
    path = files.pyproject_path(place)
    if not os.path.isdir(place):
        raise WheelError(f"there is no folder {place}", hint="mend the path; a wheel ends in .whl, a source in .tar.gz")
    text = files.read_file(path)
    table = _project(text, path)
    _check_static(table, path)
    name = table.get("name")
    if not isinstance(name, str) or normalize_name(name) != folder.name:
        raise WheelError(f"{path} is of the project {name!r}, not of {folder.name}", hint="name it as it names itself")
    version = versions.normalize(table["version"]) if isinstance(table.get("version"), str) else "0"
    if version is None or ("version" not in table and "version" not in table.get("dynamic", ())):
        raise WheelError(
            f"{path} has no version", hint='write it under [project], or put it into dynamic = ["version"]'
        )
    python = table.get("requires-python", "")
    found = folder._replace(version=version, hash=f"sha256:{hexdigest((text or '').encode())}", requires_python=python)
    return found, CoreMetadata(folder.name, version, tuple(_requirements(table, path)), python, tuple(_extras(table)))


def _project(text: str | None, path: str) -> dict[str, Any]:
    if text is None:
        raise WheelError(f"there is no {path}", hint=_WHEEL)
    try:
        table = tomllib.loads(text).get("project")
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise WheelError(f"{path} has no [project], so that only a build could say what it requires", hint=_WHEEL)
    return table


_WHEEL = "write [project] with name, version and dependencies (PEP 621), or build a wheel and name that"


def _check_static(table: Mapping[str, Any], path: str) -> None:
    dynamic = table.get("dynamic", [])
    left = [field for field in _ASKED if isinstance(dynamic, list) and field in dynamic]
    if left:
        raise WheelError(
            f"{path} leaves {' and '.join(left)} to its build backend (dynamic)",
            hint=f"write {' and '.join(left)} under [project], or build a wheel and name that",
        )
    kinds = {"dependencies": list, "optional-dependencies": dict, "requires-python": str}
    for field, kind in kinds.items():
        if not isinstance(table.get(field, kind()), kind):
            raise WheelError(f"project.{field} of {path} is not what PEP 621 says")


def _requirements(table: Mapping[str, Any], path: str) -> Iterator[str]:
    try:
        for text in table.get("dependencies", ()):
            yield str(parse(text))
        for extra, texts_ in table.get("optional-dependencies", {}).items():
            for text in texts_:
                found = parse(text)
                where = f"({found.marker}) and " if found.marker else ""
                yield f"{found.without_marker} ; {where}extra == '{normalize_name(extra)}'"
    except (InvalidRequirement, TypeError, AttributeError) as error:
        raise WheelError(f"{path} requires something that is no requirement: {error}") from error


def _extras(table: Mapping[str, Any]) -> list[str]:
    return [normalize_name(extra) for extra in table.get("optional-dependencies", {})]


def state(place: str, *, editable: bool) -> str:
    """What an environment remembers of the folder that it was filled from: it stands as long as this stays the same.

    Of an editable one that is its place and its pyproject.toml; of another one also each file's name, size and time.
    """
    facts = [place, hexdigest((files.read_file(files.pyproject_path(place)) or "").encode())]
    if not editable:
        facts += _files(place)
    text = "\n".join(facts)
    return f"{'editable' if editable else 'folder'}:{hexdigest(text.encode('utf-8', 'surrogatepass'))}"


def _files(place: str) -> Iterator[str]:
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(name for name in folders if name not in _ASIDE and not _is_aside(name))
        for name in sorted(names):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            yield f"{os.path.relpath(path, place)} {found.st_size} {found.st_mtime_ns}"


def _is_aside(name: str) -> bool:
    return name.startswith(".") or name.endswith(".egg-info")
