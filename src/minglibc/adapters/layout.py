"""Where an environment keeps what wheels bring, and what a wheel will bring."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# Below the prefix: what minglibc keeps for itself.
HOME = ".minglibc"
# Where minglibc writes down, inside .dist-info, which file of the lock a distribution came from.
ORIGIN = "minglibc.json"

# What makes an environment one, and is no wheel's to replace (PEP 405, and the files of the venv module).
_INTERPRETER = re.compile(r"(?:python|pypy|pyston|graalpy)[0-9.]*t?d?w?(?:-config|-build-details)?(?:\.exe)?")
_ACTIVATION = re.compile(r"activate(?:_this)?(?:\.[a-z0-9]+)?|deactivate(?:\.[a-z0-9]+)?|pydoc\.bat", re.IGNORECASE)


class Layout(NamedTuple):
    """Where an environment keeps what wheels bring: folders below *prefix*, relative to it, with no link on the way."""

    prefix: str
    purelib: str
    platlib: str
    scripts: str
    data: str
    include: str
    interpreter: str  # as scripts name it: never resolved, for an environment is known by its path

    def folder(self, scheme: str, project: str) -> str:
        """The folder of a wheel's installation scheme, relative to the prefix."""
        if scheme == "headers":
            return posixpath.join(self.include, project)
        return str(getattr(self, scheme))

    def protector(self, place: str) -> str:
        """Whom *place*, relative to the prefix, belongs to when no distribution may write or remove it; else empty."""
        folder, _, name = place.rpartition("/")
        if folder == self.scripts and (_INTERPRETER.fullmatch(name) or _ACTIVATION.fullmatch(name)):
            return "the interpreter"
        return "the environment" if place == "pyvenv.cfg" or place.partition("/")[0] == HOME else ""


@dataclass(frozen=True, slots=True)
class CheckedWheel:
    """A wheel that may be installed: what it is, and every path that it will own, relative to the prefix."""

    path: str
    filename: str
    name: str
    version: str
    stem: str
    root: str  # "purelib" or "platlib"
    record: dict[str, tuple[str, int]]
    """Each member that is installed, with its hash in RECORD's spelling and its size."""
    owned: dict[str, str]
    """Each path below the prefix with its hash; empty where the content is made at installation."""
    requires: tuple[str, ...]
    requires_python: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Each path below the prefix with the size of what was written there; known once it is unpacked."""

    @property
    def dist_info(self) -> str:
        """The name of its .dist-info folder."""
        return f"{self.stem}.dist-info"
