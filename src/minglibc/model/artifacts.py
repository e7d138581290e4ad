"""What a lock can install: wheels, source distributions and source trees."""

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

# Strongest first; PEP 751 locks must not rely on md5 or sha1.
HASH_ALGORITHMS = ("sha256", "sha512", "sha384")
_HEX = frozenset("0123456789abcdefABCDEF")


class FileSource(Enum):
    """Where an artifact was found."""

    INDEX = "index"
    # PEP 508's ``name @ URL``, or a path in [tool.minglibc.sources].
    DIRECT_REFERENCE = "direct reference"
    # A flat index on this machine, for files that the lock names by their path.
    LOCAL_INDEX = "local index"


class Artifact(NamedTuple):
    """The fields that all kinds have; *url* is absolute, *hash* is ``algorithm:hex`` or empty, *yanked* is the reason."""

    name: str
    version: str
    filename: str
    url: str
    hash: str = ""
    size: int | None = None
    upload_time: str = ""
    requires_python: str = ""
    yanked: str | None = None
    # PEP 658: None if the index does not serve the metadata, else the hash of the metadata file or an empty string.
    metadata: str | None = None
    source: FileSource = FileSource.INDEX

    @property
    def is_direct(self) -> bool:
        """Whether a direct reference names it: it is on no index, so the rules for indexes do not apply."""
        return self.source is FileSource.DIRECT_REFERENCE

    @property
    def is_local(self) -> bool:
        """Whether a flat index on this machine lists it."""
        return self.source is FileSource.LOCAL_INDEX


class Wheel(Artifact):
    """A wheel (PEP 427)."""

    __slots__ = ()

    @property
    def tag_set(self) -> str:
        """The compressed tag set of the file name (PEP 425)."""
        return tag_set(self.filename)

    @property
    def build(self) -> tuple[int, str]:
        """The build tag, which orders wheels of equal tags; a wheel without one comes first."""
        parts = self.filename.split("-")
        if len(parts) < 6:
            return (-1, "")
        digits = len(parts[2]) - len(parts[2].lstrip("0123456789"))
        return (int(parts[2][:digits]), parts[2][digits:])


class Sdist(Artifact):
    """A source distribution (PEP 625), selected when there is no compatible wheel and building is allowed."""

    __slots__ = ()


class SourceTree(Artifact):
    """A project in a local folder (PEP 517); *filename* is its path from the lock's folder, *hash* its pyproject.toml's."""

    __slots__ = ()

    @property
    def is_direct(self) -> bool:
        """Always true: no index lists folders."""
        return True


@lru_cache(maxsize=1 << 14)
def tag_set(filename: str) -> str:
    """The compressed tag set at the end of a wheel's file name (PEP 425)."""
    return "-".join(filename[:-4].rsplit("-", 3)[1:])


def leaves_folder(path: str) -> bool:
    """Whether the relative *path* may lead out of its folder."""
    return path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/") or "\0" in path


def is_digest(algorithm: str, text: str) -> bool:
    """Whether *text* is a hexadecimal digest of *algorithm*, one of HASH_ALGORITHMS."""
    return len(text) == int(algorithm[3:]) // 4 and _HEX.issuperset(text)


def printable(text: str) -> str:
    """*text* with a replacement for each character that a terminal could interpret, such as control characters."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)
