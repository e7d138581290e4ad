"""`sync` warns of the project's own extension modules, which are in no wheel that it checks."""

import sys
from pathlib import Path

import pytest

from minglibc.config.project_modules import extension_modules
from tests.support.commands import minglibc
from tests.support.elves import elf
from tests.support.explained import Project
from tests.support.index import IndexServer

WARNING = "warning: src/example/_fast.abi3.so needs GLIBC_2.34, the cap is glibc 2.17: build it again"


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A locked project without dependencies, and with a package in ``src``."""
    project = Project(tmp_path, index)
    project.write(python=[f"3.{sys.version_info.minor}"]).lock()
    (tmp_path / "src/example").mkdir(parents=True)
    return project


def test_sync_warns_each_time(project: Project) -> None:
    """A module that was built in place after a sync is noticed by the next one, and by each one until it is built again."""
    module = project.folder / "src/example/_fast.abi3.so"
    command = ("sync", "--project", str(project.folder))
    assert "warning: src" not in minglibc(*command).err
    module.write_bytes(elf(needs={"libc.so.6": ["GLIBC_2.34"]}))
    for options in ([], [], ["--check"]):
        ran = minglibc(*command, *options)
        assert (0, True) == (ran.code, WARNING in ran.err), ran.err
    module.write_bytes(elf())
    for _ in range(2):
        assert "warning: src" not in minglibc(*command).err


def test_modules_in_linked_folders(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A build folder that a package links to is read, also if links lead in a circle."""
    built = tmp_path_factory.mktemp("built")
    (built / "_fast.abi3.so").write_bytes(elf(needs={"libc.so.6": ["GLIBC_2.34"]}))
    (built / "again").symlink_to(built)
    (project.folder / "src/example/_native").symlink_to(built)
    ran = minglibc("sync", "--project", str(project.folder))
    assert (0, True) == (ran.code, "_fast.abi3.so needs GLIBC_2.34, the cap is glibc 2.17" in ran.err), ran.err


def test_state_of_extension_modules(tmp_path: Path) -> None:
    """It is empty without modules, and changes with each of them; other folders of the project do not matter."""
    assert "" == extension_modules(str(tmp_path / "missing"))
    states = [extension_modules(str(tmp_path))]
    for name in ("src/a/x.so", "pkg/y.cpython-39.so", "top.so", "src/a/libz.so.1"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pkg").mkdir(exist_ok=True)
        (tmp_path / "pkg/__init__.py").touch()
        path.write_bytes(b"1")
        states.append(extension_modules(str(tmp_path)))
    (tmp_path / "top.so").write_bytes(b"12")
    states.append(extension_modules(str(tmp_path)))
    assert 6 == len(set(states))
    for name in ("build/lib/x.so", "other/x.so", "tests/x.so"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"1")
    assert states[-1] == extension_modules(str(tmp_path))
