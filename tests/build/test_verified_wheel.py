"""Built wheels: checked against the cap, and written with the tag that they meet."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from minglibc.build.verified_wheel import Unverified, verify_wheel
from minglibc.model.targets import LIBCS, PythonVersion, Target
from tests.support.elves import elf
from tests.support.wheels import BuiltWheel, build_wheel

LINUX = "cp311-cp311-linux_x86_64"


def target(cap: str = "2.17", libc: str = "glibc", architecture: str = "x86_64") -> Target:
    """A target with Python 3.11."""
    return Target(PythonVersion.parse("3.11"), architecture, LIBCS[libc].parse(cap))


def needing(glibc: str) -> bytes:
    """A shared object that needs a version of glibc."""
    return elf(needs={"libc.so.6": [f"GLIBC_{glibc}"]})


def written(path: Path, wheel: BuiltWheel) -> str:
    """The path of *wheel* in the folder *path*."""
    (path / wheel.filename).write_bytes(wheel.content)
    return str(path / wheel.filename)


def verified(tmp_path: Path, wheel: BuiltWheel, of: Target) -> Path:
    """The verified wheel."""
    folder = tmp_path / "verified"
    folder.mkdir(exist_ok=True)
    return Path(verify_wheel(written(tmp_path, wheel), of, str(folder)).path)


@pytest.mark.parametrize(
    ("needs", "of", "platform"),
    [
        ("2.2.5", target(), "manylinux1_x86_64.manylinux_2_5_x86_64"),
        ("2.14", target(), "manylinux2014_x86_64.manylinux_2_17_x86_64"),
        ("2.17", target("2.28"), "manylinux2014_x86_64.manylinux_2_17_x86_64"),
        ("2.18", target("2.20"), "manylinux_2_20_x86_64"),
        ("2.18", target("2.28"), "manylinux_2_24_x86_64"),
    ],
)
def test_tag_is_the_lowest_policy(tmp_path: Path, needs: str, of: Target, platform: str) -> None:
    """The platform is the lowest policy that the binaries meet, up to the cap, with a build tag before it."""
    wheel = build_wheel("a", "1.0", LINUX, files={"a.so": needing(needs)})
    path = verified(tmp_path, wheel, of)
    assert f"a-1.0-1minglibc-cp311-cp311-{platform}.whl" == path.name
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("a-1.0.dist-info/WHEEL").decode().splitlines()
        assert archive.testzip() is None
    assert "Build: 1minglibc" in lines
    assert [f"Tag: cp311-cp311-{tag}" for tag in platform.split(".")] == [line for line in lines if "Tag:" in line]


def test_pure_wheel_stays_pure(tmp_path: Path) -> None:
    """A wheel without binaries keeps its tag, so that it serves every target."""
    path = verified(tmp_path, build_wheel("a", "1.0"), target())
    assert "a-1.0-1minglibc-py3-none-any.whl" == path.name


def test_binaries_of_a_pure_name(tmp_path: Path) -> None:
    """A wheel with binaries gets a platform, whatever its name was."""
    path = verified(tmp_path, build_wheel("a", "1.0", files={"a.so": needing("2.14")}), target())
    assert "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64" in path.name


@pytest.mark.parametrize(
    ("content", "needs"),
    [
        (needing("2.18"), "GLIBC_2.18"),
        (elf(needed=("libpq.so.5",)), "libpq.so.5"),
    ],
)
def test_above_the_cap(tmp_path: Path, content: bytes, needs: str) -> None:
    """A newer glibc and libraries outside of the policy are named."""
    with pytest.raises(Unverified) as raised:
        verified(tmp_path, build_wheel("a", "1.0", LINUX, files={"a.so": content}), target())
    assert any(needs in str(finding) for finding in raised.value.findings)


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither the order of members nor their times change the result."""
    wheel = build_wheel("a", "1.0", LINUX, files={"a.so": needing("2.14"), "a/__init__.py": "", "b/__init__.py": "x\n"})
    first = verified(tmp_path, wheel, target()).read_bytes()
    with zipfile.ZipFile(tmp_path / wheel.filename) as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    os.unlink(tmp_path / wheel.filename)
    with zipfile.ZipFile(tmp_path / wheel.filename, "w") as archive:
        for name in reversed(contents):
            archive.writestr(zipfile.ZipInfo(name, (2020, 2, 2, 2, 2, 2)), contents[name])
    second = verify_wheel(str(tmp_path / wheel.filename), target(), str(tmp_path / "verified"))
    assert first == Path(second.path).read_bytes()


@pytest.mark.slow
def test_pip_accepts_the_result(tmp_path: Path) -> None:
    """RECORD and WHEEL are consistent: pip installs the wheel and verifies nothing else."""
    wheel = build_wheel("a", "1.0", LINUX, files={"a.so": needing("2.14"), "a/__init__.py": "x = 1\n"})
    path = verified(tmp_path, wheel, target())
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--only-binary=:all:"]
    options = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "--target", str(tmp_path / "site")]
    subprocess.run([*command, *options, path], check=True, capture_output=True)
    assert (tmp_path / "site/a/__init__.py").is_file()


def compiled(folder: Path, code: str) -> bytes:
    """A shared object that is not linked with a C library."""
    (folder / "a.c").write_text(code)
    command = ["cc", "-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-w", "-o", "a.so", "a.c"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "a.so").read_bytes()


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on this machine")
def test_functions_that_the_cap_lacks(tmp_path: Path) -> None:
    """A function of a newer glibc, which the linker did not find, is an error; those of the interpreter and the wheel are not."""
    code = "void own(void); void explicit_bzero(char *, long); void PyInit_a(void) { own(); %s }"
    own = compiled(tmp_path, "void own(void) {}")
    good = compiled(tmp_path, code % "PyErr_Clear();")
    bad = compiled(tmp_path, code % "explicit_bzero(0, 0);")
    files = {"a/own.so": own}
    assert verified(tmp_path, build_wheel("a", "1.0", LINUX, files={**files, "a/a.so": good}), target())
    with pytest.raises(Unverified) as raised:
        verified(tmp_path, build_wheel("a", "1.1", LINUX, files={**files, "a/a.so": bad}), target())
    (finding,) = raised.value.findings
    assert ("a/a.so", "functions that glibc 2.17 lacks: explicit_bzero") == (finding.path, finding.detail)
