"""Which indexes a project asks, in which order, and with whose credentials."""

import os
from collections.abc import Callable
from typing import Any

from minglibc.cache.pages import Store
from minglibc.cli.options import Namespace
from minglibc.config.settings import NamedIndex, Settings
from minglibc.errors import SettingsError
from minglibc.index.client import DEFAULT_INDEX_URL, Index
from minglibc.index.credentials import Credentials, without_credentials
from minglibc.lock.document import Lock
from minglibc.resolve.prefetch import Speculation


def open_index(
    settings: Settings | None,
    arguments: Namespace,
    store: Store,
    speculation: Speculation,
    *,
    place: str,
    fallback: str = DEFAULT_INDEX_URL,
    on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
) -> Index:
    """The project's indexes as one: the named ones in their order, then --index-url or the default one, else *fallback*.

    Those on this machine are relative to *place*, the lock's folder.
    """
    named = settings.indexes if settings else ()
    told = Credentials()
    urls = {index.name: _address(index, told, place) for index in named}
    default = next((urls[index.name] for index in named if index.default), None) or (settings and settings.index_url)
    return Index(
        arguments.index_url or default or fallback,
        store,
        speculation,
        before=[urls[index.name] for index in named if not index.default and not index.explicit],
        pins={project: urls[name] for project, name in (settings.sources if settings else {}).items()},
        flat=[urls[index.name] for index in named if index.format == "flat"],
        place=place,
        credentials=told,
        offline=arguments.offline,
        refresh=getattr(arguments, "refresh", False),
        on_fetch=on_fetch,
    )


def _address(index: NamedIndex, told: Credentials, place: str) -> str:
    """The URL of *index*, without the credentials, which *told* remembers."""
    if not index.is_local:
        return told.take(index.url, name=index.name)
    from minglibc.model import direct_references  # noqa: PLC0415  few projects have wheels on this machine

    try:
        return direct_references.place(index.url, place)[0]
    except ValueError as error:
        raise SettingsError(f"the index {index.name}, {index.url}, {error}") from error


def addresses(settings: Settings) -> dict[str, str]:
    """The addresses of the named indexes on servers, as a lock has them."""
    named = {index: without_credentials(index.url) for index in settings.indexes if not index.is_local}
    return {i.name: url if i.format == "flat" or url.endswith("/") else f"{url}/" for i, url in named.items()}


def credentials(pyproject: str | None, lock: Lock, arguments: Namespace) -> Credentials:
    """What the hosts of *lock*'s wheels are told; where *pyproject* is not at hand, the lock says which index is where."""
    found = Credentials()
    for name, url in lock.indexes.items() if pyproject is None else _stated(pyproject):
        try:
            found.take(url, name=name)
        except ValueError:
            continue
    given = getattr(arguments, "index_url", None) or os.environ.get("MINGLIBC_INDEX_URL")
    if given:
        found.take(given)
    return found


def _stated(pyproject: str) -> list[tuple[str, str]]:
    """The names and addresses of the indexes that *pyproject* states."""
    import tomllib  # noqa: PLC0415  paid for only where something is downloaded

    try:
        table: Any = tomllib.loads(pyproject).get("tool", {}).get("minglibc", {})
        named = [(item["name"], item["url"]) for item in table.get("index", [])]
    except (ValueError, LookupError, AttributeError, TypeError):
        return []
    found = [("", table.get("index-url")), *named]
    return [
        (name, url)
        for name, url in found
        if isinstance(name, str) and isinstance(url, str) and url.lower().startswith(("https://", "http://"))
    ]
