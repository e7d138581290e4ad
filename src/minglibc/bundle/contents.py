"""What a bundle holds beside its wheels: requirements.txt, SHA256SUMS and the script that installs it without network."""

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from minglibc.errors import EnvironmentProblem
from minglibc.lock.requirements_txt import dumps
from minglibc.lock.selection import target_name
from minglibc.model import versions
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.document import Selection

SCRIPT = "install.sh"
SUMS = "SHA256SUMS"
REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"

# What the interpreter's own ELF header says on each architecture: class, byte order (1 little, 2 big) and machine.
_ELF = {
    "x86_64": (2, 1, 62),
    "i686": (1, 1, 3),
    "aarch64": (2, 1, 183),
    "armv7l": (1, 1, 40),
    "ppc64": (2, 2, 21),
    "ppc64le": (2, 1, 21),
    "s390x": (2, 2, 22),
    "riscv64": (2, 1, 243),
    "loongarch64": (2, 1, 258),
}


def name_of(target: Target) -> str:
    """The name of the bundle's folder, in an archive and by default."""
    return f"bundle-{target_name(target)}"


def own_files(target: Target, selected: "Selection", pip: str, lock: str) -> dict[str, bytes]:
    """Each file of the bundle that is neither a wheel nor SHA256SUMS; *pip* is the file name of the pip wheel."""
    return {
        SCRIPT: install_script(target, pip, len(selected)).encode(),
        "pylock.toml": lock.encode(),
        REQUIREMENTS: dumps({target: selected}, index=True).encode(),
    }


# The first pip that reads the tags of a C library, and which PEP has them: before, manylinux_2_17 and musllinux_1_1 were unknown.
_FIRST_PIP = {"glibc": ("20.3", 600), "musl": ("21.2", 656)}


def check_pip(filename: str, target: Target) -> str:
    """*filename* itself when install.sh can start the pip in it on *target*; raises EnvironmentProblem."""
    first, pep = _FIRST_PIP[target.cap.libc]
    if versions.key(filename.split("-")[1]) < versions.key(f"{first}.dev0"):
        raise EnvironmentProblem(
            f"{filename} is too old to read the tags of PEP {pep}",
            hint=f"require pip>={first} where the project requires pip, or ask an index that has it",
        )
    return filename


def sums(digests: Mapping[str, str]) -> bytes:
    """The text of SHA256SUMS, as ``sha256sum --check`` reads it too."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def is_bundle(names: Iterable[str]) -> bool:
    """Whether a folder with just these entries is an earlier bundle."""
    return {SCRIPT, SUMS, REQUIREMENTS, WHEELS, "pylock.toml"} == set(names)


def install_script(target: Target, pip: str, count: int) -> str:
    """The POSIX shell script that verifies the bundle and the machine, and only then makes an environment."""
    python = target.python
    suffix = "t" if python.free_threaded else ""
    values = {
        "@TARGET@": target_name(target),
        "@PYTHON@": f"python{python.short}{suffix}",
        "@VERSION@": f"{python.short if python.patch is None else python.full}{suffix}",
        "@ARCHITECTURE@": target.architecture,
        "@LIBC@": target.cap.libc,
        "@CAP@": str(target.cap),
        "@ELF@": repr(_ELF[target.architecture]),
        "@PIP@": shlex.quote(f"{WHEELS}/{pip}/pip"),
        "@COUNT@": f"{count} package{'' if count == 1 else 's'}",
        "@INSTALL@": _INSTALL if count else "true",
    }
    text = _SCRIPT
    for place in ("@INSTALL@", *values):
        text = text.replace(place, values[place])
    return text


_INSTALL = """\
"$venv/bin/python" -I -B "$here"/@PIP@ --isolated --disable-pip-version-check install --quiet --no-cache-dir \\
    --no-index --no-deps --require-hashes --only-binary :all: --no-warn-script-location \\
    --find-links "$here/wheels" -r "$here/requirements.txt\""""

_SCRIPT = r"""#!/bin/sh
# Made by minglibc for @TARGET@. `sh install.sh DIRECTORY` makes an environment there, from
# this folder alone: no network and no pip are needed. PYTHON names the interpreter to make it with.
set -eu
unset CDPATH PYTHONHOME PYTHONPATH
# Python 3.6 reads a path outside ASCII only in a locale that has it.
LC_ALL=C.UTF-8
export LC_ALL

say() {
    printf '%s\n' "$*" >&2
}

if [ $# -ne 1 ] || [ -z "$1" ]; then
    say "usage: sh install.sh DIRECTORY"
    exit 2
fi
case $1 in
    -*) say "usage: sh install.sh DIRECTORY"; exit 2 ;;
    /*) venv=$1 ;;
    *) venv=$(pwd)/$1 ;;
esac
here=$(cd "$(dirname "$0")" && pwd -P)

python=${PYTHON:-}
if [ -z "$python" ]; then
    for candidate in @PYTHON@ python3; do
        # A name on PATH may be a stub that starts nothing.
        if "$candidate" -c "import sys; sys.exit(not '@VERSION@.'.replace('t', '').startswith('%d.%d.' % sys.version_info[:2]))" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    say "error: there is no @PYTHON@ on PATH"
    say "hint: name the interpreter: PYTHON=/path/to/@PYTHON@ sh install.sh DIRECTORY"
    exit 1
fi
if ! "$python" -c '' 2>/dev/null; then
    say "error: $python does not start"
    exit 1
fi

# Nothing is written before all of this is found right.
"$python" -I -B - "$here" "$venv" <<'END'
import hashlib, os, struct, subprocess, sys, sysconfig

here, venv = sys.argv[1:]


def refuse(message, hint):
    sys.stderr.write("error: %s\nhint: %s\n" % (message, hint))
    sys.exit(1)


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def check_files():
    listed, wrong = {}, []
    try:
        with open(os.path.join(here, "SHA256SUMS"), encoding="utf-8") as file:
            for line in file:
                listed[line.rstrip("\n")[66:]] = line[:64]
    except (OSError, ValueError) as error:
        refuse("SHA256SUMS can't be read: %s" % error, "copy the bundle again")
    present = {"SHA256SUMS"}
    for folder, folders, files in os.walk(here):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, here)
            present.add(relative)
            if os.path.islink(path) or not os.path.isfile(path):
                wrong.append("is no plain file: " + relative)
            elif relative in listed and digest(path) != listed[relative]:
                wrong.append("was changed: " + relative)
    wrong += ["is missing: " + name for name in sorted(set(listed) - present)]
    wrong += ["was added: " + name for name in sorted(present - set(listed) - {"SHA256SUMS"})]
    if not listed:
        wrong.append("SHA256SUMS is empty")
    if wrong:
        refuse("the bundle is not as it was made:\n  " + "\n  ".join(wrong), "copy the bundle again")


def loader(header, file):
    wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
    offset, = struct.unpack(order + ("Q" if wide else "I"), header[32:40] if wide else header[28:32])
    size, count = struct.unpack(order + "HH", header[54:58] if wide else header[42:46])
    for index in range(count):
        file.seek(offset + index * size)
        entry = file.read(size)
        if struct.unpack(order + "I", entry[:4])[0] == 3:
            wanted = entry[8:40] if wide else entry[4:20]
            place, _, _, length = struct.unpack(order + ("QQQQ" if wide else "IIII"), wanted)
            file.seek(place)
            return file.read(length).rstrip(b"\0").decode()
    return ""


def libc(loader):
    # PEP 656: musl's loader tells its version to whoever starts it with nothing to load.
    if "musl" in os.path.basename(loader):
        said = subprocess.Popen([loader], stdout=subprocess.PIPE, stderr=subprocess.PIPE).communicate()[1]
        name, version = "musl", said.decode().partition("Version ")[2].partition("\n")[0]
    else:
        try:
            name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
        except (AttributeError, OSError, ValueError):
            return None
    return (name, tuple(int(part) for part in version.split(".")[:2])) if version else None


def check_machine():
    with open(sys.executable, "rb") as file:
        header = file.read(64)
        order = "<" if header[5] == 1 else ">"
        if (header[4], header[5], struct.unpack(order + "H", header[18:20])[0]) != @ELF@:
            refuse(
                "this interpreter runs on %s, the bundle is for @ARCHITECTURE@" % os.uname().machine,
                "make a bundle for this architecture",
            )
        found = libc(loader(header, file))
    if found is None:
        refuse("this machine has no @LIBC@, which the bundle is for", "use a system that is built on @LIBC@")
    name, version = found
    if name != "@LIBC@":
        refuse("this machine has %s, the bundle is for @LIBC@" % name, "make a bundle for a target with %s" % name)
    if version < tuple(int(part) for part in "@CAP@".split(".")):
        refuse("this machine has @LIBC@ %d.%d, the bundle is for @CAP@" % version, "lock for a lower cap")
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    version = "%d.%d.%d" % sys.version_info[:3]
    if "@VERSION@" not in (version + free_threaded, version.rpartition(".")[0] + free_threaded):
        refuse(
            "%s is Python %s%s, the bundle is for @VERSION@" % (sys.executable, version, free_threaded),
            "name the interpreter: PYTHON=/path/to/@PYTHON@ sh install.sh DIRECTORY",
        )
    try:
        import venv
        if sys.version_info < (3, 10):
            import distutils.command.install  # pip needs it there, and Debian keeps it apart
    except ImportError as error:
        refuse(
            "%s is incomplete: %s" % (sys.executable, error),
            "install the rest of it (on Debian and Ubuntu: python3-venv and python3-distutils)",
        )
    if sys.implementation.name != "cpython":
        refuse("%s is %s, the bundle is for CPython" % (sys.executable, sys.implementation.name), "use CPython")


def check_destination():
    if os.path.lexists(venv) and (not os.path.isdir(venv) or os.listdir(venv)):
        refuse("%s is there already" % venv, "remove it, or name another folder")
    if os.path.realpath(venv).startswith(os.path.realpath(here) + os.sep):
        refuse("%s lies within the bundle" % venv, "name another folder")


check_files()
check_machine()
check_destination()
END

# Half an environment is worse than none.
trap 'code=$?; [ "$code" -eq 0 ] || rm -rf "$venv"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"$python" -I -m venv --without-pip "$venv"
@INSTALL@
echo "Installed @COUNT@: $venv/bin/python"
"""
