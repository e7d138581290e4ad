"""Build environments: created for this machine's interpreter, with the backend's requirements from the project's indexes."""

import os
import threading
from collections.abc import Sequence
from typing import NamedTuple

from minglibc.app.indexes import open_index
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.resolver_inputs import compatibilities_of
from minglibc.build.backend import Backend, BuildError, BuildKind, build_hint
from minglibc.build.isolation import Isolation
from minglibc.cache.pages import Store
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.config.settings import Settings
from minglibc.errors import EnvironmentProblem, SettingsError, WheelError
from minglibc.index.client import Index
from minglibc.index.credentials import Credentials
from minglibc.index.downloads import Wheelhouse
from minglibc.install import interpreter as interpreters
from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from minglibc.install.layout import Layout
from minglibc.install.transaction import Prepared
from minglibc.install.wheel import CheckedWheel, check
from minglibc.lock.selection import Machine
from minglibc.model.compatibility import Compatibility, TargetCompatibility
from minglibc.model.requirements import InvalidRequirement, normalize_name, parse
from minglibc.model.targets import Target
from minglibc.model.urls import DEFAULT_INDEX_URL
from minglibc.model.versions import key
from minglibc.resolve.candidates import Root
from minglibc.resolve.explain import explain
from minglibc.resolve.prefetch import Speculation
from minglibc.resolve.resolution import Resolution, Unresolvable
from minglibc.resolve.resolver import resolve

_PARENT = "[build-system]"
# Each is resolved and installed; real backends have at most a few tens.
_MOST_REQUIREMENTS = 200
_LONGEST_REQUIREMENT = 2000
# That of any environment: what a wheel must not replace is the same in all of them.
_LAYOUT = Layout(
    "/prefix", "lib/python/site-packages", "lib/python/site-packages", "bin", "", "include", "/prefix/bin/python"
)
# Builds in several threads share indexes, downloads and the progress display; their processes run at the same time.
ONE_AT_A_TIME = threading.RLock()


class BuildContext(NamedTuple):
    """What a build needs from the command that runs it: indexes, credentials, the cache and a reporter."""

    common: CommonOptions
    folder: str
    """The lock's folder, which paths of local indexes are relative to."""
    credentials: Credentials
    settings: Settings | None = None
    index_url: str = DEFAULT_INDEX_URL
    """The index where neither the options nor the settings name one."""
    reporter: Reporter = SILENT

    def open_index(self, compatibility: Compatibility, roots: Sequence[Root]) -> Index:
        """The indexes that build requirements come from."""
        return open_index(
            self.settings,
            self.common,
            Store(self.common.cache_folder),
            lambda: Speculation([compatibility], roots),
            folder=self.folder,
            fallback=self.index_url,
        )

    def open_wheelhouse(self) -> Wheelhouse:
        """The downloads from these indexes."""
        return Wheelhouse(
            self.common.cache_folder,
            offline=self.common.offline,
            credentials=self.credentials,
            on_warning=self.reporter.warn,
        )


class BuildTask(NamedTuple):
    """What to build: the folder of its source, and its name in messages."""

    folder: str
    label: str
    alternative: str
    """What to do where the fault is in the package."""
    kind: BuildKind = "wheel"
    name: str = ""
    """The normalized name that the wheel must have; empty for any."""
    version: str = ""
    """The version that the wheel must have; empty for any."""
    log: str = ""
    """The file to which the output of the build is added; empty for none."""

    @property
    def hint(self) -> str:
        """The hint of errors without a known cause."""
        return build_hint(self.alternative)


def build_wheel(
    task: BuildTask, interpreter: Interpreter, context: BuildContext, scratch: str, isolation: Isolation | None = None
) -> str:
    """The path of the valid wheel that the task's own backend builds, below *scratch*; raises MinglibcError."""
    path = _backend(task, interpreter, context, scratch, isolation).build(task.kind, os.path.join(scratch, "made"))
    check_wheel(path, task)
    return path


def build_metadata(
    task: BuildTask, interpreter: Interpreter, context: BuildContext, scratch: str, isolation: Isolation | None = None
) -> str:
    """The METADATA that the task's own backend writes; raises MinglibcError."""
    return _backend(task, interpreter, context, scratch, isolation).metadata(os.path.join(scratch, "made"))


def _backend(
    task: BuildTask, interpreter: Interpreter, context: BuildContext, scratch: str, isolation: Isolation | None
) -> Backend:
    """The task's own backend in an environment with its requirements."""
    created = _BuildEnvironments(task, interpreter, context, scratch)

    def backend_with(python: str) -> Backend:
        return Backend(
            task.folder, python, label=task.label, alternative=task.alternative, log=task.log, isolation=isolation
        )

    backend = backend_with(interpreter.executable)
    static = backend.requires
    backend = backend_with(created.create(static))
    dynamic = backend.requires_for(task.kind)
    if dynamic:
        # A new environment: the requirements of the backend may conflict with installed packages.
        backend = backend_with(created.create([*static, *dynamic]))
    return backend


def check_wheel(path: str, task: BuildTask) -> None:
    """Raise BuildError where the wheel at *path* can't be installed, or is that of another project or release."""
    filename = os.path.basename(path)
    try:
        wheel = checked_wheel(path)
    except WheelError as error:
        problem = error.message.removeprefix(filename).lstrip(": ")
    else:
        if task.name not in {"", wheel.name}:
            problem = f"is named {wheel.name}"
        elif task.version and key(wheel.version) != key(task.version):
            problem = f"has version {wheel.version}"
        else:
            return
    raise BuildError(f"{filename}, built from {task.label}, {problem}", hint=task.hint)


def checked_wheel(path: str) -> CheckedWheel:
    """The wheel at *path*; raises WheelError where it can't be installed."""
    return check(path, os.path.basename(path), _LAYOUT)


class _BuildEnvironments:
    """Creates the environments of one task below *scratch*."""

    def __init__(self, task: BuildTask, interpreter: Interpreter, context: BuildContext, scratch: str) -> None:
        self._task = task
        self._interpreter = interpreter
        self._context = context
        self._scratch = scratch
        self._count = 0

    def create(self, requires: Sequence[str]) -> str:
        """The interpreter of a new environment with *requires* installed; raises MinglibcError."""
        if len(requires) > _MOST_REQUIREMENTS or max(map(len, requires), default=0) > _LONGEST_REQUIREMENT:
            raise SettingsError(
                f"{_PARENT} of {self._task.label} has more than {_MOST_REQUIREMENTS} requirements, "
                f"or one of more than {_LONGEST_REQUIREMENT:,} characters",
                hint=self._task.alternative,
            )
        try:
            roots = tuple(Root(parse(text), _PARENT) for text in requires)
        except InvalidRequirement as error:
            raise SettingsError(
                f"{_PARENT} of {self._task.label} has an invalid requirement: {error}", hint=self._task.alternative
            ) from error
        with ONE_AT_A_TIME:
            return self._create(roots)

    def _create(self, roots: tuple[Root, ...]) -> str:
        self._count += 1
        prefix = os.path.join(self._scratch, f"environment{self._count}")
        environment = Environment(interpreters.create(prefix, self._interpreter.executable))
        files = self._files(roots)
        with self._context.open_wheelhouse() as house:
            paths = house.fetch(files)
            with transaction.begin(environment) as change:
                prepared = [_prepared(file, paths[file.filename], house) for file in files]
                change.prepare(prepared, [], sharing={normalize_name(f.filename.partition("-")[0]) for f in files})
                change.apply([], [])
        return os.path.join(prefix, "bin", "python")

    def _files(self, roots: tuple[Root, ...]) -> list[LockedFile]:
        listed = ", ".join(root.requirement.text for root in roots) or "no requirements"
        self._context.reporter.info(f"Build environment for {self._task.label}: {listed}", level=1)
        if not roots:
            return []
        compatibility = _compatibility(self._interpreter.machine, self._context.settings, self._task.hint)
        index = self._context.open_index(compatibility, roots)
        try:
            return _locked_files(resolve(roots, compatibility, index), index)
        except Unresolvable as failure:
            error = explain(failure)
            raise type(error)(
                f"failed to install the build backend of {self._task.label}: {error.message}",
                hint=f"add an index with wheels of what [build-system] requires, or {self._task.alternative}",
            ) from failure
        finally:
            index.close()


def _prepared(file: LockedFile, path: str, house: Wheelhouse) -> Prepared:
    digest = ":".join(file.digest)
    return Prepared(path, file.filename, digest, content=digest, identity=house.identity(path))


def _compatibility(machine: Machine, settings: Settings | None, hint: str) -> Compatibility:
    if machine.libc is None:
        raise EnvironmentProblem("failed to detect the C library of this machine", hint=hint)
    target = Target(machine.python, machine.architecture, machine.libc)
    if settings is None:
        return TargetCompatibility(target)
    # Build requirements are never built from source, which could recurse without end.
    return compatibilities_of(settings._replace(allow_sdist=frozenset()), [target])[0]


def _locked_files(resolution: Resolution, index: Index) -> list[LockedFile]:
    return [file_of(wheel if wheel.hash else index.hashed(wheel)) for wheel in resolution.artifacts.values()]
