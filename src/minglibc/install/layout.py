"""Where an environment keeps what wheels bring."""

import posixpath
import re
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
