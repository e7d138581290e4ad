"""The options that most use cases share."""

from collections.abc import Callable
from typing import NamedTuple

from minglibc.cache.location import default_folder, usable_folder
from minglibc.config import files, workspace


class CommonOptions(NamedTuple):
    """Where the project and the cache are, and how indexes are used."""

    project: str | None = None
    """The folder of pyproject.toml; None: the current folder or the nearest parent that has one."""
    cache_dir: str | None = None
    """The folder of the cache; None: the user's own cache folder."""
    offline: bool = False
    """Whether to use only what is cached."""
    refresh: bool = False
    """Whether to request pages again that the cache holds as fresh."""
    index_url: str | None = None
    """The index to use instead of the configured default."""
    warn: Callable[[str], None] = lambda _message: None
    """Receives a warning if the cache can't be used."""
    indexes: tuple[str, ...] = ()
    """Indexes to search before all others, as URL or NAME=URL."""

    @property
    def project_folder(self) -> str:
        """The folder of pyproject.toml, or the root of its workspace; raises SettingsError where there is none."""
        return workspace.root_of(files.find(self.project))

    @property
    def configured_cache(self) -> str:
        """The folder of the cache as it is configured; "" without a home directory."""
        return self.cache_dir or default_folder()

    @property
    def cache_folder(self) -> str:
        """The folder of the cache, or a temporary one if other users could change it."""
        return usable_folder(self.configured_cache, self.warn)
