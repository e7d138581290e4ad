"""Pages and metadata kept on disk; an entry that is not exactly what was written is as good as absent."""

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any
from zlib import crc32

# A folder per format: an older or newer minglibc never reads this one's entries.
FORMAT = "index-v1"


def default_folder() -> str:
    """The user's cache folder for minglibc."""
    import platformdirs  # noqa: PLC0415  20 ms that --cache-dir saves

    return platformdirs.user_cache_dir("minglibc", appauthor=False)


class Store:
    """Entries of a JSON head and a body, each in a file of its own, replaced whole."""

    def __init__(self, folder: str, *, on_trouble: Callable[[str], None] = lambda message: None) -> None:  # noqa: ARG005
        self._folder = os.path.join(folder, FORMAT)
        self._made: set[str] = set()
        self._writable = True
        self._on_trouble = on_trouble

    def read(self, kind: str, name: str) -> tuple[Any, bytes] | None:
        """The head and body of an entry; None where there is none, or a damaged one."""
        try:
            with open(os.path.join(self._folder, kind, name), "rb", buffering=0) as file:
                data = file.read()
        except OSError:
            return None
        checksum, content = data[:8], data[9:]
        if checksum != b"%08x" % crc32(content):
            return None
        head, _, body = content.partition(b"\n")
        try:
            return json.loads(head), body
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

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)
