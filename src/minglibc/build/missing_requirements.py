"""What the output of a failed build says is missing on this machine."""

import re
from typing import NamedTuple


class _Message(NamedTuple):
    """A message of compilers and build tools, and the advice for it, which may contain the name that it matches."""

    pattern: re.Pattern[str]
    advice: str


# What replaces {libraries} in the advice, for either toolchain.
_INSTALL = "install the development package that contains it"
_GRAFT = (
    "install its development package and name the library in tool.minglibc.graft: with the zig toolchain, builds only use "
    "what the package itself contains, and these libraries"
)
_NETWORK = {
    True: "the build needs files from the network, which builds can't use; choose a release that contains them",
    False: "the build could not download files; check the connection, or choose a release that contains them",
}
_KILLED = (
    "the system killed a process of the build, usually because memory ran out: build one package at a time (--jobs 1), or "
    "on a machine with more memory"
)
# The messages of gcc, make and subprocess about a killed process, of compilers about memory, and of Rust.
_OUT_OF_MEMORY = re.compile(
    r"Killed signal terminated program|\bdied with <Signals\.SIGKILL|terminated by signal 9\b|\(signal: 9, SIGKILL"
    r"|out of memory allocating|virtual memory exhausted|LLVM ERROR: out of memory|[Cc]annot allocate memory"
    r"|\berror: OutOfMemory\b|Error 137\b|returned non-zero exit status 137\b"
)
# Errors of compilers, if no other message is their cause.
_COMPILER_ERROR = re.compile(r"(?m)^[^\n:]+\.(?:c|cc|cpp|cxx|h|hh|hpp|C|m|s|S):\d+:(?:\d+:)? (?:fatal )?error: ")
_MESSAGES = (
    _Message(
        re.compile(r"'?(Python\.h)'?(?: file not found|: No such file)"),
        "the headers of the interpreter are missing; install its development package (python3-dev, python3-devel)",
    ),
    _Message(
        re.compile(r"fatal error: '?(?!Python\.h|omp\.h)([^\s':]+)'?(?: file not found|: No such file or directory)"),
        "the header {name} is missing; " + "{libraries}",
    ),
    _Message(
        re.compile(
            r"(Executables created by \w+ compiler .* are not runnable|cannot run C compiled programs"
            r"|Could not invoke sanity check executable)"
        ),
        "the build runs programs that it compiles, which is not possible for another architecture or C library; build the "
        "wheel on such a machine",
    ),
    _Message(
        re.compile(r"the `([\w-]+)` target may not be installed"),
        "the Rust toolchain has no libraries for {name}; install them with `rustup target add {name}`",
    ),
    _Message(
        re.compile(r"(zig has no Fortran compiler)|No (CMAKE_Fortran_COMPILER) could be found"),
        "the package needs a Fortran compiler, which zig does not have; build its wheel in a manylinux container",
    ),
    _Message(
        re.compile(r"(OpenMP is not available)|'(omp\.h)' file not found|Could NOT find (OpenMP)"),
        "the package needs OpenMP, which zig does not have; the package may have an option to build without it, or build "
        "its wheel in a manylinux container",
    ),
    _Message(
        re.compile(r"call to undeclared (?:library )?function '(\w+)'"),
        "the function {name} is not declared: the cap's glibc may lack it; choose a higher cap, or another release",
    ),
    _Message(
        re.compile(r"unable to find (?:dynamic|static) system library ['\"]([^'\"]+)['\"]"),
        "the library {name} is not available; " + "{libraries}",
    ),
    _Message(re.compile(r"cannot find -l([^\s:]+)"), "the library {name} is missing; install its development package"),
    _Message(
        re.compile(r"\b([a-z0-9]+[-_]config)\b(?: executable)?(?: is)?(?::)? (?:not found|No such file)"),
        "the program {name} is missing, which belongs to a library; {libraries}",
    ),
    _Message(
        re.compile(
            r"command '([^' ]*(?:gcc|cc|clang|g\+\+|c\+\+))' failed: No such file"
            r"|[Uu]nknown compiler\(s\): \[+'([^']+)'|No (CMAKE_C(?:XX)?_COMPILER) could be found"
        ),
        "this machine has no C compiler ({name}); install one, "
        'or set toolchain = "zig", which needs none (pip install "minglibc[zig]")',
    ),
    _Message(
        re.compile(
            r"Package '?([^\s',]+)'?(?:, required by '[^']*',)?(?: was)? not found(?:$| in the pkg-config)",
            re.MULTILINE,
        ),
        "pkg-config does not know the library {name}; {libraries}",
    ),
    _Message(
        re.compile(r"ERROR: Dependency ['\"]([^'\"]+)['\"] not found"),
        "the library {name} is not available; " + "{libraries}",
    ),
    _Message(
        re.compile(r"Could NOT find (?!OpenMP)([A-Za-z0-9_]+)"),
        "CMake did not find {name}; " + "{libraries}",
    ),
    _Message(
        re.compile(
            r"(?i)can'?t find (rust) compiler|(cargo), the rust package manager, is not installed"
            r"|No such file or directory: '(cargo|rustc)'|(rust) compiler is not (?:found|installed)"
            r"|(rust) not found, installing into a temporary directory"
        ),
        "the package needs a Rust compiler; install one (rustup, or the packages rustc and cargo)",
    ),
    _Message(
        re.compile(r"(no matching package named|failed to download|failed to get|attempting to make an HTTP request)"),
        "the build needs crates that `cargo fetch` could not download; check cargo's registry settings, "
        "or choose a release that contains them",
    ),
    _Message(
        re.compile(
            r"(Network is unreachable|Temporary failure in name resolution|Name or service not known|Could(?: not|n't) resolve host|Git command failed)"
        ),
        "{network}",
    ),
)


def missing(output: str, *, alternative: str = "", capped: bool = False, killed: bool = False) -> str:
    """What to do about the first thing that *output* says is missing; empty if it says nothing known.

    *alternative* is what to do if the fault is in the package. *capped* builds use no libraries of this machine. *killed* is whether
    the system killed the backend.
    """
    first: tuple[int, str] | None = None
    for message in _MESSAGES:
        match = message.pattern.search(output)
        if match is not None and (first is None or match.start() < first[0]):
            name = next((group for group in match.groups() if group), "")
            values = {"libraries": _GRAFT if capped else _INSTALL, "network": _NETWORK[capped]}
            first = match.start(), message.advice.format(name=name, **values)
    if killed or _OUT_OF_MEMORY.search(output):
        return _KILLED
    if first:
        return first[1]
    return f"the compiler rejects code of the package; {alternative}" if _COMPILER_ERROR.search(output) else ""
