"""Pages and metadata kept on disk; an entry that is not exactly what was written is as good as absent."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from zlib import crc32

from minglibc.errors import CacheDamaged

if TYPE_CHECKING:
    from minglibc.model.project_page import ProjectPage

# A folder per format: an older or newer minglibc never reads this one's entries.
FORMAT = "index-v4"
# Most heads come with the first read.
_FIRST_READ = 16 << 10
# Both checksum and length of the head in hexadecimal digits, each with its blank.
_PREFIX = 18
# A process may have a thousand files open, as a rule.
_MOST_OPEN = 200
# What this process found damaged, on a disk that may not let it be deleted.
_distrusted: set[str] = set()
_DAY = 86_400
# A journal that has grown beyond this is begun anew.
MAX_JOURNAL = 32 << 20


class Entry(NamedTuple):
    """What was written, and when it was last known to hold (seconds since the epoch, by this machine's clock)."""

    head: Any
    lines: Sequence[bytes]
    confirmed: float


class Store:
    """Entries of a JSON head and lines, each in a file of its own, replaced whole."""

    def __init__(self, folder: str, *, on_trouble: Callable[[str], None] = lambda message: None) -> None:  # noqa: ARG005
        self.folder = folder
        self._folder = os.path.join(folder, FORMAT)
        self._made: set[str] = set()
        self._journals: dict[str, dict[bytes, bytes]] = {}
        self._open: list[BinaryIO] = []
        self._swept = False
        self._on_trouble = on_trouble
        self._trusted = not _is_strangers(self._folder)
        self._writable = self._trusted
        if not self._trusted:
            on_trouble(f"the cache in {self._folder} belongs to another user; continuing without it")

    def close(self) -> None:
        """Close the files whose lines may still be asked for."""
        while self._open:
            self._open.pop().close()

    @property
    def is_writable(self) -> bool:
        """Whether what is written is kept, as far as is known."""
        return self._writable

    def be_silent(self) -> None:
        """Tell nobody of trouble from now on."""
        self._on_trouble = lambda message: None  # noqa: ARG005

    def read(self, kind: str, name: str) -> Entry | None:
        """An entry, of which a line is read when it is looked at; None where there is none, or one that is damaged or of another user."""
        path = os.path.join(self._folder, kind, name)
        if not self._trusted or path in _distrusted:
            return None
        try:
            with contextlib.ExitStack() as stack:
                file: BinaryIO = stack.enter_context(open(path, "rb", buffering=0))
                entry = _entry(file, path)
                if entry is None:
                    return None
                if len(entry.lines) and len(self._open) < _MOST_OPEN:
                    stack.pop_all()
                    self._open.append(file)
                    return entry
                return entry._replace(lines=list(entry.lines))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, kind: str, name: str, head: Any, lines: Sequence[bytes] = ()) -> None:
        """Keep an entry; where the disk refuses, say so once and go on without."""
        if not self._writable:
            return
        parts = [[len(line), crc32(line)] for line in lines]
        content = json.dumps([head, parts], separators=(",", ":")).encode()
        place = os.path.join(self._folder, kind, name)
        temporary = f"{place}.{os.getpid()}.tmp"
        with self._going_on():
            self._make(os.path.dirname(place))
            self._sweep()
            try:
                prefix = b"%08x %08x " % (crc32(content), len(content))
                _write(temporary, "wb", b"".join((prefix, content, *lines)))
                os.replace(temporary, place)
                _distrusted.discard(place)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise

    def write_page(self, kind: str, page: "ProjectPage", entry: Mapping[str, Any]) -> None:
        """Keep *page*, and *entry*, which is what is said beside it, in the same way."""
        head, lines = page.dump()
        self.write(kind, page.name, {**entry, "page": head}, lines)

    def _sweep(self) -> None:
        """Remove what killed writers left, once a day at most: nobody takes that long to write an entry."""
        if self._swept:
            return
        self._swept = True
        try:
            # The folder's own time says when it was swept, and by the files' own clock how old they are.
            if abs(time.time() - os.stat(self._folder).st_mtime) < _DAY:
                return
            os.utime(self._folder)
            now = os.stat(self._folder).st_mtime
        except OSError:
            return
        for here, _, names in os.walk(self._folder):
            for name in names:
                if name.endswith(".tmp"):
                    path = os.path.join(here, name)
                    with contextlib.suppress(OSError):
                        if now - os.lstat(path).st_mtime > _DAY:
                            os.unlink(path)

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
                f"cannot write to the cache {self._folder} ({error.strerror or error}); continuing without it"
            )

    def confirm(self, kind: str, name: str) -> None:
        """An entry holds as of now."""
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(os.path.join(self._folder, kind, name), (now, now), follow_symlinks=False)
            # Whoever wonders whether there is something to ask looks at the folder's time.
            os.utime(os.path.join(self._folder, kind), (now, now), follow_symlinks=False)
            self._sweep()

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            os.makedirs(folder, exist_ok=True)
            self._made.add(folder)


def _entry(file: BinaryIO, path: str) -> Entry | None:
    """The entry in *file*; None where its head is damaged, its end is missing, or it is another user's."""
    status = os.fstat(file.fileno())
    found = _parsed(file, path) if _is_own(status) else None
    return Entry(*found, status.st_mtime) if found else None


def _parsed(file: BinaryIO, path: str) -> "tuple[Any, _Lines] | None":
    """The head and the lines of the entry in *file*; None where its head is damaged or its end is missing."""
    start = file.read(_FIRST_READ)
    end = _PREFIX + int(start[9:17], 16)
    if end > len(start):
        start += os.pread(file.fileno(), end - len(start), len(start))
    content = start[_PREFIX:end]
    if start[:8] != b"%08x" % crc32(content):
        return None
    head, parts = json.loads(content)
    lines = _Lines(file, path, end, parts)
    return (head, lines) if lines.end == os.fstat(file.fileno()).st_size else None


class _Lines(Sequence[bytes]):
    """An entry's lines, each read when it is looked at, and held against its checksum; raises CacheDamaged."""

    __slots__ = ("_file", "_parts", "_path", "_starts", "end")

    def __init__(self, file: BinaryIO, path: str, start: int, parts: list[list[int]]) -> None:
        self._file = file
        self._path = path
        self._parts = parts
        self._starts = list(accumulate((length for length, _ in parts), initial=start))
        self.end = self._starts[-1]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        line = self._read(index)
        if line is None:
            _distrust(self._path)
            raise CacheDamaged(f"the cache was damaged: {self._path}", hint="run it again")
        return line

    def are_whole(self) -> bool:
        """Whether each line is as it was written."""
        return all(self._read(index) is not None for index in range(len(self)))

    def _read(self, index: int) -> bytes | None:
        length, checksum = self._parts[index]
        try:
            line = os.pread(self._file.fileno(), length, self._starts[index])
        except OSError:
            return None
        return line if len(line) == length and crc32(line) == checksum else None


def _distrust(path: str) -> None:
    """Be done with a damaged entry, wherever it can't be deleted too, and with those around it that are no better."""
    folder = os.path.dirname(path)
    for name in os.listdir(folder):
        found = os.path.join(folder, name)
        if found == path or not _is_whole(found):
            _distrusted.add(found)
            with contextlib.suppress(OSError):
                os.unlink(found)


def _is_whole(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            found = _parsed(file, path)
            return found is not None and found[1].are_whole()
    except (OSError, ValueError, TypeError):
        return False


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
