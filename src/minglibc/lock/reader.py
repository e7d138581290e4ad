"""The text of a pylock.toml → Lock; damaged, edited and foreign locks are rejected."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.errors import LockError, MinglibcError, NewerLock
from minglibc.lock.digest import lock_digests
from minglibc.lock.document import FORMAT
from minglibc.lock.locked_files import select
from minglibc.lock.validation import problem_of
from minglibc.model import toml
from minglibc.model.artifacts import printable
from minglibc.model.limits import MAX_FILENAME, MAX_TAGS, tag_count
from minglibc.model.targets import LIBCS, PythonVersion, Target, check_libstdcxx

if TYPE_CHECKING:
    from packaging.pylock import Pylock

    from minglibc.lock.locked_files import Selection

_CONFLICT = r"(?m)^(?:<{7}|>{7}|={7}$)"
_HINT = "run `minglibc lock` to create it again"
_UPGRADE = "upgrade minglibc on this machine"
# The keys of PEP 751; a later version of the standard, or of minglibc, can have more.
_FOREIGN_KEYS = frozenset(("tool", "attestation-identities"))
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
    """The keys that this minglibc does not know: those of the file, and those of packages by name and version."""

    top: Mapping[str, Any] = {}
    packages: Mapping[tuple[str, str], Mapping[str, Any]] = {}

    @property
    def names(self) -> list[str]:
        """The keys in the order of the file; those of a package follow its name and a dot."""
        return [
            printable(name)
            for name in (*self.top, *(f"{name}.{key}" for (name, _), found in self.packages.items() for key in found))
        ]

    def kept_in(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """*document* with these keys; those of packages that it no longer has in the same version are dropped."""
        packages = [{**p, **self.packages.get((p["name"], p.get("version", "")), {})} for p in document["packages"]]
        return {**self.top, **document, "packages": packages}


def _unknown(document: Mapping[str, Any]) -> Unknown:
    def others(table: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
        return {key: value for key, value in table.items() if key not in known}

    packages = {(p["name"], p.get("version", "")): others(p, _PACKAGE_KEYS) for p in document["packages"]}
    return Unknown(others(document, _KEYS), {package: keys for package, keys in packages.items() if keys})


class Lock(NamedTuple):
    """A valid lock: its packages and targets, the digest of its inputs, and what it was made from."""

    pylock: "Pylock"
    targets: tuple[Target, ...]
    inputs: str
    names: Mapping[str, Target] = {}
    source: LockSource = PROJECT_FILE
    unknown: Unknown = Unknown()
    indexes: Mapping[str, str] = {}

    def select(self, target: Target, *, extras: Iterable[str] = (), groups: Iterable[str] | None = None) -> "Selection":
        """What *target* installs; the default groups if *groups* is None."""
        return select(self.pylock, target, extras=extras, groups=groups)

    def versions(self, target: Target) -> dict[str, str]:
        """The locked versions by name for one of the lock's targets, with all extras and groups; empty for another target."""
        if target not in self.targets:
            return {}
        groups = self.pylock.dependency_groups or ()
        selection = self.select(target, extras=self.pylock.extras or (), groups=groups)
        return {package.name: str(package.version) for package, _ in selection if package.version}


def loads(text: str, *, name: str = "pylock.toml") -> Lock:
    """The lock in *text*; raises LockError if it is damaged or edited, or made by another tool or a newer minglibc."""
    if re.search(_CONFLICT, text):
        raise LockError(
            f"{name} has merge-conflict markers",
            hint="resolve the conflict in pyproject.toml first, then run `minglibc lock` to create the lock again",
        )
    try:
        document = toml.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number that is too long for int()
        raise LockError(f"{name} is not valid TOML: {error}", hint=_HINT) from error
    version = document.get("lock-version")
    if _is_newer(version):
        raise NewerLock(f"{name} has a newer format (lock-version {version}; this minglibc knows 1.0)", hint=_UPGRADE)
    tools = document.get("tool")
    table = tools.get("minglibc") if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise LockError(f"{name} was not made by minglibc, or its end is missing", hint=_HINT)
    if not isinstance(table.get("lock-format"), int) or table["lock-format"] > FORMAT:
        raise NewerLock(
            f"{name} was written by a newer minglibc (lock-format {table.get('lock-format')}; this one knows {FORMAT})",
            hint=_UPGRADE,
        )
    return _checked(document, table, text, name)


def _is_newer(version: object) -> bool:
    """Whether *version*, of a lock, has a major version above 1, whether or not it is written as PEP 751 requires."""
    if isinstance(version, bool) or not isinstance(version, (int, float, str)):
        return False
    major = re.match(r"v?([0-9]+)", str(version).strip())
    return major is not None and int(major[1][:9]) > 1


def _checked(document: Mapping[str, Any], table: Mapping[str, Any], text: str, name: str) -> Lock:
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415  not needed to write a lock

    digests = lock_digests(text)
    try:
        _check_characters(document)
        _check_filenames(document)
        pylock = Pylock.from_dict(document)
        targets, source = loads_targets(document), LockSource.load(table, name)
        indexes = _loads_indexes(table)
        problem = problem_of(pylock, targets, table)
    except (
        PylockValidationError,
        MinglibcError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise LockError(f"{name} is damaged: {error}", hint=_HINT) from error
    if not problem and (digests is None or not digests.intact):
        problem = "its text is not what minglibc wrote"
    if problem:
        raise LockError(f"{name} was truncated or edited: {problem}", hint=f"{_HINT}, and don't edit it")
    assert digests is not None
    return Lock(pylock, targets, digests.inputs, loads_names(document), source, _unknown(document), indexes)


def _check_characters(document: Mapping[str, Any]) -> None:
    """Raise ValueError for a control character in what minglibc reads of a lock: it prints and exports such values."""
    packages = [
        {key: package.get(key) for key in _PACKAGE_KEYS - _FOREIGN_KEYS} for package in document.get("packages", [])
    ]
    keys = _KEYS - {"tool", "packages"}
    waiting: list[Any] = [*(document.get(key) for key in keys), document["tool"]["minglibc"], packages]
    while waiting:
        match waiting.pop():
            case str() as text:
                if not text.isprintable():
                    raise ValueError(f"it has a control character in {text[:60]!r}")
            case dict() as table:
                waiting += [*table, *table.values()]
            case list() as values:
                waiting += values


def _check_filenames(document: Mapping[str, Any]) -> None:
    """Raise ValueError for a file name that is too long, or has too many tags for packaging to expand."""
    for package in document.get("packages", []):
        for file in [*package.get("wheels", []), package.get("sdist", {})]:
            for text in (file.get("name"), file.get("url"), file.get("path")):
                filename = text.partition("?")[0].partition("#")[0].rpartition("/")[2] if text else ""
                if "%" in filename:
                    from urllib.parse import unquote  # noqa: PLC0415  3 ms; few file names are quoted

                    filename = unquote(filename)
                if len(filename) > MAX_FILENAME or not filename.isprintable() or tag_count(filename[:-4]) > MAX_TAGS:
                    raise ValueError(f"it has an invalid file name: {filename[:60]!r}")


def loads_targets(document: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets in a lock's [tool.minglibc] table; raises KeyError, TypeError or ValueError if it is damaged."""
    return tuple(dict.fromkeys(_target(row) for row in document["tool"]["minglibc"]["targets"]))


def loads_names(document: Mapping[str, Any]) -> dict[str, Target]:
    """The names of a lock's targets; a target can have several or none."""
    return {row["name"]: _target(row) for row in document["tool"]["minglibc"]["targets"] if "name" in row}


def _loads_indexes(table: Mapping[str, Any]) -> dict[str, str]:
    """The named indexes of a lock's packages; raises KeyError, TypeError or ValueError if the table is damaged."""
    urls = {row["name"]: row["url"] for row in table.get("indexes", [])}
    if not all(url.startswith(("https://", "http://")) and "@" not in url.split("/", 3)[2] for url in urls.values()):
        raise ValueError("it has an index with an invalid URL")
    return urls


def _target(row: Mapping[str, Any]) -> Target:
    libc = "musl" if "musl" in row else "glibc"
    libstdcxx = check_libstdcxx(row["libstdcxx"]) if "libstdcxx" in row else ""
    return Target(PythonVersion.parse(row["python"]), row["architecture"], LIBCS[libc].parse(row[libc]), libstdcxx)
