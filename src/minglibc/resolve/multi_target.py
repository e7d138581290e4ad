"""Targets that no marker tells apart (3.13 and 3.13t, glibc and musl): one version of everything must have a wheel for each."""

from collections.abc import Sequence

from minglibc.errors import ResolutionError
from minglibc.model.artifacts import Wheel
from minglibc.model.compatibility import Compatibility, Reason, Rejection
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap
from minglibc.resolve.resolver import Resolution


class JointCompatibility(Compatibility):
    """A compatibility for one target who admits only the versions that have a wheel for each of the others too."""

    __slots__ = ("_others", "_own")

    def __init__(self, own: Compatibility, others: Sequence[Compatibility]) -> None:
        self.target = own.target
        self._own = own
        self._others = others

    def at_cap(self, cap: Cap) -> Compatibility:
        """The same with another cap, on the targets that have its C library."""
        own, *others = (
            each.at_cap(cap) if each.target.cap.libc == cap.libc and each.target.cap < cap else each
            for each in (self._own, *self._others)
        )
        return JointCompatibility(own, others)

    def check(self, wheel: Wheel) -> int | Rejection:
        """As the target's own compatibility."""
        return self._own.check(wheel)

    def rank(self, wheel: Wheel) -> int | None:
        """As the target's own compatibility."""
        return self._own.rank(wheel)

    def fitting(self, page: ProjectPage, index: int) -> Sequence[int]:
        """As the target's own compatibility."""
        return self._own.fitting(page, index)

    def check_tags(self, tail: str) -> int | Rejection:
        """As the target's own compatibility."""
        return self._own.check_tags(tail)

    def allows_sdist(self, name: str) -> bool:
        """As the target's own compatibility."""
        return self._own.allows_sdist(name)

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Wheel | None:
        """The target's own best wheel of a version that serves all; else None."""
        if all(other.best(page, index, yanked=yanked) for other in self._others):
            return self._own.best(page, index, yanked=yanked)
        return None

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why the target can't have a version, or why a target can't that must have the same."""
        found = self._own.rejections(page, index)
        return found or [self._seen_from_here(each, o) for o in self._others for each in o.rejections(page, index)]

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that the target's files ask for, or the files of a target that must have the same."""
        return {cap for compatibility in (self._own, *self._others) for cap in compatibility.wanted_caps(page, index)}

    def _seen_from_here(self, rejection: Rejection, other: Compatibility) -> Rejection:
        if rejection.needs and rejection.needs.libc == self.target.cap.libc:
            return rejection  # a higher cap helps whichever target it is for
        return Rejection(
            Reason.UNUSABLE, f"{other.target}, which no marker tells from this target, finds that it {rejection}"
        )


def jointly(compatibilities: Sequence[Compatibility]) -> list[Compatibility]:
    """*compatibilities*, each of which admits only what all targets of its marker can have."""
    found: list[Compatibility] = []
    for compatibility in compatibilities:
        others = [
            each
            for each in compatibilities
            if each is not compatibility and each.target.marker == compatibility.target.marker
        ]
        found.append(JointCompatibility(compatibility, others) if others else compatibility)
    return found


def check_agreement(answers: Sequence[Resolution]) -> None:
    """Raise ResolutionError where two targets of one marker got different packages, which no lock could tell apart."""
    first: dict[str, Resolution] = {}
    for answer in answers:
        other = first.setdefault(answer.target.marker, answer)
        versions, others = ({name: w.version for name, w in each.wheels.items()} for each in (answer, other))
        if versions != others:
            apart = ", ".join(sorted(f"{name} {version}" for name, version in versions.items() ^ others.items()))
            raise ResolutionError(
                f"{other.target} and {answer.target} need different packages ({apart}), and no marker tells them apart",
                hint="their wheels' metadata differ: add constraints on these packages, or drop one of the two targets",
            )
