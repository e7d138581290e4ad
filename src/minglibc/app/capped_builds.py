"""Builds with compilers for a target's cap: isolated, logged, checked, and written with the tag that they meet."""

import os
import time
from collections.abc import Sequence
from functools import cached_property

from minglibc.app.build_environment import BuildContext, BuildTask, build_wheel
from minglibc.app.build_logs import new_log
from minglibc.audit.rules import Finding
from minglibc.build.cargo import fetch_crates
from minglibc.build.cross import can_cross, is_cross
from minglibc.build.grafted_libraries import graft, linker_name, provide_libraries, source_of
from minglibc.build.isolation import Isolation, isolate, without_network
from minglibc.build.toolchain import Zig, create_toolchain, find_zig, zig_target
from minglibc.build.verified_wheel import Unverified, VerifiedWheel, verify_wheel
from minglibc.cache.built_wheels import ZIG, builder_name
from minglibc.errors import SettingsError, WheelError
from minglibc.install.interpreter import Interpreter
from minglibc.lock.selection import Machine
from minglibc.model.targets import GlibcVersion, Target

_BUILDER = "-zig"
_NO_NETWORK_WARNING = (
    "builds can use the network: this system does not allow `unshare --net`, which would prevent it (util-linux, and "
    "user namespaces)"
)


class CappedBuilds:
    """Builds with zig's compilers for the lowest cap among the targets that share an interpreter."""

    def __init__(self, context: BuildContext, targets: Sequence[Target]) -> None:
        self._context = context
        self._targets = targets
        self._warned = False

    @cached_property
    def _zig(self) -> Zig:
        """Found when a build needs it: wheels that the project has need none."""
        return find_zig()

    def target_for(self, target: Target, interpreter: Interpreter) -> Target:
        """What *interpreter* builds for when *target* needs a wheel: one wheel serves all targets that differ in their caps."""
        machine = interpreter.machine
        architecture = target.architecture if can_cross(machine, target) else machine.architecture
        own = Target(machine.python, architecture, target.cap)
        kind = (own.python.minor, own.python.free_threaded, own.architecture, own.cap.libc)
        caps = [
            other.cap
            for other in self._targets
            if (other.python.minor, other.python.free_threaded, other.architecture, other.cap.libc) == kind
        ]
        return own._replace(cap=min([target.cap, *caps]))

    @cached_property
    def suffix(self) -> str:
        """The end of the names of all builders with this toolchain; without one, no name ends so."""
        try:
            return f"-{self._zig}{self._libraries}"
        except SettingsError:
            return "-no-zig"

    @property
    def _grafts(self) -> frozenset[str]:
        return self._context.settings.graft if self._context.settings is not None else frozenset()

    @property
    def _libraries(self) -> str:
        return "".join(f"+{name}" for name in sorted(self._grafts))

    def is_capped(self, builder: str) -> bool:
        """Whether *builder*, of any version, builds for the cap with the same libraries."""
        _, toolchain, rest = builder.partition(_BUILDER)
        return bool(toolchain) and f"+{rest.partition('+')[2]}" == (self._libraries or "+")

    def builder(self, target: Target) -> str:
        """The name of the builder for *target*, which the cache keeps apart from others."""
        return f"{builder_name(Machine(target.python, target.architecture, target.cap))}-{self._zig}{self._libraries}"

    def build(self, task: BuildTask, interpreter: Interpreter, target: Target, scratch: str) -> str:
        """The path of a wheel for *target* below *scratch*; raises Unverified and MinglibcError."""
        zig_target(target)
        if not without_network() and not self._warned:
            self._warned = True
            self._context.reporter.warn(_NO_NETWORK_WARNING)
        cache = self._context.common.cache_folder
        python = interpreter.machine.python
        threads = "t" if python.free_threaded else ""
        include = os.path.join(interpreter.base_prefix, "include", f"python{python.short}{threads}")
        tools = create_toolchain(
            self._zig,
            target,
            os.path.join(scratch, "toolchain"),
            scratch=scratch,
            cache=os.path.join(cache, ZIG),
            include=include,
            cross=is_cross(interpreter.machine, target),
        )
        log = new_log(cache, task.label, self.builder(target))
        libraries = provide_libraries(self._grafts, target, os.path.join(scratch, "libraries"))
        isolation = isolate(scratch, {**tools.environment, **libraries}, log)
        started = time.monotonic()
        if not self._context.common.offline:
            fetch_crates(task.folder, isolation)
        path = build_wheel(task._replace(log=log), interpreter, self._context, scratch, isolation)
        try:
            wheel = self._verified(path, target, isolation, scratch)
        except WheelError:
            if log:
                self._context.reporter.info(f"The output of the build of {task.label} is in {log}")
            raise
        where = f" (log: {log})" if log else ""
        self._context.reporter.info(f"Built {os.path.basename(wheel.path)} in {time.monotonic() - started:.0f}s{where}")
        return wheel.path

    def _verified(self, path: str, target: Target, isolation: Isolation, scratch: str) -> VerifiedWheel:
        """The wheel at *path* with the libraries that the settings name inside; raises Unverified."""
        folder = os.path.join(scratch, "verified")
        os.makedirs(folder)
        try:
            return verify_wheel(path, target, folder)
        except Unverified as error:
            libraries = missing_libraries(error.findings)
            names = {linker_name(library, target.architecture) for library in libraries}
            if not names or not names <= self._grafts:
                raise
        return verify_wheel(graft(path, target, isolation, os.path.join(scratch, "grafted")), target, folder)


def describe(findings: Sequence[Finding]) -> str:
    """What the worst of *findings* needs, in words that follow "it"."""
    libraries = missing_libraries(findings)
    if libraries:
        needs = f"needs {', '.join(libraries)} ({findings[0].path}), which machines at the cap may lack"
        known = [f"{library} is {source}" for library in libraries if (source := source_of(library))]
        if len(known) < len(libraries):
            return f"{needs}; this machine has no such library to graft"
        names = ", ".join(f'"{linker_name(library, os.uname().machine)}"' for library in libraries)
        return f"{needs}; here, {', '.join(known)}; graft = [{names}] copies what is within the cap into the wheel"
    worst = max(findings, key=lambda finding: finding.lowest_cap or GlibcVersion(0, 0))
    needs = worst.version or worst.library or worst.detail
    if ".libs/" in worst.path:
        return f"needs {needs} ({worst.path}, a library of this machine that graft names or that such a library needs)"
    return f"needs {needs} ({worst.path}), although it was built for the cap"


def missing_libraries(findings: Sequence[Finding]) -> list[str]:
    """The libraries outside of the policies that the files of *findings* need."""
    return list(dict.fromkeys(finding.library for finding in findings if finding.version == "" and finding.library))
