"""An interpreter and its site-packages: inspect it, create it, and bring distributions in and out without half states.

A change is prepared whole in ``PREFIX/.minglibc/unpack-*`` and becomes ``PREFIX/.minglibc/apply`` by one rename; from
there folders move into place by renames, a distribution's .dist-info first on the way out and last on the way in. So
an environment never claims what it has not, and every .dist-info that is still below ``apply`` names, by its RECORD,
what a killed process may have left: ``recover`` needs no other journal.
"""

import csv
import json
import os
import posixpath
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from tempfile import mkdtemp
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from minglibc.config import project_files
from minglibc.errors import EnvironmentProblem, LockError, TargetError, WheelError
from minglibc.install import seen, stamp
from minglibc.install.layout import HOME, ORIGIN, Layout
from minglibc.lock.selection import Machine
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import LIBCS, Cap, PythonVersion

if TYPE_CHECKING:
    from minglibc.audit.rules import Binary

DIRECT_URL = "direct_url.json"
_APPLY, _UNPACK, _DONE, _CREATING = "apply", "unpack-", "done-", "creating"
_OLDEST_MINOR = 6
_PATIENCE = 600.0
_INSPECTION_SECONDS = 60
_WORTH_FORKING = 4 << 20

# e_machine of the ELF header, class and byte order → the name that manylinux tags have (targets.ARCHITECTURES).
_ARCHITECTURES: dict[tuple[object, object, object], str] = {
    (62, 64, True): "x86_64",
    (3, 32, True): "i686",
    (183, 64, True): "aarch64",
    (40, 32, True): "armv7l",
    (21, 64, False): "ppc64",
    (21, 64, True): "ppc64le",
    (22, 64, False): "s390x",
    (243, 64, True): "riscv64",
    (258, 64, True): "loongarch64",
}
_ARM, _ARM_HARD_FLOAT = 40, 0x400


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python on this machine, as it describes itself."""

    executable: str
    machine: Machine
    layout: Layout
    is_environment: bool
    externally_managed: bool = False
    loader: str = ""
    """The program that loads it (PT_INTERP)."""
    libc: str = ""
    """Its C library in its own words, which are more than tags know: ``musl 1.2.5``."""
    grounds: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The files that this was learned from, each with its identity; none where it can't tell."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution: what its .dist-info (or .egg-info) says, held against the files that are there."""

    name: str
    version: str
    site: str
    folder: str
    tags: frozenset[str]
    installer: str
    digest: str
    record: dict[str, str]
    """Each path that it owns, relative to the prefix, with its hash."""
    damage: str = ""
    direct_url: str = ""
    """Where it came from when that was no index (PEP 610)."""
    sizes: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Each path that it owns with the size of what is there, but for bytecode, which interpreters make as they like."""
    identity: tuple[str, ...] = ()
    """What tells the files that all of this was read from, from others."""

    @property
    def info(self) -> str:
        """Its .dist-info, relative to the prefix."""
        return posixpath.join(self.site, self.folder)


class Prepared(NamedTuple):
    """A wheel that was hashed just now: where it is, its name in the lock, and its digest there (``sha256:…``).

    *direct_url* is what its .dist-info says of where it came from, when that was no index (PEP 610). *unpacked* is the folder
    of the cache that its files may be linked to and from.
    """

    path: str
    filename: str
    digest: str
    direct_url: bytes = b""
    unpacked: str = ""


@dataclass(frozen=True, slots=True)
class CheckedWheel:
    """A wheel that may be installed: what it is, and every path that it will own, relative to the prefix."""

    path: str
    filename: str
    name: str
    version: str
    stem: str
    root: str  # "purelib" or "platlib"
    record: dict[str, tuple[str, int]]
    """Each member that is installed, with its hash in RECORD's spelling and its size."""
    owned: dict[str, str]
    """Each path below the prefix with its hash; empty where the content is made at installation."""
    requires: tuple[str, ...]
    requires_python: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Each path below the prefix with the size of what was written there; known once it is unpacked."""

    @property
    def dist_info(self) -> str:
        """The name of its .dist-info folder."""
        return f"{self.stem}.dist-info"


def inspect(executable: str, meanwhile: Callable[[], object] = lambda: None) -> Interpreter:
    """The interpreter that *executable* starts, of CPython 3.6 or newer; raises EnvironmentProblem.

    It takes its time to start: *meanwhile* something else can be done.
    """
    with _inspecting() as script:
        command = [executable, "-I", "-S", script]
        try:
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_quiet_environment()
            ) as asked:
                try:
                    meanwhile()
                    answer, said = asked.communicate(timeout=_INSPECTION_SECONDS)
                except BaseException:
                    asked.kill()
                    raise
        except (OSError, subprocess.TimeoutExpired) as error:
            why = getattr(error, "strerror", None) or "it does not answer"
            raise EnvironmentProblem(f"can't start the interpreter {executable}: {why}", hint=_CHOOSE) from error
    try:
        facts = json.loads(answer)
        return _interpreter(facts)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"it ended with code {asked.returncode}"
        raise EnvironmentProblem(f"{executable} is no Python 3.6 or newer: {why}", hint=_CHOOSE) from error


@contextmanager
def _inspecting() -> Iterator[str]:
    """The script that interpreters are asked by, as a file."""
    script = os.path.join(os.path.dirname(__file__), "_probe.py")
    if os.path.isfile(script):
        yield script
        return
    from importlib.resources import as_file, files  # noqa: PLC0415  only within a zip archive is there no such file

    with as_file(files("minglibc.install") / "_probe.py") as path:
        yield str(path)


_CHOOSE = "choose an interpreter or an environment by --python PATH"


def _quiet_environment() -> dict[str, str]:
    # A caller's PYTHONHOME would make another interpreter look for its library in the wrong place.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "__PYVENV"))}


def _interpreter(facts: dict[str, object]) -> Interpreter:
    version, implementation = facts["version"], str(facts["implementation"])
    assert isinstance(version, list)
    if version[0] != 3 or version[1] < _OLDEST_MINOR:
        spoken = ".".join(map(str, version))
        raise EnvironmentProblem(f"{facts['executable']} is Python {spoken}; minglibc needs 3.6 or newer", hint=_CHOOSE)
    python = PythonVersion(version[1], version[2], bool(facts["free_threaded"]))
    elf, libc, grounds = facts["elf"], str(facts["libc"]), facts["grounds"]
    assert isinstance(elf, dict)
    assert isinstance(grounds, dict)
    machine = Machine(python, _architecture(elf, facts), _libc(libc), implementation)
    return Interpreter(
        str(facts["executable"]),
        machine,
        _layout(facts, python),
        bool(facts["environment"]),
        bool(facts["externally_managed"]),
        str(elf.get("loader", "")),
        libc,
        grounds,
    )


def _architecture(elf: dict[str, object], facts: dict[str, object]) -> str:
    if elf.get("machine") == _ARM and not int(str(elf.get("flags", 0))) & _ARM_HARD_FLOAT:
        return "armv7l without hardware floating point"
    kind = (elf.get("machine"), elf.get("bits"), elf.get("little"))
    return _ARCHITECTURES.get(kind, f"{facts['system']} {facts['uname']}")


def _libc(libc: str) -> Cap | None:
    name, _, version = libc.partition(" ")
    # Some distributions write 2.36.9000; of musl, tags know the first two numbers.
    short = ".".join(version.split(".")[:2])
    try:
        return LIBCS[name].parse(short)
    except (KeyError, TargetError):
        return None


def _layout(facts: dict[str, object], python: PythonVersion) -> Layout:
    """The folders of an environment without links on the way: what is written must not leave the prefix."""
    paths = facts["paths"]
    assert isinstance(paths, dict)
    prefix = os.path.realpath(str(paths["data"]))
    relative = {}
    for name in ("purelib", "platlib", "scripts", "data"):
        place = posixpath.relpath(os.path.realpath(str(paths[name])), prefix)
        if place.startswith(".."):
            raise EnvironmentProblem(f"{facts['executable']} keeps its {name} in {paths[name]}, outside of {prefix}")
        relative[name] = "" if place == "." else place
    include = f"include/site/python{python.short}"
    interpreter = str(facts["executable"])
    return Layout(prefix, relative["purelib"], relative["platlib"], relative["scripts"], "", include, interpreter)


def create(folder: str, executable: str) -> Interpreter:
    """A new virtual environment at *folder* (PEP 405), without pip; what a killed run began is finished."""
    command = [executable, "-I", "-m", "venv", "--without-pip", folder]
    marker = os.path.join(folder, HOME, _CREATING)
    try:
        os.makedirs(os.path.dirname(marker), exist_ok=True)
        with open(marker, "wb"):
            pass
    except OSError as error:
        raise EnvironmentProblem(f"can't make an environment at {folder}: {error.strerror}") from error
    done = subprocess.run(command, capture_output=True, check=False, env=_quiet_environment())
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"code {done.returncode}"
        raise EnvironmentProblem(
            f"{executable} can't make an environment at {folder}: {why}",
            hint="some systems pack the venv module on its own (python3-venv); or choose another --python",
        )
    interpreter = inspect(os.path.join(folder, "bin", "python"))
    os.unlink(marker)
    return interpreter


def is_begun(folder: str) -> bool:
    """Whether there is nothing at *folder*, or just what a killed ``create`` left there."""
    try:
        entries = set(os.listdir(folder))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return entries <= {HOME} or os.path.exists(os.path.join(folder, HOME, _CREATING))


class Environment:
    """The distributions of one interpreter; every change happens inside ``with environment.held()``."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.layout = interpreter.layout
        self._prefix = interpreter.layout.prefix
        self._home = os.path.join(self._prefix, HOME)
        self._inside: dict[str, bool] = {}

    @contextmanager
    def held(self, on_wait: Callable[[str], None] = lambda _holder: None) -> Iterator[None]:
        """Hold the environment against every other sync, here and on machines that share it."""
        with held(self._prefix, on_wait):
            yield

    def distributions(self) -> list[Distribution]:
        """Every distribution that is installed, in the order of names."""
        sites = dict.fromkeys([self.layout.purelib, self.layout.platlib])
        found = [each for site in sites for each in self._in_site(site)]
        return sorted(found, key=lambda each: (each.name, each.folder))

    def _in_site(self, site: str) -> Iterator[Distribution]:
        try:
            entries = sorted(os.listdir(os.path.join(self._prefix, site)))
        except FileNotFoundError:
            return
        except OSError as error:
            raise EnvironmentProblem(f"can't read {self._prefix}/{site}: {error.strerror}") from error
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")) and not entry.startswith("~"):
                yield self._distribution(site, entry)

    def _distribution(self, site: str, folder: str) -> Distribution:
        path = os.path.join(self._prefix, site, folder)
        identity = seen.identity(path)  # before anything is read: who changes it meanwhile is noticed
        modern = folder.endswith(".dist-info")
        stem = folder.rpartition(".")[0]
        name, _, version = stem.partition("-")
        headers = _headers(os.path.join(path, "METADATA" if modern else "PKG-INFO") if os.path.isdir(path) else path)
        tags = frozenset(_headers(os.path.join(path, "WHEEL")).get("tag", ()))
        sizes: dict[str, int] = {}
        record, damage = self._record(site, path, sizes) if modern else self._legacy_record(site, folder)
        if not headers.get("name"):
            damage = damage or "it has no METADATA"
        return Distribution(
            normalize_name((headers.get("name") or [name])[0]),
            (headers.get("version") or [version])[0],
            site,
            folder,
            tags,
            _text(os.path.join(path, "INSTALLER")).strip(),
            _value(os.path.join(path, ORIGIN), "digest"),
            record,
            damage,
            _value(os.path.join(path, DIRECT_URL), "url"),
            sizes,
            identity,
        )

    def _record(self, site: str, path: str, sizes: dict[str, int]) -> tuple[dict[str, str], str]:
        """What a RECORD lists, with the first damage; *sizes* gets those of the files that are there."""
        text = _text(os.path.join(path, "RECORD"))
        if not text:
            return {}, "it has no RECORD"
        record: dict[str, str] = {}
        damage = ""
        try:
            for row in csv.reader(text.splitlines()):
                place = self._place(site, row[0])
                if place is None:
                    continue
                record[place] = row[1] if len(row) > 1 else ""
                damage = damage or self._damage(place, row[2] if len(row) > 2 else "", sizes)
        except (csv.Error, IndexError):
            return record, "its RECORD can't be read"
        return record, damage

    def _damage(self, place: str, size: str, sizes: dict[str, int]) -> str:
        if place.endswith(".pyc"):
            return ""  # interpreters make and drop these as they like
        try:
            found = sizes[place] = os.lstat(f"{self._prefix}/{place}").st_size
        except OSError:
            return f"its file {place} is missing"
        if size.isdecimal() and found != int(size):
            return f"its file {place} was changed"
        return ""

    def _legacy_record(self, site: str, folder: str) -> tuple[dict[str, str], str]:
        listing = _text(os.path.join(self._prefix, site, folder, "installed-files.txt"))
        places = (self._place(f"{site}/{folder}", line) for line in listing.splitlines())
        return {place: "" for place in places if place}, "it has no RECORD"

    def _place(self, site: str, path: str) -> str | None:
        """A RECORD's *path* relative to the prefix; None for what lies outside, behind a link, or is nobody's to remove."""
        joined = path if path.startswith("/") else f"{self._prefix}/{site}/{path}"
        place = posixpath.normpath(joined) if "/." in joined or "//" in joined else joined
        if not place.startswith(f"{self._prefix}/") or "\0" in place:
            return None
        parent = posixpath.dirname(place)
        if parent not in self._inside:
            real = os.path.realpath(parent)
            self._inside[parent] = real == self._prefix or real.startswith(f"{self._prefix}/")
        inside = place.removeprefix(f"{self._prefix}/")
        return inside if self._inside[parent] and not self.layout.protector(inside) else None

    def is_unfinished(self) -> bool:
        """Whether a killed run left something that ``recover`` has to put right."""
        return _APPLY in _listing(self._home)

    def binaries(self, distribution: Distribution) -> "Iterator[Binary]":
        """What of *distribution* a machine could load or run."""
        from minglibc.audit.rules import read_binary  # noqa: PLC0415  most syncs have nothing to look into

        for place in distribution.record:
            if place.endswith((".py", ".pyc", ".pyi")):
                continue
            with suppress(OSError), open(os.path.join(self._prefix, place), "rb") as file:
                if found := read_binary(distribution.name, place, file):
                    yield found

    def recover(self) -> bool:
        """Put right what a killed run left; afterwards the environment holds just what its .dist-info folders claim."""
        with self._problems():
            unfinished = self.is_unfinished()
            if unfinished:
                self._undo(os.path.join(self._home, _APPLY))
            leftovers = [name for name in _listing(self._home) if name.startswith((_UNPACK, _DONE))]
            for name in leftovers:
                shutil.rmtree(os.path.join(self._home, name), ignore_errors=True)
            stamp.sweep(self._prefix, (stamp.NAME, seen.NAME))
        return unfinished

    def _undo(self, folder: str) -> None:
        claimed = {place for each in self.distributions() for place in each.record}
        doubtful: set[str] = set()
        for kind in _listing(folder):
            for part, site in product(("info", "files"), {self.layout.purelib, self.layout.platlib}):
                home = os.path.join(folder, kind, part, site)
                for info in _listing(home):
                    if info.rstrip("~").endswith(".dist-info"):
                        doubtful |= self._record(site, os.path.join(home, info), {})[0].keys()
        self._take_out(doubtful - claimed, lambda: None)
        _finish(folder)

    @contextmanager
    def change(self) -> Iterator["Change"]:
        """A change that is prepared aside; what is not applied when the block ends, or fails, never happened."""
        with self._problems():
            os.makedirs(self._home, exist_ok=True)
            folder = mkdtemp(prefix=_UNPACK, dir=self._home)
            # mkdtemp keeps others out, and folders move from here into an environment that others read.
            os.chmod(folder, 0o777 & ~_umask())
        try:
            with self._problems():
                yield Change(self, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise EnvironmentProblem(
                f"can't change {self._prefix}: {where}{error.strerror}",
                hint="mend it and run sync again: it finishes what was begun",
            ) from error

    def _take_out(self, places: Iterable[str], trash: Callable[[], str | None]) -> None:
        """Take the files at *places* away, with their bytecode and the folders that this leaves empty."""
        owned = set(places)
        roots = self._roots()
        folders: set[str] = set()
        for place in owned:
            folder = posixpath.dirname(place)
            while folder not in folders and folder not in roots:
                folders.add(folder)
                folder = posixpath.dirname(folder)
        tops = [folder for folder in folders if posixpath.dirname(folder) not in folders]
        for folder in tops:
            self._take_folder(folder, owned, folders, trash)
        for place in owned:
            if posixpath.dirname(place) in roots:
                self._discard(place, trash)
                self._discard_bytecode(place)

    def _roots(self) -> set[str]:
        """Folders that stay whoever leaves."""
        layout = self.layout
        kept = {layout.purelib, layout.platlib, layout.scripts, "include", "share", "etc", ""}
        for site in (layout.purelib, layout.platlib):
            folder = site
            while folder:
                kept.add(folder)
                folder = posixpath.dirname(folder)
        return kept

    def _take_folder(self, folder: str, owned: set[str], folders: set[str], trash: Callable[[], str | None]) -> None:
        path = os.path.join(self._prefix, folder)
        if os.path.islink(path) or not os.path.isdir(path):
            return
        if self._wholly(folder, owned, folders):
            self._discard(folder, trash)
            return
        for entry in _entries(path):
            place = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if place in folders:
                    self._take_folder(place, owned, folders, trash)
            elif place in owned:
                self._discard(place, trash)
                self._discard_bytecode(place)
        for leftover in (f"{path}/__pycache__", path):
            with suppress(OSError):
                os.rmdir(leftover)

    def _wholly(self, folder: str, owned: set[str], folders: set[str]) -> bool:
        """Whether everything in *folder* goes: owned files, and bytecode, which belongs to its source."""
        for entry in _entries(os.path.join(self._prefix, folder)):
            place = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                bytecode = entry.name == "__pycache__" and all(name.endswith(".pyc") for name in os.listdir(entry.path))
                if not bytecode and not (place in folders and self._wholly(place, owned, folders)):
                    return False
            elif place not in owned:
                return False
        return True

    def _discard(self, place: str, trash: Callable[[], str | None]) -> None:
        path = os.path.join(self._prefix, place)
        away = trash()
        with suppress(FileNotFoundError):
            if away is not None:
                os.rename(path, away)
            elif os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def _discard_bytecode(self, place: str) -> None:
        folder, name = posixpath.split(place)
        stem, extension = posixpath.splitext(name)
        if extension != ".py":
            return
        cache = os.path.join(self._prefix, folder, "__pycache__")
        if os.path.islink(cache):
            return
        for entry in _listing(cache):
            if entry.startswith(f"{stem}.") and entry.endswith(".pyc"):
                with suppress(OSError):
                    os.unlink(os.path.join(cache, entry))


class Change:
    """Wheels that wait beside the environment, and the distributions that they take the place of."""

    def __init__(self, environment: Environment, folder: str) -> None:
        self._environment = environment
        self._layout = environment.layout
        self._prefix = environment.layout.prefix
        self._folder = folder
        self._staged: list[CheckedWheel] = []
        self._staying: Sequence[Distribution] = ()
        self._trashed = 0

    @contextmanager
    def unpacking(self, sizes: Sequence[int | None]) -> "Iterator[Callable[[int, Prepared], None]]":
        """What takes wheels of *sizes*, from any thread, each with its position: it is checked and unpacked aside at once.

        When the block ends all of them are; raises the first error. Enter it where no thread runs.
        """
        from minglibc.install import pool  # noqa: PLC0415  most syncs have nothing to unpack

        prepare = partial(_preparing, self._folder, self._layout)
        # A fork and its pipe cost a few milliseconds; threads gain nothing here.
        if len(sizes) > 1 and sum(_WORTH_FORKING if size is None else size for size in sizes) > _WORTH_FORKING:
            with pool.Crew(prepare, len(sizes)) as crew:
                yield lambda position, wheel: crew.give(position, wheel, os.path.getsize(wheel.path))
                self._staged += crew.results()
            return
        waiting: dict[int, Prepared] = {}
        yield waiting.__setitem__
        if waiting:
            self._staged += map(prepare(), [waiting[position] for position in sorted(waiting)])

    def prepare(self, wheels: Sequence[Prepared], staying: Sequence[Distribution]) -> list[CheckedWheel]:
        """All that arrived, and *wheels*, checked and unpacked aside; raises WheelError where one may not stand beside *staying*."""
        with self.unpacking([os.path.getsize(each.path) for each in wheels]) as take:
            for position, wheel in enumerate(wheels):
                take(position, wheel)
        _check_owners(self._staged, staying, self._layout)
        return self._staged

    def apply(self, leaving: Sequence[Distribution], staying: Sequence[Distribution]) -> None:
        """Bring the staged wheels in and take *leaving* out; a kill at any moment leaves what ``recover`` puts right."""
        self._staying = staying
        arriving = {wheel.name: wheel for wheel in self._staged}
        contested = {place for wheel in self._staged for place in wheel.owned}
        applied = os.path.join(self._prefix, HOME, _APPLY)
        os.rename(self._folder, applied)
        self._folder = applied
        replaced: dict[str, list[Distribution]] = {}
        for old in leaving:
            wheel = arriving.get(old.name)
            if wheel is None or (contested - wheel.owned.keys()) & old.record.keys():
                self._take_out(old)  # at once: it goes for good, or another wheel needs the place of its files
            else:
                replaced.setdefault(old.name, []).append(old)
        for wheel in self._staged:
            for old in replaced.get(wheel.name, ()):
                self._take_out(old)
            self._bring_in(wheel)
        shutil.rmtree(_finish(applied), ignore_errors=True)

    def _take_out(self, old: Distribution) -> None:
        home = os.path.join(self._folder, "-old", "info", old.site)
        os.makedirs(home, exist_ok=True)
        source = os.path.join(self._prefix, old.info)
        away = os.path.join(home, old.folder)
        while os.path.lexists(away):
            away += "~"
        with suppress(FileNotFoundError):
            os.rename(source, away)
        places = {place for place in old.record if not place.startswith(f"{old.info}/")}
        # What another distribution also owns (a shared __init__.py of the same bytes) stays for it.
        self._environment._take_out(places - self._shared(places, old), self._trash)  # noqa: SLF001  one unit in two classes

    def _shared(self, places: set[str], old: Distribution) -> set[str]:
        return set().union(*(places & other.record.keys() for other in self._staying if other.info != old.info))

    def _trash(self) -> str:
        self._trashed += 1
        home = os.path.join(self._folder, "-trash")
        os.makedirs(home, exist_ok=True)
        return os.path.join(home, str(self._trashed))

    def _bring_in(self, wheel: CheckedWheel) -> None:
        files = os.path.join(self._folder, wheel.name, "files")
        info = os.path.join(self._layout.folder(wheel.root, wheel.name), wheel.dist_info)
        source, target = os.path.join(files, info), os.path.join(self._prefix, info)
        self._place(files, self._prefix, source)
        if os.path.lexists(target):  # a broken one, which no distribution was read from
            os.rename(target, self._trash())
        os.rename(source, target)

    def _place(self, source: str, target: str, last: str) -> None:
        """Move everything in *source* but *last* to *target*: a whole folder where there is none, else its entries one by one."""
        for entry in _entries(source):
            if entry.path == last:
                continue
            path = os.path.join(target, entry.name)
            folder = entry.is_dir(follow_symlinks=False)
            if folder and last.startswith(f"{entry.path}/"):
                os.makedirs(path, exist_ok=True)
            if folder and os.path.isdir(path) and not os.path.islink(path):
                self._place(entry.path, path, last)
                continue
            if (folder and os.path.lexists(path)) or (os.path.isdir(path) and not os.path.islink(path)):
                os.rename(path, self._trash())
            os.rename(entry.path, path)


def _preparing(folder: str, layout: Layout) -> Callable[[Prepared], CheckedWheel]:
    """What checks one wheel and unpacks it into its room of a change in *folder*."""
    from minglibc.cache.unpacked_wheels import Unpacked  # noqa: PLC0415  most syncs have nothing to unpack
    from minglibc.install.wheel import opened, unpack  # noqa: PLC0415  the same

    umask = _umask()

    def prepare(asked: Prepared) -> CheckedWheel:
        added = [DIRECT_URL] if asked.direct_url else []
        with opened(asked.path, asked.filename, layout, added=added) as found:
            wheel, _ = found
            room = os.path.join(folder, wheel.name, "files")
            sizes = unpack(found, room, layout, _additions(asked), Unpacked(asked.unpacked, umask))
        # Nobody asks what its RECORD says any more.
        return replace(wheel, record={}, sizes=sizes)

    return prepare


def _check_owners(arriving: Sequence[CheckedWheel], staying: Sequence[Distribution], layout: Layout) -> None:
    """Raise WheelError when two distributions would own one path with different content, or a foreign file is in the way."""
    owners: dict[str, tuple[str, str]] = {}
    for each in staying:
        owners.update((place, (each.name, digest)) for place, digest in each.record.items())
    ours = (f"{layout.purelib}/", f"{layout.platlib}/", f"{layout.scripts}/")
    for wheel in arriving:
        for place, digest in wheel.owned.items():
            other, content = owners.get(place, ("", ""))
            if other and (not digest or digest != content):
                raise WheelError(
                    f"{wheel.filename} would write {place}, which belongs to {other}",
                    hint=f"nothing was installed; lock {wheel.name} or {other}, not both",
                )
            if not other and not place.startswith(ours) and os.path.lexists(os.path.join(layout.prefix, place)):
                raise WheelError(
                    f"{wheel.filename} would write {place}, which is there and belongs to no distribution",
                    hint=f"nothing was installed; move {os.path.join(layout.prefix, place)} away and run again",
                )
            owners[place] = (wheel.name, digest)


@contextmanager
def held(prefix: str, on_wait: Callable[[str], None] = lambda _holder: None) -> Iterator[None]:
    """Hold the environment at *prefix*, which need not be made yet, against every other sync."""
    home = os.path.join(prefix, HOME)
    try:
        os.makedirs(home, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"can't write in {prefix}: {error.strerror}", hint="nothing was changed") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(project_files.lock(home, patience=_PATIENCE, on_wait=on_wait))
        except LockError as error:
            raise EnvironmentProblem(error.message, hint=error.hint or "nothing was changed") from error
        yield


def _additions(asked: Prepared) -> dict[str, bytes]:
    """What a .dist-info says, beside what its wheel says, of who installed it from what."""
    origin = json.dumps({"format": 1, "filename": asked.filename, "digest": asked.digest}) + "\n"
    found = {"INSTALLER": b"minglibc\n", ORIGIN: origin.encode()}
    return {**found, DIRECT_URL: asked.direct_url} if asked.direct_url else found


def direct_url(folder: str, *, editable: bool) -> bytes:
    """The direct_url.json of what was built in *folder* (PEP 610)."""
    kind = {"editable": True} if editable else {}
    return json.dumps({"url": f"file://{quote(folder)}", "dir_info": kind}).encode()


def find_interpreters(pythons: Iterable[PythonVersion]) -> Iterator[str]:
    """Executables that may be one of *pythons*: the running one first, then what PATH has, each once."""
    seen: set[str] = set()
    names = [f"python{each.short}{'t' if each.free_threaded else ''}" for each in pythons]
    running = getattr(sys, "_base_executable", None) or sys.executable
    for path in [running, *_on_path([*names, "python3"])]:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _on_path(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = os.path.join(os.path.abspath(folder), name)
            if folder and os.access(path, os.X_OK) and os.path.isfile(path):
                yield path


def compile_bytecode(environment: Environment) -> None:
    """Have the environment's interpreter compile what is installed; a file that does not compile is nobody's fault."""
    layout = environment.layout
    sites = {os.path.join(layout.prefix, site) for site in (layout.purelib, layout.platlib)}
    command = [environment.interpreter.executable, "-I", "-m", "compileall", "-q", "-j", "0", *sorted(sites)]
    subprocess.run(command, capture_output=True, check=False, env=_quiet_environment())


def _headers(path: str) -> dict[str, list[str]]:
    """The headers of a METADATA or WHEEL file, which are all on lines of their own as far as minglibc reads them."""
    found: dict[str, list[str]] = {}
    for line in _text(path).splitlines():
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.lower(), []).append(value.strip())
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _value(path: str, key: str) -> str:
    """What the JSON file at *path* says of *key*; nothing where it says nothing."""
    text = _text(path)
    try:
        return str(json.loads(text)[key]) if text else ""
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _finish(applied: str) -> str:
    """Give the folder of a change a name that says that nothing in it matters any more."""
    name = mkdtemp(prefix=_DONE, dir=os.path.dirname(applied))
    os.rename(applied, name)
    return name


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _umask() -> int:
    # Setting the umask to read it would race with other threads.
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.partition(":")[2], 8)
    return 0o022
