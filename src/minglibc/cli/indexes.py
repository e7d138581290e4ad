"""Which indexes a project asks, in which order, and with whose credentials."""

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from minglibc.adapters.credentials import Credentials
from minglibc.adapters.index import DEFAULT_INDEX_URL, Index
from minglibc.adapters.store import Store
from minglibc.settings import Settings
from minglibc.speculation import Speculation


def open_index(
    settings: Settings | None,
    arguments: Namespace,
    store: Store,
    speculation: Speculation,
    *,
    fallback: str = DEFAULT_INDEX_URL,
    on_fetch: Callable[[str], None] = lambda what: None,  # noqa: ARG005
) -> Index:
    """The project's indexes as one: the named ones in their order, then --index-url or the default one, else *fallback*."""
    named = settings.indexes if settings else ()
    told = Credentials()
    urls = {index.name: told.take(index.url, name=index.name) for index in named}
    default = next((urls[index.name] for index in named if index.default), None) or (settings and settings.index_url)
    return Index(
        arguments.index_url or default or fallback,
        store,
        speculation,
        before=[urls[index.name] for index in named if not index.default and not index.explicit],
        pins={project: urls[name] for project, name in (settings.sources if settings else {}).items()},
        flat=[urls[index.name] for index in named if index.format == "flat"],
        credentials=told,
        offline=arguments.offline,
        refresh=getattr(arguments, "refresh", False),
        on_fetch=on_fetch,
    )


def credentials(pyproject: str | None, arguments: Namespace) -> Credentials:
    """What the hosts of a project's locked wheels are told; *pyproject* was found to be right when it was locked."""
    found = Credentials()
    for name, url in _addresses(pyproject or ""):
        try:
            found.take(url, name=name)
        except ValueError:
            continue
    given = getattr(arguments, "index_url", None) or os.environ.get("MINGLIBC_INDEX_URL")
    if given:
        found.take(given)
    return found


def _addresses(pyproject: str) -> list[tuple[str, str]]:
    """The names and addresses of the indexes that *pyproject* states."""
    import tomllib  # noqa: PLC0415  paid for only where something is downloaded

    try:
        table: Any = tomllib.loads(pyproject).get("tool", {}).get("minglibc", {})
        named = [(item["name"], item["url"]) for item in table.get("index", [])]
    except (ValueError, LookupError, AttributeError, TypeError):
        return []
    found = [("", table.get("index-url")), *named]
    return [(name, url) for name, url in found if isinstance(name, str) and isinstance(url, str)]
