"""The use case of `serve`: an index server for the files within a cap."""

import ipaddress
import os
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.indexes import open_index
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.cache.pages import Store
from minglibc.config import files, workspace
from minglibc.config.index_settings import IndexSettings, read_index_settings
from minglibc.errors import SettingsError
from minglibc.index.addresses import is_local
from minglibc.index.client import Index
from minglibc.model.urls import display_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from minglibc.resolve.prefetch import Speculation
    from minglibc.serve.application import Application
    from minglibc.serve.files import Files
    from minglibc.serve.metrics import Metrics
    from minglibc.serve.pages import Pages

# The modules of the extra; uvloop is used where it is there.
_EXTRA = ("httptools", "prometheus_client", "starlette", "uvicorn")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SHORTEST_TOKEN = 16
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8484


class ServeOptions(NamedTuple):
    """What is served, and to whom."""

    common: CommonOptions = CommonOptions()
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    admitted: tuple[str, ...] = ()
    """What pages have besides Linux wheels: macos, windows, sdist."""
    proxy_files: bool = False
    """Whether clients get all files from this server."""
    file_hosts: tuple[str, ...] = ()
    """Hosts that files may be fetched from, besides those of the indexes."""
    stale_if_error: int = 0
    """For how many seconds an old page is served if its index can't be reached."""
    allowed_hosts: tuple[str, ...] = ()
    """The names in the Host header that are accepted; empty for all, or on loopback for its names."""
    token_file: str | None = None
    """A file with the password that clients must send."""
    allow_private: bool = False
    """Whether an index with credentials is served to other machines without a token."""
    workers: int = 1
    memory: int = 256 << 20
    """The bytes of pages that each worker keeps in memory."""
    file_cache: int = 20 << 30
    """The bytes of wheels in the cache folder, from which the server removes those that were used longest ago."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


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


def serve(options: ServeOptions, reporter: Reporter, *, access_log: bool = True) -> None:
    """Serve until a signal ends it."""
    require_extra()
    from minglibc.serve import server  # noqa: PLC0415  the libraries are optional dependencies

    make = checked_factory(options, reporter)
    with server.listen(options.host, options.port) as listener:
        reporter.info(f"Serving at {server.origin_of_socket(listener)}/ (Ctrl-C stops the server)")
        if options.workers > 1:
            server.run_workers(make, listener, workers=options.workers, access_log=access_log)
        else:
            server.run(server.config(make, access_log=access_log), listener)


def require_extra() -> None:
    """Raise SettingsError where the packages of the extra are missing."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"`minglibc serve` needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint='install the extra: pip install "minglibc[serve]"',
        )


def checked_factory(options: ServeOptions, reporter: Reporter) -> "Callable[[], Application]":
    """A function that makes the ASGI application, in this process or in a worker; raises SettingsError."""
    indexes = find_indexes(options.common)
    for warning in indexes.settings.warnings:
        reporter.warn(warning)
    token = _read_token(options.token_file)
    index = _open_indexes(options, indexes, Store(options.common.cache_folder, on_trouble=reporter.warn))
    private = [base for base in index.addresses.all if not is_local(base) and index.credentials.headers(base)]
    if private and not (options.is_local or token or options.allow_private):
        raise SettingsError(
            f"{display_url(private[0])} needs credentials, and at {options.host} everybody could use them",
            hint="require a token with --token-file, allow it with --allow-private, or listen at 127.0.0.1",
        )
    common = options.common._replace(warn=SILENT.warn)
    return partial(_make_application, options._replace(common=common), indexes, token)


def _read_token(path: str | None) -> str:
    if path is None:
        return ""
    token = (files.read_file(path) or "").strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise SettingsError(
            f"{path} contains no token", hint=f"write {_SHORTEST_TOKEN} or more printable ASCII characters to it"
        )
    return token


def _no_speculation() -> "Speculation":
    raise AssertionError("pages are requested by the server, not by the client of a lock")


def _open_indexes(options: ServeOptions, indexes: Indexes, store: Store) -> Index:
    return open_index(indexes.settings, options.common, store, _no_speculation, folder=indexes.folder)


class Parts(NamedTuple):
    """What an application consists of."""

    pages: "Pages"
    files: "Files"
    metrics: "Metrics"
    is_private: bool


def make_parts(options: ServeOptions, indexes: Indexes) -> Parts:
    """The pages and files that *options* describe."""
    # The extra's packages are imported when a server starts.
    from minglibc.cache.wheels import WheelCache  # noqa: PLC0415
    from minglibc.index.limits import Limits  # noqa: PLC0415
    from minglibc.serve.files import FileLimit, Files  # noqa: PLC0415
    from minglibc.serve.known_needs import KnownNeeds  # noqa: PLC0415
    from minglibc.serve.metrics import Metrics  # noqa: PLC0415
    from minglibc.serve.pages import Pages  # noqa: PLC0415
    from minglibc.serve.upstream import Hosts, Upstream  # noqa: PLC0415

    # Installers wait for 15 seconds or more, and try again.
    limits = Limits.from_environment(timeout=10.0, retries=1)
    folder = options.common.cache_folder
    index = _open_indexes(options, indexes, Store(folder))
    hosts = Hosts(index.addresses.all, options.file_hosts)
    upstream = Upstream(index, Store(folder), hosts, stale_if_error=options.stale_if_error)
    metrics = Metrics()
    pages = Pages(
        upstream,
        limits,
        admitted=options.admitted,
        is_proxied=lambda base: options.proxy_files or base in upstream.private,
        memory=options.memory,
        needs=KnownNeeds(Store(folder)),
        metrics=metrics,
    )
    limit = FileLimit(folder, options.file_cache)
    files = Files(pages, upstream, hosts, limits, WheelCache(folder), limit=limit)
    return Parts(pages, files, metrics, bool(upstream.private))


def _make_application(options: ServeOptions, indexes: Indexes, token: str) -> "Application":
    from minglibc.serve.application import Access, Application  # noqa: PLC0415  as above

    parts = make_parts(options, indexes)
    names = (*_LOOPBACK_NAMES, options.host) if options.is_local else ()
    accepted = frozenset(name.lower() for name in (*options.allowed_hosts, *names))
    is_checked = options.is_local or bool(options.allowed_hosts)
    access = Access(accepted if is_checked else (), token, bool(token) or parts.is_private)
    return Application(parts.pages, parts.files, parts.metrics, access)
