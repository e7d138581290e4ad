"""The index as the resolver sees it: blocking, cached, each thing asked for once; the network starts with the first miss."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from minglibc.adapters.store import Entry, Store
from minglibc.errors import IndexUnreachable, MinglibcError, SettingsError
from minglibc.fingerprint import hexdigest
from minglibc.speculation import Speculation
from minglibc.wheels import CoreMetadata, ProjectPage, Wheel

if TYPE_CHECKING:
    from minglibc.adapters.network import Network

DEFAULT_INDEX_URL = "https://pypi.org/simple/"


class Index:
    """The WheelIndex of one simple index (PEP 503, 691)."""

    def __init__(
        self,
        url: str,
        store: Store,
        speculation: Speculation,
        *,
        offline: bool = False,
        refresh: bool = False,
        on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
    ) -> None:
        if not url.lower().startswith(("https://", "http://")):
            # It may hold a password: it is not repeated.
            raise SettingsError("the index's address begins with neither https:// nor http://", hint="check index-url")
        self.url = url if url.endswith("/") else url + "/"
        self.fetched = 0
        self._store = store
        self._speculation = speculation
        self._offline = offline
        self._refresh = refresh
        self._on_fetch = on_fetch
        self._pages: dict[str, ProjectPage | MinglibcError] = {}
        self._stale: dict[str, tuple[Entry, ProjectPage]] = {}
        self._metadata: dict[str, CoreMetadata | Exception] = {}
        self._network: Network | None = None
        self._events: deque[tuple[str, Any]] = deque()
        self._folder = f"pages/{hexdigest(without_credentials(self.url).encode())[:16]}"

    def project(self, name: str) -> ProjectPage:
        """The page of a project; raises ProjectNotFound, IndexUnreachable."""
        found = self._pages.get(name)
        if found is None:
            self._ask_page(name)
            if name not in self._pages:
                self._wait(("page", name))
            found = self._pages[name]
        if isinstance(found, MinglibcError):
            raise found
        return found

    def metadata(self, wheel: Wheel) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it can't be read, IndexUnreachable."""
        found = self._metadata.get(wheel.url)
        if found is None:
            self._ask_metadata(wheel)
            if wheel.url not in self._metadata:
                self._wait(("metadata", wheel.url))
            found = self._metadata[wheel.url]
        if isinstance(found, Exception):
            raise found
        return found

    def prefetch(self, wheels: Iterable[Wheel]) -> None:
        """Ask for the metadata of *wheels* without waiting for it, if the network is in use at all."""
        if self._network is not None:
            for wheel in wheels:
                self._ask_metadata(wheel)

    def sha256(self, wheel: Wheel) -> str:
        """The hash of a wheel whose page gives none, by downloading it; ``sha256:hex``."""
        return self._online().run(self._online().digest(wheel))

    def seed(self, page: ProjectPage, metadata: Mapping[str, CoreMetadata]) -> None:
        """A project that no index is asked for, with what is known of its wheels' metadata by URL."""
        self._pages[page.name] = page
        self._metadata.update(metadata)

    def close(self) -> None:
        """Stop what is still under way and close every connection."""
        if self._network is not None:
            self._network.close()

    # Asking: from memory, from disk, over the network.

    def _ask_page(self, name: str) -> None:
        if name in self._pages or (self._network is not None and self._network.knows(("page", name))):
            return
        kept = self._kept_page(name)
        if kept is not None:
            entry, page = kept
            age = time.time() - entry.confirmed
            if self._offline or (0 <= age < entry.head["max-age"] and not self._refresh):
                self._have_page(page)
                return
            self._stale[name] = kept
        if self._offline:
            self._pages[name] = IndexUnreachable(
                f"the page of {name} is not in the cache, and --offline forbids asking the index"
            )
            return
        network = self._online()
        network.start(("page", name), lambda ticket: network.page(name, kept[0].head["etag"] if kept else "", ticket))
        if kept is not None:
            # Its stale page tells well enough what will be asked for next.
            self._foresee("page", kept[1])

    def _kept_page(self, name: str) -> tuple[Entry, ProjectPage] | None:
        entry = self._store.read(self._folder, name)
        if entry is None:
            return None
        try:
            return entry, ProjectPage.load(entry.head["page"], entry.body)
        except (ValueError, TypeError, KeyError):
            return None

    def _ask_metadata(self, wheel: Wheel) -> None:
        if wheel.url in self._metadata or (self._network is not None and self._network.knows(("metadata", wheel.url))):
            return
        kept = self._kept_metadata(wheel)
        if kept is not None:
            self._have_metadata(wheel, kept)
        elif self._offline:
            self._metadata[wheel.url] = IndexUnreachable(
                f"the metadata of {wheel.filename} is not in the cache, and --offline forbids asking the index"
            )
        else:
            network = self._online()
            network.start(("metadata", wheel.url), lambda ticket: network.metadata(wheel, ticket))

    def _kept_metadata(self, wheel: Wheel) -> CoreMetadata | None:
        kept = self._store.recall("metadata", wheel.hash) if wheel.hash else None
        return CoreMetadata(*kept) if kept else None

    def _online(self) -> "Network":
        if self._network is None:
            # With everything cached, httpx and asyncio are never imported.
            from minglibc.adapters.network import Network  # noqa: PLC0415

            self._network = Network(self, on_fetch=self._on_fetch)
            for name in self._speculation.start():
                self._events.append(("name", name))
            for page in list(self._pages.values()):
                if isinstance(page, ProjectPage):
                    self._events.append(("page", page))
            self._foresee_all()
        return self._network

    def _wait(self, key: tuple[str, str]) -> None:
        assert self._network is not None
        self._network.wait(key)

    # Having: what came is remembered, kept on disk, and followed further.

    def keep_page(self, name: str, page: ProjectPage | MinglibcError, *, etag: str = "", max_age: int = 0) -> None:
        """A page, or why there is none, has come from the network."""
        if isinstance(page, MinglibcError):
            self._pages[name] = page
            return
        self.fetched += 1
        self._write_page(page, etag, max_age)
        self._have_page(page)

    def confirm_page(self, name: str, *, max_age: int) -> None:
        """The index says that a stale page still holds (304)."""
        entry, page = self._stale[name]
        if entry.head["max-age"] == max_age:
            self._store.confirm(self._folder, name)
        else:
            self._write_page(page, entry.head["etag"], max_age)
        self._have_page(page)

    def _write_page(self, page: ProjectPage, etag: str, max_age: int) -> None:
        head, body = page.dump()
        self._store.write(self._folder, page.name, {"etag": etag, "max-age": max_age, "page": head}, body)

    def keep_metadata(self, wheel: Wheel, metadata: CoreMetadata | Exception) -> None:
        """Metadata, or why there is none, has come from the network."""
        if isinstance(metadata, Exception):
            self._metadata[wheel.url] = metadata
            return
        self.fetched += 1
        if wheel.hash:
            self._store.note("metadata", wheel.hash, metadata)
        self._have_metadata(wheel, metadata)

    def _have_page(self, page: ProjectPage) -> None:
        self._pages[page.name] = page
        if self._network is not None:
            self._foresee("page", page)

    def _have_metadata(self, wheel: Wheel, metadata: CoreMetadata) -> None:
        self._metadata[wheel.url] = metadata
        if self._network is not None:
            self._foresee("metadata", (wheel, metadata))

    def _foresee(self, kind: str, what: Any) -> None:
        self._events.append((kind, what))
        if len(self._events) == 1:
            self._foresee_all()

    def _foresee_all(self) -> None:
        """Follow guesses breadth first; an event stays in the queue while it is followed, so that this never nests."""
        while self._events:
            kind, what = self._events[0]
            match kind:
                case "name":
                    self._ask_page(what)
                case "page":
                    for wheel in self._speculation.page(what):
                        self._ask_metadata(wheel)
                case "metadata":
                    for name in self._speculation.metadata(*what):
                        self._ask_page(name)
            self._events.popleft()


def without_credentials(url: str) -> str:
    """*url* without user and password, as it may be written down."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        # What urllib says of it may hold a password as well.
        raise SettingsError("the index's address can't be read", hint="check index-url") from error
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
