"""The errors for packages of a source lock that no configured index has, with the lines that make them available."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from minglibc.app.source_lock_hints import exclusion_of
from minglibc.config.lock_source import LockSource
from minglibc.errors import LockError
from minglibc.index.credentials import without_credentials
from minglibc.model.requirements import Environment
from minglibc.source_locks.model import SourceKind, SourceLock, SourcePackage
from minglibc.source_locks.parts import parts_without

# A lock is untrusted, and its URLs become part of a command that the user may copy.
_REPOSITORY = re.compile(r"(?:https?|ssh)://[A-Za-z0-9][A-Za-z0-9.:/_~+@-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SOURCES = "  [tool.minglibc.sources]"


class Origin(NamedTuple):
    """Where packages come from: the source lock and its path, what is locked from it, and for which environments."""

    path: str
    lock: SourceLock
    source: LockSource
    environments: Sequence[Environment]


def direct_error(packages: Sequence[SourcePackage], origin: Origin) -> LockError:
    """The error for *packages* of Git repositories, URLs, and paths."""
    listed = "".join(
        f"\n  {package} comes from {package.kind.value}: {without_credentials(package.location)}"
        for package in packages
    )
    lines = "".join(f"\n  {_source_line(package)}" for package in packages)
    advice = "put a checkout or a wheel of each into the project's folder, and add its path to pyproject.toml:"
    hints = [f"{advice}\n{_SOURCES}{lines}", *_ways_to_leave_out(packages, origin)]
    return LockError(
        f"{origin.path} has packages that are not wheels of an index:{listed}", hint="\nhint: ".join(hints)
    )


def index_error(packages: Sequence[SourcePackage], origin: Origin) -> LockError:
    """The error for *packages* of indexes that are not configured."""
    listed = "".join(f"\n  {package} comes from {without_credentials(package.location)}" for package in packages)
    hints = [index_hint(packages), *_ways_to_leave_out(packages, origin)]
    return LockError(f"no configured index has these packages of {origin.path}:{listed}", hint="\nhint: ".join(hints))


def index_hint(packages: Iterable[SourcePackage]) -> str:
    """The lines that let *packages* come from their indexes."""
    names: dict[str, str] = {}
    for package in packages:
        url = without_credentials(package.location)
        names.setdefault(url, _index_name(url, names.values()))
    lines = [
        line
        for url, name in names.items()
        for line in ("  [[tool.minglibc.index]]", f'  name = "{name}"', f'  url = "{url}"', "  explicit = true")
    ]
    lines.append(_SOURCES)
    pins = {package.name: names[without_credentials(package.location)] for package in packages}
    lines += [f'  {name} = {{ index = "{index}" }}' for name, index in pins.items()]
    them = "this index" if len(names) == 1 else "these indexes"
    return f"if you trust {them}, add to pyproject.toml:\n" + "\n".join(lines)


def _index_name(url: str, used: Iterable[str]) -> str:
    parts = urlsplit(url)
    words = re.findall(r"[a-z0-9]+", f"{parts.hostname} {parts.path}".lower())
    name = "-".join(word for word in words if word not in ("simple", "www")) or "other"
    taken = set(used)
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _source_line(package: SourcePackage) -> str:
    folder = f"vendor/{package.name}"
    line = f'{package.name} = {{ path = "{folder}" }}'
    url, _, commit = package.location.removeprefix("git+").partition("#")
    url = without_credentials(url.partition("?")[0])
    if package.kind is SourceKind.VCS and _REPOSITORY.fullmatch(url) and _NAME.fullmatch(package.name):
        checkout = f" && git -C {folder} checkout {commit}" if _COMMIT.fullmatch(commit) else ""
        return f"{line}  # git clone {url} {folder}{checkout}"
    return line


def _ways_to_leave_out(packages: Sequence[SourcePackage], origin: Origin) -> Iterator[str]:
    lock = origin.lock
    parts = parts_without(lock, {package.name for package in packages}, origin.environments)
    if parts is None:
        excluded = ", ".join(f'"{name}"' for name in sorted({package.name for package in packages}))
        yield f"tool.minglibc.excludes = [{excluded}] leaves {_them(packages)} out"
    else:
        yield f"{exclusion_of(parts, lock, origin.source)} leaves {_them(packages)} out (verified)"


def _them(packages: Sequence[SourcePackage]) -> str:
    return "them" if len(packages) > 1 else "it"
