"""Pages and files as a static tree, for a web server without Python or a network without the indexes."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

from minglibc.config import atomic_file
from minglibc.errors import MinglibcError, ProjectNotFound
from minglibc.model import versions
from minglibc.serve.files import Files
from minglibc.serve.page import PassedFile
from minglibc.serve.pages import Pages
from minglibc.serve.rendering import JSON, OLD_HTML, render_names, render_page
from minglibc.serve.routes import METADATA, Route, Selection, path_of

_PARALLEL = 8
_FORMATS = {"index.html": OLD_HTML, "index.json": JSON}


class Exported(NamedTuple):
    """How much was written."""

    projects: int
    files: int


class Export:
    """Writes the pages of projects below *folder*, and the files that they list there if the pages name them."""

    def __init__(self, pages: Pages, files: Files, selection: Selection, folder: str) -> None:
        self._pages = pages
        self._files = files
        self._selection = selection
        self._folder = os.path.join(folder, path_of(selection))
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def write(self, projects: Mapping[str, Collection[versions.Key] | None]) -> Exported:
        """Write *projects*, of which only the given versions if there are any; raises the first error."""
        try:
            counts = await asyncio.gather(*(self._project(name, only) for name, only in projects.items()))
            for filename, media_type in _FORMATS.items():
                self._replace(("simple", filename), render_names(sorted(projects), media_type).plain.content)
        finally:
            self._files.close()
            self._pages.close()
        return Exported(len(projects), sum(counts))

    async def _project(self, name: str, only: Collection[versions.Key] | None) -> int:
        async with self._slots:
            snapshot = await self._pages.snapshot(name)
        if snapshot is None:
            raise ProjectNotFound(f"{name} is on none of the upstream indexes")
        page = await asyncio.to_thread(self._pages.filtered, snapshot, name, self._selection, only)
        if not page.files:
            what = "these versions" if only else "this cap"
            raise MinglibcError(f"{name} has no files for {what}", hint="--allow sdist adds source distributions")
        own = [file for file in page.files if file.url.startswith("../")]
        count = sum(await asyncio.gather(*(self._file(name, file) for file in own)))
        # The page comes last: what it lists is there.
        for filename, media_type in _FORMATS.items():
            self._replace(("simple", name, filename), render_page(page, media_type).plain.content)
        return count

    async def _file(self, name: str, file: PassedFile) -> int:
        """Write a file and its metadata; the number of files."""
        names = [file.filename, *([f"{file.filename}{METADATA}"] if file.metadata_hashes else [])]
        async with self._slots:
            for filename in names:
                path = await self._files.path(Route("files", self._selection, project=name, filename=filename))
                copy = os.path.join(self._folder, "files", name, filename)
                await asyncio.to_thread(_write, copy, partial(atomic_file.copy, path))
        return len(names)

    def _replace(self, parts: tuple[str, ...], content: bytes) -> None:
        path = os.path.join(self._folder, *parts)
        _write(path, lambda path: atomic_file.replace(path, content))


def _write(path: str, write: Callable[[str], None]) -> None:
    """Call *write* with *path*, in whose place the old file stays if it raises MinglibcError."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path)
    except OSError as error:
        raise MinglibcError(f"can't write {path}: {error.strerror}") from error
