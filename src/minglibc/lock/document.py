"""The resolutions of all targets → the text of one pylock.toml (PEP 751)."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w

from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.lock.digest import seal
from minglibc.model.artifacts import Artifact, Sdist, SourceTree
from minglibc.model.targets import Target, shortest_marker
from minglibc.resolve.candidates import PROJECT
from minglibc.resolve.resolution import Resolution

if TYPE_CHECKING:
    from minglibc.lock.built_from import BuiltFrom

# Increase it when an older minglibc could misread the lock: 2 has targets with musl, and is written only for them.
FORMAT = 2
_WITHOUT_MUSL = 1
# The roots of a resolution besides the project: each extra and group by its name.
EXTRA = "extra "
GROUP = "group "
_HEADER = (
    "# Made by minglibc from {source.name}: commit it, don't edit it. `{source.command}` brings it up to date,\n"
    "# `{source.sync}` installs it; pip 26.1 and newer and uv install it too.\n"
)


class Inputs(NamedTuple):
    """What a lock records besides its packages."""

    digest: str
    index_url: str
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    target_names: Mapping[str, Target] = {}
    source: LockSource = PROJECT_FILE
    # The lock's folder, which the paths of local files are relative to.
    folder: str = ""
    # If there are several indexes: the URL of the one that each project came from.
    package_indexes: Mapping[str, str] = {}
    # The URLs of the named indexes, without credentials.
    indexes: Mapping[str, str] = {}
    # The projects that are installed editable.
    editable: frozenset[str] = frozenset()
    # The SHA-256 of each local file that the lock depends on, by path.
    local: Mapping[str, str] = {}
    # Whether the Pythons were selected by their age, so that later runs must not select others.
    default_python: bool = False
    # The sources of the wheels that were built, by the wheels' file names.
    built: Mapping[str, "BuiltFrom"] = {}


def merge(resolutions: Sequence[Resolution], inputs: Inputs) -> dict[str, Any]:
    """The lock document of PEP 751 without ``[tool.minglibc]``: sorted packages, and one file per package and target."""
    document: dict[str, Any] = {"lock-version": "1.0", "environments": [r.target.marker for r in resolutions]}
    if inputs.requires_python:
        document["requires-python"] = inputs.requires_python
    document |= {
        "extras": list(inputs.extras),
        "dependency-groups": list(inputs.groups),
        "default-groups": list(inputs.default_groups),
        "created-by": "minglibc",
        "packages": _packages(resolutions, inputs),
    }
    document["environments"] = list(dict.fromkeys(document["environments"]))
    return document


class _Use:
    """One target's use of a package."""

    __slots__ = ("dependencies", "file", "resolution", "roots")

    def __init__(
        self, resolution: Resolution, file: Artifact, roots: Iterable[str], dependencies: Iterable[str]
    ) -> None:
        self.resolution = resolution
        self.file = file
        self.roots = tuple(roots)
        self.dependencies = frozenset(dependencies)


def _packages(resolutions: Sequence[Resolution], inputs: Inputs) -> list[dict[str, Any]]:
    uses: dict[str, dict[str, list[_Use]]] = {}
    for resolution in resolutions:
        roots = _roots(resolution)
        dependencies = _dependencies_by_name(resolution)
        for name, file in resolution.artifacts.items():
            use = _Use(resolution, file, roots.get(name, ()), dependencies.get(name, ()))
            uses.setdefault(name, {}).setdefault(file.version, []).append(use)
    targets = [resolution.target for resolution in resolutions]
    return [
        _package(version, used, targets, uses, inputs)
        for name in sorted(uses)
        for version, used in sorted(uses[name].items())
    ]


def _dependencies_by_name(resolution: Resolution) -> dict[str, set[str]]:
    """For each package, the projects that it and its extras depend on."""
    dependencies: dict[str, set[str]] = {}
    for identifier, needed in resolution.dependencies.items():
        dependencies.setdefault(_name(identifier), set()).update(map(_name, needed))
    return dependencies


def _roots(resolution: Resolution) -> dict[str, dict[str, None]]:
    """For each package, those of the project, its extras and its groups that depend on it, directly or not."""
    roots: dict[str, dict[str, None]] = {}
    for root, identifiers in resolution.roots.items():
        waiting, seen = list(identifiers), set(identifiers)
        while waiting:
            identifier = waiting.pop()
            roots.setdefault(_name(identifier), {})[root] = None
            unseen = [d for d in resolution.dependencies.get(identifier, ()) if d not in seen]
            seen.update(unseen)
            waiting.extend(unseen)
    return roots


def _name(identifier: str) -> str:
    return identifier.partition("[")[0]


def _package(
    version: str,
    used: Sequence[_Use],
    targets: Sequence[Target],
    uses: Mapping[str, Mapping[str, Sequence[_Use]]],
    inputs: Inputs,
) -> dict[str, Any]:
    files = {use.file.filename: use.file for use in used}
    name = used[0].file.name
    tree = next((file for file in files.values() if isinstance(file, SourceTree)), None)
    package: dict[str, Any] = {"name": name, "version": version}
    if tree is not None:
        # PEP 751: the source tree can have another version when it is installed.
        del package["version"]
    marker = _package_marker(used, targets)
    if marker:
        package["marker"] = marker
    pythons = {file.requires_python for file in files.values()}
    if len(pythons) == 1 and pythons != {""}:
        package["requires-python"] = next(iter(pythons))
    dependencies = _dependencies(name, used, uses)
    if dependencies:
        package["dependencies"] = dependencies
    index = inputs.package_indexes.get(name, inputs.index_url)
    # The URL of a local index is of no use on another machine.
    if not index.startswith("file:") and not any(file.is_direct for file in files.values()):
        package["index"] = index
    if tree is not None:
        editable = {"editable": True} if name in inputs.editable else {}
        return {**package, "directory": {"path": tree.filename, **editable}}
    package |= _files(files, inputs.folder)
    if not inputs.built:
        return package
    from minglibc.lock.built_from import tool_table  # noqa: PLC0415  few locks have built wheels

    return {**package, **tool_table(files, inputs.built)}


def _files(files: Mapping[str, Artifact], folder: str) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    sdist = next((file for file in files.values() if isinstance(file, Sdist)), None)
    if sdist is not None:
        entries["sdist"] = _file(sdist, folder)
    wheels = [file for _, file in sorted(files.items()) if not isinstance(file, Sdist)]
    if wheels:
        entries["wheels"] = [_file(wheel, folder) for wheel in wheels]
    return entries


def _dependencies(
    name: str, used: Sequence[_Use], uses: Mapping[str, Mapping[str, Sequence[_Use]]]
) -> list[dict[str, str]]:
    dependencies: set[tuple[str, str]] = set()
    for use in used:
        files = use.resolution.artifacts
        dependencies |= {(other, files[other].version) for other in use.dependencies if other in files}
    # PEP 751: the version only if it is needed to tell two packages apart.
    return [
        {"name": other, "version": version} if len(uses[other]) > 1 else {"name": other}
        for other, version in sorted(dependencies)
        if other != name
    ]


def _file(file: Artifact, folder: str) -> dict[str, Any]:
    algorithm, _, digest = file.hash.partition(":")
    entry: dict[str, Any] = {"name": file.filename}
    uploaded = _time(file.upload_time)
    if uploaded is not None:
        entry["upload-time"] = uploaded
    if file.url.startswith("file:"):
        from minglibc.model.file_urls import path_of  # noqa: PLC0415  few projects have local wheels

        entry["path"] = posixpath.relpath(path_of(file.url), folder)
    else:
        entry["url"] = file.url
    if file.size is not None:
        entry["size"] = file.size
    entry["hashes"] = {algorithm: digest}
    return entry


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    # TOML has no seconds in an offset.
    return time if time is None or not (time.utcoffset() or timedelta()) % timedelta(minutes=1) else None


def _package_marker(used: Sequence[_Use], targets: Sequence[Target]) -> str:
    by_roots: dict[tuple[str, ...], list[Target]] = {}
    for use in used:
        roots = () if PROJECT in use.roots else tuple(sorted(use.roots))
        by_roots.setdefault(roots, []).append(use.resolution.target)
    parts = []
    for roots, served in sorted(by_roots.items()):
        conditions = [part for part in (shortest_marker(served, targets), _roots_marker(roots)) if part]
        parts.append(" and ".join(map(_in_parentheses, conditions)) if len(conditions) > 1 else "".join(conditions))
    return "" if "" in parts else " or ".join(_in_parentheses(part) if len(parts) > 1 else part for part in parts)


def _in_parentheses(marker: str) -> str:
    return f"({marker})" if " or " in marker else marker


def _roots_marker(roots: Iterable[str]) -> str:
    return " or ".join(
        f"'{root.removeprefix(EXTRA)}' in extras"
        if root.startswith(EXTRA)
        else f"'{root.removeprefix(GROUP)}' in dependency_groups"
        for root in roots
    )


def dumps(document: Mapping[str, Any], targets: Sequence[Target], inputs: Inputs) -> str:
    """The text of the lock: *document*, then ``[tool.minglibc]``, which ends with both digests."""
    body = tomli_w.dumps({key: value for key, value in document.items() if value != [] or key == "packages"})
    rows = "".join(
        f"    {{ {name}{', '.join(f'{key} = {_quoted(value)}' for key, value in target.table.items())} }},\n"
        for target in targets
        for name in [f'name = "{name}", ' for name, named in sorted(inputs.target_names.items()) if named == target]
        or [""]
    )
    lock_format = FORMAT if any(target.cap.libc == "musl" for target in targets) else _WITHOUT_MUSL
    table = f"\n[tool.minglibc]\nlock-format = {lock_format}\n{tomli_w.dumps(inputs.source.table)}"
    if inputs.default_python:
        table += "default-python = true\n"
    table += _indexes(document, inputs)
    if inputs.local:
        entries = [
            f'    {{ path = {_quoted(path)}, sha256 = "{sha256}" }},\n' for path, sha256 in sorted(inputs.local.items())
        ]
        table += f"local = [\n{''.join(entries)}]\n"
    table += f"targets = [\n{rows}]\npackages = {len(document['packages'])}\n"
    return seal(_HEADER.format(source=inputs.source.recorded) + body + table, inputs.digest)


def _indexes(document: Mapping[str, Any], inputs: Inputs) -> str:
    """The named indexes of the packages, by which the credentials for an index are found without pyproject.toml."""
    used = {package.get("index") for package in document["packages"]}
    rows = "".join(
        f'    {{ name = "{name}", {tomli_w.dumps({"url": url}).strip()} }},\n'
        for name, url in sorted(inputs.indexes.items())
        if url in used
    )
    return f"indexes = [\n{rows}]\n" if rows else ""


def _quoted(text: str) -> str:
    return tomli_w.dumps({"x": text}).removeprefix("x = ").rstrip("\n")
