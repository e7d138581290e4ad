"""Replays a lock: rebuilds the resolutions that it records, with their requirements, without resolving."""

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minglibc.errors import ProjectNotFound
from minglibc.lock.locked_files import LockedFolder, version_of
from minglibc.lock.reader import Lock
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact, FileSource, Sdist, SourceTree, Wheel
from minglibc.model.compatibility import TargetCompatibility
from minglibc.model.file_urls import file_url
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Candidate, Dependency, Policy, Provider, Root, Unusable, WheelIndex
from minglibc.resolve.resolution import ActiveRequirement, Resolution

if TYPE_CHECKING:
    from minglibc.lock.locked_files import LockedFile

CompatibilityAt = Callable[[Target], TargetCompatibility]


def replay(
    lock: Lock,
    roots: Sequence[Root],
    compatibility_at: CompatibilityAt,
    index: WheelIndex,
    *,
    policy: Policy = Policy(),  # noqa: B008  immutable
    folder: str = "",
) -> list[Resolution]:
    """One resolution per target of *lock* in *folder*; requirements on packages outside the lock are ignored."""
    resolutions = []
    for target in lock.targets:
        provider = Provider(index, compatibility_at(target), preferences={}, policy=policy)
        resolutions.append(_resolution(provider, roots, _wheels(lock, target, index, folder)))
    return resolutions


def _wheels(lock: Lock, target: Target, index: WheelIndex, folder: str) -> dict[str, Artifact]:
    groups = lock.pylock.dependency_groups or ()
    selected = lock.select(target, extras=lock.pylock.extras or (), groups=groups)
    return {
        str(package.name): _wheel(package.name, version_of(package), wheel, index, folder)
        for package, wheel in selected
    }


def _resolution(provider: Provider, roots: Sequence[Root], wheels: Mapping[str, Artifact]) -> Resolution:
    root_asks = {
        root: [dependency for dependency in asks if dependency.name in wheels]
        for root, asks in provider.roots(roots).items()
    }
    dependencies: dict[str, list[Dependency]] = {}
    warnings: dict[str, None] = {}
    waiting = [dependency for asks in root_asks.values() for dependency in asks]
    while waiting:
        dependency = waiting.pop()
        if dependency.identifier not in dependencies:
            asks = [
                further
                for further in _dependencies(provider, dependency, wheels[dependency.name], warnings)
                if further.name in wheels
            ]
            dependencies[dependency.identifier] = asks
            waiting.extend(asks)
    requirements: dict[str, dict[ActiveRequirement, None]] = {}
    for dependency in (dependency for asks in (*root_asks.values(), *dependencies.values()) for dependency in asks):
        # An extra's requirement on its own project does not count.
        if dependency.parent.partition("[")[0].partition(" ")[0] != dependency.name:
            requirements.setdefault(dependency.name, {})[
                ActiveRequirement(dependency.parent, dependency.requirement)
            ] = None
    return Resolution(
        target=provider.compatibility.target,
        artifacts=wheels,
        dependencies={identifier: _identifiers(asks) for identifier, asks in dependencies.items()},
        roots={root: _identifiers(asks) for root, asks in root_asks.items()},
        requirements={name: tuple(unique) for name, unique in requirements.items()},
        warnings=tuple(warnings),
    )


def _dependencies(
    provider: Provider, dependency: Dependency, wheel: Artifact, warnings: dict[str, None]
) -> Iterable[Dependency]:
    position = provider.project(dependency.name).page.versions.index_of(wheel.version)
    if position is None:
        return ()  # removed from the index; its metadata may be gone as well
    candidate = Candidate(dependency.identifier, dependency.extra, position, wheel)
    try:
        dependencies = list(provider.dependencies_of(candidate))
    except Unusable:
        return ()
    warnings.update(dict.fromkeys(provider.warnings_about(candidate)))
    return dependencies


def _identifiers(asks: Iterable[Dependency]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(dependency.identifier for dependency in asks))


def _wheel(name: str, version: str, locked: "LockedFile", index: WheelIndex, folder: str) -> Artifact:
    """The locked file as its project page describes it, or as the lock does if the page no longer has it."""
    try:
        page = index.project(name)
    except ProjectNotFound:
        page = None
    if isinstance(locked, LockedFolder):
        return page.source_trees(0)[0] if page else SourceTree(name, "0", locked.path, "")
    position = page.versions.index_of(version) if page else None
    if page is not None and position is not None:
        files = (*page.wheels(position), *page.sdists(position))
        current = next((file for file in files if file.filename == locked.filename), None)
        if current is not None:
            return current
    algorithm = next(algorithm for algorithm in HASH_ALGORITHMS if algorithm in locked.hashes)
    uploaded = locked.upload_time.isoformat() if locked.upload_time else ""
    kind = Wheel if locked.filename.endswith(".whl") else Sdist
    # A wheel that `lock` built is on no index.
    is_local = not locked.url and bool(locked.path)
    return kind(
        name,
        version,
        locked.filename,
        file_url(posixpath.join(folder, locked.path or "")) if is_local else locked.url or "",
        f"{algorithm}:{locked.hashes[algorithm]}",
        locked.size,
        uploaded,
        source=FileSource.LOCAL_INDEX if is_local else FileSource.INDEX,
    )
