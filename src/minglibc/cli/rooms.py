"""The environment that a build backend works in: for this machine, filled from the project's own indexes."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from minglibc.build.backend import Builder, Kind
from minglibc.cache.pages import Store
from minglibc.cli.indexes import open_index
from minglibc.cli.locking import compatibilities_of
from minglibc.cli.options import Namespace, cache_folder, talk
from minglibc.config.settings import Settings
from minglibc.errors import EnvironmentProblem, ResolutionError, SettingsError
from minglibc.index.client import DEFAULT_INDEX_URL, Index
from minglibc.index.credentials import Credentials
from minglibc.index.downloads import LockedFile, Wheelhouse, file_of
from minglibc.install import environment as environments
from minglibc.install.environment import Environment, Interpreter, Prepared
from minglibc.lock.document import Lock
from minglibc.lock.selection import Machine
from minglibc.model.compatibility import Compatibility, TargetCompatibility
from minglibc.model.requirements import InvalidRequirement, parse
from minglibc.model.targets import Target
from minglibc.resolve.candidates import Root
from minglibc.resolve.explain import explain
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolver import Resolution, Unresolvable, resolve

_ASKER = "[build-system]"


class Supply(NamedTuple):
    """Where what a backend requires comes from: the indexes of a project's settings, if it has any, and of the lock in *place*."""

    settings: Settings | None
    arguments: Namespace
    place: str
    told: Credentials
    fallback: str = DEFAULT_INDEX_URL

    def open_index(self, compatibility: Compatibility, roots: Sequence[Root]) -> Index:
        """The indexes, by the options of a command that may have none on indexes."""
        asked = getattr(self.arguments, "index_url", None) or os.environ.get("MINGLIBC_INDEX_URL")
        arguments = Namespace(**{**vars(self.arguments), "index_url": asked})
        store = Store(cache_folder(arguments))
        ahead = Speculation([compatibility], roots)
        return open_index(self.settings, arguments, store, ahead, place=self.place, fallback=self.fallback)

    def wheelhouse(self) -> Wheelhouse:
        """The files of these indexes."""
        return Wheelhouse(
            cache_folder(self.arguments),
            offline=self.arguments.offline,
            credentials=self.told,
            on_warning=lambda message: talk(self.arguments, f"warning: {message}"),
        )


def home_of(lock: Lock) -> str:
    """The index that a lock was made from, for whoever has no other word."""
    return next((str(package.index) for package in lock.pylock.packages if package.index), DEFAULT_INDEX_URL)


class Job(NamedTuple):
    """What is to be built: the folder of its source, its name in messages, and what to do where that fails."""

    folder: str
    what: str
    hint: str
    kind: Kind = "wheel"


def build(job: Job, interpreter: Interpreter, supply: Supply, scratch: str) -> str:
    """The path of the wheel that the job's own backend makes, below *scratch*; raises MinglibcError."""
    room = _Room(job, interpreter, supply, scratch)
    builder = Builder(job.folder, interpreter.executable, what=job.what, hint=job.hint)
    first = builder.requires
    builder = Builder(job.folder, room.furnish(first), what=job.what, hint=job.hint)
    more = builder.requires_for(job.kind)
    if more:
        builder = Builder(job.folder, room.furnish([*first, *more]), what=job.what, hint=job.hint)
    return builder.build(job.kind, os.path.join(scratch, "made"))


class _Room:
    """Fresh environments for one job."""

    def __init__(self, job: Job, interpreter: Interpreter, supply: Supply, scratch: str) -> None:
        self._job = job
        self._interpreter = interpreter
        self._supply = supply
        self._scratch = scratch
        self._count = 0

    def furnish(self, requires: Sequence[str]) -> str:
        """The interpreter of a fresh environment that holds *requires*; raises MinglibcError."""
        try:
            roots = tuple(Root(parse(text), _ASKER) for text in requires)
        except InvalidRequirement as error:
            raise SettingsError(
                f"{_ASKER} of {self._job.what} requires something that is no requirement: {error}"
            ) from error
        self._count += 1
        prefix = os.path.join(self._scratch, f"room{self._count}")
        environment = Environment(environments.create(prefix, self._interpreter.executable))
        files = self._files(roots)
        with self._supply.wheelhouse() as house:
            paths = house.fetch(files)
            with environment.change() as change:
                change.prepare([Prepared(paths[f.filename], f.filename, ":".join(f.digest)) for f in files], [])
                change.apply([], [])
        return os.path.join(prefix, "bin", "python")

    def _files(self, roots: tuple[Root, ...]) -> list[LockedFile]:
        listed = ", ".join(root.requirement.text for root in roots) or "nothing else"
        talk(self._supply.arguments, f"building {self._job.what} with {listed}", level=1)
        if not roots:
            return []
        compatibility = _compatibility(self._interpreter.machine, self._supply.settings, self._job.hint)
        index = self._supply.open_index(compatibility, roots)
        try:
            return _locked_files(resolve(roots, compatibility, index), index)
        except Unresolvable as failure:
            error = explain(failure, lambda cap: False)  # noqa: ARG005  the cap is this machine's own
            raise ResolutionError(
                f"the build backend of {self._job.what} can't be had: {error.message}", hint=self._job.hint
            ) from failure
        finally:
            index.close()


def _compatibility(machine: Machine, settings: Settings | None, hint: str) -> Compatibility:
    if machine.libc is None:
        raise EnvironmentProblem("this machine tells neither glibc nor musl", hint=hint)
    target = Target(machine.python, machine.architecture, machine.libc)
    # To build what builds has no end.
    return (
        compatibilities_of(settings._replace(allow_sdist=frozenset()), [target])[0]
        if settings
        else TargetCompatibility(target)
    )


def _locked_files(resolution: Resolution, index: Index) -> list[LockedFile]:
    return [file_of(wheel if wheel.hash else index.hashed(wheel)) for wheel in resolution.wheels.values()]
