"""The folders of an environment."""

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

# minglibc's own files, below the prefix.
HOME = ".minglibc"
# In .dist-info: the locked file that the distribution was installed from.
ORIGIN = "minglibc.json"
# PEP 610.
DIRECT_URL = "direct_url.json"

# Files of the environment itself, which wheels must not replace (PEP 405 and the venv module).
_INTERPRETER = re.compile(
    r"(?:python|\U0001d70bthon|pypy|pyston|graalpy)[0-9.]*t?d?w?(?:-config|-build-details)?(?:\.exe)?", re.IGNORECASE
)
_ACTIVATION = re.compile(r"activate(?:_this)?(?:\.[a-z0-9]+)?|deactivate(?:\.[a-z0-9]+)?|pydoc\.bat", re.IGNORECASE)
# Beside the interpreter: Python reads them before it finds its library.
_CONFIGURATION = re.compile(r"pyvenv\.cfg|.*\._pth|pybuilddir\.txt", re.IGNORECASE)


class Layout(NamedTuple):
    """The folders that wheels are installed to, relative to *prefix*, with links resolved."""

    prefix: str
    purelib: str
    platlib: str
    scripts: str
    data: str
    include: str
    interpreter: str  # as scripts name it; not resolved, because the path identifies the environment

    def folder(self, scheme: str, project: str) -> str:
        """The folder of a wheel's installation scheme, relative to the prefix."""
        if scheme == "headers":
            return posixpath.join(self.include, project)
        return str(getattr(self, scheme))

    def protector(self, path: str) -> str:
        """The owner of *path*, relative to the prefix, if no distribution may write or remove it; else empty.

        Everything that a file, folder or link at *path* would replace or hide is protected too.
        """
        if not path or path == "lib64" or path.partition("/")[0].casefold() in ("pyvenv.cfg", "conda-meta", HOME):
            return "the environment"
        if any(
            f"{folder}/".startswith(f"{path}/") for folder in (self.purelib, self.platlib, self.scripts, self.include)
        ):
            return "the environment"
        if path.startswith(f"{self.scripts}/"):
            name = path.removeprefix(f"{self.scripts}/").partition("/")[0]
            names = (_INTERPRETER, _ACTIVATION, _CONFIGURATION)
            return "the interpreter" if any(pattern.fullmatch(name) for pattern in names) else ""
        return "the interpreter" if self._is_standard_library(path) else ""

    def _is_standard_library(self, path: str) -> bool:
        """Whether *path* is where base interpreters and conda's environments have the standard library."""
        sites = (f"{self.purelib}/", f"{self.platlib}/")
        libraries = tuple(site.removesuffix("site-packages/") for site in sites if "/python3" in site)
        return path.startswith(libraries) and not path.startswith(sites)


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder that contains one of *paths*, without the prefix itself."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def wins(one: str, other: str) -> bool:
    """Whether the files of *one* are installed where *other* has files with other content: the later one in a lock wins.

    Locks are sorted by name, so that everybody who reads an environment comes to the same result.
    """
    return one > other
