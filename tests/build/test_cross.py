"""Builds for another architecture or C library than the interpreter's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.build.cross import can_cross, cross_environment, is_cross
from minglibc.build.toolchain import Zig, create_toolchain
from minglibc.build.verified_wheel import Unverified, verify_wheel
from minglibc.lock.selection import Machine
from minglibc.model.targets import LIBCS, PythonVersion, Target
from tests.support.elves import elf
from tests.support.wheels import build_wheel

PYTHON = PythonVersion.parse("3.11")
MACHINE = Machine(PYTHON, "x86_64", LIBCS["glibc"].parse("2.36"))


def target(architecture: str = "aarch64", libc: str = "glibc") -> Target:
    """A target for another machine."""
    return Target(PYTHON, architecture, LIBCS[libc].parse("1.2" if libc == "musl" else "2.17"))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (target(), ["aarch64-linux-gnu.so", "linux-aarch64", "aarch64", "cpython-3"]),
        (target("x86_64", "musl"), [".so", "linux-x86_64", "x86_64", "cpython-3"]),
    ],
)
def test_interpreter_describes_the_target(tmp_path: Path, of: Target, expected: list[str]) -> None:
    """Build backends read the suffix of extension modules, the platform and the processor of the target."""
    code = (
        "import sysconfig, platform; names = sysconfig.get_config_vars();"
        "print(names['EXT_SUFFIX'], sysconfig.get_platform(), platform.machine(), names['SOABI'], sep='\\n')"
    )
    # A measurement of coverage asks for the platform first.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    variables = own | cross_environment(of, str(tmp_path / "platform"))
    ran = subprocess.check_output([sys.executable, "-c", code], env=variables, text=True)
    suffix, system, processor, soabi = ran.splitlines()
    assert suffix.endswith(expected[0])
    assert suffix == ".so" or of.cap.libc == "glibc"
    assert expected[1:3] == [system, processor]
    assert soabi.startswith(expected[3])
    assert soabi.endswith("musl" if of.cap.libc == "musl" else "aarch64-linux-gnu")


def test_cmake_is_told(tmp_path: Path) -> None:
    """CMake does not try to run what it compiles."""
    for name, cross in (("native", False), ("cross", True)):
        tools = create_toolchain(
            Zig("/zig", "1"),
            target(),
            str(tmp_path / name),
            scratch=str(tmp_path),
            cache="/c",
            include="/i",
            cross=cross,
        )
        text = Path(tools.environment["CMAKE_TOOLCHAIN_FILE"]).read_text()
        assert ("set(CMAKE_SYSTEM_PROCESSOR aarch64)" in text) is cross
        assert ("_PYTHON_HOST_PLATFORM" in tools.environment) is cross


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (target("x86_64"), (False, True)),
        (target(), (True, True)),
        (target("x86_64", "musl"), (True, True)),
        (target("i686"), (True, False)),
    ],
)
def test_machines(of: Target, expected: tuple[bool, bool]) -> None:
    """The headers of this machine's interpreter serve 64-bit machines."""
    assert expected == (is_cross(MACHINE, of), can_cross(MACHINE, of))


def test_files_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel for another architecture that a build filled with files of this machine's is an error."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "x86_64")))
    wheel = build_wheel("a", "1.0", "cp311-cp311-linux_aarch64", files={"a.so": elf()})
    (tmp_path / wheel.filename).write_bytes(wheel.content)
    with pytest.raises(Unverified) as raised:
        verify_wheel(str(tmp_path / wheel.filename), target(), str(tmp_path))
    assert "a processor of x86_64, not aarch64" == raised.value.findings[0].detail
