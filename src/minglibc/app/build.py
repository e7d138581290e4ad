"""The use case of `build`: wheels of packages for all targets, built from their source distributions."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from minglibc.app.lock_request import project_request
from minglibc.app.locked_builds import built_wheels_folder, write_wheels
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import SILENT, Reporter
from minglibc.app.session import Session, open_session
from minglibc.app.source_builds import Release, SourceBuilder, release_of
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


class BuildOptions(NamedTuple):
    """What to build; without *requirements* it is all that the lock has from source."""

    common: CommonOptions = CommonOptions()
    requirements: Sequence[str] = ()
    """Names of packages, or requirements such as ``lz4==4.4.4``."""
    output: str | None = None
    """The folder for the wheels; by default the one that ``built-wheels`` names."""
    overrides: Overrides = Overrides()


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
        outcomes, wheels = [], {}
        with nullcontext(session.builder) if session.builder is not None else session.open_builder() as builder:
            for requirement in requirements:
                for target in session.settings.targets:
                    outcome, built = _build(session, builder, requirement, target, lock)
                    if built is not None:
                        wheels[built.filename] = built
                        outcome = outcome._replace(wheel=os.path.join(folder, built.filename))
                    outcomes.append(outcome)
            write_wheels(wheels, folder)
    return outcomes


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


def _build(
    session: Session, builder: SourceBuilder, requirement: Requirement, target: Target, lock: Lock | None
) -> tuple[BuildOutcome, Built | None]:
    started = time.monotonic()
    release: Release | None = None
    try:
        release = _release(session, requirement, target, lock.versions(target) if lock is not None else {})
        built = builder.build_release(release, target)
    except MinglibcError as error:
        return BuildOutcome(str(release or requirement), target, error=error), None
    return BuildOutcome(str(release), target, seconds=time.monotonic() - started), built


def _release(session: Session, requirement: Requirement, target: Target, locked: Mapping[str, str]) -> Release:
    """The release that the lock has, or without one the newest that *target* can use; raises ResolutionError."""
    page = session.wheel_index.project(requirement.name)
    specifier = requirement.specifier
    if not specifier and requirement.name in locked:
        specifier = f"=={locked[requirement.name]}"
    for sdist in _newest_first(page):
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
