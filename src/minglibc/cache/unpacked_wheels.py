"""Wheels' files, unpacked once in the cache and linked into environments: an accelerator that is never taken at its word.

What is linked is hashed in its new place against the RECORD of the wheel, which itself was hashed just now. So a file that
was edited through one of its links, or that was cut by a crash, is noticed here, forgotten, and unpacked anew.
"""

import hashlib
import os
import stat
from base64 import urlsafe_b64encode
from contextlib import suppress

# A cache of another format lies beside this one and is never read.
FOLDER = "unpacked-1"

_CHUNK = 1 << 20


def home(cache_dir: str, prefix: str) -> str:
    """Where the cache has unpacked wheels, if links lead from there to *prefix*; else empty."""
    path = os.path.join(os.path.abspath(cache_dir), FOLDER)
    try:
        os.makedirs(path, exist_ok=True)
        return path if os.stat(path).st_dev == os.stat(prefix).st_dev else ""
    except OSError:
        return ""


class Unpacked:
    """The files of one wheel in *folder*, whose modes are those that this *umask* gives."""

    def __init__(self, folder: str, umask: int) -> None:
        self._folder = folder
        self._umask = umask
        self._user = os.geteuid()
        self._made: set[str] = set()
        self._usable = bool(folder)

    def take(self, name: str, place: str, *, digest: str, size: int, executable: bool) -> bool:
        """Link the member *name* to *place*, where it is just what *digest* (as RECORD has it) and *size* say; whether it is."""
        if not self._usable:
            return False
        kept = f"{self._folder}/{name}"
        try:
            os.link(kept, place, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            self._usable = False  # another file system, too many links, somebody else's file
            return False
        # It is the very file at its new place that is looked at: the path in the cache may lead elsewhere by now.
        if self._is_right(place, digest, size, executable=executable):
            return True
        os.unlink(place)
        with suppress(OSError):
            os.unlink(kept)
        return False

    def keep(self, name: str, place: str) -> None:
        """Let the member *name*, just written to *place* and right, be taken from here next time."""
        if not self._usable:
            return
        kept = f"{self._folder}/{name}"
        parent = os.path.dirname(kept)
        try:
            if parent not in self._made:
                os.makedirs(parent, exist_ok=True)
                self._made.add(parent)
            os.link(place, kept)
        except FileExistsError:
            pass  # another sync was faster
        except OSError:
            self._usable = False

    def _is_right(self, place: str, digest: str, size: int, *, executable: bool) -> bool:
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            mode = stat.S_IFREG | ((0o777 if executable else 0o666) & ~self._umask)
            if (found.st_mode, found.st_size, found.st_uid) != (mode, size, self._user):
                return False
            algorithm, _, expected = digest.partition("=")
            hasher = hashlib.new(algorithm)
            left = size
            while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
                hasher.update(chunk)
                left -= len(chunk)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return urlsafe_b64encode(hasher.digest()).decode("ascii").rstrip("=") == expected.rstrip("=")
