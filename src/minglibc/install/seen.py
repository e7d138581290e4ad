"""What a sync saw, file by file, of an environment that matched its lock: as long as all of it stands, nothing is to be done.

The stamp answers `run` by three folders' times. This answers `sync`, which looks at every file: what would make a sync
come to another answer (a file's absence or size, a .dist-info, the interpreter, a setting) is either held here or in the stamp.
"""

# A sync with nothing to do imports this, and nothing that costs more than os and hashlib.

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from minglibc import __version__
from minglibc.install import stamp
from minglibc.install.layout import HOME

NAME = "seen"
_PLACE = f"{HOME}/{NAME}"
_HEAD = f"minglibc seen 1 {__version__}"
# What may lie in the environment's HOME when nobody is at work there, and nobody was killed there.
_AT_REST = frozenset((NAME, stamp.NAME, ".minglibc.busy.stale"))
# What a distribution is read from; any of these may be absent, and may come.
_INFO = ("METADATA", "PKG-INFO", "WHEEL", "INSTALLER", "RECORD", "direct_url.json", "minglibc.json")
# What may stand in for the targets of [tool.minglibc].
VARIABLES = tuple(f"MINGLIBC_{name}" for name in ("GLIBC", "MUSL", "PYTHON", "ARCH"))
# Below that many files a second process costs more than it saves.
_WORTH_FORKING = 3_000


class Asked(NamedTuple):
    """What a sync is asked to do, as far as the stamp does not say it: the lock's folder, and pyproject.toml's digest."""

    folder: str
    pyproject: str

    @property
    def facts(self) -> str:
        """All of it, and the variables that take part, on one line."""
        told = {name: text for name, text in os.environ.items() if name in VARIABLES or name.startswith("LD_")}
        return repr((*self, sorted(told.items())))


class Info(NamedTuple):
    """A .dist-info: its site and its name in it, its identity, and the sizes of the files that its distribution owns."""

    site: str
    folder: str
    identity: Sequence[str]
    sizes: Mapping[str, int]


class Sight(NamedTuple):
    """What there is to see: an interpreter, the files that it answered from, the sites, and all that is installed there."""

    executable: str
    grounds: Mapping[str, str]
    sites: Sequence[str]
    infos: Sequence[Info]


def write(prefix: str, asked: Asked, sight: Sight, *, packages: int) -> None:
    """Keep *sight* of the environment at *prefix*, whose stamp was just written; where that can't be done, nothing is kept."""
    real = os.path.realpath(prefix)
    with suppress(OSError):
        head = [str(packages), _stamp(real), asked.facts, sight.executable, os.path.realpath(sight.executable)]
        grounds = {**sight.grounds, **{path: _ground(path) for path in _beside(real)}}
        infos = {f"{each.site}/{each.folder}": " ".join(each.identity) for each in sight.infos}
        sites = {site: _names(each.folder for each in sight.infos if each.site == site) for site in sight.sites}
        sizes = {place: str(size) for each in sight.infos for place, size in each.sizes.items()}
        parts = [[*table, *table.values()] for table in (grounds, infos, sites, sizes)]
        body = "\0\n".join("\0".join(part) for part in (head, *parts))
        stamp.replace(os.path.join(real, _PLACE), "\0\n".join((_HEAD, stamp.digest(body), body)))


def remove(prefix: str) -> None:
    """Forget what was seen."""
    with suppress(OSError):
        os.unlink(os.path.join(prefix, _PLACE))


def holds(prefix: str, asked: Asked, executable: str) -> int | None:
    """How many packages the environment at *prefix* has, if all is as it was seen; else None. The stamp was looked at."""
    real = os.path.realpath(prefix)
    try:
        with open(os.path.join(real, _PLACE), encoding="utf-8", errors="surrogateescape", newline="") as file:
            first, digest, body = file.read().split("\0\n", 2)
        if first != _HEAD or digest != stamp.digest(body) or not _AT_REST.issuperset(os.listdir(f"{real}/{HOME}")):
            return None
        head, grounds, infos, sites, sizes = (section.split("\0") for section in body.split("\0\n"))
        expected = [_stamp(real), asked.facts, executable, os.path.realpath(executable)]
        stands = (
            head[1:] == expected
            and all(_ground(path) == was for path, was in _pairs(grounds))
            and all(_names(os.listdir(f"{real}/{site}")) == was for site, was in _pairs(sites))
            and all(" ".join(identity(f"{real}/{place}")) == was for place, was in _pairs(infos))
            and _have_sizes(real, sizes)
        )
        return int(head[0]) if stands else None
    except (OSError, ValueError):
        return None


def _pairs(part: list[str]) -> Iterable[tuple[str, str]]:
    half = len(part) // 2
    return zip(part[:half], part[half:], strict=True)


def _stamp(prefix: str) -> str:
    with open(os.path.join(prefix, stamp.PLACE), encoding="utf-8", errors="surrogateescape") as file:
        return stamp.digest(file.read())


def _beside(prefix: str) -> list[str]:
    """What may come to lead the interpreter, or its loader, elsewhere."""
    return [f"{prefix}/bin/pyvenv.cfg", "/etc/ld.so.cache", "/etc/ld.so.preload"]


def _ground(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def identity(info: str) -> tuple[str, ...]:
    """What tells the files of the .dist-info at *info* that anything is read from, from others; absent ones, too."""
    return tuple(_identity(f"{info}/{name}") for name in _INFO) if os.path.isdir(info) else (_identity(info),)


def _identity(path: str) -> str:
    try:
        found = os.lstat(path)
    except OSError:
        return "-"
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def _names(entries: Iterable[str]) -> str:
    infos = (name for name in entries if name.endswith((".dist-info", ".egg-info")) and not name.startswith("~"))
    return stamp.digest("\n".join(sorted(infos)))


def _have_sizes(prefix: str, part: list[str]) -> bool:
    """Whether every file has its size; of many, another process looks at half."""
    half = len(part) // 2
    places, sizes = part[:half], part[half:]
    middle = half // 2
    if half < _WORTH_FORKING or len(os.sched_getaffinity(0)) < 2:
        return _all_have(prefix, places, sizes)
    child = os.fork()
    if child == 0:
        alright = False
        try:
            alright = _all_have(prefix, places[middle:], sizes[middle:])
        finally:
            os._exit(0 if alright else 1)
    mine = _all_have(prefix, places[:middle], sizes[:middle])
    return os.waitpid(child, 0)[1] == 0 and mine


def _all_have(prefix: str, places: list[str], sizes: list[str]) -> bool:
    lstat = os.lstat
    try:
        return [lstat(f"{prefix}/{place}").st_size for place in places] == list(map(int, sizes))
    except OSError:
        return False
