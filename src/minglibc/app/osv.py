"""Vulnerability data of OSV, where the index has none."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.cache.pages import Store
from minglibc.errors import SettingsError
from minglibc.index.osv import OSV_URL, OsvApi, OsvFile, combined
from minglibc.insight.vulnerabilities import ATTRIBUTION, Known
from minglibc.model.urls import DEFAULT_INDEX_URL

_VARIABLE = "MINGLIBC_OSV_URL"

Releases = Iterable[tuple[str, str]]


def open_file(path: str, is_of_default_index: Callable[[str], bool]) -> Callable[[Releases], Known]:
    """The data in an export of OSV for projects of the default index; raises SettingsError."""
    if not os.path.exists(path):
        raise SettingsError(f"there is no {path}", hint="--osv-file is a zip archive or a folder with records of OSV")
    return OsvFile(path, concerns=is_of_default_index).of


def open_api(
    common: CommonOptions, store: Store, homes: Mapping[str, str], reporter: Reporter
) -> Callable[[Releases], Known]:
    """The data of OSV's API; only names of projects that come from the public index are sent, by their index in *homes*."""
    url = os.environ.get(_VARIABLE) or OSV_URL
    if not url.lower().startswith(("https://", "http://")):
        raise SettingsError(f"{_VARIABLE} must begin with https:// or http://", hint=f"OSV's own address is {OSV_URL}")

    def is_public(name: str) -> bool:
        return homes.get(name) == DEFAULT_INDEX_URL

    return OsvApi(store, is_public=is_public, url=url, offline=common.offline, on_trouble=reporter.warn).of


def with_sources(
    of_index: Callable[..., Known], sources: Sequence[Callable[[Releases], Known]], reporter: Reporter
) -> Callable[..., Known]:
    """*of_index*, with the data of *sources* where it has none."""

    def of(releases: Releases, *, newest: Releases = ()) -> Known:
        known = of_index(releases, newest=newest)
        result = combined(sources, known)
        if result != known:
            reporter.info(ATTRIBUTION)
        return result

    return of
