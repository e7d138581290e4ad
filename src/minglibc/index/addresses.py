"""The addresses of a project's indexes, and which of them may have a package."""

from collections.abc import Mapping, Sequence

from minglibc.errors import SettingsError
from minglibc.index.credentials import Credentials


def is_local(url: str) -> bool:
    """Whether *url* names something on this machine, such as an index that is a folder or a page."""
    return url.startswith("file:")


class IndexAddresses:
    """One or several simple indexes (PEP 503, 691): each project comes from one of them alone.

    That is the one that *pins* names for it, else the first that has it: those of *before* in order, then *url*, then those of *after*.
    Those of *flat* are single pages with the files of all projects, and may be on this machine below *root*. The *credentials* in
    the URLs are taken out of them; raises SettingsError for a URL that is none of http(s).
    """

    def __init__(
        self,
        url: str,
        *,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        pins: Mapping[str, str] = {},
        flat: Sequence[str] = (),
        root: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        self.credentials = credentials or Credentials()
        self.root = root
        self._flat = frozenset(flat)
        self.default = self._base_url(url)
        self._ordered = (*map(self._base_url, before), self.default, *map(self._base_url, after))
        self._pins = {name: (self._base_url(pin),) for name, pin in pins.items()}

    def _base_url(self, url: str) -> str:
        """The URL of an index with a final slash and without its credentials, which are remembered."""
        if is_local(url) and url in self._flat:
            return url
        if not url.lower().startswith(("https://", "http://")):
            # The URL may contain a password: it is not quoted.
            raise SettingsError("the index URL must begin with https:// or http://", hint="check index-url")
        plain = self.credentials.take(url)
        return plain if plain.endswith("/") or plain in self._flat else plain + "/"

    def of(self, name: str) -> Sequence[str]:
        """The URLs of the indexes that may have project *name*, in their order; the first that has it is its only one."""
        return self._pins.get(name, self._ordered)

    def is_pinned(self, name: str) -> bool:
        """Whether the settings name the index of project *name*."""
        return name in self._pins

    @property
    def all(self) -> Sequence[str]:
        """The URLs of all indexes, those that packages are pinned to included."""
        pinned = (base for bases in self._pins.values() for base in bases)
        return tuple(dict.fromkeys((*self._ordered, *pinned)))

    def is_flat(self, base: str) -> bool:
        """Whether the index at *base* is one page with the files of all projects."""
        return base in self._flat
