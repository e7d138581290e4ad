"""Container images as machines: what the files in an image say about the C library and the interpreters."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from minglibc.audit.elf import ElfFile
from minglibc.audit.folders import read_root
from minglibc.audit.image import unpacked
from minglibc.audit.libc_versions import glibc_of_root, musl_of_root
from minglibc.audit.rules import Binary
from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem, TargetError
from minglibc.fleet.machine import Machine
from minglibc.model.limits import MAX_LINKS
from minglibc.model.targets import Cap, PythonVersion

# In the order of PATH in images.
_FOLDERS = ("usr/local/bin", "usr/bin", "opt/python/bin", "bin")
_PYTHON = re.compile(r"python3\.([0-9]{1,2})(t?)")
_LIBSTDCXX = re.compile(r"libstdc\+\+\.so\.6\.0\.([0-9]{1,3})")
_RELEASE = re.compile(r"(?m)^(ID|VERSION_ID)=[\"']?([a-z0-9._-]{1,40})[\"']?$", re.ASCII)
_MAX_FILE = 64 << 20


def measure_image(path: str) -> Machine:
    """The machine that runs the image at *path*, an archive of `docker save` or an OCI layout; raises EnvironmentProblem."""
    with unpacked(path) as root:
        binaries = read_root(root).binaries
        architecture, cap = _libc(path, root, binaries)
        numbers = [int(match[1]) for one in binaries if (match := _LIBSTDCXX.fullmatch(os.path.basename(one.path)))]
        return Machine(
            os.path.basename(os.path.abspath(path)),
            architecture,
            cap,
            tuple(_pythons(root)),
            _distribution(root),
            f"3.4.{max(numbers)}" if numbers else "",
        )


def _libc(path: str, root: str, binaries: Sequence[Binary]) -> tuple[str, Cap]:
    """The architecture and C library of the image's programs."""
    caps: dict[str, Cap] = {**musl_of_root(root, binaries), **glibc_of_root(root, binaries)}
    programs = [one.content for one in binaries if one.path.startswith(("bin/", "usr/bin/"))]
    for program in programs:
        if isinstance(program, ElfFile) and program.architecture in caps:
            return program.architecture, caps[program.architecture]
    for architecture, cap in caps.items():
        return architecture, cap
    raise EnvironmentProblem(f"{path} has neither glibc nor musl", hint="give --image an image with a distribution")


def _pythons(root: str) -> list[PythonVersion]:
    """The interpreters, first what `python3` starts."""
    pythons: dict[str, PythonVersion] = {}
    for folder in _FOLDERS:
        names = _listing(os.path.join(root, folder))
        for name in [name for name in ("python3", *names) if name in names]:
            path = _resolved(root, f"{folder}/{name}")
            if path not in pythons and (python := _version(root, path)):
                pythons[path] = python
    return list(dict.fromkeys(pythons.values()))


def _listing(folder: str) -> list[str]:
    with suppress(OSError):
        return sorted(name for name in os.listdir(folder) if name == "python3" or _PYTHON.fullmatch(name))
    return []


def _resolved(root: str, path: str) -> str:
    """The path in *root* to which the link *path* leads."""
    for _ in range(MAX_LINKS):
        full = os.path.join(root, path)
        if not os.path.islink(full):
            break
        target = os.readlink(full)
        path = target.lstrip("/") if target.startswith("/") else os.path.join(os.path.dirname(path), target)
        path = os.path.normpath(f"/{path}").lstrip("/")
    return path


def _version(root: str, path: str) -> PythonVersion | None:
    """The version of the CPython at *path*, which it or its library contains as a text."""
    match = _PYTHON.fullmatch(os.path.basename(path))
    if match is None:
        return None
    minor, threads = match.groups()
    pattern = re.compile(rf"\0(3\.{minor}\.[0-9]{{1,2}})\0".encode())
    for file in _files_of_interpreter(root, path, f"libpython3.{minor}{threads}"):
        if version := pattern.search(file):
            with suppress(TargetError):
                return PythonVersion.parse(f"{version[1].decode()}{threads}")
    return None


def _files_of_interpreter(root: str, path: str, library: str) -> Iterator[bytes]:
    """The contents of an interpreter and of its shared libraries."""
    prefix = os.path.dirname(os.path.dirname(path))
    paths = [path]
    for folder in ("lib", "lib64", *(f"lib/{name}" for name in _subfolders(os.path.join(root, prefix, "lib")))):
        with suppress(OSError):
            names = os.listdir(os.path.join(root, prefix, folder))
            paths += [os.path.join(prefix, folder, name) for name in names if name.startswith(f"{library}.so")]
    for one in paths:
        full = os.path.realpath(os.path.join(root, _resolved(root, one)))
        if full.startswith(os.path.realpath(root) + os.sep):
            with suppress(OSError), open(full, "rb", opener=open_regular) as file:
                yield file.read(_MAX_FILE)


def _subfolders(folder: str) -> list[str]:
    """The folders of Debian's multiarch."""
    with suppress(OSError):
        return [name for name in os.listdir(folder) if name.endswith("-linux-gnu")]
    return []


def _distribution(root: str) -> str:
    """ID and VERSION_ID of os-release(5); empty without them."""
    for path in ("usr/lib/os-release", "etc/os-release"):
        full = os.path.join(root, path)
        if not os.path.islink(full):
            with suppress(OSError), open(full, encoding="utf-8", errors="replace", opener=open_regular) as file:
                values = dict(_RELEASE.findall(file.read(1 << 16)))
                return "-".join(filter(None, (values.get("ID", ""), values.get("VERSION_ID", ""))))
    return ""
