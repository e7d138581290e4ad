"""Direct references (PEP 508's ``name @ URL``) and path sources: wheels, source distributions and source trees."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from minglibc.errors import SettingsError
from minglibc.model import versions
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact, FileSource, Sdist, SourceTree, Wheel, leaves_folder
from minglibc.model.file_urls import file_url, path_of
from minglibc.model.project_page import ProjectPage, split_sdist
from minglibc.model.requirements import Requirement, normalize_name

NO_PATHS: Mapping[str, str] = {}
Kind = TypeVar("Kind", bound=Artifact)
_HASH = re.compile(rf"({'|'.join(HASH_ALGORITHMS)})=([0-9a-fA-F]{{64,128}})")
# pip's schemes for repositories, such as git+https.
_VERSION_CONTROL = frozenset(("git", "hg", "svn", "bzr"))
_REPOSITORY = "is in a version control repository, which minglibc does not read"
_CHECKOUTS = (
    "build a wheel of it, and require NAME @ URL with the URL or path of that wheel; or require NAME, and write "
    'NAME = { path = "…" } under [tool.minglibc.sources] with the path of a checkout'
)


class Direct(NamedTuple):
    """An artifact with the *written* reference to it; *path* is relative to the lock's folder, empty for a remote file."""

    written: str
    artifact: Artifact
    path: str = ""


class DirectPage(ProjectPage):
    """A project whose only files are those that direct references name."""

    __slots__ = ("_references",)
    is_direct = True

    def __init__(self, name: str, references: Sequence[Direct]) -> None:
        texts = sorted({reference.artifact.version for reference in references}, key=versions.key)
        super().__init__(name, texts, (), base_url="")
        self._references = references

    def tag_sets(self, index: int) -> tuple[str, ...]:
        """The compressed tag sets of the wheels of one version."""
        return tuple(wheel.tag_set for wheel in self._of_kind(Wheel, index))

    def wheel(self, index: int, position: int) -> Wheel:
        """The wheel of one version at *position*."""
        return self._of_kind(Wheel, index)[position]

    def source_trees(self, index: int) -> tuple[SourceTree, ...]:
        """The source trees of one version."""
        return self._of_kind(SourceTree, index)

    def sdists(self, index: int) -> tuple[Sdist, ...]:
        """The source distributions of one version."""
        return self._of_kind(Sdist, index)

    def _of_kind(self, kind: type[Kind], index: int) -> tuple[Kind, ...]:
        version = self.versions.texts[index]
        artifacts = dict.fromkeys(reference.artifact for reference in self._references)
        return tuple(file for file in artifacts if isinstance(file, kind) and file.version == version)

    def foreign(self, index: int) -> tuple[str, ...]:  # noqa: ARG002  wheels for other systems stay in tag_sets
        """Always empty, so that a wheel that a reference names is rejected for its own reason."""
        return ()

    def at(self, url: str) -> int:
        """The mask of the versions at the address *url*."""
        texts = [reference.artifact.version for reference in self._references if reference.written == url]
        return sum(1 << self.versions.texts.index(text) for text in set(texts))


def directs(
    requirements: Iterable[Requirement], folder: str, paths: Mapping[str, str] = NO_PATHS
) -> dict[str, list[Direct]]:
    """The direct references of *requirements* and of *paths* (by name), by project; raises SettingsError with every mistake."""
    references: dict[str, list[Direct]] = {}
    problems: list[str] = []
    for name, path in paths.items():
        try:
            references[name] = [_direct(Requirement(name, url=path), folder, local=True)]
        except ValueError as error:
            problems.append(f"tool.minglibc.sources.{name}: {path} {error}")
    for requirement in dict.fromkeys(requirement for requirement in requirements if requirement.url):
        try:
            direct = _direct(requirement, folder)
        except ValueError as error:
            problems.append(f"{requirement.without_marker} {error}")
            continue
        others = references.setdefault(requirement.name, [])
        if requirement.name in paths and direct.artifact.url != others[0].artifact.url:
            problems.append(f"{requirement.without_marker} has another path in tool.minglibc.sources")
        elif any(
            other.artifact.filename == direct.artifact.filename and other.artifact.url != direct.artifact.url
            for other in others
        ):
            problems.append(f"{requirement.without_marker} has another URL elsewhere")
        others.append(direct)
    if problems:
        raise SettingsError(
            "these direct references can't be locked:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint=_CHECKOUTS if any(_REPOSITORY in problem for problem in problems) else "",
        )
    return references


def _direct(requirement: Requirement, folder: str, *, local: bool = False) -> Direct:
    address, _, fragment = (requirement.url, "", "") if local else requirement.url.partition("#")
    scheme = "" if local else urlsplit(address).scheme.lower()
    if scheme in {"http", "https"}:
        if "@" in urlsplit(address).netloc:
            raise ValueError("contains credentials, which a lock must not have; store them in netrc")
        url, path = address, ""
    elif scheme in {"", "file"}:
        url, path = local_url(address, folder)
    elif scheme.partition("+")[0] in _VERSION_CONTROL:
        raise ValueError(_REPOSITORY)
    else:
        raise ValueError("is not the URL of a wheel (https, http, file, or a path)")
    digest = next((f"{m[1]}:{m[2].lower()}" for part in fragment.split("&") if (m := _HASH.fullmatch(part))), "")
    filename = unquote(posixpath.basename(urlsplit(url).path))
    if filename.endswith(".whl"):
        version = _wheel_version(requirement, filename)
        return Direct(
            requirement.url,
            Wheel(requirement.name, version, filename, url, digest, source=FileSource.DIRECT_REFERENCE),
            path,
        )
    if not path:
        raise ValueError("is not a wheel; minglibc locks only wheels from URLs")
    if filename.endswith((".tar.gz", ".zip")):
        version = _sdist_version(requirement, filename)
        return Direct(
            requirement.url,
            Sdist(requirement.name, version, filename, url, digest, source=FileSource.DIRECT_REFERENCE),
            path,
        )
    # Its version is read from its pyproject.toml later.
    return Direct(requirement.url, SourceTree(requirement.name, "0", path, url), path)


def local_url(address: str, folder: str) -> tuple[str, str]:
    """The file: URL of the local *address*, and its path from the lock's *folder*; raises ValueError."""
    path = address
    if address.lower().startswith("file:"):
        parts = urlsplit(address)
        if parts.netloc not in {"", "localhost"}:
            raise ValueError("is on another machine")
        path = path_of(address)
    if not path.isprintable():
        raise ValueError("contains characters that a lock can't record")
    whole = posixpath.normpath(posixpath.join(folder, path))
    # A lock is copied with its folder, and must not refer to other files of the machine that it is installed on.
    if not (whole + "/").startswith(folder.rstrip("/") + "/"):
        raise ValueError("is outside the project's folder; copy it there, or use an https URL")
    relative = posixpath.relpath(whole, folder)
    if leaves_folder(relative):
        raise ValueError("contains backslashes that a lock can't record")
    return file_url(whole), relative


def _wheel_version(requirement: Requirement, filename: str) -> str:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415  few projects have direct references

    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise ValueError(f"has an invalid wheel file name: {error}") from error
    if name != requirement.name:
        raise ValueError(f"is a wheel of {name}")
    return str(version)


def _sdist_version(requirement: Requirement, filename: str) -> str:
    name, text = split_sdist(filename)
    version = versions.normalize(text)
    if normalize_name(name) != requirement.name or version is None:
        raise ValueError(f"is not a valid file name for a source distribution of {requirement.name}")
    return version
