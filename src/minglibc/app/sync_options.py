"""Which part of a lock is installed or exported, and how it is installed."""

# Imported by every `run` and `sync`.

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
    default_groups: bool = True
    frozen: bool = False
    """Whether to use the lock even if its source has changed since."""


_DEFAULT_SELECTION = SelectionOptions()


class SyncOptions(NamedTuple):
    """The packages to install, the environment, and how to install them."""

    selection: SelectionOptions = _DEFAULT_SELECTION
    python: str | None = None
    """An interpreter, or the folder of an environment; None: .venv beside the lock."""
    inexact: bool = False
    """Whether to keep packages that are not in the lock."""
    link_mode: str = HARDLINK
    install_project: bool = True
    compile_bytecode: bool = False
    dry_run: bool = False
    """Whether to change nothing, and only report what would change."""

    @property
    def key(self) -> str:
        """The options that decide what an environment contains, as the proof of a sync records them."""
        part = self.selection
        names = (part.target or "", sorted(part.extras), sorted(part.groups))
        return repr((*names, part.all_extras, part.default_groups, self.inexact, self.install_project))
