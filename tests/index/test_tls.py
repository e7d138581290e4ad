"""TLS as companies have it: a CA of their own, wrong names, proxies, client certificates; real servers, real handshakes."""

import contextlib
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from minglibc.errors import EXIT_UNREACHABLE, EXIT_USAGE
from minglibc.index import tls
from minglibc.index.tls import certificate_error
from tests.support.commands import locked_versions, minglibc
from tests.support.faults import Fault
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

DONE = 0


class Authority(NamedTuple):
    """A CA made for the tests: its folder and the names of its files there."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The CA's own certificate."""
        return self.folder / "ca.pem"

    def issue(self, name: str, *, alternatives: str) -> Path:
        """A PEM file of a certificate for *alternatives* with its key; made once."""
        both = self.folder / f"{name}.pem"
        if not both.exists():
            key, request, certificate = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
            extensions = self.folder / f"{name}.ext"
            extensions.write_text(f"subjectAltName={alternatives}\n")
            _openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
            signed_by = ("-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial")
            _openssl(
                "x509", "-req", "-in", request, *signed_by, "-days", "2", "-extfile", extensions, "-out", certificate
            )
            both.write_text(certificate.read_text() + key.read_text())
        return both

    def server_side(self, name: str, *, alternatives: str) -> ssl.SSLContext:
        """What a server that has such a certificate speaks TLS with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(name, alternatives=alternatives))
        return context


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    ran = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA that no machine trusts."""
    folder = tmp_path_factory.mktemp("authority")
    subject = ("-subj", "/CN=Example Works CA")
    _openssl("req", "-x509", *NEW_KEY, *subject, "-days", "2", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    return Authority(folder)


def _serve(context: ssl.SSLContext) -> IndexServer:
    server = IndexServer(tls=context)
    server.add(build_wheel("a", "1.0", requires=["b"]))
    server.add(build_wheel("b", "1.0"))
    return server


@pytest.fixture
def secured(authority: Authority) -> Iterator[IndexServer]:
    """An index that speaks TLS, with a certificate for 127.0.0.1."""
    with _serve(authority.server_side("works", alternatives="IP:127.0.0.1,DNS:index.works.example")) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that requires a, which requires b."""
    monkeypatch.setenv("MINGLIBC_HTTP_RETRIES", "1")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["a"]\n'
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n'
    )
    return tmp_path


def _lock(project: Path, server: IndexServer, url: str = "", *, expected: int = DONE) -> str:
    ran = minglibc("lock", "--project", str(project), "--index-url", url or server.url)
    assert expected == ran.code, ran.err
    assert "Traceback" not in ran.err
    if expected == DONE:
        assert {"a": "1.0", "b": "1.0"} == locked_versions(project)
    return ran.err


def test_unknown_authority_is_named_with_certificate_and_host(secured: IndexServer, project: Path) -> None:
    """A certificate of a CA that the machine does not trust: host, names, issuer and what to do; one try is enough."""
    error = _lock(project, secured, expected=EXIT_UNREACHABLE)
    assert [] == [
        t for t in ("127.0.0.1", "index.works.example", "Example Works CA", "SSL_CERT_FILE") if t not in error
    ]
    assert "tried" not in error
    assert [] == secured.requests


def test_wheels_are_not_downloaded_from_whom_nobody_trusts(
    secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sync` says the same as `lock`, and makes nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    # One wheel: httpcore leaves a socket to the garbage collector when a second handshake is cancelled midway.
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('["a"]', '["b"]'))
    assert DONE == minglibc("lock", "--project", str(project), "--index-url", secured.url).code
    monkeypatch.delenv("SSL_CERT_FILE")
    ran = minglibc("sync", "--project", str(project))
    assert EXIT_UNREACHABLE == ran.code
    assert "Example Works CA" in ran.err
    assert [] == list(project.glob(".venv/lib/python3*/site-packages/b*"))


def test_own_authority_by_file(
    secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names a company's CA, for lock and sync alike."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    _lock(project, secured)
    ran = minglibc("sync", "--project", str(project))
    assert DONE == ran.code, ran.err


def test_own_authority_by_folder(
    secured: IndexServer, project: Path, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_DIR names a folder of hashed certificates."""
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "works.pem").write_bytes(authority.certificate.read_bytes())
    _openssl("rehash", folder)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    _lock(project, secured)


def test_missing_authority_file_is_named(secured: IndexServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL passes over an SSL_CERT_FILE that is not there in silence; minglibc says so."""
    monkeypatch.setenv("SSL_CERT_FILE", str(project / "nowhere.pem"))
    error = _lock(project, secured, expected=EXIT_UNREACHABLE)
    assert f"SSL_CERT_FILE names {project / 'nowhere.pem'}, which does not exist" in error


def test_wrong_host_name_names_both(project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted certificate of another host: the name that was asked for, and the names that it has."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with _serve(authority.server_side("other", alternatives="DNS:other.works.example")) as server:
        error = _lock(project, server, expected=EXIT_UNREACHABLE)
    assert "the certificate is for other.works.example, not for 127.0.0.1" in error


def test_plain_index_with_secured_files(
    index: IndexServer, secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An http index that leads to https is followed there with the machine's trust."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    index.fault("*", Fault.redirect(lambda exchange: f"{secured.origin}{exchange.request.path}"))
    _lock(project, index)
    assert secured.requests


def test_client_certificate(project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that wants a client certificate gets the one of MINGLIBC_CLIENT_CERT, and nobody without it is served."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = authority.server_side("works", alternatives="IP:127.0.0.1,DNS:index.works.example")
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with _serve(context) as server:
        # Its alert and the end of its connection race here, so that what is said may be either.
        _lock(project, server, expected=EXIT_UNREACHABLE)
        assert [] == server.requests
        mine = authority.issue("controller", alternatives="DNS:controller.works.example")
        monkeypatch.setenv("MINGLIBC_CLIENT_CERT", str(mine))
        _lock(project, server)


@pytest.mark.parametrize(("shown", "reason"), [("", "none was sent"), ("mine.pem", "rejected the one that was sent")])
def test_wanted_client_certificate_is_said(monkeypatch: pytest.MonkeyPatch, shown: str, reason: str) -> None:
    """An alert that asks for a client certificate is put into words, whatever exception it comes wrapped in."""
    monkeypatch.setenv("MINGLIBC_CLIENT_CERT", shown)
    alert = ssl.SSLError(1, "tlsv13 alert certificate required")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    wrapped = OSError("the read failed")
    wrapped.__cause__ = alert
    error = certificate_error(wrapped, "https://index.example.invalid/simple/a/")
    assert error is not None
    assert f"https://index.example.invalid: the server requires a client certificate, and {reason}" == error.message
    assert certificate_error(OSError("another failure"), "https://index.example.invalid/simple/a/") is None


def test_client_certificate_that_is_none(secured: IndexServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A MINGLIBC_CLIENT_CERT that is missing or no PEM file is a mistake in the settings."""
    monkeypatch.setenv("MINGLIBC_CLIENT_CERT", str(project / "missing.pem"))
    error = _lock(project, secured, expected=EXIT_USAGE)
    assert "MINGLIBC_CLIENT_CERT names" in error
    assert "No such file" in error
    monkeypatch.setenv("MINGLIBC_CLIENT_CERT", str(project / "pyproject.toml"))
    assert "not such a PEM file" in _lock(project, secured, expected=EXIT_USAGE)


@pytest.mark.parametrize(("host", "name"), [("index.invalid", "index.invalid"), ("127.0.0.1:1", "127.0.0.1")])
def test_no_connection_names_the_host(project: Path, index: IndexServer, host: str, name: str) -> None:
    """X6: a host that is not there, and one that refuses, are named; nothing is said of what they hold."""
    error = _lock(project, index, f"https://{host}/simple/", expected=EXIT_UNREACHABLE)
    assert f"no connection to {name}" in error
    assert "is on no index" not in error


# Proxies


class Proxy:
    """A proxy that tunnels (CONNECT) and forwards plain requests, for as long as its block lasts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(0.05)
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setblocking(True)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
            self.asked.append(f"{method} {target}")
            assert method == "CONNECT", head
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._tunnel(connection, server)

    def _tunnel(self, one: socket.socket, other: socket.socket) -> None:
        while not self._closing.is_set():
            ready, _, _ = select.select([one, other], [], [], 0.05)
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)


def test_https_goes_through_the_proxy(
    secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY is gone through by lock and sync, and the TLS within is checked as ever."""
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert "not trusted" in _lock(project, secured, expected=EXIT_UNREACHABLE)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        _lock(project, secured)
        count = len(proxy.asked)
        ran = minglibc("sync", "--project", str(project))
        assert DONE == ran.code, ran.err
        assert len(proxy.asked) > count
        assert {f"CONNECT 127.0.0.1:{secured.port}"} == set(proxy.asked)


def test_no_proxy_is_gone_around(
    secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that NO_PROXY names is asked directly."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        _lock(project, secured)
        assert [] == proxy.asked


def test_credentials_go_no_further_than_the_tunnel(
    secured: IndexServer, project: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index's password travels inside TLS: the proxy sees a host and a port."""
    secured.credentials = ("user", "s3cret")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        _lock(project, secured, secured.url.replace("https://", "https://user:s3cret@"))
        assert {f"CONNECT 127.0.0.1:{secured.port}"} == set(proxy.asked)
    left = [path for path in project.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert [] == left


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, the system verifies each connection")
def test_the_trust_store_is_read_once(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates are in the context before the first connection, and certificates are still required."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    context = tls.context()
    (certificate,) = (c for c in context.get_ca_certs() if ("commonName", "Example Works CA") in c["subject"][0])
    assert certificate
    assert context is tls.context()
    assert ssl.SSLSocket is context.sslsocket_class
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert context.check_hostname
