"""Compiled packages, built from source under a cap with zig and with this machine's own compiler."""

import re
import subprocess
import sys
import tempfile
import time
import zipfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
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
    Package("pyyaml", "setuptools, Cython", "yaml"),
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
    Package("ruamel.yaml.clib", "setuptools", "_ruamel_yaml"),
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
)


class Row(NamedTuple):
    """The outcome of one build."""

    seconds: float
    result: str
    glibc: str


def build(package: Package, toolchain: str, folder: Path, cache: str) -> tuple[Row, BuildOutcome | None]:
    """Build the newest release of *package* that supports the Python."""
    # A build of zig would also serve the other compiler.
    own_cache = str(Path(cache, toolchain))
    options = BuildOptions(
        CommonOptions(str(folder), own_cache), [package.name], str(folder / toolchain), Overrides(toolchain=toolchain)
    )
    started = time.monotonic()
    try:
        (outcome,) = build_wheels(options, SILENT)
    except MinglibcError as error:
        return Row(time.monotonic() - started, first_line(error.message), ""), None
    seconds = time.monotonic() - started
    if outcome.error is not None:
        symbol = re.search(r"needs ((?:GLIBC|GLIBCXX|CXXABI|GCC)_[0-9.]+)", outcome.error.message)
        text = "above the cap" if symbol else first_line(outcome.error.hint or outcome.error.message)
        return Row(seconds, text, symbol[1].removeprefix("GLIBC_") if symbol else ""), outcome
    return Row(seconds, "within the cap", glibc_of(outcome.wheel)), outcome


def first_line(text: str) -> str:
    """The start of a message, for a cell of a table."""
    return text.partition("\n")[0].replace("|", "/")[:80]


def glibc_of(wheel: str) -> str:
    """The highest version of glibc that a wheel needs."""
    contents = (binary.content for binary in of_wheel(wheel, Path(wheel).name))
    versions = [highest_glibc(content) for content in contents if isinstance(content, ElfFile)]
    return str(max((version for version in versions if version), default="none"))


def rows(packages: Sequence[Package], folder: Path, cache: str, toolchains: Sequence[str]) -> Iterator[str]:
    """The lines of the table, each as soon as it is measured."""
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "builds"\nversion = "1"\n[tool.minglibc]\nglibc = "{CAP}"\npython = ["{PYTHON}"]\n',
        encoding="utf-8",
    )
    heads = " | ".join(f"{name}: seconds | {name}: result | {name}: glibc" for name in toolchains)
    yield f"| package | build system | {heads} | import on 2.31 |"
    yield f"|---|---|{'---|' * (3 * len(toolchains) + 1)}"
    for package in packages:
        cells, imported, title = [], "", package.name
        for toolchain in toolchains:
            row, outcome = build(package, toolchain, folder, cache)
            cells += [f"{row.seconds:.0f}", row.result, row.glibc]
            title = outcome.release if outcome is not None else title
            if toolchain == "zig" and outcome is not None and outcome.wheel:
                imported = import_on_old_glibc(package, outcome.wheel, folder / "site")
        yield f"| {title} | {package.system} | {' | '.join(cells)} | {imported} |"


def import_on_old_glibc(package: Package, wheel: str, site: Path) -> str:
    """Whether the module of *wheel* can be imported by Python 3.9 on glibc 2.31; empty where there is none."""
    try:
        python = oldglibc.old_python()
    except oldglibc.Unavailable:
        return ""
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(site), "--python-version", PYTHON]
    options = ["--platform", "manylinux2014_x86_64", "--only-binary=:all:", "--upgrade", wheel]
    installed = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if installed.returncode:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    module = package.module or package.name.replace("-", "_")
    ran = python.run(f"import {module}", site_packages=site)
    return "yes" if not ran.returncode else first_line(ran.stderr.strip().splitlines()[-1])


def print_table(packages: Sequence[str], cache: str | None) -> None:
    """Print the table for *packages*, or for all of them."""
    chosen = [package for package in PACKAGES if not packages or package.name in packages]
    with tempfile.TemporaryDirectory(prefix="builds-") as temporary:
        folder = Path(temporary, "project")
        folder.mkdir()
        for line in rows(chosen, folder, cache or str(Path(temporary, "cache")), TOOLCHAINS[::-1]):
            print(line, flush=True)


def run(arguments: Namespace) -> None:
    """Print the table that the command line selects."""
    print_table(arguments.package, arguments.cache)


def configure(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("package", nargs="*", help="only these packages")
    parser.add_argument("--cache", help="a folder to keep downloads and zig's own files in")
    parser.set_defaults(run=run)
