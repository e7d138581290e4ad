"""Requirements that name a wheel by its address (PEP 508's ``name @ URL``): the wheel, and a page that holds nothing else."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from minglibc import versions
from minglibc.errors import SettingsError
from minglibc.requirements import Requirement
from minglibc.wheels import HASH_ALGORITHMS, DirectWheel, ProjectPage, Row

_HASH = re.compile(rf"({'|'.join(HASH_ALGORITHMS)})=([0-9a-fA-F]{{64,128}})")


class Direct(NamedTuple):
    """A wheel with the address that was *written* for it; *path* is that of a local one in the lock's folder, else empty."""

    written: str
    wheel: DirectWheel
    path: str = ""


class DirectPage(ProjectPage):
    """A project of which there are only the wheels that requirements name."""

    __slots__ = ("_found",)

    def __init__(self, name: str, found: Sequence[Direct]) -> None:
        texts = sorted({each.wheel.version for each in found}, key=versions.key)
        super().__init__(name, texts, (), base_url="")
        self._found = found

    def wheels(self, index: int) -> tuple[DirectWheel, ...]:
        """The wheels of one version that requirements name."""
        version = self.versions.texts[index]
        return tuple(dict.fromkeys(each.wheel for each in self._found if each.wheel.version == version))

    def foreign(self, index: int) -> tuple[str, ...]:  # noqa: ARG002  there are none
        """None: what a requirement names is judged as it is."""
        return ()

    def sdists(self, index: int) -> tuple[Row, ...]:  # noqa: ARG002  there are none
        """None."""
        return ()

    def at(self, url: str) -> int:
        """The mask of the versions that are at the address *url*."""
        found = [self.versions.texts.index(each.wheel.version) for each in self._found if each.written == url]
        return sum(1 << index for index in set(found))


def directs(requirements: Iterable[Requirement], folder: str) -> dict[str, list[Direct]]:
    """The wheels that *requirements* name by address, by project; raises SettingsError with every mistake."""
    found: dict[str, list[Direct]] = {}
    problems: list[str] = []
    for requirement in dict.fromkeys(each for each in requirements if each.url):
        try:
            direct = _direct(requirement, folder)
        except ValueError as error:
            problems.append(f"{requirement.without_marker} {error}")
            continue
        others = found.setdefault(requirement.name, [])
        if any(o.wheel.filename == direct.wheel.filename and o.wheel.url != direct.wheel.url for o in others):
            problems.append(f"{requirement.without_marker} is named at another address too")
        others.append(direct)
    if problems:
        raise SettingsError("these addresses can't be locked:\n" + "\n".join(f"  {each}" for each in problems))
    return found


def _direct(requirement: Requirement, folder: str) -> Direct:
    address, _, fragment = requirement.url.partition("#")
    scheme = urlsplit(address).scheme.lower()
    if scheme in {"http", "https"}:
        if "@" in urlsplit(address).netloc:
            raise ValueError("holds credentials, which no lock may; keep them in netrc")
        url, path = address, ""
    elif scheme in {"", "file"}:
        url, path = place(address, folder)
    else:
        raise ValueError("is not the address of a wheel (https, http, file, or a path)")
    name, version = _named(requirement, unquote(posixpath.basename(urlsplit(url).path)))
    digest = next((f"{m[1]}:{m[2].lower()}" for part in fragment.split("&") if (m := _HASH.fullmatch(part))), "")
    return Direct(requirement.url, DirectWheel(requirement.name, version, name, url, digest), path)


def place(address: str, folder: str) -> tuple[str, str]:
    """The file: URL of what *address* names on this machine, and its path from the lock's *folder*; raises ValueError."""
    path = address
    if address.lower().startswith("file:"):
        parts = urlsplit(address)
        if parts.netloc not in {"", "localhost"}:
            raise ValueError("lies on another machine")
        path = unquote(parts.path)
    whole = posixpath.normpath(posixpath.join(folder, path))
    # A lock travels with its folder, and nobody's lock may name any other file of the machine that it comes to.
    if not (whole + "/").startswith(folder.rstrip("/") + "/"):
        raise ValueError("lies outside the project's folder; copy it there, or name it by an https address")
    return f"file://{quote(whole)}", posixpath.relpath(whole, folder)


def _named(requirement: Requirement, filename: str) -> tuple[str, str]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415  few projects name addresses

    if not filename.endswith(".whl"):
        raise ValueError("is no wheel, and minglibc locks nothing else")
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise ValueError(f"has a name that no wheel can have: {error}") from error
    if name != requirement.name:
        raise ValueError(f"is a wheel of {name}")
    return filename, str(version)
