"""Warnings about environments that old machines can't use although all of their wheels are compatible."""

import os
import re
from contextlib import suppress

from minglibc.app.environment_selection import EnvironmentChoice
from minglibc.app.locked_project import LockedProject
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.config.project_modules import extension_modules, has_import_paths
from minglibc.install.environment import Environment
from minglibc.install.plan import Action, Plan
from minglibc.model.targets import GlibcVersion, Target


def warn_of_interpreter(choice: EnvironmentChoice, common: CommonOptions, reporter: Reporter) -> None:
    """Warn if the interpreter itself needs a newer glibc than the cap."""
    cap = choice.target.cap
    if os.path.realpath(choice.prefix).startswith(os.path.realpath(common.cache_folder) + os.sep):
        return  # no older machine shares the cache
    needs = _glibc_of(choice.interpreter.executable, common) if isinstance(cap, GlibcVersion) else None
    if needs and isinstance(cap, GlibcVersion) and needs > cap:
        reporter.warn(
            f"the interpreter {choice.interpreter.executable} needs glibc {needs}, the cap is {cap}: "
            "older machines that share this environment need their own Python at that path"
        )


def _glibc_of(program: str, common: CommonOptions) -> GlibcVersion | None:
    """The glibc that *program* needs, cached as long as the file is unchanged."""
    from minglibc.cache.pages import Store  # noqa: PLC0415  only a sync that changes something warns

    try:
        with open(os.path.realpath(program), "rb") as file:
            status = os.fstat(file.fileno())
            identity = f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
            store = Store(common.cache_folder)
            needs = store.recall("interpreters", identity)
            if not _is_version(needs):
                needs = None
                from minglibc.audit.elf import MalformedElf, read_elf  # noqa: PLC0415  20 ms, if it is not cached
                from minglibc.audit.rules import highest_glibc  # noqa: PLC0415  the same

                with suppress(MalformedElf):
                    needs = highest_glibc(read_elf(file))
                store.note("interpreters", identity, needs or [])
    except OSError:
        return None
    return GlibcVersion(*needs) if needs else None


def warn_of_own_modules(
    project: LockedProject, target: Target, environment: Environment | None, reporter: Reporter
) -> bool:
    """Warn of the project's own extension modules that exceed the cap; whether there are any.

    They were built in place or by an editable installation, so they are in no wheel that was checked. What .pth files
    name is read only in the *environment*, if it is given.
    """
    if project.pyproject is None or not project.lock.source.is_project:
        return False
    sites: set[str] = set()
    if environment is not None:
        layout = environment.layout
        sites = {os.path.join(environment.prefix, site) for site in (layout.purelib, layout.platlib)}
    if not extension_modules(project.folder) and not any(map(has_import_paths, sites)):
        return False
    from minglibc.audit.folders import read_folders  # noqa: PLC0415  imports pyelftools; few projects have such modules
    from minglibc.audit.import_paths import import_paths, project_folders  # noqa: PLC0415  the same
    from minglibc.audit.rules import ABOVE_CAP, audit  # noqa: PLC0415  the same

    folders = project_folders(project.folder) + import_paths(sites)
    binaries = read_folders(project.folder, folders).binaries
    all_findings = audit(binaries, [target.architecture], target.cap, libstdcxx=target.libstdcxx)
    findings = [one for one in all_findings if one.kind in ABOVE_CAP]
    for finding in findings:
        reporter.warn(
            f"{finding.path} needs {finding.version or finding.library}, the cap is {target.cap.named}: build it again on "
            f"a machine with that {target.cap.libc}"
        )
    return bool(findings)


def warn_of_owner(prefix: str, reporter: Reporter) -> None:
    """Warn if root changes the environment of another user, who then can't update or delete the new files."""
    owner = os.stat(prefix).st_uid
    if os.geteuid() == 0 != owner:
        reporter.warn(
            f"{prefix} belongs to another user ({_user_name(owner)}), and what root installs in it belongs to root: "
            "run minglibc as that user"
        )


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415  only root's warning needs it

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _is_version(value: object) -> bool:
    """Whether *value* is a glibc version as it is cached: two numbers, or none for a program without glibc."""
    return isinstance(value, list) and len(value) in (0, 2) and all(isinstance(number, int) for number in value)


def warn_of_relocations(environment: Environment, plan: Plan, reporter: Reporter) -> None:
    """Warn of installed files with packed relocations (DT_RELR), which musl before 1.2.4 ignores, so that imports crash.

    No tag says that a wheel has them.
    """
    libc = environment.interpreter.libc
    if not re.match(r"musl 1\.(?:[01]\.|2\.[0-3](?![0-9]))", libc):
        return
    from minglibc.audit.elf import ElfFile  # noqa: PLC0415  only for old versions of musl

    installed = set(plan.names(Action.INSTALL, Action.REINSTALL))
    packed = [
        f"{distribution.name} {distribution.version}"
        for distribution in environment.distributions()
        if distribution.name in installed
        and any(isinstance(one.content, ElfFile) and one.content.relr for one in environment.binaries(distribution))
    ]
    if packed:
        reporter.warn(
            f"this machine has {libc}, which can't load files of {', '.join(packed)}: DT_RELR needs musl 1.2.4 or newer"
        )
