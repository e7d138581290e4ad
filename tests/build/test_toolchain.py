"""Compilers for the cap: the arguments that zig gets, and the environment of builds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.build import isolation, toolchain
from minglibc.build._zig_compiler import answer, command, expanded, problem, translate
from minglibc.build.cargo import fetch_crates
from minglibc.build.missing_requirements import missing
from minglibc.errors import SettingsError
from minglibc.model.targets import LIBCS, PythonVersion, Target


def target(cap: str, architecture: str = "x86_64", libc: str = "glibc") -> Target:
    """A target with Python 3.11."""
    return Target(PythonVersion.parse("3.11"), architecture, LIBCS[libc].parse(cap))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-O2 -fPIC -c a.c -o a.o", "-O2 -fPIC -c a.c -o a.o"),
        ("-g -ggdb3 -gdwarf-4 -flto=auto -fno-semantic-interposition -specs=/x -m64 -pipe -mtune=generic a.c", "a.c"),
        ("-I/usr/include -I /usr/include -isystem /usr/include/x86_64-linux-gnu -I include", "-I include"),
        ("-L/usr/lib -L/usr/lib/x86_64-linux-gnu -L/lib64 -Llib -L/opt/lib", "-Llib -L/opt/lib"),
        ("-I/usr/include/python3.11", "-I/usr/include/python3.11"),
        ("-march=x86-64-v2 -march=native -mavx2", "-march=x86_64_v2 -mavx2"),
        ("-Wp,-D_FORTIFY_SOURCE=2 -Wp,-MD,x.d", "-D_FORTIFY_SOURCE=2 -MD -MF x.d"),
        ("-lstdc++ -lgcc_s -lgcc -latomic -lm", "-lc++ -lunwind -lm"),
        ("-Wl,-O1 -Wl,-Bsymbolic-functions -Wl,--as-needed", "-Wl,--as-needed"),
        ("-Wl,-z,relro,-z,now -Wl,-z,pack-relative-relocs", "-Wl,-z,relro -Wl,-z,now"),
        (
            "-Wl,--exclude-libs,ALL -Wl,-soname,x.so -Wl,-rpath,/x -Wl,-R/y",
            "-Wl,-soname,x.so -Wl,-rpath,/x -Wl,-rpath,/y",
        ),
        ("-Xlinker --version-script -Xlinker map", "-Wl,--version-script,map"),
        ("-Wl,-lz,-L/usr/lib", "-lz"),
        ("-Wl,-h,x.so -Wl,--undefined=f -Wl,-u,g -Wl,-rpath=/x", "-Wl,-soname,x.so -Wl,-u,f -Wl,-u,g -Wl,-rpath,/x"),
        ("-Wl,--push-state,--no-as-needed -Wl,--pop-state -Wl,-r", "-Wl,--no-as-needed -r"),
        ("-Wl,-X,-t,--stats,--relax,-z,muldefs,-zcombreloc,--no-warn-mismatch,--demangle", ""),
        ("-fopt-info-vec -fno-tree-vectorize -floop-block -fira-region=all -mveclibabi=svml a.c", "a.c"),
        ("-Werror -Werror=implicit-function-declaration", "-Werror=implicit-function-declaration"),
    ],
)
def test_translated_arguments(arguments: str, expected: str) -> None:
    """Arguments that zig rejects, and this machine's own headers and libraries, are left out."""
    assert expected.split() == translate(arguments.split())


def test_compilers_target_the_cap() -> None:
    """Each call has the target, no checks of zig's debug mode, and no path of the build."""
    called = command("cc", "x86_64-linux-gnu.2.17", "/scratch", "", ["-c", "a.c"])
    assert ["cc", "-target", "x86_64-linux-gnu.2.17"] == called[:3]
    assert {"-fno-sanitize=undefined", "-O2", "-g0", "-ffile-prefix-map=/scratch=/build"} <= set(called)
    assert "-s" not in called
    assert "-s" in command("cc", "x86_64-linux-gnu.2.17", "/scratch", "", ["-shared", "a.o", "-o", "a.so"])
    assert "c++" == command("cc", "x86_64-linux-gnu.2.17", "/scratch", "", ["-c", "a.cpp"])[0]


def test_links_share_the_libraries_that_zig_builds() -> None:
    """zig builds libc++ for each level of optimization and set of features, so calls that only link have none of their own."""
    called = command("c++", "x86_64-linux-gnu.2.17", "/scratch", "", ["-shared", "a.o", "-o", "a.so", "-Os", "-mavx2"])
    assert "-O2" in called
    assert not {"-Os", "-mavx2", "-mpopcnt"} & set(called)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-c a.c", ["-mcrc32", "-U__CRC32__"]),
        ("-c a.c -mavx2", ["-mpopcnt"]),
        ("-c a.c -msse4.2 -mno-popcnt", []),
        ("-c a.c -march=haswell", []),
        ("-shared a.o", []),
    ],
)
def test_features_that_gcc_includes(arguments: str, expected: list[str]) -> None:
    """gcc's -msse4.2 and target("sse4.2") include instructions that zig disables."""
    called = command("cc", "x86_64-linux-gnu.2.17", "/scratch", "", arguments.split())
    assert expected == [argument for argument in called if argument in {"-mcrc32", "-U__CRC32__", "-mpopcnt"}]
    assert "-mcrc32" not in command("cc", "aarch64-linux-gnu.2.17", "/scratch", "", arguments.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-dumpmachine", "x86_64-linux-gnu"),
        ("-print-multiarch", "x86_64-linux-gnu"),
        ("--print-file-name=libstdc++.so", "libstdc++.so"),
        ("-print-libgcc-file-name -O2", "libgcc.a"),
        ("-c a.c", None),
    ],
)
def test_questions_about_the_compiler(arguments: str, expected: str | None) -> None:
    """The answers do not name files of this machine's own compiler."""
    assert expected == answer("x86_64-linux-gnu.2.17", arguments.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-c a.c -fopenmp", "OpenMP"),
        ("-shared a.o -fopenmp=libomp", "OpenMP"),
        ("-c a.f90", "Fortran"),
        ("-c a.c -fopenmp-simd -o a.f", ""),
    ],
)
def test_what_zig_lacks(arguments: str, expected: str) -> None:
    """OpenMP and Fortran are errors, not libraries that fail when they are imported."""
    assert expected in problem(arguments.split())
    assert bool(expected) == bool(problem(arguments.split()))


def test_response_files(tmp_path: Path) -> None:
    """The arguments in a response file are translated too."""
    (tmp_path / "arguments").write_text("-c 'a b.c'\n-L/usr/lib")
    assert ["-c", "a b.c", "-L/usr/lib", "-O2"] == expanded([f"@{tmp_path}/arguments", "-O2"])


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (target("2.17"), "x86_64-linux-gnu.2.17"),
        (target("2.28", architecture="aarch64"), "aarch64-linux-gnu.2.28"),
        (target("1.2", libc="musl"), "x86_64-linux-musl"),
    ],
)
def test_target_names(of: Target, expected: str) -> None:
    """zig's name has the architecture, the C library and its version."""
    assert expected == toolchain.zig_target(of)


@pytest.mark.parametrize("impossible", [target("2.12"), target("2.28", architecture="s390x")])
def test_impossible_targets(impossible: Target) -> None:
    """A target that zig has no C library for is an error."""
    with pytest.raises(SettingsError, match="can't build for"):
        toolchain.zig_target(impossible)


def test_missing_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package ziglang, the error names the extra."""
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="ziglang") as raised:
        toolchain.find_zig()
    assert "minglibc[zig]" in raised.value.hint


def test_compilers_are_scripts_that_start_zig(tmp_path: Path) -> None:
    """A folder with a space works, and the tools that builds look for by name are there."""
    zig = tmp_path / "zig"
    zig.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    zig.chmod(0o755)
    folder = tmp_path / "tool chain"
    tools = toolchain.create_toolchain(
        toolchain.Zig(str(zig), "1"), target("2.17"), str(folder), scratch=str(tmp_path), cache="/c", include="/i"
    )
    for variable in ("CC", "CXX", "AR", "RANLIB", "LD", "STRIP"):
        assert os.access(tools.environment[variable], os.X_OK)
    printed = subprocess.check_output([tools.environment["CC"], "-c", "a b.c", "-pipe"], text=True).splitlines()
    assert ["cc", "-target", "x86_64-linux-gnu.2.17"] == printed[:3]
    assert "a b.c" in printed
    assert "-pipe" not in printed
    assert ["ar", "rcs"] == subprocess.check_output([tools.environment["AR"], "rcs"], text=True).splitlines()
    assert "CMAKE_C_COMPILER" in Path(tools.environment["CMAKE_TOOLCHAIN_FILE"]).read_text()


def test_isolation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build sees allowed variables and a temporary home, and not the credentials of this environment."""
    monkeypatch.setenv("MINGLIBC_INDEX_URL", "https://user:secret@example.invalid/")
    monkeypatch.setenv("LANG", "C.UTF-8")
    isolated = isolation.isolate(str(tmp_path), {"CC": "cc"}, "")
    assert "C.UTF-8" == isolated.environment["LANG"]
    assert "cc" == isolated.environment["CC"]
    assert "secret" not in str(isolated.environment)
    assert os.path.isdir(isolated.environment["HOME"])
    assert isolated.environment["HOME"].startswith(str(tmp_path))


def test_no_network() -> None:
    """A process of a build can't reach a server on this machine."""
    prefix = isolation.without_network()
    if not prefix:
        pytest.skip("this system does not allow network namespaces")
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); socket.create_connection(s.getsockname(), 2)"
    ran = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, check=False)
    assert ran.returncode
    assert b"unreachable" in ran.stderr


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("a.c:1:10: fatal error: 'ffi.h' file not found", "the header ffi.h is missing"),
        ("a.c:1:10: fatal error: ffi.h: No such file or directory", "the header ffi.h is missing"),
        ("fatal error: 'Python.h' file not found", "python3-dev"),
        ('error: unable to find dynamic system library "pq" using strategy', "the library pq is not available"),
        ("/usr/bin/ld: cannot find -lpq: No such file", "the library pq is missing"),
        ('../meson.build:9:0: ERROR: Dependency "cairo" not found', "the library cairo is not available"),
        ("error: command 'gcc' failed: No such file or directory", 'toolchain = "zig"'),
        ("error: command '/usr/bin/x86_64-linux-gnu-gcc' failed: No such file or directory", "no C compiler"),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]", "no C compiler (cc)"),
        ("No CMAKE_CXX_COMPILER could be found.", "no C compiler"),
        ("Error: pg_config executable not found.", "pg_config"),
        ("error: command 'gcc' failed with exit code 1", ""),
        ("error: can't find Rust compiler", "Rust"),
        ("error: OpenMP is not available: zig has no OpenMP library (-fopenmp)", "needs OpenMP"),
        ("a.c:1:10: fatal error: 'omp.h' file not found", "needs OpenMP"),
        ("CMake Error: Could NOT find OpenMP_C (missing: OpenMP_C_FLAGS)", "needs OpenMP"),
        ("ERROR: Could not invoke sanity check executable: Failed running 'a.exe'", "on such a machine"),
        ("error[E0463]: the `aarch64-unknown-linux-gnu` target may not be installed", "rustup target add aarch64-"),
        ("gfortran: error: zig has no Fortran compiler", "a Fortran compiler"),
        ("a.c:4:23: error: call to undeclared function 'getrandom'; ISO C99", "the function getrandom is not declared"),
        ("error: failed to download from `https://index.crates.io`", "cargo fetch"),
        ("../meson.build:14:14: ERROR: Git command failed: ['git', 'clone']", "could not download files"),
        ("socket: Network is unreachable", "could not download files"),
        ("a.c:3: error: expected ';'", "the compiler rejects code of the package; skip it"),
        ("m.c:2:1: fatal error: 'ffi.h' file not found\na.c:3: error: x", "the header ffi.h is missing"),
        ("gcc: fatal error: Killed signal terminated program cc1plus", "memory ran out"),
        ("make: *** [m.o] Error 137", "memory ran out"),
        ("Command '['gcc']' died with <Signals.SIGKILL: 9>.", "memory ran out"),
        ("rustc: memory allocation failed (signal: 9, SIGKILL: kill)", "memory ran out"),
        ("Package libpq was not found in the pkg-config search path.", "pkg-config does not know the library libpq"),
        ("Package 'libpq', required by 'virtual:world', not found", "pkg-config does not know the library libpq"),
        ("Rust not found, installing into a temporary directory", "needs a Rust compiler"),
        ("{} is no template", ""),
    ],
)
def test_advice_for_failed_builds(output: str, expected: str) -> None:
    """The output of a failed build leads to the next step."""
    advice = missing(output, alternative="skip it")
    assert expected in advice
    assert bool(expected) == bool(advice)
    assert "graft" not in advice


def test_advice_names_graft() -> None:
    """Builds for the cap use libraries of this machine only where the settings name them."""
    assert "tool.minglibc.graft" in missing("fatal error: 'ffi.h' file not found", capped=True)
    assert "which builds can't use" in missing("socket: Network is unreachable", capped=True)


def test_crates_are_fetched_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cargo fetches with network and without credentials of this environment, once for each package with a Cargo.lock."""
    cargo = tmp_path / "bin" / "cargo"
    cargo.parent.mkdir()
    cargo.write_text('#!/bin/sh\necho "$PWD $@ $CARGO_NET_OFFLINE $SECRET"\n')
    cargo.chmod(0o755)
    monkeypatch.setenv("PATH", str(cargo.parent), prepend=os.pathsep)
    monkeypatch.setenv("SECRET", "secret")
    for folder in ("source/rust", "source/rust/vendor/x", "source/python"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("source/rust", "source/rust/vendor/x"):
        (tmp_path / folder / "Cargo.toml").touch()
        (tmp_path / folder / "Cargo.lock").touch()
    log = tmp_path / "log"
    fetch_crates(str(tmp_path / "source"), isolation.isolate(str(tmp_path), {"CARGO_NET_OFFLINE": "true"}, str(log)))
    assert f"{tmp_path}/source/rust fetch --locked false \n" == log.read_text()
