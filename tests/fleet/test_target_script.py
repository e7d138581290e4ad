"""The script of the Ansible collection that changes a root on the target, run here with small bundles."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = (Path(__file__).parents[2] / "deploy/ansible/plugins/plugin_utils/target.sh").read_text(encoding="utf-8")


class Root:
    """A root that the script changes."""

    def __init__(self, folder: Path, shell: tuple[str, ...] = ("sh",)) -> None:
        self.folder = folder
        self.shell = shell
        programs = folder.parent / "programs"
        programs.mkdir()
        (programs / "sync").symlink_to("/bin/true")  # which would wait for the disk of all tests
        self.environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder.parent)}

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command of the script."""
        command, *rest = arguments
        words = [*self.shell, "-c", SCRIPT, "sh", command, str(self.folder), "022", *rest]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(words, env=self.environment, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str, data: bytes = b"") -> list[str]:
        """The output of a command, without its first line."""
        output, errors = self.start(*arguments).communicate(data)
        assert errors == b""
        first, *lines = output.decode().splitlines()
        assert first == "minglibc-fleet 1"
        return lines

    def send(self, bundle: dict[str, bytes], token: str = "t") -> str:
        """Store the files of *bundle*; returns the digest of its SHA256SUMS."""
        sums = sums_of(bundle)
        contents = [*bundle.values(), sums]
        pieces = [word for content in contents for word in (digest(content), "0", str(len(content)), "1")]
        assert self.run("receive", token, *pieces, data=b"".join(contents)) == ["done"]
        return digest(sums)

    def deploy(
        self, bundle: dict[str, bytes], *, keep: int = 3, smoke: str = "test -x bin/run", wait: int = 5
    ) -> list[str]:
        """Send and deploy a bundle."""
        return self.run("deploy", self.send(bundle), str(keep), str(wait), "", smoke)

    def roll_back(self, release: str = "") -> list[str]:
        """Switch to the previous release."""
        return self.run("rollback", release, "5", "test -x bin/run")

    @property
    def version(self) -> str:
        """What the current release prints."""
        return subprocess.run(
            [self.folder / "current/bin/run"], capture_output=True, text=True, check=True
        ).stdout.strip()

    @property
    def leftovers(self) -> set[str]:
        """The names below the root that a finished run does not leave."""
        names = {path.name for path in self.folder.iterdir() if not path.name.startswith(".lock-")}
        names |= {path.name for path in (self.folder / "store").glob(".*")}
        return names - {".minglibc-fleet", ".history", "current", "releases", "store"}


def digest(content: bytes) -> str:
    """The SHA-256 of *content*."""
    return hashlib.sha256(content).hexdigest()


def sums_of(bundle: dict[str, bytes]) -> bytes:
    """The SHA256SUMS of a bundle."""
    return "".join(f"{digest(content)}  {name}\n" for name, content in sorted(bundle.items())).encode()


def id_of(bundle: dict[str, bytes]) -> str:
    """The ID of a bundle's releases."""
    return digest(sums_of(bundle))[:16]


INSTALL = """\
set -e
mkdir -p "$1/bin"
cp "$(dirname "$0")/wheels/app.whl" "$1/bin/run"
chmod +x "$1/bin/run"
"""


def bundle_of(version: str, install: str = INSTALL) -> dict[str, bytes]:
    """A bundle whose release prints *version*."""
    program = f"#!/bin/sh\necho {version}\n"
    return {"install.sh": install.encode(), "wheels/app.whl": program.encode(), "wheels/other.whl": b"other"}


ONE, TWO, THREE, FOUR = (bundle_of(str(number)) for number in range(1, 5))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root that does not exist yet, with a space and quotes in its path."""
    return Root(tmp_path / "it's the root")


@pytest.mark.slow
def test_deploy_and_roll_back(root: Root) -> None:
    """Each deployment switches to its release; rolling back goes through the earlier ones, and old ones are removed."""
    for number, bundle in enumerate((ONE, TWO, THREE), start=1):
        assert root.deploy(bundle) == ["done"]
        assert root.version == str(number)
    assert root.deploy(FOUR) == [f"removed {id_of(ONE)}", "done"]
    assert {id_of(bundle) for bundle in (TWO, THREE, FOUR)} == set(os.listdir(root.folder / "releases"))
    assert root.roll_back() == [f"current {id_of(THREE)}", "done"]
    assert root.roll_back(id_of(FOUR)) == ["done"]  # it is not current any more
    assert root.version == "3"
    assert root.roll_back() == [f"current {id_of(TWO)}", "done"]
    (error,) = root.roll_back()
    assert error.startswith(f"error there is no release before {id_of(TWO)}")
    assert root.deploy(ONE) == [f"removed {name}" for name in sorted([id_of(THREE), id_of(FOUR)])] + ["done"]
    assert root.roll_back() == [f"current {id_of(TWO)}", "done"]
    assert root.deploy(FOUR, keep=1)[-1] == "done"
    assert [id_of(FOUR)] == os.listdir(root.folder / "releases")
    assert {digest(content) for content in FOUR.values()} == set(os.listdir(root.folder / "store"))
    assert set() == root.leftovers


@pytest.mark.slow
def test_status(root: Root) -> None:
    """`status` changes nothing, and lists releases, files and the store."""
    output = root.run("status", data=b"echo measured")
    assert output[0].startswith("free ")
    assert output[1:] == ["done", "measured"]
    assert not root.folder.exists()
    root.deploy(ONE)
    root.deploy(TWO)
    lines = root.run("status")
    assert [f"current {id_of(TWO)}", f"history {id_of(ONE)}", f"history {id_of(TWO)}"] == lines[1:4]
    assert {f"release {id_of(ONE)}", f"file {digest(b'other')}  wheels/other.whl", f"stored {digest(b'other')}"} <= set(
        lines
    )


@pytest.mark.parametrize(
    ("bundle", "smoke", "message"),
    [
        (TWO, "echo broken; exit 1", "the smoke test failed"),
        *(
            pytest.param(
                bundle_of("2", f"mkdir -p $1/bin; echo broken; {end}"),
                "true",
                "the installation failed",
                marks=pytest.mark.slow,
            )
            for end in ("exit 3", "kill -9 $$")
        ),
    ],
)
def test_failures(root: Root, bundle: dict[str, bytes], smoke: str, message: str) -> None:
    """After a failed step the old release is current, and the new one is removed."""
    root.deploy(ONE)
    output = root.deploy(bundle, smoke=smoke)
    assert output[0] == f"error {message}; {root.folder}/current is unchanged"
    assert "detail broken" in output
    assert "done" not in output
    assert root.version == "1"
    assert [id_of(ONE)] == os.listdir(root.folder / "releases")
    assert set() == root.leftovers
    assert root.deploy(TWO) == ["done"]


@pytest.mark.slow
def test_smoke_test_with_a_background_process(root: Root) -> None:
    """A process that the smoke test leaves behind does not delay the deployment, and control characters are replaced."""
    started = time.monotonic()
    assert root.deploy(ONE, smoke="sleep 20 & echo $!") == ["done"]
    assert "detail ?[31mred" in root.deploy(TWO, smoke="printf '\\033[31mred\\n\\n\\377' >&2; false")
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_damaged_store(root: Root) -> None:
    """Files of the store that are missing or damaged are removed and named, so that they are sent again."""
    sums = root.send(ONE)
    stored = root.folder / "store" / digest(b"other")
    stored.write_bytes(b"damaged")
    arguments = ("deploy", sums, "3", "5", "", "true")
    assert root.run(*arguments)[0] == "incomplete"
    assert not stored.exists()
    assert root.run(*arguments)[0] == "incomplete"
    assert root.deploy(ONE) == ["done"]


@pytest.mark.slow
def test_damaged_release(root: Root) -> None:
    """A current release without its record is installed again."""
    root.deploy(ONE)
    (root.folder / "current" / ".minglibc-SHA256SUMS").unlink()
    assert f"release {id_of(ONE)}" not in root.run("status")
    assert root.deploy(ONE) == ["done"]
    assert f"release {id_of(ONE)}" in root.run("status")
    assert root.version == "1"


@pytest.mark.slow
def test_receive(root: Root) -> None:
    """A file arrives in several pieces; one that is truncated, changed or out of order is refused and removed."""
    content = b"0123456789" * 1000
    name = digest(content)
    assert root.run("receive", "t", name, "0", "6000", "0", data=content[:6000]) == ["done"]
    assert root.run("receive", "t", name, "6000", "4000", "1", data=content[6000:]) == ["done"]
    assert content == (root.folder / "store" / name).read_bytes()
    for pieces, data in (
        ((name, "0", "10000", "1"), content[:-1]),
        ((name, "0", "10000", "1"), b"x" + content[1:]),
        ((name, "6000", "4000", "1"), content[6000:]),
    ):
        (root.folder / "store" / name).unlink(missing_ok=True)
        (error,) = root.run("receive", "t", *pieces, data=data)
        assert error.startswith("error ")
        assert [] == os.listdir(root.folder / "store")


@pytest.mark.parametrize("name", ["../x", "/x", "a//../../x", "wheels/$(touch x).whl", "a b"])
@pytest.mark.slow
def test_names_in_bundles(root: Root, name: str) -> None:
    """A bundle whose files would leave its folder is refused."""
    output = root.deploy(ONE | {name: b"x"})
    assert output[0] == "error SHA256SUMS of the bundle is invalid"
    assert {"it's the root", "programs"} == set(os.listdir(root.folder.parent))


@pytest.mark.slow
def test_other_folders_are_not_used(root: Root, tmp_path: Path) -> None:
    """A folder with other files, a link in place of a folder, and a file called current are refused and unchanged."""
    root.folder.mkdir()
    (root.folder / "releases").mkdir()
    assert root.run("receive", "t")[0].endswith("is not empty, and was not created by minglibc_env")
    (root.folder / "releases").rmdir()
    root.deploy(ONE)
    (root.folder / "store").rename(tmp_path / "elsewhere")
    (root.folder / "store").symlink_to(tmp_path / "elsewhere")
    assert root.run("receive", "t")[0].endswith("store is a symbolic link")
    (root.folder / "store").unlink()
    (root.folder / "current").unlink()
    (root.folder / "current").mkdir()
    assert "is not a symbolic link" in root.run("status")[0]
    (root.folder / "current").rmdir()
    (root.folder / "current").symlink_to("/opt/other")
    assert "does not name a release" in root.run("status")[0]
    (root.folder / "current").unlink()
    root.folder.chmod(0o777)
    assert "every user can write to" in root.run("status")[0]
    (tmp_path / "file").write_text("")
    assert "is not a folder" in Root.run(_at(root, tmp_path / "file"), "receive", "t")[0]
    assert Root.run(_at(root, tmp_path / "file/x"), "receive", "t")[0].startswith("error can't create")


def _at(root: Root, folder: Path) -> Root:
    other = Root.__new__(Root)
    other.folder, other.shell, other.environment = folder, root.shell, root.environment
    return other


@pytest.mark.slow
def test_two_runs(root: Root) -> None:
    """A run waits for another one, refuses after its time limit, and takes over the lock of a process that was killed."""
    root.deploy(ONE)
    sums = root.send(TWO)
    slow = root.start("deploy", sums, "3", "5", "", f"touch {root.folder.parent}/started; exec sleep 30")
    while not (root.folder.parent / "started").exists():
        time.sleep(0.01)
    (error,) = root.run("deploy", sums, "3", "0", "", "true")
    assert error.startswith("error another run is changing ")
    os.killpg(slow.pid, signal.SIGKILL)
    slow.communicate()
    assert root.version == "1"
    assert root.run("deploy", sums, "3", "0", "", "true") == ["done"]
    assert root.version == "2"
    assert set() == root.leftovers


@pytest.mark.slow
def test_lock_of_another_machine(root: Root) -> None:
    """A lock of a machine that shares the root is respected; one from before a restart of this machine is not."""
    root.deploy(ONE)
    (lock,) = root.folder.glob(".lock-*")
    lock.unlink()
    (root.folder / ".lock-7").symlink_to("elsewhere:boot:1:1")
    (error,) = root.deploy(TWO, wait=0)
    assert error.endswith(f"remove {root.folder}/.lock-7")
    (root.folder / ".lock-7").unlink()
    host = subprocess.run(["uname", "-n"], capture_output=True, text=True, check=True).stdout.strip()
    (root.folder / ".lock-7").symlink_to(f"{host}:boot:1:1")
    assert root.deploy(TWO, wait=0) == ["done"]


@pytest.mark.slow
def test_only_one_run_gets_the_lock(root: Root) -> None:
    """Of many runs at once that find the lock of a killed process, one at a time changes the root."""
    root.deploy(ONE)
    sums = root.send(TWO)
    busy = root.folder.parent / "busy"
    smoke = f"mkdir '{busy}' && sleep 0.1 && rmdir '{busy}'"
    processes = [root.start("deploy", sums, "3", "30", "", smoke) for _ in range(4)]
    for process in processes:
        output, _ = process.communicate()
        assert output.endswith(b"done\n"), output


def kill_at_random(root: Root, times: int, seed: int, longest: float) -> None:
    """Kill deployments of two releases in turn; the root has one of them, and the next run succeeds."""
    moments = random.Random(seed)
    root.deploy(ONE)
    bundles = {"1": ONE, "2": TWO}
    for _ in range(times):
        new = "1" if root.version == "2" else "2"
        sums = root.send(bundles[new])
        process = root.start("deploy", sums, "1", "5", "", "test -x bin/run")
        time.sleep(moments.uniform(0, longest))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert root.version in bundles
        assert root.deploy(bundles[new])[-1] == "done"
        assert root.version == new
        assert set() == root.leftovers


@pytest.mark.slow
def test_killed_runs(root: Root) -> None:
    """A run that is killed leaves the old or the new release, and the next one cleans up."""
    kill_at_random(root, 3, 1, 0.1)


@pytest.mark.nightly
def test_killed_runs_at_many_moments(root: Root) -> None:
    """As above, at many moments."""
    kill_at_random(root, 60, 2, 0.12)


@pytest.mark.parametrize("shell", ["bash", "busybox"])
@pytest.mark.slow
def test_shells(tmp_path: Path, shell: str) -> None:
    """The script works in other shells."""
    path = shutil.which(shell)
    if not path:
        pytest.skip(f"{shell} is not installed")
    root = Root(tmp_path / "root", (path, "sh") if shell == "busybox" else (path,))
    test_deploy_and_roll_back(root)


@pytest.mark.slow
def test_missing_programs(root: Root, tmp_path: Path) -> None:
    """Missing programs are named."""
    programs = tmp_path / "few"
    programs.mkdir()
    for name in (
        "mv",
        "ln",
        "cat",
        "readlink",
        "head",
        "tail",
        "cut",
        "wc",
        "mkdir",
        "rm",
        "cp",
        "df",
        "sed",
        "uname",
        "sleep",
    ):
        (programs / name).symlink_to(shutil.which(name) or "")
    root.environment["PATH"] = str(programs)
    root.shell = (shutil.which("sh") or "",)
    assert root.run("status") == ["error this machine lacks: sha256sum tr"]
    (programs / "mv").unlink()
    (programs / "mv").write_text("#!/bin/sh\necho \"mv: invalid option -- 'T'\"\n")
    (programs / "mv").chmod(0o755)
    assert root.run("status") == ["error this machine lacks: sha256sum tr mv -T"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.slow
def test_root_of_another_user(root: Root) -> None:
    """A root of another user is refused."""
    root.deploy(ONE)
    os.chown(root.folder, 12345, 12345)
    assert "belongs to another user than root; use that user with become_user" in root.run("status")[0]


def test_umask(root: Root) -> None:
    """The umask of the task applies, not that of the login."""
    root.shell = ("sh", "-c", 'umask 077; exec sh "$@"', "sh")
    root.deploy(ONE)
    assert (root.folder / "releases" / id_of(ONE) / "bin/run").stat().st_mode & 0o777 == 0o755
    assert root.folder.stat().st_mode & 0o777 == 0o755
