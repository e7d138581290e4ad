"""Projects for tests of whole commands."""

import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.support.commands import Ran, minglibc, read_lock
from tests.support.index import IndexServer

# The Python that runs the tests, and the name of its target under cap 2.17.
RUNNING = f"3.{sys.version_info.minor}"
RUNNING_TARGET = f"cp3{sys.version_info.minor}-x86_64-glibc2.17"
RUNNING_OPTIONS = ("--glibc", "2.17", "--python", RUNNING)


def project(folder: Path, index: IndexServer, text: str) -> Path:
    """Write a project to *folder*: pyproject.toml is *text* with *index* as its index-url."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(
        text.replace("[tool.minglibc]\n", f'[tool.minglibc]\nindex-url = "{index.url}"\n'), encoding="utf-8"
    )
    return folder


def run(folder: Path, command: str, *arguments: str) -> Ran:
    """Run a command for the project in *folder*."""
    return minglibc(command, "--project", str(folder), *arguments)


def locked(folder: Path, *arguments: str) -> str:
    """The text of the lock that `lock` writes in *folder*, which must be within its caps."""
    ran = run(folder, "lock", *arguments)
    assert 0 == ran.code, ran.err
    read_lock(folder)
    return (folder / "pylock.toml").read_text("utf-8")


def locked_package(folder: Path, name: str) -> dict[str, Any]:
    """The table of a package in the lock."""
    packages = tomllib.loads((folder / "pylock.toml").read_text("utf-8"))["packages"]
    package: dict[str, Any] = next(package for package in packages if package["name"] == name)
    return package


def lock_requirements(folder: Path, index: IndexServer, *options: str) -> Ran:
    """Run `lock -r requirements.in`."""
    return minglibc("lock", "-r", str(folder / "requirements.in"), "--index-url", index.url, *options)
