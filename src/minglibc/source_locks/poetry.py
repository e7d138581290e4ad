"""poetry.lock, versions 1.0, 1.1, 2.0 and 2.1 of Poetry 1.0 to 2.x.

The format has no specification; this follows src/poetry/packages/locker.py of Poetry. From 2.1 on, each package has its
groups and markers; before, only pyproject.toml says what the project requires, and in which group.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minglibc.model import versions
from minglibc.model.project_page import split_sdist
from minglibc.model.requirements import disjunction, normalize_name
from minglibc.source_locks import markers, poetry_project
from minglibc.source_locks.checks import check_version, packages_of, strings, table, tables, text
from minglibc.source_locks.file_lists import FileLists, LazyFiles
from minglibc.source_locks.flat import requirements_of
from minglibc.source_locks.model import SourceFile, SourceKind, SourceLock, SourcePackage

FILENAME = "poetry.lock"
KNOWN = ("1.0", "1.1", "2.0", "2.1")
_KINDS = {
    "legacy": SourceKind.INDEX,
    "git": SourceKind.VCS,
    "url": SourceKind.URL,
    "directory": SourceKind.LOCAL,
    "file": SourceKind.FILE,
}
_MAIN = frozenset(("main", "default"))


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:
    """The lock in the text of a poetry.lock; the pyproject.toml *beside* it has the requirements; raises Invalid."""
    lists = FileLists(content)
    document = lists.document
    metadata = table(document, "metadata")
    version = metadata.get("lock-version", "1.0" if "content-hash" in metadata else None)
    check_version("poetry.lock", version, ", ".join(KNOWN), lambda version: version in KNOWN)
    rows = tables(document, "package")
    packages = tuple(packages_of(rows, lambda row: _package(row, lists, metadata)))
    lock = SourceLock(
        format=f"poetry.lock version {version}",
        packages=packages,
        requires_python=poetry_project.specifier(text(metadata, "python-versions")),
        local=tuple(package for package in packages if package.kind is SourceKind.LOCAL),
    )
    project = poetry_project.read((beside or {}).get("pyproject.toml", ""), packages)
    if project is not None:
        return lock._replace(requirements=project.requirements, extras=project.extras, groups=project.groups)
    return requirements_of(lock, dependencies=_dependencies(rows), extras=_extras(document))


def _package(row: Mapping[str, Any], lists: FileLists, metadata: Mapping[str, Any]) -> SourcePackage:
    source = table(row, "source")
    name, version = normalize_name(text(row, "name", required=True)), text(row, "version", required=True)
    groups = tuple(strings(row, "groups")) or ((text(row, "category"),) if "category" in row else ())
    return SourcePackage(
        name=name,
        version=version,
        kind=_KINDS.get(text(source, "type"), SourceKind.INDEX),
        location=text(source, "url"),
        files=_lazy_files(row, lists, metadata, version),
        marker=_marker(row),
        requires_python=poetry_project.specifier(text(row, "python-versions")),
        groups=tuple("" if group in _MAIN else group for group in groups),
        needed_by=_needed_by(row),
    )


def _marker(row: Mapping[str, Any]) -> str:
    """Where a package is installed: since 2.1 a marker, or one for each group."""
    value = row.get("markers", "")
    listed = [item for item in value.values() if isinstance(item, str)] if isinstance(value, dict) else [str(value)]
    names = {name for marker in listed for name in markers.known_names(marker)}
    # With all extras: a version is selected for every environment.
    known = [marker for item in listed if (marker := markers.without_extras(item, names)) is not None]
    return disjunction(known) if known else ""


def _needed_by(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The extras of which one installs a package; empty if a group installs it without any."""
    value = row.get("markers", "")
    listed = list(map(str, value.values())) if isinstance(value, dict) else [str(value)]
    needed = [markers.needed_names(marker, markers.known_names(marker)) for marker in listed]
    return tuple(sorted({name for names in needed for name in names})) if all(needed) else ()


def _lazy_files(row: Mapping[str, Any], lists: FileLists, metadata: Mapping[str, Any], version: str) -> LazyFiles:
    def read(row: Mapping[str, Any]) -> Iterator[SourceFile]:
        return _files(row, lists, metadata, version)

    def read_hashes(row: Mapping[str, Any]) -> list[str]:
        return lists.hashes(row, "files") if "files" in row else [file.hash for file in read(row)]

    return LazyFiles(row, read, read_hashes)


def _files(row: Mapping[str, Any], lists: FileLists, metadata: Mapping[str, Any], version: str) -> Iterator[SourceFile]:
    if "files" in row:
        files = lists.file_list(row, "files")
    else:
        # Versions 1.x list the files of all releases of a project together, by its name.
        files = lists.file_list(table(metadata, "files"), text(row, "name"))
    for file in files:
        name = text(file, "file")
        listed = version_of(name)
        if listed is None or versions.normalize(version) is None or versions.key(listed) == versions.key(version):
            yield SourceFile(name, text(file, "hash"))


def version_of(filename: str) -> str | None:
    """The normalized version in the name of a wheel or source distribution."""
    if filename.endswith(".whl"):
        parts = filename.split("-")
        return versions.normalize(parts[1]) if len(parts) > 2 else None
    return versions.normalize(split_sdist(filename)[1])


def _dependencies(rows: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The projects that each package requires without an extra."""
    dependencies: dict[str, set[str]] = {}
    for row in rows:
        required = dependencies.setdefault(normalize_name(text(row, "name")), set())
        for name, value in table(row, "dependencies").items():
            entries = value if isinstance(value, list) else [value]
            if not all(isinstance(entry, dict) and entry.get("optional") is True for entry in entries):
                required.add(normalize_name(name))
    return dependencies


def _extras(document: Mapping[str, Any]) -> dict[str, list[str]]:
    extras = table(document, "extras")
    return {name: [normalize_name(_name(item)) for item in strings(extras, name)] for name in extras}


def _name(text: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", text)
    return match[0] if match else text
