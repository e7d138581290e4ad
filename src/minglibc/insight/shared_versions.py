"""Finds the releases that a target would have if it did not share its versions with the other targets."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from minglibc.insight.held_back import newer
from minglibc.model.compatibility import Compatibility
from minglibc.model.targets import Target
from minglibc.resolve.candidates import WheelIndex
from minglibc.resolve.multi_target import jointly
from minglibc.resolve.resolution import Resolution


class SharedVersion(NamedTuple):
    """An older release that some targets get because another target, *because*, can't have the *newest*."""

    name: str
    locked: str
    newest: str
    because: Target
    targets: tuple[Target, ...] = ()

    @property
    def difference(self) -> str:
        """``numpy 2.2.6 → 2.0.2``."""
        return f"{self.name} {self.newest} → {self.locked}"

    @property
    def reason(self) -> str:
        """Where and why."""
        pythons = ", ".join(dict.fromkeys(str(target.python) for target in self.targets))
        return f"on CPython {pythons}: {self.because.python} has no newer release"


def shared_versions(
    resolutions: Sequence[Resolution],
    compatibilities: Sequence[Compatibility],
    index: WheelIndex,
    locked: Callable[[Target], Mapping[str, str]],
) -> list[SharedVersion]:
    """The releases that are older because of another target's Python, by name; versions that were *locked* before are not."""
    joint = jointly(compatibilities)
    targets: dict[SharedVersion, list[Target]] = {}
    for position, (resolution, compatibility) in enumerate(zip(resolutions, joint, strict=True)):
        earlier = list(zip(resolutions[:position], joint, strict=False))
        for name, wheel in resolution.artifacts.items():
            if locked(resolution.target).get(name) == wheel.version:
                continue
            others = [
                (other, check)
                for other, check in earlier
                if name in other.artifacts and other.artifacts[name].version == wheel.version
            ]
            shared = _shared(name, resolution, compatibility, others, index) if others else None
            if shared is not None:
                targets.setdefault(shared, []).append(resolution.target)
    return [shared._replace(targets=tuple(affected)) for shared, affected in sorted(targets.items())]


def _shared(
    name: str,
    resolution: Resolution,
    compatibility: Compatibility,
    others: Sequence[tuple[Resolution, Compatibility]],
    index: WheelIndex,
) -> SharedVersion | None:
    page = index.project(name)
    for position in newer(page, resolution):
        if compatibility.best(page, position) is None:
            continue
        for other, check in others:
            same_python = other.target.python == resolution.target.python
            if not same_python and (check.best(page, position) is None or position not in newer(page, other)):
                return SharedVersion(
                    name, resolution.artifacts[name].version, page.versions.texts[position], other.target
                )
        return None
    return None
