"""A resolution that changes as few of the preferred versions as possible, and none by more than necessary."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations

from minglibc.model import versions
from minglibc.model.compatibility import Compatibility
from minglibc.model.requirements import Requirement, parse
from minglibc.resolve.candidates import Policy, Root, WheelIndex
from minglibc.resolve.resolution import OnTry, Resolution, Unresolvable
from minglibc.resolve.resolver import resolve

# Seconds of CPU time, and resolutions, for a smaller number of changes; the resolution that is known then is used.
_MOST_SECONDS = 20.0
_MOST_TRIES = 60
# Sets of more packages are not enumerated.
_MOST_CHANGED = 4


class _LockedVersions:
    """The versions of a source lock, compared with those that the target can have."""

    def __init__(self, locked: Mapping[str, str], compatibility: Compatibility, index: WheelIndex) -> None:
        self._locked = locked
        self._compatibility = compatibility
        self._index = index

    def unusable(self, names: Iterable[str]) -> set[str]:
        """Those of *names* whose locked release has no file for the target."""
        return {name for name in names if not is_usable(self._compatibility, self._index, name, self._locked[name])}

    def jumps(self, resolution: Resolution) -> list[str]:
        """The packages that have another major release, although there is a file for the locked one."""
        changed = changed_names(resolution, self._locked)
        return [
            name
            for name in changed
            if _major(resolution.artifacts[name].version) != _major(self._locked[name]) and self.has_major(name)
        ]

    def has_major(self, name: str) -> bool:
        """Whether the target can have a release with the major version that is locked."""
        major, page = _major(self._locked[name]), self._index.project(name)
        return any(
            _major(text) == major and self._compatibility.best(page, position) is not None
            for position, text in enumerate(page.versions.texts)
        )


def resolve_with_fewest_changes(
    roots: Iterable[Root],
    compatibility: Compatibility,
    index: WheelIndex,
    *,
    preferences: Mapping[str, str],
    policy: Policy,
    patience: float,
    on_try: OnTry,
    locked: Mapping[str, str],
) -> Resolution:
    """The resolution of one target that keeps as many versions of *locked* as possible; raises Unresolvable.

    What can't be kept gets the closest version that is possible.
    """
    roots = tuple(roots)
    nearest = policy._replace(nearest=True)
    of_lock = _LockedVersions(locked, compatibility, index)

    def attempt(pins: Mapping[str, str], seconds: float, majors: Sequence[Requirement] = ()) -> Resolution:
        return resolve(
            roots,
            compatibility,
            index,
            preferences={**preferences, **locked},
            policy=nearest._replace(pins=pins, constraints=(*nearest.constraints, *majors)),
            patience=seconds,
            on_try=on_try,
        )

    end = time.thread_time() + min(_MOST_SECONDS, patience)
    first = attempt({}, patience)
    changed = changed_names(first, locked)
    necessary = of_lock.unusable(changed)
    jumps = of_lock.jumps
    if changed == necessary and not jumps(first):
        return first
    # The fewest changes could be to ancient releases, which require less.
    candidates = sorted({*necessary, *jumps(first)})
    kept = [name for name in candidates if of_lock.has_major(name)]
    majors = [parse(f"{name}=={_major(locked[name])}.*") for name in kept]
    resolutions = [first]
    if jumps(first):
        try:
            resolutions.append(attempt({}, end - time.thread_time(), majors))
        except Unresolvable:
            majors = []
    pinned = _with_pins(partial(attempt, majors=majors), locked, necessary, of_lock.unusable, end)
    if pinned is not None:
        resolutions.append(pinned)
    return min(resolutions, key=lambda one: (len(jumps(one)), len(changed_names(one, locked))))


def _with_pins(
    attempt: Callable[[Mapping[str, str], float], Resolution],
    locked: Mapping[str, str],
    necessary: set[str],
    unusable: Callable[[Iterable[str]], set[str]],
    end: float,
) -> Resolution | None:
    """The first resolution that pins all of *locked*, except for what has to change; None if it is not known in time."""
    conflicts: list[frozenset[str]] = []
    for _ in range(_MOST_TRIES):
        relaxed = smallest_cover(conflicts)
        if relaxed is None or time.thread_time() > end:
            return None
        pins = {name: version for name, version in locked.items() if name not in relaxed | necessary}
        try:
            return attempt(pins, end - time.thread_time())
        except Unresolvable as failure:
            names = _names(failure) & pins.keys()
            if failure.gave_up or not names:
                return None
            if without_file := unusable(names):
                necessary |= without_file
            else:
                conflicts.append(frozenset(names))
    return None


def changed_names(resolution: Resolution, locked: Mapping[str, str]) -> set[str]:
    """The packages of *resolution* whose version is not the one of *locked*."""
    return {
        name for name, file in resolution.artifacts.items() if name in locked and not _same(file.version, locked[name])
    }


def _major(version: str) -> str:
    return (versions.normalize(version) or version).partition("+")[0].partition(".")[0]


def is_usable(compatibility: Compatibility, index: WheelIndex, name: str, version: str) -> bool:
    """Whether the target has a file of a release, yanked or not."""
    page = index.project(name)
    position = page.versions.index_of(version)
    return position is not None and compatibility.best(page, position, yanked=True) is not None


def is_yanked(compatibility: Compatibility, index: WheelIndex, name: str, version: str) -> bool:
    """Whether the target has files of a release, and all of them are yanked."""
    if not is_usable(compatibility, index, name, version):
        return False
    page = index.project(name)
    position = page.versions.index_of(version)
    return position is not None and compatibility.best(page, position) is None


def smallest_cover(conflicts: Sequence[Collection[str]]) -> set[str] | None:
    """The fewest names of which at least one is in each of *conflicts*; None where these would be too many."""
    names = sorted({name for conflict in conflicts for name in conflict})
    for size in range(_MOST_CHANGED + 1):
        for chosen in combinations(names, size):
            if all(any(name in conflict for name in chosen) for conflict in conflicts):
                return set(chosen)
        if len(names) ** (size + 1) > 1 << 20:
            break
    return None


def _names(failure: Unresolvable) -> set[str]:
    """The packages that take part in a conflict."""
    return set(_named(failure))


def _named(failure: Unresolvable) -> Iterator[str]:
    for cause in failure.causes:
        yield cause.requirement.name
        if cause.parent is not None:
            yield cause.parent.name


def _same(one: str, other: str) -> bool:
    return one == other or versions.key(one) == versions.key(other)
