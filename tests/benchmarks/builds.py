"""Compiled packages, built from source under a cap with zig and with this machine's own compiler."""

import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from minglibc.app import BuildOptions, BuildOutcome, CommonOptions, build_wheels
from minglibc.app.reporter import SILENT
from minglibc.audit.binaries import of_wheel
from minglibc.audit.elf import ElfFile
from minglibc.audit.rules import highest_glibc
from minglibc.config.settings import TOOLCHAINS, Overrides
from minglibc.errors import MinglibcError
from tests.support import oldglibc

CAP, PYTHON = "2.17", "3.9"
WITHIN = "within the cap"


class Package(NamedTuple):
    """A package that needs no other shared library, its build system, and the module to import."""

    name: str
    system: str
    module: str = ""


PACKAGES = (
    Package("msgpack", "setuptools, Cython"),
    Package("psutil", "setuptools"),
    Package("lz4", "setuptools, setuptools-scm", "lz4.frame"),
    Package("ujson", "setuptools"),
    Package("simplejson", "setuptools", "simplejson._speedups"),
    Package("markupsafe", "setuptools", "markupsafe._speedups"),
    Package("regex", "setuptools"),
    Package("wrapt", "setuptools", "wrapt._wrappers"),
    Package("frozenlist", "own backend, Cython", "frozenlist._frozenlist"),
    Package("multidict", "setuptools"),
    Package("propcache", "own backend, Cython"),
    Package("yarl", "own backend, Cython"),
    Package("xxhash", "setuptools"),
    Package("bitarray", "setuptools"),
    Package("mmh3", "setuptools"),
    Package("crc32c", "setuptools"),
    Package("pycryptodome", "setuptools", "Crypto.Cipher.AES"),
    Package("greenlet", "setuptools, C++"),
    Package("httptools", "setuptools, Cython", "httptools.parser.parser"),
    Package("websockets", "setuptools", "websockets.speedups"),
    Package("tornado", "setuptools", "tornado.speedups"),
    Package("immutables", "setuptools", "immutables._map"),
    Package("cytoolz", "setuptools, Cython"),
    Package("ciso8601", "setuptools"),
    Package("kiwisolver", "setuptools, C++"),
    Package("editdistance", "setuptools, Cython, C++"),
    Package("zstandard", "setuptools"),
    Package("brotli", "setuptools, C++", "_brotli"),
    Package("pyclipper", "setuptools, Cython, C++"),
    Package("spglib", "scikit-build-core"),
    Package("levenshtein", "scikit-build-core, Cython, C++", "Levenshtein.levenshtein_cpp"),
    Package("rapidfuzz", "scikit-build-core, Cython, C++"),
    Package("contourpy", "meson-python, C++"),
    Package("pywavelets", "meson-python, Cython", "pywt"),
    Package("orjson", "maturin, Rust"),
    Package("pymongo", "hatchling with a build hook", "bson._cbson"),
    Package("dbus-fast", "poetry-core, Cython", "dbus_fast._private.unmarshaller"),
    Package("boost-histogram", "scikit-build-core, C++", "boost_histogram._core"),
    Package("hiredis", "setuptools"),
    Package("cbor2", "setuptools", "_cbor2"),
    Package("aiohttp", "setuptools, Cython", "aiohttp._http_parser"),
    Package("argon2-cffi-bindings", "setuptools, cffi", "_argon2_cffi_bindings"),
    Package("uvloop", "setuptools, Cython, configure", "uvloop.loop"),
    Package("gevent", "setuptools, Cython, configure", "gevent.core"),
    Package("pynacl", "setuptools, cffi, configure", "nacl.bindings"),
    Package("lupa", "setuptools, Cython, make"),
    Package("pyroaring", "setuptools, Cython"),
    Package("setproctitle", "setuptools"),
    Package("fastrlock", "setuptools, Cython", "fastrlock.rlock"),
    Package("cymem", "setuptools, Cython", "cymem.cymem"),
    Package("murmurhash", "setuptools, Cython, C++", "murmurhash.mrmr"),
    Package("pyahocorasick", "setuptools", "ahocorasick"),
    Package("posix-ipc", "setuptools", "posix_ipc"),
    Package("numpy", "meson-python, C++", "numpy.linalg"),
)


class Row(NamedTuple):
    """The outcome of one build."""

    release: str
    seconds: float
    result: str
    glibc: str
    imported: str = ""

    @property
    def is_within_cap(self) -> bool:
        """Whether a wheel with compiled files was built that machines at the cap can use."""
        return self.result == WITHIN


class Results:
    """The rows that were measured, kept in a JSON file if there is one, so that an interrupted table can be completed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        recorded = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}
        self._rows = {key: Row(*values) for key, values in recorded.items()}

    def row(self, package: Package, toolchain: str) -> Row | None:
        """What was measured for *package*."""
        return self._rows.get(f"{package.name} {toolchain}")

    def add(self, package: Package, toolchain: str, row: Row) -> None:
        """Record *row*."""
        self._rows[f"{package.name} {toolchain}"] = row
        if self._path is not None:
            self._path.write_text(json.dumps(self._rows, indent=1), encoding="utf-8")


def build(package: Package, toolchain: str, folder: Path, cache: str) -> Row:
    """Build the newest release of *package* that supports the Python, and import zig's result on the old glibc."""
    # A build of zig would also serve the other compiler.
    own_cache = str(Path(cache, toolchain))
    options = BuildOptions(
        CommonOptions(str(folder), own_cache), [package.name], str(folder / toolchain), Overrides(toolchain=toolchain)
    )
    started = time.monotonic()
    try:
        (outcome,) = build_wheels(options, SILENT)
    except MinglibcError as error:
        return Row(package.name, time.monotonic() - started, first_line(error.message), "")
    row = evaluated(outcome, time.monotonic() - started)
    if toolchain != "zig" or not row.is_within_cap:
        return row
    return row._replace(imported=import_on_old_glibc(package, outcome.wheel, folder / "site"))


def evaluated(outcome: BuildOutcome, seconds: float) -> Row:
    """The row of a build that ended after *seconds*."""
    if outcome.error is not None:
        symbol = re.search(r"needs ((?:GLIBC|GLIBCXX|CXXABI|GCC)_[0-9.]+)", outcome.error.message)
        text = "above the cap" if symbol else first_line(outcome.error.hint or outcome.error.message)
        return Row(outcome.release, seconds, text, symbol[1].removeprefix("GLIBC_") if symbol else "")
    glibc = glibc_of(outcome.wheel)
    return Row(outcome.release, seconds, WITHIN if glibc else "no compiled files", glibc)


def first_line(text: str) -> str:
    """The start of a message, for a cell of a table."""
    return text.partition("\n")[0].replace("|", "/")[:80]


def glibc_of(wheel: str) -> str:
    """The highest version of glibc that a wheel needs; empty if it has no compiled files."""
    contents = [binary.content for binary in of_wheel(wheel, Path(wheel).name)]
    versions = [highest_glibc(content) for content in contents if isinstance(content, ElfFile)]
    return str(max((version for version in versions if version), default="none")) if contents else ""


def import_on_old_glibc(package: Package, wheel: str, site: Path) -> str:
    """Whether the module of *wheel* can be imported by Python 3.9 on glibc 2.31; empty where there is none."""
    try:
        python, installer = oldglibc.old_python(), oldglibc.interpreter(PYTHON)
    except oldglibc.Unavailable:
        return ""
    # pip evaluates markers for the Python that runs it: some dependencies are only for this one.
    command = [str(installer), "-m", "pip", "install", "-q", "--target", str(site)]
    options = ["--platform", "manylinux2014_x86_64", "--only-binary=:all:", "--upgrade", wheel]
    installed = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if installed.returncode:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    module = package.module or package.name.replace("-", "_")
    ran = python.run(f"import {module}", site_packages=site)
    return "yes" if not ran.returncode else first_line(ran.stderr.strip().splitlines()[-1])


def measure(packages: Sequence[Package], toolchains: Sequence[str], results: Results, cache: str | None) -> None:
    """Build what *results* lack, one after the other."""
    with tempfile.TemporaryDirectory(prefix="builds-") as temporary:
        folder = Path(temporary, "project")
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "builds"\nversion = "1"\n[tool.minglibc]\nglibc = "{CAP}"\npython = ["{PYTHON}"]\n',
            encoding="utf-8",
        )
        for toolchain in toolchains:
            for package in packages:
                if results.row(package, toolchain) is None:
                    row = build(package, toolchain, folder, cache or str(Path(temporary, "cache")))
                    results.add(package, toolchain, row)
                    print(toolchain, *row, file=sys.stderr, flush=True)


def table(packages: Sequence[Package], toolchains: Sequence[str], results: Results) -> str:
    """The results in Markdown."""
    heads = " | ".join(f"{name}: seconds | {name}: result" for name in toolchains)
    lines = [f"| Package | Build system | {heads} | Import on 2.31 |", f"|---|---|{'---|' * (2 * len(toolchains) + 1)}"]
    for package in packages:
        rows = [row for toolchain in toolchains if (row := results.row(package, toolchain)) is not None]
        if rows:
            release = max((row.release for row in rows), key=len)
            cells = [_cells(results.row(package, toolchain)) for toolchain in toolchains]
            imported = next((row.imported for row in rows if row.imported), "")
            lines.append(f"| {release} | {package.system} | {' | '.join(cells)} | {imported} |")
    for toolchain in toolchains:
        measured = [row for package in packages if (row := results.row(package, toolchain)) is not None]
        lines.append(f"\n{toolchain}: {sum(row.is_within_cap for row in measured)} of {len(measured)} within the cap")
    return "\n".join(lines)


def _cells(row: Row | None) -> str:
    if row is None:
        return "not measured | "
    return f"{row.seconds:.0f} | {row.glibc if row.is_within_cap else _failure(row)}"


def _failure(row: Row) -> str:
    return f"{row.glibc} ({row.result})" if row.glibc else row.result


def run(arguments: Namespace) -> None:
    """Measure what the command line selects, and print the table."""
    packages = [package for package in PACKAGES if not arguments.package or package.name in arguments.package]
    results = Results(arguments.results)
    toolchains = arguments.toolchain or TOOLCHAINS[::-1]
    measure(packages, toolchains, results, arguments.cache)
    print(table(packages, toolchains, results))


def configure(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("package", nargs="*", help="only these packages")
    parser.add_argument("--toolchain", action="append", choices=TOOLCHAINS, help="only this one")
    parser.add_argument("--results", type=Path, help="a JSON file with what was measured already; it is extended")
    parser.add_argument("--cache", help="a folder to keep downloads and zig's own files in")
    parser.set_defaults(run=run)
