"""Which part of a lock is installed or exported, and how it is installed."""

# Imported by every `run` and `sync`.

import os
from typing import NamedTuple

DEFAULT_ENVIRONMENT = ".venv"
# How files are installed from the cache.
HARDLINK, COPY = "hardlink", "copy"


class SelectionOptions(NamedTuple):
    """A lock, and the packages to select from it."""

    lock: str | None = None
    """The path of the lock; None: the project's."""
    target: str | None = None
    """The name of a target; None: the one that matches."""
    extras: tuple[str, ...] = ()
    all_extras: bool = False
    groups: tuple[str, ...] = ()
    all_groups: bool = False
    excluded_groups: tuple[str, ...] = ()
    """Groups to leave out, whatever the other options are."""
    default_groups: bool = True
    frozen: bool = False
    """Whether to use the lock even if its source has changed since."""
    only_groups: tuple[str, ...] = ()
    """Groups to select without the project's own requirements; the other groups and extras are ignored then."""


_DEFAULT_SELECTION = SelectionOptions()


class SyncOptions(NamedTuple):
    """The packages to install, the environment, and how to install them."""

    selection: SelectionOptions = _DEFAULT_SELECTION
    python: str | None = None
    """An environment or its interpreter; or a version or a base interpreter to create *environment* from."""
    inexact: bool = False
    """Whether to keep packages that are not in the lock."""
    link_mode: str = HARDLINK
    install_project: bool = True
    compile_bytecode: bool = False
    dry_run: bool = False
    """Whether to change nothing, and only report what would change."""
    environment: str | None = None
    """The folder of the environment if *python* is not one; None: .venv beside the lock."""

    def folder_in(self, project: str) -> str:
        """The environment's folder if *python* does not name one, for a lock in the folder *project*."""
        return os.path.abspath(self.environment or os.path.join(project, DEFAULT_ENVIRONMENT))

    @property
    def key(self) -> str:
        """The options that decide what an environment contains, as the proof of a sync records them."""
        part = self.selection
        lists = (part.extras, part.groups, part.excluded_groups, part.only_groups)
        flags = (part.all_extras, part.all_groups, part.default_groups, self.inexact, self.install_project)
        return repr((part.target or "", *map(sorted, lists), *flags))
