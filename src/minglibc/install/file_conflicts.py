"""Conflicts of a wheel's files with other wheels, with installed distributions, and with the environment's own files."""

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from minglibc.errors import WheelError
from minglibc.install.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minglibc.install.environment import Distribution
    from minglibc.install.wheel import CheckedWheel

_FILE, _FOLDER, _LINK = "a file", "a folder", "a link"


class Overwritten(NamedTuple):
    """Paths that two distributions own with different content: the environment has the files of *winner*."""

    winner: str
    loser: str
    paths: tuple[str, ...]


def check_conflicts(
    arriving: "Sequence[CheckedWheel]",
    staying: "Sequence[Distribution]",
    leaving: "Sequence[Distribution]",
    layout: Layout,
    sharing: Collection[str] = (),
) -> list[Overwritten]:
    """Raise WheelError if two distributions would own a path, or an unowned file, folder or link would be replaced.

    Distributions may share files with the same content, and unowned files in site-packages and bin are replaced. Those
    named in *sharing* may also have files with different content; returns such conflicts that involve *arriving*.
    """
    conflicts = _Conflicts(staying, leaving, layout, frozenset(sharing))
    for wheel in sorted(arriving, key=lambda wheel: wheel.name):
        conflicts.add(wheel)
    return conflicts.overwritten(arriving, staying)


class _Conflicts:
    def __init__(
        self,
        staying: "Sequence[Distribution]",
        leaving: "Sequence[Distribution]",
        layout: Layout,
        sharing: frozenset[str],
    ) -> None:
        self._prefix = layout.prefix
        self._sites = {layout.purelib, layout.platlib}
        self._scripts = f"{layout.scripts}/"
        self._replaceable = (f"{layout.purelib}/", f"{layout.platlib}/", f"{layout.scripts}/")
        self._sharing = sharing
        self._shared: dict[str, None] = {}
        self._leaving = {path for distribution in leaving for path in distribution.record}
        # Each path with its owner and the hash of its content, and each folder with an owner of files in it.
        self._files: dict[str, tuple[str, str]] = {}
        self._folders: dict[str, str] = {}
        self._arriving: set[str] = set()
        self._checked: set[str] = set()
        self._listings: dict[str, dict[str, str]] = {}
        for distribution in staying:
            self._files.update((path, (distribution.name, digest)) for path, digest in distribution.record.items())
            for path in distribution.record:
                self._add_folders(path, distribution.name)

    def add(self, wheel: "CheckedWheel") -> None:
        for path, digest in wheel.owned.items():
            self._check_file(wheel, path, digest)
            self._check_folders(wheel, path)
            self._files[path] = (wheel.name, digest)
            self._arriving.add(path)
            self._add_folders(path, wheel.name)

    def _add_folders(self, path: str, name: str) -> None:
        folder = path.rpartition("/")[0]
        while folder and folder not in self._folders:
            self._folders[folder] = name
            folder = folder.rpartition("/")[0]

    def _check_file(self, wheel: "CheckedWheel", path: str, digest: str) -> None:
        owner, content = self._files.get(path, ("", ""))
        if owner and (not digest or digest != content):
            is_special = not digest or self._is_special(path)
            if is_special or not {wheel.name, owner} <= self._sharing:
                _reject_shared(wheel, path, owner, sharable=not is_special)
            self._shared[path] = None
        if path in self._folders:
            _reject_shared(wheel, path, self._folders[path])
        kind = self._kind(path)
        if kind == _FOLDER and not self._is_leaving(path):
            self._reject_unowned(wheel, path, kind)
        is_replaced = owner or path in self._leaving or path.startswith(self._replaceable)
        if kind in (_FILE, _LINK) and not is_replaced:
            self._reject_unowned(wheel, path, kind)

    def _is_special(self, path: str) -> bool:
        """Whether the file at *path* is a script, metadata, or run when the interpreter starts."""
        folder, _, name = path.rpartition("/")
        is_metadata = any(part.endswith(".dist-info") for part in folder.split("/"))
        return is_metadata or path.startswith(self._scripts) or (folder in self._sites and name.endswith(".pth"))

    def overwritten(self, arriving: "Sequence[CheckedWheel]", staying: "Sequence[Distribution]") -> list[Overwritten]:
        """The paths with different content, by winner and loser."""
        paths: dict[tuple[str, str], list[str]] = {}
        for path in self._shared:
            owners = {one.name: one.record[path] for one in staying if path in one.record}
            owners.update((wheel.name, wheel.owned[path]) for wheel in arriving if path in wheel.owned)
            winner = max(owners)
            for loser, digest in sorted(owners.items()):
                if digest != owners[winner]:
                    paths.setdefault((winner, loser), []).append(path)
        return [Overwritten(*names, tuple(shared)) for names, shared in sorted(paths.items())]

    def _check_folders(self, wheel: "CheckedWheel", path: str) -> None:
        """Check that each folder of *path* is or can become a folder."""
        folder = path.rpartition("/")[0]
        while folder and folder not in self._checked:
            self._checked.add(folder)
            kind = self._kind(folder)
            owner = self._files.get(folder, ("", ""))[0]
            # RECORD files of other installers may list folders.
            if owner and (kind != _FOLDER or folder in self._arriving):
                _reject_shared(wheel, folder, owner)
            if kind in (_FILE, _LINK) and folder not in self._leaving:
                self._reject_unowned(wheel, folder, kind)
            folder = folder.rpartition("/")[0]

    def _is_leaving(self, folder: str) -> bool:
        """Whether all files in *folder* will be removed: those of distributions, and bytecode."""
        for parent, folders, files in os.walk(os.path.join(self._prefix, folder)):
            relative = os.path.relpath(parent, self._prefix)
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            if any(f"{relative}/{name}" not in self._leaving for name in [*files, *links] if not name.endswith(".pyc")):
                return False
        return True

    def _kind(self, path: str) -> str:
        """What the environment has at *path* now; empty if nothing."""
        folder, _, name = path.rpartition("/")
        listing = self._listings.get(folder)
        if listing is None:
            is_folder = not folder or self._kind(folder) == _FOLDER
            listing = self._listings[folder] = _list(os.path.join(self._prefix, folder)) if is_folder else {}
        return listing.get(name, "")

    def _reject_unowned(self, wheel: "CheckedWheel", path: str, kind: str) -> NoReturn:
        raise WheelError(
            f"{wheel.filename} would overwrite {path}, {kind} which exists and belongs to no distribution",
            hint=f"nothing was installed; move {os.path.join(self._prefix, path)} away and run again",
        )


def _list(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _kind_of(entry) for entry in entries}
    except OSError:
        return {}


def _kind_of(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return _LINK
    return _FOLDER if entry.is_dir(follow_symlinks=False) else _FILE


def _reject_shared(wheel: "CheckedWheel", path: str, owner: str, *, sharable: bool = False) -> NoReturn:
    hint = f'lock only one of them, for example with tool.minglibc.excludes = ["{owner}"]'
    if sharable:
        hint += ', or set tool.minglibc.file-conflicts = "warn" if both are locked'
    raise WheelError(
        f"{wheel.filename} would overwrite {path}, which belongs to {owner}", hint=f"nothing was installed; {hint}"
    )
