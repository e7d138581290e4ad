"""Machines with a real ssh server: a Debian 11 root with glibc 2.31 and Python 3.9."""

import json
import os
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import child, oldglibc
from tests.support.oldglibc import OldMachine, Unavailable, debian_packages, or_skip, succeed
from tests.support.ssh import configured_ssh

pytestmark = [pytest.mark.oldglibc, pytest.mark.online, pytest.mark.slow]

SERVER = ("openssh-server", "openssh-client", "libwrap0", "libnsl2", "libtirpc3", "libgssapi-krb5-2", "libkrb5-3")
LIBRARIES = ("libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2", "libsystemd0", "libaudit1", "libpam0g")
# $0 is the folder of the packages, $1 that of the keys, $2 the port.
START = """
set -e
mkdir -p /run/sshd
echo 'sshd:x:105:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
export LD_LIBRARY_PATH="$0/usr/lib/x86_64-linux-gnu:$0/lib/x86_64-linux-gnu"
exec timeout 100 "$0/usr/sbin/sshd" -D -e -f /dev/null -p "$2" -h "$1/host" -o ListenAddress=127.0.0.1 -o UsePAM=no \\
    -o StrictModes=no -o AuthorizedKeysFile="$1/user.pub" -o PidFile=/run/sshd.pid -o PermitRootLogin=yes
"""


@pytest.fixture(scope="module")
def old_machine() -> OldMachine:
    """A Debian 11 machine with glibc 2.31."""
    return or_skip(oldglibc.old_machine)


@pytest.fixture(scope="module")
def server() -> Path:
    """The files of OpenSSH's server."""
    if not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        or_skip(lambda: (_ for _ in ()).throw(Unavailable("no ssh on this machine")))
    return or_skip(lambda: debian_packages("debian-11-openssh-1", *SERVER, *LIBRARIES))


@pytest.fixture
def variables(old_machine: OldMachine, server: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables with which `ssh controller` reaches the machine, and `ssh unknown` finds an unknown host key."""
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("host", "user"):
        succeed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)])
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
    configuration = keys / "configuration"
    configuration.write_text(
        f"Host *\nHostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {keys}/user\n"
        f"Match host 127.0.0.1 originalhost controller\nUserKnownHostsFile {keys}/known_hosts\n"
        "Host unknown\nUserKnownHostsFile /dev/null\n"
    )
    folder = configured_ssh(tmp_path / "bin", shutil.which("ssh") or "", configuration)
    with ThreadPoolExecutor(1) as pool:
        command = ["sh", "-c", START, str(server), str(keys), str(port)]
        running = pool.submit(old_machine.run, command, shared=[server, keys])
        try:
            for _ in range(100):
                with closing(socket.socket()) as probe:
                    if running.done() or not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.2)
            assert not running.done(), running.result()
            yield {"PATH": f"{folder}:{os.environ['PATH']}"}
        finally:
            stop = [str(folder / "ssh"), "-n", "controller", "kill $(cat /run/sshd.pid)"]
            subprocess.run(stop, check=False, timeout=30)


def test_init_and_check(variables: dict[str, str], tmp_path: Path) -> None:
    """`init --hosts` writes the machine's glibc and Python, a host with an unknown key is listed, and the lock serves the machine."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "hosts").write_text("controller\nunknown\n")
    ran = child.run("init", "--hosts", "hosts", cwd=folder, variables=variables)
    assert 0 == ran.returncode, ran.stderr
    assert "warning: unknown: Host key verification failed." in ran.stderr
    table = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["minglibc"]
    assert {"glibc": "2.31", "python": ["3.9"]} == table
    (machine,) = json.loads((folder / "fleet.json").read_text())["machines"]
    assert ("debian-11", "3.4.28", ["3.9.2"]) == (machine["distribution"], machine["libstdcxx"], machine["python"])
    assert 0 == child.run("lock", cwd=folder, variables=variables).returncode
    ran = child.run("check", "--host", "controller", cwd=folder, variables=variables)
    assert (0, "controller: cp39-x86_64-glibc2.31\n") == (ran.returncode, ran.stdout)
