"""`tool.minglibc.verify`: every newly chosen wheel is read, and one whose files need more than its cap is passed over."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from minglibc.audit.binaries import Binaries
from minglibc.audit.rules import Kind, audit
from minglibc.cache.pages import Store
from minglibc.cli.locking import Locked, Work
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.index.downloads import LockedFile, Wheelhouse, file_of
from minglibc.model.artifacts import Wheel
from minglibc.model.compatibility import Compatibility, Reason, Rejection, caps_of
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, Target
from minglibc.resolve.resolver import Resolution

# What no machine at the cap can load; libraries that come from elsewhere (a driver's) are for `check` to tell.
LIES = frozenset((Kind.GLIBC, Kind.LIBSTDCXX, Kind.LIBGCC, Kind.MUSL, Kind.LINKED_GLIBC))


class RefusingCompatibility(Compatibility):
    """A Compatibility that also refuses files that were looked into, each by its name and with what was found; *at* gives its like."""

    __slots__ = ("_at", "_compatibility", "_refused")

    def __init__(
        self,
        compatibility: Compatibility,
        refused: Mapping[str, Rejection],
        *,
        at: Callable[[Target], Compatibility] | None = None,
    ) -> None:
        self._compatibility = compatibility
        self._refused = refused
        self._at = at or compatibility.at
        self.target = compatibility.target

    def at(self, target: Target) -> Compatibility:
        """The compatibility of another target, with what is known there."""
        return self._at(target)

    def check(self, wheel: Wheel) -> int | Rejection:
        """As the plain compatibility, for what was not refused."""
        verdict = self._compatibility.check(wheel)
        return verdict if isinstance(verdict, Rejection) else self._refused.get(wheel.filename, verdict)

    def rank(self, wheel: Wheel) -> int | None:
        """As the plain compatibility, unless the wheel is refused."""
        return None if wheel.filename in self._refused else self._compatibility.rank(wheel)

    def fitting(self, page: ProjectPage, index: int) -> Sequence[int]:
        """As the plain compatibility: it is asked of each what else there is."""
        return self._compatibility.fitting(page, index)

    def check_tags(self, tail: str) -> int | Rejection:
        """A tag set alone tells no lies."""
        return self._compatibility.check_tags(tail)

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps, of which not only tags tell: what was built may ask for one."""
        return caps_of(self.rejections(page, index))

    def allows_sdist(self, name: str) -> bool:
        """As the plain compatibility."""
        return self._compatibility.allows_sdist(name)


def solve_verified(
    found: Work,
    locked: Locked,
    arguments: Namespace,
    *,
    trusted: Collection[str] = (),
    on_target: Callable[[Target], None] = lambda target: None,  # noqa: ARG005
) -> list[Resolution]:
    """As ``Work.solve``, on builds and releases whose files keep their tag's word; *trusted* files were read before."""
    store = Store(cache_folder(arguments), on_trouble=lambda message: talk(arguments, f"warning: {message}"))
    lies: dict[str, str] = {}
    with Wheelhouse(
        cache_folder(arguments),
        offline=arguments.offline,
        credentials=found.source.credentials,
        on_warning=lambda message: talk(arguments, f"warning: {message}"),
    ) as house:
        while True:
            refused = {name: Rejection(Reason.UNUSABLE, f"its tag lies: {lie}") for name, lie in lies.items()}
            compatibilities = tuple(
                RefusingCompatibility(compatibility, refused) for compatibility in found.compatibilities
            )
            answers = found._replace(compatibilities=compatibilities).solve(locked, on_target=on_target)
            fresh = _lies(found, answers, trusted, Binaries(store), house)
            if not fresh:
                return answers
            for filename, lie in fresh.items():
                talk(arguments, f"warning: {filename} is passed over, its tag lies: {lie}")
            lies |= fresh


def _lies(
    found: Work, answers: Sequence[Resolution], trusted: Collection[str], binaries: Binaries, house: Wheelhouse
) -> dict[str, str]:
    """The files that need more than the caps of the targets that have them."""
    wheels = {
        wheel.filename: wheel
        for answer in answers
        for wheel in answer.wheels.values()
        if wheel.filename not in trusted
        and wheel.filename.endswith(".whl")
        and not wheel.filename.endswith("-none-any.whl")
    }
    read = binaries.of_files(list(_locked_files(found, wheels.values())), house)
    lies: dict[str, str] = {}
    for answer in answers:
        for wheel in answer.wheels.values():
            for finding in audit(read.get(wheel.filename, ()), [answer.target.architecture], answer.target.cap):
                if finding.kind in LIES:
                    lies.setdefault(wheel.filename, f"{finding.path} needs {finding.version or finding.library}")
    return lies


def _locked_files(found: Work, wheels: Iterable[Wheel]) -> Iterable[LockedFile]:
    for wheel in wheels:
        yield file_of(wheel if wheel.hash else found.source.hashed(wheel))
