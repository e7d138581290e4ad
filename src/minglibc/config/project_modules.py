"""Where a project has its own modules, and the extension modules among them that were built in place."""

# Imported by every `sync`: only os.

import os
from collections.abc import Iterator

# Folders beside a project's packages whose files are not imported.
NOT_PACKAGES = frozenset(("build", "dist", "doc", "docs", "examples", "node_modules", "test", "tests"))
_MAX_FOLDERS = 2000


def module_paths(folder: str) -> Iterator[str]:
    """``src``, the packages of the project in *folder*, and the extension modules beside them."""
    for name in sorted(_names(folder)):
        path = f"{folder}/{name}"
        is_package = name not in NOT_PACKAGES and os.path.isfile(f"{path}/__init__.py")
        if is_package or (name == "src" and os.path.isdir(path)) or (name.endswith(".so") and os.path.isfile(path)):
            yield path


def extension_modules(folder: str) -> str:
    """The state of the extension modules of the project in *folder*, for comparisons; empty if it has none."""
    pending = list(module_paths(folder))
    states: list[str] = []
    linked: set[str] = set()
    count = 0
    while pending and count < _MAX_FOLDERS:
        path = pending.pop()
        count += 1
        if path.endswith(".so"):
            states.append(_state(path))
            continue
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if ".so" in entry.name:
                        states.append(_state(entry.path))
                    elif entry.is_dir() and (not entry.is_symlink() or _is_new(os.path.realpath(entry.path), linked)):
                        pending.append(entry.path)
        except OSError:
            continue
    return " ".join(sorted(states))


def _is_new(folder: str, folders: set[str]) -> bool:
    """Whether *folder* is not in *folders*, to which it is added: links can lead in a circle."""
    known = folder in folders
    folders.add(folder)
    return not known


def has_import_paths(site: str) -> bool:
    """Whether a .pth file or an editable installation in the folder *site* may name other folders with modules."""
    return any(name.endswith(".pth") or is_finder(name) for name in _names(site))


def is_finder(name: str) -> bool:
    """Whether a file is the module by which an editable installation finds its packages.

    setuptools, meson-python, scikit-build-core and editables (hatch, pdm) each write one.
    """
    return name.endswith(".py") and name.startswith("_") and "editable" in name


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _state(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return f"{path!r}"
    return f"{path!r} {status.st_size} {status.st_mtime_ns}"
