"""Prints facts about the CPython (3.6 or newer) that runs it, its machine and its folders, as JSON.

Run it as a file with ``-I -S``, so that .pth files, sitecustomize and the user's site-packages are not loaded.
"""

import json
import os
import struct
import sys
import sysconfig


def base_prefix() -> str:
    """The folder of the base interpreter: this interpreter's own, if it contains a standard library."""
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))
    library = os.path.realpath(paths(prefix)["stdlib"])
    is_own = library.startswith(os.path.join(os.path.realpath(prefix), "")) and os.path.exists(library + "/os.py")
    return prefix if is_own else sys.base_prefix


def environment_prefix() -> "str | None":
    """The folder with pyvenv.cfg that this interpreter belongs to (PEP 405), else None."""
    folder = os.path.dirname(os.path.abspath(sys.executable))
    prefix = os.path.dirname(folder)
    # Python prefers a file beside the interpreter, and its versions do not agree on the environment's folder then.
    if os.path.isfile(os.path.join(folder, "pyvenv.cfg")) or not os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        return None
    # A stray pyvenv.cfg does not make a base interpreter an environment.
    return None if os.path.realpath(prefix) == os.path.realpath(base_prefix()) else prefix


def elf_header(path: str) -> "dict[str, object]":
    """Class, byte order, machine, flags and the loader of the ELF file at *path*; empty for anything else."""
    with open(path, "rb") as file:
        start = file.read(64)
        if start[:4] != b"\x7fELF":
            return {}
        wide, order = start[4] == 2, "<" if start[5] == 1 else ">"
        header = struct.unpack(order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"), start[16 : 58 if wide else 46])
        machine, offset, flags, size, count = header[1], header[4], header[6], header[8], header[9]
        loader = ""
        for index in range(min(count, 64)):
            file.seek(offset + index * size)
            entry = file.read(size)
            if struct.unpack(order + "I", entry[:4])[0] != 3:  # PT_INTERP
                continue
            fields = struct.unpack(order + ("QQQQ" if wide else "IIII"), entry[8:40] if wide else entry[4:20])
            file.seek(fields[0])
            loader = file.read(min(fields[3], 4096)).rstrip(b"\0").decode("ascii", "replace")
    return {"bits": 64 if wide else 32, "little": order == "<", "machine": machine, "flags": flags, "loader": loader}


def libc(loader: str) -> str:
    """The C library (``glibc 2.36``, ``musl 1.2.5``), from musl's *loader* (PEP 656) or confstr; else empty."""
    if "musl" in loader.rpartition("/")[2]:
        return musl(loader)
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        return ""


def musl(loader: str) -> str:
    """The version that musl's *loader* prints without arguments; empty if it prints something else."""
    import subprocess  # noqa: PLC0415  only machines with musl need it

    try:
        process = subprocess.Popen([loader], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        lines = process.communicate()[1].decode("ascii", "replace").split("\n")
    except OSError:
        return ""
    is_musl = len(lines) > 1 and lines[0].startswith("musl") and lines[1].startswith("Version ")
    return "musl " + lines[1].split()[1] if is_musl else ""


def paths(prefix: "str | None") -> "dict[str, str]":
    """The folders of packages, by sysconfig's names."""
    if prefix is None:
        return sysconfig.get_paths()
    # Without the site module sys.prefix is the base interpreter's; posix_prefix is the scheme of every environment.
    base = {"base": prefix, "platbase": prefix, "installed_base": prefix, "installed_platbase": prefix}
    return sysconfig.get_paths("posix_prefix", vars=base)


def shared_sites(prefix: "str | None") -> "list[str]":
    """The folders of packages that are not the environment's own and that it imports from too (PEP 405)."""
    if prefix is not None:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            rows = [line.partition("=") for line in file]
        if not any(
            row[0].strip() == "include-system-site-packages" and row[2].strip().lower() == "true" for row in rows
        ):
            return []
    import site  # noqa: PLC0415  with -S it is not imported at the start

    # The user's folder is shared with environments of this kind, too.
    sites = list(site.getsitepackages([sys.base_prefix, sys.base_exec_prefix]))
    return [path for path in [*sites, site.getusersitepackages()] if os.path.isdir(path)]


def files(prefix: "str | None") -> "dict[str, str]":
    """The files that these facts depend on (mapped files, modules, pyvenv.cfg), each with its identity as in proof.py.

    Empty if /proc is not available, or if a mapped file was replaced.
    """
    statuses = {}
    try:
        if prefix is not None:
            cfg = os.path.join(prefix, "pyvenv.cfg")
            statuses[cfg] = os.stat(cfg)
        with open("/proc/self/maps") as maps:
            mapped = [line.rstrip("\n").split(None, 5) for line in maps if "/" in line]
        for row in mapped:
            status = os.stat(row[5])
            if status.st_ino != int(row[4]):
                return {}
            statuses[row[5]] = status
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if path:
                statuses[os.path.abspath(path)] = os.stat(path)
    except (OSError, IndexError, ValueError):
        return {}
    names = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return {path: " ".join(str(getattr(status, name)) for name in names) for path, status in statuses.items()}


def main() -> None:
    """Print everything as one JSON object."""
    prefix = environment_prefix()
    folders = paths(prefix)
    marker = os.path.join(folders["stdlib"], "EXTERNALLY-MANAGED")
    elf = elf_header(os.path.realpath(sys.executable))
    facts = {
        "executable": sys.executable,
        "version": list(sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "free_threaded": "t" in getattr(sys, "abiflags", ""),
        "prefix": prefix or sys.prefix,
        "base_prefix": base_prefix(),
        "environment": prefix is not None,
        "externally_managed": prefix is None and os.path.exists(marker),
        "paths": {name: folders[name] for name in ("purelib", "platlib", "scripts", "data")},
        "libc": libc(str(elf.get("loader", ""))),
        "elf": elf,
        "system": os.uname()[0],
        "uname": os.uname()[4],
        "files": files(prefix),
        "shared_sites": shared_sites(prefix),
    }
    print(json.dumps(facts))


main()
