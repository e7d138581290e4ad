"""A proof, kept in the environment, that it matches its lock; valid as long as the files that it lists are unchanged.

`run` checks only the first part, the state of three folders. A `sync` with nothing to do checks all of it: everything
whose change could lead a full sync to another result.
"""

# Imported by every `run` and `sync`: only os and hashlib, which start fast.

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple, TextIO

from minglibc import __version__
from minglibc.config.files import open_regular, replace_file
from minglibc.config.project_modules import extension_modules
from minglibc.install.layout import HOME

NAME = "proof"
_PATH = f"{HOME}/{NAME}"
# Files of minglibc 0.1.0 with the same purpose.
_OLD_NAMES = ("stamp", "seen")
_HEAD = f"minglibc proof 1 {__version__}"
# The only names in HOME if no process is changing the environment, or was killed while it did.
_ALLOWED = frozenset((NAME, *_OLD_NAMES, ".minglibc.busy.stale"))
# The files that a distribution's metadata is read from; some may be absent.
_METADATA = ("METADATA", "PKG-INFO", "WHEEL", "INSTALLER", "RECORD", "direct_url.json", "minglibc.json")
# Variables that override the targets of [tool.minglibc].
TARGET_VARIABLES = tuple(f"MINGLIBC_{name}" for name in ("GLIBC", "MUSL", "PYTHON", "ARCH"))
# Identities of a distribution's metadata, and of files on a file system that several machines share.
_METADATA_FIELDS = ("st_ino", "st_size", "st_mtime_ns")
_SHARED_FIELDS = ("st_size", "st_mtime_ns")
# As in _probe.py.
_INTERPRETER_FIELDS = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
_END = "\0\n"


class Request(NamedTuple):
    """What an environment was synced to: the digests of the lock and of pyproject.toml, and the selected packages."""

    lock: str
    pyproject: str | None
    """None accepts any pyproject.toml."""
    selection: str


class InstalledFiles(NamedTuple):
    """A .dist-info folder: its site, its name, its identity, and the sizes of the files that its distribution owns."""

    site: str
    folder: str
    identity: Sequence[str]
    sizes: Mapping[str, int]


class Snapshot(NamedTuple):
    """Everything that a full sync looks at, except the state that the first part of the proof contains."""

    project: str
    """The folder of the lock."""
    pyproject: str
    """The digest of pyproject.toml."""
    executable: str
    interpreter_files: Mapping[str, str]
    sites: Sequence[str]
    distributions: Sequence[InstalledFiles]
    packages: int


def digest(text: str | None) -> str:
    """The digest of a file's text; ``-`` without a file."""
    return "-" if text is None else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write(
    prefix: str,
    request: Request,
    *,
    cap: str,
    folders: Iterable[str],
    musl_loader: str = "",
    snapshot: Snapshot | None = None,
) -> None:
    """Write the proof for the environment at *prefix*, if possible; without a *snapshot* it has only the first part.

    *cap* is a glibc version; it is ignored if *musl_loader*, the loader of an interpreter for musl, is given.
    """
    real = os.path.realpath(prefix)
    with suppress(OSError):
        libc = f"musl {_identity(musl_loader, _SHARED_FIELDS)} {musl_loader}" if musl_loader else cap
        lines = [*_facts(real, request), f"cap {libc}"]
        lines += [f"folder {_folder_state(real, folder)} {folder}" for folder in dict.fromkeys(folders)]
        body = "\n".join([*lines, _END]) + (_details(real, snapshot) if snapshot else "")
        text = f"{_HEAD} {digest(body)}\n{body}"
        replace_file(os.path.join(real, _PATH), text.encode("utf-8", "surrogateescape"))


def remove(prefix: str) -> None:
    """Delete the proof, before the environment is changed."""
    for name in (NAME, *_OLD_NAMES):
        with suppress(OSError):
            os.unlink(os.path.join(prefix, HOME, name))


def remove_temporary_files(prefix: str) -> None:
    """Delete what processes left that were killed while they wrote a proof; the caller has locked the environment."""
    folder = os.path.join(prefix, HOME)
    for entry in os.listdir(folder):
        if entry.startswith(tuple(f"{name}." for name in (NAME, *_OLD_NAMES))):
            with suppress(OSError):
                os.unlink(os.path.join(folder, entry))


def matches(prefix: str, request: Request) -> bool:
    """Whether the environment at *prefix* was synced to *request* for a machine like this one, and its folders are unchanged.

    Installers change the time of a folder, or else the names and .dist-info folders in it. A change within a
    package's files is not detected; `sync` detects it.
    """
    real = os.path.realpath(prefix)
    # Without pyvenv.cfg the interpreter is not the environment's; conda's environments have none.
    if not os.path.isfile(f"{real}/pyvenv.cfg") and not os.path.isdir(f"{real}/conda-meta"):
        return False
    try:
        with _open(real) as file:
            if not file.readline().startswith(f"{_HEAD} "):
                return False
            lines = list[str]()
            for line in file:
                if line == _END:
                    return _is_first_part_valid(real, lines, request)
                lines.append(line[:-1])
    except (OSError, ValueError, IndexError, TypeError):
        pass
    return False


def unchanged_packages(prefix: str, request: Request, *, project: str, pyproject: str, executable: str) -> int | None:
    """The number of packages in the environment at *prefix* if a sync for *request* would change nothing; else None.

    None means only that a full sync has to decide.
    """
    real = os.path.realpath(prefix)
    try:
        with _open(real) as file:
            head, body = file.read().split("\n", 1)
        first, details = body.split(_END, 1)
        if (
            head != f"{_HEAD} {digest(body)}"
            or not _ALLOWED.issuperset(os.listdir(f"{real}/{HOME}"))
            or not _is_first_part_valid(real, first.split("\n")[:-1], request)
        ):
            return None
        facts, interpreter, metadata, sites, sizes = (section.split("\0") for section in details.split(_END))
        unchanged = (
            facts[1:] == _invocation(project, pyproject, executable)
            and all(_identity(path, _INTERPRETER_FIELDS) == old for path, old in _pairs(interpreter))
            and all(_names(os.listdir(f"{real}/{site}")) == old for site, old in _pairs(sites))
            and all(" ".join(metadata_identity(f"{real}/{path}")) == old for path, old in _pairs(metadata))
            and _have_sizes(real, sizes)
        )
        return int(facts[0]) if unchanged else None
    except (OSError, ValueError, IndexError):
        return None


def metadata_identity(info: str) -> tuple[str, ...]:
    """The identities of the files in the .dist-info at *info* that metadata is read from, including absent ones."""
    paths = [f"{info}/{name}" for name in _METADATA] if os.path.isdir(info) else [info]
    return tuple(_identity(path, _METADATA_FIELDS, follow_symlinks=False) for path in paths)


def _open(prefix: str) -> TextIO:
    path = os.path.join(prefix, _PATH)
    return open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=open_regular)


def _facts(prefix: str, request: Request) -> list[str]:
    facts = [f"lock {request.lock}", f"pyproject {request.pyproject}", f"selection {request.selection}"]
    return [*facts, f"machine {os.uname().machine}", f"prefix {prefix}"]


def _is_first_part_valid(prefix: str, lines: Sequence[str], request: Request) -> bool:
    facts, cap, folders = list(lines[:5]), lines[5], lines[6:]
    if request.pyproject is None:
        request = request._replace(pyproject=facts[1].partition(" ")[2])
    if facts != _facts(prefix, request) or not _has_libc(cap.partition(" ")[2]):
        return False
    return bool(folders) and all(_is_folder_unchanged(prefix, *line.split(" ", 3)[1:]) for line in folders)


def _has_libc(cap: str) -> bool:
    # The environment may be on a file system that older machines share.
    if cap.startswith("musl "):
        # Asking musl's loader for its version would start a process; an unchanged loader has the same version.
        _, size, time, loader = cap.split(" ", 3)
        return _identity(loader, _SHARED_FIELDS) == f"{size} {time}"
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    here, needed = (tuple(int(part) for part in text.split(".")[:2]) for text in (version, cap))
    return name == "glibc" and here >= needed


def _folder_state(prefix: str, folder: str) -> str:
    path = os.path.join(prefix, folder)
    return f"{os.stat(path).st_mtime_ns} {_listing(path)}"


def _is_folder_unchanged(prefix: str, time: str, listing: str, folder: str) -> bool:
    path = os.path.join(prefix, folder)
    return os.stat(path).st_mtime_ns == int(time) or _listing(path) == listing


def _listing(path: str) -> str:
    hasher = sha256()
    for name in sorted(os.listdir(path)):
        if name == "__pycache__":
            continue  # created by imports
        hasher.update(os.fsencode(name) + b"\0")
        if name.endswith(".dist-info"):
            status = os.stat(os.path.join(path, name))
            hasher.update(f"{status.st_ino} {status.st_mtime_ns}\0".encode())
    return hasher.hexdigest()


def _details(prefix: str, snapshot: Snapshot) -> str:
    # Files whose appearance would change which interpreter, or which libraries, are loaded.
    overriding = [f"{prefix}/bin/pyvenv.cfg", "/etc/ld.so.cache", "/etc/ld.so.preload"]
    identities = {path: _identity(path, _INTERPRETER_FIELDS) for path in overriding}
    distributions = snapshot.distributions
    tables: list[Mapping[str, str]] = [
        {**snapshot.interpreter_files, **identities},
        {f"{one.site}/{one.folder}": " ".join(one.identity) for one in distributions},
        {site: _names(one.folder for one in distributions if one.site == site) for site in snapshot.sites},
        {path: str(size) for one in distributions for path, size in one.sizes.items()},
    ]
    facts = [str(snapshot.packages), *_invocation(snapshot.project, snapshot.pyproject, snapshot.executable)]
    return _END.join("\0".join(section) for section in (facts, *([*table, *table.values()] for table in tables)))


def _invocation(project: str, pyproject: str, executable: str) -> list[str]:
    """What a sync's result depends on beyond the first part."""
    variables = sorted(item for item in os.environ.items() if item[0] in TARGET_VARIABLES or item[0].startswith("LD_"))
    return [project, pyproject, repr(variables), executable, os.path.realpath(executable), extension_modules(project)]


def _pairs(section: list[str]) -> Iterable[tuple[str, str]]:
    half = len(section) // 2
    return zip(section[:half], section[half:], strict=True)


def _identity(path: str, fields: Iterable[str], *, follow_symlinks: bool = True) -> str:
    """The *fields* of the file's status; ``-`` without a file."""
    try:
        status = os.stat(path, follow_symlinks=follow_symlinks)
    except OSError:
        return "-"
    return " ".join(str(getattr(status, name)) for name in fields)


def _names(entries: Iterable[str]) -> str:
    infos = (name for name in entries if name.endswith((".dist-info", ".egg-info")) and not name.startswith("~"))
    return digest("\n".join(sorted(infos)))


def _have_sizes(prefix: str, section: list[str]) -> bool:
    half = len(section) // 2
    lstat = os.lstat
    return [lstat(f"{prefix}/{path}").st_size for path in section[:half]] == list(map(int, section[half : 2 * half]))
