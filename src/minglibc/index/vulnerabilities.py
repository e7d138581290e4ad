"""Known vulnerabilities from the project JSON API: of each release where the index serves it, else of the newest alone."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256

import msgspec

from minglibc.cache.pages import Store
from minglibc.errors import MinglibcError
from minglibc.index.connection import Connection
from minglibc.index.credentials import Credentials, without_credentials
from minglibc.index.limits import Limits
from minglibc.index.transport import Task, Transport
from minglibc.insight.vulnerabilities import Advisory
from minglibc.model.artifacts import printable
from minglibc.model.versions import normalize

_THREADS = 12
MAX_AGE = 3600
_SIMPLE = "simple/"


def is_current(expires: float) -> bool:
    """Whether an entry is valid until *expires*; not if it was written when the clock was ahead."""
    return 0 < expires - time.time() <= MAX_AGE


class _Vulnerability(msgspec.Struct):
    id: str
    aliases: list[str] | None = None
    fixed_in: list[str] | None = None
    summary: str | None = None
    link: str | None = None
    withdrawn: str | None = None


class _Info(msgspec.Struct):
    version: str = ""


class _Release(msgspec.Struct):
    info: _Info = msgspec.field(default_factory=_Info)
    vulnerabilities: list[_Vulnerability] | None = None


# An advisory's id, aliases, versions that fix it, summary and link.
_Fields = tuple[str, list[str], list[str], str, str]


class _CacheEntry(msgspec.Struct):
    expires: float
    known: list[_Fields] | None


_decoder = msgspec.json.Decoder(_Release)

Release = tuple[str, str]


class Advisories:
    """What one index knows about vulnerabilities of releases; None where it has no data, which is not the same as "none"."""

    def __init__(
        self,
        url: str,
        store: Store,
        *,
        credentials: Credentials | None = None,
        concerns: Callable[[str], bool] = lambda name: True,  # noqa: ARG005
        offline: bool = False,
        on_trouble: Callable[[str], None] = lambda message: None,  # noqa: ARG005
    ) -> None:
        self._credentials = credentials or Credentials()
        plain = self._credentials.take(url if url.endswith("/") else url + "/")
        # Only this layout of the two APIs is known: /simple/NAME/ beside /pypi/NAME/json.
        self._base = f"{plain.removesuffix(_SIMPLE)}pypi/" if plain.endswith(f"/{_SIMPLE}") else ""
        self._store = store
        self._folder = f"advisories/{sha256(without_credentials(plain).encode()).hexdigest()[:16]}"
        # An index is not asked about projects that come from another one.
        self._concerns = concerns
        self._offline = offline
        self._on_trouble = on_trouble
        self._has_warned = False

    def of(
        self, releases: Iterable[Release], *, newest: Iterable[Release] = ()
    ) -> dict[Release, tuple[Advisory, ...] | None]:
        """What is known about each release; for *newest*, the page of their project may be used too."""
        requested = sorted(set(releases))
        known: dict[Release, tuple[Advisory, ...] | None] = {}
        missing = []
        for release in requested:
            cached = self._cached(release)
            if cached is not None and (self._offline or is_current(cached.expires)):
                known[release] = _advisories(cached.known)
            elif self._concerns(release[0]):
                missing.append(release)
        if missing and self._base and not self._offline:
            known |= self._fetch_all(missing, frozenset(newest))
        return {release: known.get(release) for release in requested}

    def _cached(self, release: Release) -> "_CacheEntry | None":
        entry = self._store.read(self._folder, _entry_name(release))
        try:
            return msgspec.convert(entry.head, _CacheEntry) if entry is not None else None
        except msgspec.ValidationError:
            return None

    def _fetch_all(
        self, releases: Iterable[Release], newest: frozenset[Release]
    ) -> dict[Release, tuple[Advisory, ...] | None]:
        transport = Transport(Limits.from_environment(), size=_THREADS)
        tasks = {
            release: transport.submit(partial(self._fetch, release=release, is_newest=release in newest), urgent=True)
            for release in releases
        }
        try:
            return {release: self._result(transport, release, task) for release, task in tasks.items()}
        finally:
            transport.close()

    def _result(
        self, transport: Transport, release: Release, task: "Task[_Release | None]"
    ) -> tuple[Advisory, ...] | None:
        try:
            data = transport.wait(task)
        except MinglibcError as error:
            if not self._has_warned:
                self._has_warned = True
                self._on_trouble(f"no vulnerability data: {error.message}")
            return None
        known = (
            None
            if data is None or data.vulnerabilities is None
            else [_fields(entry) for entry in data.vulnerabilities if not entry.withdrawn]
        )
        self._store.write(self._folder, _entry_name(release), {"expires": time.time() + MAX_AGE, "known": known})
        return _advisories(known)

    def _fetch(self, connection: Connection, release: Release, *, is_newest: bool) -> _Release | None:
        name, version = release
        data = self._get(connection, f"{name}/{version}/json")
        if data is None and is_newest:
            project = self._get(connection, f"{name}/json")
            # Mirrors empty this list: an empty one is no information.
            data = project if project and project.info.version == version and project.vulnerabilities else None
        return data

    def _get(self, connection: Connection, path: str) -> _Release | None:
        url = f"{self._base}{path}"
        response = connection.get(url, self._credentials.headers(url))
        if response.status != 200:
            return None
        try:
            return _decoder.decode(response.body)
        except (msgspec.DecodeError, RecursionError):
            return None


def _fields(entry: _Vulnerability) -> _Fields:
    fixed_in = list(filter(None, map(normalize, entry.fixed_in or ())))
    aliases = list(map(printable, entry.aliases or ()))
    link = entry.link or ""
    if "@" in link.partition("://")[2].partition("/")[0]:
        link = ""  # it has credentials
    return printable(entry.id), aliases, fixed_in, printable(entry.summary or ""), printable(link)


def _advisories(known: list[_Fields] | None) -> tuple[Advisory, ...] | None:
    if known is None:
        return None
    return tuple(
        Advisory(identifier, tuple(aliases), tuple(fixed_in), summary, link)
        for identifier, aliases, fixed_in, summary, link in known
    )


def _entry_name(release: Release) -> str:
    # The checksum of an entry covers the last folder, which is that of the index, and this name.
    return f"{release[0]}=={release[1]}"
