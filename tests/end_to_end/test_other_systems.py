"""Commands that other systems than Linux run, too: they need none of Linux's own calls."""

import builtins
import fcntl
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.support import child
from tests.support.elves import elf
from tests.support.index import IndexServer
from tests.support.projects import RUNNING
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    import subprocess

# What macOS does not have, or what is not safe there.
MISSING = (
    *("fork", "sched_getaffinity", "posix_fadvise", "copy_file_range", "pidfd_open", "memfd_create", "eventfd"),
    *("getrandom", "setns", "unshare", "sched_setaffinity", "sched_getscheduler", "O_PATH", "O_TMPFILE"),
)


def remove_linux_calls() -> None:
    """Remove Linux's own calls and /proc from this process."""
    for name in MISSING:
        if hasattr(os, name):
            delattr(os, name)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        del fcntl.F_SETPIPE_SZ
    system_open, system_readlink = builtins.open, os.readlink

    def open_outside_of_proc(file: Any, *arguments: Any, **options: Any) -> IO[Any]:
        if str(file).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", file)
        opened: IO[Any] = system_open(file, *arguments, **options)
        return opened

    def readlink(path: Any, **options: Any) -> Any:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return system_readlink(path, **options)

    def confstr(name: Any) -> str:
        raise ValueError("unrecognized configuration name")

    names = os.uname_result(["Darwin", "laptop", "25.0.0", "Darwin Kernel Version 25.0.0", "arm64"])
    vars(builtins)["open"] = open_outside_of_proc
    vars(os).update(readlink=readlink, confstr=confstr, uname=lambda: names)


def run(*arguments: str, project: Path) -> "subprocess.CompletedProcess[str]":
    """Run minglibc in *project* without Linux's own calls."""
    return child.run(*arguments, cwd=project, before=remove_linux_calls)


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project with a wheel that has an extension module."""
    index.add(build_wheel("pip", "24.0"))
    index.add(build_wheel("pure", "1.0"))
    tag = f"cp{RUNNING.replace('.', '')}-abi3-manylinux_2_17_x86_64"
    index.add(
        build_wheel(
            "native", "1.0", tag=tag, requires=["pure"], files={"native.so": elf(needs={"libc.so.6": ["GLIBC_2.17"]})}
        )
    )
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">={RUNNING}"\ndependencies = ["native"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{RUNNING}"]\nindex-url = "{index.url}"\n'
    )
    return tmp_path


@pytest.mark.slow
def test_commands_without_linux_calls(project: Path) -> None:
    """`lock`, `check`, `export` and `bundle` work without fork, CPU affinity and /proc, as on macOS."""
    for arguments, output in (
        (("lock",), "Locked 2 packages"),
        (("lock",), "up to date"),
        (("lock", "--check"), "up to date"),
        (("check", "pylock.toml"), "Checked"),
        (("export",), "native @ "),
        (("tree",), "native==1.0"),
        (("bundle", "-o", "bundle.tar.gz"), "Bundled 2 packages"),
        (("outdated",), "0 of 2 packages"),
    ):
        ran = run(*arguments, project=project)
        assert 0 == ran.returncode, (arguments, ran.stderr)
        assert output in ran.stdout + ran.stderr
        assert "warning" not in ran.stderr
