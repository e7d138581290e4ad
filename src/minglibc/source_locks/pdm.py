"""pdm.lock, versions 4.x of PDM 2.8 and newer.

See https://pdm-project.org/latest/usage/lockfile/. The format has no specification; this follows src/pdm/formats and src/pdm/project/lockfile of PDM. With the strategy
``inherit_metadata`` each package has its groups and its marker; without, the requirements of the packages decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minglibc.model.requirements import InvalidRequirement, normalize_name, parse
from minglibc.source_locks import standard_project
from minglibc.source_locks.checks import check_version, filename_of, packages_of, strings, table, tables, text
from minglibc.source_locks.file_lists import FileLists, LazyFiles
from minglibc.source_locks.flat import requirements_of
from minglibc.source_locks.model import Invalid, SourceFile, SourceKind, SourceLock, SourcePackage

FILENAME = "pdm.lock"
_DEFAULT = "default"


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:
    """The lock in the text of a pdm.lock; the pyproject.toml *beside* it has the requirements; raises Invalid."""
    lists = FileLists(content)
    metadata = table(lists.document, "metadata")
    version = metadata.get("lock_version")
    check_version("pdm.lock", version, "4.x", lambda version: isinstance(version, str) and version.startswith("4."))
    rows = tables(lists.document, "package")
    packages = _merged(packages_of(rows, lambda row: _package(row, lists)))
    targets = [text(target, "requires_python") for target in tables(metadata, "targets")]
    lock = SourceLock(
        format=f"pdm.lock version {version}",
        packages=packages,
        requires_python=targets[0] if len(targets) == 1 else "",
        local=tuple(package for package in packages if package.kind is SourceKind.LOCAL),
    )
    project = standard_project.read((beside or {}).get("pyproject.toml", ""), lock.local)
    if project is not None:
        return lock._replace(requirements=project.requirements, extras=project.extras, groups=project.groups)
    return requirements_of(lock, dependencies=_dependencies(rows))


def _package(row: Mapping[str, Any], lists: FileLists) -> SourcePackage:
    kind, location = _source(row)
    groups = strings(row, "groups")
    return SourcePackage(
        name=normalize_name(text(row, "name", required=True)),
        version=text(row, "version"),
        kind=kind,
        location=location,
        files=LazyFiles(row, lambda row: _files(row, lists), lambda row: lists.hashes(row, "files")),
        marker=text(row, "marker"),
        requires_python=text(row, "requires_python"),
        extras=tuple(map(normalize_name, strings(row, "extras"))),
        groups=tuple("" if group == _DEFAULT else group for group in groups),
    )


def _source(row: Mapping[str, Any]) -> tuple[SourceKind, str]:
    if any(key in row for key in ("git", "hg", "svn", "bzr")):
        return SourceKind.VCS, text(row, next(key for key in ("git", "hg", "svn", "bzr") if key in row))
    if "url" in row:
        return SourceKind.URL, text(row, "url")
    if "path" in row:
        path = text(row, "path")
        is_file = path.endswith((".whl", ".tar.gz", ".zip"))
        return (SourceKind.FILE if is_file else SourceKind.LOCAL), path
    return SourceKind.INDEX, ""


def _files(row: Mapping[str, Any], lists: FileLists) -> Iterator[SourceFile]:
    for file in lists.file_list(row, "files"):
        url = text(file, "url")
        name = text(file, "file") or filename_of(url)
        yield SourceFile(name, text(file, "hash"), url)


def _merged(packages: Sequence[SourcePackage]) -> tuple[SourcePackage, ...]:
    """One package for each release: a package with extras has an entry of its own, besides the one without."""
    merged: dict[tuple[str, str, str], SourcePackage] = {}
    for package in packages:
        key = (package.name, package.version, package.marker)
        known = merged.get(key)
        if known is not None:
            package = known._replace(  # noqa: PLW2901
                extras=tuple(dict.fromkeys((*known.extras, *package.extras))),
                groups=tuple(dict.fromkeys((*known.groups, *package.groups))),
            )
        merged[key] = package
    return tuple(merged.values())


def _dependencies(rows: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The projects that each package requires."""
    dependencies: dict[str, set[str]] = {}
    for row in rows:
        required = dependencies.setdefault(normalize_name(text(row, "name")), set())
        for dependency in strings(row, "dependencies"):
            try:
                required.add(parse(dependency).name)
            except InvalidRequirement as error:
                raise Invalid(f"{row.get('name')!r} has the dependency {dependency!r}: {error}") from error
    return dependencies
