"""All targets' resolutions → one pylock.toml (PEP 751), and back."""

import posixpath
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w

from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.errors import LockError, MinglibcError
from minglibc.lock.digest import lock_digests, seal
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact, Sdist, SourceTree
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.project_page import split_sdist
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import LIBCS, PythonVersion, Target, shortest_marker
from minglibc.resolve.resolver import Resolution

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock


# Raise it when an older minglibc could misread what is written: 2 has targets with musl, and is written only with them.
FORMAT = 2
_WITHOUT_MUSL = 1
PROJECT = "the project"
EXTRA = "extra "
GROUP = "group "
_HEADER = (
    "# Made by minglibc from {origin.name}: commit it, don't edit it. `{origin.command}` brings it up to date,\n"
    "# `{origin.sync}` installs it; pip 26.1 and newer and uv install it too.\n"
)
_DIGEST = "sha256-[0-9a-fA-F]{64}|sha384-[0-9a-fA-F]{96}|sha512-[0-9a-fA-F]{128}"
_CONFLICT = r"(?m)^(?:<{7}|>{7}|={7}$)"


# Writing.


class Inputs(NamedTuple):
    """What a lock says of its origin."""

    digest: str
    index_url: str
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    target_names: Mapping[str, Target] = {}
    origin: LockSource = PROJECT_FILE
    # The lock's own folder: wheels on this machine are named by their path from there.
    place: str = ""
    # Of several indexes, the one that each project came from.
    homes: Mapping[str, str] = {}
    # The addresses of the indexes that pyproject.toml names, without credentials.
    indexes: Mapping[str, str] = {}
    # The projects in folders that are installed in place.
    editable: frozenset[str] = frozenset()
    # Of files beside the lock that it depends on: the SHA-256 for each path.
    local: Mapping[str, str] = {}


def merge(resolutions: Sequence[Resolution], inputs: Inputs) -> dict[str, Any]:
    """The lock document of PEP 751, without ``[tool.minglibc]``: packages sorted, one best wheel per package and target."""
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


class _Use(NamedTuple):
    """One target's use of a package."""

    resolution: Resolution
    wheel: Artifact
    asked_by: tuple[str, ...]
    needs: frozenset[str]


def _packages(resolutions: Sequence[Resolution], inputs: Inputs) -> list[dict[str, Any]]:
    uses: dict[str, dict[str, list[_Use]]] = {}
    for resolution in resolutions:
        reached = _reached(resolution)
        needs = _needs(resolution)
        for name, wheel in resolution.wheels.items():
            use = _Use(resolution, wheel, tuple(reached.get(name, ())), frozenset(needs.get(name, ())))
            uses.setdefault(name, {}).setdefault(wheel.version, []).append(use)
    targets = [resolution.target for resolution in resolutions]
    return [
        _package(version, used, targets, uses, inputs)
        for name in sorted(uses)
        for version, used in sorted(uses[name].items())
    ]


def _needs(resolution: Resolution) -> dict[str, set[str]]:
    """For each package, the projects that it and its extras need."""
    needs: dict[str, set[str]] = {}
    for identifier, needed in resolution.dependencies.items():
        needs.setdefault(_name(identifier), set()).update(_name(each) for each in needed)
    return needs


def _reached(resolution: Resolution) -> dict[str, dict[str, None]]:
    """For each package, who among the project, its extras and its groups makes it needed."""
    reached: dict[str, dict[str, None]] = {}
    for asked_by, identifiers in resolution.roots.items():
        waiting, seen = list(identifiers), set(identifiers)
        while waiting:
            identifier = waiting.pop()
            reached.setdefault(_name(identifier), {})[asked_by] = None
            fresh = [d for d in resolution.dependencies.get(identifier, ()) if d not in seen]
            seen.update(fresh)
            waiting.extend(fresh)
    return reached


def _name(identifier: str) -> str:
    return identifier.partition("[")[0]


def _package(
    version: str,
    used: Sequence[_Use],
    targets: Sequence[Target],
    uses: Mapping[str, Mapping[str, Sequence[_Use]]],
    inputs: Inputs,
) -> dict[str, Any]:
    files = {use.wheel.filename: use.wheel for use in used}
    wheels = {filename: file for filename, file in files.items() if not isinstance(file, Sdist)}
    sdist = next((file for file in files.values() if isinstance(file, Sdist)), None)
    name = used[0].wheel.name
    package: dict[str, Any] = {"name": name, "version": version}
    folder = next((file for file in files.values() if isinstance(file, SourceTree)), None)
    if folder is not None:
        # PEP 751: what is in the folder by the time of an installation may be of another version.
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
    index = inputs.homes.get(name, inputs.index_url)
    # An index on this machine is none to another.
    if not index.startswith("file:") and not any(file.is_direct for file in files.values()):
        package["index"] = index
    if folder is not None:
        editable = {"editable": True} if name in inputs.editable else {}
        return {**package, "directory": {"path": folder.filename, **editable}}
    if sdist is not None:
        package["sdist"] = _file(sdist, inputs.place)
    if wheels:
        package["wheels"] = [_file(wheels[filename], inputs.place) for filename in sorted(wheels)]
    return package


def _dependencies(
    name: str, used: Sequence[_Use], uses: Mapping[str, Mapping[str, Sequence[_Use]]]
) -> list[dict[str, str]]:
    found: set[tuple[str, str]] = set()
    for use in used:
        wheels = use.resolution.wheels
        found |= {(each, wheels[each].version) for each in use.needs if each in wheels and each != name}
    return [
        {"name": each, "version": version} if len(uses[each]) > 1 else {"name": each} for each, version in sorted(found)
    ]


def _file(wheel: Artifact, place: str) -> dict[str, Any]:
    algorithm, _, digest = wheel.hash.partition(":")
    entry: dict[str, Any] = {"name": wheel.filename}
    uploaded = _time(wheel.upload_time)
    if uploaded is not None:
        entry["upload-time"] = uploaded
    if wheel.url.startswith("file:"):
        from urllib.parse import unquote, urlsplit  # noqa: PLC0415  few projects have wheels on this machine

        entry["path"] = posixpath.relpath(unquote(urlsplit(wheel.url).path), place)
    else:
        entry["url"] = wheel.url
    if wheel.size is not None:
        entry["size"] = wheel.size
    entry["hashes"] = {algorithm: digest}
    return entry


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _package_marker(used: Sequence[_Use], targets: Sequence[Target]) -> str:
    by_asker: dict[tuple[str, ...], list[Target]] = {}
    for use in used:
        askers = () if PROJECT in use.asked_by else tuple(sorted(use.asked_by))
        by_asker.setdefault(askers, []).append(use.resolution.target)
    parts = []
    for askers, served in sorted(by_asker.items()):
        where, who = shortest_marker(served, targets), _who(askers)
        parts.append(" and ".join(_grouped(part) for part in (where, who) if part) if where and who else where or who)
    return "" if "" in parts else " or ".join(_grouped(part) if len(parts) > 1 else part for part in parts)


def _grouped(marker: str) -> str:
    return f"({marker})" if " or " in marker else marker


def _who(askers: Iterable[str]) -> str:
    return " or ".join(
        f"'{asker.removeprefix(EXTRA)}' in extras"
        if asker.startswith(EXTRA)
        else f"'{asker.removeprefix(GROUP)}' in dependency_groups"
        for asker in askers
    )


def dumps(document: Mapping[str, Any], targets: Sequence[Target], inputs: Inputs) -> str:
    """The text of the lock: *document*, then ``[tool.minglibc]`` with both digests as the last lines."""
    body = tomli_w.dumps({key: value for key, value in document.items() if value != [] or key == "packages"})
    rows = "".join(
        f'    {{ {name}python = "{t.python}", architecture = "{t.architecture}", {t.cap.libc} = "{t.cap}" }},\n'
        for t in targets
        for name in [f'name = "{name}", ' for name, named in sorted(inputs.target_names.items()) if named == t] or [""]
    )
    lock_format = FORMAT if any(target.cap.libc == "musl" for target in targets) else _WITHOUT_MUSL
    table = f"\n[tool.minglibc]\nlock-format = {lock_format}\n{tomli_w.dumps(inputs.origin.table)}"
    table += _indexes(document, inputs)
    if inputs.local:
        listed = [
            f'    {{ path = {_quoted(path)}, sha256 = "{sha256}" }},\n' for path, sha256 in sorted(inputs.local.items())
        ]
        table += f"local = [\n{''.join(listed)}]\n"
    table += f"targets = [\n{rows}]\npackages = {len(document['packages'])}\n"
    return seal(_HEADER.format(origin=inputs.origin) + body + table, inputs.digest)


def _indexes(document: Mapping[str, Any], inputs: Inputs) -> str:
    """The named indexes that packages came from: who has the lock alone knows by it whose the credentials of a name are."""
    used = {package.get("index") for package in document["packages"]}
    rows = "".join(
        f'    {{ name = "{name}", {tomli_w.dumps({"url": url}).strip()} }},\n'
        for name, url in sorted(inputs.indexes.items())
        if url in used
    )
    return f"indexes = [\n{rows}]\n" if rows else ""


def _quoted(text: str) -> str:
    return tomli_w.dumps({"x": text}).removeprefix("x = ").rstrip("\n")


# Reading.


# PEP 751's own; a later minor version of it, or of minglibc, may have more.
_KEYS = frozenset(
    (
        *("lock-version", "environments", "requires-python", "extras", "dependency-groups", "default-groups"),
        *("created-by", "packages", "tool"),
    )
)
_PACKAGE_KEYS = frozenset(
    (
        *("name", "version", "marker", "requires-python", "dependencies", "vcs", "directory", "archive", "index"),
        *("sdist", "wheels", "attestation-identities", "tool"),
    )
)


class Unknown(NamedTuple):
    """Keys of a whole lock that this minglibc doesn't know: the file's, and each package's by name and version."""

    top: Mapping[str, Any] = {}
    packages: Mapping[tuple[str, str], Mapping[str, Any]] = {}

    @property
    def names(self) -> list[str]:
        """The keys in the order of the file, a package's behind its name."""
        return [*self.top, *(f"{name}.{key}" for (name, _), found in self.packages.items() for key in found)]

    def kept_in(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """*document* with these keys, as far as it still has their packages in the same version."""
        packages = [{**p, **self.packages.get((p["name"], p.get("version", "")), {})} for p in document["packages"]]
        return {**self.top, **document, "packages": packages}


def _unknown(document: Mapping[str, Any]) -> Unknown:
    def others(table: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
        return {key: value for key, value in table.items() if key not in known}

    packages = {(p["name"], p.get("version", "")): others(p, _PACKAGE_KEYS) for p in document["packages"]}
    return Unknown(others(document, _KEYS), {key: found for key, found in packages.items() if found})


class LockedFolder(NamedTuple):
    """A project in a folder, in a lock's place for a file: it has no hash, and no place on a server."""

    path: str
    editable: bool = False
    url: None = None
    size: None = None
    upload_time: None = None
    hashes: Mapping[str, str] = {}

    @property
    def filename(self) -> str:
        """The path, from the lock's folder."""
        return self.path


if TYPE_CHECKING:
    LockedFile = PackageWheel | PackageSdist | LockedFolder
    # What a target installs: each package with its one file.
    Selection = list[tuple[Package, LockedFile]]


def whole(file: "LockedFile") -> "LockedFile":
    """*file* as it goes to another machine: a folder not in place."""
    return file._replace(editable=False) if isinstance(file, LockedFolder) else file


class Lock(NamedTuple):
    """A lock that was found to be whole, what it is for, and the digest of what it was made from."""

    pylock: "Pylock"
    targets: tuple[Target, ...]
    inputs: str
    names: Mapping[str, Target] = {}
    origin: LockSource = PROJECT_FILE
    unknown: Unknown = Unknown()
    indexes: Mapping[str, str] = {}

    def select(self, target: Target, *, extras: Iterable[str] = (), groups: Iterable[str] | None = None) -> "Selection":
        """What *target* installs, by ``Pylock.select``; *groups* None means the default groups."""
        from packaging.pylock import PackageDirectory, PackageSdist, PackageWheel  # noqa: PLC0415  not needed to write a lock
        from packaging.tags import parse_tag  # noqa: PLC0415

        from minglibc.model.targets import compatible_tags  # noqa: PLC0415

        tags = [tag for text in compatible_tags(target, linux=True) for tag in parse_tag(text)]
        environment: Any = target.environment
        chosen = self.pylock.select(
            environment=environment,
            tags=tags,
            extras=list(extras),
            dependency_groups=None if groups is None else list(groups),
        )
        found: Selection = []
        for package, file in chosen:
            if isinstance(file, PackageDirectory):
                found.append((package, LockedFolder(file.path, bool(file.editable))))
            elif isinstance(file, PackageWheel | PackageSdist):
                found.append((package, file))
        return found

    def versions(self, target: Target) -> dict[str, str]:
        """The locked versions by name, of every extra and group, for a target of the lock; empty for any other."""
        if target not in self.targets:
            return {}
        groups = self.pylock.dependency_groups or ()
        selected = self.select(target, extras=self.pylock.extras or (), groups=groups)
        return {package.name: str(package.version) for package, _ in selected if package.version}


def loads(text: str, *, name: str = "pylock.toml") -> Lock:
    """The lock that *text* is; raises LockError for one that is damaged, edited, or of another tool or a newer minglibc."""
    if re.search(_CONFLICT, text):
        raise LockError(
            f"{name} has merge-conflict markers",
            hint="settle pyproject.toml first, then run `minglibc lock`: it makes the lock anew from there",
        )
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # int() has a bound of its own, and so has the nesting of tables
        raise LockError(f"{name} is not valid TOML: {error}", hint="run `minglibc lock` to make it anew") from error
    tools = document.get("tool")
    table = tools.get("minglibc") if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise LockError(
            f"{name} was not made by minglibc, or its end is missing", hint="run `minglibc lock` to make it anew"
        )
    if not isinstance(table.get("lock-format"), int) or table["lock-format"] > FORMAT:
        raise LockError(
            f"{name} was written by a newer minglibc (lock-format {table.get('lock-format')}; this one knows {FORMAT})",
            hint="upgrade minglibc on this machine",
        )
    return _checked(document, table, text, name)


def _checked(document: Mapping[str, Any], table: Mapping[str, Any], text: str, name: str) -> Lock:
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415  not needed to write a lock

    digests = lock_digests(text)
    try:
        pylock = Pylock.from_dict(document)
        targets, origin = loads_targets(document), LockSource.load(table, name)
        indexes = _loads_indexes(table)
        problem = _problem(pylock, targets, table)
    except (
        PylockValidationError,
        MinglibcError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise LockError(f"{name} is damaged: {error}", hint="run `minglibc lock` to make it anew") from error
    if not problem and (digests is None or not digests.intact):
        problem = "its text is not what minglibc wrote"
    if problem:
        raise LockError(
            f"{name} was cut or edited by hand: {problem}",
            hint="run `minglibc lock` to make it anew, and don't edit it",
        )
    assert digests is not None
    return Lock(pylock, targets, digests.inputs, loads_names(document), origin, _unknown(document), indexes)


def _problem(pylock: "Pylock", targets: Sequence[Target], table: Mapping[str, Any]) -> str:
    """What is wrong with a lock that is well formed; empty where nothing is."""
    if not targets:
        return "it names no targets"
    if found := next((fault for fault in (_fault(package, targets) for package in pylock.packages) if fault), ""):
        return found
    if found := _twice(pylock, targets):
        return found
    if len(pylock.packages) != table.get("packages"):
        return f"it holds {len(pylock.packages)} packages and was written with {table.get('packages')}"
    return _missing_dependency(pylock)


def loads_targets(document: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets that a lock's own table names; raises KeyError, TypeError or ValueError for a damaged one."""
    return tuple(dict.fromkeys(_target(row) for row in document["tool"]["minglibc"]["targets"]))


def loads_names(document: Mapping[str, Any]) -> dict[str, Target]:
    """The names that [[tool.minglibc.target]] tables gave to a lock's targets; a target may have several, or none."""
    return {row["name"]: _target(row) for row in document["tool"]["minglibc"]["targets"] if "name" in row}


def _loads_indexes(table: Mapping[str, Any]) -> dict[str, str]:
    """The named indexes that packages came from; raises KeyError, TypeError or ValueError for a damaged table."""
    found = {row["name"]: row["url"] for row in table.get("indexes", [])}
    if not all(url.startswith(("https://", "http://")) and "@" not in url.split("/", 3)[2] for url in found.values()):
        raise ValueError("it names an index that is none")
    return found


def _target(row: Mapping[str, Any]) -> Target:
    libc = "musl" if "musl" in row else "glibc"
    return Target(PythonVersion.parse(row["python"]), row["architecture"], LIBCS[libc].parse(row[libc]))


def _fault(package: "Package", targets: Sequence[Target]) -> str:
    if package.vcs or package.archive:
        return f"{package.name} comes from something else than wheels, source distributions and folders"
    if package.directory is not None:
        return _folder_fault(package.name, package.directory.path)
    if package.version is None or not (package.wheels or package.sdist):
        return f"{package.name} has no version or no files"
    faults = [_wheel_fault(wheel, targets) for wheel in package.wheels or ()]
    if package.sdist is not None:
        faults.append(_sdist_fault(package.sdist, package.name))
    return next(filter(None, faults), "")


def _wheel_fault(wheel: "PackageWheel", targets: Sequence[Target]) -> str:
    return _file_fault(wheel) or _cap_fault(wheel.filename, targets)


def _cap_fault(filename: str, targets: Sequence[Target]) -> str:
    """What a wheel asks for that no target of the lock has; it may be for several C libraries at once."""
    lowest = lowest_libcs(filename[:-4])
    caps = {t.cap for t in targets if t.architecture in filename} or {t.cap for t in targets}
    if not lowest or any(lowest[cap.libc] <= cap for cap in caps if cap.libc in lowest):
        return ""
    needs = " or ".join(each.named for each in lowest.values())
    return f"{filename} needs {needs}; the cap is {' and '.join(sorted(cap.named for cap in caps))}"


def _sdist_fault(sdist: "PackageSdist", name: str) -> str:
    if normalize_name(split_sdist(sdist.filename)[0]) != name:
        return f"{sdist.filename} is no source distribution of {name}"
    return _file_fault(sdist)


def _file_fault(file: "LockedFile") -> str:
    strong = [(algorithm, digest) for algorithm, digest in file.hashes.items() if algorithm in HASH_ALGORITHMS]
    if not strong:
        return f"{file.filename} has no sha256, sha384 or sha512"
    # The cache has folders of these names.
    if bad := next((each for each in strong if not re.fullmatch(_DIGEST, "-".join(each))), None):
        return f"{file.filename} has a hash that is no {bad[0]}: {bad[1]!r}"
    if fault := _place_fault(file):
        return fault
    return f"{file.filename} has a negative size" if file.size is not None and file.size < 0 else ""


def _place_fault(wheel: "LockedFile") -> str:
    if wheel.url is None and wheel.path is not None:
        return _folder_fault(wheel.filename, wheel.path)
    if wheel.url is None or wheel.path is not None or not wheel.url.startswith(("https://", "http://")):
        return f"{wheel.filename} has no http(s) URL, or a path beside it"
    from urllib.parse import urlsplit  # noqa: PLC0415  who reads a lock has imported it by packaging.pylock

    if "@" in urlsplit(wheel.url).netloc:
        return f"{wheel.filename} has credentials in its URL"
    return ""


def _folder_fault(name: str, path: str) -> str:
    leaves = path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/") or "\0" in path
    return f"{name} has a path out of its folder" if leaves else ""


def _twice(pylock: "Pylock", targets: Sequence[Target]) -> str:
    from packaging.pylock import PylockSelectError  # noqa: PLC0415  not needed to write a lock

    extras, groups = pylock.extras or (), pylock.dependency_groups or ()
    try:
        for target in targets:
            Lock(pylock, (), "").select(target, extras=extras, groups=groups)
    except PylockSelectError as error:
        return str(error)
    return ""


def _missing_dependency(pylock: "Pylock") -> str:
    names = {package.name for package in pylock.packages}
    for package in pylock.packages:
        for dependency in package.dependencies or ():
            if dependency.get("name") not in names:
                return f"{package.name} depends on {dependency.get('name')}, which is not there"
    return ""


class Change(NamedTuple):
    """A difference between two locks: None stands for absent."""

    name: str
    before: str | None
    after: str | None


def changes(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> list[Change]:
    """What differs between two locks' versions by name, by name."""
    found = []
    for name in sorted({*before, *after}):
        old, new = ", ".join(before.get(name, ())) or None, ", ".join(after.get(name, ())) or None
        if old != new:
            found.append(Change(name, old, new))
    return found


def version_of(package: "Package") -> str:
    """The version of a locked package; empty for one in a folder, which has what it has."""
    return str(package.version or "")


def versions_of(packages: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The versions by name of a document's packages."""
    found: dict[str, list[str]] = {}
    for package in packages:
        version = package.get("version") or package["directory"]["path"]
        found.setdefault(package["name"], []).append(version)
    return found
