"""Archives of a relocatable interpreter: checked for a target before a bundle contains them."""

import gzip
import posixpath
import re
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from typing import IO, NamedTuple

from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import ABOVE_CAP, Binary, Finding, Kind, audit, read_binary
from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem
from minglibc.model.artifacts import printable
from minglibc.model.distributions import with_distribution
from minglibc.model.limits import BOMB_FREE, BOMB_RATIO, MAX_LINKS, MAX_MEMBERS, path_problem
from minglibc.model.tar_archive import decompress, open_tar
from minglibc.model.targets import PythonVersion, Target

_GZIP = b"\x1f\x8b"
_MAX_HEADER = 64 << 10
_SETUID = 0o6000
_SHOWN = 3
_SOURCE = "use a relocatable build, such as an install_only.tar.gz of python-build-standalone"


class InterpreterArchive(NamedTuple):
    """A checked archive of an interpreter."""

    path: str
    executable: str
    """The path of the interpreter in the archive, such as python/bin/python3.11."""
    version: str
    """Its version as its headers state it; empty without headers."""
    missing: tuple[str, ...]
    """Libraries that its modules need and that some machines lack."""


class _Invalid(ValueError):
    """The archive can't be used; the text continues a sentence whose subject is its path."""


def read_interpreter(path: str, target: Target, cpu: str) -> InterpreterArchive:
    """The archive at *path* if *target*, with the *cpu* level, can unpack and run it; raises EnvironmentProblem."""
    try:
        with tempfile.TemporaryFile() as plain:
            _decompress(path, plain)
            contents = _Contents(plain, target.python)
        executable = contents.executable()
        _check_version(contents.version, target)
        _check_relocatable(contents, executable)
        missing = _check_binaries(contents, executable, target, cpu)
    except _Invalid as error:
        raise EnvironmentProblem(printable(f"{path} {error}"), hint=_SOURCE) from error
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise EnvironmentProblem(printable(f"{path} is not a valid archive: {error}"), hint=_SOURCE) from error
    except OSError as error:
        raise EnvironmentProblem(printable(f"can't read {path}: {error.strerror or error}")) from error
    return InterpreterArchive(path, executable, contents.version, missing)


def _decompress(path: str, plain: IO[bytes]) -> None:
    with open(path, "rb", opener=open_regular) as packed:
        if packed.read(len(_GZIP)) != _GZIP:
            raise _Invalid("is not a tar archive that is compressed with gzip")
        size = packed.seek(0, 2)
        packed.seek(0)
        decompress(packed, plain, max(BOMB_FREE, BOMB_RATIO * size))


class _Contents:
    """The members of an archive that any tar can unpack without leaving its folder."""

    def __init__(self, plain: IO[bytes], python: PythonVersion) -> None:
        name = f"python{python.short}{'t' if python.free_threaded else ''}"
        self._executable = f"bin/{name}"
        self._header = f"include/{name}/patchlevel.h"
        self._links: dict[str, str] = {}
        self._members: set[str] = set()
        self.binaries: dict[str, Binary] = {}
        self.version = ""
        with open_tar(plain) as archive:
            for entry in archive:
                if len(self._members) == MAX_MEMBERS:
                    raise _Invalid(f"has more than {MAX_MEMBERS} members")
                self._add(archive, entry)
        self._check_links()

    def _add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        name = posixpath.normpath(entry.name)
        problem = path_problem(name) or _problem(entry, name)
        if problem:
            raise _Invalid(f"has {problem}")
        self._members.add(name)
        if entry.issym():
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.linkname))
        elif entry.islnk():
            self._links[name] = posixpath.normpath(entry.linkname)
        elif entry.isreg():
            stream = archive.extractfile(entry)
            assert stream is not None  # it is a file
            if name.endswith(self._header):
                match = re.search(rb'#define\s+PY_VERSION\s+"([0-9a-z.+]+)"', stream.read(_MAX_HEADER))
                self.version = match[1].decode() if match else ""
                return
            if binary := read_binary("the interpreter", name, stream):
                self.binaries[name] = binary

    def _check_links(self) -> None:
        for name, link in self._links.items():
            if link.startswith(("/", "../")) or link == "..":
                raise _Invalid(f"has a link that leads out of it: {name}")
        for name in self._members:
            folder = posixpath.dirname(name)
            while folder:
                if folder in self._links:
                    raise _Invalid(f"has a file below a link: {name}")
                folder = posixpath.dirname(folder)

    def executable(self) -> str:
        """The path of the interpreter; raises _Invalid."""
        names = [name for name in self._members if f"/{name}".endswith(f"/{self._executable}")]
        for name in sorted(names, key=lambda name: (name.count("/"), name)):
            if isinstance(self.elf(name), ElfFile):
                return name
        raise _Invalid(f"has no {self._executable}, which the target needs")

    def elf(self, name: str) -> ElfFile | None:
        """The ELF file *name*, which may be a link."""
        for _ in range(MAX_LINKS):
            if name not in self._links:
                break
            name = self._links[name]
        content = self.binaries[name].content if name in self.binaries else None
        return content if isinstance(content, ElfFile) else None

    def has_library(self, library: str) -> bool:
        """Whether there is a file with this name."""
        return any(posixpath.basename(name) == library for name in self._members)


def _problem(entry: tarfile.TarInfo, name: str) -> str:
    """Why *entry* must not be unpacked; empty if it may."""
    if entry.name.startswith("/") or name == ".." or name.startswith("../"):
        return f"a path that leads out of it: {entry.name[:200]}"
    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
        return f"a member that is neither a file nor a folder nor a link: {name}"
    if entry.isreg() and entry.mode & _SETUID:
        return f"a file that runs as another user: {name}"
    return ""


def _check_version(version: str, target: Target) -> None:
    if target.python.patch is not None and version not in {"", target.python.full}:
        raise _Invalid(f"contains CPython {version}, the target is {target}")


def _check_relocatable(contents: _Contents, executable: str) -> None:
    """Raise _Invalid where the interpreter finds its own libraries only in the folder that it was built for."""
    elf = contents.elf(executable)
    assert elf is not None  # the interpreter is one
    libraries = [library for library in elf.needed if contents.has_library(library)]
    if libraries and not any("ORIGIN" in folder for folder in elf.search):
        where = ", ".join(elf.search) or "the system's folders"
        raise _Invalid(f"is not relocatable: {executable} looks for {libraries[0]} in {where}")


def _check_binaries(contents: _Contents, executable: str, target: Target, cpu: str) -> tuple[str, ...]:
    """The libraries that some machines lack; raises _Invalid for what no machine at the cap can load."""
    elf = contents.elf(executable)
    if elf is None or elf.architecture != target.architecture:
        architecture = elf.architecture if elf is not None else None
        raise _Invalid(f"is for {architecture or 'another processor'}, the target is {target}")
    findings = audit(contents.binaries.values(), [target.architecture], target.cap, cpu, target.libstdcxx)
    above = [finding for finding in findings if finding.kind in ABOVE_CAP or finding.kind is Kind.CPU]
    if above:
        raise _Invalid(f"exceeds {with_distribution(target.cap)}: {_listed(above)}")
    return tuple(dict.fromkeys(finding.library for finding in findings if finding.kind is Kind.LIBRARY))


def _listed(findings: Sequence[Finding]) -> str:
    texts = [f"{finding.path} needs {finding.version or finding.library}" for finding in findings[:_SHOWN]]
    more = f", and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return f"{', '.join(texts)}{more}"
