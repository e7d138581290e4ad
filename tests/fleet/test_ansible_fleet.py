"""The Ansible collection with real ssh servers, each with its own root file system and its own processes."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import child, oldglibc
from tests.support.ansible import Controller, ansible
from tests.support.oldglibc import or_skip
from tests.support.ssh_fleet import BUSYBOX, DEBIAN, NO_PYTHON, PYTHON_36, PYTHON_38, Fleet, Host, ssh_fleet

pytestmark = [pytest.mark.oldglibc, pytest.mark.online]

ROOT = "/opt/the app"
PROJECT = """\
[project]
name = "app"
version = "1"
requires-python = ">=3.6"
dependencies = ["six=={six}", "pyserial"]

[tool.minglibc]
glibc = "2.17"
python = ["3.6", "3.8", "3.9"]
architectures = ["x86_64"]
"""
PLAY = """\
- hosts: all
  gather_facts: false
  serial: "{{ groups_of | default(['100%']) }}"
  max_fail_percentage: "{{ failures | default(100) }}"
  tasks:
    - minglibc.fleet.minglibc_env:
        bundle: "{{ bundle }}"
        root: "{{ root | default('/opt/the app') }}"
        keep: "{{ keep | default(3) }}"
        smoke: "{{ smoke | default('python -c \\"import six\\"') }}"
"""
BACK = """\
- hosts: all
  gather_facts: false
  tasks:
    - minglibc.fleet.minglibc_rollback: {root: "/opt/the app"}
"""
ONE, TWO = "1.16.0", "1.17.0"
# For each of three kinds of kills.
KILLS = 17


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles of two versions of the project, for each Python."""
    folder = tmp_path_factory.mktemp("bundles")
    for version in (ONE, TWO):
        (folder / "pyproject.toml").write_text(PROJECT.format(six=version))
        targets = [f"cp3{minor}-x86_64-glibc2.17" for minor in (6, 8, 9)]
        commands = [["lock"], *(["bundle", "--target", target, "-o", f"{version}/{target}"] for target in targets)]
        for command in commands:
            ran = child.run(*command, cwd=folder, variables=oldglibc.ENVIRONMENT)
            assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
def controller(tmp_path: Path, bundles: Path) -> Controller:
    """A folder with the collection and the playbooks."""
    or_skip(ansible)
    controller = Controller(tmp_path / "controller")
    controller.write("deploy.yml", PLAY)
    controller.write("back.yml", BACK)
    for version in (ONE, TWO):
        (controller.folder / version).symlink_to(bundles / version)
    return controller


def started(tmp_path: Path, *kinds: str) -> Iterator[Fleet]:
    """A fleet, which ends with the fixture."""
    context = ssh_fleet(tmp_path / "fleet", kinds)
    fleet = or_skip(context.__enter__)
    try:
        yield fleet
    finally:
        context.__exit__(None, None, None)


@pytest.fixture
def five(tmp_path: Path) -> Iterator[Fleet]:
    """One machine of each kind."""
    yield from started(tmp_path, DEBIAN, PYTHON_36, PYTHON_38, BUSYBOX, NO_PYTHON)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    """Three machines."""
    yield from started(tmp_path, DEBIAN, PYTHON_38, BUSYBOX)


@pytest.fixture
def twenty(tmp_path: Path) -> Iterator[Fleet]:
    """Twenty machines."""
    yield from started(tmp_path, *[DEBIAN, PYTHON_36, PYTHON_38, BUSYBOX, DEBIAN] * 4)


def version_on(host: Host, root: str = ROOT) -> str:
    """The version that the current release of *host* imports."""
    code = "import six, serial; print(six.__version__)"
    command = ["chroot", f"/proc/{host.server}/root", f"{root}/current/bin/python", "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": f"{os.defpath}:/usr/sbin"}
    ).stdout.strip()


def check_clean(host: Host) -> None:
    """The root has nothing that a finished run does not leave."""
    root = host.path(ROOT)
    names = {path.name for path in root.iterdir() if not path.name.startswith(".lock-")}
    assert names == {".minglibc-fleet", ".history", "current", "releases", "store"}
    assert {".minglibc-SHA256SUMS"} <= {path.name for path in (root / "current/").iterdir()}
    assert not list((root / "store").glob(".*"))


@pytest.mark.nightly
def test_kinds_of_machines(five: Fleet, controller: Controller) -> None:
    """Each kind of machine gets its bundle, an upgrade sends only what is new, and the user is that of become."""
    inventory = str(five.inventory())
    *served, without = [host.name for host in five.hosts]
    results = controller.play("-i", inventory, "deploy.yml", "-e", f"bundle={ONE}", code=2)
    assert {"ok"} == {results[name]["status"] for name in served}, results
    targets = [results[name]["target"].partition("-")[0] for name in served]
    assert targets == ["cp39", "cp36", "cp38", "cp39"]
    assert "this machine has no CPython 3" in results[without]["msg"]
    results = controller.play("-i", inventory, "deploy.yml", "-e", f"bundle={TWO}", code=2)
    assert all(0 < results[name]["sent"] < 40_000 for name in served), results
    for host in five.hosts[:-1]:
        assert version_on(host) == TWO
        check_clean(host)
    results = controller.play("-i", inventory, "back.yml", code=2)
    assert [ONE] * 4 == [version_on(host) for host in five.hosts[:-1]]
    become = ("--become", "-e", "ansible_become_method=su", "-e", "ansible_become_user=deploy")
    limited = ("-l", f"{five.hosts[0].name},{five.hosts[3].name}")
    results = controller.play(
        "-i", inventory, *limited, *become, "deploy.yml", "-e", f"bundle={ONE}", "-e", "root=/home/deploy/app"
    )
    assert {1234} == {
        host.path("/home/deploy/app/current/bin/").stat().st_uid for host in (five.hosts[0], five.hosts[3])
    }
    results = controller.play(
        "-i", inventory, *limited, "deploy.yml", "-e", f"bundle={TWO}", "-e", "root=/home/deploy/app", code=2
    )
    assert all("belongs to another user than root" in result["msg"] for result in results.values())


@pytest.mark.nightly
def test_twenty_machines(twenty: Fleet, controller: Controller) -> None:
    """Deploy, upgrade, roll back, and deploy with three dead machines."""
    for count in (1, 10, 20):
        inventory = str(twenty.inventory(twenty.hosts[:count]))
        for version in (ONE, TWO, TWO):
            begun = time.monotonic()
            results = controller.play(
                "-i", inventory, "-f", "20", "deploy.yml", "-e", f"bundle={version}", "-e", "keep=1"
            )
            sent = max(result["sent"] for result in results.values())
            print(f"{count} machines: {version} {time.monotonic() - begun:.1f} s, {sent} bytes each")
            assert {version} == {version_on(host) for host in twenty.hosts[:count]}
    controller.play("-i", inventory, "-f", "20", "deploy.yml", "-e", f"bundle={ONE}")
    controller.play("-i", inventory, "-f", "20", "back.yml")
    assert {TWO} == {version_on(host) for host in twenty.hosts}
    dead = twenty.hosts[2:5]
    for host in dead:
        host.process.kill()
        host.process.wait()
    alive = [host for host in twenty.hosts if host not in dead]
    results = controller.play("-i", inventory, "-f", "20", "deploy.yml", "-e", f"bundle={ONE}", code=4)
    assert {"unreachable"} == {results[host.name]["status"] for host in dead}
    assert {"ok"} == {results[host.name]["status"] for host in alive}
    assert {ONE} == {version_on(host) for host in alive}
    # A rolling deployment goes on without the machine of its second group that does not answer.
    begin = ["-e", '{"groups_of": [1, "10%", "100%"], "failures": 0}']
    results = controller.play("-i", inventory, "deploy.yml", "-e", f"bundle={TWO}", *begin, code=None)
    assert {host.name for host in twenty.hosts[:3]} == {*[*results][:3]}
    assert {TWO} == {version_on(host) for host in alive}


@pytest.mark.nightly
@pytest.mark.parametrize("victim", ["controller", "connections", "everything"])
def test_kills(three: Fleet, controller: Controller, victim: str) -> None:
    """After a kill at a random moment each machine has the old or the new release, and the next run converges."""
    moments = random.Random(victim)
    inventory = str(three.inventory())
    controller.play("-i", inventory, "deploy.yml", "-e", f"bundle={ONE}", "-e", "keep=1")
    versions = (ONE, TWO)
    interrupted = 0
    for number in range(KILLS):
        version = versions[(number + 1) % 2]
        arguments = ("-i", inventory, "deploy.yml", "-e", f"bundle={version}", "-e", "keep=1")
        process = controller.start("ansible-playbook", *arguments)
        time.sleep(moments.uniform(0.8, 9))
        if victim == "controller":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            for host in three.hosts:
                for pid in _session(host) if victim == "everything" else host.connections():
                    _kill(pid)
        process.communicate()
        current = [version_on(host) for host in three.hosts]
        assert set(current) <= set(versions)
        interrupted += current != [version] * 3
        results = controller.play(*arguments)
        assert {"ok"} == {result["status"] for result in results.values()}
        for host in three.hosts:
            assert version_on(host) == version
            check_clean(host)
    print(f"{interrupted} of {KILLS} runs did not finish")


def _session(host: Host) -> list[int]:
    """All processes of the machine but its first one."""
    namespace = os.readlink(f"/proc/{host.server}/ns/pid")
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns/pid") == namespace and int(path.name) != host.server:
                pids.append(int(path.name))
        except OSError:
            continue
    return pids


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.nightly
def test_two_hundred_machines(controller: Controller, bundles: Path, tmp_path: Path) -> None:
    """Two hundred roots on this machine, with the local connection; one run at a time has the lock of each."""
    python = or_skip(lambda: oldglibc.interpreter("3.9"))
    hosts = "\n".join(f"host{number:03} root={tmp_path}/roots/{number}" for number in range(200))
    inventory = str(controller.write("hosts", f"{hosts}\n[all:vars]\nansible_connection=local\n"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(python)
    path = f"{tmp_path}/bin:{controller.variables['PATH']}"
    for version in (ONE, ONE):
        begun = time.monotonic()
        controller.run(
            "ansible-playbook", "-i", inventory, "-f", "20", "deploy.yml", "-e", f"bundle={version}", PATH=path
        )
        print(f"200 roots: {time.monotonic() - begun:.0f} s")
    assert 200 == len(list((tmp_path / "roots").glob("*/current/bin/python")))
