"""The use case of `serve`: an index server for the files within a cap."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.indexes import open_index
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.cache.pages import Store
from minglibc.config import files, workspace
from minglibc.config.index_settings import IndexSettings, read_index_settings
from minglibc.errors import SettingsError
from minglibc.index.client import Index
from minglibc.model.urls import display_url

if TYPE_CHECKING:
    from minglibc.resolve.prefetch import Speculation
    from minglibc.serve.application import Application

# The modules of the extra; uvloop is used where it is there.
_EXTRA = ("httptools", "prometheus_client", "starlette", "uvicorn")
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
DEFAULT_PORT = 8484


class ServeOptions(NamedTuple):
    """What is served, and to whom."""

    common: CommonOptions = CommonOptions()
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    admitted: tuple[str, ...] = ()
    """What pages have besides Linux wheels: macos, windows, sdist."""
    memory: int = 256 << 20
    """The bytes of pages that are kept in memory."""


class Indexes(NamedTuple):
    """The index tables of the project, and the folder that their paths are relative to."""

    settings: IndexSettings
    folder: str


def find_indexes(common: CommonOptions) -> Indexes:
    """The indexes of the project; the default one if there is no project and none was named."""
    try:
        folder = workspace.root_of(files.find(common.project))
    except SettingsError:
        if common.project is not None:
            raise
        return Indexes(IndexSettings(), os.getcwd())
    path = files.pyproject_path(folder)
    return Indexes(read_index_settings(files.read_pyproject(folder), os.path.basename(path)), folder)


def _no_speculation() -> "Speculation":
    raise AssertionError("pages are requested by the server, not by the client of a lock")


def _open_indexes(options: ServeOptions, indexes: Indexes, store: Store) -> Index:
    index = open_index(indexes.settings, options.common, store, _no_speculation, folder=indexes.folder)
    for base in index.bases:
        if index.is_local(base):
            raise SettingsError(
                f"the index {display_url(base)} is a folder or file on this machine, which `serve` does not support",
                hint="serve it with a web server, and use its URL",
            )
    return index


def make_application(options: ServeOptions, indexes: Indexes, reporter: Reporter) -> "Application":
    """The ASGI application for *options*."""
    from minglibc.index.limits import Limits  # noqa: PLC0415  the extra's packages are imported when a server starts
    from minglibc.serve.application import Access, Application  # noqa: PLC0415  as above
    from minglibc.serve.known_needs import KnownNeeds  # noqa: PLC0415  as above
    from minglibc.serve.pages import Pages  # noqa: PLC0415  as above
    from minglibc.serve.upstream import Hosts, Upstream  # noqa: PLC0415  as above

    folder = options.common.cache_folder
    store = Store(folder, on_trouble=reporter.warn)
    index = _open_indexes(options, indexes, store)
    pages = Pages(
        Upstream(index, store, Hosts(index.bases, ())),
        Limits.from_environment(),
        admitted=options.admitted,
        is_proxied=lambda _base: False,
        memory=options.memory,
        needs=KnownNeeds(Store(folder, on_trouble=reporter.warn)),
    )
    hosts = LOOPBACK if options.host in LOOPBACK else ()
    return Application(pages, Access(hosts))


def serve(options: ServeOptions, reporter: Reporter) -> None:
    """Serve until a signal ends it."""
    require_extra()
    from minglibc.serve import server  # noqa: PLC0415  the libraries are optional dependencies

    with server.listen(options.host, options.port) as listener:
        application = make_application(options, find_indexes(options.common), reporter)
        reporter.info(f"Serving at {server.origin_of_socket(listener)}/ (Ctrl-C stops the server)")
        server.run(server.config(application, access_log=True), listener)


def require_extra() -> None:
    """Raise SettingsError where the packages of the extra are missing."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"`minglibc serve` needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint='install the extra: pip install "minglibc[serve]"',
        )
