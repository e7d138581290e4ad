"""Many machines with a real ssh server on loopback: each has its own root file system and its own processes."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import oldglibc
from tests.support.oldglibc import Unavailable, debian_packages, succeed

SERVER = ("openssh-server", "openssh-client", "libwrap0", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3")
LIBRARIES = ("libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2", "libsystemd0", "libaudit1", "libpam0g")
# The root of the machine is an overlay: Debian 11, or this machine with one of pyenv's interpreters.
DEBIAN, NO_PYTHON, BUSYBOX, PYTHON_36, PYTHON_38 = "debian-11", "no-python", "busybox", "3.6", "3.8"

_START = """
set -e
mount -t tmpfs -o "$OPTIONS" tmpfs "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" "$SCRATCH/root"
cd "$SCRATCH/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o noexec tmpfs tmp
mkdir -p run/sshd run/server run/keys
mount --bind "$SERVER" run/server
mount --bind "$KEYS" run/keys
grep -q '^sshd:' etc/passwd || echo 'sshd:x:105:65534::/run/sshd:/usr/sbin/nologin' >>etc/passwd
grep -q '^deploy:' etc/passwd || echo 'deploy:x:1234:1234::/home/deploy:/bin/sh' >>etc/passwd
grep -q '^deploy:' etc/shadow || echo 'deploy:*:19000::::::' >>etc/shadow
mkdir -p home/deploy
chown 1234:1234 home/deploy
eval "$PREPARE"
unset ROOT PREPARE SERVER KEYS
export LD_LIBRARY_PATH=/run/server/usr/lib/x86_64-linux-gnu:/run/server/lib/x86_64-linux-gnu
exec chroot . /run/server/usr/sbin/sshd -D -e -f /dev/null -p "$PORT" -h /run/keys/host -o ListenAddress=127.0.0.1 \\
    -o UsePAM=no -o StrictModes=no -o AuthorizedKeysFile=/run/keys/user.pub -o PidFile=none -o PermitRootLogin=yes \\
    -o "SetEnv=PATH=$SESSION_PATH" -o MaxStartups=100
"""
_BUSYBOX = """
mkdir bb
cp "$BUSYBOX/bin/busybox" bb/box
for applet in $(bb/box --list); do ln -sf box "bb/$applet"; done
ln -s /usr/bin/python3.9 bb/python3
rm bin/sh
ln -s /bb/box bin/sh
sed -i 's,:/bin/bash$,:/bin/sh,' etc/passwd
"""


@dataclass
class Host:
    """A machine with a server."""

    name: str
    kind: str
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def server(self) -> int:
        """The process of the server, which is the first one of the machine."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def path(self, path: str) -> Path:
        """A path of the machine, seen from here."""
        return Path(f"/proc/{self.server}/root{path}")

    def connections(self) -> list[int]:
        """The server's processes for connections."""
        pid = self.server
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@dataclass
class Fleet:
    """Running machines."""

    folder: Path
    hosts: list[Host] = field(default_factory=list)

    def inventory(self, hosts: Sequence[Host] | None = None, *, user: str = "root") -> Path:
        """An inventory of all machines, or of *hosts*."""
        lines = [
            f"{host.name} ansible_host=127.0.0.1 ansible_port={host.port}"
            for host in (self.hosts if hosts is None else hosts)
        ]
        options = f"-o UserKnownHostsFile={self.folder}/keys/known_hosts -o ConnectTimeout=5"
        lines += ["[all:vars]", f"ansible_user={user}", f"ansible_ssh_private_key_file={self.folder}/keys/user"]
        lines += [f"ansible_ssh_common_args='{options}'"]
        path = self.folder / f"inventory-{len(list(self.folder.glob('inventory-*')))}"
        path.write_text("\n".join(lines) + "\n")
        return path

    def configuration(self, *names: str) -> Path:
        """A configuration of ssh in which the machines have these names."""
        lines = [
            "Host *",
            "HostName 127.0.0.1",
            "User root",
            f"IdentityFile {self.folder}/keys/user",
            f"UserKnownHostsFile {self.folder}/keys/known_hosts",
        ]
        for name, host in zip(names, self.hosts, strict=True):
            lines += [f"Match originalhost {name}", f"Port {host.port}"]
        path = self.folder / "configuration"
        path.write_text("\n".join(lines) + "\n")
        return path


def _unpack_busybox(root: Path) -> None:
    """This machine's busybox, because that of Debian 11 has no ``mv -T``."""
    downloads = root / "downloads"
    downloads.mkdir()
    if oldglibc.run(["apt-get", "download", "busybox-static"], cwd=downloads).returncode:
        raise Unavailable("apt can't download busybox-static")
    (archive,) = downloads.glob("*.deb")
    succeed(["dpkg-deb", "-x", archive, root])


def _root(kind: str) -> Path:
    if kind in (DEBIAN, NO_PYTHON, BUSYBOX):
        return oldglibc.old_machine().root
    return Path("/")


def _prepare(kind: str) -> tuple[str, str]:
    """The commands that change a root, and the search path of its sessions."""
    path = "/usr/local/bin:/usr/bin:/bin"
    if kind == NO_PYTHON:
        return "rm -f usr/bin/python3*", path
    if kind == BUSYBOX:
        return _BUSYBOX, "/bb:/usr/bin:/bin"
    if kind in (PYTHON_36, PYTHON_38):
        folders = sorted(oldglibc.PYENV.glob(f"versions/{kind}.*/bin"))
        if not folders:
            raise Unavailable(f"pyenv has no Python {kind}")
        return "rm -f root/.bashrc root/.bash_profile root/.profile", f"{folders[-1]}:/usr/bin:/bin"
    return "", path


@contextmanager
def ssh_fleet(folder: Path, kinds: Sequence[str], *, options: str = "mode=755") -> Iterator[Fleet]:
    """A machine for each of *kinds*; *options* are those of the tmpfs with its changes. Raises Unavailable."""
    if not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        raise Unavailable("no ssh on this machine")
    oldglibc.old_machine()
    server = debian_packages("debian-11-openssh-2", *SERVER, *LIBRARIES, "libssl1.1")
    busybox = oldglibc.cached("busybox-1", _unpack_busybox) if BUSYBOX in kinds else folder
    keys = folder / "keys"
    keys.mkdir(parents=True)
    for name in ("host", "user"):
        succeed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)])
    (keys / "known_hosts").write_text(f"[127.0.0.1]:* {(keys / 'host.pub').read_text()}")
    fleet = Fleet(folder)
    with ExitStack() as stack:
        for number, kind in enumerate(kinds, start=1):
            prepare, path = _prepare(kind)
            scratch = folder / f"scratch-{number}"
            scratch.mkdir()
            with closing(socket.create_server(("127.0.0.1", 0))) as free:
                port = free.getsockname()[1]
            variables = {
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "ROOT": str(_root(kind)),
                "SCRATCH": str(scratch),
                "SERVER": str(server),
                "KEYS": str(keys),
                "BUSYBOX": str(busybox),
                "PREPARE": prepare,
                "PORT": str(port),
                "SESSION_PATH": path,
                "OPTIONS": options,
            }
            unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
            log = (folder / f"log-{number}").open("wb")
            process = subprocess.Popen([*unshare, "sh", "-c", _START], env=variables, stdout=log, stderr=log)
            stack.callback(log.close)
            stack.callback(_stop, process)
            fleet.hosts.append(Host(f"host{number:02}", kind, port, process))
        for number, host in enumerate(fleet.hosts, start=1):
            _wait(host, folder / f"log-{number}")
        yield fleet


def _wait(host: Host, log: Path) -> None:
    for _ in range(200):
        with closing(socket.socket()) as probe:
            if not probe.connect_ex(("127.0.0.1", host.port)):
                return
        if host.process.poll() is not None:
            break
        time.sleep(0.1)
    raise Unavailable(f"no ssh server on {host.kind}: {log.read_text()[-500:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
