"""Wheels, source distributions and ELF files of any content are read or rejected, in limited memory and processor time."""

import io
import os
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minglibc.audit import binaries
from minglibc.audit.elf import MalformedElf, read_elf
from minglibc.build.sdist import open_sdist
from minglibc.errors import WheelError
from minglibc.index import remote_metadata
from minglibc.install.layout import Layout
from minglibc.install.wheel import check
from tests.support.elves import elf
from tests.support.limits import run_limited
from tests.support.sdists import entry_of, tar_of
from tests.support.wheels import build_wheel, tamper

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUT = Layout("/x", "lib/site", "lib/site", "bin", "", "include", "/x/bin/python")
SHORT = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(
    max_examples=int(os.environ.get("MINGLIBC_FUZZ_EXAMPLES", "20000")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
INFO = "b-1.0.dist-info"

pieces = st.one_of(
    st.sampled_from(
        (
            *("b", "b-1.0.data", INFO, "/", "..", "\\", ".", "\0", "\n", "\x1b[2J", "\u202e", "é", "\ud800", " ", ",", '"', "=", ":"),
            *("scripts", "data", "purelib", "pyvenv.cfg", "python", "bin", "lib64", "sha256=", "x" * 300, "a/" * 70, "[", "]", "1" * 5000),
            *("py3-none-any", ".".join(f"p{n}" for n in range(60)) + "-" + ".".join(f"n{n}" for n in range(60)) + "-any", "Tag: ", "\r"),
        )
    ),
    st.text(max_size=8),
)  # fmt: skip
texts = st.lists(pieces, min_size=1, max_size=5).map("".join)
contents = st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
wheels = st.fixed_dictionaries(
    {},
    optional={
        "names": st.dictionaries(texts, contents, max_size=3),
        "RECORD": contents,
        "WHEEL": contents,
        "METADATA": contents,
        "entry_points.txt": contents,
        "cut": st.integers(0, 3000),
        "flip": st.lists(st.integers(0, 3000), max_size=4),
    },
)


def wheel_of(parts: dict[str, object]) -> bytes:
    """A wheel with the members, metadata and damage that *parts* names."""
    built = build_wheel("b", "1.0", scripts={"b": "b:f"})
    replaced = {
        f"{INFO}/{name}": parts[name] for name in ("RECORD", "WHEEL", "METADATA", "entry_points.txt") if name in parts
    }
    added = {name.encode("utf-8", "replace").decode(): content for name, content in parts.get("names", {}).items()}  # type: ignore[attr-defined]
    try:
        content = bytearray(tamper(built, add=added, replace=replaced).content)  # type: ignore[arg-type]
    except (ValueError, UnicodeError, KeyError):
        content = bytearray(built.content)
    for position in parts.get("flip", ()):  # type: ignore[attr-defined]
        content[position % len(content)] ^= 0xFF
    return bytes(content[: -int(str(parts["cut"])) % len(content)] if "cut" in parts else content)


def check_wheel(parts: dict[str, object]) -> None:
    """Read a wheel by all of its readers."""
    content = wheel_of(parts)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "b-1.0-py3-none-any.whl"
        path.write_bytes(content)
        run_limited(partial(_read_wheel, path, content))


def _read_wheel(path: Path, content: bytes) -> None:
    readers: tuple[tuple[Callable[[], object], type[Exception]], ...] = (
        (lambda: check(str(path), path.name, LAYOUT).owned, WheelError),
        (lambda: remote_metadata.read_wheel(content), ValueError),
        (lambda: [binary.path for binary in binaries.of_wheel(str(path), path.name)], WheelError),
    )
    for read, expected in readers:
        try:
            read()
        except expected as error:
            message = getattr(error, "message", "")
            assert message.isprintable(), message


@pytest.mark.slow
@example({"names": {"\0": b""}})
@example({"names": {"b/é": b"x"}, "flip": list(range(300))})
@given(wheels)
@SHORT
def test_wheels(parts: dict[str, object]) -> None:
    """A wheel is valid or rejected, with a message on one line."""
    check_wheel(parts)


@given(wheels)
@LONG
@pytest.mark.nightly
def test_many_wheels(parts: dict[str, object]) -> None:
    """The same with many more examples."""
    check_wheel(parts)


KINDS = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE)
sdists = st.tuples(
    st.lists(st.tuples(texts, st.sampled_from(KINDS), texts, contents), max_size=5),
    st.lists(st.integers(0, 20_000), max_size=4),
    st.booleans(),
)


def check_sdist(parts: tuple[list[tuple[str, bytes, str, bytes]], list[int], bool]) -> None:
    """Read a source distribution."""
    members, flips, zipped = parts
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in {name.partition("\0")[0]: content for name, _, _, content in members}.items():
                archive.writestr(zipfile.ZipInfo(f"b-1.0/{name}".encode("utf-8", "replace").decode()), content)
        data = bytearray(buffer.getvalue())
    else:
        entries = [entry_of("b-1.0/PKG-INFO", b"Name: b\n")]
        for name, kind, link, content in members:
            body = content if kind == tarfile.REGTYPE else b""
            member, target = (text.encode("utf-8", "replace").decode() for text in (f"b-1.0/{name}", link))
            entries.append(entry_of(member, body, type=kind, linkname=target))
        data = bytearray(tar_of(entries))
    for position in flips:
        data[position % len(data)] ^= 0xFF
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"b-1.0.{'zip' if zipped else 'tar.gz'}"
        path.write_bytes(data)
        run_limited(partial(_read_sdist, path, Path(folder) / "out"), WheelError)


def _read_sdist(path: Path, target: Path) -> None:
    target.mkdir()
    with open_sdist(str(path), path.name) as archive:
        archive.pkg_info()
        archive.unpack(str(target))


@pytest.mark.slow
@given(sdists)
@SHORT
def test_sdists(parts: tuple[list[tuple[str, bytes, str, bytes]], list[int], bool]) -> None:
    """A source distribution is unpacked or rejected."""
    check_sdist(parts)


@given(sdists)
@LONG
@pytest.mark.nightly
def test_many_sdists(parts: tuple[list[tuple[str, bytes, str, bytes]], list[int], bool]) -> None:
    """The same with many more examples."""
    check_sdist(parts)


ELVES = [
    elf(executable=True),
    elf("i686", needed=["libm.so.6"], rpath="/lib:/x"),
    elf("s390x", needs={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.4"], "libm.so.6": ["GLIBC_2.2"]}),
    elf(relr=True, soname="libx.so.1"),
]
changes = st.lists(
    st.tuples(st.integers(4, 4000), st.sampled_from((b"\xff", b"\0", b"\1", b"\x7f", b"\xff" * 4, b"\xff" * 8, bytes(8), b"\0\0\0\x40"))),
    min_size=1,
    max_size=6,
)  # fmt: skip


def check_elf(number: int, edits: list[tuple[int, bytes]], size: int) -> None:
    """Read an ELF file with some bytes changed, and zeros after it."""
    data = bytearray(ELVES[number])
    for position, value in edits:
        start = position % len(data)
        data[start : start + len(value)] = value
    run_limited(lambda: read_elf(io.BytesIO(bytes(data) + bytes(size))), MalformedElf)


@pytest.mark.slow
@given(st.integers(0, len(ELVES) - 1), changes, st.sampled_from((0, 1 << 20)))
@SHORT
def test_elf_files(number: int, edits: list[tuple[int, bytes]], size: int) -> None:
    """An ELF file is read or is malformed."""
    check_elf(number, edits, size)


@given(st.integers(0, len(ELVES) - 1), changes, st.sampled_from((0, 1 << 20, 1 << 26)))
@LONG
@pytest.mark.nightly
def test_many_elf_files(number: int, edits: list[tuple[int, bytes]], size: int) -> None:
    """The same with many more examples."""
    check_elf(number, edits, size)
