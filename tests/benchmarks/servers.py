"""Index servers under load: requests per second and latency for warm pages, and memory over many requests.

All servers have the same synthetic pages: minglibc, simple-repository-server and devpi as those of an upstream index on
loopback, and pypiserver as a folder of files.
"""

import base64
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.benchmarks.synthetic import index, name, serving

# In virtual environments of their own.
PACKAGES = {
    "simple-repository-server": ("simple-repository-server",),
    "devpi-server": ("devpi-server", "setuptools<81"),
    "pypiserver": ("pypiserver[cache]", "waitress", "gunicorn"),
}
# With 110 files each; the slowest server sends a few of these pages in a second.
PROJECTS = 12
CLIENTS = (50, 200)
MANY = 100_000
# What pip 26 sends.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
HEADERS = {"Accept": ACCEPT, "Accept-Encoding": "gzip, deflate", "Cache-Control": "max-age=0"}
_PATIENCE = 300.0
# So many connections reach each of four workers.
_CONNECTIONS = 12
# wrk requests the pages in turn, and prints one line.
_SCRIPT = """
local requests, count = {}, 0
init = function()
  for index, path in ipairs({%s}) do
    requests[index] = wrk.format("GET", path)
  end
end
request = function()
  count = count + 1
  return requests[count %% #requests + 1]
end
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format("RESULT %%d %%d %%d %%d", summary.requests, summary.duration, latency:percentile(99), failed))
end
"""


class Server(NamedTuple):
    """A server: the command that starts it on a port, and the path of its index."""

    name: str
    command: Sequence[str]
    path: str = "/simple/"
    workers: int = 1
    """The processes that have to have each page in memory."""


class Load(NamedTuple):
    """What the load generator measured."""

    rate: float
    """Requests per second."""
    p99: float
    """Milliseconds."""
    failed: float
    """The number of requests."""


class Running(NamedTuple):
    """A server that runs: the URL of its index, and its process."""

    url: str
    pid: int


def configure(parser: ArgumentParser) -> None:
    """The arguments of the benchmark."""
    parser.add_argument("--folder", type=Path, required=True, help="the folder in which the servers are installed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="the time of each run of wrk")
    parser.add_argument("--server", action="append", default=[], help="only the servers whose names begin so")
    parser.add_argument("--memory", action="store_true", help=f"only the memory of minglibc over {MANY:,} requests")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Print the requests per second and the latency of each server, or the memory of one."""
    responses = index(PROJECTS)
    projects = [{"name": name(number)} for number in range(PROJECTS)]
    responses["/simple/"] = json.dumps({"meta": {"api-version": "1.0"}, "projects": projects}).encode()
    with serving(responses) as upstream, tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        if arguments.memory:
            print_memory(minglibc(upstream, 1, data), data, upstream)
            return
        servers = [minglibc(upstream, workers, data) for workers in (1, 4)]
        servers += others(arguments.folder, data, upstream, responses)
        names = tuple(arguments.server)
        chosen = [server for server in servers if not names or server.name.startswith(names)]
        print_loads(chosen, data, upstream, rounds=arguments.rounds, seconds=arguments.seconds)


def minglibc(upstream: str, workers: int, data: Path) -> Server:
    """`minglibc serve` with a cache folder of its own."""
    options = ("--quiet", "--index-url", upstream, "--workers", str(workers), "--cache-dir", str(data / f"c{workers}"))
    command = (sys.executable, "-m", "minglibc", "serve", *options, "--port", "{port}")
    return Server(f"minglibc serve, {workers} worker{'s' * (workers > 1)}", command, "/glibc-2.17/simple/", workers)


def others(folder: Path, data: Path, upstream: str, responses: Mapping[str, bytes]) -> list[Server]:
    """The other servers, installed below *folder*, with the pages of *upstream*."""
    for package, requirements in PACKAGES.items():
        install(folder / package, requirements)
    files = data / "files"
    files.mkdir()
    for path, body in responses.items():
        for file in json.loads(body).get("files", ()) if path.startswith("/simple/") else ():
            (files / file["filename"]).write_text(file["filename"], encoding="utf-8")
    simple, devpi, pypi = (str(folder.resolve() / package / "bin") for package in PACKAGES)
    devpi_data = str(data / "devpi")
    initialize = (f"{devpi}/devpi-init", "--serverdir", devpi_data, "--no-root-pypi", "--root-passwd", "secret")
    subprocess.run(initialize, check=True, capture_output=True)
    local = ("--host", "127.0.0.1", "--port", "{port}")
    pypi_options = ("-i", "127.0.0.1", "-p", "{port}", "--disable-fallback")
    application = f"pypiserver:app(roots=['{files}'], disable_fallback=True)"
    return [
        Server("simple-repository-server", (f"{simple}/simple-repository-server", *local, upstream)),
        Server("devpi-server", (f"{devpi}/devpi-server", "--serverdir", devpi_data, *local), "/root/mirror/+simple/"),
        Server("pypiserver", (f"{pypi}/pypi-server", "run", *pypi_options, str(files))),
        Server("pypiserver, 4 gunicorn workers", (f"{pypi}/gunicorn", "-w4", "-b", "127.0.0.1:{port}", application)),
    ]


def install(venv: Path, requirements: Sequence[str]) -> None:
    """Make a virtual environment with *requirements*, unless it exists."""
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "-q", *requirements], check=True)


@contextmanager
def running(server: Server, upstream: str) -> Iterator[Running]:
    """*server* while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [argument.replace("{port}", str(port)) for argument in server.command]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    null = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=null, stdout=null, stderr=null, env=environment, start_new_session=True)
    origin = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + _PATIENCE
        while not listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{server.name} did not start: {' '.join(command)}")
            time.sleep(0.2)
        if server.name == "devpi-server":
            add_mirror(origin, upstream)
        yield Running(f"{origin}{server.path}", process.pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(_PATIENCE)


def listens(port: int) -> bool:
    """Whether a server listens at *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def add_mirror(origin: str, upstream: str) -> None:
    """Add a mirror of *upstream* to devpi."""
    headers = {"Accept": "application/json"}
    with httpx.Client(base_url=origin, trust_env=False, timeout=_PATIENCE, headers=headers) as client:
        login = client.post("/+login", json={"user": "root", "password": "secret"}).raise_for_status()
        pair = base64.b64encode(f"root:{login.json()['result']['password']}".encode()).decode()
        mirror = {"type": "mirror", "mirror_url": upstream, "mirror_web_url_fmt": "", "volatile": True}
        client.put("/root/mirror", json=mirror, headers={"X-Devpi-Auth": pair}).raise_for_status()


def warm(url: str, workers: int) -> tuple[int, int]:
    """Request each page from each worker; the bytes that are sent for all pages, and the number of files that they list."""
    for _ in range(_CONNECTIONS if workers > 1 else 1):
        size = files = 0
        with httpx.Client(trust_env=False, timeout=_PATIENCE, headers=HEADERS) as client:
            for number in range(PROJECTS):
                response = client.get(f"{url}{name(number)}/").raise_for_status()
                size += response.num_bytes_downloaded
                files += len(set(re.findall(rf"{name(number)}-[\w.-]+?\.whl", response.text)))
    return size, files


def measure(url: str, script: Path, *, clients: int, seconds: int) -> Load:
    """Run wrk once."""
    options = [argument for key, value in HEADERS.items() for argument in ("-H", f"{key}: {value}")]
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", *options, "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (line,) = (line for line in output.splitlines() if line.startswith("RESULT "))
    requests, microseconds, p99, failed = map(float, line.split()[1:])
    return Load(requests / microseconds * 1e6, p99 / 1000, failed)


def print_loads(servers: Sequence[Server], data: Path, upstream: str, *, rounds: int, seconds: int) -> None:
    """Measure all servers in turn, and print the medians."""
    loads: dict[tuple[str, int], list[Load]] = {}
    with ExitStack() as stack:
        started = {server.name: stack.enter_context(running(server, upstream)) for server in servers}
        scripts = {label: write_script(data, label, one.url) for label, one in started.items()}
        print(f"{'server':32} {'files':>6} {'KiB':>6}")
        for server in servers:
            size, files = warm(started[server.name].url, server.workers)
            print(f"{server.name:32} {files:6} {size / 1024:6.0f}", flush=True)
        for _ in range(rounds):
            for clients in CLIENTS:
                for label, one in started.items():
                    load = measure(one.url, scripts[label], clients=clients, seconds=seconds)
                    loads.setdefault((label, clients), []).append(load)
    heads = "".join(f" {n} clients: requests/s | p99 (ms) | failed |" for n in CLIENTS)
    print(f"\n| Server |{heads}\n|{'---|' * (1 + 3 * len(CLIENTS))}")
    for label in started:
        medians = [Load(*map(statistics.median, zip(*loads[label, n], strict=True))) for n in CLIENTS]
        columns = "".join(f" {load.rate:,.0f} | {load.p99:,.0f} | {load.failed:.0f} |" for load in medians)
        print(f"| {label} |{columns}")


def write_script(data: Path, label: str, url: str) -> Path:
    """The script of wrk for the pages below *url*."""
    script = data / f"{label}.lua"
    path = httpx.URL(url).path
    script.write_text(_SCRIPT % ", ".join(f'"{path}{name(number)}/"' for number in range(PROJECTS)), encoding="utf-8")
    return script


def print_memory(server: Server, data: Path, upstream: str) -> None:
    """Print the memory of *server* while it responds to many requests."""
    with running(server, upstream) as one:
        warm(one.url, server.workers)
        script = write_script(data, "memory", one.url)
        print(f"{'requests':>8} {'MiB':>6}")
        sent = 0.0
        while sent < MANY:
            print(f"{sent:8.0f} {resident(one.pid):6.1f}", flush=True)
            load = measure(one.url, script, clients=CLIENTS[0], seconds=4)
            sent += 4 * load.rate
        print(f"{sent:8.0f} {resident(one.pid):6.1f}")


def resident(pid: int) -> float:
    """The resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
