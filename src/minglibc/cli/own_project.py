"""The project itself in its environment: editable, made by its own build backend, which gets wheels from the project's index."""

import hashlib
import os
import tempfile
import tomllib
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minglibc.adapters import environment as environments
from minglibc.adapters.binaries import of_wheel
from minglibc.adapters.building import Builder, backend_of
from minglibc.adapters.environment import Distribution, Environment, Interpreter, Prepared
from minglibc.adapters.index import DEFAULT_INDEX_URL, Index
from minglibc.adapters.store import Store
from minglibc.adapters.wheelhouse import LockedFile, Wheelhouse, file_of
from minglibc.audit import audit
from minglibc.candidates import Root
from minglibc.cli.indexes import credentials, open_index
from minglibc.cli.locking import judges_of
from minglibc.cli.options import cache_folder, talk
from minglibc.cli.verifying import LIES
from minglibc.errors import EnvironmentProblem, ResolutionError, SettingsError, WheelError
from minglibc.explain import explain
from minglibc.requirements import InvalidRequirement, normalize_name, parse
from minglibc.resolver import Resolution, Unresolvable, resolve
from minglibc.settings import parse as parse_settings
from minglibc.speculation import Speculation
from minglibc.syncplan import Action, Step
from minglibc.targets import Target

if TYPE_CHECKING:
    from minglibc.cli.sync import Source

_ASKER = "[build-system]"


def due(source: "Source", present: Sequence[Distribution]) -> Step | None:
    """What is to happen to the project itself; None where it has no backend, stands already, or was installed by hand."""
    if source.pyproject is None or not source.lock.origin.is_project or backend_of(source.pyproject) is None:
        return None
    table = tomllib.loads(source.pyproject)["project"]
    name, version = normalize_name(str(table.get("name", ""))), str(table.get("version", "dynamic"))
    installed = [each for each in present if each.name == name]
    if not name or any(not each.digest or each.digest == _digest(source) for each in installed):
        return None
    if not installed:
        return Step(Action.INSTALL, name, (), version, "not installed")
    return Step(Action.REINSTALL, name, tuple(e.version for e in installed), version, "pyproject.toml has changed")


@contextmanager
def built(source: "Source", interpreter: Interpreter, target: Target, arguments: Namespace) -> Iterator[Prepared]:
    """The project's editable wheel as long as it is needed; raises MinglibcError."""
    backend = backend_of(source.pyproject or "")
    assert backend is not None
    with tempfile.TemporaryDirectory(prefix="minglibc-build-") as folder:
        room = _Room(source, interpreter, arguments, folder)
        builder = Builder(source.folder, backend, room.furnish(backend.requires))
        more = builder.editable_requires()
        if more:
            builder = Builder(source.folder, backend, room.furnish([*backend.requires, *more]))
        path = builder.editable(folder)
        filename = os.path.basename(path)
        _check(path, filename, target)
        yield Prepared(path, filename, _digest(source))


def _digest(source: "Source") -> str:
    """What a made distribution keeps in place of a wheel's digest: it stands as long as pyproject.toml and its place do."""
    facts = f"{source.folder}\n{source.pyproject}"
    return f"editable:{hashlib.sha256(facts.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _check(path: str, filename: str, target: Target) -> None:
    findings = audit(of_wheel(path, filename), [target.architecture], target.cap)
    for finding in findings:
        if finding.kind in LIES:
            raise WheelError(
                f"the project's own {finding.path} needs {finding.version or finding.library}, "
                f"the cap is glibc {target.cap}",
                hint="build it on a machine with that glibc, or leave it out by --no-install-project",
            )


class _Room:
    """The environment that a backend works in, for this machine, whatever the project's targets are."""

    def __init__(self, source: "Source", interpreter: Interpreter, arguments: Namespace, folder: str) -> None:
        self._interpreter = interpreter
        self._arguments = Namespace(**{**vars(arguments), "index_url": os.environ.get("MINGLIBC_INDEX_URL")})
        self._pyproject = source.pyproject
        self._place = source.folder
        self._lock = source.lock
        self._folder = folder
        self._settings = parse_settings(source.pyproject or "")
        locked = next((str(package.index) for package in source.lock.pylock.packages if package.index), "")
        self._fallback = locked or DEFAULT_INDEX_URL
        self._count = 0

    def furnish(self, requires: Sequence[str]) -> str:
        """The interpreter of a fresh environment that holds *requires*; raises MinglibcError."""
        try:
            roots = tuple(Root(parse(text), _ASKER) for text in requires)
        except InvalidRequirement as error:
            raise SettingsError(f"{_ASKER} requires something that is no requirement: {error}") from error
        self._count += 1
        prefix = os.path.join(self._folder, f"room{self._count}")
        environment = Environment(environments.create(prefix, self._interpreter.executable))
        files = self._files(roots)
        with Wheelhouse(
            cache_folder(self._arguments),
            offline=self._arguments.offline,
            credentials=credentials(self._pyproject, self._lock, self._arguments),
        ) as house:
            paths = house.fetch(files)
            with environment.change() as change:
                change.prepare([Prepared(paths[f.filename], f.filename, ":".join(f.digest)) for f in files], [])
                change.apply([], [])
        return os.path.join(prefix, "bin", "python")

    def _files(self, roots: tuple[Root, ...]) -> list[LockedFile]:
        machine = self._interpreter.machine
        if machine.glibc is None:
            raise EnvironmentProblem("this machine does not tell its glibc version", hint="use --no-install-project")
        judge = judges_of(self._settings, [Target(machine.python, machine.architecture, machine.glibc)])[0]
        store = Store(cache_folder(self._arguments))
        index = open_index(
            self._settings,
            self._arguments,
            store,
            Speculation([judge], roots),
            place=self._place,
            fallback=self._fallback,
        )
        talk(self._arguments, f"building the project with {', '.join(r.requirement.text for r in roots)}", level=1)
        try:
            return _locked_files(resolve(roots, judge, index), index)
        except Unresolvable as failure:
            error = explain(failure, lambda cap: False)  # noqa: ARG005  the cap is this machine's own glibc
            raise ResolutionError(
                f"the project's build backend can't be had: {error.message}",
                hint="mend [build-system], or leave the project out by --no-install-project",
            ) from failure
        finally:
            index.close()


def _locked_files(resolution: Resolution, index: Index) -> list[LockedFile]:
    return [file_of(wheel if wheel.hash else index.hashed(wheel)) for wheel in resolution.wheels.values()]
