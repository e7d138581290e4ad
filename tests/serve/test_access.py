"""Who may use the server, and what it reveals."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from minglibc.app.serve import ServeOptions
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.serve import JSON, common, listed, serving
from tests.support.wheels import build_wheel

TOKEN = "a-token-of-16-or-more"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    """A file with a token."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


def test_token(index: IndexServer, token_file: str) -> None:
    """Clients send the token as the password of any user or as a bearer token; only /health needs none."""
    index.add(build_wheel("a", "1.0"))
    with serving(ServeOptions(common(index_url=index.url), token_file=token_file)) as client:
        path = "/rhel-8/simple/a/"
        for refused in (None, ("user", "other"), (TOKEN, "")):
            response = client.get(path, auth=refused)
            assert 401 == response.status_code
            assert response.headers["www-authenticate"].startswith("Basic")
        for header in ("Basic !!", "Basic", f"Digest {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer \xe9"):
            assert 401 == client.get(path, headers=[(b"Authorization", header.encode("latin-1"))]).status_code
        response = client.get(path, auth=("any", TOKEN))
        assert 200 == response.status_code
        assert "private" in response.headers["cache-control"]
        assert 200 == client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code
        assert 200 == client.get("/health").status_code
        assert 401 == client.get("/metrics").status_code
    # The token is for this server alone.
    assert all(TOKEN not in str(request.headers) for request in index.requests)


def test_invalid_token_file(tmp_path: Path) -> None:
    """A token that is empty or short is an error before the server starts."""
    (tmp_path / "token").write_text("short")
    for path in (tmp_path / "token", tmp_path / "missing"):
        ran = minglibc("serve", "--port", "0", "--token-file", str(path))
        assert (2, True) == (ran.code, "contains no token" in ran.err)


def test_private_index_beyond_loopback(index: IndexServer, token_file: str) -> None:
    """An index with credentials is served to other machines only with a token or --allow-private."""
    url = index.url.replace("://", "://user:s3cret@")
    ran = minglibc("serve", "--host", "0.0.0.0", "--port", "0", "--index-url", url)
    assert 2 == ran.code
    assert "--token-file" in ran.err
    assert "s3cret" not in ran.err


def test_host_names(index: IndexServer) -> None:
    """On loopback, only its names and those of --allowed-host are accepted, so that no web page can use the server."""
    with serving(ServeOptions(common(index_url=index.url), allowed_hosts=("Index.example.invalid",))) as client:
        for host in ("localhost:1", "127.0.0.1", "[::1]:8", "index.example.invalid"):
            assert 200 == client.get("/health", headers={"Host": host}).status_code
        for host in (
            "evil.example.invalid",
            "localhost.evil.example.invalid",
            "",
            "[",
            "localhost@evil.example.invalid",
            *("evil@localhost", "localhost/x", "localhost#x", "localhost?x", "localhost:x", "localhost, evil", "[::1"),
            *("localhost.", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]"),
        ):
            assert 421 == client.get("/health", headers={"Host": host}).status_code


def test_host_header_is_not_used(index: IndexServer) -> None:
    """Pages contain no host name of a request: all links of the server are relative."""
    index.add(build_wheel("a", "1.0"))
    options = ServeOptions(common(index_url=index.url), proxy_files=True, allowed_hosts=("evil.example.invalid",))
    headers = {"Host": "evil.example.invalid", "X-Forwarded-Host": "evil.example.invalid", "Forwarded": "host=evil"}
    with serving(options) as client:
        for path in ("/rhel-8/simple/a/", "/rhel-8/simple/A", "/rhel-8/simple/"):
            response = client.get(path, headers=headers)
            assert "evil" not in response.text + str(response.headers)


def test_header_injection(client: httpx.Client) -> None:
    """Line breaks in a path never reach a header."""
    for path in ("/rhel-8/simple/a%0d%0aX-Injected:%20yes", "/rhel-8/simple/a%0aX/", "/%0d%0aX-Injected:%20yes"):
        response = client.get(path)
        assert 404 == response.status_code
        assert "x-injected" not in response.headers


def test_path_prefix(index: IndexServer) -> None:
    """Behind a proxy that removes a prefix, redirects and files stay below it."""
    index.add(build_wheel("a", "1.0"))
    with serving(ServeOptions(common(index_url=index.url), proxy_files=True)) as client:
        base = httpx.URL("https://index.example.invalid/python/capped")

        def get(url: httpx.URL) -> httpx.Response:
            assert url.path.startswith(f"{base.path}/"), url
            return client.get(url.path.removeprefix(base.path), headers=JSON)

        url = httpx.URL(f"{base}/rhel-8/simple/A")
        while (response := get(url)).is_redirect:
            url = url.join(response.headers["location"])
        (file,) = response.json()["files"]
        assert 200 == get(url.join(file["url"])).status_code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "number", "before"),
    [(1, signal.SIGTERM, ()), (2, signal.SIGTERM, ("nohup",)), (1, signal.SIGHUP, ()), (2, signal.SIGHUP, ())],
)
def test_process(index: IndexServer, workers: int, number: int, before: tuple[str, ...]) -> None:
    """The command serves until a signal ends it, logs requests, and exits with 0; nohup makes it ignore SIGHUP."""
    index.add(build_wheel("a", "1.0"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*before, sys.executable, "-m", "minglibc", "serve", "--port", str(port), "--workers", str(workers)]
    with subprocess.Popen(
        [*command, "--index-url", index.url], stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "80"}
    ) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                _wait_for(client)
                if before:
                    process.send_signal(signal.SIGHUP)
                assert 1 == len(listed(client.get("/rhel-8/simple/a/", headers=JSON)))
                assert 'kind="simple",status="200"' in client.get("/metrics").text
        finally:
            process.send_signal(number)
            assert process.stderr is not None
            log = process.stderr.read()
    assert 0 == process.returncode, log
    assert '"GET /rhel-8/simple/a/ HTTP/1.1" 200' in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_workers_of_a_killed_server_end(index: IndexServer) -> None:
    """Workers do not outlive the process that started them, so that the port is free for the next server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "minglibc", "serve", "-q", "--port", str(port), "--workers", "2"]
    with subprocess.Popen([*command, "--index-url", index.url]) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            _wait_for(client)
        process.kill()
    for _ in range(100):
        time.sleep(0.1)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return
    pytest.fail("the port is in use")


def _wait_for(client: httpx.Client) -> None:
    for _ in range(200):
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.ConnectError:
            pass
        time.sleep(0.1)


@pytest.mark.parametrize("option", ["--offline", "--refresh"])
def test_unsupported_options(option: str) -> None:
    """Options of all commands that the server does not have are refused, not ignored."""
    ran = minglibc("serve", "--port", "0", option)
    assert (2, True) == (ran.code, f"{option} can't be combined with serve" in ran.err)


def test_port_in_use() -> None:
    """A port that is in use is an error with a hint."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        ran = minglibc("serve", "--port", str(used.getsockname()[1]))
    assert 1 == ran.code
    assert "hint: choose another port with --port" in ran.err


SHOW = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w')); sys.exit(int(sys.argv[2]))"


def test_command(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command gets the index by variables, other indexes are removed, and its exit code is passed on."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\n[tool.minglibc]\nglibc = "2.27"\npython = "3.9"\n'
    )
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "https://example.invalid/")
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    seen = tmp_path / "seen.json"
    options = ["serve", "--project", str(tmp_path), "--index-url", index.url]
    command = ["--", sys.executable, "-c", SHOW, str(seen), "7"]
    ports = set()
    for _ in range(2):
        ran = minglibc(*options, *command)
        assert (7, "") == (ran.code, ran.err)
        variables = json.loads(seen.read_text())
        url = httpx.URL(variables["UV_DEFAULT_INDEX"])
        assert "/glibc-2.27/simple/" == url.path
        ports.add(url.port)
        assert {str(url)} == {
            variables[name]
            for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "PDM_PYPI_URL", "PIPENV_PYPI_MIRROR")
        }
        assert not {"UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_NO_INDEX"} & variables.keys()
        assert "example.invalid,127.0.0.1,localhost" == variables["NO_PROXY"]
    # uv.lock records the URL.
    assert 1 == len(ports)
    minglibc(*options, "--port", "0", "--glibc", "rhel-8", *command)
    assert "/glibc-2.28/simple/" == httpx.URL(json.loads(seen.read_text())["UV_DEFAULT_INDEX"]).path


def test_commands_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are missing, or ended by a signal, have the exit codes of a shell; without a cap, it is 2."""
    monkeypatch.chdir(tmp_path)
    options = ["serve", "--port", "0", "--glibc", "2.27", "--"]
    assert 127 == minglibc(*options, "nonexistent-command").code
    assert 126 == minglibc(*options, str(tmp_path)).code
    assert 128 + signal.SIGKILL == minglibc(*options, "sh", "-c", "kill -9 $$").code
    ran = minglibc("serve", "--port", "0", "--", "true")
    assert (2, True) == (ran.code, "--glibc" in ran.err)
    for option in (["--workers", "2"], ["--token-file", "x"]):
        assert 2 == minglibc("serve", *option, "--glibc", "2.27", "--", "true").code
    assert 2 == minglibc("serve", "--glibc", "2.27").code


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("uv sync", "uv.lock records"),
        ("uv --quiet lock", "uv.lock records"),
        ("uv sync --frozen", ""),
        ("uv pip install a", ""),
        ("pixi install", "index-url ="),
        ("poetry lock", "[[tool.poetry.source]]"),
    ],
)
def test_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, expected: str) -> None:
    """Commands that write a lock with the URL, and tools that read no variable, get a warning."""
    tool = tmp_path / command.partition(" ")[0]
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    ran = minglibc("serve", "--port", "0", "--glibc", "2.27", "--", *command.split())
    assert 0 == ran.code, ran.err
    assert (expected in ran.err) if expected else ("" == ran.err)


def test_warning_of_other_indexes_of_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes that uv uses besides the default one are named."""
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    (tmp_path / "pyproject.toml").write_text('[[tool.uv.index]]\nurl = "https://example.invalid/simple"\n')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    ran = minglibc("serve", "--port", "0", "--glibc", "2.27", "--", "uv", "pip", "list")
    assert "pyproject.toml names other indexes, which uv uses too" in ran.err
