"""The files of a bundle that are not wheels: requirements.txt, SHA256SUMS, and the script that installs it offline."""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from minglibc.bundle.signature import NAMESPACE
from minglibc.errors import EnvironmentProblem, TargetError
from minglibc.lock.requirements_txt import dumps
from minglibc.lock.selection import target_name
from minglibc.model import versions
from minglibc.model.elf_identities import ELF_IDENTITIES
from minglibc.model.targets import LIBCS, PythonVersion, Target

if TYPE_CHECKING:
    from minglibc.lock.locked_files import Selection

SCRIPT = "install.sh"
SUMS = "SHA256SUMS"
# Beside SHA256SUMS, where the bundle is signed.
SIGNATURE = "SHA256SUMS.sig"
REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
INTERPRETER = "interpreter.tar.gz"


def name_of(target: Target) -> str:
    """The default name of the bundle's folder, also within an archive."""
    return f"bundle-{target_name(target)}"


def own_files(target: Target, selected: "Selection", pip: str, lock: str, interpreter: str = "") -> dict[str, bytes]:
    """The files of the bundle except the wheels and SHA256SUMS; *pip* is the file name of the pip wheel.

    *interpreter* is the path of the interpreter in its archive; empty where the bundle has none.
    """
    return {
        SCRIPT: install_script(target, pip, len(selected), interpreter).encode(),
        "pylock.toml": lock.encode(),
        REQUIREMENTS: dumps({target: selected}, index=True).encode(),
    }


# The first pip that supports the tags of each C library (manylinux_2_17, musllinux_1_1), and their PEP.
_FIRST_PIP = {"glibc": ("20.3", 600), "musl": ("21.2", 656)}


def check_pip(filename: str, target: Target) -> str:
    """*filename* if that pip supports the tags of *target*; raises EnvironmentProblem."""
    first, pep = _FIRST_PIP[target.cap.libc]
    if versions.key(filename.split("-")[1]) < versions.key(f"{first}.dev0"):
        raise EnvironmentProblem(
            f"{filename} is too old for the tags of PEP {pep}",
            hint=f"if the project requires pip, require pip>={first}; else use an index that has it",
        )
    return filename


def sums(digests: Mapping[str, str]) -> bytes:
    """SHA256SUMS in the format of ``sha256sum --check``."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def is_bundle(names: Iterable[str]) -> bool:
    """Whether a folder with exactly these entries is a bundle."""
    return {SCRIPT, SUMS, REQUIREMENTS, WHEELS, "pylock.toml"} == set(names) - {SIGNATURE, INTERPRETER}


def install_script(target: Target, pip: str, count: int, interpreter: str = "") -> str:
    """A POSIX shell script that checks the bundle and the machine, and then creates an environment."""
    python = target.python
    suffix = "t" if python.free_threaded else ""
    identity = ELF_IDENTITIES[target.architecture]
    # Class, byte order and machine as numbers, as they are in the ELF header.
    elf = f"{identity.bits // 32} {1 if identity.little_endian else 2} {identity.machine}"
    values = {
        "PYTHON_NAME": f"python{python.short}{suffix}",
        "PYTHON_VERSION": f"{python.short if python.patch is None else python.full}{suffix}",
        "ARCHITECTURE": target.architecture,
        "ELF": elf,
        "LIBC": target.cap.libc,
        "CAP": str(target.cap),
        "NAMESPACE": NAMESPACE,
        "PIP": pip,
        "INTERPRETER": interpreter,
        "PACKAGES": f"{count} package{'' if count == 1 else 's'}",
    }
    sources = files("minglibc.bundle")
    script = (sources / SCRIPT).read_text(encoding="utf-8").replace("@TARGET@", target_name(target))
    for name, value in values.items():
        script = script.replace(f"@{name}@", _quoted(value))
    return script.replace("@CHECKS@", (sources / "_check.py").read_text(encoding="utf-8").rstrip())


def read_target(script: str) -> Target:
    """The target of a bundle, from the text of its install.sh; raises EnvironmentProblem."""
    values = dict(re.findall(r"^(python_version|architecture|libc|cap)='([^']*)'$", script, re.MULTILINE))
    try:
        cap = LIBCS[values["libc"]].parse(values["cap"])
        return Target(PythonVersion.parse(values["python_version"]), values["architecture"], cap)
    except (KeyError, TargetError) as error:
        raise EnvironmentProblem(f"{SCRIPT} does not name its target", hint="create the bundle again") from error


def _quoted(value: str) -> str:
    # shlex.quote leaves most values bare, and shellcheck takes the dashes in a bare file name for arithmetic.
    return "'" + value.replace("'", "'\"'\"'") + "'"
