"""The wheels in the folder of a project that its lock records as built, so that no machine builds them again."""

import os
from collections.abc import Mapping

from minglibc.cache.built_wheels import Built
from minglibc.config import files
from minglibc.errors import LockError
from minglibc.lock.built_from import built_from
from minglibc.lock.reader import loads
from minglibc.lock.source_files import digest


def wheels_of_lock(lock: str, folder: str) -> Mapping[str, list[Built]]:
    """The wheels of the lock with the path *lock* that are unchanged in *folder*, by the hash of their source."""
    try:
        text = files.read_lock(lock)
        packages = loads(text).pylock.packages if text is not None else []
    except LockError:
        # The command that reads the lock reports it.
        return {}
    wheels: dict[str, list[Built]] = {}
    for package in packages:
        sources = built_from(package)
        for wheel in package.wheels or ():
            source = sources.get(wheel.filename)
            if source is None or wheel.path is None:
                continue
            path = os.path.join(folder, wheel.path)
            sha256 = wheel.hashes.get("sha256")
            if sha256 and digest(path) == sha256:
                wheels.setdefault(source.hash, []).append(Built(path, wheel.filename, sha256, source.builder))
    return wheels
