"""The checks that install.sh of a bundle runs before it writes anything; for any CPython from 3.6 on."""

import hashlib
import os
import struct
import subprocess
import sys
import sysconfig

# Annotations are quoted, because Python 3.6 does not know these types.
if False:  # pragma: no cover
    from typing import IO


def failure(message: str, hint: str) -> SystemExit:
    """Print an error; raise the result to exit."""
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    return SystemExit(1)


def digest(path: str) -> str:
    """The SHA-256 of a file."""
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hasher.update(block)
    return hasher.hexdigest()


def read_sums(path: str) -> "dict[str, str]":
    """The digests in SHA256SUMS by file name."""
    try:
        with open(path, encoding="utf-8") as file:
            return {line.rstrip("\n")[66:]: line[:64] for line in file}
    except (OSError, ValueError) as error:
        raise failure(f"SHA256SUMS can't be read: {error}", "copy the bundle again") from None


def check_files(here: str) -> None:
    """The bundle contains exactly the files in SHA256SUMS."""
    sums = read_sums(os.path.join(here, "SHA256SUMS"))
    problems = []
    present = {"SHA256SUMS"}
    own = {"SHA256SUMS", "SHA256SUMS.sig"}
    for folder, folders, files in os.walk(here):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, here)
            present.add(relative)
            if os.path.islink(path) or not os.path.isfile(path):
                problems.append("not a regular file: " + relative)
            elif relative in sums and digest(path) != sums[relative]:
                problems.append("changed: " + relative)
    problems += ["missing: " + name for name in sorted(set(sums) - present)]
    problems += ["added: " + name for name in sorted(present - set(sums) - own)]
    if not sums:
        problems.append("SHA256SUMS is empty")
    if problems:
        raise failure("the bundle was changed:\n  " + "\n  ".join(problems), "copy the bundle again")


def find_loader(header: bytes, file: "IO[bytes]") -> str:
    """The program that loads the ELF *file* (PT_INTERP); empty without one."""
    wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
    (offset,) = struct.unpack(order + ("Q" if wide else "I"), header[32:40] if wide else header[28:32])
    size, count = struct.unpack(order + "HH", header[54:58] if wide else header[42:46])
    for index in range(count):
        file.seek(offset + index * size)
        entry = file.read(size)
        if struct.unpack(order + "I", entry[:4])[0] == 3:
            fields = struct.unpack(order + ("QQQQ" if wide else "IIII"), entry[8:40] if wide else entry[4:20])
            file.seek(fields[0])
            return file.read(fields[3]).rstrip(b"\0").decode()
    return ""


def find_libc(loader: str) -> "tuple[str, tuple[int, ...]] | None":
    """The name and version of this machine's C library; None if unknown."""
    # PEP 656: musl's loader prints its version if it is started without arguments.
    if "musl" in os.path.basename(loader):
        process = subprocess.Popen([loader], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output = process.communicate()[1]
        name, version = "musl", output.decode().partition("Version ")[2].partition("\n")[0]
    else:
        try:
            name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        except (AttributeError, OSError, ValueError):
            return None
    return (name, tuple(int(part) for part in version.split(".")[:2])) if version else None


def check_machine(architecture: str, elf: str, libc: str, cap: str) -> None:
    """The interpreter's architecture and C library are those of the target."""
    with open(sys.executable, "rb") as file:
        header = file.read(64)
        order = "<" if header[5] == 1 else ">"
        machine = struct.unpack(order + "H", header[18:20])[0]
        if f"{header[4]} {header[5]} {machine}" != elf:
            raise failure(
                f"this interpreter runs on {os.uname()[4]}, the bundle is for {architecture}",
                "make a bundle for this architecture",
            )
        libc_version = find_libc(find_loader(header, file))
    if libc_version is None:
        raise failure(f"this machine has no {libc}, which the bundle is for", f"use a system based on {libc}")
    name, version = libc_version
    if name != libc:
        raise failure(f"this machine has {name}, the bundle is for {libc}", f"make a bundle for a target with {name}")
    if version < tuple(int(part) for part in cap.split(".")):
        text = ".".join(map(str, version))
        raise failure(f"this machine has {libc} {text}, the bundle is for {cap}", "lock for a lower cap")


def check_interpreter(name: str, expected: str) -> None:
    """The interpreter is the target's Python, and complete."""
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    version = "{}.{}.{}".format(*sys.version_info[:3])
    if expected not in (version + free_threaded, version.rpartition(".")[0] + free_threaded):
        raise failure(
            f"{sys.executable} is Python {version}{free_threaded}, the bundle is for {expected}",
            f"name the interpreter: PYTHON=/path/to/{name} sh install.sh DIRECTORY",
        )
    try:
        __import__("venv")
        if sys.version_info < (3, 10):  # noqa: UP036  this runs on the target's Python
            __import__("distutils.command.install")  # needed by pip, and a separate package on Debian
    except ImportError as error:
        raise failure(
            f"{sys.executable} is incomplete: {error}",
            "install the missing parts (on Debian and Ubuntu: python3-venv and python3-distutils)",
        ) from None
    if sys.implementation.name != "cpython":
        raise failure(f"{sys.executable} is {sys.implementation.name}, the bundle is for CPython", "use CPython")


def check_destination(here: str, venv: str) -> None:
    """The environment's folder is empty or missing, and outside the bundle."""
    if os.path.lexists(venv) and (not os.path.isdir(venv) or os.listdir(venv)):
        raise failure(f"{venv} already exists", "remove it, or choose another folder")
    if os.path.realpath(venv).startswith(os.path.realpath(here) + os.sep):
        raise failure(f"{venv} is inside the bundle", "choose another folder")


def main() -> None:
    """Run all checks."""
    here, venv, name, version, architecture, elf, libc, cap = sys.argv[1:]
    check_files(here)
    check_machine(architecture, elf, libc, cap)
    check_interpreter(name, version)
    check_destination(here, venv)


if __name__ == "__main__":
    main()
