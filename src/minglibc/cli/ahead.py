"""The network's process started before anything else, where `lock` is likely to ask: it imports httpx meanwhile."""

import os
import time
from contextlib import suppress

from minglibc.cache.location import default_folder
from minglibc.cache.pages import FORMAT

# Most indexes say that their pages hold for ten minutes.
_HOLDS = 600
_NEVER = frozenset(("--offline", "--check", "-h", "--help"))


def begin(arguments: list[str]) -> None:
    """Start the process, if the command line's *arguments* and the cache look as if there is something to ask."""
    if not _NEVER.isdisjoint(arguments) or "MINGLIBC_OFFLINE" in os.environ or "MINGLIBC_CHECK" in os.environ:
        return
    folder = _value("--cache-dir", arguments) or os.environ.get("MINGLIBC_CACHE_DIR") or default_folder()
    if "--refresh" in arguments or "MINGLIBC_REFRESH" in os.environ or _is_stale(folder):
        from minglibc.index import wire  # noqa: PLC0415  where all is cached, nothing is asked

        wire.begin(folder)


def _value(option: str, arguments: list[str]) -> str | None:
    found = None
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option:
            found = value if equals else "".join(arguments[place + 1 : place + 2])
    return found


def _is_stale(folder: str) -> bool:
    """Whether the cache has no page that came or was confirmed lately."""
    newest = 0.0
    with suppress(OSError), os.scandir(os.path.join(folder, FORMAT, "pages")) as indexes:
        newest = max((index.stat().st_mtime for index in indexes), default=0.0)
    return not 0 <= time.time() - newest < _HOLDS
