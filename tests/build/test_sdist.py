"""Source distributions that allow-sdist admits: read, built in isolation, held against the cap, installed and bundled."""

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

from minglibc.build.sdist import opened
from minglibc.errors import WheelError
from minglibc.lock.digest import lock_digests, seal
from minglibc.model.core_metadata import parse_pkg_info
from tests.support.commands import check_selection, minglibc, read_lock
from tests.support.environments import RUNNING, LockedProject, check_whole, installed
from tests.support.index import IndexServer
from tests.support.sdists import Entry, build_source, entry_of, tar_of, zip_of
from tests.support.wheels import build_wheel

ALLOWED = 'allow-sdist = ["a"]\n'


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project whose a may be built, and a log of what was."""
    monkeypatch.setenv("BACKEND_LOG", str(tmp_path / "builds"))
    return LockedProject(tmp_path / "project", index)


def builds(project: LockedProject) -> list[str]:
    """What was built so far, with what."""
    log = project.folder.parent / "builds"
    return log.read_text().splitlines() if log.exists() else []


def refusal(project: LockedProject, *dependencies: str, more: str = ALLOWED, glibc: str = "2.17") -> str:
    """What `lock` says when it fails."""
    project.write(dependencies, more=more, glibc=glibc)
    ran = project.command("lock")
    assert 1 == ran.code, ran.err
    assert not (project.folder / "pylock.toml").exists()
    return ran.err


def cache() -> Path:
    """The cache of this test."""
    return Path(os.environ["MINGLIBC_CACHE_DIR"])


def test_one_build_serves_all(project: LockedProject, index: IndexServer) -> None:
    """What lock has built is what sync installs and bundle ships; another lock, sync or bundle builds nothing."""
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


def test_offline_with_what_was_built(project: LockedProject, index: IndexServer) -> None:
    """A fresh environment needs neither the index nor the source again."""
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    index.stop()
    ran = project.sync("--offline")
    assert 0 == ran.code, ran.err
    assert {"a": "1.0"} == installed(project.venv)


@pytest.mark.parametrize("static", [True, False])
def test_static_metadata_need_no_build(project: LockedProject, index: IndexServer, static: bool) -> None:  # noqa: FBT001
    """A release that is passed over for what it requires is not built where its PKG-INFO is static (PEP 643)."""
    index.add(build_source("a", "2.0", requires=["nowhere"], static=static))
    index.add(build_source("a", "1.0", static=static))
    project.lock("a", more=ALLOWED)
    expected = ["a 1.0"] if static else ["a 2.0", "a 1.0"]
    assert expected == [line.rpartition(" ")[0] for line in builds(project)]


def test_served_metadata_need_no_file(project: LockedProject, index: IndexServer) -> None:
    """Where the index serves a source's static metadata, a release that is passed over is not even fetched."""
    index.add(build_source("a", "2.0", requires=["nowhere"], static=True), core_metadata=True)
    index.add(build_source("a", "1.0", static=True), core_metadata=True)
    project.lock("a", more=ALLOWED)
    assert ["/files/a-1.0.tar.gz"] == [each.path for each in index.requests if each.path.endswith(".tar.gz")]


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
    """PKG-INFO speaks for every build from metadata 2.2 on, as far as it names no field that is asked for as dynamic."""
    found = parse_pkg_info(f"Metadata-Version: {version}\nName: a\nVersion: 1\nRequires-Dist: b\n{dynamic}\ntext")
    assert static == (found is not None)
    assert found is None or ("b",) == found.requires_dist


def test_a_compiled_source(project: LockedProject, index: IndexServer) -> None:
    """What is built with files within the cap is admitted, installed, bundled, and checked again by `check`."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.lock("a", more=ALLOWED)
    assert 0 == project.sync().code
    check_whole(project.venv)
    assert "Nothing to do" in project.sync().err
    ran = project.command("check")
    assert (0, "Held 1 binaries of 1 wheel against glibc 2.17: 0 findings") == (
        ran.code,
        ran.err.strip() or ran.out.strip(),
    )
    ran = project.command("check", "--glibc", "2.5")
    assert 1 == ran.code
    assert "_a.so needs GLIBC_2.14" in ran.out


def test_a_build_above_the_cap(project: LockedProject, index: IndexServer) -> None:
    """A build that needs more is refused with its file and symbol version, and the cap that would do is offered."""
    index.add(build_source("a", "1.0", needs="2.34"))
    said = refusal(project, "a")
    assert "it needs GLIBC_2.34 (_a.so) when it is built on this machine; the cap is 2.17" in said
    assert "a 1.0 needs glibc 2.34; the cap is 2.17" in said
    assert 'tool.minglibc.glibc = "2.34"' in said
    project.lock("a", more=ALLOWED, glibc="2.34")
    assert 1 == len(builds(project))


def test_not_all_releases_are_built_for_a_refusal(project: LockedProject, index: IndexServer) -> None:
    """After three builds that were refused, the project's other releases are not built too."""
    for version in range(6):
        index.add(build_source("a", f"{version}.0", needs="2.34"))
    assert "it was not built, because the builds of 3 other releases are incompatible" in refusal(project, "a")
    assert 3 == len(builds(project))


def test_another_python_s_compiled_files(project: LockedProject, index: IndexServer) -> None:
    """Compiled files are for the Python that they were built with: a target without one here gets none."""
    index.add(build_source("a", "1.0", needs="2.14"))
    project.write(["a"], python="3.15", more=ALLOWED)
    ran = project.command("lock")
    assert 1 == ran.code
    assert "it has compiled files, and there is no CPython 3.15 for x86_64 on this machine to build it" in ran.err


def test_a_backend_from_the_index(project: LockedProject, index: IndexServer) -> None:
    """What a build requires comes from the project's index, never from the environment that minglibc runs in."""
    index.add(build_source("a", "1.0", build_requires=["helper"]))
    said = refusal(project, "a")
    assert "failed to install the build backend of a 1.0" in said
    assert "helper is on no index" in said
    index.add(build_wheel("helper", "1.0"))
    project.lock("a", more=ALLOWED)
    assert 0 == project.sync().code
    assert {"a": "1.0"} == installed(project.venv)


FAULTS = {
    "fails": ["a 1.0 failed:", "the reason why"],
    "prints": ["line 199999", "the reason why"],
    "escapes": ["red", "\ufffd[31m"],
    "asks": ["EOFError"],
    "hangs": ["was not done after 1 s (MINGLIBC_BUILD_TIMEOUT)"],
    "no wheel": ["did not make a wheel"],
    "elsewhere": ["did not make a wheel"],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_build_that_fails(
    project: LockedProject, index: IndexServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A backend that fails is an error with the end of what it said, at once: no other release is tried in its place."""
    if fault == "hangs":
        monkeypatch.setenv("MINGLIBC_BUILD_TIMEOUT", "1")
    index.add(build_source("a", "1.0", fault=fault))
    index.add(build_source("a", "0.9"))
    began = time.monotonic()
    said = refusal(project, "a")
    assert time.monotonic() - began < 20
    assert [] == [each for each in FAULTS[fault] if each not in said], said
    assert 'constraints = ["a!=1.0"]' in said
    assert len(said) < 20_000


def test_what_a_backend_leaves_running_is_ended(project: LockedProject, index: IndexServer) -> None:
    """A build is done when its backend is; a child that outlives it neither holds minglibc up nor stays."""
    index.add(build_source("a", "1.0", fault="outlived"))
    began = time.monotonic()
    project.lock("a", more=ALLOWED)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [("other", "1.0", "its METADATA is of other"), ("a", "1.1", "its METADATA says version 1.1")],
)
def test_a_build_of_something_else(
    project: LockedProject, index: IndexServer, name: str, version: str, said: str
) -> None:
    """A wheel that says that it is another project or version is not taken for what was asked for."""
    index.add(build_source("a", "1.0", made_name=name, made_version=version))
    assert said in refusal(project, "a")


def test_a_source_that_says_another_name(project: LockedProject, index: IndexServer) -> None:
    """A PKG-INFO of another project makes its release unusable, and an older one is locked."""
    index.add(build_source("a", "2.0", pkg_info=b"Metadata-Version: 2.2\nName: b\nVersion: 2.0\n"))
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    assert {"a": "1.0"} == {p.name: str(p.version) for p in read_lock(project.folder).pylock.packages}


def test_a_source_without_pkg_info(project: LockedProject, index: IndexServer) -> None:
    """Old sources have no PKG-INFO: a build says what they require. A zip archive is a source, too."""
    index.add(build_source("a", "1.0", requires=["b"], pkg_info=b"", archive="zip"))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=ALLOWED)
    assert {"a", "b"} == {p.name for p in read_lock(project.folder).pylock.packages}
    assert 0 == project.sync().code


def test_a_page_without_hashes(project: LockedProject, index: IndexServer) -> None:
    """A source whose page gives no hash is downloaded for one, and the lock has it."""
    index.add(build_source("a", "1.0"), hashes=False)
    project.lock("a", more=ALLOWED)
    (package,) = read_lock(project.folder).pylock.packages
    assert package.sdist is not None
    assert {"sha256"} == set(package.sdist.hashes)
    assert 0 == project.sync().code


def test_bytes_that_are_not_the_promised_ones(project: LockedProject, index: IndexServer) -> None:
    """A source is hashed before anything of it is read, let alone run."""
    index.add(build_source("a", "1.0"), served=build_source("a", "1.0", fault="fails").content, size=False)
    assert "is not the file that was locked" in refusal(project, "a")
    assert [] == builds(project)


def test_a_kept_build_that_was_changed(project: LockedProject, index: IndexServer) -> None:
    """A flipped bit in a kept build is noticed, and it is built again."""
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    (kept,) = (cache() / "built-1").rglob("*.whl")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert 0 == project.sync().code
    assert 2 == len(builds(project))
    shutil.rmtree(project.venv)
    assert 0 == project.sync().code
    assert 2 == len(builds(project))


def test_pip_builds_what_the_lock_names(project: LockedProject, index: IndexServer) -> None:
    """Each form of requirements.txt gives pip the same source, and sync finds nothing to mend in what pip built."""
    index.add(build_source("a", "1.0", needs="2.14"))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", "b", more=ALLOWED)
    for position, form in enumerate(([], ["--index"])):
        place = project.folder / f"venv{position}"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        ran = project.command("export", *form, "-o", str(project.folder / "r.txt"))
        text = (project.folder / "r.txt").read_text()
        assert ran.code == 0
        assert "# pip builds a from source" in text
        assert "--only-binary" not in text
        pip = [sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "--isolated", "install", "-q"]
        pip += ["--index-url", index.url, "--disable-pip-version-check", "-r", str(project.folder / "r.txt")]
        subprocess.run(pip, check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull})
        assert {"a": "1.0", "b": "1.0"} == installed(place)
    assert "Nothing to do" in project.sync("--python", str(project.folder / "venv1")).err


def test_every_command_knows_a_source(project: LockedProject, index: IndexServer) -> None:
    """The commands that show or explain a lock take one with sources, and build nothing."""
    index.add(build_source("a", "1.0", requires=["b"]))
    index.add(build_wheel("b", "1.0"))
    project.lock("a", more=ALLOWED)
    index.add(build_source("a", "2.0", requires=["b"]))
    assert "a==1.0\n└── b==1.0\n" == project.command("tree").out
    assert "a-1.0.tar.gz, built from source" in project.command("why", "a", "--refresh").out
    assert ["a", "b"] == sorted(row["name"] for row in json.loads(project.command("outdated", "--json").out))
    bill = json.loads(project.command("export", "--format", "cyclonedx").out)
    assert ["a-1.0.tar.gz", "b-1.0-py3-none-any.whl"] == [
        each["externalReferences"][0]["comment"] for each in bill["components"]
    ]
    page = json.loads(project.command("report", "--json").out)
    assert ["a-1.0.tar.gz", "b-1.0-py3-none-any.whl"] == sorted(each["filename"] for each in page["wheels"])
    assert 0 == project.command("lock", "--check").code
    assert 1 == len(builds(project))


@pytest.mark.parametrize(
    ("before", "after"),
    [("a-1.0.tar.gz", "../a-1.0.tar.gz"), ("a-1.0.tar.gz", "c-1.0.tar.gz"), ("sha256 = ", "md5 = ")],
)
def test_a_forged_source(project: LockedProject, index: IndexServer, before: str, after: str) -> None:
    """A lock whose source is another project's, has a path for a name, or no hash, is no lock, whatever its seal says."""
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
    assert "run `minglibc lock` to make it anew" in ran.err


# Archives that strangers made.


def _tar(*entries: Entry) -> bytes:
    return tar_of([entry_of("a-1.0/PKG-INFO", b"Metadata-Version: 2.1\n"), *entries])


def _link(name: str, target: str, kind: bytes) -> Entry:
    return entry_of(name, type=kind, linkname=target)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a parent": (lambda: _tar(entry_of("a-1.0/../../evil", b"x")), "leaves its folder"),
    "an absolute path": (lambda: _tar(entry_of("/tmp/evil", b"x")), "leaves its folder"),
    "a backslash": (lambda: _tar(entry_of("a-1.0/..\\evil", b"x")), "leaves its folder"),
    "a line end": (lambda: _tar(entry_of("a-1.0/x\ny", b"x")), "leaves its folder"),
    "a link out": (lambda: _tar(_link("a-1.0/x", "../../../etc/passwd", tarfile.SYMTYPE)), "no file of its own"),
    "an absolute link": (lambda: _tar(_link("a-1.0/x", "/etc/passwd", tarfile.SYMTYPE)), "no file of its own"),
    "a hard link out": (lambda: _tar(_link("a-1.0/x", "/etc/passwd", tarfile.LNKTYPE)), "no file of its own"),
    "a circle": (
        lambda: _tar(_link("a-1.0/x", "y", tarfile.SYMTYPE), _link("a-1.0/y", "x", tarfile.SYMTYPE)),
        "no file of its own",
    ),
    "a device": (lambda: _tar(entry_of("a-1.0/x", type=tarfile.CHRTYPE)), "no file of its own"),
    "a pipe": (lambda: _tar(entry_of("a-1.0/x", type=tarfile.FIFOTYPE)), "no file of its own"),
    "two folders": (lambda: _tar(entry_of("b-1.0/x", b"x")), "is not one folder"),
    "no folder": (lambda: _tar(entry_of("x", b"x")), "is not one folder"),
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
    "no archive": (lambda: b"<html>", "can't be read"),
    "half an archive": (lambda: build_source("a", "1.0").content[:900], "can't be read"),
    "a zip with a parent": (lambda: zip_of({"a-1.0/../../evil": b"x"}), "leaves its folder"),
    "a zip that is a bomb": (lambda: zip_of({"a-1.0/x": b"\0" * (80 << 20)}), "unpacks to more than 64 MiB"),
    "a zip that lies": (lambda: _shrunk(zip_of({"a-1.0/PKG-INFO": b"x" * 1000})), "can't be read"),
}


def _shrunk(archive: bytes) -> bytes:
    """A zip archive whose directory says that its member is smaller than it is."""
    return archive.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))


def _read(path: Path, room: Path) -> None:
    with opened(str(path), path.name) as source:
        source.pkg_info()
        source.unpack(str(room))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive(tmp_path: Path, case: str) -> None:
    """Nothing of a hostile archive lands outside of the folder that is meant for it, and its refusal says why."""
    make, why = HOSTILE[case]
    filename = "a-1.0.zip" if "zip" in case else "a-1.0.tar.gz"
    path = tmp_path / filename
    path.write_bytes(make())
    room = tmp_path / "deep" / "room"
    room.mkdir(parents=True)
    with pytest.raises(WheelError, match=why) as caught:
        _read(path, room)
    assert filename in caught.value.message
    assert {filename, "deep"} == set(os.listdir(tmp_path))
    assert ["room"] == os.listdir(tmp_path / "deep")
    assert not Path("/tmp/evil").exists()


def test_an_honest_archive(tmp_path: Path) -> None:
    """Files come with their bytes, times and modes, a link within the archive as a copy of what it names."""
    entries = [
        entry_of("a-1.0", type=tarfile.DIRTYPE),
        entry_of("a-1.0/PKG-INFO", b"Name: a\n", mtime=1_000_000_000),
        entry_of("a-1.0/configure", b"#!/bin/sh\n", mode=0o755),
        _link("a-1.0/README", "PKG-INFO", tarfile.SYMTYPE),
        _link("a-1.0/hard", "a-1.0/PKG-INFO", tarfile.LNKTYPE),
    ]
    path = tmp_path / "a-1.0.tar.gz"
    path.write_bytes(tar_of(entries))
    (tmp_path / "room").mkdir()
    with opened(str(path), path.name) as source:
        assert "Name: a\n" == source.pkg_info()
        folder = Path(source.unpack(str(tmp_path / "room")))
    assert {b"Name: a\n"} == {(folder / name).read_bytes() for name in ("PKG-INFO", "README", "hard")}
    assert not (folder / "README").is_symlink()
    assert 1_000_000_000 == (folder / "PKG-INFO").stat().st_mtime
    assert os.access(folder / "configure", os.X_OK)
    assert not os.access(folder / "PKG-INFO", os.X_OK)


def test_a_hostile_source_on_the_index(project: LockedProject, index: IndexServer) -> None:
    """A hostile archive is an error of the lock that would have built it, and nothing of it is run."""
    built = build_source("a", "1.0")
    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        members = []
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            members.append(entry_of(member.name, stream.read()))
    index.add(built._replace(content=tar_of([*members, entry_of("a-1.0/../../evil", b"x")])))
    assert "has a member that leaves its folder: 'a-1.0/../../evil'" in refusal(project, "a")
    assert [] == builds(project)


def test_the_law_where_a_source_stands_beside_wheels(project: LockedProject, index: IndexServer) -> None:
    """A wheel for one architecture and a source for the other: each reader of the lock finds its own."""
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


def test_what_was_refused_is_remembered(project: LockedProject, index: IndexServer) -> None:
    """`outdated` and `why` know of a newer source what its build needed, and the cap that would let it in."""
    index.add(build_source("a", "2.0", needs="2.34"))
    index.add(build_source("a", "1.0"))
    project.lock("a", more=ALLOWED)
    (row,) = json.loads(project.command("outdated", "--json").out)
    assert ("1.0", "2.0", "glibc") == (row["locked"], row["newest"], row["reason"])
    assert "2.0  needs glibc 2.34" in project.command("why", "a").out
