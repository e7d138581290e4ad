"""Limits of untrusted names, far above those of real distributions and at most those of file systems."""

import re
from collections.abc import Iterable, Sequence

# The longest name of a file on Linux.
MAX_FILENAME = 255
# A path in an archive, and the folders in it; an environment's own path is in front of it (PATH_MAX is 4096).
MAX_PATH = 1024
MAX_DEPTH = 64
# The characters of all folders in an archive, each with its whole path.
MAX_FOLDERS = 16 << 20
MAX_MEMBERS = 100_000
# Links that lead to links: as the kernel's limit.
MAX_LINKS = 40
# The largest ratio of unpacked to packed size, beyond what is always allowed: real archives stay below 60, and deflate reaches 1032.
BOMB_RATIO = 100
BOMB_FREE = 64 << 20
# The earliest time of all archive formats: 1980-01-01, in seconds since the epoch.
EARLIEST_TIME = 315_532_800
# The tags in a compressed tag set (PEP 425), whose parts multiply.
MAX_TAGS = 500
_PLAIN = rf"[A-Za-z0-9._+!-]{{0,{MAX_FILENAME}}}"
# Compiled on first use: only pages that were downloaded are checked.
_FILENAMES = rf"{_PLAIN}(?:\n{_PLAIN})*"
# Fewer dots can't multiply to too many tags.
_DOTS = 20
_NEITHER_DOT_NOR_LINE = bytes(set(range(128)) - {*b".\n"})


def is_filename(name: str) -> bool:
    """Whether *name* may be the file name of a distribution: short, of plain characters, and with few tags."""
    if not re.fullmatch(_PLAIN, name) or _has_empty_parts(name):
        return False
    return name.count(".") < _DOTS or not name.endswith(".whl") or tag_count(name[:-4]) <= MAX_TAGS


def are_filenames(names: Sequence[str]) -> bool:
    """Whether each of *names* is certainly such a name; this takes a fifth of the time of checking one by one."""
    text = "\n".join(names)
    if not re.fullmatch(_FILENAMES, text) or text.count("\n") != max(len(names) - 1, 0) or _has_empty_parts(text):
        return False
    # The dots of each name, in lines.
    return b"." * _DOTS not in text.encode().translate(None, _NEITHER_DOT_NOR_LINE)


def _has_empty_parts(text: str) -> bool:
    """Whether a dot in *text* separates nothing, as in an empty tag, which packaging rejects."""
    # One search is enough for most pages, which have no "--" either.
    return ".." in text.replace("-", ".") and (".." in text or ".-" in text or "-." in text)


def tag_count(tag_set: str) -> int:
    """The number of tags in the compressed tag set at the end of *tag_set*."""
    count = 1
    for part in tag_set.rsplit("-", 3)[-3:]:
        count *= part.count(".") + 1
    return count


def path_problem(path: str) -> str:
    """Why *path*, of a member in an archive, exceeds the limits; empty if it does not."""
    if len(path) > MAX_PATH or path.count("/") > MAX_DEPTH:
        return f"a path that is too long: {path[:60]!r}…"
    if max(map(len, path.split("/"))) > MAX_FILENAME:
        return f"a name that is too long: {path[:60]!r}…"
    return ""


def folders_within_limits(paths: Iterable[str]) -> set[str]:
    """Every folder that contains one of *paths*; raises ValueError if they are too many."""
    folders: set[str] = set()
    size = 0
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            size += len(folder)
            folder = folder.rpartition("/")[0]
        if size > MAX_FOLDERS:
            raise ValueError("it has too many folders")
    return folders
