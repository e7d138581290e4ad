"""Remove the files of distributions from an environment, with their bytecode and the folders that become empty."""

import os
import posixpath
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from minglibc.install.layout import Layout

# Where a file or folder is moved to, instead of deleting it.
Trash = Callable[[], str]


def remove_files(layout: Layout, paths: Iterable[str], trash: Trash | None = None) -> None:
    """Remove *paths*, relative to the prefix; a folder that contains nothing else is removed by one rename to *trash*."""
    _Removal(layout, set(paths), trash).run()


class _Removal:
    def __init__(self, layout: Layout, paths: set[str], trash: Trash | None) -> None:
        self._prefix = layout.prefix
        self._paths = paths
        self._trash = trash
        self._roots = _permanent_folders(layout)
        self._folders = self._parents()

    def run(self) -> None:
        tops = [folder for folder in self._folders if posixpath.dirname(folder) not in self._folders]
        for folder in tops:
            self._remove_from(folder)
        for path in self._paths:
            # RECORD lists files; a folder with such a name may contain files of other distributions.
            if posixpath.dirname(path) in self._roots and not self._is_folder(path):
                self._remove(path)
                self._remove_bytecode(path)

    def _is_folder(self, path: str) -> bool:
        full = os.path.join(self._prefix, path)
        return os.path.isdir(full) and not os.path.islink(full)

    def _parents(self) -> set[str]:
        folders: set[str] = set()
        for path in self._paths:
            folder = posixpath.dirname(path)
            while folder not in folders and folder not in self._roots:
                folders.add(folder)
                folder = posixpath.dirname(folder)
        return folders

    def _remove_from(self, folder: str) -> None:
        full = os.path.join(self._prefix, folder)
        if not self._is_folder(folder):
            return
        if self._is_removed_entirely(folder):
            self._remove(folder)
            return
        for entry in _entries(full):
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if path in self._folders:
                    self._remove_from(path)
            elif path in self._paths:
                self._remove(path)
                self._remove_bytecode(path)
        for empty in (f"{full}/__pycache__", full):
            with suppress(OSError):
                os.rmdir(empty)

    def _is_removed_entirely(self, folder: str) -> bool:
        """Whether *folder* contains only files to remove, and bytecode, which belongs to its source files."""
        for entry in _entries(os.path.join(self._prefix, folder)):
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                bytecode = entry.name == "__pycache__" and all(name.endswith(".pyc") for name in os.listdir(entry.path))
                if not bytecode and not (path in self._folders and self._is_removed_entirely(path)):
                    return False
            elif path not in self._paths:
                return False
        return True

    def _remove(self, path: str) -> None:
        full = os.path.join(self._prefix, path)
        with suppress(FileNotFoundError):
            if self._trash is not None:
                os.rename(full, self._trash())
            elif os.path.isdir(full) and not os.path.islink(full):
                shutil.rmtree(full)
            else:
                os.unlink(full)

    def _remove_bytecode(self, path: str) -> None:
        folder, name = posixpath.split(path)
        stem, extension = posixpath.splitext(name)
        cache = os.path.join(self._prefix, folder, "__pycache__")
        if extension != ".py" or os.path.islink(cache):
            return
        with suppress(OSError):
            for entry in os.listdir(cache):
                if entry.startswith(f"{stem}.") and entry.endswith(".pyc"):
                    with suppress(OSError):
                        os.unlink(os.path.join(cache, entry))


def _permanent_folders(layout: Layout) -> set[str]:
    """Folders that are never removed, even if they are empty."""
    folders = {layout.purelib, layout.platlib, layout.scripts, "include", "share", "etc", ""}
    for site in (layout.purelib, layout.platlib):
        folder = site
        while folder:
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return folders


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)
