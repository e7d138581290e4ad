"""The cache of pages and metadata; entries have checksums, and a damaged entry is treated as missing."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from zlib import crc32

from minglibc.cache.location import INDEX_FORMAT, find_problem, is_private, make_folders
from minglibc.config.files import open_regular, replace_file
from minglibc.errors import CacheDamaged

if TYPE_CHECKING:
    from minglibc.model.project_page import ProjectPage

# Most heads fit into the first read.
_FIRST_READ = 16 << 10
# The checksum and the length of the head in hexadecimal digits, each followed by a space.
_PREFIX = 18
# For JSON without whitespace around it; json.loads takes twice as long for a small value.
_decode = json.JSONDecoder().raw_decode
# The usual limit of open files is a thousand.
_MOST_OPEN = 200
# Entries that this process found damaged; on a read-only disk they cannot be deleted.
_damaged: set[str] = set()
_DAY = 86_400
# A journal that is larger is deleted.
MAX_JOURNAL = 32 << 20


class Entry:
    """What was written, and when it was last confirmed (seconds since the epoch)."""

    __slots__ = ("confirmed", "head", "lines")

    def __init__(self, head: Any, lines: Sequence[bytes], confirmed: float) -> None:
        self.head = head
        self.lines = lines
        self.confirmed = confirmed


class Store:
    """Entries with a JSON head and lines, each in a file that is replaced atomically."""

    def __init__(self, folder: str, *, on_trouble: Callable[[str], None] = lambda message: None) -> None:  # noqa: ARG005
        self.folder = folder
        self._folder = os.path.join(folder, INDEX_FORMAT)
        self._made: set[str] = set()
        self._journals: dict[str, dict[bytes, bytes]] = {}
        self._open: list[int] = []
        self._has_removed = False
        self._on_trouble = on_trouble
        problem = find_problem(folder)
        self._trusted = self._writable = not problem
        if problem:
            on_trouble(f"{problem}; continuing without it")

    def close(self) -> None:
        """Close the files of the entries that were read."""
        while self._open:
            os.close(self._open.pop())

    @property
    def is_writable(self) -> bool:
        """Whether nothing has failed to be written so far."""
        return self._writable

    def be_silent(self) -> None:
        """Report no further problems."""
        self._on_trouble = lambda message: None  # noqa: ARG005

    def read(self, kind: str, name: str) -> Entry | None:
        """An entry, whose lines are read on access; None where it is missing, damaged or another user's."""
        path = os.path.join(self._folder, kind, name)
        if not self._trusted or path in _damaged:
            return None
        try:
            descriptor = open_regular(path, os.O_RDONLY)
        except OSError:
            return None
        is_kept = False
        try:
            status = os.fstat(descriptor)
            parsed = _parsed(descriptor, path, status.st_size) if is_private(status) else None
            if parsed is None:
                return None
            head, lines = parsed
            is_kept = bool(lines) and len(self._open) < _MOST_OPEN
            return Entry(head, lines if is_kept else list(lines), status.st_mtime)
        except (OSError, ValueError, TypeError):
            return None
        finally:
            if is_kept:
                self._open.append(descriptor)
            else:
                os.close(descriptor)

    def names(self, kind: str) -> list[str]:
        """The names of the entries of *kind*."""
        try:
            return os.listdir(os.path.join(self._folder, kind)) if self._trusted else []
        except OSError:
            return []

    def write(self, kind: str, name: str, head: Any, lines: Sequence[bytes] = ()) -> None:
        """Write an entry; where that fails, report it once and continue."""
        if not self._writable:
            return
        parts = [[len(line), crc32(line)] for line in lines]
        content = json.dumps([head, parts], separators=(",", ":")).encode()
        path = os.path.join(self._folder, kind, name)
        with self._reporting():
            self._make(os.path.dirname(path))
            self._remove_temporary_files()
            prefix = b"%08x %08x " % (_checksum(content, path), len(content))
            replace_file(path, b"".join((prefix, content, *lines)), 0o600)
            _damaged.discard(path)

    def write_page(self, kind: str, page: "ProjectPage", entry: Mapping[str, Any]) -> None:
        """Write *page*, with the other fields of its *entry*."""
        head, lines = page.dump()
        self.write(kind, page.name, {**entry, "page": head}, lines)

    def _remove_temporary_files(self) -> None:
        """Remove the temporary files of processes that were killed, once a day at most."""
        if self._has_removed:
            return
        self._has_removed = True
        try:
            # The folder's time is that of the last removal. It is set, so that ages are measured with the clock of the disk.
            if abs(time.time() - os.stat(self._folder).st_mtime) < _DAY:
                return
            os.utime(self._folder)
            now = os.stat(self._folder).st_mtime
        except OSError:
            return
        for folder, _, names in os.walk(self._folder):
            for name in names:
                if name.endswith(".tmp"):
                    path = os.path.join(folder, name)
                    with contextlib.suppress(OSError):
                        if now - os.lstat(path).st_mtime > _DAY:
                            os.unlink(path)

    def recall(self, journal: str, name: str) -> Any:
        """The last value that ``note`` wrote for *name*; None where there is none or it is damaged."""
        line = self._journal(journal).get(name.encode())
        if line is None or line[:8] != b"%08x" % crc32(line[9:]):
            return None
        try:
            return _decode(line[9:].partition(b" ")[2].decode())[0]
        except ValueError:
            return None

    def note(self, journal: str, name: str, value: Any) -> None:
        """Append a small value to a shared file: a file of its own would take a millisecond to create."""
        if not self._writable:
            return
        known = self._journal(journal)
        content = f"{name} {json.dumps(value, separators=(',', ':'))}".encode()
        line = known[name.encode()] = b"%08x %b" % (crc32(content), content)
        with self._reporting():
            self._make(self._folder)
            # The newline before it ends a line that a killed process did not complete.
            _append(os.path.join(self._folder, journal), b"\n%b\n" % line)

    def _journal(self, name: str) -> dict[bytes, bytes]:
        known = self._journals.get(name)
        if known is None:
            path = os.path.join(self._folder, name)
            data = b""
            own = True
            with contextlib.suppress(OSError), open(path, "rb", buffering=0, opener=open_regular) as file:
                own = self._trusted and is_private(os.fstat(file.fileno()))
                data = file.read() if own else b""
            if len(data) > MAX_JOURNAL or (self._trusted and not own):
                data = b""
                with contextlib.suppress(OSError):
                    os.unlink(path)
            known = self._journals[name] = {line[9:].partition(b" ")[0]: line for line in data.split(b"\n")}
        return known

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report the first error of the disk, and write nothing from then on."""
        try:
            yield
        except OSError as error:
            self._writable = False
            self._on_trouble(
                f"cannot write to the cache {self._folder} ({error.strerror or error}); continuing without it"
            )

    def confirm(self, kind: str, name: str) -> None:
        """Mark an entry as fresh now."""
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(os.path.join(self._folder, kind, name), (now, now), follow_symlinks=False)
            self._remove_temporary_files()

    def trim(self, kind: str, limit: int) -> None:
        """Remove the entries of *kind* that were confirmed longest ago, until they occupy at most *limit* bytes."""
        entries = []
        for folder, _, names in os.walk(os.path.join(self._folder, kind)):
            for name in names:
                with contextlib.suppress(OSError):
                    status = os.lstat(os.path.join(folder, name))
                    entries.append((status.st_mtime, status.st_size, os.path.join(folder, name)))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= limit:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size

    def _make(self, folder: str) -> None:
        if folder not in self._made:
            make_folders(folder)
            self._made.add(folder)


def _parsed(descriptor: int, path: str, size: int) -> "tuple[Any, _Lines] | None":
    """The head and the lines of the entry in a file of *size*; None where its head is damaged or it is truncated."""
    start = os.read(descriptor, _FIRST_READ)
    end = _PREFIX + int(start[9:17], 16)
    if end > len(start):
        start += os.pread(descriptor, end - len(start), len(start))
    content = start[_PREFIX:end]
    if start[:8] != b"%08x" % _checksum(content, path):
        return None
    head, parts = _decode(content.decode())[0]
    lines = _Lines(descriptor, path, end, parts)
    return (head, lines) if lines.end == size else None


def _checksum(content: bytes, path: str) -> int:
    """The checksum of the head of the entry at *path*: one that was moved to the place of another entry is damaged."""
    return crc32(content, crc32(os.fsencode("/".join(path.rsplit("/", 2)[1:]))))


class _Lines(Sequence[bytes]):
    """The lines of an entry, each read and verified on access; raises CacheDamaged."""

    __slots__ = ("_descriptor", "_parts", "_path", "_starts", "end")

    def __init__(self, descriptor: int, path: str, start: int, parts: list[list[int]]) -> None:
        self._descriptor = descriptor
        self._path = path
        self._parts = parts
        self._starts = list(accumulate([length for length, _ in parts], initial=start))
        self.end = self._starts[-1]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        line = self._read(index)
        if line is None:
            _remove_damaged(self._path)
            raise CacheDamaged(f"the cache is damaged: {self._path}", hint="run the command again")
        return line

    def are_valid(self) -> bool:
        """Whether the checksum of every line is right."""
        return all(self._read(index) is not None for index in range(len(self)))

    def _read(self, index: int) -> bytes | None:
        length, checksum = self._parts[index]
        try:
            line = os.pread(self._descriptor, length, self._starts[index])
        except OSError:
            return None
        return line if len(line) == length and crc32(line) == checksum else None


def _remove_damaged(path: str) -> None:
    """Delete a damaged entry, and other damaged entries of its folder; ignore them where they cannot be deleted."""
    folder = os.path.dirname(path)
    for name in os.listdir(folder):
        entry = os.path.join(folder, name)
        if entry == path or not (name.endswith(".tmp") or _is_valid(entry)):
            _damaged.add(entry)
            with contextlib.suppress(OSError):
                os.unlink(entry)


def _is_valid(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0, opener=open_regular) as file:
            parsed = _parsed(file.fileno(), path, os.fstat(file.fileno()).st_size)
            return parsed is not None and parsed[1].are_valid()
    except (OSError, ValueError, TypeError):
        return False


def _append(path: str, content: bytes) -> None:
    with open(path, "ab", buffering=0, opener=_open) as file:
        if file.write(content) != len(content):
            raise OSError("the disk is full")


def _open(path: str, flags: int) -> int:
    # In a cache that other users can write, a symbolic link could lead to any file of this user. A FIFO would block.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
