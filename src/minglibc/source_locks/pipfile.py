"""Pipfile.lock, pipfile-spec 6 of Pipenv.

The format is described by https://github.com/pypa/pipfile and https://pipenv.pypa.io/en/latest/pipfile.html. It has the hashes of the files, and not their names.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from minglibc.model.requirements import normalize_name
from minglibc.source_locks.checks import check_version, packages_of, strings, table, tables, text
from minglibc.source_locks.flat import requirements_of
from minglibc.source_locks.model import Invalid, SourceFile, SourceKind, SourceLock, SourcePackage

FILENAME = "Pipfile.lock"
_MAIN, _DEVELOPMENT = "default", "develop"


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:  # noqa: ARG001  it has all requirements
    """The lock in the text of a Pipfile.lock; raises Invalid."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"it is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise Invalid("it is not a JSON object")
    metadata = table(document, "_meta")
    spec = metadata.get("pipfile-spec")
    check_version("Pipfile.lock (pipfile-spec)", spec, "6", lambda version: version == 6)
    sources = {text(source, "name"): text(source, "url") for source in tables(metadata, "sources")}
    packages = tuple(_packages(document, sources))
    requires = table(metadata, "requires")
    full, python = text(requires, "python_full_version"), text(requires, "python_version")
    lock = SourceLock(
        format="Pipfile.lock version 6",
        packages=packages,
        requires_python=f"=={python}.*" if python and python != "*" else f"=={full}" if full and full != "*" else "",
        local=tuple(package for package in packages if package.kind is SourceKind.LOCAL),
        names_files=False,
    )
    return requirements_of(lock)


def _packages(document: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[SourcePackage]:
    for section in document:
        if section == "_meta":
            continue
        group = {_MAIN: "", _DEVELOPMENT: "dev"}.get(section, section)
        entries = table(document, section)
        rows = [{**table(entries, name), "name": name} for name in entries]
        yield from packages_of(rows, partial(_package, group=group, sources=sources))


def _package(row: Mapping[str, Any], group: str, sources: Mapping[str, str]) -> SourcePackage:
    kind, location = _source(row)
    if kind is SourceKind.INDEX:
        location = sources.get(text(row, "index"), next(iter(sources.values()), ""))
    return SourcePackage(
        name=normalize_name(text(row, "name", required=True)),
        version=text(row, "version").removeprefix("=="),
        kind=kind,
        location=location,
        files=tuple(SourceFile("", value) for value in strings(row, "hashes")),
        marker=text(row, "markers"),
        extras=tuple(map(normalize_name, strings(row, "extras"))),
        groups=(group,),
    )


def _source(row: Mapping[str, Any]) -> tuple[SourceKind, str]:
    for key in ("git", "hg", "svn", "bzr"):
        if key in row:
            return SourceKind.VCS, text(row, key)
    if "path" in row or "file" in row:
        location = text(row, "path") or text(row, "file")
        if location.startswith(("http://", "https://")):
            return SourceKind.URL, location
        return (SourceKind.FILE if location.endswith(".whl") else SourceKind.LOCAL), location
    return SourceKind.INDEX, ""
