"""Pages and metadata kept on disk; an entry that is not exactly what was written is as good as absent."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

# A folder per format: an older or newer minglibc never reads this one's entries.
FORMAT = "index-v3"
# A journal that has grown beyond this is begun anew.
MAX_JOURNAL = 32 << 20


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
        self._journals: dict[str, dict[bytes, bytes]] = {}
        self._on_trouble = on_trouble
        self._trusted = not _is_strangers(self._folder)
        self._writable = self._trusted
        if not self._trusted:
            on_trouble(f"the cache in {self._folder} belongs to another user; going on without it")

    def read(self, kind: str, name: str) -> Entry | None:
        """An entry; None where there is none, or one that is damaged or of another user."""
        try:
            with open(os.path.join(self._folder, kind, name), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                data = file.read() if self._trusted and _is_own(status) else b""
        except OSError:
            return None
        content = memoryview(data)[9:]
        newline = data.find(b"\n")
        if newline < 0 or data[:8] != b"%08x" % crc32(content):
            return None
        try:
            return Entry(json.loads(data[9:newline]), content[newline - 8 :], status.st_mtime)
        except ValueError:
            return None

    def write(self, kind: str, name: str, head: Any, body: bytes | memoryview) -> None:
        """Keep an entry; where the disk refuses, say so once and go on without."""
        if not self._writable:
            return
        content = b"\n".join((json.dumps(head, separators=(",", ":")).encode(), body))
        place = os.path.join(self._folder, kind, name)
        temporary = f"{place}.{os.getpid()}.tmp"
        with self._going_on():
            self._make(os.path.dirname(place))
            try:
                _write(temporary, "wb", b"%08x " % crc32(content) + content)
                os.replace(temporary, place)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise

    def recall(self, journal: str, name: str) -> Any:
        """What ``note`` wrote last under *name*; None where it wrote nothing, or what is there is damaged."""
        line = self._journal(journal).get(name.encode())
        if line is None or line[:8] != b"%08x" % crc32(line[9:]):
            return None
        try:
            return json.loads(line[9:].partition(b" ")[2])
        except ValueError:
            return None

    def note(self, journal: str, name: str, value: Any) -> None:
        """Add a small entry to a file that many share: where a file costs a millisecond to make, a line costs none."""
        if not self._writable:
            return
        known = self._journal(journal)
        content = f"{name} {json.dumps(value, separators=(',', ':'))}".encode()
        line = known[name.encode()] = b"%08x %b" % (crc32(content), content)
        with self._going_on():
            self._make(self._folder)
            # The newline before parts it from what a killed process left unfinished.
            _write(os.path.join(self._folder, journal), "ab", b"\n%b\n" % line)

    def _journal(self, name: str) -> dict[bytes, bytes]:
        known = self._journals.get(name)
        if known is None:
            path = os.path.join(self._folder, name)
            data = b""
            own = True
            with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
                own = self._trusted and _is_own(os.fstat(file.fileno()))
                data = file.read() if own else b""
            if len(data) > MAX_JOURNAL or (self._trusted and not own):
                data = b""
                with contextlib.suppress(OSError):
                    os.unlink(path)
            known = self._journals[name] = {line[9:].partition(b" ")[0]: line for line in data.split(b"\n")}
        return known

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Where the disk refuses, say so once and go on without it."""
        try:
            yield
        except OSError as error:
            self._writable = False
            self._on_trouble(
                f"the cache in {self._folder} can't be written ({error.strerror or error}); going on without it"
            )

    def confirm(self, kind: str, name: str) -> None:
        """An entry holds as of now."""
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(os.path.join(self._folder, kind, name), (now, now), follow_symlinks=False)

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)


def _is_own(status: os.stat_result) -> bool:
    """Whether a file is this user's or root's; what anybody else wrote may say what it likes."""
    return status.st_uid in {os.geteuid(), 0}


def _is_strangers(folder: str) -> bool:
    try:
        return not _is_own(os.stat(folder))
    except OSError:
        return False


def _write(path: str, mode: str, content: bytes) -> None:
    with open(path, mode, buffering=0, opener=_open) as file:
        if file.write(content) != len(content):
            raise OSError("the disk is full")


def _open(path: str, flags: int) -> int:
    # A link, in a cache that others may write in, would lead to a file of somebody's.
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
