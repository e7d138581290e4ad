"""Wheels that lie in the project's folder or elsewhere on this machine, read for a lock."""

import hashlib
import os
from urllib.parse import quote, unquote, urlsplit

from minglibc.adapters.wheel_metadata import read_wheel
from minglibc.errors import WheelError
from minglibc.wheels import CoreMetadata, DirectWheel, parse_metadata


def read(wheel: DirectWheel) -> tuple[DirectWheel, CoreMetadata]:
    """*wheel*, whose URL is a file's, with the hash and the size of its bytes, and its metadata; raises WheelError."""
    path = path_of(wheel.url)
    try:
        with open(path, "rb") as file:
            content = file.read()
        metadata = parse_metadata(read_wheel(content).decode(errors="replace"))
    except OSError as error:
        raise WheelError(
            f"can't read {path}: {error.strerror}", hint="build the wheel first, or mend its path"
        ) from error
    except ValueError as error:
        raise WheelError(f"{path} can't be used: {error}") from error
    algorithm, _, _ = wheel.hash.partition(":")
    digest = f"{algorithm or 'sha256'}:{hashlib.new(algorithm or 'sha256', content).hexdigest()}"
    if wheel.hash and wheel.hash != digest:
        raise WheelError(f"{path} is not the file that its requirement names: its hash is {digest}")
    return wheel._replace(hash=digest, size=len(content)), metadata


def path_of(url: str) -> str:
    """The path that a ``file:`` URL is about."""
    return unquote(urlsplit(url).path)


def url_of(url: str | None, path: str | None, folder: str) -> str:
    """The URL of a locked wheel, whose *path* counts from the lock's *folder*."""
    return url or f"file://{quote(os.path.join(os.path.abspath(folder), path or ''))}"
