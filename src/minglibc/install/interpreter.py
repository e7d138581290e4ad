"""Python interpreters on this machine: find them, inspect them, and create virtual environments with them."""

import json
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem, TargetError
from minglibc.install.layout import HOME, Layout
from minglibc.install.permissions import apply_umask
from minglibc.lock.selection import Machine
from minglibc.model.elf_identities import ARCHITECTURE_OF, ElfIdentity
from minglibc.model.targets import LIBCS, Cap, PythonVersion

_CREATING = "creating"
_OLDEST_MINOR = 6
_INSPECTION_SECONDS = 60
_CONDA_ITSELF = re.compile(r"(?:conda|mamba)-[0-9]")
_CHOOSE = "choose an interpreter or an environment with --python PATH"
_EM_ARM, _EF_ARM_ABI_FLOAT_HARD = 40, 0x400


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter on this machine, as it describes itself."""

    executable: str
    machine: Machine
    layout: Layout
    is_environment: bool
    externally_managed: bool = False
    base_prefix: str = ""
    """The prefix of the base interpreter, which may be its own."""
    loader: str = ""
    """The program that loads it (PT_INTERP)."""
    libc: str = ""
    """The full version of its C library, such as ``musl 1.2.5``; tags have two numbers."""
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The files that these facts depend on, each with its identity; empty if unknown."""
    shared_sites: tuple[str, ...] = ()
    """The folders of packages outside of an environment that it imports from too; all of them for a base interpreter."""


def inspect(executable: str, meanwhile: Callable[[], object] = lambda: None) -> Interpreter:
    """The interpreter that *executable* starts, CPython 3.6 or newer; raises EnvironmentProblem.

    *meanwhile* is called while the interpreter starts.
    """
    for folder in (os.path.dirname(executable), os.path.dirname(os.path.dirname(executable))):
        configuration = os.path.join(folder, "pyvenv.cfg")
        if os.path.exists(configuration) and not os.path.isfile(configuration) and not os.path.isdir(configuration):
            # The interpreter would read it, and would never return from that.
            raise EnvironmentProblem(f"{configuration} is not a regular file", hint=_CHOOSE)
    with _probe() as script:
        command = [executable, "-I", "-S", script]
        try:
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_clean_environment()
            ) as process:
                try:
                    meanwhile()
                    output, errors = process.communicate(timeout=_INSPECTION_SECONDS)
                except BaseException:
                    process.kill()
                    raise
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = getattr(error, "strerror", None) or f"no response within {_INSPECTION_SECONDS} seconds"
            raise EnvironmentProblem(f"can't start the interpreter {executable}: {reason}", hint=_CHOOSE) from error
    try:
        return _interpreter(json.loads(output))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        reason = _last_line(errors) or f"it exited with code {process.returncode}"
        raise EnvironmentProblem(f"{executable} is not Python 3.6 or newer: {reason}", hint=_CHOOSE) from error


@contextmanager
def _probe() -> Iterator[str]:
    """The path of the script that interpreters run to describe themselves."""
    script = os.path.join(os.path.dirname(__file__), "_probe.py")
    if os.path.isfile(script):
        yield script
        return
    from importlib.resources import as_file, files  # noqa: PLC0415  only if minglibc runs from a zip archive

    with as_file(files("minglibc.install") / "_probe.py") as path:
        yield str(path)


def _clean_environment() -> dict[str, str]:
    # With the caller's PYTHONHOME another interpreter would not find its own library.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "__PYVENV"))}


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _interpreter(facts: dict[str, object]) -> Interpreter:
    version, implementation = facts["version"], str(facts["implementation"])
    assert isinstance(version, list)
    if version[0] != 3 or version[1] < _OLDEST_MINOR:
        text = ".".join(map(str, version))
        raise EnvironmentProblem(
            f"{facts['executable']} is Python {text}; minglibc requires 3.6 or newer", hint=_CHOOSE
        )
    python = PythonVersion(version[1], version[2], bool(facts["free_threaded"]))
    elf, libc, files = facts["elf"], str(facts["libc"]), facts["files"]
    shared_sites = facts["shared_sites"]
    assert isinstance(shared_sites, list)
    assert isinstance(elf, dict)
    assert isinstance(files, dict)
    machine = Machine(python, _architecture(elf, facts), _libc(libc), implementation)
    return Interpreter(
        str(facts["executable"]),
        machine,
        _layout(facts, python),
        bool(facts["environment"]),
        bool(facts["externally_managed"]),
        os.path.realpath(str(facts["base_prefix"])),
        str(elf.get("loader", "")),
        libc,
        files,
        tuple(map(str, shared_sites)),
    )


def _architecture(elf: dict[str, object], facts: dict[str, object]) -> str:
    if elf.get("machine") == _EM_ARM and not int(str(elf.get("flags", 0))) & _EF_ARM_ABI_FLOAT_HARD:
        return "armv7l without hardware floating point"
    machine, bits = int(str(elf.get("machine", 0))), int(str(elf.get("bits", 0)))
    identity = ElfIdentity(machine, bits, bool(elf.get("little")))
    return ARCHITECTURE_OF.get(identity, f"{facts['system']} {facts['uname']}")


def _libc(libc: str) -> Cap | None:
    name, _, version = libc.partition(" ")
    # Some distributions report 2.36.9000, and musl's version has three numbers; tags have two.
    short = ".".join(version.split(".")[:2])
    try:
        return LIBCS[name].parse(short)
    except (KeyError, TargetError):
        return None


def _layout(facts: dict[str, object], python: PythonVersion) -> Layout:
    """The folders of the environment with links resolved: nothing may be written outside the prefix."""
    paths = facts["paths"]
    assert isinstance(paths, dict)
    prefix = os.path.realpath(str(paths["data"]))
    relative = {}
    for name in ("purelib", "platlib", "scripts", "data"):
        path = posixpath.relpath(os.path.realpath(str(paths[name])), prefix)
        if path.startswith(".."):
            raise EnvironmentProblem(f"the {name} folder of {facts['executable']} is {paths[name]}, outside {prefix}")
        relative[name] = "" if path == "." else path
    include = f"include/site/python{python.short}"
    interpreter = str(facts["executable"])
    return Layout(prefix, relative["purelib"], relative["platlib"], relative["scripts"], "", include, interpreter)


def create(folder: str, executable: str) -> Interpreter:
    """Create a virtual environment without pip at *folder* (PEP 405), or complete one whose creation was interrupted."""
    marker = os.path.join(folder, HOME, _CREATING)
    try:
        os.makedirs(os.path.dirname(marker), exist_ok=True)
        with open(marker, "wb", opener=open_regular):
            pass
    except OSError as error:
        raise EnvironmentProblem(f"can't create an environment at {folder}: {error.strerror}") from error
    run_venv(folder, executable)
    interpreter = inspect(os.path.join(folder, "bin", "python"))
    check_location(interpreter, folder)
    _ignore_in_git(folder)
    apply_umask(folder)
    os.unlink(marker)
    return interpreter


def run_venv(folder: str, executable: str) -> None:
    """Create the files of a virtual environment at *folder* with the venv module of *executable*."""
    command = [executable, "-I", "-m", "venv", "--without-pip", folder]
    process = subprocess.run(command, capture_output=True, check=False, env=_clean_environment())
    if process.returncode:
        reason = _last_line(process.stderr or process.stdout) or f"exit code {process.returncode}"
        raise EnvironmentProblem(
            f"{executable} can't create an environment at {folder}: {reason}",
            hint="some systems package the venv module separately (python3-venv); or choose another --python",
        )


def _ignore_in_git(folder: str) -> None:
    """Let Git ignore the environment at *folder*, as the venv module of Python 3.13 does."""
    path = os.path.join(folder, ".gitignore")
    if not os.path.lexists(path):
        with open(path, "x", encoding="utf-8") as file:
            file.write("*\n")


def check_location(interpreter: Interpreter, folder: str) -> None:
    """Raise EnvironmentProblem unless *interpreter*, found in *folder*, is that of a virtual or conda environment there."""
    if is_base(interpreter, folder):
        raise EnvironmentProblem(
            f"{folder} is a base interpreter, not a virtual environment",
            hint="minglibc does not change base interpreters; choose another folder with --python",
        )
    if os.path.isfile(os.path.join(folder, "bin", "pyvenv.cfg")):
        reason = "pyvenv.cfg is in its bin folder"
    elif not is_changeable(interpreter):
        missing = "" if os.path.isfile(os.path.join(folder, "pyvenv.cfg")) else "pyvenv.cfg is missing, and "
        reason = f"{missing}its interpreter is the base interpreter in {interpreter.base_prefix}"
    elif interpreter.layout.prefix != os.path.realpath(folder):
        reason = f"its interpreter belongs to {interpreter.layout.prefix}"
    else:
        return
    raise EnvironmentProblem(
        f"{folder} is a broken environment: {reason}", hint=f"delete {folder} to let sync create it again"
    )


def is_base(interpreter: Interpreter, folder: str) -> bool:
    """Whether *folder* is the prefix of a base interpreter, and *interpreter* is that interpreter."""
    return not is_changeable(interpreter) and interpreter.base_prefix == os.path.realpath(folder)


def is_changeable(interpreter: Interpreter) -> bool:
    """Whether *interpreter* is in a virtual or conda environment; base interpreters are never changed."""
    prefix = interpreter.layout.prefix
    if interpreter.is_environment:
        return os.path.isfile(os.path.join(prefix, "pyvenv.cfg"))
    return is_conda_environment(prefix)


def check_changeable(interpreter: Interpreter) -> None:
    """Raise EnvironmentProblem unless *interpreter* is in an environment now."""
    if not is_changeable(interpreter):
        raise EnvironmentProblem(
            f"{interpreter.layout.prefix} is not a virtual environment",
            hint="nothing was changed: minglibc does not change the packages of base interpreters",
        )


def has_environment_files(folder: str) -> bool:
    """Whether *folder* looks like a virtual environment, even a broken one."""
    names = ("pyvenv.cfg", HOME, os.path.join("bin", "activate"))
    return any(os.path.lexists(os.path.join(folder, name)) for name in names)


def is_conda_environment(prefix: str) -> bool:
    """Whether *prefix* is an environment that conda created; its base environment, which contains conda, is not."""
    try:
        packages = os.listdir(os.path.join(prefix, "conda-meta"))
    except OSError:
        return False
    return not any(_CONDA_ITSELF.match(package) for package in packages)


def is_creatable(folder: str) -> bool:
    """Whether an environment can be created at *folder*: it is missing or empty, or its creation was interrupted."""
    try:
        entries = set(os.listdir(folder))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    # The venv module follows links.
    has_links = any(os.path.islink(os.path.join(folder, name)) for name in (HOME, "bin", "lib", "include"))
    return not has_links and (entries <= {HOME} or os.path.exists(os.path.join(folder, HOME, _CREATING)))


def find_interpreters(pythons: Iterable[PythonVersion]) -> Iterator[str]:
    """Executables that may be one of *pythons*: the running one first, then those on PATH, without duplicates."""
    known: set[str] = set()
    names = [f"python{python.short}{'t' if python.free_threaded else ''}" for python in pythons]
    running = getattr(sys, "_base_executable", None) or sys.executable
    for path in [running, *_on_path([*names, "python3"])]:
        real = os.path.realpath(path)
        if real not in known:
            known.add(real)
            yield path


def _on_path(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = os.path.join(os.path.abspath(folder), name)
            if folder and os.access(path, os.X_OK) and os.path.isfile(path):
                yield path


def compile_bytecode(interpreter: Interpreter) -> None:
    """Compile everything that is installed for *interpreter*; files that do not compile are ignored."""
    layout = interpreter.layout
    sites = {os.path.join(layout.prefix, site) for site in (layout.purelib, layout.platlib)}
    command = [interpreter.executable, "-I", "-m", "compileall", "-q", "-j", "0", *sorted(sites)]
    subprocess.run(command, capture_output=True, check=False, env=_clean_environment())
