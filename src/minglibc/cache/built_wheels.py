"""Wheels that were built on this machine, kept by the digest of their source and by what built them."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from minglibc.lock.selection import Machine

# A cache of another format lies beside this one and is never read.
FOLDER = "built-1"


class Built(NamedTuple):
    """A built wheel: where it is, its file name, its SHA-256, and what built it (``cp311-x86_64-glibc2.36``)."""

    path: str
    filename: str
    sha256: str
    builder: str

    @property
    def is_pure(self) -> bool:
        """Whether it is for every platform and ABI, as far as its name tells."""
        return self.filename.endswith("-none-any.whl")


def builder_name(machine: Machine) -> str:
    """What tells the builds of one machine and interpreter from those of others."""
    threads = "t" if machine.python.free_threaded else ""
    libc = f"{machine.libc.libc}{machine.libc}" if machine.libc else ""
    return f"cp3{machine.python.minor}{threads}-{machine.architecture}-{libc}"


class BuiltWheels:
    """The wheels below *cache_dir*; what somebody else put there, or what was changed since, is as good as absent."""

    def __init__(self, cache_dir: str) -> None:
        self._folder = os.path.join(cache_dir, FOLDER)

    def of(self, digest: str) -> list[Built]:
        """What was built of the source with this *digest* (``sha256:…``)."""
        return list(self._of(os.path.join(self._folder, digest.replace(":", "-"))))

    def _of(self, home: str) -> Iterator[Built]:
        for builder in _listing(home):
            for sha256 in _listing(os.path.join(home, builder)):
                folder = os.path.join(home, builder, sha256)
                for filename in _listing(folder):
                    if filename.endswith(".whl") and _is_right(os.path.join(folder, filename), sha256):
                        yield Built(os.path.join(folder, filename), filename, sha256, builder)

    def keep(self, digest: str, builder: str, path: str) -> Built:
        """Take the wheel at *path* in; where the disk refuses, it stays where it is."""
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        filename = os.path.basename(path)
        home = os.path.join(self._folder, digest.replace(":", "-"), builder)
        try:
            os.makedirs(home, exist_ok=True)
            room = tempfile.mkdtemp(prefix=".part-", dir=home)
            try:
                shutil.copyfile(path, os.path.join(room, filename))
                os.chmod(room, 0o755)  # noqa: S103  as the folders around it
                _place(room, os.path.join(home, sha256), filename)
            finally:
                shutil.rmtree(room, ignore_errors=True)
        except OSError:
            return Built(path, filename, sha256, builder)
        return Built(os.path.join(home, sha256, filename), filename, sha256, builder)


def _place(room: str, final: str, filename: str) -> None:
    """Give *room* its name, unless another process has done so with the same; what is wrong there makes way."""
    if os.path.isdir(final) and not _is_right(os.path.join(final, filename), os.path.basename(final)):
        shutil.rmtree(final)
    try:
        os.rename(room, final)
    except OSError:
        if not os.path.isdir(final):
            raise


def _listing(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _is_right(path: str, sha256: str) -> bool:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            status = os.fstat(file.fileno())
            # Its bytes are no lock's: who wrote them is all that speaks for them.
            own = stat.S_ISREG(status.st_mode) and status.st_uid in {os.geteuid(), 0}
            return own and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
