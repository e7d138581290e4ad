"""What machines print about themselves."""

import shutil
import subprocess
from importlib.resources import files

import pytest

from minglibc.errors import EnvironmentProblem
from minglibc.fleet.machine import Machine, cpu_level
from minglibc.fleet.measurement import read_measurement
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion

OUTPUT = """\
Last login: today
minglibc-facts 1
system Linux
architecture x86_64
glibc 2.28
id rhel
version 8.6
libstdcxx /usr/lib64/libstdc++.so.6.0.25
cpu fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3
free 1024
python cpython 3.6.8 m /usr/bin/python3
python pypy 3.9.1 - /usr/bin/pypy3
python cpython 3.13.0rc1 t /opt/python3.13t
end
"""


def test_output() -> None:
    """A complete output becomes a machine; interpreters that are not CPython are left out."""
    assert read_measurement("a", OUTPUT) == Machine(
        "a",
        "x86_64",
        GlibcVersion(2, 28),
        (PythonVersion(6, 8), PythonVersion(13, 0, free_threaded=True)),
        "rhel-8.6",
        "3.4.25",
        "x86-64-v2",
        1024,
    )


def test_musl() -> None:
    """A machine with musl has its version as tags have it."""
    machine = read_measurement("a", OUTPUT.replace("glibc 2.28", "musl 1.2.5"))
    assert machine.cap == MuslVersion(1, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("end\n", "", "incomplete"),
        ("minglibc-facts 1", "minglibc-facts 2", "incomplete"),
        ("system Linux", "system Darwin", "Darwin, not Linux"),
        ("glibc 2.28", "glibc \x1b[31m2.28", "neither glibc nor musl"),
        ("glibc 2.28", "glibc 3.1", "no glibc 3.1"),
        ("glibc 2.28", "glibc " + "9" * 5000, "neither glibc nor musl"),
        (OUTPUT, "", "incomplete"),
    ],
)
def test_invalid_output(old: str, new: str, message: str) -> None:
    """Output that is incomplete or invalid is an error, and never reaches the terminal."""
    with pytest.raises(EnvironmentProblem, match=message) as caught:
        read_measurement("a", OUTPUT.replace(old, new))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "line",
    ["python cpython 3.99.1 - /x", "python cpython 2.7.1 - /x", "python cpython 3.9.1 -", "id ROOT\x1b", "x" * 9000],
)
def test_invalid_lines_are_ignored(line: str) -> None:
    """A line that is not valid changes nothing."""
    assert read_measurement("a", OUTPUT.replace("end\n", f"{line}\nend\n")) == read_measurement("a", OUTPUT)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_script(shell: str) -> None:
    """The script works in each shell, and what it prints is complete."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = files("minglibc.fleet").joinpath("measure.sh").read_bytes()
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/"}
    output = subprocess.run([shell, "-s"], input=script, env=variables, capture_output=True, check=True).stdout.decode()
    machine = read_measurement("here", output)
    assert machine.architecture
    assert machine.free_kib


def test_cpu_levels() -> None:
    """A level needs all flags of the levels below it."""
    v2 = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"]
    v3 = ["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"]
    assert [cpu_level(flags) for flags in ([], v2, v3, v2 + v3)] == ["x86-64", "x86-64-v2", "x86-64", "x86-64-v3"]
