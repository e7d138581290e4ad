"""Target names, and the target of a lock that fits a machine."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.targets import Cap, PythonVersion, Target
from minglibc.model.versions import contains

NO_NAMES: Mapping[str, Target] = {}


class MachineProblem(EnvironmentProblem):
    """The machine does not fit the lock, whichever interpreter is used."""


class Machine(NamedTuple):
    """An interpreter and the machine it runs on."""

    python: PythonVersion
    architecture: str
    libc: Cap | None
    """None if unknown."""
    implementation: str = "cpython"

    @property
    def description(self) -> str:
        """``CPython 3.9.18 on x86_64``."""
        return f"CPython {self.python} on {self.architecture}"


def target_name(target: Target) -> str:
    """The name that ``--target`` takes, such as ``cp39-x86_64-glibc2.27``."""
    python, cap = target.python, target.cap
    patch = "" if python.patch is None else f".{python.patch}"
    return f"cp3{python.minor}{patch}{'t' if python.free_threaded else ''}-{target.architecture}-{cap.libc}{cap}"


def find_targets(name: str | None, targets: Sequence[Target], names: Mapping[str, Target] = NO_NAMES) -> list[Target]:
    """The target called *name* (one of the user's *names*, or a target name), or all without a name; raises SettingsError."""
    if not name:
        return list(targets)
    matches = [names[name]] if name in names else [target for target in targets if target_name(target) == name]
    if not matches:
        raise SettingsError(f"the lock has no target {name!r}", hint=describe_targets(targets, names))
    return matches


def describe_targets(targets: Sequence[Target], names: Mapping[str, Target] = NO_NAMES) -> str:
    """A sentence that lists the names that ``--target`` accepts."""
    descriptions = []
    for target in targets:
        own_names = [name for name, named in names.items() if named == target]
        text = target_name(target)
        descriptions.append(f"{' or '.join(own_names)} ({text})" if own_names else text)
    return f"the lock's targets are {', '.join(descriptions)}"


def choose_target(
    machine: Machine, targets: Sequence[Target], name: str = "", names: Mapping[str, Target] = NO_NAMES
) -> Target:
    """The target with the lowest cap that fits *machine*; raises EnvironmentProblem, which says what does not fit."""
    known = describe_targets(targets, names)
    candidates = find_targets(name, targets, names)
    if machine.implementation != "cpython":
        raise EnvironmentProblem(f"this interpreter is {machine.implementation}, the lock is for CPython", hint=known)
    if machine.libc is None:
        raise MachineProblem(
            "can't determine the version of this machine's C library", hint="minglibc requires Linux with glibc or musl"
        )
    candidates = _with_libc(machine.libc, candidates, known)
    candidates = [target for target in candidates if target.architecture == machine.architecture]
    if not candidates:
        hint = f"{known}; add {machine.architecture} to tool.minglibc.architectures and run `minglibc lock`"
        raise EnvironmentProblem(f"the lock has no target for {machine.architecture}", hint=hint)
    candidates = [target for target in candidates if is_same_python(machine.python, target.python)]
    if not candidates:
        hint = f"{known}; choose another interpreter with --python, or add this one to tool.minglibc.python"
        raise EnvironmentProblem(f"the lock has no target for {machine.description}", hint=hint)
    return _within_cap(machine.libc, candidates)


def _with_libc(libc: Cap, targets: Sequence[Target], known: str) -> list[Target]:
    matches = [target for target in targets if target.cap.libc == libc.libc]
    if not matches:
        others = " and ".join(sorted({target.cap.libc for target in targets}))
        raise MachineProblem(
            f"this machine has {_described(libc)}, the lock is for {others}",
            hint=f'{known}; add {libc.libc} = "{libc}" to [tool.minglibc] and run `minglibc lock`',
        )
    return matches


def is_same_python(machine: PythonVersion, target: PythonVersion) -> bool:
    """Whether an interpreter of version *machine* is the version *target*, which may be any patch release."""
    same_build = (machine.minor, machine.free_threaded) == (target.minor, target.free_threaded)
    return same_build and target.patch in (None, machine.patch)


def _within_cap(libc: Cap, targets: Sequence[Target]) -> Target:
    # An environment for the lowest cap runs on every machine that the lock supports.
    target = min(targets, key=lambda target: target.cap)
    if libc < target.cap:
        raise MachineProblem(
            f"this machine has {_described(libc)}, the lock is for {_described(target.cap)}",
            hint=f'set {libc.libc} = "{libc}" in [tool.minglibc] and run `minglibc lock`',
        )
    return target


def _described(cap: Cap) -> str:
    from minglibc.model.distributions import with_distribution  # noqa: PLC0415  2 ms, and only for a message

    return with_distribution(cap)


def check_python(machine: Machine, requires_python: Mapping[str, str]) -> None:
    """Raise EnvironmentProblem if one of *requires_python* excludes the patch release of *machine*'s interpreter.

    A target such as "3.11" was resolved for the newest patch release.
    """
    for name, specifier in requires_python.items():
        if not contains(specifier, machine.python.full):
            raise EnvironmentProblem(
                f"{name} requires Python {specifier}, this interpreter is {machine.python.full}",
                hint=f'set python = ["{machine.python.full}"] in [tool.minglibc], run `minglibc lock`, and sync again',
            )
