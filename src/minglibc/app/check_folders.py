"""The use cases of `check` for what is on disk: wheels, folders, environments and root file systems."""

import os
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from glob import escape as glob_escape
from glob import glob
from typing import NamedTuple

from minglibc.app.check_caps import (
    Caps,
    CheckOptions,
    CheckResult,
    Limits,
    audit_caps,
    has_project,
    of_libcs,
    read_caps,
    read_limits,
    result,
    wheel_count,
)
from minglibc.app.sync import sync_environment
from minglibc.app.sync_options import SelectionOptions, SyncOptions
from minglibc.audit.binaries import of_wheel
from minglibc.audit.folders import NOTHING, Contents, Folder, is_environment, read_folders, read_root
from minglibc.audit.image import unpacked
from minglibc.audit.import_paths import import_paths
from minglibc.audit.libc_versions import glibc_of_root
from minglibc.audit.rules import Binary, Finding, Kind, Unreadable
from minglibc.errors import EnvironmentProblem, MinglibcError, WheelError
from minglibc.install.interpreter import Interpreter, inspect
from minglibc.install.plan import Action
from minglibc.model.platform_tags import lowest_libcs
from minglibc.model.targets import GlibcVersion

_USE_ENVIRONMENT = "use --environment PATH to check an environment, or --root DIR to check a root file system"
# In these folders of a root file system, everything but Python packages belongs to the operating system.
_SYSTEM = re.compile(r"(?:usr/)?(?:s?bin|lib(?:32|64|x32|exec)?|games)/")
_PACKAGES = re.compile(r"/(?:site|dist)-packages/")


class _Part(NamedTuple):
    """What one path contributes to a result."""

    subject: str
    binaries: Sequence[Binary]
    findings: Sequence[Finding]
    contents: Contents


def check_paths(paths: Sequence[str], options: CheckOptions) -> CheckResult:
    """Check wheels, each on its own, and the files of folders; an environment is checked as ``check_environment`` does."""
    caps, limits = read_caps(options), read_limits(options)
    wheels: list[str] = []
    parts: list[_Part] = []
    for path in paths:
        if path.endswith(".whl") and not os.path.isdir(path):
            wheels.append(path)
        elif os.path.isdir(path) and is_environment(path):
            parts.append(_of_environment(path, caps, limits))
        else:
            own, part = _of_folder(path, caps, limits)
            wheels += own
            parts += [part] if part else []
    if wheels:
        parts.insert(0, _of_wheels(wheels, caps, limits))
    return _joined(parts, caps, limits)


def check_environment(path: str, options: CheckOptions) -> CheckResult:
    """Check all binaries that an environment's interpreter may load, whichever installer they come from."""
    interpreter = inspect(_interpreter(path))
    libc = interpreter.machine.libc
    caps, limits = of_libcs(read_caps(options), {libc.libc} if libc else ()), read_limits(options)
    return _joined([_of_interpreter(path, interpreter, caps, limits)], caps, limits)


def check_root(path: str, options: CheckOptions) -> CheckResult:
    """Check the packages in the root file system at *path*, and its system against its own glibc.

    Without a cap in the options and without a project, the cap is the root's glibc.
    """
    if not os.path.isdir(path):
        raise EnvironmentProblem(f"{path} is not a folder", hint="give --root the folder of an unpacked file system")
    return _check_root(path, path, options)


def check_image(path: str, options: CheckOptions) -> CheckResult:
    """Check the container image at *path* as ``check_root`` does; its layers are unpacked into a temporary folder."""
    with unpacked(path) as folder:
        return _check_root(folder, path, options)


def _check_root(folder: str, name: str, options: CheckOptions) -> CheckResult:
    contents = read_root(folder)
    own_glibc = glibc_of_root(folder, contents.binaries)
    caps, limits = _caps_of_root(own_glibc, options), read_limits(options)
    system = {binary.path for binary in contents.binaries if _is_system(binary.path)}
    findings = [one for one in audit_caps(contents.binaries, caps, limits) if one.path not in system]
    findings += _findings_in_system(contents.binaries, system, own_glibc, caps, limits)
    contents = contents._replace(files={name: sum(contents.files.values())})
    return result(name, caps, limits.cpu, findings, contents.binaries, contents=contents)


def _joined(parts: Sequence[_Part], caps: Caps, limits: Limits) -> CheckResult:
    binaries = [binary for part in parts for binary in part.binaries]
    findings = [finding for part in parts for finding in part.findings]
    if len(folders := [part for part in parts if part.contents is not NOTHING]) > 1:
        # The same path may be in several folders.
        findings = [
            replace(finding, path=os.path.join(part.subject, finding.path)) if part in folders else finding
            for part in parts
            for finding in part.findings
        ]
    files = {path: count for part in parts for path, count in part.contents.files.items()}
    skipped = list(dict.fromkeys(one for part in parts for one in part.contents.skipped))
    subject = " and ".join(part.subject for part in parts)
    return result(subject, caps, limits.cpu, findings, binaries, contents=Contents([], files, skipped, []))


def _of_wheels(paths: Iterable[str], caps: Caps, limits: Limits) -> _Part:
    """The wheels at *paths*: one may not use the libraries of another."""
    findings: list[Finding] = []
    everything: list[Binary] = []
    wheels = list(dict.fromkeys(paths))
    for path in wheels:
        filename = os.path.basename(path)
        binaries = of_wheel(path, filename)
        findings += audit_caps(binaries, of_libcs(caps, lowest_libcs(filename[:-4])), limits)
        everything += binaries
    return _Part(wheel_count(len(wheels)), everything, findings, NOTHING)


def _of_folder(path: str, caps: Caps, limits: Limits) -> tuple[list[str], _Part | None]:
    """The wheels in *path*, and its other files, if any of them are binaries or packages; or the binary at *path*."""
    if not os.path.exists(path):
        raise WheelError(f"there is no {path}", hint=_USE_ENVIRONMENT)
    contents = read_folders(path if os.path.isdir(path) else os.path.dirname(path) or ".", [Folder(path)])
    if not os.path.isdir(path):
        if not contents.binaries:
            raise WheelError(f"{path} is neither a wheel nor a folder of wheels nor an ELF file", hint=_USE_ENVIRONMENT)
    elif not (contents.binaries or contents.wheels or contents.has_packages):
        raise WheelError(f"{path} contains no wheels, binaries or packages", hint=_USE_ENVIRONMENT)
    if not contents.binaries and not contents.has_packages:
        return contents.wheels, None
    return contents.wheels, _Part(path, contents.binaries, audit_caps(contents.binaries, caps, limits), contents)


def _of_environment(path: str, caps: Caps, limits: Limits) -> _Part:
    """The environment in the folder *path*, even if its interpreter does not start."""
    try:
        interpreter = inspect(_interpreter(path))
    except EnvironmentProblem as error:
        sites = glob(os.path.join(glob_escape(path), "lib", "python*", "site-packages"))
        contents = read_folders(path, [Folder(path), *import_paths(sites)])
        binaries = list(contents.binaries)
        if os.path.isfile(os.path.join(path, "pyvenv.cfg")):
            reason = f"{error.message}; folders outside of the environment are not read"
            binaries.append(Binary("", "bin/python", Unreadable(reason)))
        return _Part(path, binaries, audit_caps(binaries, caps, limits), contents)
    return _of_interpreter(path, interpreter, caps, limits)


def _of_interpreter(path: str, interpreter: Interpreter, caps: Caps, limits: Limits) -> _Part:
    layout = interpreter.layout
    sites = [os.path.join(layout.prefix, site) for site in (layout.purelib, layout.platlib)] + [
        *interpreter.shared_sites
    ]
    # The other folders of a system's own Python belong to the system.
    whole_prefix = interpreter.is_environment or is_environment(layout.prefix)
    folders = [Folder(layout.prefix)] if whole_prefix else []
    contents = read_folders(layout.prefix, [*folders, *map(Folder, dict.fromkeys(sites)), *import_paths(sites)])
    files = {path if folder == layout.prefix else folder: count for folder, count in contents.files.items()}
    libc = interpreter.machine.libc
    findings = audit_caps(contents.binaries, of_libcs(caps, {libc.libc} if libc else ()), limits)
    return _Part(path, contents.binaries, findings, contents._replace(files=files))


def _interpreter(path: str) -> str:
    if not os.path.isdir(path):
        return path
    executable = os.path.join(path, "bin", "python")
    if not os.path.exists(executable):
        raise EnvironmentProblem(
            f"{path} has no bin/python",
            hint="give --environment an environment's folder or an interpreter; other folders are checked without it",
        )
    return executable


def replaced_by_sync(path: str, result: CheckResult, options: CheckOptions) -> frozenset[str]:
    """The distributions with findings in the environment at *path* that `sync` would replace or remove."""
    sync = SyncOptions(SelectionOptions(options.lock), python=path, dry_run=True)
    try:
        plan = sync_environment(options.common, sync).plan
    except MinglibcError:
        return frozenset()
    changed = set(plan.names(Action.REINSTALL, Action.REMOVE))
    owners = {finding.distribution for finding in result.findings}
    return frozenset(owner for owner in owners if owner.partition(" ")[0] in changed)


# Root file systems


def _is_system(path: str) -> bool:
    return bool(_SYSTEM.match(path)) and not _PACKAGES.search(path)


def _caps_of_root(own_glibc: Mapping[str, GlibcVersion], options: CheckOptions) -> Caps:
    overrides = options.overrides
    if own_glibc and not (overrides.glibc or overrides.musl or options.lock or has_project(options)):
        return {("glibc", architecture): version for architecture, version in own_glibc.items()}
    return of_libcs(read_caps(options), {"glibc"} if own_glibc else ())


def _findings_in_system(
    binaries: Sequence[Binary],
    system: Container[str],
    own_glibc: Mapping[str, GlibcVersion],
    caps: Caps,
    limits: Limits,
) -> list[Finding]:
    """What files of the operating system need that its own glibc does not have; it need not be below the cap."""
    own = {(libc, name): own_glibc.get(name, cap) if libc == "glibc" else cap for (libc, name), cap in caps.items()}
    findings = audit_caps(binaries, own, limits)
    return [one for one in findings if one.path in system and one.kind in (Kind.GLIBC, Kind.CPU, Kind.UNREADABLE)]
