"""The project that a misspelt name probably means, among those that were used before."""

from collections.abc import Iterable
from difflib import get_close_matches

from minglibc.cache.pages import Store

# 1 is equal.
_SIMILARITY = 0.8


def similar_name(name: str, store: Store, folders: Iterable[str]) -> str:
    """The cached project whose name is most like *name*; else empty.

    The index is not asked for similar names, because misspelt names can be registered there for attacks.
    """
    cached = [(folder, other) for folder in folders for other in store.names(folder) if other != name]
    for similar in get_close_matches(name, {other for _, other in cached}, 3, _SIMILARITY):
        if any(other == similar and _has_project(store, folder, other) for folder, other in cached):
            return similar
    return ""


def _has_project(store: Store, folder: str, name: str) -> bool:
    entry = store.read(folder, name)
    return entry is not None and isinstance(entry.head, dict) and entry.head.get("page") is not None
