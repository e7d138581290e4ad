"""The index as the resolver sees it: blocking and cached. The network is used from the first request that the cache cannot answer."""

import time
from _thread import RLock  # threading's own; a lock that uses no network does not import that
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.cache.pages import Entry, Store
from minglibc.errors import CacheDamaged, IndexUnreachable, MinglibcError, ProjectNotFound, SettingsError
from minglibc.index.credentials import Credentials
from minglibc.lock.digest import hexdigest
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.urls import display_url
from minglibc.resolve.prefetch import Speculation

if TYPE_CHECKING:
    from minglibc.index.connection import Connection
    from minglibc.index.fetcher import FetchedPage
    from minglibc.index.flat_index import LocalIndex
    from minglibc.index.network import Network

DEFAULT_INDEX_URL = "https://pypi.org/simple/"


def _no_builds(sdist: Sdist) -> CoreMetadata:
    raise DynamicMetadata(
        f"the requirements of {sdist.filename} are only known after a build, and nothing is built here"
    )


_NOT_READ = DynamicMetadata("its metadata was not read")


class _CachedPage(NamedTuple):
    """The cache's entry for a project on one index, and its page, or None where the index did not have the project."""

    entry: Entry
    page: ProjectPage | None


class Index:
    """The WheelIndex of one or several simple indexes (PEP 503, 691): each project comes from one of them alone.

    That is the one that *pins* names for it, else the first that has it: those of *before* in order, then *url*.
    Those of *flat* are single pages with the files of all projects, and may be on this machine below *root*.
    """

    def __init__(
        self,
        url: str,
        store: Store,
        speculation: Speculation,
        *,
        before: Sequence[str] = (),
        pins: Mapping[str, str] = {},
        flat: Sequence[str] = (),
        root: str = "",
        credentials: Credentials | None = None,
        offline: bool = False,
        refresh: bool = False,
        on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
    ) -> None:
        self.credentials = credentials or Credentials()
        self._flat = frozenset(flat)
        self._root = root
        self._local: dict[str, LocalIndex] = {}
        self.url = self._base_url(url)
        # The index of each project.
        self.homes: dict[str, str] = {}
        self._indexes = (*map(self._base_url, before), self.url)
        self._pins = {name: (self._base_url(pin),) for name, pin in pins.items()}
        self.fetched = 0
        self._store = store
        self._speculation = speculation
        self._offline = offline
        self._refresh = refresh
        self._on_fetch = on_fetch
        self._pages: dict[str, ProjectPage | MinglibcError] = {}
        self._cached: dict[tuple[str, str], _CachedPage | None] = {}
        self._metadata: dict[str, CoreMetadata | Exception] = {}
        self._network: Network | None = None
        # Whether metadata was missing in the cache; until then, nothing is prefetched.
        self._has_waited = False
        # Protects this object, the store and the speculation while threads fetch.
        self.guard = RLock()
        self._events: deque[tuple[str, Any]] = deque()
        # Reads the metadata of a source distribution, or builds it.
        self.open_sdist: Callable[[Sdist], CoreMetadata] = _no_builds
        self._folders: dict[str, str] = {}

    def _base_url(self, url: str) -> str:
        """The URL of an index with a final slash and without its credentials, which are remembered."""
        if url.startswith("file:") and url in self._flat:
            return url
        if not url.lower().startswith(("https://", "http://")):
            # The URL may contain a password: it is not quoted.
            raise SettingsError("the index URL must begin with https:// or http://", hint="check index-url")
        plain = self.credentials.take(url)
        return plain if plain.endswith("/") or plain in self._flat else plain + "/"

    def project(self, name: str) -> ProjectPage:
        """The page of a project; raises ProjectNotFound, IndexUnreachable."""
        page = self._pages.get(name)
        if page is None:
            with self.guard:
                self._request_page(name)
            if name not in self._pages:
                self._wait(("page", name), name)
            page = self._pages[name]
        if isinstance(page, MinglibcError):
            raise page
        return page

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it is invalid, IndexUnreachable."""
        key = self._key(wheel)
        metadata = self._metadata.get(key)
        if metadata is None:
            with self.guard:
                self._request_metadata(wheel)
            if key not in self._metadata and self._is_served(wheel):
                self._has_waited = True
                self._wait(("metadata", key), wheel.filename)
            metadata = self._metadata.get(key, _NOT_READ)
        if isinstance(metadata, DynamicMetadata) and isinstance(wheel, Sdist):
            metadata = self.open_sdist(wheel)
            with self.guard:
                self._add_metadata(wheel, metadata)
        if isinstance(metadata, Exception):
            raise metadata
        return metadata

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Request the metadata of *wheels* without waiting for it, if any metadata was missing in the cache so far."""
        if self._has_waited:
            for wheel in wheels:
                with self.guard:
                    self._request_metadata(wheel)

    def hashed(self, wheel: Artifact) -> Artifact:
        """*wheel* with its hash: downloaded where the index gives none; a local wheel is read, and gets its size too."""
        if wheel.is_local:
            from minglibc.index import local_files  # noqa: PLC0415  few projects have local wheels

            return local_files.hashed(wheel)
        network = self._online()
        return wheel._replace(hash=network.run(partial(network.fetcher.digest, wheel=wheel)))

    def seed(self, page: ProjectPage, metadata: Mapping[Artifact, CoreMetadata]) -> None:
        """Add a project that comes from no index, with the metadata of its wheels as far as it is known."""
        self._pages[page.name] = page
        self._metadata.update({self._key(wheel): content for wheel, content in metadata.items()})

    def close(self) -> None:
        """Cancel all requests and close every connection."""
        if self._network is not None:
            self._network.close()
        self._store.close()

    # Requests: from memory, from the cache, from the network. The guard is held.

    def _request_page(self, name: str) -> None:
        if name in self._pages or (self._network is not None and ("page", name) in self._network.tasks):
            return
        indexes = self._pins.get(name, self._indexes)
        cached = None
        for position, base in enumerate(indexes):
            if self.is_local(base):
                if self._use_local(base, name):
                    return
                continue
            cached = self._cached_page(base, name)
            # A project that the last index did not have may have been added; earlier indexes are not asked again at once.
            if cached is None or not self._is_fresh(cached) or (cached.page is None and base is indexes[-1]):
                indexes = indexes[position:]
                break
            if cached.page is not None:
                self._add_page(cached.page, base)
                return
        else:
            self._pages[name] = self._not_found(name, indexes[-1])
            return
        if self._offline:
            self._pages[name] = IndexUnreachable(
                f"the page of {name} is not in the cache, and --offline prevents requests"
            )
            return
        self._online().start(("page", name), partial(self._fetch_page, name=name, indexes=indexes))
        if cached is not None and cached.page is not None:
            # A stale page is good enough to guess the next requests.
            self._follow("page", cached.page)

    def _is_fresh(self, cached: _CachedPage) -> bool:
        age = time.time() - cached.entry.confirmed
        return self._offline or (0 <= age < cached.entry.head["max-age"] and not self._refresh)

    def _cached_page(self, base: str, name: str) -> _CachedPage | None:
        if (base, name) not in self._cached:
            self._cached[base, name] = self._read_page(base, name)
        return self._cached[base, name]

    def _read_page(self, base: str, name: str) -> _CachedPage | None:
        entry = self._store.read(self._folder(base), name)
        if entry is None:
            return None
        try:
            head, etag, max_age = (entry.head[key] for key in ("page", "etag", "max-age"))
            page = None if head is None else ProjectPage.load(head, entry.lines)
            is_valid = isinstance(etag, str) and isinstance(max_age, int) and (page is None or page.name == name)
            return _CachedPage(entry, page) if is_valid else None
        except (ValueError, TypeError, KeyError):
            return None

    def _folder(self, base: str) -> str:
        """Where the cache keeps the pages of the index at *base*."""
        if base not in self._folders:
            self._folders[base] = f"pages/{hexdigest(base.encode())[:16]}"
        return self._folders[base]

    def _key(self, wheel: Artifact) -> str:
        """The identity of a wheel's metadata: its own hash, which the wheels of a release share, else the wheel and its index."""
        # Metadata of its own file is not proven by the wheel's hash: another index may have lied about both.
        return wheel.metadata or f"{wheel.hash or wheel.url}@{self._folder(self.homes.get(wheel.name, self.url))}"

    def _request_metadata(self, wheel: Artifact) -> None:
        key = self._key(wheel)
        if key in self._metadata or (self._network is not None and ("metadata", key) in self._network.tasks):
            return
        if wheel.is_local:
            self._read_local_metadata(key, wheel)
            return
        cached = self._store.recall("metadata", key) if wheel.hash else None
        if cached:
            self._add_metadata(wheel, CoreMetadata(*cached))
        elif not self._is_served(wheel):
            return
        elif self._offline:
            self._metadata[key] = IndexUnreachable(
                f"the metadata of {wheel.filename} is not in the cache, and --offline prevents requests"
            )
        else:
            self._online().start(("metadata", key), partial(self._fetch_metadata, wheel=wheel))

    def _read_local_metadata(self, key: str, wheel: Artifact) -> None:
        from minglibc.index import local_files  # noqa: PLC0415  few projects have local wheels

        try:
            self._add_metadata(wheel, local_files.metadata(wheel))
        except (MinglibcError, ValueError) as error:
            self._metadata[key] = error

    def _is_served(self, wheel: Artifact) -> bool:
        """Whether the index may serve the metadata of a file; a source distribution is not downloaded for a guess."""
        return not isinstance(wheel, Sdist) or (wheel.metadata is not None and not self._offline)

    def _online(self) -> "Network":
        if self._network is None:
            # httpx is never imported where the cache has everything.
            from minglibc.index.network import Network  # noqa: PLC0415

            self._network = Network(self._store, self.credentials)
            with self.guard:
                self._events.extend(("name", name) for name in self._speculation.start())
                self._events.extend(("page", page) for page in self._pages.values() if isinstance(page, ProjectPage))
                self._follow_events()
        return self._network

    def _wait(self, key: tuple[str, str], label: str) -> None:
        assert self._network is not None
        self._on_fetch(label)
        self._network.wait(key)

    # Fetching, in worker threads.

    def _fetch_page(self, connection: "Connection", name: str, indexes: Sequence[str]) -> None:
        try:
            self._fetch_first_page(connection, name, indexes)
        except MinglibcError as error:
            with self.guard:
                self._pages[name] = error

    def _fetch_first_page(self, connection: "Connection", name: str, indexes: Sequence[str]) -> None:
        """Add the page of *name* from the first of *indexes* that has it."""
        for base in indexes[:-1]:
            if self._use_known(base, name, use_cache=base is not indexes[0]):
                return
            if not self.is_local(base):
                fetched = self._fetch_from(connection, base, name)
                if not fetched.is_absent:
                    return
                self._add_absence(base, name, fetched)
        base = indexes[-1]
        if self._use_known(base, name, use_cache=len(indexes) > 1):
            return
        if not self.is_local(base):
            fetched = self._fetch_from(connection, base, name)
            if not fetched.is_absent:
                return
            assert self._network is not None
            alternative = self._network.fetcher.project_json(connection, base, name)
            if alternative is not None:
                self._accept(base, name, alternative)
                return
            if fetched.refusal is not None:
                raise fetched.refusal
        raise self._not_found(name, base)

    def _use_known(self, base: str, name: str, *, use_cache: bool) -> bool:
        """Use the page of a project without a request: from a local index, or from the cache if it is fresh."""
        with self.guard:
            if self.is_local(base):
                return self._use_local(base, name)
            cached = self._cached_page(base, name) if use_cache else None
            if cached is None or cached.page is None or not self._is_fresh(cached):
                return False
            self._add_page(cached.page, base)
            return True

    def _fetch_from(self, connection: "Connection", base: str, name: str) -> "FetchedPage":
        """Fetch the page of a project from one index and add it, if it is there."""
        assert self._network is not None
        fetcher = self._network.fetcher
        if base in self._flat:
            fetched = fetcher.flat_page(connection, base, name)
        else:
            with self.guard:
                cached = self._cached_page(base, name)
            etag = cached.entry.head["etag"] if cached is not None and cached.page is not None else ""
            fetched = fetcher.page(connection, f"{base}{name}/", name, etag=etag, folder=self._folder(base))
            if fetched.is_stored and not self._use_stored(base, name):
                # Another process has emptied the cache.
                fetched = fetcher.page(connection, f"{base}{name}/", name)
        if not fetched.is_absent and not fetched.is_stored:
            self._accept(base, name, fetched)
        return fetched

    def _use_stored(self, base: str, name: str) -> bool:
        """Use the page that a page worker has just written to the cache, if it is there."""
        with self.guard:
            cached = self._read_page(base, name)
            if cached is None or cached.page is None:
                return False
            self.fetched += 1
            self._add_page(cached.page, base)
            return True

    def _accept(self, base: str, name: str, fetched: "FetchedPage") -> None:
        """Write a page that was fetched to the cache, or mark it as fresh there, and add it."""
        with self.guard:
            if fetched.page is not None:
                self.fetched += 1
                self._store.write_page(self._folder(base), fetched.page, fetched.entry)
                self._add_page(fetched.page, base)
                return
            cached = self._cached_page(base, name)
            assert cached is not None
            assert cached.page is not None
            if cached.entry.head["max-age"] == fetched.entry["max-age"]:
                self._store.confirm(self._folder(base), name)
            else:
                self._store.write_page(self._folder(base), cached.page, fetched.entry)
            self._add_page(cached.page, base)

    def _add_absence(self, base: str, name: str, fetched: "FetchedPage") -> None:
        """Remember that an index, which is not the last one, does not have a project."""
        if fetched.refusal is not None:
            raise fetched.refusal
        with self.guard:
            entry = {"etag": "", "max-age": fetched.entry["max-age"], "page": None}
            self._store.write(self._folder(base), name, entry)

    def _fetch_metadata(self, connection: "Connection", wheel: Artifact) -> None:
        assert self._network is not None
        try:
            metadata = self._network.fetcher.metadata(connection, wheel)
        except (MinglibcError, ValueError) as error:
            with self.guard:
                self._metadata[self._key(wheel)] = error
            return
        with self.guard:
            self.fetched += 1
            if wheel.hash:
                self._store.note("metadata", self._key(wheel), metadata)
            self._add_metadata(wheel, metadata)

    # Results: what was read or fetched is remembered, and its dependencies are requested. The guard is held.

    def _not_found(self, name: str, base: str) -> ProjectNotFound:
        if name in self._pins:
            return ProjectNotFound(
                f"{name} is not on {display_url(base)}, the index that tool.minglibc.sources pins it to"
            )
        return ProjectNotFound(f"{name} is on no index")

    @staticmethod
    def is_local(base: str) -> bool:
        """Whether the index at *base* is a folder or a page on this machine."""
        return base.startswith("file:")

    def _use_local(self, base: str, name: str) -> bool:
        """Use the page of a project from a local index; False where it is not there."""
        from minglibc.index.flat_index import LocalIndex  # noqa: PLC0415  few projects have local wheels

        if base not in self._local:
            self._local[base] = LocalIndex(base, self._root)
        try:
            page = self._local[base].project(name)
        except MinglibcError as error:
            self._pages[name] = error
            return True
        if page is not None:
            self._add_page(page, base)
        return page is not None

    def _add_page(self, page: ProjectPage, base: str) -> None:
        self._pages[page.name] = page
        self.homes[page.name] = base
        if self._network is not None:
            self._follow("page", page)

    def _add_metadata(self, wheel: Artifact, metadata: CoreMetadata) -> None:
        self._metadata[self._key(wheel)] = metadata
        if self._network is not None:
            self._follow("metadata", (wheel, metadata))

    def _follow(self, kind: str, value: Any) -> None:
        self._events.append((kind, value))
        if len(self._events) == 1:
            self._follow_events()

    def _follow_events(self) -> None:
        """Request what will probably be needed, breadth first; an event stays in the queue meanwhile, so this never nests."""
        while self._events:
            kind, value = self._events[0]
            match kind:
                case "name":
                    self._request_page(value)
                case "page":
                    for wheel in self._likely_wheels(value):
                        self._request_metadata(wheel)
                case "metadata":
                    for name in self._speculation.metadata(*value):
                        self._request_page(name)
            self._events.popleft()

    def _likely_wheels(self, page: ProjectPage) -> Iterable[Artifact]:
        try:
            return self._speculation.page(page)
        except CacheDamaged:
            return ()  # the resolver reads the page too, and reports it
