"""Built wheels, checked against the cap, and written again with the tag that they meet; the same content gives the same bytes."""

import base64
import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from minglibc.audit.binaries import of_wheel
from minglibc.audit.elf import ElfFile
from minglibc.audit.policies import POLICIES
from minglibc.audit.rules import Binary, Finding, Kind, audit
from minglibc.build.undefined_symbols import newer_functions
from minglibc.config.files import open_regular
from minglibc.errors import WheelError
from minglibc.model.artifacts import printable
from minglibc.model.targets import LEGACY_NAMES, Cap, GlibcVersion, Target, oldest_glibc
from minglibc.model.zip_archive import open_zip

# A build tag (PEP 427), so that no file of an index has the same name.
BUILD_TAG = "1minglibc"
# What keeps a wheel from being used, whatever the machine has.
_ACCEPTED = (Kind.CPU, Kind.EXECUTABLE_STACK)
_TIME = (1980, 1, 1, 0, 0, 0)
_PLAIN, _EXECUTABLE = 0o100644, 0o100755
_PURE = "any"


class Unverified(WheelError):
    """A built wheel needs what machines at the cap lack; *findings* are the reasons."""

    def __init__(self, filename: str, findings: Sequence[Finding]) -> None:
        super().__init__(f"{filename} does not meet the cap")
        self.findings = findings


class VerifiedWheel(NamedTuple):
    """A wheel that was checked: its path, and the highest glibc or libstdc++ version that its policy has."""

    path: str
    platform: str


def verify_wheel(path: str, target: Target, folder: str) -> VerifiedWheel:
    """Check the wheel at *path* against the cap of *target*, and write it to *folder* with its tag; raises WheelError."""
    filename = os.path.basename(path)
    binaries = of_wheel(path, filename)
    stem, python, abi, platform = filename[: -len(".whl")].rsplit("-", 3)
    if binaries or platform != _PURE:
        platform = _platform(binaries, target, filename)
        _check_architecture(binaries, target, filename)
        _check_functions(path, binaries, target, filename)
    name, version = stem.split("-")[:2]
    renamed = f"{name}-{version}-{BUILD_TAG}-{python}-{abi}-{platform}.whl"
    written = os.path.join(folder, renamed)
    tags = [f"{p}-{a}-{f}" for p in python.split(".") for a in abi.split(".") for f in platform.split(".")]
    rewrite(path, written, tags)
    return VerifiedWheel(written, platform)


def _platform(binaries: Sequence[Binary], target: Target, filename: str) -> str:
    """The platform tags of the lowest policy that *binaries* meet; raises Unverified."""
    findings: list[Finding] = []
    for cap in _caps(target.cap, target.architecture):
        findings = [
            f
            for f in audit(binaries, [target.architecture], cap, libstdcxx=target.libstdcxx)
            if f.kind not in _ACCEPTED
        ]
        if not findings:
            return _tags(cap, target.architecture)
    raise Unverified(filename, findings)


def _check_architecture(binaries: Sequence[Binary], target: Target, filename: str) -> None:
    """Raise Unverified where a build for another architecture has files of this machine's, which the audit skips."""
    own = os.uname().machine
    for binary in binaries:
        content = binary.content
        if own != target.architecture and isinstance(content, ElfFile) and content.architecture == own:
            detail = f"a processor of {own}, not {target.architecture}"
            raise Unverified(filename, [Finding(binary.distribution, binary.path, Kind.PRIVATE, detail=detail)])


def _check_functions(path: str, binaries: Sequence[Binary], target: Target, filename: str) -> None:
    """Raise Unverified where the wheel uses functions of glibc that the cap's release lacks."""
    if not isinstance(target.cap, GlibcVersion) or not binaries:
        return
    functions = newer_functions(path)
    if functions:
        names = ", ".join(dict.fromkeys(function.name for function in functions))
        detail = f"functions that glibc {target.cap} lacks: {names}"
        raise Unverified(
            filename, [Finding(binaries[0].distribution, functions[0].path, Kind.PRIVATE, detail=printable(detail))]
        )


def _caps(cap: Cap, architecture: str) -> Iterator[Cap]:
    """The policies up to *cap*, the lowest first, and *cap* itself."""
    if isinstance(cap, GlibcVersion):
        # Older installers know only the names of policies.
        yield from (policy for policy in POLICIES if oldest_glibc(architecture) <= policy < cap)
    yield cap


def _tags(cap: Cap, architecture: str) -> str:
    if not isinstance(cap, GlibcVersion):
        return f"musllinux_{cap.major}_{cap.minor}_{architecture}"
    names = [f"manylinux_{cap.major}_{cap.minor}_{architecture}"]
    if cap.minor in LEGACY_NAMES:
        names.append(f"{LEGACY_NAMES[cap.minor]}_{architecture}")
    # PEP 425: sorted.
    return ".".join(sorted(names))


def rewrite(path: str, written: str, tags: Sequence[str] | None = None) -> None:
    """Write the wheel at *path* again as *written*, with sorted members, no times, and *tags* if given; raises WheelError."""
    try:
        with open(path, "rb", opener=open_regular) as file, open_zip(file) as archive:
            members = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
            contents = {name: archive.read(name) for name in members}
        executable = {name for name, entry in members.items() if entry.external_attr >> 16 & 0o111}
        if tags is not None:
            contents = _with_tags(contents, tags, os.path.basename(path))
        _write(written, contents, executable)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise WheelError(f"can't read {path}: {getattr(error, 'strerror', None) or error}") from error


def _with_tags(contents: Mapping[str, bytes], tags: Sequence[str], filename: str) -> dict[str, bytes]:
    changed = dict(contents)
    folders = {name.partition("/")[0] for name in contents if name.partition("/")[0].endswith(".dist-info")}
    wheel = next((f"{folder}/WHEEL" for folder in sorted(folders) if f"{folder}/WHEEL" in contents), None)
    if wheel is None:
        raise WheelError(f"{filename} has no WHEEL file")
    lines = [
        line
        for line in contents[wheel].decode("utf-8", "replace").splitlines()
        if line.strip() and not line.lower().startswith(("tag:", "build:"))
    ]
    lines += [f"Build: {BUILD_TAG}", *(f"Tag: {tag}" for tag in tags)]
    changed[wheel] = ("\n".join(lines) + "\n").encode()
    record = wheel.replace("/WHEEL", "/RECORD")
    for name in (record, f"{record}.jws", f"{record}.p7s"):
        changed.pop(name, None)
    changed[record] = _record(changed, record)
    return changed


def _record(contents: Mapping[str, bytes], record: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in sorted(contents.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((record, "", ""))
    return text.getvalue().encode()


def _write(path: str, contents: Mapping[str, bytes], executable: set[str]) -> None:
    # The files of .dist-info come last (PEP 427).
    order = sorted(contents, key=lambda name: (name.partition("/")[0].endswith(".dist-info"), name))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in order:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (_EXECUTABLE if name in executable else _PLAIN) << 16
            archive.writestr(entry, contents[name])
