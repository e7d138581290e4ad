"""The system's package that has a library, and its other files: from dpkg or rpm, or guessed where neither knows the library."""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress

_SECONDS = 60
_DEBIAN_DEVELOPMENT = re.compile(r"[a-z0-9][a-z0-9.+-]*-dev\b")
# The name of a package in its requirements, such as krb5-devel(x86-64) >= 1.20.
_RPM_DEVELOPMENT = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9.+_-]*-devel)(?:\(|\s|$)")


def owner_of(path: str) -> str:
    """The package that has the file *path*; empty where none is known."""
    for owned in dict.fromkeys((path, path.removeprefix("/usr"), os.path.realpath(path))):
        if owner := _dpkg_owner(owned).partition(":")[0] or _rpm_owner(owned):
            return owner
    return ""


def files_beside(path: str) -> list[str]:
    """The files of the development package that has the library *path* (``libx.so``).

    Headers may include those of the development packages that theirs depends on.
    """
    for owned in (path, path.removeprefix("/usr")):
        if owner := _dpkg_owner(owned):
            depends = _output(["dpkg-query", "-W", "-f", "${Depends}", owner])
            names = [name for name in _DEBIAN_DEVELOPMENT.findall(depends) if not name.startswith("libc6")]
            return [file for name in [owner, *names] for file in _output(["dpkg", "-L", name]).splitlines()]
        if owner := _rpm_owner(owned):
            required = _RPM_DEVELOPMENT.findall(_output(["rpm", "-q", "--requires", owner]))
            names = [name for name in dict.fromkeys(required) if name != "glibc-devel"]
            return [file for name in [owner, *names] for file in _output(["rpm", "-ql", name]).splitlines()]
    return _guessed_files(path)


def _guessed_files(path: str) -> list[str]:
    """The headers and .pc files with the name of the library *path*, in the folders beside it."""
    folder, filename = os.path.split(path)
    name = filename.removeprefix("lib").partition(".so")[0]
    prefix = next((parent for parent in _parents(folder) if os.path.isdir(os.path.join(parent, "include"))), "")
    patterns = [
        os.path.join(glob.escape(folder), "pkgconfig", f"{start}{glob.escape(name)}*.pc") for start in ("", "lib")
    ]
    if prefix:
        for start in ("", "lib"):
            base = os.path.join(glob.escape(prefix), "include", f"{start}{glob.escape(name)}")
            patterns += [f"{base}*.h", f"{base}*/**"]
    return sorted(file for pattern in patterns for file in glob.glob(pattern, recursive=True) if os.path.isfile(file))


def _parents(folder: str) -> list[str]:
    parent = os.path.dirname(folder)
    return [parent, os.path.dirname(parent)]


def _dpkg_owner(path: str) -> str:
    owner = _output(["dpkg", "-S", path]).partition(": ")[0]
    # Several packages have only folders and diversions.
    return "" if "," in owner or owner.startswith("diversion ") else owner


def _rpm_owner(path: str) -> str:
    return _output(["rpm", "-qf", "--queryformat", "%{NAME}\n", path]).partition("\n")[0]


def _output(command: Sequence[str]) -> str:
    """What *command* prints; empty where it fails, or where the system does not have it."""
    if shutil.which(command[0]) is None:
        return ""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS)
        return done.stdout if done.returncode == 0 else ""
    return ""
