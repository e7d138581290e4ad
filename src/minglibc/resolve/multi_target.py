"""One resolution for each target of a lock, and the targets that no marker tells apart.

Targets such as 3.13 and 3.13t, or glibc and musl, have equal markers: a lock has one version of a package for them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from minglibc.errors import ResolutionError
from minglibc.model.artifacts import Artifact
from minglibc.model.compatibility import Compatibility, Reason, Rejection
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.candidates import Policy, Root, WheelIndex
from minglibc.resolve.resolution import OnTry, Resolution
from minglibc.resolve.resolver import PATIENCE, resolve


class Solve(Protocol):
    """Resolves one target, as ``resolver.resolve`` does."""

    def __call__(
        self,
        roots: Iterable[Root],
        compatibility: Compatibility,
        index: WheelIndex,
        *,
        preferences: Mapping[str, str],
        policy: Policy,
        patience: float,
        on_try: OnTry,
    ) -> Resolution:
        """The resolution; raises Unresolvable."""
        ...


def resolve_all(
    roots: Sequence[Root],
    compatibilities: Sequence[Compatibility],
    index: WheelIndex,
    *,
    locked: Callable[[Target], Mapping[str, str]] = lambda target: {},  # noqa: ARG005
    policy: Policy = Policy(),  # noqa: B008  immutable
    on_target: Callable[[Target], None] = lambda target: None,  # noqa: ARG005
    on_try: OnTry = lambda attempt: None,  # noqa: ARG005
    patience: float | None = None,
    solve: Solve = resolve,
) -> list[Resolution]:
    """One resolution per target, in their order; each prefers locked versions, then those of the target before it.

    The searches of all targets together are stopped after *patience* seconds of CPU time, by default after ten minutes.
    """
    end = time.thread_time() + (PATIENCE if patience is None else patience)
    resolutions: list[Resolution] = []
    chosen: dict[str, str] = {}
    joint = jointly(compatibilities)
    for count, compatibility in enumerate(joint, start=1):
        on_target(compatibility.target)
        if not policy.fewest and resolutions and not _share_python(resolutions[-1].target, compatibility.target):
            chosen.clear()
        preferences = {**chosen, **locked(compatibility.target)}
        resolution = solve(
            roots,
            compatibility,
            index,
            preferences=preferences,
            policy=policy,
            on_try=on_try,
            patience=end - time.thread_time(),
        )
        resolutions.append(resolution)
        # Targets are in the order of their Pythons, so the latest choice is that of the most similar target.
        changed = [file for name, file in resolution.artifacts.items() if chosen.get(name) != file.version]
        chosen.update((file.name, file.version) for file in changed)
        index.prefetch(_of_same_releases(changed, joint[count:], index))
    check_agreement(resolutions)
    return resolutions


def _share_python(one: Target, other: Target) -> bool:
    """Whether the markers of two targets name the same Python, free-threaded or not."""
    return one.python[:2] == other.python[:2]


def _of_same_releases(
    files: Sequence[Artifact], compatibilities: Sequence[Compatibility], index: WheelIndex
) -> Iterator[Artifact]:
    """The files that the remaining targets will probably select: those of the same releases as *files*."""
    for file in files:
        page = index.project(file.name)
        position = page.versions.index_of(file.version)
        if position is not None:
            candidates = (compatibility.best(page, position) for compatibility in compatibilities)
            yield from (candidate for candidate in candidates if candidate is not None)


class JointCompatibility:
    """The check for one target that admits only versions that have a file for each of the other targets too."""

    __slots__ = ("_others", "_own")

    def __init__(self, own: Compatibility, others: Sequence[Compatibility]) -> None:
        self._own = own
        self._others = others

    @property
    def target(self) -> Target:
        """The target that gets the file."""
        return self._own.target

    def at(self, target: Target) -> Compatibility:
        """The check for *target* alone."""
        return self._own.at(target)

    def at_cap(self, cap: Cap) -> Compatibility:
        """The same under a higher cap, which is raised on every target that has its C library."""
        own, *others = (
            member.at_cap(cap) if member.target.cap.libc == cap.libc and member.target.cap < cap else member
            for member in (self._own, *self._others)
        )
        return JointCompatibility(own, others)

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source; the rules are the same for all targets."""
        return self._own.allows_sdist(name)

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Artifact | None:
        """The target's own best file of a version that has one for every target."""
        if all(other.best(page, index, yanked=yanked) for other in self._others):
            return self._own.best(page, index, yanked=yanked)
        return None

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why the target can't have a version, or else why one of the other targets can't."""
        own = self._own.rejections(page, index)
        return own or [self._attributed(reason, o) for o in self._others for reason in o.rejections(page, index)]

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that the files of any of the targets need."""
        return {cap for member in (self._own, *self._others) for cap in member.wanted_caps(page, index)}

    def _attributed(self, rejection: Rejection, other: Compatibility) -> Rejection:
        if rejection.needs and rejection.needs.libc == self.target.cap.libc:
            return rejection  # a higher cap helps, whichever target it is for
        return Rejection(Reason.UNUSABLE, f"for {other.target}, whose marker is the same, it {rejection}")


def jointly(compatibilities: Sequence[Compatibility]) -> list[Compatibility]:
    """*compatibilities*, each restricted to versions that all targets with its marker can have."""
    joint: list[Compatibility] = []
    for compatibility in compatibilities:
        marker = compatibility.target.marker
        others = [c for c in compatibilities if c is not compatibility and c.target.marker == marker]
        joint.append(JointCompatibility(compatibility, others) if others else compatibility)
    return joint


def check_agreement(resolutions: Sequence[Resolution]) -> None:
    """Raise ResolutionError if two targets with one marker got different packages, which a lock can't express."""
    first: dict[str, Resolution] = {}
    for resolution in resolutions:
        other = first.setdefault(resolution.target.marker, resolution)
        versions, others = ({name: file.version for name, file in r.artifacts.items()} for r in (resolution, other))
        if versions != others:
            differing = ", ".join(sorted(f"{name} {version}" for name, version in versions.items() ^ others.items()))
            raise ResolutionError(
                f"{other.target} and {resolution.target} have the same marker "
                f"and need different packages ({differing})",
                hint="the metadata of their wheels differ: add constraints on these packages, or remove one of the targets",
            )
