"""The worker threads: their number, their order, and how they end."""

import importlib.util
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from minglibc.errors import IndexAnswerError, IndexUnreachable, SettingsError
from minglibc.index.connection import Connection, Request
from minglibc.index.limits import Limits
from minglibc.index.transport import Task, Transport
from tests.support.environments import LockedProject
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PATIENCE = 30


def wait_at(barrier: threading.Barrier, _: Connection) -> int:
    """Wait until all threads have come to *barrier*; a different number for each."""
    return barrier.wait(PATIENCE)


def append(names: list[str], name: str, _: Connection) -> None:
    """Record that a task has run."""
    names.append(name)


def test_all_workers_run_at_once() -> None:
    """As many tasks run at the same time as there are workers, also when workers were idle before."""
    transport = Transport(Limits(), size=4)
    for _ in range(20):
        barrier = threading.Barrier(4)
        tasks = [transport.submit(partial(wait_at, barrier)) for _ in range(4)]
        assert {0, 1, 2, 3} == set(transport.wait_all(tasks))
    transport.close()


def test_urgent_tasks_come_first() -> None:
    """While one worker is busy, urgent and promoted tasks overtake others."""
    transport = Transport(Limits(), size=1)
    gate = threading.Event()
    order: list[str] = []
    tasks: list[Task[Any]] = [transport.submit(lambda _: gate.wait(PATIENCE))]
    names = {name: transport.submit(partial(append, order, name)) for name in ("a", "b", "c")}
    tasks += [*names.values(), transport.submit(partial(append, order, "urgent"), urgent=True)]
    transport.promote(names["c"])
    gate.set()
    transport.wait_all(tasks)
    assert ["urgent", "c", "a", "b"] == order
    transport.close()


def test_reserved_workers_are_for_urgent_tasks() -> None:
    """Tasks that are not urgent leave the reserved workers free."""
    transport = Transport(Limits(), size=3, reserved=1)
    gate = threading.Event()
    running: list[int] = []

    def block(_: Connection) -> None:
        running.append(1)
        gate.wait(PATIENCE)

    blocked = [transport.submit(block) for _ in range(5)]
    assert "urgent" == transport.wait(transport.submit(lambda _: "urgent", urgent=True))
    assert len(running) <= 2
    gate.set()
    transport.wait_all(blocked)
    transport.close()


def test_the_first_error_ends_the_wait() -> None:
    """``wait_all`` raises an error at once, while other tasks are running."""
    transport = Transport(Limits(), size=2)
    gate = threading.Event()

    def fail(_: Connection) -> None:
        raise LookupError("no")

    tasks: list[Task[Any]] = [transport.submit(lambda _: gate.wait(PATIENCE)), transport.submit(fail)]
    began = time.monotonic()
    with pytest.raises(LookupError):
        transport.wait_all(tasks)
    assert time.monotonic() - began < PATIENCE
    gate.set()
    transport.close()


def test_close_cancels_what_has_not_begun() -> None:
    """After ``close``, no further task runs, and idle threads have ended."""
    transport = Transport(Limits(), size=1)
    transport.wait(transport.submit(lambda _: None))
    before = threading.active_count()
    transport.close()
    assert before - 1 == threading.active_count()


@pytest.mark.parametrize("size", [1, 3])
def test_a_connection_that_cannot_be_made_is_an_error(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who wait get the error of the connection, whatever it is, and a later connection is tried again."""
    failures = [OSError("no sockets"), ImportError("no module"), MemoryError()]

    def fail(*_: Any, **__: Any) -> Connection:
        raise failures[0]

    transport = Transport(Limits(), size=size)
    with monkeypatch.context() as patch:
        patch.setattr("minglibc.index.transport.Connection", fail)
        for _ in range(len(failures)):
            tasks = [transport.submit(lambda _: 1) for _ in range(5)]
            for task in tasks:
                with pytest.raises(type(failures[0])):
                    transport.wait(task)
            failures.append(failures.pop(0))
    assert transport.wait(transport.submit(lambda _: 1)) == 1
    transport.close()


@pytest.mark.parametrize("threads", [0, 1])
def test_the_limit_on_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no further thread starts, the workers that there are run all tasks; without any, tasks fail."""
    transport = Transport(Limits(), size=4)
    start, remaining = threading.Thread.start, [None] * threads

    def limited(thread: threading.Thread) -> None:
        if not remaining:
            raise RuntimeError("can't start new thread")
        remaining.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    tasks = [transport.submit(lambda _: 1) for _ in range(5)]
    if threads:
        assert transport.wait_all(tasks) == [1] * 5
    else:
        with pytest.raises(IndexUnreachable, match="thread"):
            transport.wait_all(tasks)
    transport.close()


@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        *("foo://h", "http://[::1", "://", "http://", "http:///x", "http://h:abc", "h:99999", "socks4://h:1"),
        *("http://é..x", "http://u:s3cr3t@h:port", "\x01", "http://h\nx", "//"),
        *(f"http://{'x' * 64}:1", "http://a..b:1"),
    ],
)
def test_unusable_proxies(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable that is no URL of a proxy is named in an error, without its value, which may have a password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable} ") as caught:
        Connection(Limits())
    assert "s3cr3t" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("host", ["x" * 64, "a..b"])
def test_hosts_that_cannot_be_looked_up(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL whose host has an empty or too long part is invalid."""
    # Before the look-up, Python encodes the name.
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *_args, **_more: name.encode("idna"))
    connection = Connection(Limits())
    with pytest.raises(IndexAnswerError, match="is invalid"):
        connection.get(f"http://{host}/simple/b/", {})
    connection.close()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks_proxies(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOCKS proxies need a package; the error names it and the variable."""
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:1080")
    if importlib.util.find_spec("socksio"):
        Connection(Limits()).close()
    else:
        with pytest.raises(SettingsError, match=r"ALL_PROXY.*socksio"):
            Connection(Limits())


def test_usable_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host and a port are enough, and an empty variable names no proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "")
    monkeypatch.setenv("no_proxy", "localhost, .example, 127.0.0.1, ::1")
    Connection(Limits()).close()


@pytest.mark.parametrize("command", ["lock", "sync"])
@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1", "foo://h", "http://[::1"])
def test_commands_with_an_unusable_proxy(
    command: str, value: str, index: IndexServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command ends at once with an error that names the variable."""
    project = LockedProject(tmp_path / "project", index)
    index.add(build_wheel("b", "1.0"))
    project.lock("b")
    monkeypatch.setenv("ALL_PROXY", value)
    if value.startswith("socks5") and importlib.util.find_spec("socksio"):
        pytest.skip("SOCKS proxies are supported")
    ran = project.command(command, *(["--refresh", "--upgrade"] if command == "lock" else []))
    assert ran.code == 2
    assert "ALL_PROXY" in ran.err


@pytest.mark.parametrize("part", ["body", "headers"])
@pytest.mark.parametrize("redirects", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_slow_response_is_not_requested_again(part: str, redirects: int) -> None:
    """A server that sends a byte at a time keeps a request for its deadline and one timeout more, once."""
    with TricklingServer(part, redirects) as server:
        transport = Transport(Limits(timeout=0.5, deadline=1.5, retries=3), size=1)
        started = time.monotonic()
        with pytest.raises(IndexUnreachable, match=r"no complete response within 1.5 s"):
            transport.wait(transport.submit(lambda connection: connection.get(server.url, {})))
        assert time.monotonic() - started < 6
        assert len(server.requests) == 1 + (redirects if part == "body" else 0)
        transport.close()


def test_a_size_that_the_server_promises_is_no_allowance() -> None:
    """A large file gets more time only as its bytes arrive."""
    with TricklingServer("body", 0) as server:
        transport = Transport(Limits(timeout=0.5, deadline=1, retries=3), size=1)
        request = Request(server.url, {}, size=1 << 40)
        with pytest.raises(IndexUnreachable, match="no complete response within 1 s"):
            transport.wait(transport.submit(lambda c: c.send(request, lambda _, chunks: b"".join(chunks))))
        transport.close()


class TricklingServer:
    """A server that redirects some times, then sends one byte of its headers or body every tenth of a second."""

    def __init__(self, part: str, redirects: int) -> None:
        self._part = part
        self._redirects = redirects
        self.requests: list[int] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while client.recv(65536):
                self.requests.append(1)
                if self._part == "body" and len(self.requests) <= self._redirects:
                    client.sendall(f"HTTP/1.1 302 Found\r\nLocation: {self.url}\r\nContent-Length: 0\r\n\r\n".encode())
                    continue
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                if self._part == "body":
                    client.sendall(b"Content-Length: 100000\r\n\r\n")
                for _ in range(1000):
                    client.sendall(b"x")
                    time.sleep(0.1)
