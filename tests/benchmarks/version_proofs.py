"""Whether a lock that was made from another tool's has its versions wherever possible, without minglibc's resolver.

A version may differ if the source lock lists no wheel of it that the target can install, by packaging's tags, or if uv
finds no solution with it. A package that both locks have for a target is compared; others are counted.
"""

import subprocess
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from minglibc.app.source_lock import LoadedLock
from minglibc.lock.reader import Lock
from minglibc.model.targets import LEGACY_NAMES, Target
from minglibc.source_locks.model import SourcePackage

_OLDEST = {"x86_64": 5, "i686": 5}


class Uv(NamedTuple):
    """The uv that proves that a change is necessary, and its cache."""

    path: str
    cache: Path


class Proof(NamedTuple):
    """What one target of a lock has, compared with the source lock."""

    target: Target
    equal: int
    without_wheel: Sequence[str]
    """Packages whose version of the source lock has no wheel within the cap."""
    forced: Sequence[str]
    """Packages whose version has a wheel, but no solution with the versions that did not change."""
    unproven: Sequence[str]
    """Packages whose version could have been kept."""
    new: Sequence[str]
    """Packages that only the lock has."""
    dropped: Sequence[str]
    """Packages that only the source lock has."""
    unlisted: Sequence[str]
    """Packages with a file whose hash the source lock does not list for the release."""


@cache
def tags(target: Target) -> frozenset[Tag]:
    """The tags of *target*, as packaging generates them."""
    minors = range(target.cap.minor, _OLDEST.get(target.architecture, 17) - 1, -1)
    platforms = [f"manylinux_2_{minor}_{target.architecture}" for minor in minors]
    platforms += [f"{LEGACY_NAMES[minor]}_{target.architecture}" for minor in minors if minor in LEGACY_NAMES]
    python, interpreter = (3, target.python.minor), f"cp3{target.python.minor}"
    return frozenset(
        (
            *cpython_tags(python, platforms=platforms),
            *compatible_tags(python, interpreter=interpreter, platforms=platforms),
        )
    )


def has_wheel(package: SourcePackage, target: Target) -> bool:
    """Whether the source lock lists a wheel of *package* that *target* can install."""
    return any(_is_compatible(file.name, target) for file in package.files)


def _is_compatible(filename: str, target: Target) -> bool:
    try:
        return not tags(target).isdisjoint(parse_wheel_filename(filename)[3])
    except InvalidWheelFilename:
        return False


def prove(lock: Lock, loaded: LoadedLock, uv: Uv, folder: Path) -> Iterable[Proof]:
    """The proof for each target of *lock*, which was made from *loaded* in *folder*."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for package in loaded.lock.packages:
        hashes.setdefault((package.name, package.version), set()).update(package.hashes)
    for target in lock.targets:
        source = loaded.selected(target)
        selection = lock.select(target, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
        versions = {str(package.name): str(package.version) for package, _ in selection if package.version}
        changed = [n for n in versions.keys() & source.keys() if Version(versions[n]) != Version(source[n].version)]
        # Where the source lock has only hashes, uv decides.
        names_files = loaded.lock.names_files
        without_wheel = sorted(name for name in changed if names_files and not has_wheel(source[name], target))
        others = sorted(set(changed).difference(without_wheel))
        kept = {name: source[name].version for name in versions.keys() & source.keys() if name not in changed}
        forced = [n for n in others if not _solvable(loaded, target, {**kept, n: source[n].version}, uv, folder)]
        unlisted = [
            str(package.name)
            for package, file in selection
            if (listed := hashes.get((package.name, str(package.version))))
            and not listed & {f"{kind}:{value}" for kind, value in file.hashes.items()}
        ]
        yield Proof(
            target,
            len(kept),
            without_wheel,
            forced,
            [name for name in others if name not in forced],
            sorted(versions.keys() - source.keys()),
            sorted(source.keys() - versions.keys()),
            unlisted,
        )


def _solvable(loaded: LoadedLock, target: Target, versions: Mapping[str, str], uv: Uv, folder: Path) -> bool:
    """Whether uv finds a solution for the requirements of the source lock on *target* with *versions*."""
    document = tomllib.loads(loaded.pyproject)
    project = document["project"]
    lists = [
        project["dependencies"],
        *project.get("optional-dependencies", {}).values(),
        *document.get("dependency-groups", {}).values(),
    ]
    requirements, constraints, overrides = (folder / f"{name}.in" for name in ("all", "constraints", "overrides"))
    requirements.write_text("\n".join(dict.fromkeys(line for lines in lists for line in lines)), encoding="utf-8")
    pins = [f"{name}=={version}" for name, version in sorted(versions.items())]
    constraints.write_text("\n".join([*pins, *loaded.lock.constraints]), encoding="utf-8")
    overrides.write_text("\n".join(loaded.lock.overrides), encoding="utf-8")
    command = [
        uv.path,
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--only-binary",
        ":all:",
        "--cache-dir",
        str(uv.cache),
    ]
    command += ["--python-version", target.python.full, "--python-platform"]
    command += [f"{target.architecture}-manylinux_2_{target.cap.minor}", str(requirements)]
    command += [
        "--constraints",
        str(constraints),
        "--overrides",
        str(overrides),
        "--output-file",
        str(folder / "all.txt"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode and "No solution found" not in done.stderr:
        raise RuntimeError(done.stderr)
    return done.returncode == 0
