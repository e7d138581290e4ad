"""A small proof, left in the environment, that it matched its lock: checked by `run` in a few milliseconds."""

# `run` imports this before every command: os and hashlib, and nothing that costs more.

import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256

_HEAD = "minglibc stamp 1"
NAME = "stamp"
PLACE = f".minglibc/{NAME}"


def digest(text: str | None) -> str:
    """What a stamp keeps of a file's text; of no file, nothing."""
    return "-" if text is None else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write(
    prefix: str, *, lock: str, pyproject: str, selection: str, cap: str, folders: Iterable[str], musl_loader: str = ""
) -> None:
    """Leave the proof in the environment at *prefix*; where that can't be done, the next `run` just looks again.

    *cap* is a glibc version, unless *musl_loader* is the loader of an interpreter with musl.
    """
    real = os.path.realpath(prefix)
    with suppress(OSError):
        libc = f"musl {_identity(musl_loader)} {musl_loader}" if musl_loader else cap
        lines = [_HEAD, *_facts(real, lock, pyproject, selection), f"cap {libc}"]
        lines += [f"folder {_seen(real, folder)} {folder}" for folder in dict.fromkeys(folders)]
        replace(os.path.join(real, PLACE), "\n".join(lines))


def replace(place: str, text: str) -> None:
    """Make *text* the file at *place*, wholly or not at all; raises OSError."""
    temporary = f"{place}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
    os.replace(temporary, place)


def remove(prefix: str) -> None:
    """Take the proof away, before anything changes."""
    with suppress(OSError):
        os.unlink(os.path.join(prefix, PLACE))


def sweep(prefix: str, names: Iterable[str]) -> None:
    """Remove what a process that was killed while it wrote one of the files *names* has left; for whoever holds the environment."""
    folder = os.path.dirname(os.path.join(prefix, PLACE))
    for entry in os.listdir(folder):
        if entry.startswith(tuple(f"{name}." for name in names)):
            with suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def holds(prefix: str, *, lock: str, pyproject: str | None, selection: str) -> bool:
    """Whether the environment at *prefix* is still as the last sync for just this left it, on a machine like this one.

    *pyproject* None leaves it out. What an installer adds, removes or replaces shows in a folder's time, or else in the
    names and the .dist-info folders in it; a change inside a package's own files does not, and needs `sync`.
    """
    real = os.path.realpath(prefix)
    try:
        with open(os.path.join(real, PLACE), encoding="utf-8", errors="surrogateescape") as file:
            head, *lines = file.read().split("\n")
        facts, cap, folders = lines[:5], lines[5], lines[6:]
        expected = _facts(real, lock, facts[1].partition(" ")[2] if pyproject is None else pyproject, selection)
        if head != _HEAD or facts != expected or not _has_libc(cap.partition(" ")[2]):
            return False
        return all(_unchanged(real, *line.split(" ", 3)[1:]) for line in folders) and bool(folders)
    except (OSError, ValueError, IndexError, TypeError):
        return False


def _facts(prefix: str, lock: str, pyproject: str, selection: str) -> list[str]:
    facts = [f"lock {lock}", f"pyproject {pyproject}", f"selection {selection}"]
    return [*facts, f"machine {os.uname().machine}", f"prefix {prefix}"]


def _has_libc(cap: str) -> bool:
    # The environment may lie on a file system that older machines share.
    if cap.startswith("musl "):
        # musl tells its version to those who start it; that it is the very file that was asked costs nothing.
        _, identity, loader = cap.split(" ", 2)
        return _identity(loader) == identity
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    here, needed = (tuple(int(part) for part in text.split(".")[:2]) for text in (version, cap))
    return name == "glibc" and here >= needed


def _identity(path: str) -> str:
    found = os.stat(path)
    return f"{found.st_size}:{found.st_mtime_ns}"


def _seen(prefix: str, folder: str) -> str:
    path = os.path.join(prefix, folder)
    return f"{os.stat(path).st_mtime_ns} {_listing(path)}"


def _unchanged(prefix: str, time: str, listing: str, folder: str) -> bool:
    path = os.path.join(prefix, folder)
    return os.stat(path).st_mtime_ns == int(time) or _listing(path) == listing


def _listing(path: str) -> str:
    hasher = sha256()
    for name in sorted(os.listdir(path)):
        if name == "__pycache__":
            continue  # imports make it
        hasher.update(os.fsencode(name) + b"\0")
        if name.endswith(".dist-info"):
            found = os.stat(os.path.join(path, name))
            hasher.update(f"{found.st_ino} {found.st_mtime_ns}\0".encode())
    return hasher.hexdigest()
