"""Starts zig's C or C++ compiler with arguments that were meant for gcc; run as a script, without minglibc.

The arguments are the path of zig, ``cc`` or ``c++``, the target, the folder that debug information and ``__FILE__`` must
not contain, and folders of headers joined with ``:``; then those of the compiler.
"""

import os
import shlex
import sys

# Flags of gcc, or of the interpreter's own build, that zig rejects, or that would make the result depend on this machine.
_DROPPED = frozenset(
    (
        *("-fno-semantic-interposition", "-fuse-linker-plugin", "-ffat-lto-objects", "-fno-fat-lto-objects"),
        *("-fvar-tracking", "-fno-var-tracking", "-fvar-tracking-assignments", "-grecord-gcc-switches"),
        *("-fprofile-generate", "-fprofile-use", "-fprofile-correction", "-static-libgcc", "-static-libstdc++"),
        *("-m64", "-pipe", "-Werror", "-march=native", "-mcpu=native", "-lgcc", "-lgcc_eh", "-latomic", "-lsupc++"),
        *("-fno-tree-vectorize", "-fno-reorder-blocks-and-partition", "-fwhole-program", "-fipa-pta"),
    )
)
_DROPPED_PREFIXES = (
    "--target=",
    "-mtune=",
    "-specs=",
    "-flto",
    "-fuse-ld=",
    "-fprofile-use=",
    "-fdebug-prefix-map=",
    "-fprofile-dir",
)
# Headers and libraries of this machine, which may be newer than the cap.
SYSTEM_FOLDERS = ("/usr/include", "/usr/local/include", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64")
_FOLDER_FLAGS = ("-isystem", "-idirafter", "-I", "-L")
_REPLACED = {"-lstdc++": "-lc++", "-lgcc_s": "-lunwind"}
# Arguments of GNU ld that zig's linker rejects.
_DROPPED_LINKER = frozenset(
    (
        *("-Bsymbolic-functions", "--sort-common", "--warn-common", "--fatal-warnings", "--no-fatal-warnings"),
        *("--no-undefined-version", "--undefined-version", "--no-keep-memory", "--reduce-memory-overheads", "-s", "-x"),
    )
)
_DROPPED_LINKER_PREFIXES = (
    *("--exclude-libs", "--dynamic-list", "--icf", "--plugin", "-plugin", "-O", "--threads", "--build-id", "--Map"),
    *("-Map=", "--package-metadata", "--gdb-index"),
)
_DROPPED_LINKER_PAIRS = frozenset(("--exclude-libs", "--dynamic-list", "-Map", "-plugin", "--plugin"))
_DROPPED_Z = frozenset(("pack-relative-relocs", "start-stop-gc", "nostart-stop-gc", "separate-code", "noseparate-code"))
_CPP_SUFFIXES = (".cc", ".cpp", ".cxx", ".c++", ".C", ".CPP", ".cp")
_QUERIES = ("-E", "-M", "-MM", "-S", "-c", "-fsyntax-only", "--version", "-v", "-V", "-dumpversion", "-dumpmachine")
# gcc 13 and older only warn about these, and many released packages have them.
_OLD_C = ("-Wno-error=incompatible-function-pointer-types", "-Wno-error=int-conversion", "-Wno-error=implicit-int")


def main() -> None:
    """Replace this process by zig's."""
    zig, kind, target, mapped, headers, *arguments = sys.argv[1:]
    os.execv(zig, [zig, *command(kind, target, mapped, headers, arguments)])  # noqa: S606  no shell is needed


def command(kind: str, target: str, mapped: str, headers: str, arguments: "list[str]") -> "list[str]":
    """The arguments of zig for the *arguments* of a compiler."""
    translated = translate(_expanded(arguments))
    if kind == "cc" and any(argument.endswith(_CPP_SUFFIXES) for argument in translated):
        kind = "c++"
    own = ["-target", target, "-fno-sanitize=undefined"]
    if not any(argument.startswith("-O") for argument in translated):
        # Without it, zig builds with the checks of its debug mode.
        own.append("-O2")
    last = ["-g0", f"-ffile-prefix-map={mapped}=/build"]
    if kind == "cc":
        last += _OLD_C
    for folder in filter(None, headers.split(":")):
        last += ["-isystem", folder]
    if not any(argument in _QUERIES for argument in translated) and not any(
        a.startswith("-print-") for a in translated
    ):
        last.append("-s")
    # What follows -- or a lone -x would change the meaning of flags after it.
    return [kind, *own, *last, *translated] if "--" in translated else [kind, *own, *translated, *last]


def _expanded(arguments: "list[str]") -> "list[str]":
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
        if argument in _DROPPED_LINKER_PAIRS:
            next(waiting, "")
        elif argument == "-z":
            keyword = next(waiting, "")
            if keyword not in _DROPPED_Z:
                translated.append(f"-Wl,-z,{keyword}")
        elif argument in ("-R", "-rpath", "--rpath"):
            translated.append(f"-Wl,-rpath,{next(waiting, '')}")
        elif argument.startswith("-R"):
            translated.append(f"-Wl,-rpath,{argument[2:]}")
        elif argument.startswith(("-l", "-L")):
            translated += translate([argument])
        elif argument.startswith("-z") and argument[2:] in _DROPPED_Z:
            continue
        elif argument not in _DROPPED_LINKER and not argument.startswith(_DROPPED_LINKER_PREFIXES):
            value = [next(waiting, "")] if argument in ("-soname", "-h", "--soname", "--version-script", "-e") else []
            translated.append(",".join(["-Wl", argument, *value]))
    return translated


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
