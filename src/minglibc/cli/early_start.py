"""Starts the process that fetches before `lock` imports the resolver, where it will probably be needed."""

# Only modules that import next to nothing.

import os
import time

from minglibc.cache.location import INDEX_FORMAT, find_problem
from minglibc.cli.plain_options import cache_folder

# Most indexes allow pages to be used for ten minutes.
_MAX_AGE = 600
_NO_REQUESTS = frozenset(("--offline", "--check", "-h", "--help"))


def start(options: list[str]) -> None:
    """Start the process if the *options* of `lock` and the age of the cache suggest that there is something to fetch.

    A wrong guess costs processor time: a process that is not used ends with this one, and one is started when it is needed.
    """
    if not _NO_REQUESTS.isdisjoint(options) or "MINGLIBC_OFFLINE" in os.environ:
        return
    cache = cache_folder(options)
    if cache and not find_problem(cache) and ("--refresh" in options or _is_stale(cache)):
        from minglibc.index import fetch_process  # noqa: PLC0415  1 ms, where the cache has all pages

        fetch_process.start_early(cache)


def _is_stale(cache: str) -> bool:
    """Whether the cache has no page of an index that was written or confirmed recently."""
    try:
        with os.scandir(os.path.join(cache, INDEX_FORMAT, "pages")) as indexes:
            newest = max((index.stat().st_mtime for index in indexes), default=0.0)
    except OSError:
        return True
    return not 0 <= time.time() - newest < _MAX_AGE
