"""Pages and metadata kept on disk; an entry that is not exactly what was written is as good as absent."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from zlib import crc32

# A folder per format: an older or newer minglibc never reads this one's entries.
FORMAT = "index-v2"


def default_folder() -> str:
    """The user's cache folder for minglibc."""
    import platformdirs  # noqa: PLC0415  20 ms that --cache-dir saves

    return platformdirs.user_cache_dir("minglibc", appauthor=False)


class Entry(NamedTuple):
    """What was written, and when it was last known to hold (seconds since the epoch, by this machine's clock)."""

    head: Any
    body: memoryview
    confirmed: float


class Store:
    """Entries of a JSON head and a body, each in a file of its own, replaced whole."""

    def __init__(self, folder: str, *, on_trouble: Callable[[str], None] = lambda message: None) -> None:  # noqa: ARG005
        self._folder = os.path.join(folder, FORMAT)
        self._made: set[str] = set()
        self._writable = True
        self._on_trouble = on_trouble

    def read(self, kind: str, name: str) -> Entry | None:
        """An entry; None where there is none, or a damaged one."""
        try:
            with open(os.path.join(self._folder, kind, name), "rb", buffering=0) as file:
                confirmed = os.fstat(file.fileno()).st_mtime
                data = file.read()
        except OSError:
            return None
        content = memoryview(data)[9:]
        newline = data.find(b"\n")
        if newline < 0 or data[:8] != b"%08x" % crc32(content):
            return None
        try:
            return Entry(json.loads(data[9:newline]), content[newline - 8 :], confirmed)
        except ValueError:
            return None

    def write(self, kind: str, name: str, head: Any, body: bytes) -> None:
        """Keep an entry; where the disk refuses, say so once and go on without."""
        if not self._writable:
            return
        content = json.dumps(head, separators=(",", ":")).encode() + b"\n" + body
        place = os.path.join(self._folder, kind, name)
        temporary = f"{place}.{os.getpid()}.tmp"
        try:
            self._make(os.path.dirname(place))
            with open(temporary, "wb", buffering=0) as file:
                written = file.write(b"%08x " % crc32(content) + content)
            if written != len(content) + 9:
                raise OSError("the disk is full")  # noqa: TRY301  a short write is no exception of its own
            os.replace(temporary, place)
        except OSError as error:
            self._writable = False
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            self._on_trouble(
                f"the cache in {self._folder} can't be written ({error.strerror or error}); going on without it"
            )

    def confirm(self, kind: str, name: str) -> None:
        """An entry holds as of now."""
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(os.path.join(self._folder, kind, name), (now, now))

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)
