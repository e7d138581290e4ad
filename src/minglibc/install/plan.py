"""Locked wheels against installed distributions: what to install, reinstall, remove and keep, each with its reason."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.platform_tags import needed_libc
from minglibc.model.requirements import Environment, parse
from minglibc.model.targets import Cap, PythonVersion, Target, tag_ranks
from minglibc.model.versions import contains, key

NO_NAMES: Mapping[str, Target] = {}


class MachineProblem(EnvironmentProblem):
    """A refusal that no other interpreter of the same machine would change."""


class Machine(NamedTuple):
    """What an interpreter says of itself and of the machine that it runs on."""

    python: PythonVersion
    architecture: str
    libc: Cap | None
    """None where it tells none."""
    implementation: str = "cpython"

    @property
    def description(self) -> str:
        """The machine in the words of a refusal."""
        return f"CPython {self.python} on {self.architecture}"


class Wanted(NamedTuple):
    """One file of the lock, a wheel or the source of one; *digest* is ``sha256:…``."""

    name: str
    version: str
    filename: str
    digest: str = ""
    # A project in a folder, which is of the version that it is.
    is_folder: bool = False

    @property
    def tags(self) -> frozenset[str]:
        """The tags (PEP 425) that the file name stands for, one by one; a source has none."""
        if not self.filename.endswith(".whl"):
            return frozenset()
        interpreters, abis, platforms = self.filename.removesuffix(".whl").rsplit("-", 3)[1:]
        return frozenset(
            f"{interpreter}-{abi}-{platform}"
            for interpreter in interpreters.split(".")
            for abi in abis.split(".")
            for platform in platforms.split(".")
        )


class Installed(NamedTuple):
    """One distribution of an environment, as its metadata and its files tell."""

    name: str
    version: str
    tags: frozenset[str] = frozenset()
    digest: str = ""  # of the wheel that minglibc installed it from
    damage: str = ""  # in words; empty for a whole distribution
    direct_url: str = ""  # where it came from when that was no index
    above_cap: str = ""  # the file that no machine at the cap loads, and why, in words


class Action(Enum):
    """What happens to one distribution."""

    INSTALL = "install"
    REINSTALL = "reinstall"
    REMOVE = "remove"
    KEEP = "keep"


class Step(NamedTuple):
    """One distribution's fate: *old* and *new* are versions, empty where there is none."""

    action: Action
    name: str
    old: tuple[str, ...] = ()
    new: str = ""
    reason: str = ""

    @property
    def lines(self) -> list[str]:
        """The step as an installer writes it: ``- x==1``, ``+ x==2``, ``~ x==1 (why)``."""
        new = f"{self.name} {self.new}" if self.new.startswith("@") else f"{self.name}=={self.new}"
        if self.action is Action.REINSTALL and (self.new,) == self.old:
            return [f"~ {new} ({self.reason})"]
        gone = [f"- {self.name}=={version}" for version in self.old]
        return [*gone, f"+ {new}"] if self.new else gone


class Plan(NamedTuple):
    """Every step that brings an environment to its lock, by name."""

    steps: tuple[Step, ...]

    def names(self, *actions: Action) -> list[str]:
        """The distributions that one of *actions* happens to."""
        return [step.name for step in self.steps if step.action in actions]

    def with_step(self, step: Step | None) -> "Plan":
        """The same plan with *step* in place of what it had for that distribution."""
        if step is None:
            return self
        others = [each for each in self.steps if each.name != step.name]
        return Plan(tuple(sorted([*others, step], key=lambda each: each.name)))

    @property
    def changes(self) -> list[Step]:
        """The steps that change something."""
        return [step for step in self.steps if step.action is not Action.KEEP]


def target_name(target: Target) -> str:
    """The name that ``--target`` takes, such as ``cp39-x86_64-glibc2.27``."""
    python, cap = target.python, target.cap
    patch = "" if python.patch is None else f".{python.patch}"
    return f"cp3{python.minor}{patch}{'t' if python.free_threaded else ''}-{target.architecture}-{cap.libc}{cap}"


def targets_named(name: str | None, targets: Sequence[Target], names: Mapping[str, Target] = NO_NAMES) -> list[Target]:
    """The target that ``--target`` *name* means, by its own name or the made-up one, or all; raises SettingsError."""
    if not name:
        return list(targets)
    found = [names[name]] if name in names else [target for target in targets if target_name(target) == name]
    if not found:
        raise SettingsError(f"the lock has no target {name!r}", hint=known_targets(targets, names))
    return found


def known_targets(targets: Sequence[Target], names: Mapping[str, Target] = NO_NAMES) -> str:
    """The sentence that lists what ``--target`` takes."""
    listed = []
    for target in targets:
        own = [name for name, named in names.items() if named == target]
        listed.append(f"{' or '.join(own)} ({target_name(target)})" if own else target_name(target))
    return f"the lock's targets are {', '.join(listed)}"


def choose_target(
    machine: Machine, targets: Sequence[Target], name: str = "", names: Mapping[str, Target] = NO_NAMES
) -> Target:
    """The target of a lock that *machine* is to have, the oldest C library first; raises EnvironmentProblem with the misfit."""
    known = known_targets(targets, names)
    fits = targets_named(name, targets, names)
    if machine.implementation != "cpython":
        raise EnvironmentProblem(f"this interpreter is {machine.implementation}, the lock is for CPython", hint=known)
    if machine.libc is None:
        raise MachineProblem(
            "this machine does not tell its C library's version", hint="minglibc needs Linux with glibc or musl"
        )
    fits = _of_libc(machine.libc, fits, known)
    fits = [target for target in fits if target.architecture == machine.architecture]
    if not fits:
        hint = f"{known}; add {machine.architecture} to tool.minglibc.architectures and run minglibc lock"
        raise EnvironmentProblem(f"the lock has no target for {machine.architecture}", hint=hint)
    fits = [target for target in fits if _same_python(machine.python, target.python)]
    if not fits:
        hint = f"{known}; choose another interpreter by --python, or add this one to tool.minglibc.python"
        raise EnvironmentProblem(f"the lock has no target for {machine.description}", hint=hint)
    return _within_cap(machine.libc, fits)


def _of_libc(libc: Cap, targets: Sequence[Target], known: str) -> list[Target]:
    fits = [target for target in targets if target.cap.libc == libc.libc]
    if not fits:
        others = " and ".join(sorted({target.cap.libc for target in targets}))
        raise MachineProblem(
            f"this machine has {libc.named}, the lock is for {others}",
            hint=f'{known}; add {libc.libc} = "{libc}" to [tool.minglibc] and run minglibc lock',
        )
    return fits


def _same_python(machine: PythonVersion, target: PythonVersion) -> bool:
    same_build = (machine.minor, machine.free_threaded) == (target.minor, target.free_threaded)
    return same_build and target.patch in (None, machine.patch)


def _within_cap(libc: Cap, targets: Sequence[Target]) -> Target:
    # The lowest cap runs on every machine that the lock serves, whoever made the environment.
    target = min(targets, key=lambda target: target.cap)
    if libc < target.cap:
        raise MachineProblem(
            f"this machine has {libc.named}, the lock is for {target.cap}",
            hint=f'set {libc.libc} = "{libc}" in [tool.minglibc] and run minglibc lock',
        )
    return target


def plan(
    wanted: Iterable[Wanted],
    installed: Iterable[Installed],
    target: Target,
    *,
    inexact: bool = False,
    spare: Collection[str] = (),
) -> Plan:
    """The steps from *installed* to exactly *wanted*; *inexact* and *spare* keep what the lock does not name."""
    present: dict[str, list[Installed]] = {}
    for distribution in installed:
        present.setdefault(distribution.name, []).append(distribution)
    steps = [_step(wheel, present.pop(wheel.name, []), target) for wheel in wanted]
    for name, distributions in present.items():
        keep = inexact or name in spare
        action, reason = (Action.KEEP, "") if keep else (Action.REMOVE, "not in the lock")
        steps.append(Step(action, name, tuple(each.version for each in distributions), "", reason))
    return Plan(tuple(sorted(steps, key=lambda step: step.name)))


def _step(wheel: Wanted, present: list[Installed], target: Target) -> Step:
    if not present:
        return Step(Action.INSTALL, wheel.name, (), wheel.version, "not installed")
    versions = tuple(each.version for each in present)
    reason = f"installed {len(present)} times" if len(present) > 1 else _misfit(wheel, present[0], target)
    return Step(Action.REINSTALL if reason else Action.KEEP, wheel.name, versions, wheel.version, reason)


def _misfit(wheel: Wanted, installed: Installed, target: Target) -> str:
    """Why *installed* is not what *wheel* would have installed, in words; empty when it is."""
    if wheel.is_folder:
        return installed.damage if installed.digest == wheel.digest else "it is not what its folder holds now"
    if not _same_version(installed.version, wheel.version):
        return f"{installed.version or 'no version'} is installed, the lock has {wheel.version}"
    if installed.digest and installed.digest == wheel.digest:
        return installed.damage
    return installed.damage or _wrong_origin(wheel, installed, target)


def _wrong_origin(wheel: Wanted, installed: Installed, target: Target) -> str:
    if installed.digest:
        return "installed from another file than the lock's"
    if installed.direct_url:
        return f"installed from {installed.direct_url}"
    # What another installer built of the same source is as good, as far as its files stand within the cap.
    if wheel.tags and installed.tags != wheel.tags:
        return _wrong_tags(wheel, installed.tags, target)
    return installed.above_cap


def _same_version(metadata: str, locked: str) -> bool:
    # METADATA may spell its version in any way that PEP 440 reads.
    try:
        return key(metadata) == key(locked)
    except ValueError:
        return metadata == locked


def _wrong_tags(wheel: Wanted, tags: frozenset[str], target: Target) -> str:
    if not tags:
        return "it does not say which wheel it came from"
    if tags & tag_ranks(target).keys():
        return f"its wheel is for {_shown(tags)}, the lock's for {_shown(wheel.tags)}"
    found = [needs for tag in tags if (needs := needed_libc(tag.rpartition("-")[2]))]
    same = [needs for needs in found if needs.libc == target.cap.libc]
    if same and min(same) > target.cap:
        return f"its wheel needs {min(same).named}, the cap is {target.cap}"
    if all(tag.rpartition("-")[2].startswith("linux_") for tag in tags):
        return f"built for {_shown(tags)}, which says nothing of {target.cap.libc}"
    return f"its wheel is for {_shown(tags)}, not for {target}"


def _shown(tags: frozenset[str]) -> str:
    # One tag tells a wheel from its sisters; a dozen hide it.
    return min(tags)


def check_patch(machine: Machine, requires_python: Mapping[str, str]) -> None:
    """A lock for "3.11" was judged at its newest patch release; raises EnvironmentProblem for what *machine*'s own can't have."""
    for name, specifier in requires_python.items():
        if not contains(specifier, machine.python.full):
            raise EnvironmentProblem(
                f"{name} needs Python {specifier}, this interpreter is {machine.python.full}",
                hint=f'put python = ["{machine.python.full}"] into [tool.minglibc], run minglibc lock, and sync again',
            )


def unmet(requires: Iterable[str], locked: Mapping[str, str], target: Target, ignored: Collection[str]) -> str:
    """The first of *requires* (Requires-Dist) that holds on *target* and that *locked* versions do not meet; else empty."""
    markers = Environment(target.environment)
    for text in requires:
        try:
            requirement = parse(text)
            if requirement.name in ignored:
                continue
            applies = markers.admits(requirement.marker)
            version = locked.get(requirement.name)
            met = version is not None and (not requirement.specifier or contains(requirement.specifier, version))
        except ValueError:
            return text
        if applies and not met:
            return requirement.without_marker
    return ""
