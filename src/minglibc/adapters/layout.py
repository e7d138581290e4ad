"""Where an environment keeps what wheels bring."""

import posixpath
from typing import NamedTuple

# Where minglibc writes down, inside .dist-info, which file of the lock a distribution came from.
ORIGIN = "minglibc.json"


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
