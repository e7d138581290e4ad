"""The cache of wheels and metadata that were built on this machine, by the digest of their source and their builder."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from minglibc.cache.location import is_private, make_folders
from minglibc.config.files import open_regular, replace_file
from minglibc.lock.selection import Machine
from minglibc.model.artifacts import printable

# Each format has a folder of its own; those of other formats are never read.
FOLDER = "built-1"
_FAILURE = ".failure"
_METADATA = ".METADATA"
_LONGEST_FAILURE = 4096
# What zig builds on first use for each target, and the output of builds.
ZIG = "zig-1"
LOGS = "logs-1"


class Built(NamedTuple):
    """A built wheel: its path, its file name, its SHA-256, and its builder.

    The builder is ``cp311-x86_64-glibc2.36``, or for a toolchain with a cap ``cp311-x86_64-glibc2.17-zig0.17.1``.
    """

    path: str
    filename: str
    sha256: str
    builder: str

    @property
    def is_pure(self) -> bool:
        """Whether its name has no platform and no ABI."""
        return self.filename.endswith("-none-any.whl")


def builder_name(machine: Machine) -> str:
    """The name of a machine and interpreter, whose builds are kept apart from others."""
    threads = "t" if machine.python.free_threaded else ""
    libc = f"{machine.libc.libc}{machine.libc}" if machine.libc else ""
    return f"cp3{machine.python.minor}{threads}-{machine.architecture}-{libc}"


class BuiltWheels:
    """The wheels below *cache_dir*; files of other users and changed files are ignored."""

    def __init__(self, cache_dir: str) -> None:
        self._folder = os.path.join(cache_dir, FOLDER)

    def of(self, digest: str) -> list[Built]:
        """The wheels that were built from the source with this *digest* (``sha256:…``)."""
        return list(self._of(os.path.join(self._folder, digest.replace(":", "-"))))

    def _of(self, home: str) -> Iterator[Built]:
        for builder in _listing(home):
            for sha256 in _listing(os.path.join(home, builder)):
                folder = os.path.join(home, builder, sha256)
                for filename in _listing(folder):
                    if filename.endswith(".whl") and _is_valid(os.path.join(folder, filename), sha256):
                        yield Built(os.path.join(folder, filename), filename, sha256, builder)

    def record_failure(self, digest: str, builder: str, problem: str) -> None:
        """Remember why the source with this *digest* could not be built; a build that succeeds replaces it."""
        home = os.path.join(self._folder, digest.replace(":", "-"))
        with suppress(OSError):
            make_folders(home)
            replace_file(os.path.join(home, _FAILURE), f"{builder}\n{problem}\n".encode(errors="replace"))

    def failure(self, digest: str) -> str:
        """Why the last build of the source with this *digest* failed; empty where it did not."""
        path = os.path.join(self._folder, digest.replace(":", "-"), _FAILURE)
        try:
            with open(path, encoding="utf-8", errors="replace", opener=open_regular) as file:
                return printable(file.read(_LONGEST_FAILURE).partition("\n")[2].strip())
        except OSError:
            return ""

    def metadata(self, digest: str, builder: str) -> str:
        """The METADATA of a project, by the *digest* of its files; empty where there are none."""
        path = os.path.join(self._folder, digest.replace(":", "-"), f"{builder}{_METADATA}")
        try:
            with open(path, encoding="utf-8", errors="replace", opener=open_regular) as file:
                return file.read() if is_private(os.fstat(file.fileno())) else ""
        except OSError:
            return ""

    def keep_metadata(self, digest: str, builder: str, text: str) -> None:
        """Store the METADATA of a project."""
        home = os.path.join(self._folder, digest.replace(":", "-"))
        with suppress(OSError):
            make_folders(home)
            replace_file(os.path.join(home, f"{builder}{_METADATA}"), text.encode(errors="replace"))

    def keep(self, digest: str, builder: str, path: str) -> Built:
        """Copy the wheel at *path* to the cache; where that is not possible, it stays where it is."""
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        filename = os.path.basename(path)
        home = os.path.join(self._folder, digest.replace(":", "-"), builder)
        try:
            make_folders(home)
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(os.path.dirname(home), _FAILURE))
            temporary = tempfile.mkdtemp(prefix=".part-", dir=home)
            try:
                shutil.copyfile(path, os.path.join(temporary, filename))
                _rename(temporary, os.path.join(home, sha256), filename)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except OSError:
            return Built(path, filename, sha256, builder)
        return Built(os.path.join(home, sha256, filename), filename, sha256, builder)


def _rename(temporary: str, final: str, filename: str) -> None:
    """Rename *temporary* to *final*, unless another process has stored the same wheel; a damaged one is replaced."""
    if os.path.isdir(final) and not _is_valid(os.path.join(final, filename), os.path.basename(final)):
        shutil.rmtree(final)
    try:
        os.rename(temporary, final)
    except OSError:
        if not os.path.isdir(final):
            raise


def _listing(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _is_valid(path: str, sha256: str) -> bool:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            # No lock has their hash, so only files that other users can't change are trusted.
            is_trusted = stat.S_ISREG(status.st_mode) and is_private(status)
            return is_trusted and hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
