"""The output of measure.sh → a Machine. It comes from another machine: every line is validated."""

import re
from collections.abc import Callable, Mapping

from minglibc.errors import EnvironmentProblem, TargetError
from minglibc.fleet.machine import Machine, cpu_level
from minglibc.model.targets import LIBCS, Cap, PythonVersion

_FIRST, _LAST = "minglibc-facts 1", "end"
_VALUES: Mapping[str, str] = {
    "architecture": r"[A-Za-z0-9_-]{1,30}",
    "system": r"[A-Za-z0-9_./-]{1,30}",
    "glibc": r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?",
    "musl": r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:-[A-Za-z0-9]{1,20})?",
    "id": r"[a-z0-9._-]{1,40}",
    "version": r"[A-Za-z0-9._-]{1,40}",
    "libstdcxx": r"/\S{1,200}/libstdc\+\+\.so\.6\.0\.[0-9]{1,3}",
    "cpu": r"[a-z0-9_ ]{1,8000}",
    "free": r"[0-9]{1,18}",
}
_PYTHON = re.compile(r"([a-z]{1,20}) (3\.[0-9]{1,3}\.[0-9]{1,3})\S{0,9} ([a-z]{1,5}|-) (/\S{1,300})", re.ASCII)


def read_measurement(name: str, text: str) -> Machine:
    """The machine *name* whose measurement printed *text*; raises EnvironmentProblem."""
    # A shell that prints a greeting does so before the first line.
    _, first, lines = text.replace("\r", "").rpartition(f"{_FIRST}\n")
    if not first or not lines.rstrip().endswith(_LAST):
        raise EnvironmentProblem(f"{name}: the measurement is incomplete; its shell must be a POSIX shell")
    values: dict[str, str] = {}
    for line in lines.splitlines():
        key, _, value = line.partition(" ")
        if key in _VALUES and re.fullmatch(_VALUES[key], value, re.ASCII):
            values.setdefault(key, value)
    if values.get("system") != "Linux":
        raise EnvironmentProblem(f"{name}: its system is {values.get('system', 'unknown')}, not Linux")
    architecture = values.get("architecture", "")
    identity = values.get("id", "")
    return Machine(
        name,
        architecture,
        _cap(name, values),
        tuple(read_interpreters(text)),
        f"{identity}-{values['version']}" if identity and "version" in values else identity,
        f"3.4.{values['libstdcxx'].rpartition('.')[2]}" if "libstdcxx" in values else "",
        cpu_level(values["cpu"].split()) if "cpu" in values and architecture == "x86_64" else "",
        int(values["free"]) if "free" in values else None,
    )


def read_interpreters(text: str) -> dict[PythonVersion, str]:
    """The path of each CPython of the machine whose measurement printed *text*, the default one first."""
    _, _, lines = text.replace("\r", "").rpartition(f"{_FIRST}\n")
    interpreters: dict[PythonVersion, str] = {}
    for line in lines.splitlines():
        if line.startswith("python "):
            for version, path in _python(line.removeprefix("python ")).items():
                interpreters.setdefault(version, path)
    return interpreters


def _python(value: str) -> dict[PythonVersion, str]:
    match = _PYTHON.fullmatch(value)
    if not match or match[1] != "cpython":
        return {}
    try:
        return {PythonVersion.parse(f"{match[2]}{'t' if 't' in match[3] else ''}"): match[4]}
    except TargetError:
        return {}


def _cap(name: str, values: Mapping[str, str]) -> Cap:
    parse: Callable[[str], Cap]
    for libc, version in LIBCS.items():
        if libc in values:
            parse = version.parse
            try:
                return parse(".".join(values[libc].split(".")[:2]))
            except TargetError as error:
                raise EnvironmentProblem(f"{name}: {error.message}") from error
    raise EnvironmentProblem(f"{name}: its C library is neither glibc nor musl, or its version can't be found")
