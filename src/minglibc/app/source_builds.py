"""Wheels built from source distributions and local projects: cached, and checked against the cap before they are used."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Self

from minglibc.app.build_environment import ONE_AT_A_TIME, BuildContext, BuildTask, build_metadata, build_wheel
from minglibc.app.build_interpreters import BuildInterpreters
from minglibc.app.build_logs import new_log
from minglibc.app.built_sources import (
    Incompatibility,
    IncompatibleBuild,
    LocalProject,
    Release,
    alternative,
    incompatibility,
    not_built,
    skipped,
)
from minglibc.app.capped_builds import CappedBuilds, describe
from minglibc.app.wheels_of_lock import wheels_of_lock
from minglibc.build.backend import BuildError, BuildKind
from minglibc.build.estimated_metadata import estimate
from minglibc.build.isolation import isolate
from minglibc.build.running import are_killed
from minglibc.build.sdist import open_sdist
from minglibc.build.source_tree import folder_digest
from minglibc.build.verified_wheel import Unverified
from minglibc.cache.built_wheels import Built, BuiltWheels, builder_name
from minglibc.cache.wheels import LockedFile, file_of
from minglibc.config.settings import TOOLCHAINS
from minglibc.errors import EnvironmentProblem, LockError, ResolutionError
from minglibc.index.client import Index
from minglibc.index.remote_metadata import read_wheel
from minglibc.install.interpreter import Interpreter
from minglibc.model import versions
from minglibc.model.artifacts import Sdist
from minglibc.model.compatibility import Reason, Rejection
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata, parse_metadata, parse_pkg_info
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.index.downloads import Wheelhouse


class UnusableBuild(ValueError):
    """The metadata of a source distribution are unknown, because its build, or that of another release, is incompatible."""


class SourceBuilder:
    """Builds each source once per interpreter and caches the wheel; with *builds* false, only uses cached wheels.

    *locked* returns the wheels that the project already has, by the hash of their source.
    """

    def __init__(
        self,
        context: BuildContext,
        targets: Sequence[Target],
        *,
        builds: bool = True,
        locked: Callable[[], Mapping[str, Sequence[Built]]] = dict,
    ) -> None:
        self._context = context
        self._targets = targets
        self._builds = builds
        self._cache = BuiltWheels(context.common.cache_folder)
        self._stack = ExitStack()
        self._wheelhouse: Wheelhouse | None = None
        self._scratch = ""
        self._known: dict[str, list[Built]] = {}
        # By source and builder, so that no failed build is tried again.
        self._failed: dict[tuple[str, str], BuildError | IncompatibleBuild] = {}
        self._running: list[str] = []
        # Builds in several threads must not start several progress displays.
        self._reporting = threading.Lock()
        self._locked = locked
        self.before_metadata: Callable[[], None] = lambda: None
        """Called once, before the first build that tells what a release requires."""
        # By name: the release whose build was incompatible when its metadata was needed, and the problem.
        self._rejected: dict[str, tuple[Release, str]] = {}
        self._capped = _capped_builds(context, targets) if builds else None
        self._interpreters = BuildInterpreters(crosses=self._capped is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def metadata(self, release: Release) -> CoreMetadata:
        """The metadata of *release*: from PKG-INFO where they are static (PEP 643), else from a build; raises DynamicMetadata."""
        built = self._cached(release)
        if not built:
            with open_sdist(self._path(release.file), release.file.filename) as source:
                static = parse_pkg_info(source.pkg_info())
            if static is not None:
                return static
            if not self._builds:
                raise DynamicMetadata(f"the requirements of {release.file.filename} are unknown until it is built")
            before, self.before_metadata = self.before_metadata, lambda: None
            before()
            built = self._cached(release) or [self._built_for_metadata(release)]
        return _metadata(built[0])

    def probable_metadata(self, release: Release) -> tuple[CoreMetadata, bool]:
        """The metadata of *release* as far as they are known without a build, and whether they are complete."""
        built = self._cached(release)
        if built:
            return _metadata(built[0]), True
        with open_sdist(self._path(release.file), release.file.filename) as source:
            static = parse_pkg_info(source.pkg_info())
            return (estimate(source, release.name, release.version), False) if static is None else (static, True)

    def project_metadata(self, name: str, folder: str) -> CoreMetadata:
        """The metadata of the project *name* in *folder*, which its backend writes; raises MinglibcError.

        They are cached until a file that they probably depend on changes.
        """
        project = LocalProject(name, folder)
        target = self._targets[0]
        interpreter = self._interpreters.candidates(target)[0]
        builder = self._builder(interpreter, target)
        digest = folder_digest(folder)
        text = "" if self._builds and self._context.common.refresh else self._cache.metadata(digest, builder)
        if not text:
            if not self._builds:
                raise LockError(
                    f"the requirements of {project} are unknown until its metadata are built",
                    hint="run `minglibc lock`",
                )
            text = self._build_metadata(project, interpreter, builder)
            self._cache.keep_metadata(digest, builder, text)
        try:
            metadata = parse_metadata(text)
        except ValueError as error:
            raise BuildError(f"the metadata of {project} are invalid: {error}", hint="fix the project") from error
        if normalize_name(metadata.name) != name:
            raise BuildError(f"the metadata of {project} are those of {metadata.name}", hint="fix the project")
        return metadata

    def _build_metadata(self, project: LocalProject, interpreter: Interpreter, builder: str) -> str:
        python = interpreter.machine.python
        self._context.reporter.info(f"Building the metadata of {project.name} with CPython {python}")
        scratch = tempfile.mkdtemp(dir=self._scratch_folder())
        log = new_log(self._context.common.cache_folder, f"{project.name}-metadata", builder)
        isolation = isolate(scratch, {}, log) if self._capped is not None else None
        task = BuildTask(project.folder, str(project), alternative(project), log=log)
        with self._reported(project.name):
            return build_metadata(task, interpreter, self._context, scratch, isolation)

    def _built_for_metadata(self, release: Release) -> Built:
        """A wheel of *release*; raises UnusableBuild for it and other releases of the project if it is incompatible."""
        if release.name not in self._rejected:
            *preferred, (last_target, last) = self._pythons_for(release)
            try:
                for target, interpreter in preferred:
                    # The build requirements may have no release for it.
                    with suppress(ResolutionError, EnvironmentProblem):
                        return self._build(release, interpreter, target)
                return self._build(release, last, last_target)
            except IncompatibleBuild as error:
                self._rejected[release.name] = release, error.reason.text
                self._context.reporter.warn(skipped(release.file.filename, error.target, error.reason, release.name))
        rejected, problem = self._rejected[release.name]
        raise UnusableBuild(f"it {problem}" if release == rejected else not_built(rejected.version))

    def _pythons_for(self, release: Release) -> list[tuple[Target, Interpreter]]:
        """The interpreters of this machine for the targets that *release* supports, or the one that runs minglibc."""
        targets = [
            target
            for target in self._targets
            if not release.requires_python or versions.contains(release.requires_python, target.python.full)
        ] or self._targets
        matching = [(target, self._interpreters.matching(target)) for target in targets]
        available = [(target, interpreter) for target, interpreter in matching if interpreter is not None]
        return available or [(targets[0], self._interpreters.candidates(targets[0])[-1])]

    def build_release(self, release: Release, target: Target, interpreter: Interpreter | None = None) -> Built:
        """A wheel of *release* that *target* can use, built by *interpreter* or one on PATH.

        Raises IncompatibleBuild and MinglibcError.
        """
        compatible = [built for built in self._cached(release) if not incompatibility(built, release.name, target)]
        if compatible:
            return compatible[0]
        if not self._builds:
            raise IncompatibleBuild(release, target, Incompatibility("has not been built on this machine"))
        return self._build_with_any(
            release, target, interpreter, lambda candidate: self._build(release, candidate, target)
        )

    def build_project(self, project: LocalProject, target: Target, interpreter: Interpreter | None = None) -> Built:
        """A wheel of the folder in its current state, built on each call; raises IncompatibleBuild and MinglibcError."""
        return self._build_with_any(
            project, target, interpreter, lambda candidate: self._build_folder(project, candidate, target)
        )

    def _build_with_any(
        self,
        source: Release | LocalProject,
        target: Target,
        interpreter: Interpreter | None,
        build_with: Callable[[Interpreter], Built],
    ) -> Built:
        *preferred, last = self._interpreters.candidates(target, interpreter)
        built = None
        for candidate in preferred:
            # The backend may not support the target's Python, while a pure wheel it builds elsewhere does.
            with suppress(ResolutionError, EnvironmentProblem):
                built = build_with(candidate)
                break
        built = built or build_with(last)
        if reason := incompatibility(built, source.name, target):
            raise IncompatibleBuild(source, target, reason)
        return built

    def cached_rejection(self, release: Release, target: Target) -> Rejection | None:
        """Why *target* can use none of the cached builds of *release*; None where it can, or where there are none."""
        reasons = [incompatibility(built, release.name, target) for built in self._cached(release)]
        rejections = [reason.rejection for reason in reasons if reason is not None]
        if not reasons and (failure := self._cache.failure(release.digest)):
            return Rejection(Reason.UNUSABLE, f"a build was tried: it {failure}")
        return rejections[0] if rejections and len(rejections) == len(reasons) else None

    def has_cached(self, release: Release, target: Target) -> bool:
        """Whether there is a cached build of *release* that *target* can use."""
        return any(not incompatibility(built, release.name, target) for built in self._cached(release))

    def _cached(self, release: Release) -> list[Built]:
        if release.digest not in self._known:
            capped = self._capped
            # The wheels that the lock has come first. What the machine's own compiler has built is not reproducible.
            locked = [
                built
                for built in self._locked().get(release.digest, ())
                if capped is None or capped.is_capped(built.builder)
            ]
            cached = [
                built
                for built in self._cache.of(release.digest)
                if capped is None or built.builder.endswith(capped.suffix)
            ]
            self._known[release.digest] = [*locked, *cached]
        return self._known[release.digest]

    def _build(self, release: Release, interpreter: Interpreter, target: Target) -> Built:
        known = self._known.setdefault(release.digest, [])
        builder = self._builder(interpreter, target)
        if earlier := [built for built in known if built.builder == builder]:
            return earlier[0]
        if failure := self._failed.get((release.digest, builder)):
            raise failure
        python = interpreter.machine.python
        self._context.reporter.info(f"Building {release} from {release.file.filename} with CPython {python}")
        scratch = tempfile.mkdtemp(dir=self._scratch_folder())
        with open_sdist(self._path(release.file), release.file.filename) as source:
            folder = source.unpack(os.path.join(scratch, "source"))
        task = BuildTask(folder, str(release), alternative(release), name=release.name, version=release.version)
        try:
            path = self._run(task, release, interpreter, target, scratch)
        except (BuildError, IncompatibleBuild) as error:
            if are_killed():
                raise
            text = error.reason.text if isinstance(error, IncompatibleBuild) else _in_short(error)
            self._cache.record_failure(release.digest, builder, text)
            failure = error
            if isinstance(error, BuildError) and self._is_optional(release.name):
                failure = IncompatibleBuild(release, target, Incompatibility(text, is_general=True))
            self._failed[release.digest, builder] = failure
            if failure is error:
                raise
            raise failure from error
        built = self._cache.keep(release.digest, builder, path)
        if not built.path.startswith(scratch):
            shutil.rmtree(scratch, ignore_errors=True)
        known.append(built)
        return built

    def _is_optional(self, name: str) -> bool:
        """Whether an older release of the project *name* is used if a build fails."""
        settings = self._context.settings
        return settings is not None and name in settings.build_newer

    def _builder(self, interpreter: Interpreter, target: Target) -> str:
        if self._capped is None:
            return builder_name(interpreter.machine)
        return self._capped.builder(self._capped.target_for(target, interpreter))

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        """Report that *name* is built during the context."""
        self._report(self._running.append, name)
        try:
            yield
        finally:
            self._report(self._running.remove, name)

    def _report(self, change: Callable[[str], None], name: str) -> None:
        with self._reporting:
            change(name)
            self._context.reporter.building(tuple(self._running))

    def _run(
        self,
        task: BuildTask,
        source: Release | LocalProject,
        interpreter: Interpreter,
        target: Target,
        scratch: str,
    ) -> str:
        """The path of the wheel that *interpreter* builds; with a toolchain for the cap, it is checked against it."""
        if self._capped is None or task.kind == "editable":
            log = new_log(self._context.common.cache_folder, task.label, builder_name(interpreter.machine))
            with self._reported(source.name):
                return build_wheel(task._replace(log=log), interpreter, self._context, scratch)
        try:
            with self._reported(source.name):
                return self._capped.build(task, interpreter, self._capped.target_for(target, interpreter), scratch)
        except Unverified as error:
            # Builds with other compilers have the same libraries.
            needs = max((finding.lowest_cap for finding in error.findings if finding.lowest_cap), default=None)
            cap = needs if target.cap.libc == "glibc" and all(f.lowest_cap for f in error.findings) else None
            reason = Incompatibility(describe(error.findings), cap, is_general=True)
            raise IncompatibleBuild(source, target, reason) from error

    def _build_folder(self, project: LocalProject, interpreter: Interpreter, target: Target) -> Built:
        kind: BuildKind = "editable" if project.editable else "wheel"
        task = BuildTask(project.folder, str(project), alternative(project), kind, project.name)
        path = self._run(task, project, interpreter, target, tempfile.mkdtemp(dir=self._scratch_folder()))
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Built(path, os.path.basename(path), sha256, self._builder(interpreter, target))

    def _path(self, file: LockedFile) -> str:
        with ONE_AT_A_TIME:
            if self._wheelhouse is None:
                self._wheelhouse = self._stack.enter_context(self._context.open_wheelhouse())
            return self._wheelhouse.fetch([file])[file.filename]

    def _scratch_folder(self) -> str:
        with ONE_AT_A_TIME:
            if not self._scratch:
                self._scratch = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="minglibc-build-"))
            return self._scratch


def _capped_builds(context: BuildContext, targets: Sequence[Target]) -> "CappedBuilds | None":
    """The builds for the cap, where the settings select a toolchain for it."""
    if context.settings is None or context.settings.toolchain == TOOLCHAINS[0]:
        return None
    return CappedBuilds(context, targets)


def _in_short(error: BuildError) -> str:
    """The failure of a build in words that follow "it", with the cause where it is known."""
    cause = error.hint if " is missing" in error.hint or " not " in error.hint else error.message.partition("\n")[0]
    return f"could not be built ({cause.rstrip(':')})"


def _metadata(built: Built) -> CoreMetadata:
    with open(built.path, "rb") as file:
        return parse_metadata(read_wheel(file.read()).decode(errors="replace"))


def release_of(sdist: Sdist, index: Index) -> Release:
    """The release of a source distribution, which is downloaded for its hash where its page gives none."""
    return Release(
        sdist.name, sdist.version, file_of(sdist if sdist.hash else index.hashed(sdist)), sdist.requires_python
    )


def builder_for(
    index: Index,
    targets: Sequence[Target],
    context: BuildContext,
    *,
    builds: bool,
    lock: str,
    on_metadata: Callable[[Sdist, CoreMetadata], None] = lambda sdist, metadata: None,  # noqa: ARG005
) -> SourceBuilder:
    """The builder for a project whose lock has the path *lock*; *index* takes the metadata of sources from it.

    *on_metadata* is called with them first, and can raise an error that ends the resolution.
    """
    ordered = sorted(targets, key=lambda target: target.python)
    builder = SourceBuilder(context, ordered, builds=builds, locked=cache(lambda: wheels_of_lock(lock, context.folder)))

    def metadata_of(sdist: Sdist) -> CoreMetadata:
        metadata = builder.metadata(release_of(sdist, index))
        on_metadata(sdist, metadata)
        return metadata

    index.open_sdist = metadata_of
    return builder
