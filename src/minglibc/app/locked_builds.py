"""Wheels that `lock` built, in a folder of the project: the lock names them by path and hash."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from minglibc.app.reporter import Reporter
from minglibc.app.session import Session
from minglibc.app.source_builds import SourceBuilder, release_of
from minglibc.build.grafted_libraries import grafted
from minglibc.cache.built_wheels import Built
from minglibc.config import atomic_file
from minglibc.config.lock_source import leads_out
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.lock.built_from import BuiltFrom
from minglibc.lock.document import Inputs
from minglibc.model.artifacts import FileSource, Sdist, Wheel
from minglibc.model.file_urls import file_url
from minglibc.resolve.resolution import Resolution


def lock_built_wheels(
    session: Session,
    builder: SourceBuilder,
    resolutions: Sequence[Resolution],
    reporter: Reporter,
    *,
    writes: bool,
) -> tuple[list[Resolution], Inputs]:
    """*resolutions* in which the wheel of each target replaces the source, and the inputs with the wheels' digests.

    The wheels are copied to the folder that the settings name, unless *writes* is false.
    """
    folder = built_wheels_folder(session.inputs.folder, session.settings.built_wheels)
    wheels: dict[str, Built] = {}
    sources: dict[str, BuiltFrom] = {}
    replaced = []
    for resolution in resolutions:
        files = dict(resolution.artifacts)
        for name, file in resolution.artifacts.items():
            if isinstance(file, Sdist) and not file.is_direct:
                release = release_of(file, session.wheel_index)
                built = builder.build_release(release, resolution.target)
                if built.filename not in wheels:
                    reporter.info(f"built from source: {name} {file.version} ({built.filename})")
                wheels[built.filename] = built
                sources[built.filename] = BuiltFrom(
                    built.filename, file.filename, release.digest, built.builder, tuple(grafted(built.path))
                )
                files[name] = _wheel(file, built, folder)
        replaced.append(resolution._replace(artifacts=files))
    if writes:
        write_wheels(wheels, folder)
    local = {os.path.join(session.settings.built_wheels, filename): built.sha256 for filename, built in wheels.items()}
    return replaced, session.inputs._replace(local={**session.inputs.local, **local}, built=sources)


def built_wheels_folder(project: str, path: str) -> str:
    """The folder *path* of *project*; raises SettingsError where a link leads out of the project."""
    if leads_out(path, project):
        raise SettingsError(
            f"tool.minglibc.built-wheels is {path}, which leads out of {project}", hint="name a folder of the project"
        )
    return os.path.join(project, path)


def write_wheels(wheels: Mapping[str, Built], folder: str) -> None:
    """Copy *wheels* to *folder* by their names, each completely or not at all; raises EnvironmentProblem."""
    try:
        for filename, built in wheels.items():
            content = Path(built.path).read_bytes()
            path = Path(folder, filename)
            if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.replace(str(path), content)
    except OSError as error:
        raise EnvironmentProblem(f"can't write built wheels to {folder}: {error.strerror}") from error


def _wheel(source: Sdist, built: Built, folder: str) -> Wheel:
    """The wheel that replaces *source*, at its path in *folder*."""
    return Wheel(
        source.name,
        source.version,
        built.filename,
        file_url(os.path.join(os.path.abspath(folder), built.filename)),
        f"sha256:{built.sha256}",
        size=os.path.getsize(built.path),
        requires_python=source.requires_python,
        source=FileSource.LOCAL_INDEX,
    )
