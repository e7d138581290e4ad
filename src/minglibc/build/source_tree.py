"""Local projects: their static metadata (PEP 621), and a digest that changes with their files."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from minglibc.config import files
from minglibc.config.dynamic_metadata import build_files, with_dynamic
from minglibc.config.poetry_project import standard
from minglibc.config.problems import Problems
from minglibc.config.settings import DynamicProject
from minglibc.errors import SettingsError, WheelError
from minglibc.lock.digest import hexdigest
from minglibc.lock.source_files import digest
from minglibc.model import toml, versions
from minglibc.model.artifacts import SourceTree
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.file_urls import path_of
from minglibc.model.requirements import InvalidRequirement, normalize_name, parse

# Folders that builds and editors create, and no build reads.
_IGNORED = frozenset(("__pycache__", "build", "dist", "node_modules", "venv"))


class LocalMetadata(NamedTuple):
    """A source tree with its version and the digest of its pyproject.toml, its metadata, and the files that these are from."""

    tree: SourceTree
    metadata: CoreMetadata
    files: tuple[str, ...]


def read(folder: SourceTree, build: Callable[[str], CoreMetadata] | None = None) -> LocalMetadata:
    """The metadata of *folder*, as far as they are static or *build* tells them; raises WheelError."""
    directory = path_of(folder.url)
    path = files.pyproject_path(directory)
    if not os.path.isdir(directory):
        raise WheelError(
            f"there is no folder {directory}", hint="fix the path; wheels end in .whl, source distributions in .tar.gz"
        )
    text = files.read_file(path)
    table, dynamic_files, unbuilt = _project(text, path, directory, is_built=build is not None)
    _check_types(table, path)
    name = table.get("name")
    if not isinstance(name, str) or normalize_name(name) != folder.name:
        raise WheelError(f"{path} is named {name!r}, not {folder.name}", hint="use the name in the file")
    version = versions.normalize(table["version"]) if isinstance(table.get("version"), str) else "0"
    if version is None or ("version" not in table and "version" not in table.get("dynamic", ())):
        raise WheelError(f"{path} has no version", hint='set it in [project], or add it to dynamic = ["version"]')
    built = build(directory) if build is not None and unbuilt else None
    python = table.get("requires-python", built.requires_python if built is not None else "")
    sha256 = hexdigest((text or "").encode())
    described = folder._replace(version=version, hash=f"sha256:{sha256}", requires_python=python)
    requirements, extras = tuple(_requirements(table, path)), tuple(_extras(table))
    if built is not None:
        requirements, extras = built.requires_dist, built.provides_extra
    metadata = CoreMetadata(folder.name, version, requirements, python, extras)
    return LocalMetadata(described, metadata, (files.PYPROJECT, *dynamic_files))


def _project(text: str | None, path: str, directory: str, *, is_built: bool) -> DynamicProject:
    if text is None:
        raise WheelError(f"there is no {path}", hint=_WHEEL)
    try:
        document = toml.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    problems = Problems(text, {})
    document = dict(standard(document, problems.add))
    if not isinstance(document.get("project"), dict):
        raise WheelError(
            f"{path} has no [project] table, so its requirements are unknown until it is built", hint=_WHEEL
        )
    metadata = with_dynamic(document, problems, directory, is_built=is_built)
    if problems.messages:
        listed = "\n".join(f"  {message}" for message in problems.messages)
        refused = WheelError(f"{path} is invalid:\n{listed}", hint="" if problems.unbuilt else _WHEEL)
        if problems.unbuilt.keys() >= {*problems.messages}:
            refused.source_only = tuple(set(problems.unbuilt.values()))
        raise refused
    return metadata


_WHEEL = "add [project] with name, version and dependencies (PEP 621), or require a wheel of it"


def _check_types(table: Mapping[str, Any], path: str) -> None:
    kinds = {"dependencies": list, "optional-dependencies": dict, "requires-python": str}
    for field, kind in kinds.items():
        if not isinstance(table.get(field, kind()), kind):
            raise WheelError(f"project.{field} of {path} is invalid (PEP 621)")


def _requirements(table: Mapping[str, Any], path: str) -> Iterator[str]:
    try:
        for text in table.get("dependencies", ()):
            yield str(parse(text))
        for extra, requirements in table.get("optional-dependencies", {}).items():
            for text in requirements:
                requirement = parse(text)
                marker = f"({requirement.marker}) and " if requirement.marker else ""
                yield f"{requirement.without_marker} ; {marker}extra == '{normalize_name(extra)}'"
    except (InvalidRequirement, TypeError, AttributeError) as error:
        raise WheelError(f"{path} has an invalid requirement: {error}") from error


def _extras(table: Mapping[str, Any]) -> list[str]:
    return [normalize_name(extra) for extra in table.get("optional-dependencies", {})]


def state(directory: str, *, editable: bool) -> str:
    """A digest of the project, which an environment records to know whether to install it again.

    It covers the path and pyproject.toml, and unless *editable* each file's name, size and modification time.
    """
    facts = [directory, hexdigest((files.read_file(files.pyproject_path(directory)) or "").encode())]
    if not editable:
        facts += _files(directory)
    text = "\n".join(facts)
    return f"{'editable' if editable else 'folder'}:{hexdigest(text.encode('utf-8', 'surrogatepass'))}"


def folder_digest(directory: str) -> str:
    """A digest of the path of the project and of what its metadata probably depend on: not of [tool.minglibc]."""
    try:
        document = toml.loads(files.read_file(files.pyproject_path(directory)) or "")
        document.get("tool", {}).pop("minglibc", None)
    except (ValueError, RecursionError, AttributeError):
        document = {}  # the backend reports it
    digests = [(path, digest(os.path.join(directory, path))) for path in build_files(document, directory)]
    return f"folder:{hexdigest(repr((directory, document, digests)).encode('utf-8', 'surrogatepass'))}"


def _files(directory: str) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not _is_ignored(name))
        for name in sorted(names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            yield f"{os.path.relpath(path, directory)} {status.st_size} {status.st_mtime_ns}"


def _is_ignored(name: str) -> bool:
    return name in _IGNORED or name.startswith(".") or name.endswith(".egg-info")
