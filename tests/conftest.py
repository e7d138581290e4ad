"""What every test has: an index of its own, an empty home and cache, and no network but loopback."""

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
from minglibc.lock import document as lockfile
from minglibc.lock.document import Inputs
from minglibc.model.targets import Target
from minglibc.resolve.resolver import Resolution
from tests.support.commands import check_law
from tests.support.index import IndexServer

# A busy machine is no reason for a law to fail.
hypothesis.settings.register_profile("minglibc", deadline=None)
hypothesis.settings.load_profile("minglibc")

OUTSIDE = ("online", "servers", "oldglibc")
CLEARED = re.compile(
    r"(MINGLIBC|PIP|UV)_.*|(HTTPS?|ALL|NO|FTP)_PROXY|NETRC|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|NO_COLOR|FORCE_COLOR|XDG_.*",
    re.IGNORECASE,
)

# A shell's background jobs ignore Ctrl-C, and what they start inherits that: the tests that send it need the usual.
signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count()


@pytest.fixture
def index() -> Iterator[IndexServer]:
    """A fresh index on loopback."""
    with IndexServer() as server:
        yield server


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the homes of this run's tests are."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def _clean_room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, homes: Path) -> None:
    """Nothing of the machine's own settings reaches a test, and no test reaches the network unasked."""
    home = homes / str(next(_numbers))
    home.mkdir()
    goes_outside = any(request.node.get_closest_marker(mark) for mark in OUTSIDE)
    if not goes_outside:
        for name in [name for name in os.environ if CLEARED.fullmatch(name)]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        _stay_on_loopback(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(home / "cache" / "minglibc"))


@pytest.fixture(autouse=True)
def _law(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lock that any test makes in this process keeps DESIGN's law: each target selects exactly its resolution."""
    resolutions: list[Resolution] = []

    def merge(found: Sequence[Resolution], inputs: Inputs) -> dict[str, Any]:
        resolutions[:] = found
        return lockfile.merge(found, inputs)

    def dumps(document: Mapping[str, Any], targets: Sequence[Target], inputs: Inputs) -> str:
        text = lockfile.dumps(document, targets, inputs)
        check_law(lockfile.loads(text), resolutions)
        return text

    monkeypatch.setattr(lock, "merge", merge)
    monkeypatch.setattr(lock, "dumps", dumps)


def _stay_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_outside(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_outside(self, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name and not _is_loopback(name):
            pytest.fail(f"the test looks up {name}; only tests marked {', '.join(OUTSIDE)} may")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


def _refuse_outside(connection: socket.socket, address: Any) -> None:
    if connection.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
        pytest.fail(f"the test connects to {address[0]}; only tests marked {', '.join(OUTSIDE)} may")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
