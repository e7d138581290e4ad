"""Container images that are measured as machines."""

from pathlib import Path

import pytest

from minglibc.errors import EnvironmentProblem
from minglibc.fleet.image import measure_image
from tests.support.commands import minglibc
from tests.support.elves import elf
from tests.support.images import Layer, write_image

BANNER = b"\nGNU C Library (Debian GLIBC 2.31-13) stable release version 2.31.\n\0"
PROGRAM = elf(needs={"libc.so.6": ["GLIBC_2.17"]}, executable=True)
DEBIAN: Layer = [
    ("usr/lib/x86_64-linux-gnu/libc-2.31.so", elf() + BANNER),
    ("usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.28", elf()),
    ("usr/lib/os-release", b'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="11"\n'),
    ("etc/os-release", "->../usr/lib/os-release"),
    ("usr/bin/python3.9", PROGRAM + b"\x003.9.2\x00"),
    ("etc/alternatives/python3", "->/usr/bin/python3.9"),
    ("usr/bin/python3", "->/etc/alternatives/python3"),
]
# Images of Python have another interpreter before the distribution's.
PYTHON: Layer = [
    ("usr/local/bin/python3.12", PROGRAM),
    ("usr/local/bin/python3", "->python3.12"),
    ("usr/local/bin/python3.12-config", b"#!/bin/sh"),
    ("usr/local/lib/libpython3.12.so.1.0", elf() + b"\x003.12.7\x00"),
]
ALPINE: Layer = [
    ("lib/ld-musl-aarch64.so.1", elf("aarch64") + b"\x001.2.4\x00"),
    ("bin/busybox", elf("aarch64", executable=True)),
    ("usr/bin/python3.11", elf("aarch64", executable=True) + b"\x003.11.6\x00"),
    ("usr/bin/python3", "->python3.11"),
]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([DEBIAN], ("x86_64", "glibc 2.31", ["3.9.2"], "debian-11", "3.4.28")),
        ([DEBIAN, PYTHON], ("x86_64", "glibc 2.31", ["3.12.7", "3.9.2"], "debian-11", "3.4.28")),
        ([ALPINE], ("aarch64", "musl 1.2", ["3.11.6"], "", "")),
    ],
    ids=["debian", "python", "alpine"],
)
def test_machines(tmp_path: Path, layers: list[Layer], expected: tuple[object, ...]) -> None:
    """The C library, the interpreters in the order of PATH, the distribution and libstdc++ are read from the files."""
    machine = measure_image(str(write_image(tmp_path / "app.tar", layers, "docker")))
    assert "app.tar" == machine.name
    pythons = [str(python) for python in machine.pythons]
    assert expected == (machine.architecture, machine.cap.named, pythons, machine.distribution, machine.libstdcxx)


def test_hostile_links(tmp_path: Path) -> None:
    """Links that lead out of the image or nowhere are no interpreters."""
    outside = tmp_path / "python3.9"
    outside.write_bytes(PROGRAM + b"\x003.9.9\x00")
    links = [("usr/local/bin/python3.9", f"->../../../../../..{outside}"), ("bin/python3.8", "->python3.8")]
    assert "3.9.2" == str(measure_image(str(write_image(tmp_path / "a.tar", [DEBIAN, links], "docker"))).pythons[0])


def test_image_without_a_c_library(tmp_path: Path) -> None:
    """An image without glibc and musl, such as one of a static program, is an error; so is a file that is no image."""
    image = write_image(tmp_path / "a.tar", [[("app", elf(static=True, executable=True))]], "docker")
    with pytest.raises(EnvironmentProblem, match="has neither glibc nor musl"):
        measure_image(str(image))
    with pytest.raises(EnvironmentProblem, match="is not"):
        measure_image(__file__)


def test_init(tmp_path: Path) -> None:
    """`init --image` writes the target and fleet.json, with which `check` compares the lock."""
    image = write_image(tmp_path / "app.tar", [DEBIAN], "docker")
    folder = tmp_path / "project"
    folder.mkdir()
    ran = minglibc("init", "--project", str(folder), "--image", str(image))
    assert (0, "") == (ran.code, ran.out.partition("Added")[0]), ran.err
    assert '[tool.minglibc]\nglibc = "2.31"\npython = ["3.9"]\n' in (folder / "pyproject.toml").read_text()
    assert '"python": [\n        "3.9.2"\n      ]' in (folder / "fleet.json").read_text()
    ran = minglibc("init", "--project", str(folder), "--image", str(image), "--glibc", "2.17")
    assert (2, True) == (ran.code, "--glibc can't be combined with machines" in ran.err)
