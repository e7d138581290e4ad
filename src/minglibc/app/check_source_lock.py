"""The use case of `check FILE`: the files that another tool's lock allows, and a target's cap does not."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from minglibc.app.check_caps import CheckOptions
from minglibc.app.lock_request import LockRequest
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from minglibc.app.source_lock import LoadedLock, load_source_lock
from minglibc.audit.binaries import Binaries
from minglibc.audit.rules import ABOVE_CAP, Binary, audit
from minglibc.cache.pages import Store
from minglibc.cache.wheels import file_of
from minglibc.config import files, inputs
from minglibc.config.lock_source import DEFAULT_POLICY, LockSource
from minglibc.errors import ProjectNotFound
from minglibc.index.downloads import Wheelhouse
from minglibc.model.artifacts import Wheel, tag_set
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.targets import Target
from minglibc.source_locks.model import SourceKind, SourcePackage

BY_TAG, BY_ELF = "tag", "ELF"
_MADE_HERE = "\n[tool.minglibc]\nlock-format = "
_ENDINGS = (".lock", ".txt", ".in")


class FileFinding(NamedTuple):
    """A file that an installer may choose from the lock, and that a target's cap does not allow."""

    name: str
    version: str
    filename: str
    """Empty if the package has no wheel for the target, so that each machine builds it."""
    needs: str
    targets: tuple[Target, ...]
    has_alternative: bool
    """Whether the lock also has a file of the release that the cap allows."""


class SourceCheck(NamedTuple):
    """What was checked, how, for which targets, and the findings."""

    path: str
    format: str
    method: str
    targets: tuple[Target, ...]
    files: int
    packages: int
    findings: list[FileFinding]
    unchecked: tuple[str, ...] = ()
    """The packages whose files are not known."""


def is_source_lock(path: str) -> bool:
    """Whether *path*, an argument of `check`, is a file that another tool may have locked."""
    if not os.path.isfile(path):
        return False
    return path.endswith(_ENDINGS) or (path.endswith(".toml") and "lock-version" in (files.read_lock(path) or ""))


def is_own_lock(path: str) -> bool:
    """Whether the file at *path* is a lock of minglibc."""
    return path.endswith(".toml") and _MADE_HERE in (files.read_lock(path) or "")


def check_source_lock(
    path: str, options: CheckOptions, reporter: Reporter = SILENT, *, verify: bool = False
) -> SourceCheck:
    """Check the files in the lock at *path*: by their tags, or with *verify* by their ELF files; raises MinglibcError."""
    folder, name = os.path.split(os.path.abspath(path))
    loaded = load_source_lock(name, folder, DEFAULT_POLICY)
    source = LockSource(source_lock=name).with_given(options.overrides.given)
    inputs.check_targets(source, loaded.pyproject)
    # The path of a lock that does not exist.
    request = LockRequest(os.path.join(folder, f".{name}"), source, "", options.overrides, loaded=loaded)
    needs_index = verify or not loaded.lock.names_files
    opened: AbstractContextManager[Session | None] = (
        open_session(request, options.common, reporter) if needs_index else nullcontext()
    )
    with opened as session:
        targets = session.settings.targets if session is not None else request.settings().targets
        return _Check(loaded, targets, session, options, reporter).run(verify=verify)


class _Check:
    def __init__(
        self,
        loaded: LoadedLock,
        targets: Sequence[Target],
        session: Session | None,
        options: CheckOptions,
        reporter: Reporter,
    ) -> None:
        self._loaded = loaded
        self._targets = tuple(targets)
        self._session = session
        self._options = options
        self._reporter = reporter
        self._unchecked: dict[str, None] = {}
        self._filenames: dict[SourcePackage, list[str]] = {}

    def run(self, *, verify: bool) -> SourceCheck:
        selected = {target: self._packages(target) for target in self._targets}
        binaries = self._binaries(selected) if verify else {}
        findings: dict[tuple[str, str, str, str, bool], list[Target]] = {}
        allowed: set[str] = set()
        for target, packages in selected.items():
            for package in packages:
                for filename, needs, has_alternative in self._of_package(package, target, binaries, allowed):
                    key = (package.name, package.version, filename, needs, has_alternative)
                    findings.setdefault(key, []).append(target)
        return SourceCheck(
            self._loaded.path,
            self._loaded.lock.format,
            BY_ELF if verify else BY_TAG,
            self._targets,
            len(allowed),
            len({package.name for packages in selected.values() for package in packages}),
            [FileFinding(*key[:4], tuple(targets), key[4]) for key, targets in sorted(findings.items())],
            tuple(self._unchecked),
        )

    def _packages(self, target: Target) -> list[SourcePackage]:
        packages = []
        for package in self._loaded.selected(target).values():
            if package.kind is SourceKind.INDEX and package.version:
                packages.append(package)
            else:
                self._unchecked[str(package)] = None
        return packages

    def _of_package(
        self, package: SourcePackage, target: Target, binaries: Mapping[str, Sequence[Binary]], allowed: set[str]
    ) -> Iterator[tuple[str, str, bool]]:
        """The file name and the need of each file beyond the cap, and whether the lock has another one within it."""
        within = TargetCompatibility(target)
        names = [name for name in self._wheel_names(package) if self._is_for(name, target)]
        allowed.update(names)
        needs = {name: self._need(name, within, target, binaries) for name in names}
        if not names and self._filenames[package]:
            yield "", "no wheel for this target: it is built from source", False
        has_alternative = not all(needs.values())
        for name in names:
            if needs[name]:
                yield name, needs[name], has_alternative

    def _is_for(self, filename: str, target: Target) -> bool:
        """Whether the Python and machine of *target* can have the wheel, with any version of the C library."""
        verdict = TargetCompatibility(target).check_tags(tag_set(filename))
        if not isinstance(verdict, Rejection):
            return True
        return verdict.needs is not None or verdict.reason is Reason.LINUX_TAG

    def _need(
        self, filename: str, within: TargetCompatibility, target: Target, binaries: Mapping[str, Sequence[Binary]]
    ) -> str:
        """What the wheel needs beyond the cap; empty if it needs nothing."""
        if filename in binaries:
            findings = audit(binaries[filename], [target.architecture], target.cap, libstdcxx=target.libstdcxx)
            above = [f for f in findings if f.kind in ABOVE_CAP]
            return f"{above[0].path} needs {above[0].version or above[0].library}" if above else ""
        verdict = within.check_tags(tag_set(filename))
        return str(verdict) if isinstance(verdict, Rejection) else ""

    def _wheel_names(self, package: SourcePackage) -> list[str]:
        """The names of the wheels that the lock allows; the index has them if the lock has only hashes."""
        names = self._filenames.get(package)
        if names is None:
            listed = [file.name for file in package.files if file.name]
            if not self._loaded.lock.names_files:
                listed = [wheel.filename for wheel in self._wheels(package)]
            names = self._filenames[package] = listed
            if not names:
                self._unchecked[str(package)] = None
        return [name for name in names if name.endswith(".whl")]

    def _wheels(self, package: SourcePackage) -> list[Wheel]:
        """The wheels of the index that the lock allows, by their hashes; all of the release if it has no hashes."""
        assert self._session is not None
        try:
            page = self._session.wheel_index.project(package.name)
        except ProjectNotFound:
            return []
        position = page.versions.index_of(package.version)
        if position is None:
            return []
        hashes = package.hashes
        return [wheel for wheel in page.wheels(position) if not hashes or wheel.hash in hashes]

    def _binaries(self, selected: Mapping[Target, Iterable[SourcePackage]]) -> Mapping[str, Sequence[Binary]]:
        """The binaries of the wheels; they are downloaded from the configured indexes, whatever URLs the lock has."""
        assert self._session is not None
        common = self._options.common
        wheels: dict[str, Wheel] = {}
        for target, packages in selected.items():
            for package in packages:
                names = {name for name in self._wheel_names(package) if self._is_for(name, target)}
                on_index = {wheel.filename: wheel for wheel in self._wheels(package) if wheel.hash}
                wheels |= {name: on_index[name] for name in names & on_index.keys()}
                if names - on_index.keys():
                    self._unchecked[str(package)] = None
        with Wheelhouse(
            common.cache_folder,
            offline=common.offline,
            credentials=self._session.wheel_index.credentials,
            on_progress=self._reporter.downloading,
            on_warning=self._reporter.warn,
        ) as house:
            read = Binaries(Store(common.cache_folder, on_trouble=self._reporter.warn))
            return read.of_files([file_of(wheel) for _, wheel in sorted(wheels.items())], house)
