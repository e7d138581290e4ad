"""The index as the resolver sees it: blocking and cached. The network is used from the first request that the cache cannot answer."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from minglibc.cache.pages import Entry, Store
from minglibc.errors import CacheDamaged, IndexUnreachable, MinglibcError, ProjectNotFound
from minglibc.index.addresses import IndexAddresses, is_local
from minglibc.lock.digest import hexdigest
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.model.urls import display_url

if TYPE_CHECKING:
    from minglibc.index.calls import FetchedPage, Key
    from minglibc.index.credentials import Credentials
    from minglibc.index.flat_index import LocalIndex
    from minglibc.index.network import Network
    from minglibc.resolve.prefetch import Speculation

# Where the files of the default index are.
DEFAULT_FILE_HOST = "https://files.pythonhosted.org"
# The number of lookups after which results of the network are received.
_RECEIVE_INTERVAL = 32


def _no_builds(sdist: Sdist) -> CoreMetadata:
    raise DynamicMetadata(
        f"the requirements of {sdist.filename} are only known after a build, and nothing is built here"
    )


_NOT_READ = DynamicMetadata("its metadata was not read")


class _CachedPage:
    """The cache's entry for a project on one index, and its page, or None where the index did not have the project."""

    __slots__ = ("entry", "page")

    def __init__(self, entry: Entry, page: ProjectPage | None) -> None:
        self.entry = entry
        self.page = page


class Index:
    """The WheelIndex of the indexes at some *addresses*: pages and metadata from memory, from the cache, or from the network."""

    def __init__(
        self,
        addresses: IndexAddresses,
        store: Store,
        speculation: "Callable[[], Speculation]",
        *,
        offline: bool = False,
        refresh: bool = False,
        on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
        on_detail: Callable[[str], None] | None = None,
    ) -> None:
        self.addresses = addresses
        # The index of each project.
        self.homes: dict[str, str] = {}
        self.fetched = 0
        self._store = store
        self._open_speculation = speculation
        self._speculation: Speculation | None = None
        self._offline = offline
        self._refresh = refresh
        self._on_fetch = on_fetch
        self._on_detail = on_detail
        self._pages: dict[str, ProjectPage | MinglibcError] = {}
        self._local: dict[str, LocalIndex] = {}
        self._cached: dict[tuple[str, str], _CachedPage | None] = {}
        self._metadata: dict[str, CoreMetadata | Exception] = {}
        self._network: Network | None = None
        # Whether metadata was missing in the cache; until then, nothing is prefetched.
        self._has_waited = False
        self._calls = 0
        self._events: deque[tuple[str, Any]] = deque()
        # Reads the metadata of a source distribution, or builds it.
        self.open_sdist: Callable[[Sdist], CoreMetadata] = _no_builds
        self._folders: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The address of the default index."""
        return self.addresses.default

    @property
    def credentials(self) -> "Credentials":
        """The credentials of the indexes."""
        return self.addresses.credentials

    def project(self, name: str) -> ProjectPage:
        """The page of a project; raises ProjectNotFound, IndexUnreachable."""
        self._receive()
        page = self._pages.get(name)
        if page is None:
            self._request_page(name)
            if name not in self._pages:
                self._wait(("page", name), name)
            page = self._pages[name]
        if isinstance(page, MinglibcError):
            raise page
        return page

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it is invalid, IndexUnreachable."""
        self._receive()
        key = self._key(wheel)
        metadata = self._metadata.get(key)
        if metadata is None:
            self._request_metadata(wheel)
            if key not in self._metadata and self._is_served(wheel):
                self._has_waited = True
                self._wait(("metadata", key), wheel.filename)
            metadata = self._metadata.get(key, _NOT_READ)
        if isinstance(metadata, DynamicMetadata) and isinstance(wheel, Sdist):
            metadata = self.open_sdist(wheel)
            self._add_metadata(wheel, metadata)
        if isinstance(metadata, Exception):
            raise metadata
        return metadata

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Request the metadata of *wheels* without waiting for it, if any metadata was missing in the cache so far."""
        if self._has_waited:
            for wheel in wheels:
                self._request_metadata(wheel)

    def hashed(self, wheel: Artifact) -> Artifact:
        """*wheel* with its hash: downloaded where the index gives none; a local wheel is read, and gets its size too."""
        if wheel.is_local:
            from minglibc.index import local_files  # noqa: PLC0415  few projects have local wheels

            return local_files.hashed(wheel)
        return wheel._replace(hash=self._online().run(("digest", wheel.url), "digest", {"wheel": wheel}))

    def seed(self, page: ProjectPage, metadata: Mapping[Artifact, CoreMetadata]) -> None:
        """Add a project that comes from no index, with the metadata of its wheels as far as it is known."""
        self._pages[page.name] = page
        self._metadata.update({self._key(wheel): content for wheel, content in metadata.items()})

    def close(self) -> None:
        """Cancel all requests and close every connection."""
        if self._network is not None:
            self._network.close()
        self._store.close()

    # Requests: from memory, from the cache, from the network.

    def _request_page(self, name: str) -> None:
        if name not in self._pages and not self._is_requested(("page", name)):
            self._request_from(self.addresses.of(name), name)

    def _request_from(self, indexes: Sequence[str], name: str) -> None:
        """Use the page of *name* from the first of *indexes* that has it, or request it."""
        for position, base in enumerate(indexes):
            if is_local(base):
                if self._use_local(base, name):
                    return
                continue
            cached = self._cached_page(base, name)
            # A project that the last index did not have may have been added; earlier indexes are not asked again at once.
            if cached is None or not self._is_fresh(cached) or (cached.page is None and base is indexes[-1]):
                self._fetch_page(indexes[position:], name, cached)
                return
            if cached.page is not None:
                self._describe_cached(f"{base}{name}/")
                self._add_page(cached.page, base)
                return
        self._pages[name] = self._not_found(name, indexes[-1])

    def _fetch_page(
        self, indexes: Sequence[str], name: str, cached: _CachedPage | None, *, is_stored: bool = True
    ) -> None:
        """Request the page of *name* from the first of *indexes*; it is written to the cache if *is_stored*."""
        if self._offline:
            self._pages[name] = IndexUnreachable(
                f"the page of {name} is not in the cache, and --offline prevents requests"
            )
            return
        base = indexes[0]
        folder = self.folder_of(base) if is_stored else ""
        etag = cached.entry.head["etag"] if cached is not None and cached.page is not None else ""
        alternative = ""
        if len(indexes) == 1 and base.endswith("/simple/"):
            alternative = f"{base.removesuffix('simple/')}pypi/{name}/json"
        if self.addresses.is_flat(base):
            method, arguments = "flat_page", {"url": base, "name": name}
        else:
            page = {"url": f"{base}{name}/", "name": name, "etag": etag, "folder": folder, "alternative": alternative}
            method, arguments = "page", page
        receive = partial(self._receive_page, name, indexes)
        self._start(("page", name), arguments["url"], method, arguments, receive)
        if cached is not None and cached.page is not None:
            # A stale page is good enough to guess the next requests.
            self._follow("page", cached.page)

    def _start(
        self, key: "Key", url: str, method: str, arguments: dict[str, Any], receive: Callable[[Any], None]
    ) -> None:
        if self._on_detail is not None:
            from minglibc.index.details import timed  # noqa: PLC0415  with -v only

            receive = timed(self._on_detail, url, receive)
        self._online().start(key, method, arguments, receive)

    def _describe_cached(self, url: str) -> None:
        if self._on_detail is not None:
            self._on_detail(f"from the cache: {display_url(url)}")

    def _is_requested(self, key: "Key") -> bool:
        return self._network is not None and self._network.is_requested(key)

    def _is_fresh(self, cached: _CachedPage) -> bool:
        age = time.time() - cached.entry.confirmed
        return self._offline or (0 <= age < cached.entry.head["max-age"] and not self._refresh)

    def _cached_page(self, base: str, name: str) -> _CachedPage | None:
        if (base, name) not in self._cached:
            self._cached[base, name] = self._read_page(base, name)
        return self._cached[base, name]

    def _read_page(self, base: str, name: str) -> _CachedPage | None:
        entry = self._store.read(self.folder_of(base), name)
        if entry is None:
            return None
        try:
            head, etag, max_age = (entry.head[key] for key in ("page", "etag", "max-age"))
            page = None if head is None else ProjectPage.load(head, entry.lines)
            is_valid = isinstance(etag, str) and isinstance(max_age, int) and (page is None or page.name == name)
            return _CachedPage(entry, page) if is_valid else None
        except (ValueError, TypeError, KeyError):
            return None

    def folder_of(self, base: str) -> str:
        """Where the cache keeps the pages of the index at *base*."""
        if base not in self._folders:
            self._folders[base] = f"pages/{hexdigest(base.encode())[:16]}"
        return self._folders[base]

    def _key(self, wheel: Artifact) -> str:
        """The identity of a wheel's metadata: its own hash, which the wheels of a release share, else the wheel and its index."""
        # Metadata of its own file is not proven by the wheel's hash: another index may have lied about both.
        return wheel.metadata or f"{wheel.hash or wheel.url}@{self.folder_of(self.homes.get(wheel.name, self.url))}"

    def _request_metadata(self, wheel: Artifact) -> None:
        key = self._key(wheel)
        if key in self._metadata or self._is_requested(("metadata", key)):
            return
        if wheel.is_local:
            self._read_local_metadata(key, wheel)
            return
        cached = self._store.recall("metadata", key) if wheel.hash else None
        metadata = CoreMetadata.load(cached) if cached else None
        if metadata is not None:
            self._describe_cached(f"{wheel.url}.metadata")
            self._add_metadata(wheel, metadata)
        elif not self._is_served(wheel):
            return
        elif self._offline:
            self._metadata[key] = IndexUnreachable(
                f"the metadata of {wheel.filename} is not in the cache, and --offline prevents requests"
            )
        else:
            receive = partial(self._receive_metadata, wheel)
            self._start(("metadata", key), f"{wheel.url}.metadata", "metadata", {"wheel": wheel}, receive)

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
            # 10 ms, where the cache has everything.
            from minglibc.index.network import Network  # noqa: PLC0415

            self._network = Network(self._store, self.credentials)
            self._speculation = self._open_speculation()
            self._events.extend(("name", name) for name in self._speculation.start())
            self._events.extend(("page", page) for page in self._pages.values() if isinstance(page, ProjectPage))
            self._follow_events()
        return self._network

    def _receive(self) -> None:
        """Use what has arrived, since it tells what else to request; a look takes a system call, so only now and then."""
        if self._network is not None:
            self._calls += 1
            if self._calls % _RECEIVE_INTERVAL == 0:
                self._network.receive()

    def _wait(self, key: "Key", label: str) -> None:
        assert self._network is not None
        self._on_fetch(label)
        self._network.wait(key)

    # Results of the network.

    def _receive_page(self, name: str, indexes: Sequence[str], fetched: "FetchedPage | Exception") -> None:
        """Use the page of *name* from the first of *indexes*, or request it from the next one."""
        base = indexes[0]
        if isinstance(fetched, MinglibcError):
            self._pages[name] = fetched
        elif isinstance(fetched, Exception):
            raise fetched
        elif fetched.is_stored:
            self._use_stored(base, name, indexes)
        elif not fetched.is_absent:
            self._accept(base, name, fetched)
        elif fetched.refusal is not None:
            self._pages[name] = fetched.refusal
        elif len(indexes) == 1:
            self._pages[name] = self._not_found(name, base)
        else:
            entry = {"etag": "", "max-age": fetched.entry["max-age"], "page": None}
            self._store.write(self.folder_of(base), name, entry)
            self._request_from(indexes[1:], name)

    def _use_stored(self, base: str, name: str, indexes: Sequence[str]) -> None:
        """Use the page that was just written to the cache; request it again if another process has emptied the cache."""
        cached = self._read_page(base, name)
        if cached is None or cached.page is None:
            self._fetch_page(indexes, name, None, is_stored=False)
            return
        self.fetched += 1
        self._add_page(cached.page, base)

    def _accept(self, base: str, name: str, fetched: "FetchedPage") -> None:
        """Write a page that was fetched to the cache, or mark it as fresh there, and add it."""
        if fetched.page is not None:
            self.fetched += 1
            self._store.write_page(self.folder_of(base), fetched.page, fetched.entry)
            self._add_page(fetched.page, base)
            return
        cached = self._cached_page(base, name)
        assert cached is not None
        assert cached.page is not None
        if cached.entry.head["max-age"] == fetched.entry["max-age"]:
            self._store.confirm(self.folder_of(base), name)
        else:
            self._store.write_page(self.folder_of(base), cached.page, fetched.entry)
        self._add_page(cached.page, base)

    def _receive_metadata(self, wheel: Artifact, metadata: CoreMetadata | Exception) -> None:
        if isinstance(metadata, Exception):
            self._metadata[self._key(wheel)] = metadata
            return
        self.fetched += 1
        if wheel.hash:
            self._store.note("metadata", self._key(wheel), metadata)
        self._add_metadata(wheel, metadata)

    # What was read or fetched is remembered, and its dependencies are requested.

    def _not_found(self, name: str, base: str) -> ProjectNotFound:
        if self.addresses.is_pinned(name):
            return ProjectNotFound(
                f"{name} is not on {display_url(base)}, the index that tool.minglibc.sources pins it to"
            )
        from minglibc.index.similar_names import similar_name  # noqa: PLC0415  imports re, for an error

        similar = similar_name(name, self._store, map(self.folder_of, self.addresses.all))
        return ProjectNotFound(f"{name} is on no index{f' (did you mean {similar}?)' if similar else ''}")

    def _use_local(self, base: str, name: str) -> bool:
        """Use the page of a project from a local index; False where it is not there."""
        from minglibc.index.flat_index import LocalIndex  # noqa: PLC0415  few projects have local wheels

        if base not in self._local:
            self._local[base] = LocalIndex(base, self.addresses.root)
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
        assert self._speculation is not None
        while self._events:
            kind, value = self._events[0]
            match kind:
                case "name":
                    self._request_page(value)
                case "page":
                    for wheel in _likely_wheels(self._speculation, value):
                        self._request_metadata(wheel)
                case "metadata":
                    for name in self._speculation.metadata(*value):
                        self._request_page(name)
            self._events.popleft()


def _likely_wheels(speculation: "Speculation", page: ProjectPage) -> Iterable[Artifact]:
    try:
        return speculation.page(page)
    except CacheDamaged:
        return ()  # the resolver reads the page too, and reports it
