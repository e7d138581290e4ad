"""Index servers that other people wrote, started here on loopback: `lock` and `sync` work with each (`-m servers`)."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.commands import locked_versions, minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.oldglibc import cached
from tests.support.wheels import BuiltWheel, build_wheel

pytestmark = pytest.mark.servers

# 4.18 of devpi's is the newest with Python 3.11 here; any will do that starts.
PACKAGES = ("devpi-server>=6.14", "pypiserver>=2.3")
PATIENCE = 40.0
DONE = 0

# Two releases of a: a cap of 2.17 keeps the newer one out. b is required by both.
WHEELS = (
    build_wheel("server-test-a", "1.0", "cp311-cp311-manylinux_2_17_x86_64", requires=["server-test-b>=1"]),
    build_wheel("server-test-a", "2.0", "cp311-cp311-manylinux_2_28_x86_64", requires=["server-test-b>=1"]),
    build_wheel("server-test-b", "1.5", requires_python=">=3.6", files={"server_test_b/data.bin": bytes(200_000)}),
)
LOCKED = {"server-test-a": "1.0", "server-test-b": "1.5"}


class Server(NamedTuple):
    """A server with WHEELS: the URL of its simple index, and its log."""

    url: str
    log: Path


@cache
def _programs() -> Path:
    """The folder of the servers' programs, which are installed from the public index once for all runs."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *PACKAGES]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"the servers can't be installed: {ran.stderr[-300:]}")

    return cached("servers-1", make) / "bin"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _program(name: str, *arguments: str | Path) -> list[str]:
    """A server's command; its script may have been moved with its environment, so Python starts it."""
    return [str(_programs() / "python"), str(_programs() / name), *map(str, arguments)]


@cache
def _keyring() -> Path:
    """The folder of the real keyring command with a backend that keeps passwords in a file, once for all runs."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "keyring>=25", "keyrings.alt>=5"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"keyring can't be installed: {ran.stderr[-300:]}")
        # Its script names the folder that it was installed in, which is moved.
        program = folder / "bin" / "keyring"
        program.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m keyring "$@"\n', encoding="utf-8")

    return cached("keyring-1", make) / "bin"


class Running:
    """A server process, which is stopped at the end of the block."""

    def __init__(self, command: list[str], log: Path, url: str) -> None:
        self._command = command
        self._log = log
        self._url = url

    def __enter__(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                httpx.get(self._url, timeout=5, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        self.__exit__()
        pytest.fail(f"{self._command[0]} did not start: {self._log.read_text(errors='replace')[-2000:]}")

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the data of the servers of this run."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def devpi(folder: Path) -> Iterator[Server]:
    """devpi-server with an index without mirror, to which WHEELS were uploaded."""
    data, log, port = folder / "devpi", folder / "devpi.log", _free_port()
    subprocess.run(
        _program("devpi-init", "--serverdir", data, "--no-root-pypi", "--root-passwd", "secret"),
        check=True,
        capture_output=True,
    )
    origin = f"http://127.0.0.1:{port}"
    command = _program("devpi-server", "--serverdir", data, "--host", "127.0.0.1", "--port", str(port))
    with Running(command, log, f"{origin}/+api"):
        with httpx.Client(base_url=origin, trust_env=False, timeout=30) as client:
            token = _devpi(client.post("/+login", json={"user": "root", "password": "secret"}))["password"]
            pair = base64.b64encode(f"root:{token}".encode()).decode()
            client.headers.update({"X-Devpi-Auth": pair, "Accept": "application/json"})
            _devpi(client.put("/root/works", json={"type": "stage", "bases": [], "volatile": True}))
            for wheel in WHEELS:
                _upload(client, "/root/works/", wheel)
        yield Server(f"{origin}/root/works/+simple/", log)


def _devpi(answer: httpx.Response) -> Mapping[str, Any]:
    assert answer.is_success, answer.text
    result: Mapping[str, Any] = answer.json().get("result", {})
    return result


def _upload(client: httpx.Client, path: str, wheel: BuiltWheel) -> None:
    """Upload as twine does (the legacy upload API)."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.2",
        "name": wheel.project,
        "version": wheel.version,
        "filetype": "bdist_wheel",
        "pyversion": wheel.filename.split("-")[2],
        "sha256_digest": wheel.sha256,
        "requires_python": wheel.requires_python or "",
    }
    answer = client.post(path, data=fields, files={"content": (wheel.filename, wheel.content)})
    assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def pypiserver(folder: Path) -> Iterator[Server]:
    """pypiserver over a folder of wheels, without its fallback to the public index."""
    packages, log, port = folder / "packages", folder / "pypiserver.log", _free_port()
    _fill(packages)
    url = f"http://127.0.0.1:{port}/simple/"
    arguments = ("run", "-i", "127.0.0.1", "-p", str(port), "--disable-fallback", packages)
    with Running(_program("pypi-server", *arguments), log, url):
        yield Server(url, log)


@pytest.fixture(scope="module")
def nginx(folder: Path) -> Iterator[Server]:
    """Nginx that lists the folders of a simple/ tree: without hashes, metadata and the markers of a simple index."""
    program = _nginx()
    home, log, port = folder / "nginx", folder / "nginx.log", _free_port()
    for wheel in WHEELS:
        _fill(home / "simple" / wheel.project, wheel)
    (home / "simple" / "server-test-empty").mkdir()
    _fill(home / "wheels")
    settings = home / "nginx.conf"
    settings.write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log {log}.errors;\n"
        "events {}\n"
        "http {\n"
        f"  access_log {log}.requests;\n"
        + "".join(
            f"  {kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"  server {{ listen 127.0.0.1:{port}; root {home}; autoindex on; }}\n"
        "}\n"
    )
    url = f"http://127.0.0.1:{port}/simple/"
    with Running([program, "-c", str(settings), "-e", f"{log}.errors"], log, url):
        yield Server(url, Path(f"{log}.requests"))


def _nginx() -> str:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program and os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "nginx-light"]
        subprocess.run(command, capture_output=True, check=False)
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program:
        pytest.skip("there is no nginx, and it can't be installed without root and apt-get")
    return program


def _fill(folder: Path, *wheels: BuiltWheel) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in wheels or WHEELS:
        (folder / wheel.filename).write_bytes(wheel.content)


Lock = Callable[..., str]


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """Lock a project that requires server-test-a, and return the output."""
    cache_folder = tmp_path / f"cache-{uuid.uuid4().hex}"

    def run(url: str, *arguments: str, requires: str = "server-test-a", expected: int = DONE) -> str:
        (tmp_path / "pyproject.toml").write_text(
            f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{requires}"]\n'
            f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{url}"\n'
        )
        everywhere = ("--project", str(tmp_path), "--cache-dir", str(cache_folder))
        ran = minglibc("lock", "-v", *everywhere, *arguments)
        assert expected == ran.code, ran.err
        return ran.err

    return run


SERVERS = ("devpi", "pypiserver", "nginx")


@pytest.mark.parametrize("name", SERVERS)
def test_lock_and_sync(name: str, lock: Lock, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A project is locked from the server within its cap, with every hash, and installed from it."""
    server: Server = request.getfixturevalue(name)
    lock(server.url)
    lock_file = read_lock(tmp_path)
    assert LOCKED == lock_file.versions(lock_file.targets[0])
    expected = {wheel.filename: {"sha256": wheel.sha256} for wheel in WHEELS}
    chosen = {wheel.filename: dict(wheel.hashes) for _, wheel in lock_file.select(lock_file.targets[0])}
    assert {filename: expected[filename] for filename in chosen} == chosen
    ran = minglibc("sync", "--project", str(tmp_path), "--cache-dir", str(tmp_path / "wheels"))
    assert DONE == ran.code, ran.err
    assert 2 == len(list(tmp_path.glob(".venv/lib/python3*/site-packages/server_test_*.dist-info")))


@pytest.mark.parametrize("name", SERVERS)
def test_unknown_project(name: str, lock: Lock, request: pytest.FixtureRequest) -> None:
    """A project that the server does not have is reported as missing, and the server not as unreachable."""
    server: Server = request.getfixturevalue(name)
    output = lock(server.url, requires="server-test-nobody", expected=1)
    assert "server-test-nobody is on no index" in output


@pytest.mark.parametrize("name", SERVERS)
def test_second_lock_is_identical(name: str, lock: Lock, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The lock has the same bytes when it is made again, from the cache and with --refresh."""
    server: Server = request.getfixturevalue(name)
    lock(server.url)
    first = (tmp_path / "pylock.toml").read_bytes()
    for arguments in ((), ("--refresh",)):
        (tmp_path / "pylock.toml").unlink()
        lock(server.url, *arguments)
        assert first == (tmp_path / "pylock.toml").read_bytes()


def test_missing_hashes_are_reported(nginx: Server, lock: Lock) -> None:
    """A folder listing has no hashes, so the wheels are downloaded to compute them, with a warning for each."""
    output = lock(nginx.url)
    for filename in ("server_test_a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "server_test_b-1.5-py3-none-any.whl"):
        assert f"the index gives no sha256 for {filename}; downloading it" in output


def test_metadata_from_ranges(nginx: Server, lock: Lock) -> None:
    """Without metadata files, METADATA is read with a range request."""
    before = len(nginx.log.read_text().splitlines())
    lock(nginx.url)
    entries = [line.split('"')[1:3] for line in nginx.log.read_text().splitlines()[before:]]
    answers = [status.split()[0] for request, status in entries if ".whl HTTP" in request]
    assert "206" in answers, entries


def test_link_to_the_parent_folder_is_ignored(nginx: Server, lock: Lock) -> None:
    """The link to the parent folder is not reported as a file with an invalid name."""
    assert "invalid name" not in lock(nginx.url)


def test_folder_of_wheels_is_a_flat_index(nginx: Server, tmp_path: Path) -> None:
    """A web server's listing of one folder can be used as a flat index."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["server-test-a"]\n'
        '[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n[[tool.minglibc.index]]\nname = "wheels"\n'
        f'url = "{nginx.url.replace("/simple/", "/wheels/")}"\nformat = "flat"\ndefault = true\n'
    )
    ran = minglibc("lock", "--project", str(tmp_path))
    assert DONE == ran.code, ran.err
    assert LOCKED == locked_versions(tmp_path)
    assert DONE == minglibc("sync", "--project", str(tmp_path)).code


def test_empty_folder_is_a_project_without_releases(nginx: Server, lock: Lock) -> None:
    """A folder listing without files is a project with no releases, and not a login page."""
    output = lock(nginx.url, requires="server-test-empty", expected=1)
    assert "server-test-empty has no releases" in output


def test_devpi_has_hashes(devpi: Server, lock: Lock) -> None:
    """devpi has hashes, so no file is downloaded to compute them."""
    assert "no sha256" not in lock(devpi.url)


def test_devpi_has_json_pages(devpi: Server) -> None:
    """devpi responds with JSON, so the tests cover its JSON pages."""
    accept = "application/vnd.pypi.simple.v1+json"
    answer = httpx.get(f"{devpi.url}server-test-a/", headers={"Accept": accept}, follow_redirects=True, trust_env=False)
    assert accept == answer.headers["content-type"].partition(";")[0]
    assert {"server-test-a"} == {json.loads(answer.text)["name"]}


@pytest.mark.parametrize("service", ["address", "host"])
def test_keyring_command(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """The installed keyring command returns the password that is stored for the URL of the index or for its host."""
    secret = "pä%ss:wörd"
    monkeypatch.setenv("PATH", f"{_keyring()}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("MINGLIBC_KEYRING_PROVIDER", "subprocess")
    index.credentials = ("user", secret)
    for wheel in WHEELS:
        index.add(wheel)
    url = index.url.replace("http://", "http://user@")
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "x"\nrequires-python = ">=3.11"\ndependencies = ["server-test-a"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\nindex-url = "{url}"\n',
        encoding="utf-8",
    )
    refused = minglibc("lock", "--project", str(project))
    assert 3 == refused.code
    assert "keyring has no password for user" in refused.err
    name = index.url if service == "address" else "127.0.0.1"
    subprocess.run(["keyring", "set", name, "user"], input=secret.encode(), check=True)
    for command in ("lock", "sync"):
        ran = minglibc(command, "--project", str(project))
        assert DONE == ran.code, ran.err
        assert secret not in ran.err
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    refused = minglibc("lock", "--refresh", "-U", "--project", str(project))
    assert "NoKeyringError: No recommended backend was available" in refused.err
