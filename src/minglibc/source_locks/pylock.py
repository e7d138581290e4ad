"""pylock.toml, lock-version 1.x: https://packaging.python.org/specifications/pylock-toml/ (PEP 751)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minglibc.model.requirements import normalize_name
from minglibc.source_locks import markers
from minglibc.source_locks.checks import check_version, filename_of, packages_of, strings, table, tables, text
from minglibc.source_locks.file_lists import FileLists
from minglibc.source_locks.flat import merged, requirement
from minglibc.source_locks.model import SourceFile, SourceKind, SourceLock, SourcePackage, strongest_hash


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:  # noqa: ARG001  it has all requirements
    """The lock in the text of a pylock.toml; raises Invalid."""
    document = FileLists(content).document
    version = document.get("lock-version")
    check_version("pylock.toml", version, "1.x", lambda version: isinstance(version, str) and version.startswith("1."))
    extras, groups = strings(document, "extras"), strings(document, "dependency-groups")
    rows = tables(document, "packages")
    packages = packages_of(rows, _package)
    names = {*extras, *groups}
    default = strings(document, "default-groups")
    return SourceLock(
        format=f"pylock.toml version {version}",
        packages=tuple(
            package._replace(
                marker=_for_all(package.marker, names), needed_by=markers.needed_names(package.marker, names)
            )
            for package in packages
        ),
        requires_python=text(document, "requires-python"),
        requirements=merged([*_active(packages, ())]),
        extras={normalize_name(extra): merged([*_active(packages, (extra,))]) for extra in extras},
        groups={group: merged([*_active(packages, (group,))]) for group in (*groups, *default)},
        local=tuple(package for package in packages if package.kind is SourceKind.LOCAL),
    )


def _active(packages: Sequence[SourcePackage], names: Sequence[str]) -> Iterator[str]:
    """The requirements that an extra or group adds; with no *names*, those that need none."""
    for package in packages:
        marker = markers.without_extras(package.marker, names)
        if package.kind is SourceKind.LOCAL or marker is None:
            continue
        if not names or markers.without_extras(package.marker, ()) != marker:
            yield requirement(package, marker)


def _for_all(marker: str, names: set[str]) -> str:
    """*marker* where all extras and groups are requested; a package that these exclude keeps its other conditions."""
    active = markers.without_extras(marker, names)
    return (markers.without_extras(marker, ()) or "") if active is None else active


def _package(row: Mapping[str, Any]) -> SourcePackage:
    kind, location = _source(row)
    return SourcePackage(
        name=normalize_name(text(row, "name", required=True)),
        version=text(row, "version"),
        kind=kind,
        location=location,
        files=tuple(_files(row)),
        marker=text(row, "marker"),
        requires_python=text(row, "requires-python"),
    )


def _source(row: Mapping[str, Any]) -> tuple[SourceKind, str]:
    if "vcs" in row:
        return SourceKind.VCS, text(table(row, "vcs"), "url")
    if "directory" in row:
        return SourceKind.LOCAL, text(table(row, "directory"), "path")
    if "archive" in row:
        archive = table(row, "archive")
        return (SourceKind.URL, text(archive, "url")) if "url" in archive else (SourceKind.FILE, text(archive, "path"))
    return SourceKind.INDEX, text(row, "index")


def _files(row: Mapping[str, Any]) -> Iterator[SourceFile]:
    listed: list[Mapping[str, Any]] = [*tables(row, "wheels")]
    listed += [table(row, key) for key in ("sdist", "archive") if key in row]
    for file in listed:
        url = text(file, "url")
        name = text(file, "name") or filename_of(url or text(file, "path"))
        size = file.get("size")
        hashes = strongest_hash(table(file, "hashes"))
        yield SourceFile(name, hashes, url, size if isinstance(size, int) else None)
