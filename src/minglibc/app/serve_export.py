"""The use case of `serve --export`: pages within a cap, and their files, as a static tree."""

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from minglibc.app.serve import ServeOptions, find_indexes, make_parts, require_extra
from minglibc.app.serve_command import cap_of
from minglibc.config import files
from minglibc.config.problems import is_name
from minglibc.config.settings import Overrides
from minglibc.errors import LockError, SettingsError
from minglibc.model import versions
from minglibc.model.requirements import normalize_name
from minglibc.source_locks.model import SourceKind
from minglibc.source_locks.reader import read

if TYPE_CHECKING:
    from minglibc.serve.export import Exported


def export(
    options: ServeOptions, overrides: Overrides, folder: str, names: Sequence[str], source: str | None
) -> "Exported":
    """Write the pages of *names*, or of the releases in the lock *source*, to *folder*; files too with ``proxy_files``."""
    require_extra()
    from minglibc.serve.export import Export  # noqa: PLC0415  the libraries are optional dependencies
    from minglibc.serve.routes import Selection  # noqa: PLC0415  as above

    projects = _projects(names, source)
    selection = Selection(cap_of(options.common, overrides))
    parts = make_parts(options, find_indexes(options.common))

    async def write() -> "Exported":
        return await Export(parts.pages, parts.files, selection, folder).write(projects)

    return asyncio.run(write())


def _projects(names: Sequence[str], source: str | None) -> Mapping[str, Collection[versions.Key] | None]:
    """The keys of the versions of each project, None for all."""
    if invalid := [name for name in names if not is_name(name)]:
        raise SettingsError(f"{', '.join(map(repr, invalid))}: not the name of a project")
    projects: dict[str, set[versions.Key] | None] = {normalize_name(name): None for name in names}
    if source is not None:
        content = files.read_lock(source)
        if content is None:
            raise LockError(f"there is no {source}", hint="give the path of a lock of uv, Poetry, PDM, Pipenv or pip")
        for package in read(content, os.path.abspath(source)).packages:
            if package.kind is SourceKind.INDEX:
                listed = projects.setdefault(normalize_name(package.name), set())
                if listed is not None and versions.normalize(package.version) is not None:
                    listed.add(versions.key(package.version))
    if not projects:
        raise SettingsError("there is nothing to export", hint="name projects, or a lock with --from")
    return projects
