"""What runs on a real glibc 2.31, without root: another installer's environment does not, minglibc's does."""

import os
from pathlib import Path

import pytest

from minglibc.model.targets import GlibcVersion
from tests.support import oldglibc
from tests.support.oldglibc import NotHere, OldPython, minglibc, or_skip, site_packages, succeed, written

pytestmark = [pytest.mark.debian, pytest.mark.online, pytest.mark.slow]

BROKEN = "cryptography==44.0.2"
IMPORT_IT = "import cryptography.hazmat.bindings._rust"


@pytest.fixture(scope="module")
def old_python() -> OldPython:
    """Python 3.9 on glibc 2.31."""
    return or_skip(oldglibc.old_python)


@pytest.fixture(scope="module")
def python39() -> Path:
    """Python 3.9 on this machine's glibc, which must be new enough for the wheel that shows the failure."""
    version = os.confstr("CS_GNU_LIBC_VERSION") or "no glibc"
    if not version.startswith("glibc ") or GlibcVersion.parse(version.split()[-1]) < (2, 34):
        pytest.skip(f"{version} is itself too old for a manylinux_2_34 wheel")
    return or_skip(lambda: oldglibc.interpreter("3.9"))


@pytest.fixture(scope="module", params=["2.31", "2.17"])
def synced(request: pytest.FixtureRequest, python39: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that minglibc made here, under a cap that is not this machine's."""
    project = oldglibc.project(tmp_path_factory.mktemp("synced"), request.param, *oldglibc.REQUIREMENTS)
    return oldglibc.shared_environment(project, python39)


def test_this_is_an_old_glibc(old_python: OldPython) -> None:
    """The interpreter that the other tests use says itself that its libc is glibc 2.31, and nobody else's Python is in it."""
    outcome = old_python.run("import os, sys; print(os.confstr('CS_GNU_LIBC_VERSION'), *sys.path, sep='\\n')")
    version, *path = outcome.stdout.split("\n")
    assert version == "glibc 2.31", outcome
    assert all(folder.startswith(str(old_python.root)) for folder in path if folder)


def test_two_at_once_make_one_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is overtaken while it fills the cache uses the other's folder and leaves none of its own."""
    monkeypatch.setattr(oldglibc, "CACHE", tmp_path)

    def overtaken(folder: Path) -> None:
        (folder / "mine").touch()
        oldglibc.cached("root", lambda other: (other / "theirs").touch())

    assert [path.name for path in oldglibc.cached("root", overtaken).iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_pips_environment_fails_there(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """The wheel that pip takes suits the machine that it runs on, and the old machine can't load it."""
    broken = oldglibc.pip_environment(python39, tmp_path / ".venv", BROKEN)
    assert "manylinux_2_34" in wheel_tags(broken, "cryptography")
    succeed([broken / "bin" / "python", "-c", IMPORT_IT])
    outcome = old_python.run(IMPORT_IT, site_packages=site_packages(broken))
    assert outcome.returncode == 1
    assert "version `GLIBC_2.33' not found" in outcome.stderr


def test_uvs_environment_fails_there(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """The wheel that uv takes suits the machine that it runs on, and the old machine can't load it."""
    try:
        environment = oldglibc.uv_environment(python39, tmp_path / ".venv", BROKEN)
    except NotHere as why:
        pytest.skip(str(why))
    assert "manylinux_2_34" in wheel_tags(environment, "cryptography")
    outcome = old_python.run(IMPORT_IT, site_packages=site_packages(environment))
    assert "version `GLIBC_2.33' not found" in outcome.stderr


@written("lock", "sync")
@pytest.mark.parametrize("name", oldglibc.WORKS)
def test_what_sync_installs_here_works_there(name: str, synced: Path, old_python: OldPython) -> None:
    """An environment synced on a newer machine imports and works under glibc 2.31."""
    outcome = old_python.run(oldglibc.WORKS[name], site_packages=site_packages(synced))
    assert not outcome.returncode, outcome.stderr


@written("lock", "sync")
def test_sync_mends_what_another_installer_broke(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """One `sync` reinstalls the one distribution that needs too new a glibc, at its version, and touches no other."""
    broken = oldglibc.pip_environment(python39, tmp_path / ".venv", BROKEN)
    names = ("cffi", "pycparser")
    before = {name: changed(broken, name) for name in names}
    versions = [f"{name}=={version_of(broken, name)}" for name in names]
    project = oldglibc.project(tmp_path, "2.31", BROKEN, *versions)
    minglibc("lock", project=project)
    minglibc("sync", "--python", str(broken / "bin" / "python"), project=project)
    outcome = old_python.run(IMPORT_IT, site_packages=site_packages(broken))
    assert not outcome.returncode, outcome.stderr
    assert version_of(broken, "cryptography") == BROKEN.partition("==")[2]
    assert "manylinux_2_34" not in wheel_tags(broken, "cryptography")
    assert before == {name: changed(broken, name) for name in names}


@written("lock", "bundle")
@pytest.mark.parametrize("cap", ["2.31", "2.17"])
def test_a_bundle_installs_there(cap: str, old_python: OldPython, tmp_path: Path) -> None:
    """The bundle's own pip, running on glibc 2.31 without an index, installs the bundle's wheels, and they work."""
    project = oldglibc.project(tmp_path, cap, *oldglibc.REQUIREMENTS)
    minglibc("lock", project=project)
    minglibc("bundle", "--output", str(tmp_path / "bundle"), project=project)
    (requirements,) = (tmp_path / "bundle").glob("**/requirements.txt")
    (pip,) = (tmp_path / "bundle").glob("**/pip-*.whl")
    offline = ["--no-index", "--find-links", str(pip.parent), "--require-hashes", "--no-cache-dir", "--no-compile"]
    target = tmp_path / "there"
    command = [str(pip / "pip"), "install", *offline, "--target", str(target), "-r", str(requirements)]
    outcome = old_python.run(command, timeout=180)
    assert not outcome.returncode, outcome.stdout + outcome.stderr
    outcome = old_python.run(oldglibc.WORKS_ALL, site_packages=target)
    assert (outcome.returncode, outcome.stdout) == (0, "glibc 2.31\n"), outcome.stderr


def wheel_tags(environment: Path, name: str) -> str:
    """The WHEEL file of an installed package."""
    (wheel,) = site_packages(environment).glob(f"{name}-*.dist-info/WHEEL")
    return wheel.read_text()


def version_of(environment: Path, name: str) -> str:
    """The version that an environment claims to have of a package."""
    (folder,) = site_packages(environment).glob(f"{name}-*.dist-info")
    return folder.name.removesuffix(".dist-info").partition("-")[2]


def changed(environment: Path, name: str) -> dict[str, int]:
    """When each file of an installed package was last written, renamed or linked."""
    folders = [site_packages(environment) / name, *site_packages(environment).glob(f"{name}-*.dist-info")]
    return {str(path): path.stat().st_ctime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}
