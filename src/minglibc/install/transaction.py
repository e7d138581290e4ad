"""Install and remove distributions so that an interrupted change can be completed or undone at any moment.

A change is prepared in ``PREFIX/.minglibc/unpack-*`` and becomes ``PREFIX/.minglibc/apply`` by one rename. From there
folders are renamed into place; a distribution's .dist-info is the first part to leave and the last to arrive. So an
environment never claims files that it lacks, and the RECORD of each .dist-info that is still below ``apply`` names
the files that a killed process may have left: ``recover`` needs no other journal.
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import product
from tempfile import mkdtemp
from typing import TYPE_CHECKING, NamedTuple

from minglibc.config import folder_lock
from minglibc.errors import EnvironmentProblem, LockError
from minglibc.install import proof
from minglibc.install.environment import Distribution, Environment
from minglibc.install.file_conflicts import Overwritten, check_conflicts
from minglibc.install.interpreter import check_changeable
from minglibc.install.layout import DIRECT_URL, HOME, ORIGIN, Layout, folders_of, wins
from minglibc.install.permissions import make_unique_folder, umask
from minglibc.install.removal import remove_files
from minglibc.model.file_urls import file_url
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    from minglibc.install.wheel import CheckedWheel

_APPLY, _UNPACK, _DONE = "apply", "unpack-", "done-"
_LOCK_TIMEOUT = 600.0
_WORTH_FORKING = 4 << 20


class Prepared(NamedTuple):
    """A wheel on disk: its path, its name in the lock, and the digest there (``sha256:…``).

    *direct_url* is the content of its direct_url.json (PEP 610), if any. *unpacked* is the folder of the cache that
    its files are linked from and to. *content* is the hash of the file itself, which is verified unless the file still
    has the *identity* that it had when that was done before.
    """

    path: str
    filename: str
    digest: str
    direct_url: bytes = b""
    unpacked: str = ""
    content: str = ""
    identity: str = ""


def direct_url(folder: str, *, editable: bool) -> bytes:
    """The direct_url.json of a project that was built in *folder* (PEP 610)."""
    kind = {"editable": True} if editable else {}
    return json.dumps({"url": file_url(folder), "dir_info": kind}).encode()


@contextmanager
def locked(prefix: str, on_wait: Callable[[str], None] = lambda _holder: None) -> Iterator[None]:
    """Lock the environment at *prefix*, which need not exist yet, against other syncs, including those on other machines."""
    home = os.path.join(prefix, HOME)
    if os.path.islink(home):
        raise EnvironmentProblem(f"{home} is a link", hint="nothing was changed; delete the link and run again")
    try:
        os.makedirs(home, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"can't write in {prefix}: {error.strerror}", hint="nothing was changed") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_lock.lock(home, patience=_LOCK_TIMEOUT, on_wait=on_wait))
        except LockError as error:
            raise EnvironmentProblem(error.message, hint=error.hint or "nothing was changed") from error
        yield


def is_interrupted(environment: Environment) -> bool:
    """Whether a killed process left a change that ``recover`` has to undo."""
    return _APPLY in _listing(_home(environment))


def recover(environment: Environment) -> bool:
    """Remove what a killed process left, so that all files belong to a .dist-info; whether there was anything to undo."""
    check_changeable(environment.interpreter)
    home = _home(environment)
    with _reported(environment.prefix):
        interrupted = is_interrupted(environment)
        if interrupted:
            _undo(environment, os.path.join(home, _APPLY))
        for name in _listing(home):
            if name.startswith((_UNPACK, _DONE)):
                shutil.rmtree(os.path.join(home, name), ignore_errors=True)
        proof.remove_temporary_files(environment.prefix)
    return interrupted


def _undo(environment: Environment, folder: str) -> None:
    layout = environment.layout
    owners: dict[str, list[tuple[str, str]]] = {}
    for distribution in environment.distributions():
        for path, digest in distribution.record.items():
            owners.setdefault(path, []).append((distribution.name, digest))
    possible: set[str] = set()
    for name in _listing(folder):
        for part, site in product(("info", "files"), {layout.purelib, layout.platlib}):
            parent = os.path.join(folder, name, part, site)
            for info in _listing(parent):
                if info.rstrip("~").endswith(".dist-info"):
                    project = normalize_name(info.partition("-")[0])
                    for path, digest in environment.read_record(site, os.path.join(parent, info)).hashes.items():
                        if all(wins(project, owner) and digest != theirs for owner, theirs in owners.get(path, ())):
                            possible.add(path)  # and its owner, if any, is found to be incomplete by the next sync
    remove_files(layout, possible)
    _finish(folder)


@contextmanager
def begin(environment: Environment) -> Iterator["Transaction"]:
    """A transaction that is prepared in a folder of its own; if it is not applied in the block, it has no effect."""
    check_changeable(environment.interpreter)
    home = _home(environment)
    with _reported(environment.prefix):
        os.makedirs(home, exist_ok=True)
        folder = make_unique_folder(home, _UNPACK)
    try:
        with _reported(environment.prefix):
            yield Transaction(environment, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Transaction:
    """Wheels that are unpacked next to the environment, and the distributions that they replace."""

    def __init__(self, environment: Environment, folder: str) -> None:
        self._layout = environment.layout
        self._prefix = environment.prefix
        self._folder = folder
        self._wheels: list[CheckedWheel] = []
        self._staying: Sequence[Distribution] = ()
        self._trashed = 0
        self.overwritten: Sequence[Overwritten] = ()
        """The files that wheels have in common with different content; known after ``prepare``."""

    @contextmanager
    def unpacking(self, sizes: Sequence[int | None]) -> "Iterator[Callable[[int, Prepared], None]]":
        """A function that takes wheels of *sizes*, from any thread, each with its position, and checks and unpacks them.

        The block ends when all are unpacked; raises the first error. Enter it before other threads are started: those that
        install something else at the same time use no processes.
        """
        from minglibc.install import pool  # noqa: PLC0415  imports ctypes and pickle, which most syncs don't need

        prepare = partial(_preparing, self._folder, self._layout)
        is_main = threading.current_thread() is threading.main_thread()
        # Starting a process costs a few milliseconds; threads gain nothing here.
        if (
            is_main
            and len(sizes) > 1
            and sum(_WORTH_FORKING if size is None else size for size in sizes) > _WORTH_FORKING
        ):
            with pool.Pool(prepare, len(sizes)) as workers:
                yield lambda position, wheel: workers.submit(position, wheel, os.path.getsize(wheel.path))
                self._wheels += workers.results()
            return
        waiting: dict[int, Prepared] = {}
        yield waiting.__setitem__
        if waiting:
            self._wheels += map(prepare(), [waiting[position] for position in sorted(waiting)])

    def prepare(
        self,
        wheels: Sequence[Prepared],
        staying: Sequence[Distribution],
        leaving: Sequence[Distribution] = (),
        sharing: Collection[str] = (),
    ) -> "list[CheckedWheel]":
        """All unpacked wheels, after unpacking *wheels* too; raises WheelError if their files conflict (``file_conflicts``).

        They may replace files of *leaving*, which will be removed, but not those of *staying*, unless both are in *sharing*.
        """
        with self.unpacking([os.path.getsize(wheel.path) for wheel in wheels]) as submit:
            for position, wheel in enumerate(wheels):
                submit(position, wheel)
        self.overwritten = check_conflicts(self._wheels, staying, leaving, self._layout, sharing)
        # Those that win are installed first, so that no distribution ever claims a file that is still missing.
        self._wheels = sorted(map(self._without_overwritten, self._wheels), key=lambda wheel: wheel.name, reverse=True)
        return self._wheels

    def _without_overwritten(self, wheel: "CheckedWheel") -> "CheckedWheel":
        """*wheel* without the files that another one overwrites; its RECORD lists them, as with other installers."""
        paths = {path for one in self.overwritten if one.loser == wheel.name for path in one.paths}
        if not paths:
            return wheel
        for path in paths:
            os.unlink(os.path.join(self._folder, wheel.name, "files", path))
        owned = {path: digest for path, digest in wheel.owned.items() if path not in paths}
        sizes = {path: size for path, size in wheel.sizes.items() if path not in paths}
        return replace(wheel, owned=owned, sizes=sizes)

    def apply(self, leaving: Sequence[Distribution], staying: Sequence[Distribution]) -> None:
        """Install the unpacked wheels and remove *leaving*; ``recover`` undoes an interrupted call."""
        self._staying = staying
        arriving = {wheel.name: wheel for wheel in self._wheels}
        claims = _Claims(self._wheels)
        applied = os.path.join(self._prefix, HOME, _APPLY)
        os.rename(self._folder, applied)
        self._folder = applied
        replaced: dict[str, list[Distribution]] = {}
        for old in leaving:
            wheel = arriving.get(old.name)
            if wheel is None or claims.are_on(old, wheel):
                self._remove(old)  # first, because it is not replaced, or another wheel takes over its paths
            else:
                replaced.setdefault(old.name, []).append(old)
        for wheel in self._wheels:
            for old in replaced.get(wheel.name, ()):
                self._remove(old)
            self._install(wheel)
        shutil.rmtree(_finish(applied), ignore_errors=True)

    def _remove(self, old: Distribution) -> None:
        parent = os.path.join(self._folder, "-old", "info", old.site)
        os.makedirs(parent, exist_ok=True)
        target = os.path.join(parent, old.folder)
        while os.path.lexists(target):
            target += "~"
        with suppress(FileNotFoundError):
            os.rename(os.path.join(self._prefix, old.info), target)
        paths = {path for path in old.record if not path.startswith(f"{old.info}/")}
        # Files that another distribution also owns (a shared __init__.py with the same bytes) stay.
        remove_files(self._layout, paths - self._shared(paths, old), self._trash)

    def _shared(self, paths: set[str], old: Distribution) -> set[str]:
        return set().union(*(paths & other.record.keys() for other in self._staying if other.info != old.info))

    def _trash(self) -> str:
        self._trashed += 1
        parent = os.path.join(self._folder, "-trash")
        os.makedirs(parent, exist_ok=True)
        return os.path.join(parent, str(self._trashed))

    def _install(self, wheel: "CheckedWheel") -> None:
        files = os.path.join(self._folder, wheel.name, "files")
        info = os.path.join(self._layout.folder(wheel.root, wheel.name), wheel.dist_info)
        source, target = os.path.join(files, info), os.path.join(self._prefix, info)
        self._move(files, self._prefix, source)
        if os.path.lexists(target):  # a broken one, which was not recognised as a distribution
            os.rename(target, self._trash())
        os.rename(source, target)

    def _move(self, source: str, target: str, last: str) -> None:
        """Move the contents of *source*, except *last*, to *target*: folders as a whole where possible."""
        with os.scandir(source) as entries:
            listing = list(entries)
        for entry in listing:
            if entry.path == last:
                continue
            path = os.path.join(target, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and last.startswith(f"{entry.path}/"):
                os.makedirs(path, exist_ok=True)
            if is_folder and os.path.isdir(path) and not os.path.islink(path):
                self._move(entry.path, path, last)
                continue
            if (is_folder and os.path.lexists(path)) or (os.path.isdir(path) and not os.path.islink(path)):
                os.rename(path, self._trash())
            os.rename(entry.path, path)


class _Claims:
    """The paths that wheels will own."""

    def __init__(self, wheels: "Sequence[CheckedWheel]") -> None:
        self._files = {path for wheel in wheels for path in wheel.owned}
        self._folders: dict[str, set[str]] = {}
        for wheel in wheels:
            for folder in folders_of(wheel.owned):
                self._folders.setdefault(folder, set()).add(wheel.name)

    def are_on(self, old: Distribution, replacement: "CheckedWheel") -> bool:
        """Whether a wheel other than *replacement* will own a path of *old*, a folder there, or a file in place of its folder."""
        own = replacement.owned
        return any(
            (path in self._files and path not in own) or self._folders.get(path, set()) - {replacement.name}
            for path in old.record
        ) or any(folder in self._files and folder not in own for folder in folders_of(old.record))


def _preparing(folder: str, layout: Layout) -> "Callable[[Prepared], CheckedWheel]":
    """A function that checks a wheel and unpacks it below *folder*."""
    # Imports installer and zipfile, which most syncs don't need.
    from minglibc.cache.unpacked_wheels import Unpacked  # noqa: PLC0415
    from minglibc.install.unpack import unpack  # noqa: PLC0415
    from minglibc.install.wheel import opened  # noqa: PLC0415

    mask, group = umask(), os.stat(folder).st_gid

    def prepare(prepared: Prepared) -> "CheckedWheel":
        additional = [DIRECT_URL] if prepared.direct_url else []
        expected = (prepared.content, prepared.identity)
        with opened(prepared.path, prepared.filename, layout, additional=additional, expected=expected) as (
            wheel,
            archive,
        ):
            target = os.path.join(folder, wheel.name, "files")
            unpacked = Unpacked(prepared.unpacked, mask, group)
            files = _additional_files(prepared)
            sizes = unpack(wheel, archive, target, layout, additional=files, unpacked=unpacked)
        # The record is large and no longer needed; a worker process would have to send it.
        return replace(wheel, record={}, sizes=sizes)

    return prepare


def _additional_files(prepared: Prepared) -> dict[str, bytes]:
    """The files that an installer adds to the .dist-info."""
    origin = json.dumps({"format": 1, "filename": prepared.filename, "digest": prepared.digest}) + "\n"
    files = {"INSTALLER": b"minglibc\n", ORIGIN: origin.encode()}
    return {**files, DIRECT_URL: prepared.direct_url} if prepared.direct_url else files


@contextmanager
def _reported(prefix: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise EnvironmentProblem(
            f"can't change {prefix}: {where}{error.strerror}",
            hint="fix the cause and run sync again, which recovers",
        ) from error


def _home(environment: Environment) -> str:
    return os.path.join(environment.prefix, HOME)


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _finish(applied: str) -> str:
    """Rename the folder of a change so that ``recover`` only has to delete it."""
    name = mkdtemp(prefix=_DONE, dir=os.path.dirname(applied))
    os.rename(applied, name)
    return name
