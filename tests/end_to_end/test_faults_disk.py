"""Full and read-only disks: small file systems in a private mount namespace."""

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.environments import LockedProject, check_whole, installed, snapshot
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


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


def shell(script: str, *, mounts: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in a private mount namespace."""
    command = ["unshare", "-m", "sh", "-c", script] if mounts else ["sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def on_tmpfs(folder: Path, size: str, then: str) -> str:
    """A script that mounts a file system of *size* at *folder* and then runs *then*."""
    folder.mkdir(exist_ok=True)
    return f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(folder))} && {then}"


def fill(folder: Path) -> str:
    """A script that fills the file system."""
    return f"{{ cat /dev/zero > {shlex.quote(str(folder))}/filler || true; }} 2>/dev/null"


@needs_mount
@pytest.mark.parametrize("room", [0, 500])
def test_lock_on_a_full_disk(project: LockedProject, index: IndexServer, tmp_path: Path, room: int) -> None:
    """S13: on a full disk, or one with too little space, the old lock is unchanged and no temporary file is left."""
    index.add(build_wheel("b", "2.0"))
    small = tmp_path / "small"
    blocks = (
        f"; dd if=/dev/zero of={small}/spare bs={room} count=1 2>/dev/null; {fill(small)}; rm {small}/spare"
        if room
        else f"; {fill(small)}"
    )
    script = on_tmpfs(
        small,
        "64k",
        f"cp {project.folder}/py* {small}/ {blocks}; sum=$(cat {small}/py* | sha256sum); "
        f"{cli('lock', '--upgrade', '--project', small)}; code=$?; "
        f'test "$sum" = "$(cat {small}/py* | sha256sum)" && ls -A {small} | tr "\\n" " "; exit $code',
    )
    ran = shell(script)
    assert 1 == ran.returncode, ran.stderr
    assert "can't write" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "filler pylock.toml pyproject.toml " == ran.stdout


@needs_mount
def test_sync_on_a_full_disk(project: LockedProject, tmp_path: Path) -> None:
    """S3: a full disk is an error that changes nothing; with free space, the next `sync` completes."""
    small, kept = tmp_path / "small", tmp_path / "kept"
    sync = cli("sync", "--project", project.folder, "--python", small / "env")
    create = f"{shlex.quote(sys.executable)} -m venv --without-pip {small}/env"
    listing = f"find {small}/env -not -path '*/.minglibc*' | sort | sha256sum"
    script = on_tmpfs(
        small,
        "8m",
        f'{create}; before=$({listing}); {fill(small)}; {sync}; test $? = 1 || exit 20; test "$before" = "$({listing})" || exit 21; '
        f"rm {small}/filler; {sync} || exit 22; cp -a {small}/env {kept}",
    )
    ran = shell(script)
    assert 0 == ran.returncode, ran.stderr
    assert 2 == ran.stderr.count("error: ") + ran.stderr.count("Installed 2 packages"), ran.stderr
    assert "Traceback" not in ran.stderr
    assert {"a": "1.0", "b": "1.0"} == installed(kept)
    check_whole(kept)


@needs_mount
def test_bundle_on_a_full_disk(project: LockedProject, tmp_path: Path) -> None:
    """A bundle without space is an error that leaves no files, as a folder and as an archive."""
    small = tmp_path / "small"
    for name in ("made", "made.tar.gz"):
        made = cli("bundle", "--project", project.folder, "-o", small / name)
        ran = shell(on_tmpfs(small, "128k", f"{made}; code=$?; ls -A {small}; exit $code"))
        assert (1, "") == (ran.returncode, ran.stdout), ran.stderr
        assert "the disk is full" in ran.stderr


@needs_mount
def test_a_read_only_environment(project: LockedProject) -> None:
    """S4: a read-only environment is an error that names it and changes nothing; --check still works."""
    assert 0 == project.sync().code
    (project.site / "b" / "__init__.py").write_text("changed = 1\n")
    before = snapshot(project.venv)
    venv = shlex.quote(str(project.venv))
    sync, check = cli("sync", "--project", project.folder), cli("sync", "--check", "--project", project.folder)
    ran = shell(
        f"mount --bind {venv} {venv} && mount -o remount,ro,bind {venv} && {{ {sync}; test $? = 1 && {check}; }}"
    )
    assert 1 == ran.returncode
    assert "can't write in" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert before == snapshot(project.venv)


@needs_mount
def test_a_read_only_project(project: LockedProject, index: IndexServer) -> None:
    """A read-only project is an error that names it; `lock --check` and `--dry-run` do not write."""
    index.add(build_wheel("b", "2.0"))
    folder = shlex.quote(str(project.folder))
    lock = cli("lock", "--upgrade", "--project", project.folder)
    script = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && {{ {lock}; echo $?; {lock} --dry-run && {cli('lock', '--check', '--project', project.folder)}; }}"
    ran = shell(script)
    assert 0 == ran.returncode, ran.stderr
    assert ran.stdout.startswith("1\n")
    assert "b 1.0 → 2.0" in ran.stdout
    assert f"can't write in {project.folder}" in ran.stderr


@needs_mount
def test_a_read_only_cache(project: LockedProject, index: IndexServer) -> None:
    """S6: a read-only cache is used, with one warning."""
    index.add(build_wheel("b", "2.0"))
    held = Path(os.environ["MINGLIBC_CACHE_DIR"])
    folder = shlex.quote(str(held))
    lock = cli("lock", "--upgrade", "--refresh", "--project", project.folder)
    ran = shell(
        f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && {lock} && {cli('sync', '--project', project.folder)}"
    )
    assert 0 == ran.returncode, ran.stderr
    assert 2 == ran.stderr.count("continuing without it"), ran.stderr
    check_whole(project.venv)


@needs_mount
@pytest.mark.parametrize("temporary", ["missing", "full", "noexec", "read-only"])
def test_a_bad_tmpdir(project: LockedProject, tmp_path: Path, temporary: str) -> None:
    """S19: locking, installing and bundling work if TMPDIR is missing, full, noexec or read-only."""
    folder = tmp_path / "tmpdir"
    work = " && ".join(
        cli(*command, "--project", project.folder)
        for command in (("lock", "--upgrade"), ("sync",), ("bundle", "-o", tmp_path / "made"))
    )
    mount = {
        "missing": work,
        "full": on_tmpfs(folder, "16k", f"{fill(folder)}; {work}"),
        "noexec": on_tmpfs(folder, "1m,noexec", work),
        "read-only": on_tmpfs(folder, "16k,ro", work),
    }[temporary]
    ran = shell(mount, TMPDIR=str(folder))
    assert 0 == ran.returncode, ran.stderr
    check_whole(project.venv)
    assert (tmp_path / "made" / "install.sh").exists()


def test_without_home(project: LockedProject) -> None:
    """S19: locking works without HOME, with umask 077 and with a limit of 64 open files."""
    (project.folder / "pylock.toml").unlink()
    ran = shell(
        f"unset HOME XDG_CACHE_HOME; umask 077; ulimit -n 64; {cli('lock', '--project', project.folder)}", mounts=False
    )
    assert 0 == ran.returncode, ran.stderr
    assert 0o600 == (project.folder / "pylock.toml").stat().st_mode & 0o777


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
    ran = shell(script, mounts=False, LANG=language, LC_ALL=language)
    assert 0 == ran.returncode, ran.stderr
    assert "Traceback" not in ran.stderr
    check_whole(made.venv)


@pytest.mark.parametrize("command", ["tree", "lock --dry-run --upgrade --json", "sync --json --check", "--help"])
def test_closed_stdout(project: LockedProject, command: str) -> None:
    """S20: if stdout is closed, the command ends without a traceback."""
    where = "" if command == "--help" else f" --project {shlex.quote(str(project.folder))}"
    ran = shell(f"{{ {cli(*command.split())}{where}; echo $? >&2; }} | true", mounts=False)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    closed = shell(f"{cli(*command.split())}{where} >&-", mounts=False)
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
