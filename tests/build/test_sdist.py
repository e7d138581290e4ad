"""Source distributions that allow-sdist allows: read, built in isolation, checked against the cap, installed, bundled."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from minglibc.build.sdist import open_sdist
from minglibc.errors import WheelError
from minglibc.lock.digest import lock_digests, seal
from minglibc.model.core_metadata import parse_pkg_info
from tests.support.commands import check_selection, minglibc, read_lock
from tests.support.environments import RUNNING, LockedProject, check_whole, installed
from tests.support.index import IndexServer
from tests.support.sdists import Entry, build_source, entry_of, tar_of, tar_with_extended_headers, zip_of
from tests.support.wheels import build_wheel

# Most tests build several times.
pytestmark = pytest.mark.slow

ALLOWED = 'allow-sdist = ["a"]\n'


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project that may build a, and a log of the builds."""
    monkeypatch.setenv("BACKEND_LOG", str(tmp_path / "builds"))
    return LockedProject(tmp_path / "project", index)


def builds(project: LockedProject) -> list[str]:
    """The builds so far: name, version and interpreter."""
    log = project.folder.parent / "builds"
    return log.read_text().splitlines() if log.exists() else []


def error_of(project: LockedProject, *dependencies: str, more: str = ALLOWED, glibc: str = "2.17") -> str:
    """The error message of a `lock` that fails and writes nothing."""
    project.write(dependencies, more=more, glibc=glibc)
    ran = project.command("lock")
    assert 1 == ran.code, ran.err
    assert not (project.folder / "pylock.toml").exists()
    return ran.err


def cache() -> Path:
    """The cache folder of the test."""
    return Path(os.environ["MINGLIBC_CACHE_DIR"])


def test_builds_once_for_all_commands(project: LockedProject, index: IndexServer) -> None:
    """`lock` builds the wheel that `sync` installs and `bundle` includes; another `lock` builds nothing."""
    index.add(build_source("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=ALLOWED)
    assert [f"a 1.0 {RUNNING}"] == builds(project)
    (package, _) = read_lock(project.folder).pylock.packages
    assert package.sdist is not None
    assert ("a-1.0.tar.gz", None) == (package.sdist.filename, package.wheels)
    ran = project.sync()
    assert " + a==1.0" in ran.err
    check_whole(project.venv)
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)
    assert "1.0\n" == subprocess.check_output(
        [project.venv / "bin/python", "-c", "import a; print(a.__version__)"], text=True
    )
    assert "Nothing to do" in project.sync().err
    bundle = project.folder / "bundle"
    index.add(build_wheel("pip", "24.0"))
    assert 0 == project.command("bundle", "-o", str(bundle)).code
    assert {"a-1.0-py3-none-any.whl", "b-1.0-py3-none-any.whl", "pip-24.0-py3-none-any.whl"} == set(
        os.listdir(bundle / "wheels")
    )
    (project.folder / "pylock.toml").unlink()
    project.lock("a", more=ALLOWED)
    assert [f"a 1.0 {RUNNING}"] == builds(project)


def test_offline_with_a_cached_build(project: LockedProject, index: IndexServer) -> None:
    """A new environment needs neither the index nor the source distribution."""
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    index.stop()
    ran = project.sync("--offline")
    assert 0 == ran.code, ran.err
    assert {"a": "1.0"} == installed(project.venv)


@pytest.mark.parametrize("static", [True, False])
def test_static_metadata_needs_no_build(project: LockedProject, index: IndexServer, static: bool) -> None:  # noqa: FBT001
    """A release whose requirements can't be met is not built if its PKG-INFO is static (PEP 643)."""
    index.add(build_source("a", "2.0", requires=["nowhere"], static=static))
    index.add(build_source("a", "1.0", static=static))
    project.lock("a", more=ALLOWED)
    expected = ["a 1.0"] if static else ["a 2.0", "a 1.0"]
    assert expected == [line.rpartition(" ")[0] for line in builds(project)]


def test_served_metadata_needs_no_download(project: LockedProject, index: IndexServer) -> None:
    """A source whose requirements can't be met is not downloaded if the index serves its static metadata."""
    index.add(build_source("a", "2.0", requires=["nowhere"], static=True), core_metadata=True)
    index.add(build_source("a", "1.0", static=True), core_metadata=True)
    project.lock("a", more=ALLOWED)
    assert ["/files/a-1.0.tar.gz"] == [request.path for request in index.requests if request.path.endswith(".tar.gz")]


@pytest.mark.parametrize(
    ("version", "dynamic", "static"),
    [
        ("2.1", "", False),
        ("2.2", "", True),
        ("2.4", "Dynamic: License-File\n", True),
        ("2.4", "Dynamic: requires-dist\n", False),
        ("2.4", "Dynamic: Provides-Extra\n", False),
        ("3.0", "Dynamic: Requires-Python\n", False),
        ("2.10", "", True),
        ("none", "", False),
    ],
)
def test_pkg_info(version: str, dynamic: str, static: bool) -> None:  # noqa: FBT001
    """PKG-INFO is static from metadata 2.2 on, unless it lists a field that the resolver needs as dynamic."""
    metadata = parse_pkg_info(f"Metadata-Version: {version}\nName: a\nVersion: 1\nRequires-Dist: b\n{dynamic}\ntext")
    assert static == (metadata is not None)
    assert metadata is None or ("b",) == metadata.requires_dist


def test_compiled_build_within_the_cap(project: LockedProject, index: IndexServer) -> None:
    """A build whose binaries are within the cap is locked and installed, and `check` reports on it."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.lock("a", more=ALLOWED)
    assert 0 == project.sync().code
    check_whole(project.venv)
    assert "Nothing to do" in project.sync().err
    ran = project.command("check")
    assert (0, "Checked 1 binary in 1 wheel against glibc 2.17: 0 findings") == (
        ran.code,
        ran.err.strip() or ran.out.strip(),
    )
    ran = project.command("check", "--glibc", "2.5")
    assert 1 == ran.code
    assert "_a.so needs GLIBC_2.14" in ran.out


def test_build_above_the_cap(project: LockedProject, index: IndexServer) -> None:
    """The error for a build above the cap names its file and symbol version, and suggests the cap that would work."""
    index.add(build_source("a", "1.0", needs="2.34"))
    message = error_of(project, "a")
    assert "it needs GLIBC_2.34 (_a.so) when it is built on this machine; the cap is 2.17" in message
    assert "a 1.0 needs glibc 2.34; the cap is 2.17" in message
    assert 'tool.minglibc.glibc = "2.34"' in message
    project.lock("a", more=ALLOWED, glibc="2.34")
    assert 1 == len(builds(project))


@pytest.mark.parametrize("static", [True, False])
def test_builds_one_release(project: LockedProject, index: IndexServer, static: bool) -> None:  # noqa: FBT001
    """After an incompatible build the project's other releases are not built, which the message says."""
    for version in range(6):
        index.add(build_source("a", f"{version}.0", needs="2.34", static=static))
    error = error_of(project, "a")
    assert "it was not built, because the build of 5.0 is incompatible" in error
    assert "other releases of a are not built" in error
    assert 1 == len(builds(project))


def test_builds_one_release_for_all_targets(project: LockedProject, index: IndexServer) -> None:
    """A build that exceeds the cap is not repeated for other Pythons with the same cap; an older release's wheel is used."""
    index.add(build_source("a", "2.0", needs="2.34", static=True))
    index.add(build_source("a", "1.1", needs="2.34", static=True))
    index.add(build_wheel("a", "1.0"))
    project.write(["a"], python=f'3.10", "{RUNNING}', more=ALLOWED)
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    assert 1 == len(builds(project))
    assert "+ a 1.0" in ran.err


def test_compiled_build_needs_the_target_python(project: LockedProject, index: IndexServer) -> None:
    """A compiled build needs an interpreter of the target's Python version on this machine."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], python="3.15", more=ALLOWED)
    ran = project.command("lock")
    assert 1 == ran.code
    assert "it has compiled files, and there is no CPython 3.15 for x86_64 on this machine to build it" in ran.err


def test_backend_comes_from_the_index(project: LockedProject, index: IndexServer) -> None:
    """Build requirements come from the project's index, not from the environment that minglibc runs in."""
    index.add(build_source("a", "1.0", build_requires=["helper"]))
    message = error_of(project, "a")
    assert "failed to install the build backend of a 1.0" in message
    assert "helper is on no index" in message
    index.add(build_wheel("helper", "1.0"))
    project.lock("a", more=ALLOWED)
    assert 0 == project.sync().code
    assert {"a": "1.0"} == installed(project.venv)


FAULTS = {
    "fails": ["a 1.0 failed:", "the reason why", "the complete output is in "],
    "prints": ["line 199999", "the reason why"],
    "escapes": ["red", "\ufffd[31m"],
    "asks": ["EOFError"],
    "hangs": ["did not finish within 1 s (MINGLIBC_BUILD_TIMEOUT):", "before the wait", "is in "],
    "killed": ["a 1.0 was killed by SIGKILL:", "the reason why", "memory ran out"],
    "no wheel": ["did not build a wheel"],
    "elsewhere": ["did not build a wheel"],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_build(project: LockedProject, index: IndexServer, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """A failing backend is an error with the end of its output; no other release is tried instead."""
    if fault == "hangs":
        monkeypatch.setenv("MINGLIBC_BUILD_TIMEOUT", "1")
    index.add(build_source("a", "1.0", fault=fault))
    index.add(build_source("a", "0.9"))
    started = time.monotonic()
    message = error_of(project, "a")
    assert time.monotonic() - started < 20
    assert [] == [text for text in FAULTS[fault] if text not in message], message
    assert fault == "killed" or 'constraints = ["a!=1.0"]' in message
    assert len(message) < 20_000


def test_several_builds_at_a_time(project: LockedProject, index: IndexServer) -> None:
    """Sources that are probably needed are built together, each once, although their requirements are known only then."""
    index.add(build_source("a", "1.0", requires=["c"]))
    index.add(build_source("b", "1.0", requires=["c"]))
    index.add(build_wheel("c", "1.0"))
    project.write(["a", "b"], more='allow-sdist = ["a", "b"]\n')
    ran = project.command("lock", "--jobs", "2")
    assert 0 == ran.code, ran.err
    assert [f"a 1.0 {RUNNING}", f"b 1.0 {RUNNING}"] == sorted(builds(project))
    assert "[2/2] Built " in ran.err


def test_failed_builds_are_not_repeated(project: LockedProject, index: IndexServer) -> None:
    """If a build of several fails, the others are built, and its error is reported."""
    index.add(build_source("a", "1.0", fault="fails"))
    index.add(build_source("b", "1.0"))
    message = error_of(project, "a", "b", more='allow-sdist = ["a", "b"]\n')
    assert [f"a 1.0 {RUNNING}", f"b 1.0 {RUNNING}"] == sorted(builds(project))
    assert "] Failed to build a 1.0 for" in message
    assert "a 1.0 failed:" in message


@pytest.mark.skipif(shutil.which("python3.9") is None, reason="needs CPython 3.9 on PATH")
def test_metadata_need_a_supported_python(project: LockedProject, index: IndexServer) -> None:
    """A source is not built by the oldest Python of the project if its release does not support that one."""
    index.add(build_source("a", "1.0", requires_python=">=3.10"))
    project.write(["a; python_version > '3.9'"], python=f'3.9", "{RUNNING}', more=ALLOWED)
    ran = project.command("lock")
    assert 0 == ran.code, ran.err
    assert [f"a 1.0 {RUNNING}"] == builds(project)


def test_local_sources(project: LockedProject, index: IndexServer) -> None:
    """A source distribution in a folder of the project is locked by its path, and built."""
    index.add(build_wheel("b", "1.0"))
    source = build_source("a", "1.0", requires=["b"])
    project.folder.mkdir()
    (project.folder / source.filename).write_bytes(source.content)
    project.lock("a", more=f'{ALLOWED}[[tool.minglibc.index]]\nname = "local"\nurl = "."\nformat = "flat"\n')
    package = next(package for package in read_lock(project.folder).pylock.packages if package.name == "a")
    assert package.sdist is not None
    assert source.filename == package.sdist.path
    assert 0 == project.sync().code
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)


def test_children_of_a_backend_are_killed(project: LockedProject, index: IndexServer) -> None:
    """A build ends with its backend; a child process that the backend leaves behind is killed."""
    index.add(build_source("a", "1.0", fault="outlived"))
    started = time.monotonic()
    project.lock("a", more=ALLOWED)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("name", "version", "problem"),
    [("other", "1.0", "built from a 1.0, is named other"), ("a", "1.1", "built from a 1.0, has version 1.1")],
)
def test_build_of_another_release(
    project: LockedProject, index: IndexServer, name: str, version: str, problem: str
) -> None:
    """A wheel with another name or version is rejected."""
    index.add(build_source("a", "1.0", made_name=name, made_version=version))
    assert problem in error_of(project, "a")


def test_pkg_info_of_another_project(project: LockedProject, index: IndexServer) -> None:
    """A release whose PKG-INFO names another project is skipped for an older one."""
    index.add(build_source("a", "2.0", pkg_info=b"Metadata-Version: 2.2\nName: b\nVersion: 2.0\n"))
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    assert {"a": "1.0"} == {p.name: str(p.version) for p in read_lock(project.folder).pylock.packages}


def test_no_pkg_info(project: LockedProject, index: IndexServer) -> None:
    """The requirements of a source without PKG-INFO are those of a build; the source may be a zip archive."""
    index.add(build_source("a", "1.0", requires=["b"], pkg_info=b"", archive="zip"))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=ALLOWED)
    assert {"a", "b"} == {p.name for p in read_lock(project.folder).pylock.packages}
    assert 0 == project.sync().code


def test_page_without_hashes(project: LockedProject, index: IndexServer) -> None:
    """A source whose page has no hash is downloaded, and the lock records its SHA-256."""
    index.add(build_source("a", "1.0"), hashes=False)
    project.lock("a", more=ALLOWED)
    (package,) = read_lock(project.folder).pylock.packages
    assert package.sdist is not None
    assert {"sha256"} == set(package.sdist.hashes)
    assert 0 == project.sync().code


def test_wrong_hash(project: LockedProject, index: IndexServer) -> None:
    """The hash of a source is checked before it is read or built."""
    index.add(build_source("a", "1.0"), served=build_source("a", "1.0", fault="fails").content, size=False)
    assert "is not the file that was locked" in error_of(project, "a")
    assert [] == builds(project)


def test_damaged_cached_build(project: LockedProject, index: IndexServer) -> None:
    """A damaged wheel in the cache is built again, once."""
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    (cached,) = (cache() / "built-1").rglob("*.whl")
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    assert 0 == project.sync().code
    assert 2 == len(builds(project))
    shutil.rmtree(project.venv)
    assert 0 == project.sync().code
    assert 2 == len(builds(project))


def test_pip_builds_the_locked_source(project: LockedProject, index: IndexServer) -> None:
    """pip installs the locked source from either form of requirements.txt, and `sync` keeps what pip has built."""
    index.add(build_source("a", "1.0", needs="2.14"))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", "b", more=ALLOWED)
    for position, form in enumerate(([], ["--pinned"])):
        environment = project.folder / f"venv{position}"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        ran = project.command("export", *form, "-o", str(project.folder / "r.txt"))
        text = (project.folder / "r.txt").read_text()
        assert ran.code == 0
        assert "# pip builds a from source" in text
        assert "--only-binary" not in text
        pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "--isolated", "install", "-q"]
        pip += ["--index-url", index.url, "--disable-pip-version-check", "-r", str(project.folder / "r.txt")]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})
        assert {"a": "1.0", "b": "1.0"} == installed(environment)
    assert "Nothing to do" in project.sync("--python", str(project.folder / "venv1")).err


def test_commands_support_sources(project: LockedProject, index: IndexServer) -> None:
    """The commands that show or explain a lock support sources, and build nothing."""
    index.add(build_source("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=ALLOWED)
    index.add(build_source("a", "2.0", requires=["b"]))
    assert "a==1.0\n└── b==1.0\n" == project.command("tree").out
    assert "a-1.0.tar.gz, built from source" in project.command("why", "a", "--refresh").out
    assert ["a", "b"] == sorted(row["name"] for row in json.loads(project.command("outdated", "--json").out))
    bill = json.loads(project.command("export", "--format", "cyclonedx").out)
    assert ["a-1.0.tar.gz", "b-1.0-py3-none-any.whl"] == [
        component["externalReferences"][0]["comment"] for component in bill["components"]
    ]
    page = json.loads(project.command("report", "--json").out)
    assert ["a-1.0.tar.gz", "b-1.0-py3-none-any.whl"] == sorted(wheel["filename"] for wheel in page["wheels"])
    assert 0 == project.command("lock", "--check").code
    assert 1 == len(builds(project))


@pytest.mark.parametrize(
    ("before", "after"),
    [("a-1.0.tar.gz", "../a-1.0.tar.gz"), ("a-1.0.tar.gz", "c-1.0.tar.gz"), ("sha256 = ", "md5 = ")],
)
def test_forged_source(project: LockedProject, index: IndexServer, before: str, after: str) -> None:
    """A lock is invalid if a source has another project's name, a path as its name, or no hash, even if its digest is right."""
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    path = project.folder / "pylock.toml"
    text = path.read_text()
    digests = lock_digests(text)
    assert digests is not None
    body = text[: text.index("inputs = ")]
    path.write_text(seal(body.replace(before, after), digests.inputs))
    ran = project.sync()
    assert 1 == ran.code
    assert "run `minglibc lock` to create it again" in ran.err


# Invalid and unsafe archives.


def _tar(*entries: Entry) -> bytes:
    return tar_of([entry_of("a-1.0/PKG-INFO", b"Metadata-Version: 2.1\n"), *entries])


def _link(name: str, target: str, kind: bytes) -> Entry:
    return entry_of(name, type=kind, linkname=target)


UNSAFE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a parent": (lambda: _tar(entry_of("a-1.0/../../evil", b"x")), "outside its folder"),
    "an absolute path": (lambda: _tar(entry_of("/tmp/evil", b"x")), "outside its folder"),
    "a backslash": (lambda: _tar(entry_of("a-1.0/..\\evil", b"x")), "outside its folder"),
    "a line end": (lambda: _tar(entry_of("a-1.0/x\ny", b"x")), "outside its folder"),
    "a link out": (lambda: _tar(_link("a-1.0/x", "../../../etc/passwd", tarfile.SYMTYPE)), "is not a file"),
    "an absolute link": (lambda: _tar(_link("a-1.0/x", "/etc/passwd", tarfile.SYMTYPE)), "is not a file"),
    "a hard link out": (lambda: _tar(_link("a-1.0/x", "/etc/passwd", tarfile.LNKTYPE)), "is not a file"),
    "a circle": (
        lambda: _tar(_link("a-1.0/x", "y", tarfile.SYMTYPE), _link("a-1.0/y", "x", tarfile.SYMTYPE)),
        "is not a file",
    ),
    "a device": (lambda: _tar(entry_of("a-1.0/x", type=tarfile.CHRTYPE)), "is not a file"),
    "a pipe": (lambda: _tar(entry_of("a-1.0/x", type=tarfile.FIFOTYPE)), "is not a file"),
    "two folders": (lambda: _tar(entry_of("b-1.0/x", b"x")), "must contain one folder"),
    "no folder": (lambda: _tar(entry_of("x", b"x")), "must contain one folder"),
    "a file in a file": (lambda: _tar(entry_of("a-1.0/PKG-INFO/x", b"x")), "as a file and as a folder"),
    "a bomb": (lambda: _tar(entry_of("a-1.0/x", b"\0" * (80 << 20))), "unpacks to more than 64 MiB"),
    "many copies": (
        lambda: _tar(
            entry_of("a-1.0/big", b"\0" * (30 << 20)),
            *(_link(f"a-1.0/x{number}", "a-1.0/big", tarfile.LNKTYPE) for number in range(9)),
        ),
        "unpacks to more than 64 MiB",
    ),
    "nothing": (lambda: tar_of([]), "is empty"),
    "no archive": (lambda: b"<html>", "is not a valid archive"),
    "half an archive": (lambda: build_source("a", "1.0").content[:900], "is not a valid archive"),
    "a zip with a parent": (lambda: zip_of({"a-1.0/../../evil": b"x"}), "outside its folder"),
    "a zip that is a bomb": (lambda: zip_of({"a-1.0/x": b"\0" * (80 << 20)}), "unpacks to more than 64 MiB"),
    "a zip with a wrong size": (lambda: _shrunk(zip_of({"a-1.0/PKG-INFO": b"x" * 1000})), "is not a valid archive"),
}


def _shrunk(archive: bytes) -> bytes:
    """A zip archive whose directory gives a size that is too small."""
    return archive.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))


def _unpack(path: Path, folder: Path) -> None:
    with open_sdist(str(path), path.name) as source:
        source.pkg_info()
        source.unpack(str(folder))


@pytest.mark.parametrize("case", UNSAFE)
def test_unsafe_archive(tmp_path: Path, case: str) -> None:
    """An unsafe archive writes nothing outside the folder that it is unpacked in, and the error says what is wrong."""
    make, problem = UNSAFE[case]
    filename = "a-1.0.zip" if "zip" in case else "a-1.0.tar.gz"
    path = tmp_path / filename
    path.write_bytes(make())
    folder = tmp_path / "parent" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(WheelError, match=problem) as caught:
        _unpack(path, folder)
    assert filename in caught.value.message
    assert {filename, "parent"} == set(os.listdir(tmp_path))
    assert ["folder"] == os.listdir(tmp_path / "parent")
    assert not Path("/tmp/evil").exists()


def test_unpack(tmp_path: Path) -> None:
    """Files keep their contents, times and modes; a link becomes a copy of its target."""
    entries = [
        entry_of("a-1.0", type=tarfile.DIRTYPE),
        entry_of("a-1.0/PKG-INFO", b"Name: a\n", mtime=1_000_000_000),
        entry_of("a-1.0/configure", b"#!/bin/sh\n", mode=0o755),
        _link("a-1.0/README", "PKG-INFO", tarfile.SYMTYPE),
        _link("a-1.0/hard", "a-1.0/PKG-INFO", tarfile.LNKTYPE),
    ]
    path = tmp_path / "a-1.0.tar.gz"
    path.write_bytes(tar_of(entries))
    (tmp_path / "unpacked").mkdir()
    with open_sdist(str(path), path.name) as source:
        assert "Name: a\n" == source.pkg_info()
        folder = Path(source.unpack(str(tmp_path / "unpacked")))
    assert {b"Name: a\n"} == {(folder / name).read_bytes() for name in ("PKG-INFO", "README", "hard")}
    assert not (folder / "README").is_symlink()
    assert 1_000_000_000 == (folder / "PKG-INFO").stat().st_mtime
    assert os.access(folder / "configure", os.X_OK)
    assert not os.access(folder / "PKG-INFO", os.X_OK)


def test_unsafe_source_on_the_index(project: LockedProject, index: IndexServer) -> None:
    """`lock` fails for an unsafe archive, and does not build it."""
    built = build_source("a", "1.0")
    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        members = []
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            members.append(entry_of(member.name, stream.read()))
    index.add(built._replace(content=tar_of([*members, entry_of("a-1.0/../../evil", b"x")])))
    assert "has a member outside its folder: 'a-1.0/../../evil'" in error_of(project, "a")
    assert [] == builds(project)


def test_source_and_wheel_of_one_release(project: LockedProject, index: IndexServer) -> None:
    """A release may have a wheel for one architecture and a source for another; each target selects its own."""
    index.add(build_wheel("a", "1.0", f"cp3{sys.version_info.minor}-none-manylinux_2_17_aarch64"))
    index.add(build_source("a", "1.0"))
    project.lock("a", more=f'{ALLOWED}architectures = ["x86_64", "aarch64"]\n')
    lock = read_lock(project.folder)
    check_selection(lock, [])
    files = {target.architecture: lock.select(target)[0][1].filename for target in lock.targets}
    assert files["aarch64"].endswith("aarch64.whl")
    assert "a-1.0.tar.gz" == files["x86_64"]
    assert 1 == len([1 for name in os.listdir(project.folder) if name == "pylock.toml"])
    assert zipfile.is_zipfile(next((cache() / "built-1").rglob("*.whl")))
    assert 0 == minglibc("cache", "size").code


def test_explains_incompatible_builds(project: LockedProject, index: IndexServer) -> None:
    """`outdated` and `why` name what the build of a newer source needs, and the cap that would allow it."""
    index.add(build_source("a", "2.0", needs="2.34"))
    index.add(build_wheel("a", "1.0"))
    project.lock("a", more=ALLOWED)
    (row,) = json.loads(project.command("outdated", "--json").out)
    assert ("1.0", "2.0", "glibc") == (row["locked"], row["newest"], row["reason"])
    assert "2.0  needs glibc 2.34" in project.command("why", "a").out


@pytest.mark.parametrize(
    ("header", "count", "problem"),
    [
        (b"1" * 16_384, 1, "a number that is too long"),
        (b"x" * 16_385, 1, "headers that are too large"),
        # Newer releases of Python stop earlier.
        (b"x" * 16_384, 513, "headers that are too large|invalid header"),
    ],
)
def test_extended_headers(header: bytes, count: int, problem: str, tmp_path: Path) -> None:
    """The size of each extended header, their sum, and the numbers in them are limited."""
    path = tmp_path / "b-1.0.tar.gz"
    path.write_bytes(tar_with_extended_headers(header, count))
    with pytest.raises(WheelError, match=problem), open_sdist(str(path), path.name):
        pass
