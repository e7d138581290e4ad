"""Source distributions with their own small build backend, so that building them downloads nothing."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.elves import elf
from tests.support.wheels import BuiltSdist, Content, metadata_text, normalized

# Supports Python 3.6 and newer. spec.json describes what it builds; *fault* is how it fails.
BACKEND = r"""
import base64, hashlib, json, os, subprocess, sys, time, zipfile

with open("spec.json") as file:
    SPEC = json.load(file)

def get_requires_for_build_wheel(config_settings=None):
    return SPEC["build_requires"]

get_requires_for_build_editable = get_requires_for_build_wheel

def build_wheel(folder, config_settings=None, metadata_directory=None):
    for name in SPEC["build_requires"]:
        __import__(name)
    log = os.environ.get("BACKEND_LOG")
    if log:
        with open(log, "a") as file:
            file.write("%s %s %d.%d\n" % ((SPEC["name"], SPEC["version"]) + sys.version_info[:2]))
    fault = SPEC["fault"]
    if fault == "fails":
        print("the reason why"); sys.exit(1)
    if fault == "prints":
        for number in range(200000):
            print("line", number)
        print("the reason why"); sys.exit(1)
    if fault == "escapes":
        print("\x1b[31mred\x1b[0m"); sys.exit(1)
    if fault == "asks":
        input("your name? ")
    if fault == "killed":
        print("the reason why", flush=True)
        os.kill(os.getpid(), 9)
    if fault == "hangs":
        print("before the wait", flush=True)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)
    if fault == "outlived":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    return _wheel(folder, {path: open(path, "rb").read() for path in SPEC["files"]})

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, {SPEC["module"] + ".pth": (os.path.join(os.getcwd()) + "\n").encode()})

def _wheel(folder, contents):
    tag = SPEC["tag"]
    if tag == "native":
        tag = "cp{0}{1}-cp{0}{1}{2}-linux_{3}".format(
            sys.version_info[0], sys.version_info[1], "m" if sys.version_info < (3, 8) else "", os.uname().machine)
    name, version = SPEC["made_name"], SPEC["made_version"]
    info = "%s-%s.dist-info" % (name.replace("-", "_"), version)
    requires = "".join("Requires-Dist: %s\n" % entry for entry in SPEC["requires"])
    contents[info + "/METADATA"] = ("Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (name, version, requires)).encode()
    pure = str(tag.endswith("-any")).lower()
    tags = "".join("Tag: %s-%s-%s\n" % (one, tag.split("-")[1], tag.split("-")[2]) for one in tag.split("-")[0].split("."))
    contents[info + "/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: %s\n%s" % (pure, tags)).encode()
    def digest(data):
        return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    rows = ["%s,sha256=%s,%d" % (path, digest(data), len(data)) for path, data in sorted(contents.items())]
    contents[info + "/RECORD"] = ("\n".join(rows + [info + "/RECORD,,"]) + "\n").encode()
    wheel = "%s-%s-%s.whl" % (name.replace("-", "_"), version, tag)
    if SPEC["fault"] == "no wheel":
        return wheel
    if SPEC["fault"] == "elsewhere":
        return "../" + wheel
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, data in sorted(contents.items()):
            archive.writestr(path, data)
    return wheel
"""


def source_files(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    needs: str = "",
    tag: str = "",
    fault: str = "",
    build_requires: Iterable[str] = (),
    made_name: str = "",
    made_version: str = "",
    project: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files of a project with the backend: pyproject.toml, the backend, its spec.json, and a module.

    *needs* adds a binary that needs this glibc. *made_name* and *made_version* are the name and version in the wheel's
    metadata.
    """
    module = normalized(name).replace("-", "_")
    files = {f"{module}.py": f"__version__ = {version!r}\n".encode()}
    if needs:
        files[f"_{module}.so"] = elf(needs={"libc.so.6": [f"GLIBC_{needs}"]})
    spec = {
        "name": name,
        "version": version,
        "module": module,
        "requires": list(requires),
        "build_requires": list(build_requires),
        "files": sorted(files),
        "tag": tag or ("native" if needs else "py3-none-any"),
        "fault": fault,
        "made_name": made_name or name,
        "made_version": made_version or version,
    }
    # These JSON values are valid TOML.
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in (project or {}).items())
    files["pyproject.toml"] = (
        '[build-system]\nrequires = []\nbuild-backend = "tiny_backend"\nbackend-path = ["."]\n'
        + (f"[project]\n{table}" if table else "")
    ).encode()
    files["spec.json"] = json.dumps(spec).encode()
    files["tiny_backend.py"] = BACKEND.encode()
    return files


def build_source(
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = None,
    static: bool = False,
    pkg_info: bytes | None = None,
    files: Mapping[str, Content] | None = None,
    archive: str = "tar.gz",
    **what: Any,
) -> BuiltSdist:
    """A source distribution that can be built; *what* is for ``source_files``, *files* are put over those.

    Its metadata are *static* (PEP 643), or else known only once it is built.
    """
    stem = f"{normalized(name).replace('-', '_')}-{version}"
    metadata = metadata_text(name, version, requires=requires, requires_python=requires_python)
    if not static:
        metadata = metadata.replace(b"Metadata-Version: 2.2", b"Metadata-Version: 2.1")
    contents: dict[str, Content] = {"PKG-INFO": metadata if pkg_info is None else pkg_info}
    contents |= source_files(name, version, requires=requires, **what)
    contents |= files or {}
    members = {f"{stem}/{path}": text.encode() if isinstance(text, str) else text for path, text in contents.items()}
    packed = zip_of(members) if archive == "zip" else tar_of([entry_of(p, data) for p, data in members.items()])
    return BuiltSdist(f"{stem}.{archive}", packed, metadata, normalized(name), version, requires_python)


Entry = tuple[tarfile.TarInfo, bytes]


def entry_of(path: str, content: bytes = b"", **attributes: Any) -> Entry:
    """A member of a tar archive; *attributes* are set on it."""
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry, content


def tar_with_extended_headers(header: bytes, count: int) -> bytes:
    """A source distribution of *count* files that each have *header* as extended header (PAX), whatever it contains."""
    plain = bytearray()
    for number in range(count):
        extended = tarfile.TarInfo("x")
        extended.size, extended.type = len(header), tarfile.XHDTYPE
        plain += extended.tobuf(tarfile.USTAR_FORMAT) + header + bytes(-len(header) % 512)
        plain += tarfile.TarInfo(f"b-1.0/{number}").tobuf(tarfile.USTAR_FORMAT)
    return gzip.compress(plain + bytes(1024), 1)


def tar_of(entries: Iterable[Entry]) -> bytes:
    """A reproducible .tar.gz of these members."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """The .zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
