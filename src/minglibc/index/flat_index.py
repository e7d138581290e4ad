"""A flat index on this machine: a folder of wheels and source distributions, or an HTML page of links to them."""

import os
import posixpath
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from minglibc.config.files import open_regular
from minglibc.errors import SettingsError
from minglibc.index.page_file import File
from minglibc.model.artifacts import Artifact, FileSource, Sdist, Wheel, leaves_folder
from minglibc.model.file_urls import file_url, path_of, quote_path
from minglibc.model.project_page import ProjectPage, project_of, reduce_files

AnyFile = TypeVar("AnyFile", bound=Artifact)


class LocalPage(ProjectPage):
    """A project's files on this machine; those outside *root* cannot be locked."""

    __slots__ = ("_root",)

    def __init__(self, root: str, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._root = root

    def wheel(self, index: int, place: int) -> Wheel:
        """One of the Linux wheels of a version, as a local wheel if it is below *root*."""
        return self._local(super().wheel(index, place))

    def sdists(self, index: int) -> tuple[Sdist, ...]:
        """The source distributions of a version, as local ones if they are below *root*."""
        return tuple(map(self._local, super().sdists(index)))

    def _local(self, file: AnyFile) -> AnyFile:
        path = posixpath.normpath(path_of(file.url))
        root = f"{self._root.rstrip('/')}/"
        if not file.url.startswith("file:///") or not path.startswith(root):
            return file
        relative = path.removeprefix(root)
        if not relative.isprintable() or leaves_folder(relative):  # the lock could not be read
            return file
        return file._replace(url=file_url(path), source=FileSource.LOCAL_INDEX)


class LocalIndex:
    """The index at the ``file:`` URL *url*, read once; its wheels are below the folder *root*."""

    def __init__(self, url: str, root: str) -> None:
        self._url = url
        self.base_url = url
        """What the URLs of the files are relative to, once they were read."""
        self._root = root
        self._files: Mapping[str, Sequence[File]] | None = None

    def project(self, name: str) -> ProjectPage | None:
        """The page of a project; None where the index has none of its files. Raises SettingsError where there is no index."""
        files = self.files.get(name, ())
        page = reduce_files(name, files, base_url=self.base_url, make=partial(LocalPage, self._root))
        return page if len(page.versions) else None

    @property
    def files(self) -> Mapping[str, Sequence[File]]:
        """The files of each project; raises SettingsError where there is no index."""
        if self._files is None:
            self._files = self._read()
        return self._files

    def _read(self) -> Mapping[str, Sequence[File]]:
        path = path_of(self._url)
        try:
            if os.path.isdir(path):
                self.base_url = f"{self._url}/"
                files: dict[str, list[File]] = {}
                for name in sorted(os.listdir(path)):
                    files.setdefault(project_of(name), []).append(File(name, quote_path(name)))
                return files
            with open(path, "rb", opener=open_regular) as stream:
                content = stream.read()
        except OSError as error:
            raise SettingsError(
                f"can't read the index {path}: {error.strerror}", hint="create it, or change the path of the index"
            ) from error
        from minglibc.index.html_page import read_flat_page  # noqa: PLC0415  a folder needs no parser
        from minglibc.index.response import Response  # noqa: PLC0415  as above

        page = read_flat_page(Response(self._url, 200, {"content-type": "text/html"}, content))
        self.base_url = page.base_url
        return page.files
