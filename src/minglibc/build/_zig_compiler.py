"""Starts zig's C or C++ compiler with arguments that were meant for gcc; run as a script, without minglibc.

The arguments are the path of zig, ``cc`` or ``c++``, the target, the folder that debug information and ``__FILE__`` must
not contain, and folders of headers joined with ``:``; then those of the compiler.
"""

import os
import shlex
import sys

NO_FORTRAN = "zig has no Fortran compiler"
# Flags of gcc, or of the interpreter's own build, that zig rejects, or that would make the result depend on this machine.
_DROPPED = frozenset(
    """
    -fno-semantic-interposition -fuse-linker-plugin -ffat-lto-objects -fno-fat-lto-objects -fwhole-program
    -fvar-tracking -fno-var-tracking -fvar-tracking-assignments -grecord-gcc-switches
    -fprofile-generate -fprofile-use -fprofile-correction -fbranch-probabilities -fno-guess-branch-probability
    -static-libgcc -static-libstdc++ -lgcc -lgcc_eh -latomic -lsupc++
    -m64 -mt -pipe -Werror -march=native -mcpu=native -V -qversion
    -fno-reorder-blocks-and-partition -funsafe-loop-optimizations -fprefetch-loop-arrays -fweb -frename-registers
    -fno-printf-return-value -fno-allow-store-data-races -minline-all-stringops
    """.split()  # noqa: SIM905  a list of literals takes a line for each
)
_DROPPED_PREFIXES = tuple(
    """
    --target= -mtune= -specs= -flto -fuse-ld= -fprofile-use= -fprofile-dir -fdebug-prefix-map=
    -fopt-info -ftree- -fno-tree- -floop- -fno-loop- -fgcse -fno-gcse -fgraphite -fira- -fno-ira- -fsched- -fno-sched-
    -fipa- -fno-ipa- -fselective- -fmodulo- -fvect- -fsplit-loops -fsplit-paths -fsplit-ivs -fsplit-wide-types
    -mveclibabi= -mpreferred-stack-boundary= -mavx256-split- -mno-avx256-split-
    """.split()  # noqa: SIM905
)
# Headers and libraries of this machine, which may be newer than the cap.
SYSTEM_FOLDERS = ("/usr/include", "/usr/local/include", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64")
_FOLDER_FLAGS = ("-isystem", "-idirafter", "-I", "-L")
_REPLACED = {"-lstdc++": "-lc++", "-lgcc_s": "-lunwind", "-dumpfullversion": "-dumpversion"}
# Arguments of GNU ld that zig's linker rejects. Without the last two, duplicate and undefined symbols are errors.
_DROPPED_LINKER = frozenset(
    """
    -Bsymbolic-functions --sort-common --fatal-warnings --no-fatal-warnings --no-undefined-version --undefined-version
    --no-keep-memory --reduce-memory-overheads -s -x -X -M -t -G -q -i --stats --relax --no-relax --emit-relocs --cref
    --copy-dt-needed-entries --no-copy-dt-needed-entries --push-state --pop-state
    --allow-multiple-definition --warn-unresolved-symbols
    """.split()  # noqa: SIM905
)
_DROPPED_LINKER_PREFIXES = tuple(
    """
    --exclude-libs --dynamic-list --icf --plugin -plugin -O --threads --build-id --Map -Map= --package-metadata
    --gdb-index --warn- --no-warn- --orphan-handling --unresolved-symbols --demangle --no-demangle
    """.split()  # noqa: SIM905
)
_DROPPED_LINKER_PAIRS = frozenset(("--exclude-libs", "--dynamic-list", "-Map", "-plugin", "--plugin"))
_DROPPED_Z = frozenset(
    """
    pack-relative-relocs start-stop-gc nostart-stop-gc separate-code noseparate-code combreloc nocombreloc muldefs
    """.split()  # noqa: SIM905
)
# Arguments of GNU ld with a value, in the form that zig reads.
_LINKER_VALUES = {
    **dict.fromkeys(("-R", "-rpath", "--rpath"), "-Wl,-rpath,{}"),
    **dict.fromkeys(("-h", "-soname", "--soname"), "-Wl,-soname,{}"),
    **dict.fromkeys(("-u", "--undefined"), "-Wl,-u,{}"),
    "--version-script": "-Wl,--version-script,{}",
    "-e": "-Wl,-e,{}",
}
_CPP_SUFFIXES = (".cc", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".cp")
_SOURCE_SUFFIXES = (".c", ".i", ".ii", ".s", ".S", ".sx", ".m", ".mm", *_CPP_SUFFIXES)
_FORTRAN_SUFFIXES = (".f", ".for", ".f77", ".f90", ".f95", ".f03", ".f08", ".F", ".F90", ".F95")
# Flags with which a compiler describes itself: those with an answer are for gcc only, which names its files or folders.
_ANSWERS = {
    **dict.fromkeys(("dumpmachine", "print-multiarch"), "{machine}"),
    # gcc prints the name where it has no such file; the files of this machine are not for the cap.
    **dict.fromkeys(("print-file-name", "print-prog-name"), "{name}"),
    "print-libgcc-file-name": "libgcc.a",
    "print-search-dirs": "install: \nprograms: =\nlibraries: =",
    "print-sysroot": "",
    **dict.fromkeys(("print-multi-directory", "print-multi-os-directory"), "."),
    "print-multi-lib": ".;",
}
_ABOUT = frozenset(("-dumpversion", "-dumpspecs", "--target-help"))
# Flags with which nothing is linked.
_NOT_LINKED = frozenset(("-E", "-M", "-MM", "-S", "-c", "--version"))
_IMPLY_SSE42 = ("-msse4.2", "-msse4", "-mavx")
# gcc 13 and older only warn about these, and many released packages have them.
_OLD_C = ("-Wno-error=incompatible-function-pointer-types", "-Wno-error=int-conversion", "-Wno-error=implicit-int")


def main() -> None:
    """Replace this process by zig's."""
    zig, kind, target, mapped, headers, *given = sys.argv[1:]
    arguments = expanded(given)
    text = answer(target, arguments)
    if text is not None:
        sys.stdout.write(f"{text}\n")
    elif reason := problem(arguments):
        sys.exit(f"error: {reason}")
    else:
        os.execv(zig, [zig, *command(kind, target, mapped, headers, arguments)])  # noqa: S606  no shell is needed


def answer(target: str, arguments: "list[str]") -> "str | None":
    """What gcc would print for *arguments* about itself; None where they are for compiling or linking."""
    for argument in arguments:
        question, _, name = argument.lstrip("-").partition("=")
        if argument.startswith("-") and question in _ANSWERS:
            return _ANSWERS[question].format(machine=_without_version(target), name=name)
    return None


def problem(arguments: "list[str]") -> str:
    """Why zig can't compile *arguments*; empty if it can."""
    if any(argument.startswith("-fopenmp") and argument != "-fopenmp-simd" for argument in arguments):
        # zig accepts the flag, and the result needs functions that no library has.
        return "OpenMP is not available: zig has no OpenMP library (-fopenmp)"
    inputs = [argument for before, argument in zip(["", *arguments], arguments, strict=False) if before != "-o"]
    if any(argument.endswith(_FORTRAN_SUFFIXES) and not argument.startswith("-") for argument in inputs):
        return NO_FORTRAN
    return ""


def command(kind: str, target: str, mapped: str, headers: str, arguments: "list[str]") -> "list[str]":
    """The arguments of zig for the *arguments* of a compiler."""
    translated = translate(arguments)
    if _ABOUT.intersection(translated) or translated == ["-v"]:
        return [kind, "-target", _without_version(target), *translated]
    if "-fsyntax-only" in translated:
        translated = _compiled_to_nothing(translated)
    if kind == "cc" and any(argument.endswith(_CPP_SUFFIXES) for argument in translated):
        kind = "c++"
    # zig builds libc++ and its runtime once for each set of these, which takes minutes.
    if _only_links(translated):
        translated = [argument for argument in translated if not argument.startswith(("-O", "-m"))]
    own = ["-target", target, "-fno-sanitize=undefined"]
    if not any(argument.startswith("-O") for argument in translated):
        # Without it, zig builds with the checks of its debug mode.
        own.append("-O2")
    last = ["-g0", f"-ffile-prefix-map={mapped}=/build", *_implied_features(target, translated)]
    if kind == "cc":
        last += _OLD_C
    for folder in filter(None, headers.split(":")):
        last += ["-isystem", folder]
    if not _NOT_LINKED.intersection(translated):
        last.append("-s")
    # What follows -- or a lone -x would change the meaning of flags after it.
    return [kind, *own, *last, *translated] if "--" in translated else [kind, *own, *translated, *last]


def _without_version(target: str) -> str:
    """*target* without the version of glibc, which only zig knows."""
    return target.partition(".")[0]


def _compiled_to_nothing(arguments: "list[str]") -> "list[str]":
    """Arguments that compile and keep no result; zig fails with -fsyntax-only."""
    kept = [argument for argument in arguments if argument not in ("-fsyntax-only", "-c")]
    while "-o" in kept:
        position = kept.index("-o")
        del kept[position : position + 2]
    return [*kept, "-c", "-o", os.devnull]


def _only_links(arguments: "list[str]") -> bool:
    """Whether the compiler is called to link objects."""
    return not _NOT_LINKED.intersection(arguments) and not any(
        argument.endswith(_SOURCE_SUFFIXES) or argument.startswith("-x") for argument in arguments
    )


def _implied_features(target: str, arguments: "list[str]") -> "list[str]":
    """The features of the processor that gcc's flags and attributes include, and that zig disables one by one."""
    if not target.startswith("x86") or "-c" not in arguments:
        # A link would build libc++ for these features.
        return []
    features = []
    if any(argument.startswith(_IMPLY_SSE42) for argument in arguments):
        features.append("-mpopcnt")
    elif not any(argument.startswith(("-march=", "-mcrc32", "-mno-crc32")) for argument in arguments):
        # For functions with the attribute target("sse4.2"); code that checks the macro must not use them everywhere.
        features += ["-mcrc32", "-U__CRC32__"]
    return [feature for feature in features if feature.replace("-m", "-mno-") not in arguments]


def expanded(arguments: "list[str]") -> "list[str]":
    """The arguments with those of response files (``@file``)."""
    expanded: list[str] = []
    for argument in arguments:
        if argument.startswith("@") and os.path.isfile(argument[1:]):
            with open(argument[1:], encoding="utf-8", errors="surrogateescape") as file:
                expanded += shlex.split(file.read())
        else:
            expanded.append(argument)
    return expanded


def translate(arguments: "list[str]") -> "list[str]":
    """The *arguments* that zig accepts, with the same meaning."""
    translated: list[str] = []
    waiting = iter(arguments)
    linker: list[str] = []
    for argument in waiting:
        if argument == "-Xlinker":
            linker.append(next(waiting, ""))
        elif argument.startswith("-Wl,"):
            linker += argument.split(",")[1:]
        elif argument not in _DROPPED and not argument.startswith(_DROPPED_PREFIXES):
            # In their order: some of the linker's flags apply to the files that follow.
            translated += _linker_flags(linker)
            linker = []
            if argument in _FOLDER_FLAGS:
                folder = next(waiting, "")
                translated += [] if _is_system_folder(folder) else [argument, folder]
            else:
                translated += _compiler_flag(argument)
    return translated + _linker_flags(linker)


def _compiler_flag(argument: str) -> "list[str]":
    if argument in _REPLACED:
        return [_REPLACED[argument]]
    if argument.startswith("-Wp,"):
        first, *rest = argument.split(",")[1:]
        return [first, *(["-MF", *rest] if first in ("-MD", "-MMD") and rest else rest)]
    if (argument.startswith("-g") and not argument.startswith("-gcc")) or _is_system_folder(_joined_folder(argument)):
        return []
    if argument.startswith(("-march=", "-mcpu=")):
        # zig's own names of processors have underscores.
        return [argument.replace("-", "_").replace("_", "-", 1)]
    return [argument]


def _linker_flags(arguments: "list[str]") -> "list[str]":
    translated: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, _, value = argument.partition("=")
        if argument in _DROPPED_LINKER_PAIRS:
            next(waiting, "")
        elif argument == "-z":
            translated += _linker_keyword(next(waiting, ""))
        elif argument in _LINKER_VALUES:
            translated.append(_LINKER_VALUES[argument].format(next(waiting, "")))
        elif value and name in _LINKER_VALUES:
            translated.append(_LINKER_VALUES[name].format(value))
        else:
            translated += _linker_flag(argument)
    return translated


def _linker_flag(argument: str) -> "list[str]":
    if argument in _DROPPED_LINKER or argument.startswith(_DROPPED_LINKER_PREFIXES):
        return []
    if argument.startswith("-z"):
        return _linker_keyword(argument[2:])
    if argument.startswith("-R"):
        return [f"-Wl,-rpath,{argument[2:]}"]
    if argument == "-r":
        return [argument]
    if argument.startswith(("-l", "-L")):
        return translate([argument])
    return [f"-Wl,{argument}"]


def _linker_keyword(keyword: str) -> "list[str]":
    return [] if keyword in _DROPPED_Z else [f"-Wl,-z,{keyword}"]


def _joined_folder(argument: str) -> str:
    """The folder in ``-Ifolder`` and flags like it; empty for other arguments."""
    flag = next((flag for flag in _FOLDER_FLAGS if argument.startswith(flag)), "")
    return argument[len(flag) :] if flag else ""


def _is_system_folder(folder: str) -> bool:
    path = os.path.normpath(folder) if folder else ""
    if path in SYSTEM_FOLDERS:
        return True
    parent, name = os.path.split(path)
    # The folders of one architecture, such as /usr/lib/x86_64-linux-gnu.
    return parent in SYSTEM_FOLDERS and "-linux-" in name


if __name__ == "__main__":
    main()
