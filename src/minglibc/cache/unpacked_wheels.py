"""The files of wheels, unpacked once in the cache and linked into environments.

Each link is hashed at its destination and compared with the RECORD of the wheel, whose own hash was checked before. A file
that was edited through one of its links, or truncated by a crash, is removed and unpacked again.
"""

import hashlib
import os
import stat
from base64 import urlsafe_b64encode
from contextlib import suppress

from minglibc.cache.location import make_folders

# Each format has a folder of its own; those of other formats are never read.
FOLDER = "unpacked-1"

_CHUNK = 1 << 20


def home(cache_dir: str, prefix: str) -> str:
    """The folder of unpacked wheels, if files there can be linked to *prefix*; else empty."""
    path = os.path.join(os.path.abspath(cache_dir), FOLDER)
    try:
        make_folders(path)
        return path if os.stat(path).st_dev == os.stat(prefix).st_dev else ""
    except OSError:
        return ""


class Unpacked:
    """The files of one wheel in *folder*, with the modes that *umask* gives, for an environment of *group*."""

    def __init__(self, folder: str, umask: int, group: int) -> None:
        # A link has the group of the cached file, so each group has files of its own.
        self._folder = folder if not folder or group == os.getegid() else f"{folder}-{group}"
        self._umask = umask
        self._group = group
        self._user = os.geteuid()
        self._made: set[str] = set()
        self._usable = bool(folder)

    def take(self, name: str, path: str, *, digest: str, size: int, executable: bool) -> bool:
        """Link the member *name* to *path* and return True, if it has the *digest* of RECORD and the *size*."""
        if not self._usable:
            return False
        cached = f"{self._folder}/{name}"
        try:
            os.link(cached, path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            self._usable = False  # another file system, too many links, a file of another user
            return False
        # The file is checked at its destination: the path in the cache may have changed meanwhile.
        if self._is_valid(path, digest, size, executable=executable):
            return True
        os.unlink(path)
        with suppress(OSError):
            os.unlink(cached)
        return False

    def keep(self, name: str, path: str) -> None:
        """Add the member *name*, which was just written to *path* and checked, to the cache."""
        if not self._usable:
            return
        cached = f"{self._folder}/{name}"
        parent = os.path.dirname(cached)
        try:
            if parent not in self._made:
                make_folders(parent)
                self._made.add(parent)
            os.link(path, cached)
        except FileExistsError:
            pass  # another sync has added it
        except OSError:
            self._usable = False

    def _is_valid(self, path: str, digest: str, size: int, *, executable: bool) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            mode = stat.S_IFREG | ((0o777 if executable else 0o666) & ~self._umask)
            expected_status = (mode, size, self._user, self._group)
            if (status.st_mode, status.st_size, status.st_uid, status.st_gid) != expected_status:
                return False
            algorithm, _, expected = digest.partition("=")
            hasher = hashlib.new(algorithm)
            remaining = size
            while remaining and (chunk := os.read(descriptor, min(remaining, _CHUNK))):
                hasher.update(chunk)
                remaining -= len(chunk)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return urlsafe_b64encode(hasher.digest()).decode("ascii").rstrip("=") == expected.rstrip("=")
