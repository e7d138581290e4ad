"""The options that most use cases share."""

from typing import NamedTuple

from minglibc.cache.location import default_folder
from minglibc.config import files


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

    @property
    def project_folder(self) -> str:
        """The folder of pyproject.toml; raises SettingsError where there is none."""
        return files.find(self.project)

    @property
    def cache_folder(self) -> str:
        """The folder of the cache."""
        return self.cache_dir or default_folder()
