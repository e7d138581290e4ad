"""Wheels and source distributions on this machine, read for a lock."""

import hashlib
import os
from io import BufferedReader
from typing import TypeVar

from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.index.remote_metadata import read_open
from minglibc.model.artifacts import Artifact, Sdist, Wheel
from minglibc.model.core_metadata import CoreMetadata, DynamicMetadata, parse_metadata
from minglibc.model.file_urls import file_url, path_of

AnyFile = TypeVar("AnyFile", bound=Artifact)


def read(wheel: Wheel) -> tuple[Wheel, CoreMetadata]:
    """*wheel*, whose URL is a file's, with the hash and the size of its bytes, and its metadata; raises WheelError."""
    try:
        content = metadata(wheel)
    except ValueError as error:
        raise WheelError(f"{path_of(wheel.url)} is unusable: {error}") from error
    return hashed(wheel), content


def metadata(wheel: Artifact) -> CoreMetadata:
    """The metadata of *wheel*, whose URL is a file's; raises WheelError where it can't be read, ValueError where it is none.

    Those of a source distribution are only known to its builder: DynamicMetadata.
    """
    if isinstance(wheel, Sdist):
        raise DynamicMetadata(f"the metadata of {wheel.filename} is not read here")
    with _opened(wheel) as file:
        return parse_metadata(read_open(file).decode(errors="replace"))


def hashed(wheel: AnyFile) -> AnyFile:
    """*wheel*, whose URL is a file's, with the hash and the size of its bytes; raises WheelError where it has another than expected."""
    algorithm = wheel.hash.partition(":")[0] or "sha256"
    with _opened(wheel) as file:
        digest = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
        size = file.tell()
    if wheel.hash and wheel.hash.lower() != digest:
        raise WheelError(f"{path_of(wheel.url)} is not the expected file: its hash is {digest}")
    return wheel._replace(hash=digest, size=size)


def _opened(wheel: Artifact) -> BufferedReader:
    path = path_of(wheel.url)
    try:
        return open(path, "rb", opener=open_regular)
    except OSError as error:
        raise WheelError(
            f"can't read {path}: {error.strerror}", hint="build the wheel first, or fix its path"
        ) from error


def url_of(url: str | None, path: str | None, folder: str) -> str:
    """The URL of a locked wheel, whose *path* is relative to the lock's *folder*."""
    return url or file_url(os.path.join(os.path.abspath(folder), path or ""))
