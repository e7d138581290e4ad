"""The cache of downloaded wheels: a folder for each digest, and files that are hashed whenever they are used."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from minglibc.cache.location import is_private, make_folders
from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.model.artifacts import HASH_ALGORITHMS, Artifact

# Each format has a folder of its own; those of other formats are never read.
FOLDER = "wheels-1"

_CHUNK = 1 << 20
# Longer than any download takes, whatever the clocks say.
_DAY = 86_400


class LockedFile(NamedTuple):
    """A file of the lock: its name, its URL, its hashes and its size if known."""

    filename: str
    url: str
    hashes: Mapping[str, str]
    size: int | None = None

    @property
    def digest(self) -> tuple[str, str]:
        """The algorithm and the digits of the hash that identifies the file."""
        for algorithm in HASH_ALGORITHMS:
            if algorithm in self.hashes:
                return algorithm, self.hashes[algorithm].lower()
        raise WheelError(f"{self.filename} has no usable hash in the lock", hint="run minglibc lock")


def file_of(wheel: Artifact) -> LockedFile:
    """A *wheel* with a hash, as a file that a lock would contain."""
    algorithm, _, digest = wheel.hash.partition(":")
    return LockedFile(wheel.filename, wheel.url, {algorithm: digest}, wheel.size)


def hexdigest(path: str, algorithm: str) -> str:
    """The hash of the file at *path*; raises OSError, also for anything that is not a regular file."""
    with open(path, "rb", opener=open_regular) as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def identity_of(descriptor: int) -> str:
    """What identifies the content of an open file: any write or replacement changes it."""
    status = os.fstat(descriptor)
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


class WheelCache:
    """The wheels below *cache_dir*. Where it cannot be written, wheels are in a temporary folder that ``close`` removes."""

    def __init__(self, cache_dir: str, *, on_warning: Callable[[str], None] = lambda _text: None) -> None:
        self._folder = os.path.join(cache_dir, FOLDER)
        self._on_warning = on_warning
        self._temporary = ""
        # Downloads run in threads.
        self._lock = threading.RLock()
        self._is_stopped = False
        self._partial: set[str] = set()
        # Of each file whose hash was verified; an installation compares it with the file that it opens.
        self.identities: dict[str, str] = {}

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def get(self, file: LockedFile) -> str | None:
        """The path of *file* if the cache has it with the right hash; one with another hash is removed."""
        path = path_in(self._folder, file)
        algorithm, digest = file.digest
        try:
            with open(path, "rb", opener=_open_without_link) as stream:
                identity = identity_of(stream.fileno())
                is_trusted = is_private(os.fstat(stream.fileno()))
                if is_trusted and hashlib.file_digest(stream, algorithm).hexdigest() == digest:
                    self.identities[path] = identity
                    return path
        except FileNotFoundError:
            return None
        except OSError:
            pass
        with suppress(OSError):
            os.unlink(path)
        return None

    def unchanged(self, file: LockedFile) -> str | None:
        """The path of *file* if its hash was verified in this process and it has not changed since."""
        path = path_in(self._folder, file)
        if path not in self.identities:
            return None
        try:
            with open(path, "rb", opener=_open_without_link) as stream:
                return path if identity_of(stream.fileno()) == self.identities[path] else None
        except OSError:
            return None

    def start(self) -> None:
        """Allow new partial files."""
        self._is_stopped = False

    def stop(self) -> None:
        """Remove all partial files, and refuse new ones."""
        with self._lock:
            self._is_stopped = True
            for path in self._partial:
                with suppress(OSError):
                    os.unlink(path)

    def create(self, *, temporary: bool = False) -> tuple[int, str, str]:
        """A new partial file: its descriptor, its path, and the folder where it gets its final name."""
        with self._lock:
            if self._is_stopped:
                raise TimeoutError
            descriptor, path, folder = self._create(temporary=temporary)
            self._partial.add(path)
            return descriptor, path, folder

    def _create(self, *, temporary: bool) -> tuple[int, str, str]:
        if not temporary and not self._temporary:
            try:
                make_folders(self._folder)
                descriptor, path = tempfile.mkstemp(prefix=".part-", dir=self._folder)
                # Ages are measured with the clock of the disk.
                self._remove_old_parts(os.fstat(descriptor).st_mtime)
                return descriptor, path, self._folder  # noqa: TRY300
            except OSError as error:
                self.warn(error)
        self._temporary = self._temporary or tempfile.mkdtemp(prefix="minglibc-")
        return *tempfile.mkstemp(prefix=".part-", dir=self._temporary), self._temporary

    def forget(self, path: str, *, renamed_to: str = "", identity: str = "") -> None:
        """A partial file was removed, or renamed after its hash was verified."""
        with self._lock:
            self._partial.discard(path)
            if renamed_to:
                self.identities[renamed_to] = identity

    def warn(self, error: OSError) -> None:
        """Print one warning that the cache cannot be written."""
        if not self._temporary:
            self._on_warning(f"cannot write to the cache {self._folder} ({error.strerror}); continuing without it")

    def _remove_old_parts(self, now: float) -> None:
        """Remove the partial files of processes that were killed."""
        for entry in os.scandir(self._folder):
            if entry.name.startswith(".part-"):
                with suppress(OSError):
                    if now - entry.stat().st_mtime > _DAY:
                        os.unlink(entry.path)


class PartialFile:
    """A file of the cache that is being written; when the disk is full, it moves to the temporary folder."""

    def __init__(self, cache: WheelCache) -> None:
        self._cache = cache
        self._descriptor, self._path, self.folder = cache.create()
        self._size = 0

    @property
    def path(self) -> str:
        """Where it is; another path after the disk was full."""
        return self._path

    def write(self, chunk: bytes) -> None:
        """Append *chunk*; raises OSError where neither folder has room."""
        try:
            _write_all(self._descriptor, chunk)
        except OSError as error:
            self._move(error)
            _write_all(self._descriptor, chunk)
        self._size += len(chunk)

    def _move(self, error: OSError) -> None:
        """Copy what is complete to the temporary folder."""
        self._cache.warn(error)
        descriptor, path, folder = self._cache.create(temporary=True)
        remaining = self._size  # without what the failed write added
        with open(self._path, "rb") as source:
            while chunk := source.read(min(_CHUNK, remaining)):
                _write_all(descriptor, chunk)
                remaining -= len(chunk)
        self.discard()
        self._descriptor, self._path, self.folder = descriptor, path, folder

    def commit(self, file: LockedFile) -> str:
        """Rename it to its place in the cache, which is returned."""
        path = path_in(self.folder, file)
        make_folders(os.path.dirname(path))
        copy = os.dup(self._descriptor)
        try:
            # Some file systems report a full disk only here.
            os.close(self._descriptor)
            self._descriptor = -1
            os.replace(self._path, path)
            self._cache.forget(self._path, renamed_to=path, identity=identity_of(copy))
        finally:
            os.close(copy)
        return path

    def discard(self) -> None:
        """Remove it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with suppress(OSError):
            os.unlink(self._path)
        self._cache.forget(self._path)


def path_in(folder: str, file: LockedFile) -> str:
    """The path of *file* in a cache folder; raises WheelError for a file name that would lead elsewhere."""
    if "/" in file.filename or file.filename in ("", ".", "..") or "\0" in file.filename:
        raise WheelError(f"{file.filename!r} is not the name of a wheel", hint="run minglibc lock")
    return os.path.join(folder, "-".join(file.digest), file.filename)


def _open_without_link(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_NOFOLLOW)


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
