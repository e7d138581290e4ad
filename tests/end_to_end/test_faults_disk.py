"""Full and read-only disks: small file systems in a private mount namespace."""

import ctypes
import errno
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.support import child
from tests.support.commands import minglibc
from tests.support.environments import LockedProject, check_whole, installed, snapshot
from tests.support.index import IndexServer
from tests.support.limits import run_in_child
from tests.support.parameters import one_in
from tests.support.wheels import build_wheel

CLONE_NEWNS = 0x20000


@cache
def may_mount() -> bool:
    """Whether this process may mount a file system."""
    ran = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    return ran.returncode == 0


needs_mount = pytest.mark.skipif(not may_mount(), reason="mounting a small file system needs root")


@pytest.fixture
def project(index: IndexServer, tmp_path: Path) -> LockedProject:
    """A project of a, which requires b, locked."""
    index.add(build_wheel("a", "1.0", requires=["b"], padding=300_000))
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("pip", "25.0"))
    made = LockedProject(tmp_path / "project", index)
    made.lock("a")
    return made


def cli(*arguments: object) -> str:
    """A minglibc command for a shell."""
    return shlex.join([sys.executable, "-m", "minglibc", *map(str, arguments)])


def shell(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script."""
    return subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def in_namespace(work: Callable[[], None]) -> None:
    """Do *work* in a process of its own, whose mounts no other process sees; it must succeed."""

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
        mount("--make-rprivate", "/")
        work()

    run_in_child(run)


def mount(*arguments: object) -> None:
    """Call the mount program."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def mount_tmpfs(folder: Path, options: str) -> None:
    """Mount an empty file system at *folder*."""
    folder.mkdir()
    mount("-t", "tmpfs", "-o", options, "tmpfs", folder)


def mount_read_only(folder: Path) -> None:
    """Make *folder* a file system of its own that is read-only."""
    mount("--bind", folder, folder)
    mount("-o", "remount,ro,bind", folder)


def fill(folder: Path) -> None:
    """Fill the file system."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@needs_mount
@pytest.mark.parametrize("room", [0, 500])
def test_lock_on_a_full_disk(project: LockedProject, index: IndexServer, tmp_path: Path, room: int) -> None:
    """S13: on a full disk, or one with too little space, the old lock is unchanged and no temporary file is left."""
    index.add(build_wheel("b", "2.0"))
    small = tmp_path / "small"

    def work() -> None:
        mount_tmpfs(small, "size=64k")
        for name in ("pylock.toml", "pyproject.toml"):
            shutil.copy(project.folder / name, small)
        if room:
            (small / "spare").write_bytes(bytes(room))
        fill(small)
        (small / "spare").unlink(missing_ok=True)
        before = snapshot(small)
        ran = minglibc("lock", "--upgrade", "--project", str(small))
        assert ran.code == 1, ran.err
        assert "can't write" in ran.err
        assert before == snapshot(small)
        assert {"filler", "pylock.toml", "pyproject.toml"} == before.keys()

    in_namespace(work)


@needs_mount
def test_sync_on_a_full_disk(project: LockedProject, tmp_path: Path) -> None:
    """S3: a full disk is an error that changes nothing; with free space, the next `sync` completes."""
    small = tmp_path / "small"

    def work() -> None:
        mount_tmpfs(small, "size=8m")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", small / "env"], check=True)
        before = names_below(small / "env")
        fill(small)
        ran = project.sync("--python", str(small / "env"))
        assert (1, 1) == (ran.code, ran.err.count("error: ")), ran.err
        assert before == names_below(small / "env")
        (small / "filler").unlink()
        ran = project.sync("--python", str(small / "env"))
        assert 0 == ran.code, ran.err
        assert "Installed 2 packages" in ran.err
        assert {"a": "1.0", "b": "1.0"} == installed(small / "env")
        check_whole(small / "env")

    in_namespace(work)


def names_below(folder: Path) -> list[Path]:
    """What *folder* contains, except for minglibc's own folder."""
    return sorted(path for path in folder.rglob("*") if ".minglibc" not in path.parts)


@needs_mount
def test_bundle_on_a_full_disk(project: LockedProject, tmp_path: Path) -> None:
    """A bundle without space is an error that leaves no files, as a folder and as an archive."""
    small = tmp_path / "small"

    def work() -> None:
        mount_tmpfs(small, "size=128k")
        for name in ("made", "made.tar.gz"):
            ran = project.command("bundle", "-o", str(small / name))
            assert (1, []) == (ran.code, os.listdir(small)), ran.err
            assert "the disk is full" in ran.err

    in_namespace(work)


@needs_mount
def test_a_read_only_environment(project: LockedProject) -> None:
    """S4: a read-only environment is an error that names it and changes nothing; --check still works."""
    assert 0 == project.sync().code
    (project.site / "b" / "__init__.py").write_text("changed = 1\n")
    before = snapshot(project.venv)

    def work() -> None:
        mount_read_only(project.venv)
        ran = project.sync()
        assert 1 == ran.code
        assert "can't write in" in ran.err
        assert 1 == project.sync("--check").code

    in_namespace(work)
    assert before == snapshot(project.venv)


@needs_mount
def test_a_read_only_project(project: LockedProject, index: IndexServer) -> None:
    """A read-only project is an error that names it; `lock --check` and `--dry-run` do not write."""
    index.add(build_wheel("b", "2.0"))

    def work() -> None:
        mount_read_only(project.folder)
        ran = project.command("lock", "--upgrade")
        assert 1 == ran.code
        assert f"can't write in {project.folder}" in ran.err
        ran = project.command("lock", "--upgrade", "--dry-run")
        assert (0, True) == (ran.code, "b 1.0 → 2.0" in ran.out), ran
        assert 0 == project.command("lock", "--check").code

    in_namespace(work)


@needs_mount
def test_a_read_only_cache(project: LockedProject, index: IndexServer) -> None:
    """S6: a read-only cache is used, with one warning."""
    index.add(build_wheel("b", "2.0"))

    def work() -> None:
        mount_read_only(Path(os.environ["MINGLIBC_CACHE_DIR"]))
        for command in (["lock", "--upgrade", "--refresh"], ["sync"]):
            ran = project.command(*command)
            assert (0, 1) == (ran.code, ran.err.count("continuing without it")), ran.err

    in_namespace(work)
    check_whole(project.venv)


@needs_mount
@pytest.mark.parametrize("temporary", one_in(2, ["missing", "noexec", "full", "read-only"]))
def test_a_bad_tmpdir(project: LockedProject, tmp_path: Path, temporary: str) -> None:
    """S19: locking, installing and bundling work if TMPDIR is missing, full, noexec or read-only."""
    folder = tmp_path / "tmpdir"
    options = {"full": "size=16k", "noexec": "size=1m,noexec", "read-only": "size=16k,ro"}

    def use_tmpdir() -> None:
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None

    def work() -> None:
        if temporary != "missing":
            mount_tmpfs(folder, options[temporary])
        if temporary == "full":
            fill(folder)
        for name, *arguments in (["lock", "--upgrade"], ["sync"], ["bundle", "-o", str(tmp_path / "made")]):
            ran = child.run(name, "--project", str(project.folder), *arguments, before=use_tmpdir)
            assert 0 == ran.returncode, ran.stderr

    in_namespace(work)
    check_whole(project.venv)
    assert (tmp_path / "made" / "install.sh").exists()


def test_without_home(project: LockedProject) -> None:
    """S19: locking works without HOME, with umask 077 and with a limit of 64 open files."""
    (project.folder / "pylock.toml").unlink()
    ran = shell(f"unset HOME XDG_CACHE_HOME; umask 077; ulimit -n 64; {cli('lock', '--project', project.folder)}")
    assert 0 == ran.returncode, ran.stderr
    assert 0o600 == (project.folder / "pylock.toml").stat().st_mode & 0o777


@pytest.mark.slow
@pytest.mark.parametrize("language", ["C", "en_US.ISO-8859-1"])
def test_non_ascii_paths(index: IndexServer, tmp_path: Path, language: str) -> None:
    """S20: paths with spaces, quotes and non-ASCII characters work in any locale, for projects and for the cache."""
    index.add(
        build_wheel(
            "a", "1.0", scripts={"a-program": "a:main"}, files={"a/__init__.py": "def main(): print('hällo')\n"}
        )
    )
    made = LockedProject(tmp_path / "ein 'schöner\" Ordner ü", index)
    made.write(["a"])
    common = f"--project {shlex.quote(str(made.folder))} --cache-dir {shlex.quote(str(tmp_path / 'Käche 1'))}"
    python = f"{shlex.quote(sys.executable)} -m minglibc"
    script = f"{python} lock {common} && {python} sync {common} && {python} tree {common} && {python} run {common} a-program && {python} lock --check {common}"
    ran = shell(script, LANG=language, LC_ALL=language)
    assert 0 == ran.returncode, ran.stderr
    assert "Traceback" not in ran.stderr
    check_whole(made.venv)


@pytest.mark.parametrize("command", ["tree", "lock --dry-run --upgrade --json", "sync --json --check", "--help"])
def test_closed_stdout(project: LockedProject, command: str) -> None:
    """S20: if stdout is closed, the command ends without a traceback."""
    where = "" if command == "--help" else f" --project {shlex.quote(str(project.folder))}"
    ran = shell(f"{{ {cli(*command.split())}{where}; echo $? >&2; }} | true")
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    closed = shell(f"{cli(*command.split())}{where} >&-")
    assert "Traceback" not in closed.stderr


def test_cache_with_unexpected_file_types(project: LockedProject) -> None:
    """Folders and symbolic links in place of cache entries are ignored, and nothing outside the cache is changed."""
    cache = Path(os.environ["MINGLIBC_CACHE_DIR"])
    outside = project.folder.parent / "outside"
    outside.write_text("keep me")
    for number, path in enumerate([path for path in cache.rglob("*") if path.is_file()]):
        path.unlink()
        if number % 2:
            path.mkdir()
        else:
            path.symlink_to(outside)
    assert 0 == project.command("lock", "--upgrade").code
    assert 0 == project.sync().code
    check_whole(project.venv)
    assert "keep me" == outside.read_text()
