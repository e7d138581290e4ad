"""The machines of a fleet, measured over ssh or read from files, and how a lock serves them."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from minglibc.app.lock_file import read_lock_file
from minglibc.app.options import CommonOptions
from minglibc.config import files
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.fleet.facts import dump_fleet, read_facts
from minglibc.fleet.inventory import Host, parse_address, parse_inventory
from minglibc.fleet.machine import Machine
from minglibc.fleet.targets import has_older_libstdcxx, selected_python
from minglibc.lock import selection
from minglibc.lock.reader import Lock
from minglibc.model import versions
from minglibc.model.targets import NEWEST_PATCH, PythonVersion, Target

if TYPE_CHECKING:
    from minglibc.fleet.ssh import Measurement

FLEET_FILE = "fleet.json"
DEFAULT_TIMEOUT = 30.0
# Facts of a machine have about 50 kB.
_LARGEST_FILE = 64 << 20


class FleetOptions(NamedTuple):
    """Where the machines are named."""

    hosts: Sequence[str] = ()
    """Destinations of ssh."""
    inventories: Sequence[str] = ()
    """Paths of files with hosts, one a line, or of static Ansible inventories."""
    facts: Sequence[str] = ()
    """Paths of ``fleet.json`` files, or of Ansible's facts as JSON."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds for each host."""
    images: Sequence[str] = ()
    """Paths of container images."""

    @property
    def are_given(self) -> bool:
        """Whether any machine is named."""
        return bool(self.hosts or self.inventories or self.facts or self.images)


class Machines(NamedTuple):
    """The machines, and the hosts that could not be measured, with the reason."""

    machines: tuple[Machine, ...]
    failed: "tuple[Measurement, ...]" = ()


def measure_machines(options: FleetOptions) -> Machines:
    """The machines that *options* name; raises SettingsError with all mistakes of a file, or where none could be measured."""
    hosts: dict[str, Host] = {}
    for address in options.hosts:
        hosts.setdefault(address, parse_address(address))
    for path in options.inventories:
        for host in parse_inventory(_read(path), path):
            hosts.setdefault(host.name, host)
    machines = [machine for path in options.facts for machine in read_facts(_read(path), path)]
    machines += _of_images(options.images)
    measurements = _measured(tuple(hosts.values()), options.timeout)
    machines += [measurement.machine for measurement in measurements if measurement.machine]
    failed = tuple(measurement for measurement in measurements if not measurement.machine)
    if not machines:
        reasons = "\n".join(f"  {measurement.problem}" for measurement in failed)
        raise SettingsError(
            f"no host could be measured:\n{reasons}", hint="check that `ssh HOST true` works without a password"
        )
    return Machines(tuple(machines), failed)


def _of_images(paths: Sequence[str]) -> list[Machine]:
    if not paths:
        return []
    from minglibc.fleet.image import measure_image  # noqa: PLC0415  60 ms, and `init` rarely reads images

    return [measure_image(path) for path in paths]


def _measured(hosts: Sequence[Host], timeout: float) -> "Sequence[Measurement]":
    if not hosts:
        return ()
    from minglibc.fleet.ssh import measure_all  # noqa: PLC0415  25 ms, and `init` and `check` rarely measure

    return measure_all(hosts, timeout=timeout)


def write_fleet(folder: str, machines: Sequence[Machine]) -> None:
    """Write fleet.json to *folder*; raises SettingsError if another file has this name."""
    path = os.path.join(folder, FLEET_FILE)
    text = files.read_file(path)
    if text is not None:
        try:
            read_facts(text, path)
        except SettingsError as error:
            raise SettingsError(f"{path} was not made by minglibc, and is not overwritten", hint="rename it") from error
    files.replace_file(path, dump_fleet(machines).encode())


def _read(path: str) -> str:
    with suppress(OSError):
        if os.path.getsize(path) > _LARGEST_FILE:
            raise SettingsError(f"{path} is larger than {_LARGEST_FILE >> 20} MB", hint="split it, and name each part")
    text = files.read_file(path)
    if text is None:
        raise SettingsError(f"there is no file {path}")
    return text


class Served(NamedTuple):
    """A machine with the target of the lock that serves it, or the problems."""

    machine: Machine
    target: Target | None
    problems: tuple[str, ...] = ()


def check_machines(machines: Sequence[Machine], common: CommonOptions, lock: str | None = None) -> list[Served]:
    """How the lock serves each of *machines*; raises MinglibcError where the lock can't be read."""
    read = read_lock_file(common, lock).lock
    return [_served(machine, read) for machine in machines]


def _served(machine: Machine, lock: Lock) -> Served:
    requires_python = str(lock.pylock.requires_python or "")
    problems = []
    # Any of its interpreters can be selected with --python.
    for python in dict.fromkeys([selected_python(machine, requires_python), *machine.pythons]):
        if python is None:
            continue
        measured = selection.Machine(python, machine.architecture, machine.cap)
        try:
            target = selection.choose_target(measured, lock.targets)
            _check_libstdcxx(machine, target)
            _check_python(python, lock, target)
        except EnvironmentProblem as error:
            problems.append(error.message)
        else:
            return Served(machine, target)
    return Served(machine, None, tuple(dict.fromkeys(problems)) or ("it has no CPython that the lock supports",))


def _check_python(python: PythonVersion, lock: Lock, target: Target) -> None:
    """Raise EnvironmentProblem with all packages that exclude the patch release *python*."""
    excluding = []
    for package, _ in lock.select(target):
        specifier = str(package.requires_python or "")
        if not versions.contains(specifier, python.full):
            newer = range((python.patch or 0) + 1, NEWEST_PATCH[python.minor] + 1)
            first = next((patch for patch in newer if versions.contains(specifier, f"{python.short}.{patch}")), None)
            needs = f"{python.short}.{first} or newer" if first is not None else specifier
            excluding.append(f"{package.name} {package.version} ({needs})")
    if excluding:
        raise EnvironmentProblem(f"Python {python.full} is excluded by {', '.join(excluding)}")


def _check_libstdcxx(machine: Machine, target: Target) -> None:
    """Raise EnvironmentProblem where wheels for *target* may need a newer libstdc++ than *machine* has."""
    if has_older_libstdcxx(machine, target):
        raise EnvironmentProblem(
            f"libstdc++ has GLIBCXX_{machine.libstdcxx}, and wheels for {target} may need a newer one; "
            f'set libstdcxx = "{machine.libstdcxx}" for the target'
        )
