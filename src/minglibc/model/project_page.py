"""A project page: the files of every release (PEP 503, 691, 700)."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from minglibc.model import versions
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact, Sdist, SourceTree, Wheel, is_digest, printable, tag_set
from minglibc.model.lenient import lenient_specifier
from minglibc.model.limits import MAX_FILENAME, are_filenames, is_filename
from minglibc.model.platform_tags import FOREIGN_PLATFORMS, libcs_of
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Cap

# Other formats, such as eggs and Windows installers, are ignored.
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")
# The maximum length of a file name on Linux.
_LONGEST = 255
# These keys as they are encoded in a line of a page.
_REQUIRES_PYTHON, _FILENAME = b'"requires-python":"', b'"filename":"'
# For JSON without whitespace around it; json.loads takes twice as long for a small value.
_decode = json.JSONDecoder().raw_decode
_TAG_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")


class NamedFile(Protocol):
    """An entry of ``files`` in a project page; only its name is used here."""

    filename: str


# [filename, url, hash, size, upload time, Requires-Python, yanked, metadata]
Row = list[Any]
AnyFile = TypeVar("AnyFile", bound=Artifact)


class ProjectPage:
    """A project's files by version, one line of JSON per version; only the lines that are needed are decoded."""

    __slots__ = (
        "_files",
        "_libcs",
        "_line_cache",
        "_lines",
        "base_url",
        "name",
        "skipped",
        "status",
        "status_reason",
        "versions",
    )
    # Whether its files are those of direct references.
    is_direct = False

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
        self._files: dict[int, _Files] = {}
        self._line_cache: dict[int, bytes] = {}

    @classmethod
    def empty(cls, name: str) -> "ProjectPage":
        """The page of a project that has no files."""
        return cls(name, (), (), base_url="")

    def wheels(self, index: int) -> tuple[Wheel, ...]:
        """The wheels of one version that are for Linux or for any platform."""
        return tuple(self.wheel(index, position) for position in range(len(self.tag_sets(index))))

    def tag_sets(self, index: int) -> tuple[str, ...]:
        """The compressed tag sets of ``wheels``, which decide most cases without creating Wheel objects."""
        return self._files_of(index).tag_sets

    def wheel(self, index: int, position: int) -> Wheel:
        """The wheel at *position* in ``wheels``."""
        files = self._files_of(index)
        wheel = files.wheels.get(position)
        if wheel is None:
            wheel = files.wheels[position] = self._file(Wheel, files.entries[position], index)
        return wheel

    def is_excluded(self, index: int, excludes: Callable[[str], bool]) -> bool:
        """True if all files of one version have the same Requires-Python and *excludes* is true for it; false if unknown.

        It only searches the encoded line, which is faster than decoding it.
        """
        if self.is_direct or index in self._files:
            return False
        line = self._line(index)
        start = line.find(_REQUIRES_PYTHON)
        field = line[start : line.find(b'"', start + len(_REQUIRES_PYTHON)) + 1]
        # Quotes in values are escaped, so this is a key. If it is a key of a nested table, the index only hides its own files.
        if start < 0 or b"\\" in field or not excludes(field[len(_REQUIRES_PYTHON) : -1].decode()):
            return False
        return line.count(field) == line.count(_FILENAME)

    def foreign(self, index: int) -> tuple[str, ...]:
        """The tag sets of one version's wheels for other systems."""
        return self._files_of(index).foreign

    def source_trees(self, index: int) -> tuple[SourceTree, ...]:  # noqa: ARG002  an index only has files
        """The source trees of one version; only direct references have any."""
        return ()

    def sdists(self, index: int) -> tuple[Sdist, ...]:
        """The source distributions of one version, the preferred one first."""
        return tuple(self._file(Sdist, entry, index) for entry in self._files_of(index).sources)

    def libcs(self, index: int) -> frozenset[Cap]:
        """The C libraries that the tags of one version's wheels name."""
        libcs = self._libcs.get(index)
        if libcs is None:
            libcs = self._libcs[index] = frozenset[Cap]().union(*map(libcs_of, self.tag_sets(index)))
        return libcs

    def _files_of(self, index: int) -> "_Files":
        files = self._files.get(index)
        if files is None:
            files = self._files[index] = _Files(self._line(index))
            self._line_cache.pop(index, None)
        return files

    def _line(self, index: int) -> bytes:
        line = self._line_cache.get(index)
        if line is None:
            line = self._line_cache[index] = self._lines[index]
        return line

    def _file(self, kind: type[AnyFile], entry: Mapping[str, Any], index: int) -> AnyFile:
        filename, url, *rest = _row(entry)
        if not url.startswith(("https://", "http://")):
            with suppress(ValueError):  # an invalid URL is rejected by the compatibility check
                from urllib.parse import urljoin  # noqa: PLC0415  3 ms, and nearly every URL is absolute

                url = urljoin(self.base_url, url)
        if "+" in url:
            # As pip does: some servers read a literal "+" as a blank.
            path, mark, query = url.partition("?")
            url = f"{path.replace('+', '%2B')}{mark}{query}"
        return kind(self.name, self.versions.texts[index], filename, url, *rest)

    def at(self, url: str) -> int:  # noqa: ARG002  the files of an index are not direct references
        """The mask of the versions that a direct reference to *url* allows; empty for the pages of an index."""
        return 0

    def dump(self) -> tuple[list[Any], Sequence[bytes]]:
        """The page as a list of JSON values, and one line of JSON with the files of each version."""
        head = [self.name, self.base_url, self.status, self.status_reason, list(self.skipped)]
        return [*head, list(self.versions.texts)], self._lines

    def __reduce__(self) -> tuple[Any, ...]:
        return ProjectPage.load, self.dump()

    @classmethod
    def load(cls, head: list[Any], lines: Sequence[bytes]) -> "ProjectPage":
        """The page from the result of ``dump``; only the lines that are needed are read and decoded."""
        name, base_url, status, status_reason, skipped, texts = head
        if len(texts) != len(lines):
            raise ValueError("the numbers of versions and lines differ")
        if {str} != {*map(type, (name, base_url, status, status_reason, *skipped, *texts))}:
            raise TypeError("the head is not that of a page")
        return cls(name, texts, lines, base_url=base_url, status=status, status_reason=status_reason, skipped=skipped)


class _Files:
    """The files of one version; *wheels* caches Wheel objects by position."""

    __slots__ = ("entries", "foreign", "sources", "tag_sets", "wheels")

    def __init__(self, line: bytes) -> None:
        listed: list[dict[str, Any] | str] = _decode(line.decode())[0]
        files = [file for file in listed if not isinstance(file, str)]
        self.entries = [file for file in files if file["filename"].endswith(".whl")]
        self.tag_sets = tuple(tag_set(entry["filename"]) for entry in self.entries)
        self.wheels: dict[int, Wheel] = {}
        self.foreign = tuple(file for file in listed if isinstance(file, str))
        # PEP 625 only allows .tar.gz.
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
    from msgspec.json import Encoder  # noqa: PLC0415  already imported to decode the page

    releases = _Releases(name)
    releases.add(files)
    by_version = releases.by_version
    spellings = _ordered(by_version)
    encode = Encoder().encode
    return make(
        name,
        [texts[0] for texts in spellings],
        # A release's files in the form of PEP 691; a wheel for another system is reduced to its tags, a string.
        [encode([file for text in texts for file in by_version[text]]) for texts in spellings],
        base_url=base_url,
        status=status,
        status_reason=status_reason,
        skipped=releases.skipped,
    )


class _Releases:
    """A page's files by version. Pages have many files with few distinct beginnings and endings: each is parsed once."""

    __slots__ = ("_foreign", "_stems", "by_version", "name", "skipped")

    def __init__(self, name: str) -> None:
        self.by_version: dict[str, list[Any]] = {}
        self.skipped: list[str] = []
        self.name = name
        # The release of what is before the tags of a wheel, and whether tags with the ending are those of another system;
        # None is invalid.
        self._stems: dict[str, list[Any] | None] = {"": None}
        self._foreign: dict[str, bool | None] = {"": None}

    def add(self, files: Iterable[NamedFile]) -> None:
        """Add each file to its release, a wheel for another system by its tags alone; skip files with invalid names."""
        known, stems = self._foreign, self._stems
        files = list(files)
        all_valid = are_filenames([file.filename for file in files])
        stem = prefix = ""
        for file in files:
            filename = file.filename
            if not all_valid and not is_filename(filename):
                self.skipped.append(printable(filename[:MAX_FILENAME]))
                continue
            if filename.endswith(".whl"):
                # The files of a release mostly follow each other.
                tags = filename[len(prefix) :] if filename.startswith(prefix) else ""
                if not tags or tags not in known:
                    stem, tags = self._split(filename)
                    prefix = f"{stem}-"
                foreign, release = known[tags], stems[stem]
            else:
                foreign, release = False, self._release_of_sdist(filename)
            if release is None or foreign is None:
                self.skipped.append(printable(filename))
            elif foreign:
                release.append(tags[:-4])
            else:
                release.append(file)

    def _split(self, filename: str) -> tuple[str, str]:
        """What is before the tags of a wheel, and the tags with the ending, which are known from then on."""
        stem, *parts = filename.rsplit("-", 3)
        if len(parts) < 3:
            return "", ""
        tags = filename[len(stem) + 1 :]
        if tags not in self._foreign:
            # A version may contain "!", a tag may not.
            self._foreign[tags] = None if "!" in tags else _is_foreign(parts[-1][:-4])
        if stem not in self._stems:
            self._stems[stem] = self._release(*_split_stem(stem))
        return stem, tags

    def _release_of_sdist(self, filename: str) -> list[Any] | None:
        project, version = split_sdist(filename)
        stem = f"{project}-{version}"
        # With a single dash, the name and version of a wheel are split at the same place.
        if "-" not in project and (release := self._stems.get(stem)) is not None:
            return release
        return self._release(project, version)

    def _release(self, project: str, version: str) -> list[Any] | None:
        canonical = _version(project, version, self.name)
        return None if canonical is None else self.by_version.setdefault(canonical, [])


def version_in(filename: str, name: str) -> str | None:
    """The version in the file name of a wheel or source distribution of *name*; None if it is invalid or another project's."""
    if not is_filename(filename):
        return None
    if not filename.endswith(".whl"):
        return _version(*split_sdist(filename), name)
    stem, *tags = filename[:-4].rsplit("-", 3)
    if len(tags) < 3 or any("!" in tag for tag in tags) or _is_foreign(tags[-1]) is None:
        return None
    return _version(*_split_stem(stem), name)


def _version(project: str, version: str, name: str) -> str | None:
    """The canonical form of *version*; None if it is invalid or *project* is not *name*."""
    # packaging accepts versions surrounded by whitespace; no valid file name has any.
    is_valid = normalize_name(project) == name and version == version.strip()
    return versions.normalize(version) if is_valid else None


def project_of(filename: str) -> str:
    """The project that a distribution's file name begins with."""
    return normalize_name(filename.partition("-")[0] if filename.endswith(".whl") else filename.rpartition("-")[0])


def _split_stem(stem: str) -> tuple[str, str]:
    """The project and the version before a wheel's tags (PEP 427)."""
    project, _, rest = stem.partition("-")
    version, dash, build = rest.partition("-")
    is_build = build.isascii() and build[:1].isdigit() and "-" not in build and len(stem) <= _LONGEST
    # packaging rejects "__" in the name.
    return project, version if (is_build or not dash) and "__" not in project else ""


def split_sdist(filename: str) -> tuple[str, str]:
    """The project and the version of a source distribution (PEP 625)."""
    ending = ".tar.gz" if filename.endswith(".tar.gz") else ".zip"
    project, _, version = (filename.removesuffix(ending) if filename.endswith(ending) else "").rpartition("-")
    return project, version


def _is_foreign(platform: str) -> bool | None:
    """Whether a compressed platform tag is only of other systems; None if it is invalid."""
    if not 0 < len(platform) <= _LONGEST or not _TAG_CHARACTERS.issuperset(platform):
        return None
    return all(tag.startswith(FOREIGN_PLATFORMS) for tag in platform.split("."))


def _ordered(by_version: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """The versions in order; spellings of one version ("1.0", "1.0.0") are grouped, the one with most files first."""
    by_key: dict[versions.Key, list[str]] = {}
    for text in by_version:
        by_key.setdefault(versions.key(text), []).append(text)
    return [sorted(by_key[key], key=lambda text: (-len(by_version[text]), text)) for key in sorted(by_key)]


def _row(entry: Mapping[str, Any]) -> Row:
    yanked = entry.get("yanked", False)
    # PEP 714: core-metadata wins; older servers only send dist-info-metadata.
    metadata = entry.get("core-metadata")
    metadata = entry.get("dist-info-metadata") if metadata is None else metadata
    size = entry.get("size")
    return [
        entry["filename"],
        # A space would end the URL in requirements.txt.
        printable(entry["url"]).replace(" ", "%20"),
        _strongest(entry.get("hashes")),
        None if size is None or size < 0 else size,
        printable(entry.get("upload-time") or ""),
        lenient_specifier(printable(entry.get("requires-python") or "")),
        None if yanked is False else "" if yanked is True else printable(yanked),
        None if metadata is None or metadata is False else _strongest(metadata),
    ]


def _strongest(hashes: object) -> str:
    """``algorithm:hex``; empty if there is no valid hash of a strong algorithm."""
    if isinstance(hashes, dict):
        for name in HASH_ALGORITHMS:
            digest = hashes.get(name)
            if isinstance(digest, str) and is_digest(name, digest):
                return f"{name}:{digest}"
    return ""
