"""Builds for another architecture or C library than the interpreter's: what its modules say about the platform.

CPython builds itself for other machines with the same two variables. Its headers and settings are those of this machine's
interpreter, in which the names of extension modules are replaced.
"""

import os

from minglibc.lock.selection import Machine
from minglibc.model.targets import Target

_MODULE = "_sysconfigdata_minglibc"
_SYSCONFIG = """\
import sys
from importlib import import_module

_own = import_module("_sysconfigdata_%s_%s_%s" % (sys.abiflags, sys.platform, sys.implementation._multiarch))
build_time_vars = dict(_own.build_time_vars)
for _name in ("EXT_SUFFIX", "SOABI", "MULTIARCH"):
    if build_time_vars.get(_name):
        build_time_vars[_name] = build_time_vars[_name].replace(sys.implementation._multiarch, "{multiarch}")
if {is_musl}:
    # Before Python 3.11, some builds for musl have the suffix of glibc; all of them import this one.
    build_time_vars["EXT_SUFFIX"] = ".so"
"""
_SITECUSTOMIZE = """\
import os

_uname = os.uname()
os.uname = lambda: os.uname_result([*_uname[:4], "{architecture}"])
"""
# Their types have the same sizes, so that one interpreter's headers serve all of them.
_ARCHITECTURES = frozenset(("x86_64", "aarch64"))


def is_cross(machine: Machine, target: Target) -> bool:
    """Whether programs for *target* can't run on *machine*."""
    libc = machine.libc.libc if machine.libc is not None else ""
    return (machine.architecture, libc) != (target.architecture, target.cap.libc)


def can_cross(machine: Machine, target: Target) -> bool:
    """Whether an interpreter on *machine* can build for *target*."""
    return {machine.architecture, target.architecture} <= _ARCHITECTURES and machine.libc is not None


def cross_environment(target: Target, folder: str) -> dict[str, str]:
    """The variables with which an interpreter describes *target*; *folder* is new and gets the modules that they name."""
    os.makedirs(folder)
    suffix = "musl" if target.cap.libc == "musl" else "gnu"
    multiarch = f"{target.architecture}-linux-{suffix}"
    modules = {
        _MODULE: _SYSCONFIG.format(multiarch=multiarch, is_musl=target.cap.libc == "musl"),
        "sitecustomize": _SITECUSTOMIZE.format(architecture=target.architecture),
    }
    for name, text in modules.items():
        with open(os.path.join(folder, f"{name}.py"), "w", encoding="utf-8") as file:
            file.write(text)
    return {
        "PYTHONPATH": folder,
        "_PYTHON_SYSCONFIGDATA_NAME": _MODULE,
        "_PYTHON_HOST_PLATFORM": f"linux-{target.architecture}",
        "CARGO_BUILD_TARGET": f"{target.architecture}-unknown-linux-{suffix}",
    }
