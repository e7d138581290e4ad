"""What an index lists, and what of it a target can run: ProjectPage, Wheel, Judge → rank or Rejection."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from minglibc import versions
from minglibc.requirements import normalize_name
from minglibc.targets import (
    ARCHITECTURES,
    LEGACY_NAMES,
    Cap,
    GlibcVersion,
    MuslVersion,
    Target,
    compatible_tags,
    tag_ranks,
)

# Strongest first; md5 and sha1 are no hashes to a lock.
HASH_ALGORITHMS = ("sha256", "sha512", "sha384")
# Eggs and installers of old are no distributions that anybody looks for.
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")
_FOREIGN_PLATFORMS = ("win", "macosx", "android", "ios", "pyodide", "emscripten", "wasi", "freebsd", "cygwin", "mingw")
# No file system lets a name be longer.
_LONGEST = 255
_HEX = re.compile("[0-9a-fA-F]+")
# How these keys stand in a line of a page.
_REQUIRES_PYTHON, _FILENAME = b'"requires-python":"', b'"filename":"'
# PEP 600 and 656; bounded, for installed distributions may say anything.
_PERENNIAL = re.compile(r"(many|musl)linux_([0-9]{1,4})_([0-9]{1,4})_.", re.ASCII)
_TAG_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")


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


class Wheel(NamedTuple):
    """A wheel as its index lists it; *url* is absolute, *hash* is ``algorithm:hex`` or empty, *yanked* keeps its reason."""

    name: str
    version: str
    filename: str
    url: str
    hash: str = ""
    size: int | None = None
    upload_time: str = ""
    requires_python: str = ""
    yanked: str | None = None
    # PEP 658: None where the index says nothing, else the hash of the metadata file or an empty string.
    metadata: str | None = None

    @property
    def tail(self) -> str:
        """The compressed tag set at the end of the file name (PEP 425)."""
        return _tail(self.filename)

    @property
    def build(self) -> tuple[int, str]:
        """The build tag, which decides between wheels of equal tags; () sorts first."""
        parts = self.filename.split("-")
        if len(parts) < 6:
            return (-1, "")
        digits = len(parts[2]) - len(parts[2].lstrip("0123456789"))
        return (int(parts[2][:digits]), parts[2][digits:])


@cache
def _tail(filename: str) -> str:
    return "-".join(filename[:-4].rsplit("-", 3)[1:])


class DirectWheel(Wheel):
    """A wheel that a requirement names by its address: no index lists it, so no rule about what indexes say holds for it."""

    __slots__ = ()


class LocalWheel(Wheel):
    """A wheel in the lock's own folder, as a flat index on this machine lists it: its address is a file's."""

    __slots__ = ()


class Sdist(Wheel):
    """A source distribution that stands in for a wheel: what it is fit for is known once it is built."""

    __slots__ = ()

    @property
    def tail(self) -> str:
        """None: it has no tags."""
        return ""


class DirectSdist(Sdist):
    """A source distribution that a requirement names by its address."""

    __slots__ = ()


class Folder(DirectWheel):
    """A project in a folder of this machine; *filename* is its path from the lock's folder, *hash* its pyproject.toml's."""

    __slots__ = ()

    @property
    def tail(self) -> str:
        """Whatever its build will be, it is built where it is installed."""
        return "py3-none-any"

    @property
    def build(self) -> tuple[int, str]:
        """None."""
        return (-1, "")


# What no index lists.
DirectFile = DirectWheel | DirectSdist


class CoreMetadata(NamedTuple):
    """What a resolution asks of METADATA (PEP 566, 643)."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()


# PEP 643: from this version of the metadata on, what is not named as dynamic holds for every wheel that is built.
_STATIC_SINCE = (2, 2)
_ASKED = frozenset(("requires-dist", "requires-python", "provides-extra"))

_FIELDS = {"name": "name", "version": "version", "requires-python": "requires_python"}


def parse_metadata(text: str) -> CoreMetadata:
    """The fields of a METADATA file's head that a resolution needs; raises ValueError where it has no name or version."""
    found: dict[str, str] = {}
    lists: dict[str, list[str]] = {"requires-dist": [], "provides-extra": []}
    for field, value in _headers(text):
        if field in lists:
            lists[field].append(value)
        elif field in _FIELDS:
            found.setdefault(_FIELDS[field], value)
    if not found.get("name") or not found.get("version"):
        raise ValueError("its METADATA has no Name or no Version")
    return CoreMetadata(
        **found, requires_dist=tuple(lists["requires-dist"]), provides_extra=tuple(lists["provides-extra"])
    )


def parse_pkg_info(text: str) -> CoreMetadata | None:
    """What a PKG-INFO says of every wheel that is built of its source (PEP 643); None where only a build can tell."""
    version, dynamic = "", set()
    for field, value in _headers(text):
        if field == "metadata-version":
            version = value
        elif field == "dynamic":
            dynamic.add(value.lower())
    numbers = version.split(".")
    static = len(numbers) == 2 and all(number.isdecimal() and number.isascii() for number in numbers)
    if not static or (int(numbers[0]), int(numbers[1])) < _STATIC_SINCE or dynamic & _ASKED:
        return None
    return parse_metadata(text)


def _headers(text: str) -> Iterator[tuple[str, str]]:
    field, value = "", ""
    for line in text.splitlines():
        if line[:1] in {" ", "\t"} and field:
            value += " " + printable(line.strip())
            continue
        if field:
            yield field, value
        name, colon, rest = line.partition(":")
        if not colon:
            return  # the blank line before the description
        field, value = name.strip().lower(), printable(rest.strip())
    if field:
        yield field, value


class NamedFile(Protocol):
    """An entry of ``files`` in a project page, of which only the name is looked at."""

    filename: str


# [filename, url, hash, size, upload time, Requires-Python, yanked, metadata]
Row = list[Any]
AnyFile = TypeVar("AnyFile", bound=Wheel)


class ProjectPage:
    """A project's files by version, a line of JSON for each: of thousands, few are ever looked at and become objects."""

    __slots__ = (
        "_glanced_at",
        "_libcs",
        "_lines",
        "_looked_at",
        "base_url",
        "name",
        "skipped",
        "status",
        "status_reason",
        "versions",
    )
    # Whether its files are those that requirements name by their addresses.
    is_named = False

    def __init__(
        self,
        name: str,
        texts: Sequence[str],
        lines: Sequence[bytes],
        *,
        base_url: str,
        status: str = "active",
        status_reason: str = "",
        skipped: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.versions = versions.Versions(texts)
        self.base_url = base_url
        self.status = status
        self.status_reason = printable(status_reason)
        self.skipped = skipped
        self._lines = lines
        self._libcs: dict[int, frozenset[Cap]] = {}
        self._looked_at: dict[int, _Files] = {}
        self._glanced_at: dict[int, bytes] = {}

    @classmethod
    def empty(cls, name: str) -> "ProjectPage":
        """The page of a project that has no files."""
        return cls(name, (), (), base_url="")

    def wheels(self, index: int) -> tuple[Wheel, ...]:
        """The wheels of one version that some Linux may run."""
        return tuple(self.wheel(index, place) for place in range(len(self.tails(index))))

    def tails(self, index: int) -> tuple[str, ...]:
        """The tails of ``wheels``, which tell mostly all: few wheels are ever made."""
        return self._look(index).tails

    def wheel(self, index: int, place: int) -> Wheel:
        """The one of ``wheels`` at *place*."""
        made = self._look(index).made
        found = made.get(place)
        if found is None:
            found = made[place] = self._file(Wheel, self._look(index).entries[place], index)
        return found

    def is_only_for(self, index: int, others: Callable[[str], bool]) -> bool:
        """Whether all files of one version have one Requires-Python, of which *others* is true, as far as a glance tells: false says nothing."""
        if self.is_named or index in self._looked_at:
            return False
        line = self._line(index)
        start = line.find(_REQUIRES_PYTHON)
        told = line[start : line.find(b'"', start + len(_REQUIRES_PYTHON)) + 1]
        # A quote within a text is written with a backslash: what looks like a key is one, if only among a file's hashes, where an
        # index that puts it there hides nothing but its own files.
        if start < 0 or b"\\" in told or not others(told[len(_REQUIRES_PYTHON) : -1].decode()):
            return False
        return line.count(told) == line.count(_FILENAME)

    def foreign(self, index: int) -> tuple[str, ...]:
        """The tails of one version's wheels for other systems."""
        return self._look(index).foreign

    def sdists(self, index: int) -> tuple[Sdist, ...]:
        """The source distributions of one version, the one that would be built first."""
        return tuple(self._file(Sdist, entry, index) for entry in self._look(index).sources)

    def libcs(self, index: int) -> frozenset[Cap]:
        """The C libraries that the tags of one version's wheels name."""
        found = self._libcs.get(index)
        if found is None:
            found = self._libcs[index] = frozenset[Cap]().union(*map(_libcs, self.tails(index)))
        return found

    def _look(self, index: int) -> "_Files":
        found = self._looked_at.get(index)
        if found is None:
            found = self._looked_at[index] = _Files(self._line(index))
            self._glanced_at.pop(index, None)
        return found

    def _line(self, index: int) -> bytes:
        line = self._glanced_at.get(index)
        if line is None:
            line = self._glanced_at[index] = self._lines[index]
        return line

    def _file(self, kind: type[AnyFile], entry: Mapping[str, Any], index: int) -> AnyFile:
        filename, url, *rest = _row(entry)
        if not url.startswith(("https://", "http://")):
            with suppress(ValueError):  # what is no address stays as it is, and is refused where it is judged
                from urllib.parse import urljoin  # noqa: PLC0415  3 ms, where nearly every URL is absolute

                url = urljoin(self.base_url, url)
        return kind(self.name, self.versions.texts[index], filename, url, *rest)

    def at(self, url: str) -> int:  # noqa: ARG002  no page of an index is asked by addresses
        """The mask of the versions that a requirement on the address *url* may have: none of an index's."""
        return 0

    def dump(self) -> tuple[list[Any], Sequence[bytes]]:
        """The page as a head of JSON values, and a line of JSON for each version: its files."""
        head = [self.name, self.base_url, self.status, self.status_reason, list(self.skipped)]
        return [*head, list(self.versions.texts)], self._lines

    @classmethod
    def load(cls, head: list[Any], lines: Sequence[bytes]) -> "ProjectPage":
        """The page that ``dump`` gave; only the lines that are looked at are asked for and decoded."""
        name, base_url, status, status_reason, skipped, texts = head
        if len(texts) != len(lines):
            raise ValueError("not each version has its line")
        return cls(name, texts, lines, base_url=base_url, status=status, status_reason=status_reason, skipped=skipped)


class _Files:
    """One version's files as its line lists them; *made* has the wheels that were looked at, by their places."""

    __slots__ = ("entries", "foreign", "made", "sources", "tails")

    def __init__(self, line: bytes) -> None:
        listed: list[dict[str, Any] | str] = json.loads(line.decode())
        files = [file for file in listed if not isinstance(file, str)]
        self.entries = [file for file in files if file["filename"].endswith(".whl")]
        self.tails = tuple(_tail(entry["filename"]) for entry in self.entries)
        self.made: dict[int, Wheel] = {}
        self.foreign = tuple(file for file in listed if isinstance(file, str))
        # PEP 625 knows .tar.gz alone.
        self.sources = sorted(
            (file for file in files if not file["filename"].endswith(".whl")),
            key=lambda file: (not file["filename"].endswith(".tar.gz"), file["filename"]),
        )


def reduce_files(
    name: str,
    files: Iterable[NamedFile],
    *,
    base_url: str,
    status: str = "active",
    status_reason: str = "",
    make: Callable[..., ProjectPage] = ProjectPage,
) -> ProjectPage:
    """The page of *name* with each file under its version; a file of another project or of no version is skipped."""
    from msgspec.json import Encoder  # noqa: PLC0415  who has a page to reduce has decoded it by msgspec

    shelves = _Shelves(name)
    shelves.put(files)
    by_version = shelves.by_version
    spelled = _ordered({text: len(found) for text, found in by_version.items()})
    encode = Encoder().encode
    return make(
        name,
        [texts[0] for texts in spelled],
        # A version's files as PEP 691 has them; a mere string is the tail of a wheel for another system.
        [encode([file for text in texts for file in by_version[text]]) for texts in spelled],
        base_url=base_url,
        status=status,
        status_reason=status_reason,
        skipped=shelves.skipped,
    )


class Aside(Protocol):
    """Bytes that are put aside, and read in slices."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...

    def append(self, data: bytes) -> None:
        """Add *data* at the end."""
        ...


class Reduction:
    """``reduce_files`` for files that come in pieces: of a piece that was added only a few bytes stay in memory."""

    def __init__(self, name: str, aside: Aside) -> None:
        from array import array  # noqa: PLC0415  few pages are that large

        from msgspec.json import Encoder  # noqa: PLC0415  who has a page to reduce has decoded it by msgspec

        self._shelves = _Shelves(name)
        self._aside = aside
        self._encode = Encoder().encode
        self._no_runs = array("Q")
        # Where a version's files lie aside: a start and an end for each piece that had some.
        self._runs: dict[str, array[int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, files: Iterable[NamedFile]) -> None:
        """Put the files of a piece aside."""
        shelves = self._shelves
        shelves.put(files)
        for version, found in shelves.by_version.items():
            runs = self._runs.setdefault(version, self._no_runs[:])
            self._counts[version] = self._counts.get(version, 0) + len(found)
            if found:
                runs.append(len(self._aside))
                self._aside.append(self._encode(found)[1:-1])
                runs.append(len(self._aside))
        shelves.clear()

    def page(self, *, base_url: str, status: str = "active", status_reason: str = "") -> ProjectPage:
        """The page of all files, whose lines are put together where they are looked at; else as ``reduce_files`` makes it."""
        spelled = _ordered(self._counts)
        return ProjectPage(
            self._shelves.name,
            [texts[0] for texts in spelled],
            _LinesAside(self._aside, [[self._runs[text] for text in texts] for texts in spelled]),
            base_url=base_url,
            status=status,
            status_reason=status_reason,
            skipped=self._shelves.skipped,
        )


class _LinesAside(Sequence[bytes]):
    """A page's lines, each put together from the pieces that had a part of it."""

    __slots__ = ("_aside", "_runs")

    def __init__(self, aside: Aside, runs: Sequence[Sequence[Sequence[int]]]) -> None:
        self._aside = aside
        self._runs = runs

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        spans = (span for runs in self._runs[index] for span in zip(runs[::2], runs[1::2], strict=True))
        return b"[%b]" % b",".join(self._aside[start:end] for start, end in spans)


class _Shelves:
    """A page's files by version; a page has many files and few beginnings and endings, so each is understood once."""

    __slots__ = ("_foreign", "_stems", "by_version", "name", "skipped")

    def __init__(self, name: str) -> None:
        self.by_version: dict[str, list[Any]] = {}
        self.skipped: list[str] = []
        self.name = name
        self._stems: dict[str, list[Any] | None] = {}
        self._foreign: dict[str, bool | None] = {}

    def clear(self) -> None:
        """Forget all but what was skipped."""
        for memory in (self.by_version, self._stems, self._foreign):
            memory.clear()

    def put(self, files: Iterable[NamedFile]) -> None:
        """Place each file under its version, a wheel (PEP 427) for another system as its tail alone; or skip it."""
        known, stems = self._foreign, self._stems
        for file in files:
            filename = file.filename
            if filename.endswith(".whl"):
                stem, *tags = filename.rsplit("-", 3)
                platform = tags[-1] if tags else ""
                if platform not in known:
                    known[platform] = _is_foreign(platform[:-4])
                if stem not in stems:
                    stems[stem] = self._shelf(*_split_stem(stem))
                foreign, shelf = known[platform], stems[stem]
            else:
                foreign, shelf = False, self._shelf_of_sdist(filename)
            if shelf is None or foreign is None:
                self.skipped.append(printable(filename))
            elif foreign:
                shelf.append("-".join(tags)[:-4])
            else:
                shelf.append(file)

    def _shelf_of_sdist(self, filename: str) -> list[Any] | None:
        project, version = split_sdist(filename)
        stem = f"{project}-{version}"
        # Where there is one dash, a wheel's beginning is split there too.
        if "-" not in project and stem in self._stems:
            return self._stems[stem]
        return self._shelf(project, version)

    def _shelf(self, project: str, version: str) -> list[Any] | None:
        # packaging reads versions with blanks and line ends around them; no file of that name is anybody's.
        named = normalize_name(project) == self.name and version == version.strip()
        canonical = versions.normalize(version) if named else None
        return None if canonical is None else self.by_version.setdefault(canonical, [])


def project_of(filename: str) -> str:
    """The project that a distribution's file name begins with."""
    return normalize_name(filename.partition("-")[0] if filename.endswith(".whl") else filename.rpartition("-")[0])


def _split_stem(stem: str) -> tuple[str, str]:
    """The project and the version before a wheel's tags (PEP 427)."""
    project, _, rest = stem.partition("-")
    version, dash, build = rest.partition("-")
    is_build = build.isascii() and build[:1].isdigit() and "-" not in build and len(stem) <= _LONGEST
    return project, version if is_build or not dash else ""


def split_sdist(filename: str) -> tuple[str, str]:
    """The project and the version of a source distribution (PEP 625)."""
    ending = ".tar.gz" if filename.endswith(".tar.gz") else ".zip"
    project, _, version = (filename.removesuffix(ending) if filename.endswith(ending) else "").rpartition("-")
    return project, version


def _is_foreign(platform: str) -> bool | None:
    """Whether a compressed platform tag is only of other systems; None for what is no tag."""
    if not 0 < len(platform) <= _LONGEST or not _TAG_CHARACTERS.issuperset(platform):
        return None
    return all(each.startswith(_FOREIGN_PLATFORMS) for each in platform.split("."))


def _ordered(counts: Mapping[str, int]) -> list[list[str]]:
    """The versions in order; spellings of one version ("1.0", "1.0.0") come together behind the one with most files."""
    by_key: dict[versions.Key, list[str]] = {}
    for text in counts:
        by_key.setdefault(versions.key(text), []).append(text)
    return [sorted(by_key[found], key=lambda text: (-counts[text], text)) for found in sorted(by_key)]


def _row(entry: Mapping[str, Any]) -> Row:
    yanked = entry.get("yanked", False)
    # PEP 714: core-metadata wins; older servers only send dist-info-metadata.
    metadata = entry.get("core-metadata")
    metadata = entry.get("dist-info-metadata") if metadata is None else metadata
    size = entry.get("size")
    return [
        entry["filename"],
        printable(entry["url"]),
        _strongest(entry.get("hashes")),
        None if size is None or size < 0 else size,
        printable(entry.get("upload-time") or ""),
        printable(entry.get("requires-python") or ""),
        None if yanked is False else "" if yanked is True else printable(yanked),
        None if metadata is None or metadata is False else _strongest(metadata),
    ]


def printable(text: str) -> str:
    """*text* on one line that moves no cursor and turns no reading direction, as what strangers say is shown."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def _strongest(hashes: object) -> str:
    """``algorithm:hex``; empty where there is no hash that a lock may rely on, or no table of hashes at all."""
    if isinstance(hashes, dict):
        for name in HASH_ALGORITHMS:
            digest = hashes.get(name)
            if isinstance(digest, str) and _HEX.fullmatch(digest):
                return f"{name}:{digest}"
    return ""


class Cutoff(NamedTuple):
    """``exclude-newer``: RFC 3339 times in UTC; a project's own one wins."""

    everything: str = ""
    projects: Mapping[str, str] = {}

    def of(self, name: str) -> str:
        """The time after which a file of project *name* is too new; empty for none."""
        return self.projects.get(name, self.everything)


class Judge:
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
        # The judges of other targets by the same rules, this one among them.
        self._beside: dict[Target, Judge] = {target: self}
        self._tails: dict[str, int | Rejection] = {}
        self._fits: dict[str, int | None] = {}
        self._fitting: dict[tuple[str, ...], tuple[int, ...]] = {}

    def at_cap(self, cap: Cap) -> "Judge":
        """The judge of the same machine under another cap, by the same rules."""
        return self.at(self.target._replace(cap=cap))

    def at(self, target: Target) -> "Judge":
        """The judge of any *target* by the same rules, made once."""
        found = self._beside.get(target)
        if found is None:
            found = self._beside[target] = Judge(
                target, allow_linux_tag=self._linux_names, allow_sdist=self._sdist_names, exclude_newer=self._cutoff
            )
            found._beside = self._beside
        return found

    def allows_sdist(self, name: str) -> bool:
        """Whether project *name* may be built from source where it has no wheel."""
        return name in self._sdist_names

    def judge(self, wheel: Wheel) -> int | Rejection:
        """The rank of *wheel* for the target, 0 being the best; or why the target can't have it. Yanked files are judged as others."""
        if isinstance(wheel, Sdist):
            return 0 if isinstance(wheel, DirectSdist) else self._judge_rest(wheel) or 0
        if isinstance(wheel, Folder):
            return 0
        if wheel.name in self._linux_names:
            verdict = self._judge_tags(wheel.tail, self._linux_ranks)
        else:
            verdict = self.judge_tail(wheel.tail)
        if isinstance(verdict, Rejection) or isinstance(wheel, DirectWheel):
            return verdict
        return self._judge_rest(wheel) or verdict

    def rank(self, wheel: Wheel) -> int | None:
        """The rank of *wheel* as ``judge`` has it; None for every refusal, whose reason nobody asks for when choosing."""
        if type(wheel) is not Wheel or wheel.name in self._linux_names:
            verdict = self.judge(wheel)
            return None if isinstance(verdict, Rejection) else verdict
        rank = self._rank_of(wheel.tail)
        return None if rank is None or self._judge_rest(wheel) else rank

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

    def judge_tail(self, tail: str) -> int | Rejection:
        """The verdict on a compressed tag set, such as ``cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64``."""
        verdict = self._tails.get(tail)
        if verdict is None:
            verdict = self._tails[tail] = self._judge_tags(tail, self._ranks)
        return verdict

    def _judge_tags(self, tail: str, ranks: Mapping[str, int]) -> int | Rejection:
        best = _best_rank(tail, ranks)
        return self._explain(tail) if best is None else best

    def _judge_rest(self, wheel: Wheel) -> Rejection | None:
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
            if (sdist.yanked is None or yanked) and not isinstance(self.judge(sdist), Rejection):
                return sdist
        return None

    def _sources(self, page: ProjectPage, index: int) -> tuple[Sdist, ...]:
        return page.sdists(index)[:1] if page.is_named or self.allows_sdist(page.name) else ()

    def rejections(self, page: ProjectPage, index: int) -> list[Rejection]:
        """Why each file of a version is refused, the nearest to fitting first; empty where one fits."""
        refused = self._refusals(page, index)
        if refused is None:
            return []
        refused |= {verdict for tail in page.foreign(index) if isinstance(verdict := self.judge_tail(tail), Rejection)}
        return sorted(refused or {Rejection(Reason.SOURCE_ONLY)}, key=_nearness)

    def _refusals(self, page: ProjectPage, index: int) -> set[Rejection] | None:
        """Why the files that some Linux may have are refused; None where one fits."""
        fitting = self.fitting(page, index)
        unfit = [tail for place, tail in enumerate(page.tails(index)) if place not in fitting]
        refused = [self.judge_tail(tail) for tail in unfit]
        for file in (*(page.wheel(index, place) for place in fitting), *self._sources(page, index)):
            verdict = self.judge(file)
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
    if platform.startswith(_FOREIGN_PLATFORMS):
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


def needed_libc(platform: str) -> Cap | None:
    """The C library that a manylinux or musllinux platform tag promises to run on; None for any other tag."""
    if perennial := _PERENNIAL.match(platform):
        version = int(perennial[2]), int(perennial[3])
        return MuslVersion(*version) if perennial[1] == "musl" else GlibcVersion(*version)
    name = platform.partition("_")[0]
    return next((GlibcVersion(2, minor) for minor, legacy in LEGACY_NAMES.items() if legacy == name), None)


def lowest_libcs(tail: str) -> dict[str, Cap]:
    """The oldest of each C library, by its name, that a compressed tag set promises to run on."""
    found: dict[str, Cap] = {}
    for platform in tail.rsplit("-", 1)[-1].split("."):
        needs = needed_libc(platform)
        if needs is not None:
            found[needs.libc] = min(needs, found.get(needs.libc, needs))
    return found


@cache
def _libcs(tail: str) -> frozenset[Cap]:
    """Every C library that a compressed tag set names."""
    return frozenset(needs for platform in tail.rpartition("-")[2].split(".") if (needs := needed_libc(platform)))


def check_metadata(metadata: CoreMetadata, wheel: Wheel) -> str:
    """What is wrong with *metadata* as that of *wheel*; empty where nothing is."""
    if normalize_name(metadata.name) != wheel.name:
        return f"its METADATA is of {metadata.name}"
    if versions.normalize(metadata.version) is None or versions.key(metadata.version) != versions.key(wheel.version):
        return f"its METADATA says version {metadata.version}"
    return ""
