"""The HTTP server, uvicorn: its limits, its socket, and how it is stopped."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from minglibc.errors import MinglibcError, SettingsError

# The longest head of a request, in bytes.
MAX_HEAD = 32 << 10
# How long a request may take to arrive.
REQUEST_SECONDS = 30.0
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 30
# A worker that is busy for less is not killed, as it would be after five seconds.
_HEALTH_SECONDS = 30


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes connections whose request has too long a head or arrives too slowly."""

    _head_size = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def data_received(self, data: bytes) -> None:
        """Parse *data*, unless the head of the request is too long."""
        if self._is_in_head:
            self._head_size += len(data)
            self._expect_request()
        super().data_received(data)
        if self._is_in_head and self._head_size > MAX_HEAD and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        self._is_in_head, self._head_size = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is complete, and the head of another one may follow."""
        self._is_in_head = True
        self._stop_waiting()
        super().on_message_complete()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at *host* and *port*; raises SettingsError, or MinglibcError if the port is in use."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"--host is {host!r}, which is not an address of this machine") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise MinglibcError(
            f"can't listen at {host} port {port}: {error.strerror}", hint="choose another port with --port"
        ) from error
    return listener


def origin_of_socket(listener: socket.socket) -> str:
    """The URL of a listening socket, for clients on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def config(make: Callable[[], ASGIApp], *, access_log: bool, **more: Any) -> uvicorn.Config:
    """The configuration of uvicorn for the application that *make* returns."""
    return uvicorn.Config(
        make,
        factory=True,
        http=LimitedProtocol,
        ws="none",
        lifespan="on",
        log_config=_logging(),
        access_log=access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_worker_healthcheck=_HEALTH_SECONDS,
        **more,
    )


def _logging() -> dict[str, Any]:
    """Logs on stderr: requests, and warnings of the server."""
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "plain"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(message)s", "datefmt": "%Y-%m-%dT%H:%M:%S%z"}},
        "handlers": {"plain": handler},
        "loggers": {
            "uvicorn.error": {"handlers": ["plain"], "level": "WARNING", "propagate": False},
            "uvicorn.access": {"handlers": ["plain"], "level": "INFO", "propagate": False},
        },
    }


def _is_hangup_ignored() -> bool:
    """Whether SIGHUP is ignored, as by nohup."""
    return signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


class _Server(uvicorn.Server):
    """uvicorn's server, for which a signal is the usual end: it is not raised again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT, SIGTERM and SIGHUP."""
        numbers = (signal.SIGINT, signal.SIGTERM, *(() if _is_hangup_ignored() else (signal.SIGHUP,)))
        previous = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class _Supervisor(Multiprocess):
    """uvicorn's supervisor of workers, which ends at SIGHUP, as other commands do, instead of starting new workers."""

    def __init__(self, settings: uvicorn.Config, sockets: list[socket.socket]) -> None:
        is_ignored = _is_hangup_ignored()
        super().__init__(settings, sockets)
        if is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_hup(self) -> None:
        """End the workers."""
        self.handle_term()


def run(settings: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; requests in progress are completed."""
    _Server(settings).run(sockets=[listener])


def run_workers(make: Callable[[], ASGIApp], listener: socket.socket, *, workers: int, access_log: bool) -> None:
    """Serve in several processes until SIGINT, SIGTERM or SIGHUP; those that end are replaced."""
    # Each worker writes its metrics to a file, and all read them.
    with tempfile.TemporaryDirectory(prefix="minglibc-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        _Supervisor(config(partial(_in_worker, make), access_log=access_log, workers=workers), [listener]).run()


def _in_worker(make: Callable[[], ASGIApp]) -> ASGIApp:
    """The application, in a process that ends after its parent has been killed: it would keep the port."""
    if parent := multiprocessing.parent_process():

        def watch() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, name="parent", daemon=True).start()
    return make()


@contextmanager
def running(settings: uvicorn.Config, listener: socket.socket) -> Iterator[None]:
    """Serve in another thread until the end of the block."""
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise MinglibcError("the server did not start; its log is above")
        thread.join(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_GRACE_SECONDS)
        logging.shutdown()
