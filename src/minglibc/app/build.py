"""The use case of `build`: wheels of packages for all targets, built from their source distributions."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from minglibc.app.built_sources import Release
from minglibc.app.lock_request import project_request
from minglibc.app.locked_builds import built_wheels_folder, write_wheels
from minglibc.app.options import CommonOptions
from minglibc.app.parallel_builds import build_in_parallel, report_progress
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from minglibc.app.source_builds import SourceBuilder, release_of
from minglibc.cache.built_wheels import Built
from minglibc.config import files
from minglibc.config.settings import Overrides
from minglibc.errors import LockError, MinglibcError, ResolutionError, SettingsError
from minglibc.lock.reader import Lock, loads
from minglibc.model import versions
from minglibc.model.artifacts import Sdist
from minglibc.model.project_page import ProjectPage
from minglibc.model.requirements import InvalidRequirement, Requirement, parse
from minglibc.model.targets import Target
from minglibc.model.versions import is_prerelease


class BuildOptions(NamedTuple):
    """What to build; without *requirements* it is all that the lock has from source."""

    common: CommonOptions = CommonOptions()
    requirements: Sequence[str] = ()
    """Names of packages, or requirements such as ``lz4==4.4.4``."""
    output: str | None = None
    """The folder for the wheels; by default the one that ``built-wheels`` names."""
    overrides: Overrides = Overrides()
    jobs: int = 0
    """How many builds run at a time; 0 for the number of processors, which is also the most."""


class BuildOutcome(NamedTuple):
    """A package and a target with the wheel for it, or the error that prevented it."""

    release: str
    target: Target
    wheel: str = ""
    """The path of the wheel."""
    seconds: float = 0.0
    error: MinglibcError | None = None


def build_wheels(options: BuildOptions, reporter: Reporter = SILENT) -> list[BuildOutcome]:
    """Build the wheels that *options* describe; a failed one does not prevent the others. Raises MinglibcError."""
    request = project_request(options.common, options.overrides)
    text = files.read_lock(request.path)
    lock = loads(text, name=request.name) if text is not None else None
    with open_session(request, options.common, reporter, builds=True) as session:
        folder = _folder(options, session)
        requirements = [_parse(requirement) for requirement in options.requirements] or _from_source(session, lock)
        with nullcontext(session.builder) if session.builder is not None else session.open_builder() as builder:
            tasks = [
                _plan(session, requirement, target, lock)
                for requirement in requirements
                for target in session.settings.targets
            ]
            outcomes = _run(tasks, builder, options.jobs, reporter)
            wheels = {built.filename: built for _, built in outcomes if built is not None}
            write_wheels(wheels, folder)
    return [
        outcome if built is None else outcome._replace(wheel=os.path.join(folder, built.filename))
        for outcome, built in outcomes
    ]


class _Task(NamedTuple):
    """A release to build for a target, or the error that prevents it."""

    label: str
    target: Target
    release: Release | None
    error: MinglibcError | None = None


def _run(
    tasks: Sequence[_Task], builder: SourceBuilder, jobs: int, reporter: Reporter
) -> list[tuple[BuildOutcome, Built | None]]:
    """The outcomes of *tasks* in their order."""
    outcomes: dict[int, tuple[BuildOutcome, Built | None]] = {}

    def build(position: int) -> None:
        outcomes[position] = _build(builder, tasks[position])
        if len(tasks) > 1:
            outcome, _ = outcomes[position]
            report_progress(
                reporter, f"{len(outcomes)}/{len(tasks)}", outcome.release, outcome.target, failed=bool(outcome.error)
            )

    build_in_parallel([(task.label, task.target) for task in tasks], build, jobs)
    return [outcomes[position] for position in range(len(tasks))]


def _folder(options: BuildOptions, session: Session) -> str:
    if options.output:
        return os.path.abspath(options.output)
    if not session.settings.built_wheels:
        raise SettingsError(
            "there is no folder for built wheels", hint='give one with -o, or set built-wheels = "wheels"'
        )
    return built_wheels_folder(session.inputs.folder, session.settings.built_wheels)


def _parse(text: str) -> Requirement:
    try:
        requirement = parse(text)
    except InvalidRequirement as error:
        raise SettingsError(
            f"{text!r} is not a requirement: {error}", hint='write "NAME" or "NAME==VERSION"'
        ) from error
    if requirement.url:
        raise SettingsError(f"{text!r} has a URL", hint="`minglibc build` builds releases of the project's indexes")
    return requirement


def _from_source(session: Session, lock: Lock | None) -> list[Requirement]:
    """The packages of the lock that are built from source."""
    if lock is None:
        raise LockError("there is no pylock.toml", hint="run `minglibc lock`, or name the packages to build")
    names = {package.name for package in lock.pylock.packages}
    requirements = [Requirement(name) for name in sorted(names & session.settings.allow_sdist)]
    if not requirements:
        raise SettingsError("nothing in the lock is built from source", hint="name the packages to build")
    return requirements


def _plan(session: Session, requirement: Requirement, target: Target, lock: Lock | None) -> _Task:
    try:
        release = _release(session, requirement, target, lock.versions(target) if lock is not None else {})
    except MinglibcError as error:
        return _Task(str(requirement), target, None, error)
    return _Task(str(release), target, release)


def _build(builder: SourceBuilder, task: _Task) -> tuple[BuildOutcome, Built | None]:
    started = time.monotonic()
    if task.release is None:
        return BuildOutcome(task.label, task.target, error=task.error), None
    try:
        built = builder.build_release(task.release, task.target)
    except MinglibcError as error:
        return BuildOutcome(task.label, task.target, seconds=time.monotonic() - started, error=error), None
    return BuildOutcome(task.label, task.target, seconds=time.monotonic() - started), built


def _release(session: Session, requirement: Requirement, target: Target, locked: Mapping[str, str]) -> Release:
    """The release that the lock has, or without one the newest that *target* can use; raises ResolutionError.

    Pre-releases and yanked releases come last.
    """
    page = session.wheel_index.project(requirement.name)
    specifier = requirement.specifier
    if not specifier and requirement.name in locked:
        specifier = f"=={locked[requirement.name]}"
    sdists = sorted(_newest_first(page), key=lambda sdist: sdist.yanked is not None or is_prerelease(sdist.version))
    for sdist in sdists:
        if (not specifier or versions.contains(specifier, sdist.version)) and (
            not sdist.requires_python or versions.contains(sdist.requires_python, target.python.full)
        ):
            return release_of(sdist, session.wheel_index)
    raise ResolutionError(
        f"no release of {requirement.name}{specifier} has a source distribution for {target}",
        hint="name another version",
    )


def _newest_first(page: ProjectPage) -> Iterator[Sdist]:
    for position in range(len(page.versions) - 1, -1, -1):
        yield from page.sdists(position)
