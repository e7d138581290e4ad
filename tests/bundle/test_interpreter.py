"""Archives of interpreters that `bundle --interpreter` accepts, and those that it refuses."""

import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from minglibc.bundle import interpreter as module
from minglibc.bundle.interpreter import InterpreterArchive, read_interpreter
from minglibc.errors import EnvironmentProblem
from minglibc.model.architectures import CPU_LEVELS
from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion, Target
from tests.support.elves import elf

TARGET = Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17))
PYTHON = "python/bin/python3.11"
HEADER = {"python/include/python3.11/patchlevel.h": b'#define PY_VERSION      \t"3.11.7"\n'}
LIBRARY = "libpython3.11.so.1.0"


def interpreter(version: str = "2.17", *, rpath: str = "$ORIGIN/../lib", machine: str = "x86_64") -> bytes:
    """An executable that needs glibc *version* and a library of its own."""
    return elf(machine, needs={"libc.so.6": [f"GLIBC_{version}"]}, needed=[LIBRARY], executable=True, rpath=rpath)


def files(content: bytes, **more: bytes) -> dict[str, bytes]:
    """The files of an interpreter whose executable is *content*."""
    return {PYTHON: content, f"python/lib/{LIBRARY}": elf(), "python/lib/python3.11/os.py": b"", **HEADER, **more}


def write(
    path: Path, contents: Mapping[str, bytes], change: Callable[[tarfile.TarFile], None] = lambda archive: None
) -> str:
    """An archive with *contents* and what *change* adds."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        change(archive)
    return str(path)


def member(name: str, kind: bytes, link: str = "", mode: int = 0o644) -> Callable[[tarfile.TarFile], None]:
    """Adds a member to an archive."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, mode
    return lambda archive: archive.addfile(entry)


def read(path: str, target: Target = TARGET, cpu: str = CPU_LEVELS[0]) -> InterpreterArchive:
    """What is read from the archive at *path*."""
    return read_interpreter(path, target, cpu)


def test_relocatable_interpreter(tmp_path: Path) -> None:
    """The interpreter is found in any folder of the archive, also by a link, with its version and missing libraries."""
    contents = files(interpreter(), **{"python/lib/_ssl.so": elf(needed=["libssl.so.3"])})
    archive = read(write(tmp_path / "a.tar.gz", contents))
    assert (PYTHON, "3.11.7", ("libssl.so.3",)) == (archive.executable, archive.version, archive.missing)
    contents = {"bin/python": interpreter(), f"lib/{LIBRARY}": elf()}
    link = member("./bin/python3.11", tarfile.SYMTYPE, "python")
    archive = read(write(tmp_path / "b.tar.gz", contents, link))
    assert ("bin/python3.11", "", ()) == (archive.executable, archive.version, archive.missing)
    exact = Target(PythonVersion(11, 7), "x86_64", GlibcVersion(2, 17))
    assert "3.11.7" == read(write(tmp_path / "c.tar.gz", files(interpreter())), exact).version


CHANGES: dict[str, tuple[Callable[[tarfile.TarFile], None], str]] = {
    "absolute": (member("/etc/passwd", tarfile.REGTYPE), "a path that leads out of it: /etc/passwd"),
    "parent": (member("python/../../x", tarfile.REGTYPE), "a path that leads out of it"),
    "parent folder": (member("..", tarfile.DIRTYPE), "a path that leads out of it"),
    "absolute link": (member("python/x", tarfile.SYMTYPE, "/etc"), "a link that leads out of it: python/x"),
    "parent link": (member("python/x", tarfile.SYMTYPE, "../../x"), "a link that leads out of it: python/x"),
    "hard link": (member("python/x", tarfile.LNKTYPE, "../x"), "a link that leads out of it: python/x"),
    "below a link": (member("python/bin", tarfile.SYMTYPE, "lib"), "a file below a link: python/bin/python3.11"),
    "device": (member("python/null", tarfile.CHRTYPE), "neither a file nor a folder nor a link: python/null"),
    "setuid": (member("python/su", tarfile.REGTYPE, mode=0o4755), "runs as another user: python/su"),
    "long name": (member("x" * 300, tarfile.REGTYPE), "a name that is too long"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_unsafe_members_are_refused(tmp_path: Path, kind: str) -> None:
    """No member may be written outside of the folder to which the archive is unpacked, or be more than a file."""
    change, expected = CHANGES[kind]
    with pytest.raises(EnvironmentProblem) as refusal:
        read(write(tmp_path / "a.tar.gz", files(interpreter()), change))
    assert expected in refusal.value.message
    assert "python-build-standalone" in refusal.value.hint


def test_unusable_interpreters_are_refused(tmp_path: Path) -> None:
    """An interpreter above the cap, for another machine or Python, or that only runs where it was built, is named."""
    exact = Target(PythonVersion(11, 9), "x86_64", GlibcVersion(2, 17))
    musl = Target(PythonVersion(11), "x86_64", MuslVersion(1, 2))
    above = {f"python/lib/{name}.so": elf(needs={"libc.so.6": ["GLIBC_2.34"]}) for name in "abcd"}
    cases = [
        (files(interpreter("2.28")), TARGET, f"exceeds glibc 2.17 (RHEL 7): {PYTHON} needs GLIBC_2.28"),
        (files(interpreter(), **above), TARGET, "python/lib/c.so needs GLIBC_2.34, and 1 more"),
        (files(interpreter()), musl, "exceeds musl 1.2:"),
        (files(interpreter(machine="aarch64")), TARGET, "is for aarch64, the target is CPython 3.11 on x86_64"),
        (files(interpreter()), exact, "contains CPython 3.11.7, the target is CPython 3.11.9"),
        (files(interpreter(rpath="/opt/lib")), TARGET, f"{PYTHON} looks for {LIBRARY} in /opt/lib"),
        ({"python/bin/python3.10": interpreter()}, TARGET, "has no bin/python3.11"),
        ({PYTHON: b"#!/bin/sh\n"}, TARGET, "has no bin/python3.11"),
    ]
    for number, (contents, target, expected) in enumerate(cases):
        with pytest.raises(EnvironmentProblem) as refusal:
            read(write(tmp_path / f"{number}.tar.gz", contents), target)
        assert expected in refusal.value.message


def test_invalid_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other compression, a damaged or huge archive, a folder and a missing file are errors without a traceback."""
    monkeypatch.setattr(module, "BOMB_FREE", 1 << 20)
    path = tmp_path / "a.tar.gz"
    whole = Path(write(path, files(interpreter()))).read_bytes()
    contents = {
        "zstd": (b"\x28\xb5\x2f\xfd", "is not a tar archive that is compressed with gzip"),
        "truncated": (whole[:-20], "is not a valid archive"),
        "text": (gzip.compress(b"no archive"), "is not a valid archive"),
        "huge": (gzip.compress(bytes(2 << 20)), "unpacks to more than 1 MiB"),
        "empty": (b"", "is not a tar archive"),
    }
    for name, (content, expected) in contents.items():
        path = tmp_path / f"{name}.tar.gz"
        path.write_bytes(content)
        with pytest.raises(EnvironmentProblem, match=expected):
            read(str(path))
    for other in (tmp_path, tmp_path / "missing"):
        with pytest.raises(EnvironmentProblem, match="can't read"):
            read(str(other))
