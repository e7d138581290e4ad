"""Whether a target can use a file: its rank, or a Rejection that keeps the reason."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, Self

from minglibc.model import versions
from minglibc.model.artifacts import DirectSdist, DirectWheel, Folder, LocalWheel, Sdist, Wheel, printable
from minglibc.model.platform_tags import FOREIGN_PLATFORMS, needed_libc
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import ARCHITECTURES, Cap, GlibcVersion, MuslVersion, Target, compatible_tags, tag_ranks


class Reason(Enum):
    """Why a target can't have a file; the value names it in JSON, ``text`` is how people say it."""

    GLIBC = "glibc", "needs glibc {detail}"
    NEWER_MUSL = "newer-musl", "needs musl {detail}"
    FOR_GLIBC = "for-glibc", "is built for glibc"
    REQUIRES_PYTHON = "requires-python", "needs Python {detail}"
    INTERPRETER = "interpreter", "is built for {detail}"
    ARCHITECTURE = "architecture", "is built for {detail}"
    MUSL = "musl", "is built for musl"
    LINUX_TAG = "linux-tag", "is tagged {detail}, which says nothing of its C library"
    SYSTEM = "system", "is built for {detail}"
    YANKED = "yanked", "is yanked{detail}"
    TOO_NEW = "too-new", "was uploaded {detail}, after exclude-newer"
    NO_UPLOAD_TIME = "no-upload-time", "has no upload time, which exclude-newer needs"
    SOURCE_ONLY = "source-only", "has no wheel"
    UNUSABLE = "unusable", "can't be used: {detail}"

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """A member whose value is the short name alone."""
        member = object.__new__(cls)
        member._value_ = value
        member.text = text
        return member


class Rejection(NamedTuple):
    """A refusal that keeps its reason; *detail* is what would lift it (for GLIBC: the version that the file needs)."""

    reason: Reason
    detail: str = ""

    @property
    def needs(self) -> Cap | None:
        """The cap that would lift it; None where no cap would."""
        if self.reason not in {Reason.GLIBC, Reason.NEWER_MUSL}:
            return None
        # Not by parse: an index may name releases that there never were.
        major, minor = map(int, self.detail.split("."))
        return GlibcVersion(major, minor) if self.reason is Reason.GLIBC else MuslVersion(major, minor)

    def __str__(self) -> str:
        return self.reason.text.format(detail=self.detail)


class Cutoff(NamedTuple):
    """``exclude-newer``: RFC 3339 times in UTC; a project's own one wins."""

    everything: str = ""
    projects: Mapping[str, str] = {}

    def of(self, name: str) -> str:
        """The time after which a file of project *name* is too new; empty for none."""
        return self.projects.get(name, self.everything)


class Compatibility:
    """What one target accepts, with every verdict on a compressed tag set remembered."""

    __slots__ = (
        *(
            "_beside",
            "_cutoff",
            "_fits",
            "_fitting",
            "_linux_names",
            "_linux_ranks",
            "_ranks",
            "_sdist_names",
            "_tails",
        ),
        "target",
    )

    def __init__(
        self,
        target: Target,
        *,
        allow_linux_tag: Iterable[str] = (),
        allow_sdist: Iterable[str] = (),
        exclude_newer: Cutoff | None = None,
    ) -> None:
        self.target = target
        self._sdist_names = frozenset(allow_sdist)
        self._ranks = tag_ranks(target)
        self._linux_names = frozenset(allow_linux_tag)
        self._linux_ranks = tag_ranks(target, linux=True) if self._linux_names else {}
        self._cutoff = exclude_newer or Cutoff()
        # The compatibilities of other targets by the same rules, this one among them.
        self._beside: dict[Target, Compatibility] = {target: self}
        self._tails: dict[str, int | Rejection] = {}
        self._fits: dict[str, int | None] = {}
        self._fitting: dict[tuple[str, ...], tuple[int, ...]] = {}

    def at_cap(self, cap: Cap) -> "Compatibility":
        """The compatibility of the same machine under another cap, by the same rules."""
        return self.at(self.target._replace(cap=cap))

    def at(self, target: Target) -> "Compatibility":
        """The compatibility of any *target* by the same rules, made once."""
        found = self._beside.get(target)
        if found is None:
            found = self._beside[target] = Compatibility(
                target, allow_linux_tag=self._linux_names, allow_sdist=self._sdist_names, exclude_newer=self._cutoff
            )
            found._beside = self._beside
        return found

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source where it has no wheel."""
        return name in self._sdist_names

    def check(self, wheel: Wheel) -> int | Rejection:
        """The rank of *wheel* for the target, 0 being the best; or why the target can't have it. Yanked files are judged as others."""
        if isinstance(wheel, Sdist):
            return 0 if isinstance(wheel, DirectSdist) else self._check_other_rules(wheel) or 0
        if isinstance(wheel, Folder):
            return 0
        if wheel.name in self._linux_names:
            verdict = self._check_tags(wheel.tail, self._linux_ranks)
        else:
            verdict = self.check_tags(wheel.tail)
        if isinstance(verdict, Rejection) or isinstance(wheel, DirectWheel):
            return verdict
        return self._check_other_rules(wheel) or verdict

    def rank(self, wheel: Wheel) -> int | None:
        """The rank of *wheel* as ``check`` has it; None for every refusal, whose reason nobody asks for when choosing."""
        if type(wheel) is not Wheel or wheel.name in self._linux_names:
            verdict = self.check(wheel)
            return None if isinstance(verdict, Rejection) else verdict
        rank = self._rank_of(wheel.tail)
        return None if rank is None or self._check_other_rules(wheel) else rank

    def _rank_of(self, tail: str) -> int | None:
        rank = self._fits.get(tail, -1)
        if rank == -1:
            rank = self._fits[tail] = _best_rank(tail, self._ranks)
        return rank

    def fitting(self, page: ProjectPage, index: int) -> Sequence[int]:
        """The places of those of a version's wheels whose tags the target accepts, whatever else there is against them."""
        tails = page.tails(index)
        if page.name in self._linux_names:
            return [place for place, tail in enumerate(tails) if _best_rank(tail, self._linux_ranks) is not None]
        # A project's releases are mostly built alike.
        found = self._fitting.get(tails)
        if found is None:
            fits = [place for place, tail in enumerate(tails) if self._rank_of(tail) is not None]
            found = self._fitting[tails] = tuple(fits)
        return found

    def check_tags(self, tail: str) -> int | Rejection:
        """The verdict on a compressed tag set, such as ``cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64``."""
        verdict = self._tails.get(tail)
        if verdict is None:
            verdict = self._tails[tail] = self._check_tags(tail, self._ranks)
        return verdict

    def _check_tags(self, tail: str, ranks: Mapping[str, int]) -> int | Rejection:
        best = _best_rank(tail, ranks)
        return self._explain(tail) if best is None else best

    def _check_other_rules(self, wheel: Wheel) -> Rejection | None:
        if wheel.requires_python:
            try:
                if not versions.contains(wheel.requires_python, self.target.python.full):
                    return Rejection(Reason.REQUIRES_PYTHON, wheel.requires_python)
            except ValueError as error:
                return Rejection(Reason.UNUSABLE, f"its Requires-Python {error}")
        if not wheel.url.startswith(("https://", "http://")) and not isinstance(wheel, LocalWheel):
            return Rejection(Reason.UNUSABLE, f"its URL {wheel.url} is not http(s)")
        cutoff = self._cutoff.of(wheel.name)
        if not cutoff:
            return None
        if not wheel.upload_time:
            return Rejection(Reason.NO_UPLOAD_TIME)
        return Rejection(Reason.TOO_NEW, wheel.upload_time[:10]) if wheel.upload_time >= cutoff else None

    def _is_for_others(self, requires_python: str) -> bool:
        try:
            return not versions.contains(requires_python, self.target.python.full)
        except ValueError:
            return False  # as is said where it is judged

    def _explain(self, tail: str) -> Rejection:
        """The reason nearest to fitting: the C library before architecture before system before interpreter."""
        interpreters, abis, platforms = tail.split("-")
        pairs = {f"{interpreter}-{abi}" for interpreter in interpreters.split(".") for abi in abis.split(".")}
        if not pairs & _pairs(self.target):
            return Rejection(Reason.INTERPRETER, _interpreters(interpreters, abis))
        return _explain_platforms(platforms, self.target.architecture, self.target.cap.libc)

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Wheel | None:
        """The wheel of a version that suits the target best, else its source where that is allowed; yanked only where *yanked* admits it."""
        if page.is_only_for(index, self._is_for_others):
            return None
        found: tuple[tuple[int, int, str], Wheel] | None = None
        for place in self.fitting(page, index):
            wheel = page.wheel(index, place)
            if wheel.yanked is not None and not yanked:
                continue
            rank = self.rank(wheel)
            if rank is None:
                continue
            number, suffix = wheel.build
            order = (-rank, number, suffix)
            if found is None or order > found[0]:
                found = order, wheel
        return found[1] if found else self._source(page, index, yanked=yanked)

    def _source(self, page: ProjectPage, index: int, *, yanked: bool) -> Sdist | None:
        # One for all targets (PEP 751 has a place for one): whether they can have it does not change which it is.
        for sdist in self._sources(page, index):
            if (sdist.yanked is None or yanked) and not isinstance(self.check(sdist), Rejection):
                return sdist
        return None

    def _sources(self, page: ProjectPage, index: int) -> tuple[Sdist, ...]:
        return page.sdists(index)[:1] if page.is_named or self.allows_sdist(page.name) else ()

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why each file of a version is refused, the nearest to fitting first; empty where one fits."""
        refused = self._refusals(page, index)
        if refused is None:
            return []
        refused |= {verdict for tail in page.foreign(index) if isinstance(verdict := self.check_tags(tail), Rejection)}
        return sorted(refused or {Rejection(Reason.SOURCE_ONLY)}, key=_nearness)

    def _refusals(self, page: ProjectPage, index: int) -> set[Rejection] | None:
        """Why the files that some Linux may have are refused; None where one fits."""
        fitting = self.fitting(page, index)
        unfit = [tail for place, tail in enumerate(page.tails(index)) if place not in fitting]
        refused = [self.check_tags(tail) for tail in unfit]
        for file in (*(page.wheel(index, place) for place in fitting), *self._sources(page, index)):
            verdict = self.check(file)
            if isinstance(verdict, int) and file.yanked is not None:
                verdict = Rejection(Reason.YANKED, f" ({file.yanked})" if file.yanked else "")
            refused.append(verdict)
        found = {verdict for verdict in refused if isinstance(verdict, Rejection)}
        return None if any(isinstance(verdict, int) for verdict in refused) else found

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that files of a version ask for, which has none within the cap; each is still to be tried."""
        cap = self.target.cap
        if page.is_only_for(index, self._is_for_others):
            return set()
        if not any(needs.libc == cap.libc and needs > cap for needs in page.libcs(index)):
            return set()
        return caps_of(self._refusals(page, index) or ())


_ORDER = {reason: place for place, reason in enumerate((Reason.YANKED, Reason.TOO_NEW, Reason.NO_UPLOAD_TIME, *Reason))}


def caps_of(rejections: Iterable[Rejection]) -> set[Cap]:
    """The higher caps that would lift any of *rejections*."""
    return {needs for rejection in rejections if (needs := rejection.needs)}


def _nearness(rejection: Rejection) -> tuple[Any, ...]:
    detail = rejection.needs or ()
    return (_ORDER[rejection.reason], detail, rejection.detail)


# What does not depend on the target is worked out once for all of them.


@cache
def _expand(tail: str) -> tuple[str, ...]:
    interpreters, abis, platforms = (part.split(".") for part in tail.split("-"))
    return tuple(f"{i}-{abi}-{platform}" for i in interpreters for abi in abis for platform in platforms)


def _best_rank(tail: str, ranks: Mapping[str, int]) -> int | None:
    return min((ranks[tag] for tag in _expand(tail) if tag in ranks), default=None)


@cache
def _pairs(target: Target) -> frozenset[str]:
    """The interpreters and ABIs of the target's tags."""
    return frozenset(tag.rpartition("-")[0] for tag in compatible_tags(target))


@cache
def _explain_platforms(platforms: str, architecture: str, libc: str) -> Rejection:
    return min((_explain_platform(platform, architecture, libc) for platform in platforms.split(".")), key=_nearness)


def _explain_platform(platform: str, wanted: str, libc: str) -> Rejection:
    if platform == "any":
        return Rejection(Reason.INTERPRETER, "another Python")
    if platform.startswith(FOREIGN_PLATFORMS):
        return Rejection(Reason.SYSTEM, _system(platform))
    architecture = next((a for a in sorted(ARCHITECTURES, key=len, reverse=True) if platform.endswith("_" + a)), "")
    if architecture != wanted:
        return Rejection(Reason.ARCHITECTURE, architecture or platform)
    needs = needed_libc(platform)
    if needs is None:
        return Rejection(Reason.LINUX_TAG if platform.startswith("linux_") else Reason.SYSTEM, platform)
    if needs.libc != libc:
        return Rejection(Reason.MUSL if isinstance(needs, MuslVersion) else Reason.FOR_GLIBC)
    return Rejection(Reason.NEWER_MUSL if isinstance(needs, MuslVersion) else Reason.GLIBC, str(needs))


def _system(platform: str) -> str:
    if platform.startswith("win"):
        return "Windows"
    return "macOS" if platform.startswith("macosx") else platform.partition("_")[0]


@cache
def _interpreters(interpreters: str, abis: str) -> str:
    if abis.startswith(("cp3", "none")) and interpreters.startswith(("cp3", "py")):
        suffix = "t" if abis.endswith("t") else ""
        return printable(
            "CPython "
            + ", ".join(f"{name[2:3]}.{name[3:]}" if name[3:] else name[2:] for name in interpreters.split("."))
            + suffix
        )
    return printable(f"{interpreters}-{abis}")
