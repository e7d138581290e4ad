"""Wheels' files in the cache, linked into environments: fast, and never taken at their word."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.cache import unpacked_wheels
from tests.support.commands import minglibc
from tests.support.environments import LockedProject, check_whole, installed, site_packages
from tests.support.index import IndexServer
from tests.support.parameters import one_in
from tests.support.wheels import build_wheel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, cache: Path) -> LockedProject:
    """A project of one package, with a script and an empty file, whose wheel the cache has unpacked."""
    files = {"a/__init__.py": "def main():\n    print('a runs')\n", "a/py.typed": ""}
    index.add(build_wheel("a", "1.0", files=files, scripts={"a": "a:main"}))
    made = LockedProject(tmp_path / "project", index)
    made.lock("a")
    assert made.sync().code == 0
    assert kept(cache, "__init__.py").samefile(made.site / "a" / "__init__.py")
    return made


def kept(cache: Path, name: str) -> Path:
    """The one unpacked file of that name."""
    (path,) = (cache / unpacked_wheels.FOLDER).glob(f"*/a/{name}")
    return path


def another(project: LockedProject, *arguments: str) -> Path:
    """A new environment of the same lock; it must be whole."""
    environment = project.folder / "another"
    shutil.rmtree(environment, ignore_errors=True)
    ran = project.sync("--python", str(environment), *arguments)
    assert ran.code == 0, ran.err
    check_whole(environment)
    assert installed(environment) == {"a": "1.0"}
    return environment


def test_environments_share_files(project: LockedProject) -> None:
    """What a wheel brings is one file for all; what is made for an environment is its own."""
    site = site_packages(another(project))
    for name in ("a/__init__.py", "a/py.typed", "a-1.0.dist-info/METADATA"):
        assert (site / name).samefile(project.site / name)
    for name in ("a-1.0.dist-info/RECORD", "a-1.0.dist-info/INSTALLER", "../../../bin/a"):
        assert 1 == (site / name).stat().st_nlink


def test_a_copy_is_an_environments_own(project: LockedProject) -> None:
    """With --link-mode copy no file is shared."""
    site = site_packages(another(project, "--link-mode", "copy"))
    assert {1} == {path.stat().st_nlink for path in site.rglob("*") if path.is_file()}


def test_an_edit_stays_where_it_was_made(project: LockedProject, cache: Path) -> None:
    """A file that was edited through its link, to the same size and the same time, is installed nowhere else."""
    file = project.site / "a" / "__init__.py"
    good, times = file.read_bytes(), file.stat()
    file.write_bytes(good.replace(b"runs", b"lies"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert b"lies" in kept(cache, "__init__.py").read_bytes()
    environment = another(project)
    assert good == kept(cache, "__init__.py").read_bytes()
    assert kept(cache, "__init__.py").samefile(site_packages(environment) / "a" / "__init__.py")


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _below_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("", encoding="utf-8")


SPOILED: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 3),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"#"),
    "executable": lambda path: path.chmod(0o755),
    "unreadable": lambda path: path.chmod(0),
    "gone": lambda path: path.unlink(),
    "a link": _link,
    "a pipe": _fifo,
    "a folder": _folder,
    "without its folder": lambda path: shutil.rmtree(path.parent),
    "below a file": _below_a_file,
}


@pytest.mark.parametrize("how", one_in(2, SPOILED))
def test_what_is_spoiled_is_unpacked_anew(project: LockedProject, cache: Path, how: str) -> None:
    """Whatever happens to an unpacked file, the next environment has what the wheel holds, with the mode of any new file."""
    path = kept(cache, "__init__.py")
    SPOILED[how](path)
    environment = another(project)
    module = site_packages(environment) / "a" / "__init__.py"
    assert "a runs" in module.read_text(encoding="utf-8")
    assert (site_packages(environment) / "a-1.0.dist-info" / "RECORD").stat().st_mode == module.lstat().st_mode


def test_another_umask_gets_files_of_its_own(project: LockedProject) -> None:
    """Files have the modes that the umask gives them now, and the environment that has the others keeps them."""
    before = (project.site / "a" / "__init__.py").stat().st_mode
    umask = os.umask(0o077)
    try:
        environment = another(project)
    finally:
        os.umask(umask)
    assert 0o600 == (site_packages(environment) / "a" / "__init__.py").stat().st_mode & 0o777
    assert before == (project.site / "a" / "__init__.py").stat().st_mode


def test_no_link_leaves_its_file_system(tmp_path: Path) -> None:
    """Between two file systems nothing is kept; on one it is."""
    assert str(tmp_path / "cache" / unpacked_wheels.FOLDER) == unpacked_wheels.home(
        str(tmp_path / "cache"), str(tmp_path)
    )
    assert "" == unpacked_wheels.home(str(tmp_path / "cache"), "/proc")


def test_prune_removes_whole_folders(project: LockedProject, cache: Path) -> None:
    """Files that nobody has used for long go from the cache, their folders too, and stay in the environment."""
    for path in (cache / unpacked_wheels.FOLDER).rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    assert minglibc("cache", "prune").code == 0
    assert not (cache / unpacked_wheels.FOLDER).exists()
    check_whole(project.venv)
