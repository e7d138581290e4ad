"""Compares the locked files with the installed distributions: what to install, reinstall, remove and keep, and why."""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from minglibc.model.lenient import parse_lenient
from minglibc.model.platform_tags import expand_tags, needed_libc
from minglibc.model.requirements import Environment
from minglibc.model.targets import Target, tag_ranks
from minglibc.model.urls import display_url
from minglibc.model.versions import contains, key


class Wanted(NamedTuple):
    """A locked file: a wheel, a source distribution or a folder; *digest* is ``sha256:…``."""

    name: str
    version: str
    filename: str
    digest: str = ""
    # The version of a project in a folder is not locked.
    is_folder: bool = False

    @property
    def tags(self) -> frozenset[str]:
        """The tags (PEP 425) of a wheel's file name, expanded; none for other files."""
        if not self.filename.endswith(".whl"):
            return frozenset()
        return frozenset(expand_tags("-".join(self.filename.removesuffix(".whl").rsplit("-", 3)[1:])))


class Installed(NamedTuple):
    """An installed distribution as far as the plan depends on it."""

    name: str
    version: str
    tags: frozenset[str] = frozenset()
    digest: str = ""  # of the file that minglibc installed it from
    damage: str = ""  # a description; empty for a complete distribution
    direct_url: str = ""  # where it came from if not from an index
    above_cap: str = ""  # the file that exceeds the cap, and why


class Action(Enum):
    """What happens to a distribution."""

    INSTALL = "install"
    REINSTALL = "reinstall"
    REMOVE = "remove"
    KEEP = "keep"


class Step(NamedTuple):
    """What happens to one distribution; *old* are its installed versions, *new* is its locked one."""

    action: Action
    name: str
    old: tuple[str, ...] = ()
    new: str = ""
    reason: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines that installers print: ``- x==1``, ``+ x==2``, ``~ x==1 (why)``."""
        new = f"{self.name} {self.new}" if self.new.startswith("@") else f"{self.name}=={self.new}"
        if self.action is Action.REINSTALL and (self.new,) == self.old:
            return [f"~ {new} ({self.reason})"]
        removed = [f"- {self.name}=={version}" for version in self.old]
        return [*removed, f"+ {new}"] if self.new else removed


class Plan(NamedTuple):
    """The steps that make an environment match its lock, sorted by name."""

    steps: tuple[Step, ...]

    def names(self, *actions: Action) -> list[str]:
        """The distributions with one of *actions*."""
        return [step.name for step in self.steps if step.action in actions]

    def with_step(self, step: Step | None) -> "Plan":
        """The plan with *step* in place of the step of that distribution."""
        if step is None:
            return self
        others = [other for other in self.steps if other.name != step.name]
        return Plan(tuple(sorted([*others, step], key=lambda step: step.name)))

    @property
    def changes(self) -> list[Step]:
        """The steps that change something."""
        return [step for step in self.steps if step.action is not Action.KEEP]


def plan(
    wanted: Iterable[Wanted],
    installed: Iterable[Installed],
    target: Target,
    *,
    inexact: bool = False,
    spare: Collection[str] = (),
) -> Plan:
    """The steps from *installed* to exactly *wanted*; *inexact* keeps all other distributions, *spare* keeps those named."""
    present: dict[str, list[Installed]] = {}
    for distribution in installed:
        present.setdefault(distribution.name, []).append(distribution)
    steps = [_step(wheel, present.pop(wheel.name, []), target) for wheel in wanted]
    for name, distributions in present.items():
        keep = inexact or name in spare
        action, reason = (Action.KEEP, "") if keep else (Action.REMOVE, "not in the lock")
        steps.append(Step(action, name, tuple(one.version for one in distributions), "", reason))
    return Plan(tuple(sorted(steps, key=lambda step: step.name)))


def _step(wheel: Wanted, present: list[Installed], target: Target) -> Step:
    if not present:
        return Step(Action.INSTALL, wheel.name, (), wheel.version, "not installed")
    versions = tuple(one.version for one in present)
    reason = f"installed {len(present)} times" if len(present) > 1 else _difference(wheel, present[0], target)
    return Step(Action.REINSTALL if reason else Action.KEEP, wheel.name, versions, wheel.version, reason)


def _difference(wheel: Wanted, installed: Installed, target: Target) -> str:
    """Why *installed* differs from what *wheel* would install; empty if it does not."""
    if wheel.is_folder:
        return installed.damage if installed.digest == wheel.digest else "its folder has changed since it was installed"
    if not _is_same_version(installed.version, wheel.version):
        return f"{installed.version or 'no version'} is installed, the lock has {wheel.version}"
    if installed.digest and installed.digest == wheel.digest:
        return installed.damage
    return installed.damage or _other_origin(wheel, installed, target)


def _other_origin(wheel: Wanted, installed: Installed, target: Target) -> str:
    if installed.digest:
        return "installed from another file than the lock's"
    if installed.direct_url:
        return f"installed from {display_url(installed.direct_url)}"
    # A build of the same source by another installer is accepted if its files are compatible with the cap.
    if wheel.tags and installed.tags != wheel.tags:
        return _other_tags(wheel, installed.tags, target)
    return installed.above_cap


def _is_same_version(metadata: str, locked: str) -> bool:
    # METADATA may contain any spelling that PEP 440 allows.
    try:
        return key(metadata) == key(locked)
    except ValueError:
        return metadata == locked


def _other_tags(wheel: Wanted, tags: frozenset[str], target: Target) -> str:
    if not tags:
        return "it has no wheel tags"
    if tags & tag_ranks(target).keys():
        return f"its wheel is for {_example(tags)}, the lock's for {_example(wheel.tags)}"
    needs = [libc for tag in tags if (libc := needed_libc(tag.rpartition("-")[2]))]
    same_libc = [libc for libc in needs if libc.libc == target.cap.libc]
    if same_libc and min(same_libc) > target.cap:
        return f"its wheel needs {min(same_libc).named}, the cap is {target.cap}"
    if all(tag.rpartition("-")[2].startswith("linux_") for tag in tags):
        return f"built for {_example(tags)}, which does not specify a {target.cap.libc} version"
    return f"its wheel is for {_example(tags)}, not for {target}"


def _example(tags: frozenset[str]) -> str:
    # One tag is enough to identify the wheel; a wheel may have a dozen.
    return min(tags)


def unmet(requires: Iterable[str], locked: Mapping[str, str], target: Target, ignored: Collection[str]) -> str:
    """The first of *requires* (Requires-Dist) that applies to *target* and that the *locked* versions do not meet; else empty."""
    markers = Environment(target.environment)
    for text in requires:
        try:
            requirement = parse_lenient(text)
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
