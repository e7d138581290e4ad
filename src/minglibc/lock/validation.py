"""What is wrong with a lock that is a valid PEP 751 file: minglibc only installs locks as it writes them."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minglibc.lock.locked_files import select
from minglibc.model.artifacts import HASH_ALGORITHMS, is_digest, leaves_folder
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.project_page import split_sdist
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target
from minglibc.model.urls import is_valid_host

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock

    from minglibc.lock.locked_files import LockedFile


def problem_of(pylock: "Pylock", targets: Sequence[Target], table: Mapping[str, Any]) -> str:
    """The first problem of a lock with the [tool.minglibc] *table*; empty if there is none."""
    if not targets:
        return "it has no targets"
    problems = (_package_problem(package, targets) for package in pylock.packages)
    if problem := next(filter(None, problems), "") or _selection_problem(pylock, targets):
        return problem
    if len(pylock.packages) != table.get("packages"):
        return f"it has {len(pylock.packages)} packages, but was written with {table.get('packages')}"
    return _missing_dependency(pylock)


def _package_problem(package: "Package", targets: Sequence[Target]) -> str:
    if package.vcs or package.archive:
        return f"{package.name} is not a wheel, a source distribution or a folder"
    if package.directory is not None:
        return _path_problem(package.name, package.directory.path)
    if package.version is None or not (package.wheels or package.sdist):
        return f"{package.name} has no version or no files"
    problems = [_wheel_problem(wheel, targets) for wheel in package.wheels or ()]
    if package.sdist is not None:
        problems.append(_sdist_problem(package.sdist, package.name))
    return next(filter(None, problems), "")


def _wheel_problem(wheel: "PackageWheel", targets: Sequence[Target]) -> str:
    return _file_problem(wheel) or _cap_problem(wheel.filename, targets)


def _cap_problem(filename: str, targets: Sequence[Target]) -> str:
    """Whether a wheel needs a newer C library than every target has; its tags can name several C libraries."""
    lowest = lowest_libcs(filename[:-4])
    caps = {t.cap for t in targets if t.architecture in filename} or {t.cap for t in targets}
    if not lowest or any(lowest[cap.libc] <= cap for cap in caps if cap.libc in lowest):
        return ""
    needs = " or ".join(cap.named for cap in lowest.values())
    return f"{filename} needs {needs}; the cap is {' and '.join(sorted(cap.named for cap in caps))}"


def _sdist_problem(sdist: "PackageSdist", name: str) -> str:
    if normalize_name(split_sdist(sdist.filename)[0]) != name:
        return f"{sdist.filename} is not a source distribution of {name}"
    return _file_problem(sdist)


def _file_problem(file: "LockedFile") -> str:
    strong = [(algorithm, digest) for algorithm, digest in file.hashes.items() if algorithm in HASH_ALGORITHMS]
    if not strong:
        return f"{file.filename} has no sha256, sha384 or sha512"
    # Hashes become folder names in the cache.
    for algorithm, digest in strong:
        if not is_digest(algorithm, digest):
            return f"{file.filename} has an invalid {algorithm}: {digest!r}"
    if problem := _location_problem(file):
        return problem
    return f"{file.filename} has a negative size" if file.size is not None and file.size < 0 else ""


def _location_problem(wheel: "LockedFile") -> str:
    if wheel.url is None and wheel.path is not None:
        return _path_problem(wheel.filename, wheel.path)
    if wheel.url is None or wheel.path is not None or not wheel.url.startswith(("https://", "http://")):
        return f"{wheel.filename} has no http(s) URL, or both a URL and a path"
    # A line break or a space would end it in requirements.txt.
    if not wheel.url.isprintable() or " " in wheel.url:
        return f"{wheel.filename} has an invalid URL"
    # Not by urllib.parse, whose import takes 3 ms; parts of a URL end at these characters (RFC 3986).
    host = re.split("[/?#]", wheel.url.partition("://")[2], maxsplit=1)[0]
    if "@" in host:
        return f"{wheel.filename} has credentials in its URL"
    if not is_valid_host(host):
        return f"{wheel.filename} has an invalid IPv6 address in its URL"
    return ""


def _path_problem(name: str, path: str) -> str:
    if not path.isprintable():
        return f"{name} has a path with control characters"
    return f"{name} has a path outside the lock's folder" if leaves_folder(path) else ""


def _selection_problem(pylock: "Pylock", targets: Sequence[Target]) -> str:
    """Why the files for a target can't be selected, for example because it would get two versions of a package."""
    from packaging.pylock import PylockSelectError  # noqa: PLC0415  not needed to write a lock

    extras, groups = pylock.extras or (), pylock.dependency_groups or ()
    try:
        for target in targets:
            select(pylock, target, extras=extras, groups=groups)
    except PylockSelectError as error:
        return str(error)
    return ""


def _missing_dependency(pylock: "Pylock") -> str:
    names = {package.name for package in pylock.packages}
    for package in pylock.packages:
        for dependency in package.dependencies or ():
            if dependency.get("name") not in names:
                return f"{package.name} depends on {dependency.get('name')}, which is missing"
    return ""
