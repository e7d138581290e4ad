"""Gives each test an index, an empty home and cache, and no network except for loopback."""

import ipaddress
import itertools
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from minglibc.app import lock
from minglibc.config import project_files
from minglibc.lock import document as lockfile
from minglibc.lock import reader
from minglibc.lock.document import Inputs
from minglibc.model.targets import Target
from minglibc.resolve.resolution import Resolution
from tests.support import lock_installs
from tests.support.commands import check_selection
from tests.support.environment_copies import EnvironmentCopies
from tests.support.index import IndexServer

# Tests must not depend on the load of the machine.
hypothesis.settings.register_profile("minglibc", deadline=None)
hypothesis.settings.load_profile("minglibc")

NETWORK_MARKS = ("online", "servers", "oldglibc")
CLEARED = re.compile(
    r"(MINGLIBC|PIP|UV)_.*|(HTTPS?|ALL|NO|FTP)_PROXY|NETRC|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|NO_COLOR|FORCE_COLOR|XDG_.*",
    re.IGNORECASE,
)

# Background jobs of a shell ignore SIGINT, and child processes inherit that. Tests that send SIGINT need the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count()


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """An empty index on loopback."""
    with IndexServer() as server:
        yield server


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the homes of this run's tests."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _isolation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, homes: Path) -> None:
    """Tests see no settings of the machine, and only tests that are marked so use the network."""
    home = homes / str(next(_numbers))
    home.mkdir()
    uses_network = any(request.node.get_closest_marker(mark) for mark in NETWORK_MARKS)
    if not uses_network:
        for name in [name for name in os.environ if CLEARED.fullmatch(name)]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        _stay_on_loopback(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(home / "cache" / "minglibc"))


@pytest.fixture(autouse=True)
def _check_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks every lock that a test writes in this process: each target selects exactly its resolution."""
    resolutions: list[Resolution] = []

    def merge(merged: Sequence[Resolution], inputs: Inputs) -> dict[str, Any]:
        resolutions[:] = merged
        return lockfile.merge(merged, inputs)

    def dumps(document: Mapping[str, Any], targets: Sequence[Target], inputs: Inputs) -> str:
        text = lockfile.dumps(document, targets, inputs)
        check_selection(reader.loads(text), resolutions)
        return text

    monkeypatch.setattr(lock, "merge", merge)
    monkeypatch.setattr(lock, "dumps", dumps)


@pytest.fixture(autouse=True)
def _install_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs each lock that `lock`, `add` and `remove` write in this process, if `TEST_INSTALL_LOCKS` is set."""
    lock_installs.made.clear()
    if not lock_installs.IS_ACTIVE:
        return
    write_lock = project_files.write_lock

    def write_and_record(path: str, text: str) -> None:
        write_lock(path, text)
        lock_installs.made.append(Path(path).absolute())

    monkeypatch.setattr(project_files, "write_lock", write_and_record)


@pytest.fixture(scope="session")
def environment_copies(tmp_path_factory: pytest.TempPathFactory) -> EnvironmentCopies:
    """Copies of one environment for all tests of this run."""
    return EnvironmentCopies(tmp_path_factory.mktemp("environments"))


@pytest.fixture(autouse=True)
def _quick_environments(environment_copies: EnvironmentCopies, monkeypatch: pytest.MonkeyPatch) -> None:
    """New environments are copies; tests of their creation override this fixture."""
    environment_copies.activate(monkeypatch)


def _stay_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _fail_outside_loopback(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _fail_outside_loopback(self, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name and not _is_loopback(name):
            pytest.fail(f"the test looks up {name}; only tests marked {', '.join(NETWORK_MARKS)} may")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


def _fail_outside_loopback(connection: socket.socket, address: Any) -> None:
    if connection.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
        pytest.fail(f"the test connects to {address[0]}; only tests marked {', '.join(NETWORK_MARKS)} may")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
