"""Why a target can't use a wheel that was built, and the sources that wheels are built from."""

from functools import lru_cache
from typing import NamedTuple

from minglibc.app.build_interpreters import installation, python_name
from minglibc.audit.binaries import of_wheel
from minglibc.audit.rules import Kind, audit
from minglibc.build.backend import build_hint
from minglibc.cache.built_wheels import Built, builder_name
from minglibc.cache.wheels import LockedFile
from minglibc.errors import WheelError
from minglibc.lock.selection import Machine
from minglibc.model.artifacts import FileSource, Wheel
from minglibc.model.compatibility import Reason, Rejection, TargetCompatibility
from minglibc.model.targets import Cap, Target


class Release(NamedTuple):
    """A release of a project and its source distribution, as a lock or an index names it."""

    name: str
    version: str
    file: LockedFile
    requires_python: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def digest(self) -> str:
        """The key of its builds in the cache."""
        return ":".join(self.file.digest)


class LocalProject(NamedTuple):
    """A project in a folder of this machine."""

    name: str
    folder: str
    editable: bool = False
    alternative: str = "fix the project"
    """What to do where the fault is in the project."""

    def __str__(self) -> str:
        return f"{self.name} in {self.folder}"


class Incompatibility(NamedTuple):
    """Why a target can't use a build, in words that follow "it"; *needs* is the lowest cap that would allow it."""

    text: str
    needs: Cap | None = None
    is_general: bool = False
    """Whether builds for other Pythons have it too."""

    def concerns(self, other: Target, target: Target) -> bool:
        """Whether a build for *other* would have it, when one for *target* has."""
        if self.needs is not None:
            return other.cap.libc == self.needs.libc and other.cap < self.needs
        same_kind = (other.architecture, other.cap.libc) == (target.architecture, target.cap.libc)
        return other == target or (self.is_general and same_kind)

    @property
    def rejection(self) -> Rejection:
        """The same for the resolver."""
        if self.needs is None:
            return Rejection(Reason.UNUSABLE, f"it {self.text}")
        return Rejection(Reason.GLIBC if self.needs.libc == "glibc" else Reason.NEWER_MUSL, str(self.needs))


class IncompatibleBuild(WheelError):
    """A wheel was built, and the target can't use it."""

    def __init__(self, source: Release | LocalProject, target: Target, reason: Incompatibility) -> None:
        super().__init__(
            f"the wheel built here from {source} is incompatible with {target}: it {reason.text}",
            hint=build_hint(alternative(source)),
        )
        self.target = target
        self.reason = reason


def alternative(source: Release | LocalProject) -> str:
    """What to do where the fault is in *source*."""
    if isinstance(source, LocalProject):
        return source.alternative
    return f'skip this release with constraints = ["{source.name}!={source.version}"]'


@lru_cache(maxsize=1024)
def incompatibility(built: Built, name: str, target: Target) -> Incompatibility | None:
    """Why *target* can't use *built*, a wheel of the project *name*; None where it can."""
    if not built.is_pure and not built.builder.startswith(f"{interpreter_name(target)}-"):
        return Incompatibility(
            f"has compiled files, and there is no {python_name(target)} on this machine to build it; "
            f"install {installation(target)}"
        )
    wheel = Wheel(name, "", built.filename, "", source=FileSource.DIRECT_REFERENCE)
    verdict = TargetCompatibility(target, allow_linux_tag=[name]).check(wheel)
    if isinstance(verdict, Rejection):
        return Incompatibility(str(verdict))
    binaries = of_wheel(built.path, built.filename)
    findings = audit(binaries, [target.architecture], target.cap, libstdcxx=target.libstdcxx)
    # Other libraries, such as those of drivers, may be present on the target; `check` reports them.
    worst = max(
        (finding for finding in findings if finding.kind is not Kind.LIBRARY),
        key=lambda finding: finding.lowest_cap or target.uncapped.cap,
        default=None,
    )
    if worst is None:
        return None
    needs = worst.version or worst.library or worst.detail
    return Incompatibility(
        f"needs {needs} ({worst.path}) when it is built on this machine; the cap is {target.cap}; "
        'toolchain = "zig" builds for the cap',
        # The finding's cap is a glibc version, which says nothing about musl.
        worst.lowest_cap if target.cap.libc == "glibc" else None,
        is_general=True,
    )


def not_built(version: str) -> str:
    """Why a release is rejected after the build of another *version* was."""
    return f"it was not built, because the build of {version} is incompatible"


def skipped(filename: str, target: Target, reason: Incompatibility, name: str) -> str:
    """The warning about a source distribution whose build is incompatible."""
    return f"skipped {filename} for {target}: it {reason.text}; other releases of {name} are not built"


def interpreter_name(target: Target) -> str:
    """How names of builders begin for *target*."""
    return builder_name(Machine(target.python, target.architecture, None)).rpartition("-")[0]
