"""uv.lock, version 1.

See https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile. The format has no specification; this follows crates/uv-resolver/src/lock of uv 0.5 to 0.9. ``version`` decides whether
a reader understands it; a newer ``revision`` is compatible (https://docs.astral.sh/uv/concepts/resolution/#lockfile-versioning).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minglibc.model.requirements import conjunction, normalize_name
from minglibc.source_locks import markers
from minglibc.source_locks.checks import check_version, filename_of, packages_of, strings, table, tables, text
from minglibc.source_locks.file_lists import FileLists, LazyFiles
from minglibc.source_locks.model import Edge, Invalid, SourceFile, SourceKind, SourceLock, SourcePackage

FILENAME = "uv.lock"
_KINDS = {
    "registry": SourceKind.INDEX,
    "url": SourceKind.URL,
    "git": SourceKind.VCS,
    "path": SourceKind.FILE,
    "directory": SourceKind.LOCAL,
    "editable": SourceKind.LOCAL,
    "virtual": SourceKind.LOCAL,
}


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:  # noqa: ARG001  it describes the project itself
    """The lock in the text of a uv.lock; raises Invalid."""
    lists = FileLists(content)
    check_version("uv.lock", lists.document.get("version"), "1", lambda version: version == 1)
    return _UvLock(lists).read()


class _UvLock:
    def __init__(self, lists: FileLists) -> None:
        self._lists = lists
        self._tables = tables(lists.document, "package")
        self._packages = tuple(packages_of(self._tables, self._package))
        self._by_name: dict[str, list[int]] = {}
        for position, package in enumerate(self._packages):
            self._by_name.setdefault(package.name, []).append(position)
        self._manifest = table(lists.document, "manifest")
        self._local: dict[str, SourcePackage] = {}

    def read(self) -> SourceLock:
        roots = self._roots()
        extras: dict[str, tuple[str, ...]] = {}
        groups: dict[str, list[str]] = {}
        requirements: list[str] = []
        for position in roots:
            package, name = self._tables[position], self._packages[position].name
            self._local[name] = self._packages[position]
            requirements += self._requirements(position, (), set())
            for extra in _extras(package):
                own = self._requirements(position, (extra,), {(name, "")}, only_extras=True)
                extras[extra] = _unique((*extras.get(extra, ()), *own))
            development = table(table(package, "metadata"), "requires-dev")
            for group in development:
                groups.setdefault(group, []).extend(self._inlined(tables(development, group), (), {(name, "")}))
        manifest_groups = table(self._manifest, "dependency-groups")
        for group in manifest_groups:
            groups.setdefault(group, []).extend(self._inlined(tables(manifest_groups, group), (), set()))
        return SourceLock(
            format="uv.lock version 1",
            packages=self._packages,
            requires_python=text(self._lists.document, "requires-python"),
            requirements=_unique(requirements),
            extras=extras,
            groups={group: _unique(required) for group, required in groups.items()},
            constraints=self._listed("constraints"),
            overrides=self._listed("overrides"),
            graph=dict(self._graph()),
            roots=tuple(self._root_edges(roots)),
            local=tuple(self._local.values()),
        )

    def _roots(self) -> list[int]:
        """The project beside the lock; where a workspace has none, all of its members."""
        local = [i for i, package in enumerate(self._packages) if package.kind is SourceKind.LOCAL]
        own = [i for i in local if self._packages[i].location in {"", "."}]
        members = {normalize_name(name) for name in strings(self._manifest, "members")}
        return own or [i for i in local if self._packages[i].name in members] or local

    def _package(self, package: Mapping[str, Any]) -> SourcePackage:
        source = table(package, "source")
        kind = next((key for key in _KINDS if key in source), "")
        if not kind:
            raise Invalid(f"its source is of an unknown kind: {', '.join(source)[:100] or 'none'}")
        return SourcePackage(
            name=normalize_name(text(package, "name", required=True)),
            version=text(package, "version"),
            kind=_KINDS[kind],
            location=text(source, kind),
            files=LazyFiles(package, self._files, self._hashes),
        )

    def _hashes(self, package: Mapping[str, Any]) -> list[str]:
        hashes = self._lists.hashes(package, "wheels")
        return [*hashes, text(table(package, "sdist"), "hash")] if "sdist" in package else hashes

    def _files(self, package: Mapping[str, Any]) -> Iterator[SourceFile]:
        rows: list[Mapping[str, Any]] = [*self._lists.file_list(package, "wheels")]
        if "sdist" in package:
            rows.append(table(package, "sdist"))
        for row in rows:
            url = text(row, "url")
            name = text(row, "filename") or filename_of(url or text(row, "path"))
            size = row.get("size")
            yield SourceFile(name, text(row, "hash"), url, size if isinstance(size, int) else None)

    # The requirements of the project, with those of local projects in their place.

    def _requirements(
        self, position: int, extras: Sequence[str], seen: set[tuple[str, str]], *, only_extras: bool = False
    ) -> Iterator[str]:
        package, name = self._tables[position], self._packages[position].name
        parts = [extra for extra in (*(() if only_extras else ("",)), *extras) if (name, extra) not in seen]
        seen |= {(name, part) for part in parts}
        if parts:
            yield from self._inlined(tables(table(package, "metadata"), "requires-dist"), parts, seen)

    def _inlined(
        self, rows: Sequence[Mapping[str, Any]], parts: Sequence[str], seen: set[tuple[str, str]]
    ) -> Iterator[str]:
        """The requirements *rows*, of which an extra in *parts* or, with "", no extra is active."""
        active = {part for part in parts if part}
        for row in rows:
            name, written = normalize_name(text(row, "name", required=True)), text(row, "marker")
            marker = markers.without_extras(written, active)
            always = markers.without_extras(written, ())
            if marker is None or (active and "" not in parts and always is not None):
                continue
            extras = [normalize_name(extra) for extra in strings(row, "extras")]
            if any(key in row for key in ("editable", "directory", "virtual")) or self._is_local(name):
                yield from self._of_local(name, extras, marker, seen)
            else:
                yield _requirement(row, name, extras, marker)

    def _is_local(self, name: str) -> bool:
        positions = self._by_name.get(name, ())
        return bool(positions) and all(self._packages[i].kind is SourceKind.LOCAL for i in positions)

    def _of_local(self, name: str, extras: Sequence[str], marker: str, seen: set[tuple[str, str]]) -> Iterator[str]:
        for position in self._by_name.get(name, ()):
            if self._packages[position].kind is SourceKind.LOCAL:
                self._local[name] = self._packages[position]
                for requirement in self._requirements(position, extras, seen):
                    address, _, own = requirement.partition(" ; ")
                    both = conjunction(marker, own)
                    yield f"{address} ; {both}" if both else address

    def _listed(self, key: str) -> tuple[str, ...]:
        """The constraints or overrides, one for each package and marker; those with a URL or path have no specifier."""
        specifiers: dict[tuple[str, str], list[str]] = {}
        for row in tables(self._manifest, key):
            if not {"git", "url", "path", "editable"} & row.keys():
                name, specifier = normalize_name(text(row, "name", required=True)), text(row, "specifier")
                listed = specifiers.setdefault((name, text(row, "marker")), [])
                listed += [specifier] if specifier not in ("", "*", *listed) else []
        return tuple(
            _requirement({"specifier": ",".join(listed)}, name, (), marker)
            for (name, marker), listed in specifiers.items()
        )

    # The graph, for the versions of an environment.

    def _graph(self) -> Iterator[tuple[tuple[int, str], Sequence[Edge]]]:
        for position, package in enumerate(self._tables):
            yield (position, ""), self._edges(tables(package, "dependencies"))
            optional = table(package, "optional-dependencies")
            for extra in optional:
                yield (position, normalize_name(extra)), self._edges(tables(optional, extra))

    def _root_edges(self, roots: Sequence[int]) -> Iterator[Edge]:
        for position in roots:
            package = self._tables[position]
            extras = tuple(normalize_name(extra) for extra in table(package, "optional-dependencies"))
            yield Edge(position, extras, is_project=True)
            development = table(package, "dev-dependencies")
            for group in development:
                yield from (edge._replace(group=group) for edge in self._edges(tables(development, group)))
        groups = table(self._manifest, "dependency-groups")
        for group in groups:
            # The manifest has requirements, not edges: their packages, whichever version.
            for row in tables(groups, group):
                name = normalize_name(text(row, "name", required=True))
                for position in self._by_name.get(name, ()):
                    extras = tuple(map(normalize_name, strings(row, "extras")))
                    yield Edge(position, extras, text(row, "marker"), group)

    def _edges(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Edge, ...]:
        return tuple(edge for row in rows for edge in self._edge(row))

    def _edge(self, row: Mapping[str, Any]) -> Iterator[Edge]:
        name, version, source = normalize_name(text(row, "name", required=True)), row.get("version"), row.get("source")
        positions = [
            position
            for position in self._by_name.get(name, ())
            if version in (None, self._packages[position].version)
            and source in (None, self._tables[position].get("source"))
        ]
        if not positions:
            raise Invalid(f"it depends on {name} {version or ''}, which it does not have".replace(" ,", ","))
        for position in positions:
            yield Edge(position, tuple(map(normalize_name, strings(row, "extra"))), text(row, "marker"))


def _extras(package: Mapping[str, Any]) -> list[str]:
    metadata = table(package, "metadata")
    listed = metadata.get("provides-extras")
    names = listed if isinstance(listed, list) else list(table(package, "optional-dependencies"))
    return [name for name in names if isinstance(name, str)]


def _requirement(row: Mapping[str, Any], name: str, extras: Sequence[str], marker: str) -> str:
    requested = f"[{','.join(extras)}]" if extras else ""
    specifier = text(row, "specifier")
    address = f" @ {row['url']}" if isinstance(row.get("url"), str) else "" if specifier == "*" else specifier
    return f"{name}{requested}{address} ; {marker}" if marker else f"{name}{requested}{address}"


def _unique(requirements: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(requirements))
