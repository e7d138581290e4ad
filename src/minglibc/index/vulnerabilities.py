"""The project JSON API's word on vulnerabilities: of each release where the index has that, else of the newest alone."""

import threading
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import msgspec

from minglibc.cache.pages import Store
from minglibc.errors import MinglibcError
from minglibc.index.credentials import Credentials, without_credentials
from minglibc.index.transport import Lanes, Limits, Ticket, get
from minglibc.insight.vulnerabilities import Advisory
from minglibc.model.artifacts import printable
from minglibc.model.versions import normalize

_LANES = 12
_MAX_AGE = 3600
_SIMPLE = "simple/"


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


_decoder = msgspec.json.Decoder(_Release)

Release = tuple[str, str]


class Advisories:
    """What one index knows of releases' vulnerabilities; what it doesn't say is None, and never "none"."""

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
        # No index hears of what another one has to itself.
        self._concerns = concerns
        self._offline = offline
        self._on_trouble = on_trouble
        self._troubled = False
        self._asking = threading.Lock()

    def of(
        self, releases: Iterable[Release], *, newest: Iterable[Release] = ()
    ) -> dict[Release, tuple[Advisory, ...] | None]:
        """What is known of each release; *newest* are those that a page of their project alone may tell of."""
        wanted = sorted(set(releases))
        found: dict[Release, tuple[Advisory, ...] | None] = {}
        missing = []
        for release in wanted:
            kept = self._store.read(self._folder, _place(release))
            if kept is not None and (self._offline or time.time() < kept[0]["expires"]):
                found[release] = _advisories(kept[0]["known"])
            elif self._concerns(release[0]):
                missing.append(release)
        if missing and self._base and not self._offline:
            found |= self._ask_all(missing, frozenset(newest))
        return {release: found.get(release) for release in wanted}

    def _ask_all(
        self, releases: Iterable[Release], newest: frozenset[Release]
    ) -> dict[Release, tuple[Advisory, ...] | None]:
        limits = Limits.from_environment()
        lanes = Lanes(limits, size=_LANES, spare=0)

        def asking(release: Release) -> Callable[[Ticket], _Release | None]:
            return lambda ticket: self._ask(ticket, limits, release, is_newest=release in newest)

        tickets = {release: lanes.submit(Ticket(asking(release), urgent=True)) for release in releases}
        try:
            return {release: self._told(lanes, release, ticket) for release, ticket in tickets.items()}
        finally:
            lanes.close()

    def _told(self, lanes: Lanes, release: Release, ticket: Ticket) -> tuple[Advisory, ...] | None:
        try:
            told: _Release | None = lanes.wait(ticket)
        except MinglibcError as error:
            if not self._troubled:
                self._troubled = True
                self._on_trouble(f"vulnerabilities are unknown: {error.message}")
            return None
        known = (
            None
            if told is None or told.vulnerabilities is None
            else [_plain(each) for each in told.vulnerabilities if not each.withdrawn]
        )
        self._store.write(self._folder, _place(release), {"expires": time.time() + _MAX_AGE, "known": known})
        return _advisories(known)

    def _ask(self, ticket: Ticket, limits: Limits, release: Release, *, is_newest: bool) -> _Release | None:
        name, version = release
        told = self._get(ticket, limits, f"{name}/{version}/json")
        if told is None and is_newest:
            whole = self._get(ticket, limits, f"{name}/json")
            # Mirrors empty this list: only what stands in it says anything.
            told = whole if whole and whole.info.version == version and whole.vulnerabilities else None
        return told

    def _get(self, ticket: Ticket, limits: Limits, path: str) -> _Release | None:
        url = f"{self._base}{path}"
        with self._asking:
            headers = self._credentials.headers(url)
        answer = get(ticket, url, headers, limits)
        if answer.status != 200:
            return None
        try:
            return _decoder.decode(answer.body)
        except (msgspec.DecodeError, RecursionError):
            return None


def _plain(told: _Vulnerability) -> list[Any]:
    fixed_in = filter(None, map(normalize, told.fixed_in or ()))
    words = (told.summary or "", told.link or "")
    return [printable(told.id), list(map(printable, told.aliases or ())), list(fixed_in), *map(printable, words)]


def _advisories(known: list[Any] | None) -> tuple[Advisory, ...] | None:
    if known is None:
        return None
    return tuple(
        Advisory(identifier, tuple(aliases), tuple(fixed_in), summary, link)
        for identifier, aliases, fixed_in, summary, link in known
    )


def _place(release: Release) -> str:
    return f"{release[0]}/{release[1]}"
