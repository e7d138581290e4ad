"""Files of a release: wheels, source distributions and projects in folders."""

from functools import cache
from typing import NamedTuple

# Strongest first; md5 and sha1 are no hashes to a lock.
HASH_ALGORITHMS = ("sha256", "sha512", "sha384")


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
        return tag_set(self.filename)

    @property
    def build(self) -> tuple[int, str]:
        """The build tag, which decides between wheels of equal tags; () sorts first."""
        parts = self.filename.split("-")
        if len(parts) < 6:
            return (-1, "")
        digits = len(parts[2]) - len(parts[2].lstrip("0123456789"))
        return (int(parts[2][:digits]), parts[2][digits:])


@cache
def tag_set(filename: str) -> str:
    """The compressed tag set at the end of a wheel's file name (PEP 425)."""
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


def printable(text: str) -> str:
    """*text* on one line that moves no cursor and turns no reading direction, as what strangers say is shown."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)
