"""Machines → the targets that serve all of them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minglibc.audit.policies import policy_at, with_libstdcxx
from minglibc.config.settings import DEFAULT_ARCHITECTURES
from minglibc.errors import TargetError
from minglibc.fleet.machine import Machine
from minglibc.model import versions
from minglibc.model.targets import GlibcVersion, PythonVersion, Target, check_architecture, check_cap, lowest_libstdcxx


class Kind(NamedTuple):
    """Machines with the same interpreter version, architecture and C library."""

    target: Target
    """Its cap is that of the oldest machine, and so is libstdcxx where that is older than the cap suggests."""
    machines: tuple[Machine, ...]
    oldest_python: PythonVersion
    """The lowest patch release."""


class Fleet(NamedTuple):
    """The kinds of the machines, and the machines that no target can serve, with the reason."""

    kinds: tuple[Kind, ...]
    unserved: tuple[tuple[Machine, str], ...]

    @property
    def table(self) -> dict[str, Any]:
        """The keys of [tool.minglibc] for these kinds: lists if each combination exists, else one table for each target."""
        targets = [kind.target for kind in self.kinds]
        pythons = list(dict.fromkeys(str(target.python) for target in targets))
        architectures = list(dict.fromkeys(target.architecture for target in targets))
        caps = dict.fromkeys(target.cap for target in targets)
        if len(caps) == 1 and len(targets) == len(pythons) * len(architectures):
            (cap,) = caps
            table = {cap.libc: str(cap), "python": pythons, "architectures": architectures}
            if tuple(architectures) == DEFAULT_ARCHITECTURES:
                del table["architectures"]
            if libstdcxx := lowest_libstdcxx(target.libstdcxx for target in targets):
                table["libstdcxx"] = libstdcxx
            return table
        return {"target": [{"name": name_of(target), **target.table} for target in targets]}


def name_of(target: Target) -> str:
    """A name for *target* that does not change with its cap: ``cp39-x86_64-glibc``."""
    python = f"cp3{target.python.minor}{'t' if target.python.free_threaded else ''}"
    return f"{python}-{target.architecture}-{target.cap.libc}"


def fleet_of(machines: Iterable[Machine], requires_python: str = "") -> Fleet:
    """The fleet of *machines* for a project with *requires_python*, a valid specifier."""
    groups: dict[tuple[PythonVersion, str, str], list[tuple[Machine, PythonVersion]]] = {}
    unserved = []
    for machine in machines:
        python = selected_python(machine, requires_python)
        if problem := _problem(machine, python, requires_python):
            unserved.append((machine, problem))
        elif python:
            kind = Target(python._replace(patch=None), machine.architecture, machine.cap).kind
            groups.setdefault(kind, []).append((machine, python))
    kinds = [
        Kind(
            _target(python, architecture, [machine for machine, _ in members]),
            tuple(machine for machine, _ in members),
            min(own for _, own in members),
        )
        for (python, architecture, _), members in sorted(groups.items())
    ]
    return Fleet(tuple(kinds), tuple(unserved))


def selected_python(machine: Machine, requires_python: str) -> PythonVersion | None:
    """The interpreter of *machine* for the project: its default one, else the newest that *requires_python* allows."""
    allowed = [python for python in machine.pythons if versions.contains(requires_python, python.full)]
    return allowed[0] if allowed and allowed[0] == machine.pythons[0] else max(allowed, default=None)


def _problem(machine: Machine, python: PythonVersion | None, requires_python: str) -> str:
    """Why no target can serve *machine*; empty if one can."""
    if not machine.pythons:
        return "it has no CPython 3"
    if python is None:
        return f"it has Python {', '.join(map(str, machine.pythons))}, and requires-python is {requires_python}"
    try:
        check_cap(machine.cap, check_architecture(machine.architecture))
    except TargetError as error:
        return error.message
    return ""


def _target(python: PythonVersion, architecture: str, machines: Sequence[Machine]) -> Target:
    """The target that serves all of *machines*."""
    target = Target(python, architecture, min(machine.cap for machine in machines))
    older = [machine.libstdcxx for machine in machines if has_older_libstdcxx(machine, target)]
    return target._replace(libstdcxx=lowest_libstdcxx(older))


def has_older_libstdcxx(machine: Machine, target: Target) -> bool:
    """Whether the libstdc++ of *machine* is older than what wheels for *target* may need."""
    if not machine.libstdcxx or not isinstance(target.cap, GlibcVersion):
        return False
    policy = with_libstdcxx(policy_at(target.cap, target.architecture), target.libstdcxx)
    return not policy.provided_by(machine.libstdcxx)
