"""Bundles on the controller: read, unpacked, made from a lock, and chosen for a machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files as resources
from typing import NamedTuple

from ansible import constants
from ansible.errors import AnsibleActionFail

try:
    from minglibc.app import BundleOptions, CommonOptions, SelectionOptions, create_bundle
    from minglibc.app.locked_project import read_locked_project
    from minglibc.bundle.contents import INTERPRETER, SCRIPT, SIGNATURE, SUMS, is_bundle, read_target
    from minglibc.bundle.signature import verify
    from minglibc.errors import EnvironmentProblem, MinglibcError
    from minglibc.fleet.machine import Machine
    from minglibc.fleet.measurement import read_interpreters, read_measurement
    from minglibc.lock import selection
    from minglibc.model.targets import PythonVersion
    from minglibc.model.targets import Target as LockTarget
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

_NAME = re.compile(
    r"(?:[A-Za-z0-9_+@%=~-][A-Za-z0-9_.+!@%=~-]*/){0,4}[A-Za-z0-9_+@%=~-][A-Za-z0-9_.+!@%=~-]*", re.ASCII
)
_ARCHIVES = (".tar.gz", ".tgz")


def need_minglibc() -> None:
    """Raise AnsibleActionFail without minglibc in the Python of Ansible."""
    if MISSING:
        raise AnsibleActionFail(
            f"minglibc 0.2 or newer is missing in the Python of Ansible ({MISSING}); install it there with pip"
        )


class Facts(NamedTuple):
    """A machine, and where its interpreters are."""

    machine: Machine
    interpreters: dict[PythonVersion, str]
    """The path of each; the default interpreter is the first."""
    is_selected: bool = False
    """Whether the task names the interpreter."""


class Bundle(NamedTuple):
    """A folder that `minglibc bundle` has made."""

    path: str
    """The folder, or the archive that it was unpacked from."""
    folder: str
    sums_text: bytes
    """The content of SHA256SUMS."""
    files: dict[str, str]
    """The SHA-256 of each file in SHA256SUMS."""
    target: LockTarget

    @property
    def sums(self) -> str:
        """The SHA-256 of SHA256SUMS."""
        return hashlib.sha256(self.sums_text).hexdigest()

    @property
    def id(self) -> str:
        """The name of its releases; a longer path could exceed the first line of a script on old kernels."""
        return self.sums[:16]

    @property
    def paths(self) -> dict[str, str]:
        """The path of each file by its SHA-256."""
        paths = {digest: os.path.join(self.folder, name) for name, digest in self.files.items()}
        return {**paths, self.sums: os.path.join(self.folder, SUMS)}

    @property
    def unpacked_size(self) -> int:
        """The size of the installed files."""
        total = 0
        for name in self.files:
            if name.endswith(".whl"):
                with zipfile.ZipFile(os.path.join(self.folder, name)) as wheel:
                    total += sum(entry.file_size for entry in wheel.infolist())
        if INTERPRETER in self.files:
            # RFC 1952: the last four bytes are the size before compression.
            with open(os.path.join(self.folder, INTERPRETER), "rb") as file:
                file.seek(-4, os.SEEK_END)
                total += int.from_bytes(file.read(), "little")
        return total


def measure_script() -> bytes:
    """The script that prints a machine's facts."""
    return resources("minglibc.fleet").joinpath("measure.sh").read_bytes()


def read_facts(name: str, output: str, python: str = "") -> Facts:
    """The facts that measure.sh printed, with only the interpreter *python* if it is given."""
    with failing():
        machine = read_measurement(name, output)
    interpreters = read_interpreters(output)
    if python:
        interpreters = {version: path for version, path in interpreters.items() if path == python}
        if not interpreters:
            raise AnsibleActionFail(f"{python} is not a CPython 3 that starts on {name}")
        machine = machine._replace(pythons=tuple(interpreters))
    return Facts(machine, interpreters, bool(python))


@contextmanager
def failing() -> Iterator[None]:
    """Turn errors of minglibc and of files on the controller into failures of the task."""
    try:
        yield
    except MinglibcError as error:
        raise AnsibleActionFail("; ".join(filter(None, (error.message, error.hint)))) from None
    except (OSError, UnicodeError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise AnsibleActionFail(str(error)) from None


def choose_bundle(facts: Facts, paths: Sequence[str], signers: str = "") -> tuple[Bundle, str]:
    """The bundle among *paths* for the machine, and the path of the interpreter to use; empty for that of the bundle.

    *signers* is an allowed-signers file of OpenSSH, one of whom must have signed the bundle.
    """
    bundles: dict[LockTarget, Bundle] = {}
    for bundle in (bundle for path in paths for bundle in _bundles_at(path)):
        other = bundles.setdefault(bundle.target, bundle)
        if other.sums != bundle.sums:
            name = selection.target_name(bundle.target)
            raise AnsibleActionFail(f"{other.path} and {bundle.path} are different bundles for {name}; remove one")
    included = [target for target, bundle in bundles.items() if INTERPRETER in bundle.files]
    target, python = _choose(facts, tuple(bundles), included)
    chosen = bundles[target]
    if signers:
        # The target gets only what has the digests of this file.
        verify(chosen.sums_text, os.path.join(chosen.folder, SIGNATURE), signers)
    return chosen, "" if target in included and not facts.is_selected else python


def bundle_of_lock(facts: Facts, path: str) -> tuple[Bundle, str]:
    """A bundle of the lock at *path* for the machine, created once in each run, and the path of the interpreter to use."""
    common = CommonOptions(project=os.path.dirname(path))
    lock = read_locked_project(common, SelectionOptions(lock=path)).lock
    target, python = _choose(facts, lock.targets)
    options = SelectionOptions(lock=path, target=selection.target_name(target))
    key = hashlib.sha256(f"{path}\0{options.target}".encode()).hexdigest()
    return _read(_once(key, lambda output: create_bundle(common, options, BundleOptions(output=output)))), python


def _choose(facts: Facts, targets: Sequence[LockTarget], included: Sequence[LockTarget] = ()) -> tuple[LockTarget, str]:
    """The target for the machine, whose default interpreter is preferred; those *included* bring their own one."""
    pythons = dict(facts.interpreters)
    if not facts.is_selected:
        pythons.update((target.python, "") for target in included if target.python not in pythons)
    problems = []
    for python, path in pythons.items():
        measured = selection.Machine(python, facts.machine.architecture, facts.machine.cap)
        try:
            return selection.choose_target(measured, targets if path else included), path
        except EnvironmentProblem as error:
            problems.append(error.message)
    listed = ", ".join(map(selection.target_name, targets))
    reason = "; ".join(dict.fromkeys(problems)) or "this machine has no CPython 3"
    raise AnsibleActionFail(f"{reason}; the targets are {listed}")


def _bundles_at(path: str) -> list[Bundle]:
    """The bundle at *path*, or those in that folder."""
    if not os.path.exists(path):
        raise AnsibleActionFail(f"there is no bundle {path}")
    if not os.path.isdir(path):
        return [_read(path, _unpacked(path))]
    names = sorted(os.listdir(path))
    if is_bundle(names):
        return [_read(path)]
    children = [os.path.join(path, name) for name in names]
    bundles = [
        _read(child, _unpacked(child) if os.path.isfile(child) else "")
        for child in children
        if (os.path.isfile(child) and child.endswith(_ARCHIVES))
        or (os.path.isdir(child) and is_bundle(os.listdir(child)))
    ]
    if not bundles:
        raise AnsibleActionFail(f"{path} is not a bundle, and contains none")
    return bundles


def _read(path: str, folder: str = "") -> Bundle:
    folder = folder or path
    with open(os.path.join(folder, SUMS), "rb") as file:
        content = file.read()
    files = {}
    for line in content.decode().splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not re.fullmatch("[0-9a-f]{64}", digest) or not _NAME.fullmatch(name):
            raise AnsibleActionFail(f"{folder}/{SUMS} is invalid; create the bundle again")
        files[name] = digest
    if SCRIPT not in files:
        raise AnsibleActionFail(f"{folder} is not a bundle")
    missing = [name for name in files if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        raise AnsibleActionFail(f"{folder} lacks {', '.join(missing)}; create the bundle again")
    with open(os.path.join(folder, SCRIPT), encoding="utf-8") as file:
        target = read_target(file.read())
    return Bundle(path, folder, content, files, target)


def _unpacked(archive: str) -> str:
    """The folder of an archive's bundle, unpacked once in each run."""
    status = os.stat(archive)
    key = hashlib.sha256(f"{archive}\0{status.st_mtime_ns}\0{status.st_size}".encode()).hexdigest()
    folder = _once(key, lambda output: _unpack(archive, output))
    entries = os.listdir(folder)
    if len(entries) != 1 or not is_bundle(os.listdir(os.path.join(folder, entries[0]))):
        raise AnsibleActionFail(f"{archive} is not a bundle")
    return os.path.join(folder, entries[0])


def _unpack(archive: str, folder: str) -> None:
    try:
        with tarfile.open(archive, "r:gz") as opened:
            opened.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise AnsibleActionFail(f"{archive} is not a bundle: {error}") from None


def _once(key: str, make: Callable[[str], object]) -> str:
    """The folder that *make* has filled, once for all hosts; Ansible removes it at the end of the run."""
    base = os.path.join(constants.DEFAULT_LOCAL_TMP, "minglibc")
    os.makedirs(base, mode=0o700, exist_ok=True)
    folder = os.path.join(base, key)
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            new = f"{folder}.{os.getpid()}"
            make(new)
            os.rename(new, folder)
    return folder


def describe(release: str, files: Mapping[str, str]) -> str:
    """A release with its wheels, one a line, for `--diff`."""
    if not release:
        return ""
    lines = [f"release {release}"]
    lines += [
        f"{name} {version} ({os.path.basename(path)}, sha256 {files[path][:12]})"
        for path, name, version in _wheels(files)
    ]
    return "\n".join(lines) + "\n"


def versions_of(files: Mapping[str, str]) -> dict[str, str]:
    """The version of each wheel by its name."""
    return {name: version for _, name, version in _wheels(files)}


def _wheels(files: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The path, name and version of each wheel; the names may come from the target."""
    for path in sorted(files):
        name, _, rest = os.path.basename(path).partition("-")
        if path.endswith(".whl") and rest:
            yield path, name, rest.partition("-")[0]
