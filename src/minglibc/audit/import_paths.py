"""Where an environment imports packages from besides its own folders: .pth files and the finders of editable installs."""

import ast
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from minglibc.audit.folders import Folder, contains
from minglibc.config.files import open_regular
from minglibc.config.project_modules import is_finder, module_paths

_MAX_SIZE = 4 << 20


def import_paths(sites: Iterable[str]) -> list[Folder]:
    """The folders and files outside of *sites* that their .pth files and finders name."""
    sites = list(sites)
    folders = {folder.path: folder for site in sites for folder in _in_site(site)}
    real_sites = [os.path.realpath(site) for site in sites]
    # A folder that contains the environment, such as the project's, is not a package.
    return [
        folder
        for path, folder in folders.items()
        if folder.is_import_path or not any(contains(os.path.realpath(path), site) for site in real_sites)
    ]


def project_folders(folder: str) -> list[Folder]:
    """Where the project in *folder* has its own modules."""
    return [Folder(path) for path in module_paths(folder)]


def _in_site(site: str) -> Iterator[Folder]:
    try:
        names = sorted(os.listdir(site))
    except OSError:
        return  # reading the folder reports it
    for name in names:
        path = os.path.join(site, name)
        if name.endswith(".pth"):
            yield from (Folder(line, path, is_import_path=True) for line in _of_pth(site, _read(path)))
        elif is_finder(name):
            yield from (Folder(constant, path) for constant in _of_finder(_read(path)))


def _of_pth(site: str, text: str) -> Iterator[str]:
    """As the site module reads it: paths relative to *site*; lines that begin with import are code."""
    for line in text.splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")) and "\0" not in line:
            path = os.path.abspath(os.path.join(site, line.rstrip()))
            if os.path.isdir(path):
                yield path


def _of_finder(text: str) -> Iterator[str]:
    """The absolute paths in a finder's module: folders of packages, extension modules, and build folders."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        path = node.value if isinstance(node, ast.Constant) else None
        if isinstance(path, str) and os.path.isabs(path) and "\0" not in path:
            path = os.path.dirname(path) if os.path.basename(path) == "__init__.py" else path
            if os.path.isdir(path) or (".so" in os.path.basename(path) and os.path.isfile(path)):
                yield path


def _read(path: str) -> str:
    with (
        suppress(OSError),
        open(path, encoding="utf-8-sig", errors="surrogateescape", opener=open_regular) as file,
    ):
        return file.read(_MAX_SIZE)
    return ""
