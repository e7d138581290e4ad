"""A lock read back: the resolutions that it records, with who asks for what, and no search."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minglibc.errors import ProjectNotFound
from minglibc.lock.document import Lock, LockedFolder, version_of
from minglibc.model.artifacts import HASH_ALGORITHMS, Folder, Sdist, Wheel
from minglibc.model.compatibility import Compatibility
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Ask, Candidate, Policy, Provider, Root, Unusable, WheelIndex
from minglibc.resolve.resolver import Demand, Resolution

if TYPE_CHECKING:
    from minglibc.lock.document import LockedFile

CompatibilityAt = Callable[[Target], Compatibility]


def recall(
    lock: Lock,
    roots: Sequence[Root],
    compatibility_at: CompatibilityAt,
    index: WheelIndex,
    *,
    policy: Policy = Policy(),  # noqa: B008  immutable
) -> list[Resolution]:
    """One resolution per target of *lock*; what the roots ask for beyond the lock is left out."""
    resolutions = []
    for target in lock.targets:
        provider = Provider(index, compatibility_at(target), preferences={}, policy=policy)
        resolutions.append(_recall(provider, roots, _wheels(lock, target, index)))
    return resolutions


def _wheels(lock: Lock, target: Target, index: WheelIndex) -> dict[str, Wheel]:
    groups = lock.pylock.dependency_groups or ()
    selected = lock.select(target, extras=lock.pylock.extras or (), groups=groups)
    return {str(package.name): _wheel(package.name, version_of(package), wheel, index) for package, wheel in selected}


def _recall(provider: Provider, roots: Sequence[Root], wheels: Mapping[str, Wheel]) -> Resolution:
    asked = {asker: [ask for ask in asks if ask.name in wheels] for asker, asks in provider.roots(roots).items()}
    dependencies: dict[str, list[Ask]] = {}
    waiting = [ask for asks in asked.values() for ask in asks]
    while waiting:
        ask = waiting.pop()
        if ask.identifier not in dependencies:
            found = dependencies[ask.identifier] = list(_dependencies(provider, ask, wheels[ask.name]))
            found[:] = [each for each in found if each.name in wheels]
            waiting.extend(found)
    demands: dict[str, dict[Demand, None]] = {}
    for each in (ask for found in (asked, dependencies) for asks in found.values() for ask in asks):
        # What an extra asks of its own project is no demand of anybody.
        if each.asked_by.partition("[")[0].partition(" ")[0] != each.name:
            demands.setdefault(each.name, {})[Demand(each.asked_by, each.requirement)] = None
    return Resolution(
        target=provider.compatibility.target,
        wheels=wheels,
        dependencies={identifier: _identifiers(asks) for identifier, asks in dependencies.items()},
        roots={asker: _identifiers(asks) for asker, asks in asked.items()},
        demands={name: tuple(found) for name, found in demands.items()},
        warnings=tuple(provider.warnings),
    )


def _dependencies(provider: Provider, ask: Ask, wheel: Wheel) -> Iterable[Ask]:
    position = provider.project(ask.name).page.versions.index_of(wheel.version)
    if position is None:
        return ()  # taken off the index since; its metadata may be gone too
    try:
        return list(provider.get_dependencies(Candidate(ask.identifier, ask.extra, position, wheel)))
    except Unusable:
        return ()


def _identifiers(asks: Iterable[Ask]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ask.identifier for ask in asks))


def _wheel(name: str, version: str, locked: "LockedFile", index: WheelIndex) -> Wheel:
    """The locked file as its page has it now, else as the lock does."""
    try:
        page = index.project(name)
    except ProjectNotFound:
        page = None
    if isinstance(locked, LockedFolder):
        return page.wheels(0)[0] if page else Folder(name, "0", locked.path, "")
    position = page.versions.index_of(version) if page else None
    if page is not None and position is not None:
        files = (*page.wheels(position), *page.sdists(position))
        found = next((file for file in files if file.filename == locked.filename), None)
        if found is not None:
            return found
    algorithm = next(algorithm for algorithm in HASH_ALGORITHMS if algorithm in locked.hashes)
    uploaded = locked.upload_time.isoformat() if locked.upload_time else ""
    kind = Wheel if locked.filename.endswith(".whl") else Sdist
    return kind(
        name,
        version,
        locked.filename,
        locked.url or "",
        f"{algorithm}:{locked.hashes[algorithm]}",
        locked.size,
        uploaded,
    )
