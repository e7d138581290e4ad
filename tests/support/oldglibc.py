"""Debian 11's Python 3.9 with glibc 2.31, from Debian's packages, without root or as a root file system."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import platformdirs
import pytest

# Read at import, since the fixtures of conftest.py change the home of each test.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("MINGLIBC_", "PYTEST_", "PYTHON")) and name not in {"PIP_FIND_LINKS", "VIRTUAL_ENV"}
} | {"PIP_CONFIG_FILE": os.devnull, "UV_PYTHON_DOWNLOADS": "never", "MINGLIBC_CACHE_DIR": ""}
CACHE = Path(os.environ.get("MINGLIBC_TEST_CACHE") or platformdirs.user_cache_path("minglibc-tests"))
ENVIRONMENT["MINGLIBC_CACHE_DIR"] = str(CACHE / "minglibc")
# Set in CI, where these tests must not be skipped.
REQUIRED = bool(os.environ.get("MINGLIBC_TEST_REQUIRE"))
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")

SUITE = "bullseye"
PACKAGES = (
    "libc6",
    "libgcc-s1",
    "python3.9-minimal",
    "libpython3.9-minimal",
    "libpython3.9-stdlib",
    "python3-distutils",  # a separate package in Debian, which pip needs before Python 3.10
    "zlib1g",
    "libexpat1",
    "libffi7",
    "libssl1.1",
    "libbz2-1.0",
    "liblzma5",
    "libmpdec3",
    "libuuid1",
    "libcrypt1",
    "libstdc++6",
)
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


Value = TypeVar("Value")


class Unavailable(Exception):
    """Something that a test needs is missing on this machine; the text names it."""


@dataclass(frozen=True, slots=True)
class OldPython:
    """Python 3.9 of Debian 11, started with its own dynamic loader and libraries."""

    root: Path

    def command(self, *arguments: str) -> list[str]:
        """The command line that starts this Python with *arguments*."""
        libraries = f"{self.root}/lib/x86_64-linux-gnu:{self.root}/usr/lib/x86_64-linux-gnu"
        loader = f"{self.root}/lib/x86_64-linux-gnu/ld-2.31.so"
        return [loader, "--library-path", libraries, f"{self.root}/usr/bin/python3.9", *arguments]

    def run(
        self, what: str | Sequence[str], *, site_packages: Path | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run code (a string) or arguments (a sequence), isolated from this machine's Python except for *site_packages*."""
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONHOME": f"{self.root}/usr",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }
        if site_packages:
            environment["PYTHONPATH"] = str(site_packages)
        arguments = ("-c", what) if isinstance(what, str) else what
        return run(self.command(*arguments), env=environment, timeout=timeout)


@dataclass(frozen=True, slots=True)
class OldMachine:
    """A Debian 11 root file system, used with chroot; changes outside shared folders are discarded."""

    root: Path

    def run(
        self,
        command: Sequence[str],
        *,
        shared: Sequence[Path] = (),
        links: Mapping[Path, str] | None = None,
        network: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run *command* with the *shared* folders at their own paths and the symbolic *links* (path → target)."""
        # All mounts are in a mount namespace of this process, so nothing stays mounted, even after SIGKILL.
        script = ["set -e", 'mount -t tmpfs tmpfs "$SCRATCH"', 'mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"']
        script.append(
            'mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$SCRATCH/root"'
        )
        script += [f'mount --rbind /{name} "$SCRATCH/root/{name}"' for name in ("proc", "dev")]
        for folder in shared:
            script.append(f'mkdir -p "$SCRATCH/root{folder}"; mount --bind "{folder}" "$SCRATCH/root{folder}"')
        for path, target in (links or {}).items():
            script.append(f'mkdir -p "$SCRATCH/root{path.parent}"; ln -s "{target}" "$SCRATCH/root{path}"')
        script.append('exec chroot "$SCRATCH/root" "$@"')
        unshare = ["unshare", "--mount", "--propagation", "private", *([] if network else ["--net"])]
        with tempfile.TemporaryDirectory(prefix="minglibc-chroot-") as scratch:
            environment = {
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8",
                "HOME": "/root",
                "PYTHONDONTWRITEBYTECODE": "1",
                "ROOT": str(self.root),
                "SCRATCH": scratch,
            }
            return run([*unshare, "sh", "-c", "\n".join(script), "sh", *command], env=environment, timeout=timeout)


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = 300,
    env: Mapping[str, str] = ENVIRONMENT,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run *command* in the user's environment and capture its output."""
    return subprocess.run(command, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False)


def or_skip(make: Callable[[], Value]) -> Value:
    """The result of *make*; if something is missing, the test is skipped, or fails if MINGLIBC_TEST_REQUIRE is set."""
    try:
        return make()
    except Unavailable as why:
        if REQUIRED:
            pytest.fail(str(why))
        pytest.skip(str(why))


def succeed(command: Sequence[str | Path], *, timeout: float = 300, cwd: Path | None = None) -> str:
    """The output of *command*; raises AssertionError with its output if it fails."""
    outcome = run(command, timeout=timeout, cwd=cwd)
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}{outcome.stderr}"
    return outcome.stdout


def cached(name: str, make: Callable[[Path], object]) -> Path:
    """The folder *name* of the cache, created once; a run that is killed leaves no incomplete folder."""
    folder = CACHE / name
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=CACHE))
    new.chmod(0o755)  # mkdtemp only gives access to the owner
    try:
        make(new)
        new.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


@cache
def old_python() -> OldPython:
    """Debian 11's Python, from the cache or from Debian's archive (10 MB, a few seconds); raises Unavailable."""
    _need_x86_64()
    _need_programs("apt-get", "dpkg-deb")
    return OldPython(cached("debian-11-python-1", lambda root: _unpack(PACKAGES, root)))


@cache
def old_machine() -> OldMachine:
    """The Debian 11 root, from the cache or from debootstrap (263 MB, a minute and a half); raises Unavailable."""
    _need_x86_64()
    if os.geteuid() != 0:
        raise Unavailable("debootstrap and chroot need root")
    _need_programs("apt-get", "dpkg-deb", "unshare", "mount", "chroot", "wget")
    machine = OldMachine(cached("debian-11-root-1", _debootstrap))
    outcome = machine.run(["true"])
    if outcome.returncode:
        raise Unavailable(f"chroot with overlay mounts does not work here: {outcome.stderr.strip()}")
    return machine


def debian_packages(name: str, *packages: str) -> Path:
    """A folder with Debian 11's *packages* unpacked, from the cache (as *name*) or from Debian's archive; raises Unavailable."""
    _need_x86_64()
    _need_programs("apt-get", "dpkg-deb")
    return cached(name, lambda root: _unpack(packages, root))


@cache
def interpreter(version: str) -> Path:
    """This machine's CPython *version* (``3.9``), from PATH or pyenv; raises Unavailable."""
    name = f"python{version}"
    candidates = [shutil.which(name, path=ENVIRONMENT.get("PATH")), *PYENV.glob(f"versions/{version}.*/bin/{name}")]
    for candidate in filter(None, candidates):
        # A pyenv shim on PATH may not start.
        outcome = run([str(candidate), "-c", "import sys; print(sys.executable)"])
        if outcome.returncode == 0:
            return Path(outcome.stdout.strip())
    raise Unavailable(f"no {name} on this machine")


def _need_x86_64() -> None:
    if platform.machine() != "x86_64":
        raise Unavailable(f"the old packages are for x86_64, and this is {platform.machine()}")


def _need_programs(*names: str) -> None:
    missing = [name for name in names if not shutil.which(name, path=ENVIRONMENT.get("PATH"))]
    if missing:
        raise Unavailable(f"no {' and no '.join(missing)} on this machine")


def _unpack(packages: Sequence[str], root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="minglibc-debs-") as scratch:
        # apt checks the index's signature and each package's SHA256 against it.
        state = _apt_state(Path(scratch))
        downloads = Path(scratch, "downloads")
        downloads.mkdir()
        _apt(state, "download", *packages, cwd=downloads)
        archives = sorted(downloads.glob("*.deb"))
        assert len(packages) == len(archives), archives
        for archive in archives:
            succeed(["dpkg-deb", "-x", archive, root])


def _debootstrap(root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="minglibc-debootstrap-") as scratch:
        program = shutil.which("debootstrap", path=ENVIRONMENT.get("PATH"))
        environment = dict(ENVIRONMENT)
        if not program:
            # debootstrap is a shell script with data files: it runs without installation.
            _unpack(["debootstrap"], Path(scratch))
            program = f"{scratch}/usr/sbin/debootstrap"
            environment["DEBOOTSTRAP_DIR"] = f"{scratch}/usr/share/debootstrap"
        keyring = [f"--keyring={KEYRING}"] if KEYRING.is_file() else []
        options = ["--variant=minbase", "--include=python3,python3-venv", *keyring]
        command = [program, *options, SUITE, str(root), _debian_uri()]
        outcome = run(command, env=environment, timeout=900)
        if outcome.returncode:
            raise Unavailable(f"debootstrap failed: {(outcome.stderr or outcome.stdout)[-500:]}")


def _apt_state(folder: Path) -> list[str]:
    """The options that make apt use Debian 11's index, with its state in *folder* instead of the system's."""
    signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (folder / "sources.list").write_text(f"deb {signed}{_debian_uri()} {SUITE} main\n")
    (folder / "status").touch()
    for name in ("lists", "cache/archives"):
        (folder / name / "partial").mkdir(parents=True)
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    _apt(options, "update", "--error-on=any")
    return options


@cache
def _debian_uri() -> str:
    """The URL of the Debian archive that this machine's apt is configured to use."""
    release = platform.freedesktop_os_release()
    with tempfile.TemporaryDirectory(prefix="minglibc-apt-") as empty:
        listed = _apt([f"-oDir::State::lists={empty}"], "update", "--print-uris")
    for uri, suite in re.findall(r"'(\S+?)/dists/([^/']+)/InRelease'", listed):
        if suite in {SUITE, release.get("VERSION_CODENAME"), "stable", "oldstable"} and release["ID"] == "debian":
            return str(uri)
    raise Unavailable("this machine's apt is not configured for Debian")


def _apt(options: Sequence[str], *arguments: str, cwd: Path | None = None) -> str:
    outcome = run(["apt-get", "-q", *options, *arguments], cwd=cwd)
    if outcome.returncode:
        raise Unavailable(f"apt-get {arguments[0]} failed: {outcome.stderr.strip()}")
    return outcome.stdout


REQUIREMENTS = ("paramiko", "numpy", "pandas", "lxml", "psycopg[binary]", "grpcio", "pydantic")

# A program for each of REQUIREMENTS that calls its native code. None needs a network.
WORKS = {
    "paramiko": """
import socket, threading
import paramiko
class Server(paramiko.ServerInterface):
    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL if password == "secret" else paramiko.AUTH_FAILED
    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED
listener = socket.create_server(("127.0.0.1", 0))
client_end = socket.create_connection(listener.getsockname())
server = paramiko.Transport(listener.accept()[0])
server.add_server_key(paramiko.ECDSAKey.generate())
threading.Thread(target=server.start_server, kwargs={"server": Server()}, daemon=True).start()
client = paramiko.Transport(client_end)
client.connect(username="anyone", password="secret")
channel = client.open_session()
server.accept(20).sendall(b"through the transport")
assert b"through the transport" == channel.recv(100)
assert client.is_authenticated() and client.remote_cipher
client.close(); server.close()
""",
    "numpy": "import numpy; assert 2 == round(numpy.linalg.det(numpy.array([[2.0, 0.0], [0.0, 1.0]])))",
    "pandas": "import pandas; assert [3] == pandas.DataFrame({'a': [1, 2]}).sum().tolist()",
    "lxml": "import lxml.etree; assert ['b'] == [e.tag for e in lxml.etree.fromstring('<a><b/></a>')]",
    "psycopg": "import psycopg; assert 'binary' == psycopg.pq.__impl__; assert psycopg.pq.version()",
    "grpcio": "import grpc; grpc.insecure_channel('127.0.0.1:1').close(); from grpc._cython import cygrpc",
    "pydantic": "import pydantic; assert 1 == pydantic.create_model('M', a=(int, ...))(a='1').a",
}
WORKS_ALL = "\n".join(WORKS.values()) + "\nimport os; print(os.confstr('CS_GNU_LIBC_VERSION'))"


def site_packages(environment: Path) -> Path:
    """The site-packages of an *environment* of Python 3.9."""
    return environment / "lib" / "python3.9" / "site-packages"


def minglibc(*arguments: str, project: Path) -> str:
    """The output of a minglibc command in *project*."""
    return succeed([sys.executable, "-m", "minglibc", *arguments], cwd=project)


def shared_environment(project: Path, python: Path) -> Path:
    """The .venv of *project*, locked and synced on this machine."""
    environment = project / ".venv"
    minglibc("lock", project=project)
    minglibc("sync", "--python", str(make_environment(python, environment)), project=project)
    return environment


def project(folder: Path, cap: str, *requirements: str) -> Path:
    """A project in *folder* for Python 3.9 on x86_64 with the glibc *cap*."""
    dependencies = ", ".join(f'"{requirement}"' for requirement in requirements)
    (folder / "pyproject.toml").write_text(f"""\
[project]
name = "shared"
version = "1"
requires-python = ">=3.9,<3.10"
dependencies = [{dependencies}]

[tool.minglibc]
glibc = "{cap}"
python = ["3.9"]
architectures = ["x86_64"]
""")
    return folder


def make_environment(python: Path, environment: Path) -> Path:
    """The interpreter of a new, empty *environment* of *python*."""
    succeed([python, "-m", "venv", "--without-pip", environment])
    return environment / "bin" / "python"


def pip_environment(python: Path, environment: Path, *requirements: str) -> Path:
    """A new *environment* with *requirements* installed by the pip of *python*."""
    wheels = cached(
        "wheels-" + "-".join(requirements),
        lambda folder: succeed([python, "-m", "pip", "download", "-q", "-d", folder, *requirements]),
    )
    there = ["--python", str(make_environment(python, environment))]
    offline = ["--no-index", "--find-links", str(wheels)]
    succeed([python, "-m", "pip", *there, "install", "-q", *offline, *requirements])
    return environment


def uv_environment(python: Path, environment: Path, *requirements: str) -> Path:
    """A new *environment* with *requirements* installed by uv; raises Unavailable."""
    uv = shutil.which("uv", path=ENVIRONMENT.get("PATH"))
    if not uv:
        raise Unavailable("no uv on this machine")
    there = ["--cache-dir", str(CACHE / "uv"), "-q", "--python", str(make_environment(python, environment))]
    succeed([uv, "pip", "install", *there, *requirements])
    return environment
