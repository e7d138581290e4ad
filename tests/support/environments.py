"""Projects that are locked with an index on loopback, and checks of environments."""

import csv
import hashlib
import os
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

RUNNING = f"3.{sys.version_info.minor}"


class LockedProject:
    """A folder with pyproject.toml and pylock.toml, and its index."""

    def __init__(self, folder: Path, index: IndexServer) -> None:
        self.folder = folder
        self.index = index
        index.max_age = 0  # changes of the index are visible immediately
        self.venv = folder / ".venv"

    def write(self, dependencies: Iterable[str], *, glibc: str = "2.17", python: str = RUNNING, more: str = "") -> None:
        """Write pyproject.toml; *more* is appended."""
        listed = ", ".join(f'"{dependency}"' for dependency in dependencies)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "pyproject.toml").write_text(
            f'[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.6"\ndependencies = [{listed}]\n'
            f'[tool.minglibc]\nglibc = "{glibc}"\npython = ["{python}"]\nindex-url = "{self.index.url}"\n{more}',
            encoding="utf-8",
        )

    def lock(self, *dependencies: str, glibc: str = "2.17", python: str = RUNNING, more: str = "") -> None:
        """Write pyproject.toml and lock it."""
        self.write(dependencies, glibc=glibc, python=python, more=more)
        ran = self.command("lock", "--upgrade")
        assert ran.code == 0, ran.err

    def command(self, name: str, *arguments: str) -> Ran:
        """Run a command of minglibc for this project."""
        return minglibc(name, "--project", str(self.folder), *arguments)

    def sync(self, *arguments: str) -> Ran:
        """Run `minglibc sync`."""
        return self.command("sync", *arguments)

    @property
    def site(self) -> Path:
        """The environment's site-packages."""
        return site_packages(self.venv)


def locked_pair(folder: Path, index: IndexServer) -> LockedProject:
    """A project of a, which requires b, locked in *folder*."""
    index.add(build_wheel("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project = LockedProject(folder, index)
    project.lock("a")
    return project


def site_packages(prefix: Path) -> Path:
    """The one site-packages folder of an environment."""
    (folder,) = (prefix / "lib").glob("python3.*/site-packages")
    return folder


def installed(prefix: Path) -> dict[str, str]:
    """The names and versions of the installed distributions of an environment."""
    names = [path.name.removesuffix(".dist-info") for path in site_packages(prefix).glob("*.dist-info")]
    return dict(name.split("-") for name in names)


def check_whole(prefix: Path) -> None:
    """RECORD files list exactly the files that exist, with their hashes, and no temporary file is left."""
    site = site_packages(prefix)
    recorded = set()
    for record in site.glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as file:
            for path, digest, _ in csv.reader(file):
                file_path = Path(os.path.normpath(site / path))
                recorded.add(file_path)
                if digest:
                    actual = urlsafe_b64encode(hashlib.sha256(file_path.read_bytes()).digest()).rstrip(b"=").decode()
                    assert digest == f"sha256={actual}", file_path
                else:
                    assert file_path.exists(), file_path
    existing = {path for path in site.rglob("*") if not path.is_dir() and path.suffix != ".pyc"}
    assert existing - recorded == set(), f"in no RECORD: {sorted(existing - recorded)}"
    assert leftovers(prefix) == set()


def leftovers(prefix: Path) -> set[str]:
    """Temporary files of a sync. The stale guard of a killed process is removed with the next busy file."""
    return {path.name for path in (prefix / ".minglibc").iterdir()} - {"proof", ".minglibc.busy.stale"}


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every file below *folder* with its mode and content."""
    entries: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name in {"proof", "__pycache__"} or path.suffix == ".pyc":
            continue
        content = str(path.readlink()) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        entries[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return entries
