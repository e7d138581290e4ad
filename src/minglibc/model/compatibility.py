"""Whether a target can use a file: its rank, or a Rejection with the reason."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol, Self, TypedDict

from minglibc.model import versions
from minglibc.model.artifacts import Artifact, FileSource, Sdist, Wheel, printable
from minglibc.model.platform_tags import FOREIGN_PLATFORMS, architecture_of, expand_tags, needed_libc
from minglibc.model.project_page import ProjectPage
from minglibc.model.targets import Cap, GlibcVersion, MuslVersion, Target, compatible_tags, tag_ranks
from minglibc.model.urls import display_url, is_valid_host


class Reason(Enum):
    """Why a target can't have a file; the value is its name in JSON, ``text`` its wording in messages."""

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
    UNLISTED = "unlisted", "has the file {detail}, whose hash is not listed"
    UNUSABLE = "unusable", "can't be used: {detail}"

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        """A member whose value is the short name alone."""
        member = object.__new__(cls)
        member._value_ = value
        member.text = text
        return member


class Rejection(NamedTuple):
    """A reason with its *detail*: what the file needs or is for; for GLIBC the version."""

    reason: Reason
    detail: str = ""

    @property
    def needs(self) -> Cap | None:
        """The cap under which the file would be compatible; None if no cap helps."""
        if self.reason not in {Reason.GLIBC, Reason.NEWER_MUSL}:
            return None
        # Not GlibcVersion.parse: tags can name releases that do not exist.
        major, minor = map(int, self.detail.split("."))
        return GlibcVersion(major, minor) if self.reason is Reason.GLIBC else MuslVersion(major, minor)

    def __str__(self) -> str:
        return self.reason.text.format(detail=self.detail)


class Cutoff:
    """``exclude-newer``: RFC 3339 times in UTC; a time for a project overrides the general one."""

    def __init__(self, everything: str = "", projects: Mapping[str, str] = {}) -> None:
        self.everything = everything
        self.projects = projects

    def of(self, name: str) -> str:
        """The time from which on files of project *name* are too new; empty for no limit."""
        return self.projects.get(name, self.everything)


Listing = Callable[[Artifact], bool]
"""Whether another tool's lock lists a file of a release, by its hash; true for releases that the lock does not have."""


class Compatibility(Protocol):
    """What the resolver has to know of a target: which file of a release it gets, or why it gets none."""

    @property
    def target(self) -> Target:
        """The target that is checked."""
        ...

    def at(self, target: Target) -> "Compatibility":
        """The check for another *target* by the same rules."""
        ...

    def at_cap(self, cap: Cap) -> "Compatibility":
        """The check for the same machine under another cap."""
        ...

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source if it has no compatible wheel."""
        ...

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Artifact | None:
        """The most suitable file of a version, if there is one; yanked files count only if *yanked* is true."""
        ...

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why each file of a version is rejected, the one closest to compatible first; empty if one is compatible."""
        ...

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that the files of an incompatible version need."""
        ...


class _Rules(TypedDict):
    allow_linux_tag: Collection[str]
    allow_sdist: Collection[str]
    any_sdist: bool
    exclude_newer: Cutoff | None
    is_listed: Listing | None


class TargetCompatibility:
    """The check for one target; the result for each tag set is cached."""

    __slots__ = (
        *(
            "_any_sdist",
            "_at",
            "_beside",
            "_compatible",
            "_cutoff",
            "_is_listed",
            "_linux_names",
            "_linux_ranks",
            "_rank_by_tags",
        ),
        "_ranks",
        *("_rejected", "_rules", "_sdist_names", "_verdicts", "target"),
    )

    def __init__(
        self,
        target: Target,
        *,
        allow_linux_tag: Collection[str] = (),
        allow_sdist: Collection[str] = (),
        any_sdist: bool = False,
        exclude_newer: Cutoff | None = None,
        is_listed: Listing | None = None,
    ) -> None:
        self.target = target
        self._rules: _Rules = {
            "allow_linux_tag": allow_linux_tag,
            "allow_sdist": allow_sdist,
            "any_sdist": any_sdist,
            "exclude_newer": exclude_newer,
            "is_listed": is_listed,
        }
        self._sdist_names = frozenset(allow_sdist)
        self._any_sdist = any_sdist
        self._ranks = tag_ranks(target)
        self._linux_names = frozenset(allow_linux_tag)
        self._linux_ranks = tag_ranks(target, linux=True) if self._linux_names else {}
        self._cutoff = exclude_newer or Cutoff()
        self._is_listed = is_listed
        # By filename: files that were read or built, and rejected for what they contain.
        self._rejected: Mapping[str, Rejection] = {}
        self._at: Callable[[Target], TargetCompatibility] | None = None
        # The checks for other targets by the same rules, this one included.
        self._beside: dict[Target, TargetCompatibility] = {target: self}
        self._verdicts: dict[str, int | Rejection] = {}
        self._rank_by_tags: dict[str, int | None] = {}
        self._compatible: dict[tuple[str, ...], tuple[int, ...]] = {}

    def rejecting(
        self, rejected: Mapping[str, Rejection], *, at: "Callable[[Target], TargetCompatibility] | None" = None
    ) -> "TargetCompatibility":
        """The same check, which also rejects the files named in *rejected*; *at* makes the check for another target."""
        other = TargetCompatibility(self.target, **self._rules)
        other._rejected = {**rejected, **self._rejected}
        other._at = at or self.at
        other._verdicts, other._rank_by_tags, other._compatible = self._verdicts, self._rank_by_tags, self._compatible
        return other

    def at_cap(self, cap: Cap) -> "TargetCompatibility":
        """The check for the same machine under another cap, by the same rules."""
        return self.at(self.target._replace(cap=cap))

    def at(self, target: Target) -> "TargetCompatibility":
        """The check for any *target* by the same rules, made once."""
        if self._at is not None:
            return self._at(target)
        other = self._beside.get(target)
        if other is None:
            other = self._beside[target] = TargetCompatibility(target, **self._rules)
            other._beside = self._beside
        return other

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source if it has no compatible wheel."""
        return self._any_sdist or name in self._sdist_names

    def check(self, file: Artifact) -> int | Rejection:
        """The rank of *file* for the target, 0 being the best, or why the target can't have it; yanked files are checked too."""
        verdict = self._check(file)
        return verdict if isinstance(verdict, Rejection) else self._rejected.get(file.filename, verdict)

    def _check(self, file: Artifact) -> int | Rejection:
        if not isinstance(file, Wheel):
            return 0 if file.is_direct else self._check_index_rules(file) or 0
        if file.name in self._linux_names:
            verdict = self._check_tags(file.tag_set, self._linux_ranks)
        else:
            verdict = self.check_tags(file.tag_set)
        if isinstance(verdict, Rejection) or file.is_direct:
            return verdict
        return self._check_index_rules(file) or verdict

    def _rank(self, wheel: Wheel) -> int | None:
        """The rank of *wheel* as ``check`` has it; None for every rejection, without the cost of its reason."""
        if wheel.source is not FileSource.INDEX or wheel.name in self._linux_names or wheel.filename in self._rejected:
            verdict = self.check(wheel)
            return None if isinstance(verdict, Rejection) else verdict
        rank = self._rank_of(wheel.tag_set)
        return None if rank is None or self._check_index_rules(wheel) else rank

    def _rank_of(self, tags: str) -> int | None:
        rank = self._rank_by_tags.get(tags, -1)
        if rank == -1:
            rank = self._rank_by_tags[tags] = _best_rank(tags, self._ranks)
        return rank

    def _with_compatible_tags(self, page: ProjectPage, index: int) -> Sequence[int]:
        """The positions of a version's wheels that have a compatible tag; other rules are not checked."""
        tag_sets = page.tag_sets(index)
        if page.name in self._linux_names:
            return [i for i, tags in enumerate(tag_sets) if _best_rank(tags, self._linux_ranks) is not None]
        # Most releases of a project have the same tag sets.
        positions = self._compatible.get(tag_sets)
        if positions is None:
            positions = tuple(i for i, tags in enumerate(tag_sets) if self._rank_of(tags) is not None)
            self._compatible[tag_sets] = positions
        return positions

    def check_tags(self, tags: str) -> int | Rejection:
        """The verdict on a compressed tag set, such as ``cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64``."""
        verdict = self._verdicts.get(tags)
        if verdict is None:
            verdict = self._verdicts[tags] = self._check_tags(tags, self._ranks)
        return verdict

    def _check_tags(self, tags: str, ranks: Mapping[str, int]) -> int | Rejection:
        best = _best_rank(tags, ranks)
        return self._explain(tags) if best is None else best

    def _check_index_rules(self, file: Artifact) -> Rejection | None:  # noqa: PLR0911  one return for each rule
        if file.requires_python:
            try:
                if not versions.contains(file.requires_python, self.target.python.full):
                    return Rejection(Reason.REQUIRES_PYTHON, file.requires_python)
            except ValueError as error:
                return Rejection(Reason.UNUSABLE, f"its Requires-Python {error}")
        if not file.is_local and (problem := url_problem(file.url)):
            return Rejection(Reason.UNUSABLE, problem)
        # A file without a hash is checked when its hash is known.
        if self._is_listed is not None and file.hash and not self._is_listed(file):
            return Rejection(Reason.UNLISTED, file.filename)
        cutoff = self._cutoff.of(file.name)
        if not cutoff:
            return None
        if not file.upload_time:
            return Rejection(Reason.NO_UPLOAD_TIME)
        return Rejection(Reason.TOO_NEW, file.upload_time[:10]) if file.upload_time >= cutoff else None

    def _excludes_python(self, requires_python: str) -> bool:
        try:
            return not versions.contains(requires_python, self.target.python.full)
        except ValueError:
            return False  # reported by _check_index_rules

    def _explain(self, tags: str) -> Rejection:
        """The reason of the tag that is closest to compatible."""
        interpreters, abis, platforms = tags.split("-")
        pairs = {f"{interpreter}-{abi}" for interpreter in interpreters.split(".") for abi in abis.split(".")}
        if not pairs & _pairs(self.target):
            return Rejection(Reason.INTERPRETER, interpreter_names(interpreters, abis))
        return _explain_platforms(platforms, self.target.architecture, self.target.cap.libc)

    def best(self, page: ProjectPage, index: int, *, yanked: bool = False) -> Artifact | None:
        """The best wheel of a version, else its source distribution if that is allowed; yanked files only if *yanked* is true."""
        if page.is_excluded(index, self._excludes_python):
            return None
        if trees := page.source_trees(index):
            return trees[0]
        # A file that is not yanked comes first, in a release with some yanked files.
        best: tuple[tuple[bool, int, int, str], Wheel] | None = None
        for position in self._with_compatible_tags(page, index):
            wheel = page.wheel(index, position)
            if wheel.yanked is not None and not yanked:
                continue
            rank = self._rank(wheel)
            if rank is None:
                continue
            number, suffix = wheel.build
            order = (wheel.yanked is None, -rank, number, suffix)
            if best is None or order > best[0] or (order == best[0] and wheel.filename < best[1].filename):
                best = order, wheel
        if best is not None and best[1].yanked is None:
            return best[1]
        regular = self._best_sdist(page, index, yanked=False)
        if regular is None and yanked:
            return best[1] if best is not None else self._best_sdist(page, index, yanked=True)
        return regular

    def _best_sdist(self, page: ProjectPage, index: int, *, yanked: bool) -> Sdist | None:
        for sdist in self._sdists(page, index):
            if (sdist.yanked is None or yanked) and not isinstance(self.check(sdist), Rejection):
                return sdist
        return None

    def _sdists(self, page: ProjectPage, index: int) -> tuple[Sdist, ...]:
        # At most one, the same for all targets: a package of a lock has one sdist (PEP 751).
        return page.sdists(index)[:1] if page.is_direct or self.allows_sdist(page.name) else ()

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why each file of a version is rejected, the one closest to compatible first; empty if one is compatible."""
        rejected = self._linux_rejections(page, index)
        if rejected is None:
            return []
        rejected |= {v for tags in page.foreign(index) if isinstance(v := self.check_tags(tags), Rejection)}
        return sorted(rejected or {Rejection(Reason.SOURCE_ONLY)}, key=_nearness)

    def _linux_rejections(self, page: ProjectPage, index: int) -> set[Rejection] | None:
        """Why the files that are not for other systems only are rejected; None if one is compatible."""
        if page.source_trees(index):
            return None
        positions = self._with_compatible_tags(page, index)
        compatible = frozenset(positions)
        others = [tags for position, tags in enumerate(page.tag_sets(index)) if position not in compatible]
        verdicts = [self.check_tags(tags) for tags in others]
        for file in (*(page.wheel(index, position) for position in positions), *self._sdists(page, index)):
            verdict = self.check(file)
            if isinstance(verdict, int) and file.yanked is not None:
                verdict = Rejection(Reason.YANKED, f" ({file.yanked})" if file.yanked else "")
            verdicts.append(verdict)
        if any(isinstance(verdict, int) for verdict in verdicts):
            return None
        return {verdict for verdict in verdicts if isinstance(verdict, Rejection)}

    def wanted_caps(self, page: ProjectPage, index: int) -> set[Cap]:
        """The higher caps that the files of an incompatible version need."""
        if self._rejected:
            return caps_of(self.rejections(page, index))  # a built wheel can need more than its tags say
        cap = self.target.cap
        if page.is_excluded(index, self._excludes_python):
            return set()
        if not any(needs.libc == cap.libc and needs > cap for needs in page.libcs(index)):
            return set()
        return caps_of(self._linux_rejections(page, index) or ())


_ORDER = {
    reason: position for position, reason in enumerate((Reason.YANKED, Reason.TOO_NEW, Reason.NO_UPLOAD_TIME, *Reason))
}


def caps_of(rejections: Iterable[Rejection]) -> set[Cap]:
    """The higher caps that would resolve any of *rejections*."""
    return {needs for rejection in rejections if (needs := rejection.needs)}


def _nearness(rejection: Rejection) -> tuple[Any, ...]:
    detail = rejection.needs or ()
    return (_ORDER[rejection.reason], detail, rejection.detail)


# These do not depend on the rules, so that all checks share one cache.

_HIGHEST_PORT = 65_535


def url_problem(url: str) -> str:
    """Why a lock can't have *url*; empty if it can."""
    if not url.startswith(("https://", "http://")):
        return f"its URL {display_url(url)} is not http(s)"
    if "@" in url and "@" in url.split("/", 3)[2]:
        return "its URL contains credentials"
    return "" if _is_plain_url(url) or _is_valid_url(url) else f"its URL {display_url(url)} is invalid"


def _is_plain_url(url: str) -> bool:
    """Whether *url* has nothing that can be malformed: no address of IPv6, and no port or a valid one."""
    if "[" in url or "]" in url:
        return False
    if url.count(":") == 1:
        return True
    host, _, port = url.split("/", 3)[2].partition(":")
    if not (host + port).isascii() or not host.replace("-", "").replace(".", "").isalnum():
        return False
    return port.isdecimal() and len(port) <= len(str(_HIGHEST_PORT)) and 0 < int(port) <= _HIGHEST_PORT


def _is_valid_url(url: str) -> bool:
    from urllib.parse import urlsplit  # noqa: PLC0415  3 ms; nearly every URL is plain

    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.hostname) and is_valid_host(parts.netloc)
    except ValueError:
        return False


def _best_rank(tags: str, ranks: Mapping[str, int]) -> int | None:
    return min((ranks[tag] for tag in expand_tags(tags) if tag in ranks), default=None)


@cache
def _pairs(target: Target) -> frozenset[str]:
    """The interpreters and ABIs of the target's tags."""
    return frozenset(tag.rpartition("-")[0] for tag in compatible_tags(target))


@cache
def _explain_platforms(platforms: str, architecture: str, libc: str) -> Rejection:
    return min((explain_platform(platform, architecture, libc) for platform in platforms.split(".")), key=_nearness)


def explain_platform(platform: str, wanted: str, libc: str) -> Rejection:
    """Why a machine of the architecture *wanted* with the C library *libc* can't have a platform that it has no tag for."""
    if platform == "any":
        return Rejection(Reason.INTERPRETER, "another Python")
    if platform.startswith(FOREIGN_PLATFORMS):
        return Rejection(Reason.SYSTEM, _system(platform))
    architecture = architecture_of(platform)
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


@lru_cache(maxsize=1 << 12)
def interpreter_names(interpreters: str, abis: str) -> str:
    """The interpreters of a tag set, as messages name them."""
    if abis.startswith(("cp3", "none")) and interpreters.startswith(("cp3", "py")):
        suffix = "t" if abis.endswith("t") else ""
        return printable(
            "CPython "
            + ", ".join(f"{name[2:3]}.{name[3:]}" if name[3:] else name[2:] for name in interpreters.split("."))
            + suffix
        )
    return printable(f"{interpreters}-{abis}")
