"""The index as the resolver sees it: blocking, cached, each thing asked for once; the network starts with the first miss."""

import time
from _thread import RLock  # threading's own; a lock that asks no network need not import that
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.cache.pages import Entry, Store
from minglibc.errors import CacheDamaged, IndexUnreachable, MinglibcError, ProjectNotFound, SettingsError
from minglibc.index.credentials import Credentials
from minglibc.lock.digest import hexdigest
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.core_metadata import CoreMetadata
from minglibc.model.project_page import ProjectPage
from minglibc.resolve.prefetch import Speculation

if TYPE_CHECKING:
    from minglibc.index.flat_index import LocalIndex
    from minglibc.index.network import Network

DEFAULT_INDEX_URL = "https://pypi.org/simple/"
# Each so many looks of the resolver, what has come from the network is taken; looking costs a system call.
_LOOK_EACH = 64


class NotStatic(ValueError):
    """A source distribution whose metadata are known once it is built (PEP 643)."""


def _never(sdist: Sdist) -> CoreMetadata:
    raise NotStatic(f"what {sdist.filename} requires is known once it is built, and nothing is built here")


_UNREAD = NotStatic("nobody has looked into it")


class _Kept(NamedTuple):
    """What the cache has of a project on one index: its page, or None where the index did not have the project."""

    entry: Entry
    page: ProjectPage | None


class Index:
    """The WheelIndex of one simple index (PEP 503, 691), or of several: a project comes from one of them alone.

    That is the one that *pins* names for it, else the first that has it: those of *before* in their order, then *url*.
    Those of *flat* are single pages of all their projects' files, and may lie on this machine below *place*.
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
        place: str = "",
        credentials: Credentials | None = None,
        offline: bool = False,
        refresh: bool = False,
        on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
    ) -> None:
        self.credentials = credentials or Credentials()
        self.flat = frozenset(flat)
        self._place = place
        self._local: dict[str, LocalIndex] = {}
        self.url = self._address(url)
        self.homes: dict[str, str] = {}
        self._indexes = (*map(self._address, before), self.url)
        self._pins = {name: (self._address(pin),) for name, pin in pins.items()}
        self.fetched = 0
        self._store = store
        self._speculation = speculation
        self._offline = offline
        self._refresh = refresh
        self._on_fetch = on_fetch
        self._pages: dict[str, ProjectPage | MinglibcError] = {}
        self._kept: dict[tuple[str, str], _Kept | None] = {}
        self._metadata: dict[str, CoreMetadata | Exception] = {}
        self._network: Network | None = None
        self._calls = 0
        # Whether metadata had to be waited for: where the cache has all that is looked at, nothing else is worth asking for.
        self._waited = False
        # Whoever changes anything of this, or of what it stands on, holds it while threads fetch.
        self.guard = RLock()
        self._events: deque[tuple[str, Any]] = deque()
        # What says what a source distribution requires, reading or building it.
        self.open_sdist: Callable[[Sdist], CoreMetadata] = _never
        self._folders: dict[str, str] = {}

    def _address(self, url: str) -> str:
        """The plain base of an index, its credentials put where they are asked for."""
        if url.startswith("file:") and url in self.flat:
            return url
        if not url.lower().startswith(("https://", "http://")):
            # It may hold a password: it is not repeated.
            raise SettingsError("the index's address begins with neither https:// nor http://", hint="check index-url")
        plain = self.credentials.take(url)
        return plain if plain.endswith("/") or plain in self.flat else plain + "/"

    def project(self, name: str) -> ProjectPage:
        """The page of a project; raises ProjectNotFound, IndexUnreachable."""
        self._look()
        found = self._pages.get(name)
        if found is None:
            with self.guard:
                self._ask_page(name)
            if name not in self._pages:
                self._wait(("page", name))
            found = self._pages[name]
        if isinstance(found, MinglibcError):
            raise found
        return found

    def metadata(self, wheel: Artifact) -> CoreMetadata:
        """The core metadata of a wheel; raises ValueError where it can't be read, IndexUnreachable."""
        self._look()
        key = self._key(wheel)
        found = self._metadata.get(key)
        if found is None:
            with self.guard:
                self._ask_metadata(wheel)
            if key not in self._metadata and self._is_served(wheel):
                self._waited = True
                self._wait(("metadata", key))
            found = self._metadata.get(key, _UNREAD)
        if isinstance(found, NotStatic) and isinstance(wheel, Sdist):
            found = self._opened(wheel)
        if isinstance(found, Exception):
            raise found
        return found

    def _opened(self, sdist: Sdist) -> CoreMetadata:
        found = self.open_sdist(sdist)
        with self.guard:
            self._have_metadata(sdist, found)
        return found

    def prefetch(self, wheels: Iterable[Artifact]) -> None:
        """Ask for the metadata of *wheels* without waiting for it, once there were metadata that had to be waited for."""
        if self._waited:
            for wheel in wheels:
                with self.guard:
                    self._ask_metadata(wheel)

    def hashed(self, wheel: Artifact) -> Artifact:
        """*wheel* with the hash of its bytes: one whose page gives none is downloaded for it, a local one also has its size."""
        if wheel.is_local:
            from minglibc.index import local_files as local_wheels  # noqa: PLC0415  few projects have wheels on this machine

            return local_wheels.hashed(wheel)
        return wheel._replace(hash=self._online().run(self._online().digest(wheel)))

    def seed(self, page: ProjectPage, metadata: Mapping[Artifact, CoreMetadata]) -> None:
        """A project that no index is asked for, with what is known of its wheels' metadata."""
        self._pages[page.name] = page
        self._metadata.update({self._key(wheel): found for wheel, found in metadata.items()})

    def close(self) -> None:
        """Stop what is still under way and close every connection."""
        if self._network is not None:
            self._network.close()
        self._store.close()

    # Asking: from memory, from disk, over the network.

    def _ask_page(self, name: str) -> None:
        if name in self._pages or (self._network is not None and self._network.knows(("page", name))):
            return
        indexes = self._pins.get(name, self._indexes)
        kept = None
        for place, base in enumerate(indexes):
            if self.is_local(base):
                if self.take_local(base, name):
                    return
                continue
            kept = self._kept_page(base, name)
            # What the last index did not have may be there by now; an earlier one is not asked again at once.
            if kept is None or not self._holds(kept) or (kept.page is None and base is indexes[-1]):
                indexes = indexes[place:]
                break
            if kept.page is not None:
                self._have_page(kept.page, base)
                return
        else:
            self._pages[name] = self.lacks(name, indexes[-1])
            return
        if self._offline:
            self._pages[name] = IndexUnreachable(
                f"the page of {name} is not in the cache, and --offline forbids asking the index"
            )
            return
        network = self._online()
        network.start(("page", name), network.page(name, indexes))
        if kept is not None and kept.page is not None:
            # Its stale page tells well enough what will be asked for next.
            self._foresee("page", kept.page)

    def _holds(self, kept: _Kept) -> bool:
        age = time.time() - kept.entry.confirmed
        return self._offline or (0 <= age < kept.entry.head["max-age"] and not self._refresh)

    def _kept_page(self, base: str, name: str) -> _Kept | None:
        if (base, name) not in self._kept:
            self._kept[base, name] = self._read_page(base, name)
        return self._kept[base, name]

    def _read_page(self, base: str, name: str) -> _Kept | None:
        entry = self._store.read(self.folder(base), name)
        if entry is None:
            return None
        try:
            head = entry.head["page"]
            return _Kept(entry, None if head is None else ProjectPage.load(head, entry.lines))
        except (ValueError, TypeError, KeyError):
            return None

    def folder(self, base: str) -> str:
        """Where the cache keeps the pages of the index at *base*."""
        if base not in self._folders:
            self._folders[base] = f"pages/{hexdigest(base.encode())[:16]}"
        return self._folders[base]

    def _key(self, wheel: Artifact) -> str:
        """What tells metadata from other metadata: its own hash, by which a release's wheels share it, else its index's word."""
        # The hash of a wheel proves nothing of metadata that came apart from it: another index may have lied about both.
        return wheel.metadata or f"{wheel.hash or wheel.url}@{self.folder(self.homes.get(wheel.name, self.url))}"

    def _ask_metadata(self, wheel: Artifact) -> None:
        key = self._key(wheel)
        if key in self._metadata or (self._network is not None and self._network.knows(("metadata", key))):
            return
        if wheel.is_local:
            self._read_metadata(key, wheel)
            return
        kept = self._kept_metadata(wheel)
        if kept is not None:
            self._have_metadata(wheel, kept)
        elif not self._is_served(wheel):
            return
        elif self._offline:
            self._metadata[key] = IndexUnreachable(
                f"the metadata of {wheel.filename} is not in the cache, and --offline forbids asking the index"
            )
        else:
            network = self._online()
            network.start(("metadata", key), network.metadata(wheel))

    def _read_metadata(self, key: str, wheel: Artifact) -> None:
        from minglibc.index import local_files as local_wheels  # noqa: PLC0415  few projects have wheels on this machine

        try:
            self._have_metadata(wheel, local_wheels.metadata(wheel))
        except (MinglibcError, ValueError) as error:
            self._metadata[key] = error

    def _is_served(self, wheel: Artifact) -> bool:
        """Whether the index itself is asked what a file requires; a source distribution is not fetched for a guess."""
        return not isinstance(wheel, Sdist) or (wheel.metadata is not None and not self._offline)

    def _kept_metadata(self, wheel: Artifact) -> CoreMetadata | None:
        kept = self._store.recall("metadata", self._key(wheel)) if wheel.hash else None
        return CoreMetadata(*kept) if kept else None

    def _online(self) -> "Network":
        if self._network is None:
            # With everything cached, httpx is never imported.
            from minglibc.index.network import Network  # noqa: PLC0415
            from minglibc.index.wire import carrier  # noqa: PLC0415

            self._network = Network(self, carrier(self._store, self.guard), on_fetch=self._on_fetch)
            with self.guard:
                self._events.extend(("name", name) for name in self._speculation.start())
                self._events.extend(("page", page) for page in self._pages.values() if isinstance(page, ProjectPage))
                self._foresee_all()
        return self._network

    def _look(self) -> None:
        """Take what has come, now and then: it tells what else to ask for."""
        if self._network is not None:
            self._calls += 1
            if self._calls % _LOOK_EACH == 0:
                self._network.look()

    def _wait(self, key: tuple[str, str]) -> None:
        assert self._network is not None
        self._network.wait(key)

    # Having: what came is remembered, kept on disk, and followed further.

    def lacks(self, name: str, base: str) -> ProjectNotFound:
        """The error of a project that no index has, the last of which is at *base*."""
        if name in self._pins:
            return ProjectNotFound(f"{name} is not on {base}, the index that tool.minglibc.sources pins it to")
        return ProjectNotFound(f"{name} is on no index")

    @staticmethod
    def is_local(base: str) -> bool:
        """Whether the index at *base* is a folder or a page on this machine."""
        return base.startswith("file:")

    def take_local(self, base: str, name: str) -> bool:
        """Take the page of a project from the index at *base*, on this machine; false where that does not have it."""
        from minglibc.index.flat_index import LocalIndex  # noqa: PLC0415  few projects have wheels on this machine

        if base not in self._local:
            self._local[base] = LocalIndex(base, self._place)
        try:
            page = self._local[base].project(name)
        except MinglibcError as error:
            self.keep_failure(name, error)
            return True
        if page is not None:
            self._have_page(page, base)
        return page is not None

    def etag(self, base: str, name: str) -> str:
        """The ETag of the page that the cache has of a project on one index; empty where it has none."""
        kept = self._kept_page(base, name)
        return kept.entry.head["etag"] if kept is not None and kept.page is not None else ""

    def take_kept(self, base: str, name: str) -> bool:
        """Take the page of a project on one index from the cache, if it still holds."""
        kept = self._kept_page(base, name)
        if kept is None or kept.page is None or not self._holds(kept):
            return False
        self._have_page(kept.page, base)
        return True

    def keep_page(self, page: ProjectPage, base: str, entry: Mapping[str, Any]) -> None:
        """A page has come from the index at *base*; *entry* is what the cache's says beside it."""
        self.fetched += 1
        self._store.write_page(self.folder(base), page, entry)
        self._have_page(page, base)

    def take_written(self, name: str, base: str) -> bool:
        """Take the page that was put into the cache just now, if it is there."""
        kept = self._read_page(base, name)
        if kept is None or kept.page is None:
            return False
        self.fetched += 1
        self._have_page(kept.page, base)
        return True

    def keep_absence(self, name: str, base: str, *, max_age: int) -> None:
        """The index at *base*, which is not the last to be asked, does not have a project."""
        self._store.write(self.folder(base), name, {"etag": "", "max-age": max_age, "page": None})

    def keep_failure(self, name: str, error: MinglibcError) -> None:
        """There is no page of a project, or it could not be asked for."""
        self._pages[name] = error

    def confirm_page(self, name: str, base: str, *, max_age: int) -> None:
        """The index says that a stale page still holds (304)."""
        kept = self._kept_page(base, name)
        assert kept is not None
        assert kept.page is not None
        if kept.entry.head["max-age"] == max_age:
            self._store.confirm(self.folder(base), name)
        else:
            entry = {"etag": kept.entry.head["etag"], "max-age": max_age}
            self._store.write_page(self.folder(base), kept.page, entry)
        self._have_page(kept.page, base)

    def keep_metadata(self, wheel: Artifact, metadata: CoreMetadata | Exception) -> None:
        """Metadata, or why there is none, has come from the network."""
        if isinstance(metadata, Exception):
            self._metadata[self._key(wheel)] = metadata
            return
        self.fetched += 1
        if wheel.hash:
            self._store.note("metadata", self._key(wheel), metadata)
        self._have_metadata(wheel, metadata)

    def _have_page(self, page: ProjectPage, base: str) -> None:
        self._pages[page.name] = page
        self.homes[page.name] = base
        if self._network is not None:
            self._foresee("page", page)

    def _have_metadata(self, wheel: Artifact, metadata: CoreMetadata) -> None:
        self._metadata[self._key(wheel)] = metadata
        if self._network is not None:
            self._foresee("metadata", (wheel, metadata))

    def _foresee(self, kind: str, what: Any) -> None:
        self._events.append((kind, what))
        if len(self._events) == 1:
            self._foresee_all()

    def _guesses(self, page: ProjectPage) -> Iterable[Artifact]:
        try:
            return self._speculation.page(page)
        except CacheDamaged:
            return ()  # whoever looks at the page in earnest meets it again

    def _foresee_all(self) -> None:
        """Follow guesses breadth first; an event stays in the queue while it is followed, so that this never nests."""
        while self._events:
            kind, what = self._events[0]
            match kind:
                case "name":
                    self._ask_page(what)
                case "page":
                    for wheel in self._guesses(what):
                        self._ask_metadata(wheel)
                case "metadata":
                    for name in self._speculation.metadata(*what):
                        self._ask_page(name)
            self._events.popleft()
