"""The indexes of a project or a lock: their order, their addresses and their credentials."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from minglibc.app.options import CommonOptions
from minglibc.cache.pages import Store
from minglibc.config.settings import NamedIndex, Settings
from minglibc.errors import SettingsError
from minglibc.index.addresses import IndexAddresses
from minglibc.index.client import Index
from minglibc.index.credentials import Credentials, without_credentials
from minglibc.model.urls import DEFAULT_INDEX_URL, display_url

if TYPE_CHECKING:
    from minglibc.config.index_settings import IndexSettings
    from minglibc.lock.reader import Lock
    from minglibc.resolve.prefetch import Speculation


def open_index(
    settings: "Settings | IndexSettings | None",
    common: CommonOptions,
    store: Store,
    speculation: "Callable[[], Speculation]",
    *,
    folder: str,
    fallback: str = DEFAULT_INDEX_URL,
    on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
    on_detail: Callable[[str], None] | None = None,
) -> Index:
    """The project's indexes as one: the named ones in their order, then --index-url, the default one or *fallback*.

    Paths of indexes on this machine are relative to *folder*, the lock's folder.
    """
    named = settings.indexes if settings else ()
    credentials = Credentials()
    urls = {index.name: _index_url(index, credentials, folder) for index in named}
    default = next((urls[index.name] for index in named if index.default), None) or (settings and settings.index_url)
    addresses = IndexAddresses(
        common.index_url or default or fallback,
        before=[
            *(_added_url(text, credentials) for text in common.indexes),
            *(urls[index.name] for index in named if not (index.default or index.explicit or index.after)),
        ],
        after=[urls[index.name] for index in named if index.after],
        pins={project: urls[name] for project, name in (settings.sources if settings else {}).items()},
        flat=[urls[index.name] for index in named if index.format == "flat"],
        root=folder,
        credentials=credentials,
    )
    return Index(
        addresses,
        store,
        speculation,
        offline=common.offline,
        refresh=common.refresh,
        on_fetch=on_fetch,
        on_detail=on_detail,
    )


def _added_url(text: str, credentials: Credentials) -> str:
    """The URL of an index of ``CommonOptions.indexes`` without its user and password, which are added to *credentials*."""
    name, url = added_index(text)
    return credentials.take(url, name=name)


def added_index(text: str) -> tuple[str, str]:
    """The name, which may be empty, and the URL in NAME=URL or URL; raises SettingsError."""
    match = re.fullmatch(r"(?:([A-Za-z0-9][A-Za-z0-9._-]*)=)?(https?://.+)", text, re.IGNORECASE)
    if match is None:
        raise SettingsError(
            "--index must be a URL that begins with https:// or http://, or NAME=URL",
            hint='a folder of wheels is an index with format = "flat" in [[tool.minglibc.index]]',
        )
    return match[1] or "", match[2]


def _index_url(index: NamedIndex, credentials: Credentials, folder: str) -> str:
    """The URL of *index* without its user and password, which are added to *credentials*."""
    if not index.is_local:
        return credentials.take(index.url, name=index.name)
    from minglibc.model import direct_references  # noqa: PLC0415  5 ms; few projects have local indexes

    try:
        return direct_references.local_url(index.url, folder)[0]
    except ValueError as error:
        raise SettingsError(f"the index {index.name}, {display_url(index.url)}, {error}") from error


def index_addresses(settings: Settings) -> dict[str, str]:
    """The addresses of the named indexes on servers, by name, as a lock records them."""
    urls = {index: without_credentials(index.url) for index in settings.indexes if not index.is_local}
    return {i.name: url if i.format == "flat" or url.endswith("/") else f"{url}/" for i, url in urls.items()}


def configured_urls(settings: Settings, index_url: str | None) -> set[str]:
    """The addresses of the indexes that are used with *settings* and --index-url, as a lock records them."""
    named = index_addresses(settings)
    defaults = [index.name for index in settings.indexes if index.default and index.name in named]
    url = index_url or (named[defaults[0]] if defaults else settings.index_url) or DEFAULT_INDEX_URL
    return {*named.values(), f"{without_credentials(url).rstrip('/')}/"}


def index_of_lock(lock: "Lock") -> str:
    """The index that a lock was made from, for use without settings."""
    return next((str(package.index) for package in lock.pylock.packages if package.index), DEFAULT_INDEX_URL)


def credentials_for(
    pyproject: str | None, lock: "Lock", index_url: str | None, added: Iterable[str] = ()
) -> Credentials:
    """The credentials for downloads of *lock*; its own list of indexes is used where there is no *pyproject*.

    *added* are indexes of the command line, as in ``CommonOptions.indexes``.
    """
    credentials = Credentials()
    for name, url in lock.indexes.items() if pyproject is None else _named_urls(pyproject):
        try:
            credentials.take(url, name=name)
        except (ValueError, SettingsError):
            continue
    if index_url:
        credentials.take(index_url)
    for text in added:
        _added_url(text, credentials)
    return credentials


def _named_urls(pyproject: str) -> Iterable[tuple[str, str]]:
    """The names and URLs of the indexes in *pyproject*."""
    from minglibc.config.other_indexes import read_other_indexes  # noqa: PLC0415  1 ms, and only downloads need it
    from minglibc.config.problems import Problems  # noqa: PLC0415  as above
    from minglibc.model import toml  # noqa: PLC0415  5 ms, as above

    try:
        document = toml.loads(pyproject.removeprefix("\ufeff"))
        table: Any = document.get("tool", {}).get("minglibc", {})
        indexes = [("", table.get("index-url")), *((item["name"], item["url"]) for item in table.get("index", []))]
        indexes += [(index.name, index.url) for index in read_other_indexes(document, Problems("", {})).indexes]
    except (ValueError, LookupError, AttributeError, TypeError):
        return []
    return [
        (name, url)
        for name, url in indexes
        if isinstance(name, str) and isinstance(url, str) and url.lower().startswith(("https://", "http://"))
    ]
