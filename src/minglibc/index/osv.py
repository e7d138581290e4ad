"""Known vulnerabilities from OSV (https://osv.dev): its API, or an export of its records on this machine."""

import json
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec

from minglibc.cache.pages import Store
from minglibc.config.files import open_regular
from minglibc.errors import IndexAnswerError, MinglibcError, SettingsError
from minglibc.index.connection import Connection, Request
from minglibc.index.limits import Limits
from minglibc.index.response import decompressed
from minglibc.index.transport import Transport
from minglibc.index.vulnerabilities import MAX_AGE, is_current
from minglibc.insight.vulnerabilities import Advisory, Known
from minglibc.model.artifacts import printable
from minglibc.model.requirements import normalize_name
from minglibc.model.urls import display_url
from minglibc.model.versions import Key, key, normalize

OSV_URL = "https://api.osv.dev/"
_ECOSYSTEM = "PyPI"
# The API takes so many queries in a request.
_BATCH = 1000
_MOST_PAGES = 20
_THREADS = 8
_MAX_RECORD = 16 << 20
_LONGEST_SUMMARY = 1000

Release = tuple[str, str]
_Answer = TypeVar("_Answer")
_Identifier = Annotated[str, msgspec.Meta(max_length=200)]


class _Event(msgspec.Struct):
    introduced: str = ""
    fixed: str = ""
    last_affected: str = ""


class _Range(msgspec.Struct):
    type: str = ""
    events: list[_Event] = []


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""


class _Affected(msgspec.Struct):
    package: _Package = msgspec.field(default_factory=_Package)
    ranges: list[_Range] = []
    versions: list[str] = []


class _Record(msgspec.Struct):
    """A record in OSV's format (https://ossf.github.io/osv-schema/), as far as it is used."""

    id: _Identifier
    aliases: list[_Identifier] = []
    summary: str = ""
    withdrawn: str = ""
    affected: list[_Affected] = []

    def of(self, name: str) -> Iterator[_Affected]:
        """What is affected of the project *name*."""
        for affected in self.affected:
            package = affected.package
            if package.ecosystem == _ECOSYSTEM and normalize_name(package.name) == name:
                yield affected

    def advisory(self, name: str) -> Advisory:
        """The record as it concerns the project *name*."""
        fixed = {
            version
            for affected in self.of(name)
            for events in _version_ranges(affected)
            for event in events
            if (version := normalize(event.fixed)) is not None
        }
        return Advisory(
            printable(self.id),
            tuple(map(printable, self.aliases)),
            tuple(sorted(fixed, key=key)),
            printable(self.summary[:_LONGEST_SUMMARY]),
            f"https://osv.dev/vulnerability/{quote(self.id, safe='')}",
        )


class _Match(msgspec.Struct):
    id: _Identifier


class _Result(msgspec.Struct):
    vulns: list[_Match] = []
    next_page_token: str = ""


class _Results(msgspec.Struct):
    results: list[_Result]


class _CacheEntry(msgspec.Struct):
    expires: float
    known: list[tuple[str, tuple[str, ...], tuple[str, ...], str, str]]


class OsvApi:
    """The vulnerabilities of releases as OSV's API knows them; only projects that *is_public* accepts are sent."""

    def __init__(
        self,
        store: Store,
        *,
        is_public: Callable[[str], bool],
        url: str = OSV_URL,
        offline: bool = False,
        on_trouble: Callable[[str], None] = lambda message: None,  # noqa: ARG005
    ) -> None:
        self._store = store
        self._is_public = is_public
        self._url = url if url.endswith("/") else f"{url}/"
        self._folder = f"advisories/{sha256(self._url.encode()).hexdigest()[:16]}"
        self._offline = offline
        self._on_trouble = on_trouble

    def of(self, releases: Iterable[Release]) -> Known:
        """What is known about those of *releases* that may be sent."""
        known: dict[Release, tuple[Advisory, ...] | None] = {}
        missing = []
        for release in sorted(set(releases)):
            if not self._is_public(release[0]):
                continue
            cached = self._cached(release)
            if cached is not None and (self._offline or is_current(cached.expires)):
                known[release] = tuple(Advisory(*fields) for fields in cached.known)
            else:
                missing.append(release)
        if missing and not self._offline:
            known |= self._fetched(missing)
        return known

    def _cached(self, release: Release) -> _CacheEntry | None:
        entry = self._store.read(self._folder, "==".join(release))
        try:
            return msgspec.convert(entry.head, _CacheEntry) if entry is not None else None
        except msgspec.ValidationError:
            return None

    def _fetched(self, releases: Sequence[Release]) -> Known:
        transport = Transport(Limits.from_environment(), size=_THREADS)
        try:
            batches = [releases[start : start + _BATCH] for start in range(0, len(releases), _BATCH)]
            queries = [transport.submit(partial(self._query, releases=batch), urgent=True) for batch in batches]
            identifiers = {release: ids for batch in transport.wait_all(queries) for release, ids in batch.items()}
            wanted = sorted({identifier for ids in identifiers.values() for identifier in ids})
            records = transport.wait_all(
                [transport.submit(partial(self._record, identifier=identifier), urgent=True) for identifier in wanted]
            )
        except MinglibcError as error:
            self._on_trouble(f"no vulnerability data from OSV: {error.message}")
            return {}
        finally:
            transport.close()
        by_id = dict(zip(wanted, records, strict=True))
        known = {
            (name, version): tuple(by_id[i].advisory(name) for i in sorted(ids) if not by_id[i].withdrawn)
            for (name, version), ids in identifiers.items()
        }
        for release, advisories in known.items():
            head = {"expires": time.time() + MAX_AGE, "known": advisories}
            self._store.write(self._folder, "==".join(release), head)
        return known

    def _query(self, connection: Connection, releases: Sequence[Release]) -> dict[Release, set[str]]:
        """The identifiers of the vulnerabilities of each release; long results have several pages."""
        identifiers: dict[Release, set[str]] = {release: set() for release in releases}
        waiting = dict.fromkeys(releases, "")
        for _ in range(_MOST_PAGES):
            queries = [
                {"package": {"ecosystem": _ECOSYSTEM, "name": name}, "version": version}
                | ({"page_token": token} if token else {})
                for (name, version), token in waiting.items()
            ]
            body = json.dumps({"queries": queries}).encode()
            answer = self._decoded(connection, "v1/querybatch", _Results, body)
            if len(answer.results) != len(queries):
                raise IndexAnswerError(
                    f"{display_url(self._url)} answered {len(answer.results)} of {len(queries)} queries"
                )
            pages = dict(zip(waiting, answer.results, strict=True))
            for release, page in pages.items():
                identifiers[release] |= {vulnerability.id for vulnerability in page.vulns}
            waiting = {release: page.next_page_token for release, page in pages.items() if page.next_page_token}
            if not waiting:
                return identifiers
        raise IndexAnswerError(f"{display_url(self._url)} has more than {_MOST_PAGES} pages of vulnerabilities")

    def _record(self, connection: Connection, identifier: str) -> _Record:
        return self._decoded(connection, f"v1/vulns/{quote(identifier, safe='')}", _Record)

    def _decoded(self, connection: Connection, path: str, kind: type[_Answer], body: bytes | None = None) -> _Answer:
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        response = decompressed(connection.read(Request(f"{self._url}{path}", headers, body=body)))
        if response.status != 200:
            raise IndexAnswerError(f"{display_url(response.url)}: HTTP {response.status}")
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise IndexAnswerError(f"{display_url(response.url)} is not a response of OSV: {error}") from error


class OsvFile:
    """The vulnerabilities of releases in an export of OSV: a zip archive such as PyPI/all.zip, or a folder of JSON files."""

    def __init__(self, path: str, *, concerns: Callable[[str], bool]) -> None:
        self._path = path
        self._concerns = concerns

    def of(self, releases: Iterable[Release]) -> Known:
        """What is known about *releases*; none of them is unknown, because the export has all projects of PyPI."""
        known: dict[Release, list[Advisory]] = {release: [] for release in releases if self._concerns(release[0])}
        versions: dict[str, list[str]] = {}
        for name, version in known:
            versions.setdefault(name, []).append(version)
        count = 0
        for record in self._records():
            count += 1
            for name in {normalize_name(affected.package.name) for affected in record.affected} & versions.keys():
                for version in versions[name]:
                    if not record.withdrawn and any(_is_affected(affected, version) for affected in record.of(name)):
                        known[name, version].append(record.advisory(name))
        if not count:
            raise SettingsError(
                f"{self._path} has no records of OSV",
                hint="OSV's exports are at https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip",
            )
        return {release: tuple(sorted(advisories)) for release, advisories in known.items()}

    def _records(self) -> Iterator[_Record]:
        decoder = msgspec.json.Decoder(_Record)
        try:
            for name, content in self._contents():
                try:
                    yield decoder.decode(content)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise SettingsError(f"{self._path}: {name} is not a record of OSV: {error}") from error
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise SettingsError(f"can't read {self._path}: {getattr(error, 'strerror', None) or error}") from error

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        if os.path.isdir(self._path):
            for entry in sorted(os.listdir(self._path)):
                if entry.endswith(".json"):
                    with open(os.path.join(self._path, entry), "rb", opener=open_regular) as file:
                        yield entry, file.read(_MAX_RECORD)
            return
        # Of a FIFO or a device, zipfile would read without end.
        with open(self._path, "rb", opener=open_regular) as stream, zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".json"):
                    with archive.open(member) as record:
                        yield member.filename, record.read(_MAX_RECORD)


def _version_ranges(affected: _Affected) -> Iterator[list[_Event]]:
    return (span.events for span in affected.ranges if span.type == "ECOSYSTEM")


def _is_affected(affected: _Affected, version: str) -> bool:
    """Whether a version is listed or in a range (https://ossf.github.io/osv-schema/#evaluation)."""
    own = key(version)
    if any(normalize(listed) is not None and key(listed) == own for listed in affected.versions):
        return True
    return any(_contains(events, version) for events in _version_ranges(affected))


def _contains(events: Sequence[_Event], version: str) -> bool:
    own = key(version)
    is_inside = False
    for event in sorted(events, key=_position):
        if event.introduced:
            is_inside |= event.introduced == "0" or _at_least(own, event.introduced)
        elif (event.fixed and _at_least(own, event.fixed)) or (
            event.last_affected and _at_least(own, event.last_affected) and own != key(event.last_affected)
        ):
            is_inside = False
    return is_inside


def _position(event: _Event) -> Key:
    text = event.introduced or event.fixed or event.last_affected
    return key(text if normalize(text) is not None else "0")


def _at_least(own: Key, text: str) -> bool:
    return normalize(text) is not None and own >= key(text)


def combined(
    sources: Iterable[Callable[[Iterable[Release]], Known]], known: Mapping[Release, tuple[Advisory, ...] | None]
) -> Known:
    """*known* with the data of *sources* where it has none."""
    result = dict(known)
    for source in sources:
        missing = [release for release, advisories in result.items() if advisories is None]
        result |= source(missing) if missing else {}
    return result
