"""A flat index on this machine: a folder of wheels and source distributions, or an HTML page of links to them."""

import os
import posixpath
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from minglibc.config.files import open_regular
from minglibc.errors import SettingsError
from minglibc.model.artifacts import Artifact, FileSource, Sdist, Wheel, leaves_folder
from minglibc.model.file_urls import file_url, path_of, quote_path
from minglibc.model.project_page import NamedFile, ProjectPage, project_of, reduce_files

AnyFile = TypeVar("AnyFile", bound=Artifact)


class _File(msgspec.Struct, gc=False):
    """A file of the folder in the form of PEP 691; its hash and its metadata are read when they are needed."""

    filename: str
    url: str


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
        self._url = self._base = url
        self._root = root
        self._files: Mapping[str, Sequence[NamedFile]] | None = None

    def project(self, name: str) -> ProjectPage | None:
        """The page of a project; None where the index has none of its files. Raises SettingsError where there is no index."""
        if self._files is None:
            self._files = self._read()
        page = reduce_files(name, self._files.get(name, ()), base_url=self._base, make=partial(LocalPage, self._root))
        return page if len(page.versions) else None

    def _read(self) -> Mapping[str, Sequence[NamedFile]]:
        path = path_of(self._url)
        try:
            if os.path.isdir(path):
                self._base = f"{self._url}/"
                files: dict[str, list[NamedFile]] = {}
                for name in sorted(os.listdir(path)):
                    files.setdefault(project_of(name), []).append(_File(name, quote_path(name)))
                return files
            with open(path, "rb", opener=open_regular) as stream:
                content = stream.read()
        except OSError as error:
            raise SettingsError(
                f"can't read the index {path}: {error.strerror}", hint="create it, or fix the url of its table"
            ) from error
        from minglibc.index.html_page import read_flat_page  # noqa: PLC0415  a folder needs no parser
        from minglibc.index.response import Response  # noqa: PLC0415  as above

        page = read_flat_page(Response(self._url, 200, {"content-type": "text/html"}, content))
        self._base = page.base_url
        return page.files
