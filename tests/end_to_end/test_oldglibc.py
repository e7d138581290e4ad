"""Environments on glibc 2.31, without root: those of other installers fail, minglibc's work."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from minglibc.model.targets import GlibcVersion
from tests.support import oldglibc
from tests.support.oldglibc import OldPython, Unavailable, minglibc, or_skip, site_packages, succeed

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [pytest.mark.debian, pytest.mark.online, pytest.mark.slow]

BROKEN = "cryptography==44.0.2"
IMPORT_IT = "import cryptography.hazmat.bindings._rust"


@pytest.fixture(scope="module")
def old_python() -> OldPython:
    """Python 3.9 on glibc 2.31."""
    return or_skip(oldglibc.old_python)


@pytest.fixture(scope="module")
def python39() -> Path:
    """Python 3.9 with this machine's glibc, which must be new enough for the wheel that fails."""
    version = os.confstr("CS_GNU_LIBC_VERSION") or "no glibc"
    if not version.startswith("glibc ") or GlibcVersion.parse(version.split()[-1]) < (2, 34):
        pytest.skip(f"{version} is itself too old for a manylinux_2_34 wheel")
    return or_skip(lambda: oldglibc.interpreter("3.9"))


@pytest.fixture(scope="module", params=["2.31", "2.17"])
def synced(request: pytest.FixtureRequest, python39: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that minglibc installed on this machine, under an older cap."""
    project = oldglibc.project(tmp_path_factory.mktemp("synced"), request.param, *oldglibc.REQUIREMENTS)
    return oldglibc.shared_environment(project, python39)


def test_the_interpreter_uses_glibc_2_31(old_python: OldPython) -> None:
    """The interpreter of the other tests reports glibc 2.31 and only its own library folders."""
    outcome = old_python.run("import os, sys; print(os.confstr('CS_GNU_LIBC_VERSION'), *sys.path, sep='\\n')")
    version, *path = outcome.stdout.split("\n")
    assert version == "glibc 2.31", outcome
    assert all(folder.startswith(str(old_python.root)) for folder in path if folder)


def test_concurrent_runs_share_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another run fills the cache first, its folder is used and no other folder is left."""
    monkeypatch.setattr(oldglibc, "CACHE", tmp_path)

    def fill_slowly(folder: Path) -> None:
        (folder / "mine").touch()
        oldglibc.cached("root", lambda other: (other / "theirs").touch())

    assert [path.name for path in oldglibc.cached("root", fill_slowly).iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_pip_environment_fails(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """pip selects a wheel for the machine that it runs on, which fails on the old machine."""
    broken = oldglibc.pip_environment(python39, tmp_path / ".venv", BROKEN)
    assert "manylinux_2_34" in wheel_tags(broken, "cryptography")
    succeed([broken / "bin" / "python", "-c", IMPORT_IT])
    outcome = old_python.run(IMPORT_IT, site_packages=site_packages(broken))
    assert outcome.returncode == 1
    assert "version `GLIBC_2.33' not found" in outcome.stderr


def test_uv_environment_fails(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """uv selects a wheel for the machine that it runs on, which fails on the old machine."""
    try:
        environment = oldglibc.uv_environment(python39, tmp_path / ".venv", BROKEN)
    except Unavailable as why:
        pytest.skip(str(why))
    assert "manylinux_2_34" in wheel_tags(environment, "cryptography")
    outcome = old_python.run(IMPORT_IT, site_packages=site_packages(environment))
    assert "version `GLIBC_2.33' not found" in outcome.stderr


@pytest.mark.parametrize("name", oldglibc.WORKS)
def test_synced_environment_works(name: str, synced: Path, old_python: OldPython) -> None:
    """An environment synced on a newer machine works with glibc 2.31."""
    outcome = old_python.run(oldglibc.WORKS[name], site_packages=site_packages(synced))
    assert not outcome.returncode, outcome.stderr


def test_sync_repairs_an_environment_of_pip(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """`sync` reinstalls the distribution that exceeds the cap, with the same version, and changes no other."""
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


@pytest.mark.parametrize("cap", ["2.31", "2.17"])
def test_bundle_installs(cap: str, old_python: OldPython, tmp_path: Path) -> None:
    """The bundle's pip, with glibc 2.31 and without an index, installs the bundle's wheels, and they work."""
    project = oldglibc.project(tmp_path, cap, *oldglibc.REQUIREMENTS)
    minglibc("lock", project=project)
    target = install_bundle(project, old_python, tmp_path)
    outcome = old_python.run(oldglibc.WORKS_ALL, site_packages=target)
    assert (outcome.returncode, outcome.stdout) == (0, "glibc 2.31\n"), outcome.stderr


def test_builds_under_the_cap(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """What zig builds on this machine for glibc 2.17 works with glibc 2.31, and a second build gives the same bytes."""
    pytest.importorskip("ziglang")
    project = oldglibc.project(tmp_path, "2.17")
    options = ["--toolchain", "zig", "--cache-dir", str(tmp_path / "cache"), "-o", str(tmp_path / "wheels")]
    wheels = []
    for _ in range(2):
        shutil.rmtree(tmp_path / "cache" / "built-1", ignore_errors=True)
        (line,) = minglibc("build", "msgpack==1.1.2", *options, project=project).splitlines()
        wheels.append(Path(line).read_bytes())
    assert "msgpack-1.1.2-1minglibc-cp39-cp39-manylinux2014_x86_64.manylinux_2_17_x86_64.whl" == Path(line).name
    assert wheels[0] == wheels[1]
    with zipfile.ZipFile(line) as archive:
        archive.extractall(tmp_path / "site")
    outcome = old_python.run("import msgpack._cmsgpack", site_packages=tmp_path / "site")
    assert not outcome.returncode, outcome.stderr


def test_example_with_a_built_wheel(python39: Path, old_python: OldPython, tmp_path: Path) -> None:
    """pip with glibc 2.31 installs the wheel that minglibc built for the example, `sync` shares it, and both work."""
    project = shutil.copytree(EXAMPLES / "built-wheel", tmp_path / "project")
    target = install_bundle(project, old_python, tmp_path)
    environment = oldglibc.shared_environment(project, python39)
    for folder in (target, site_packages(environment)):
        outcome = old_python.run("import spidev; print(spidev.SpiDev)", site_packages=folder)
        assert (outcome.returncode, outcome.stdout) == (0, "<class 'SpiDev'>\n"), outcome.stderr


def install_bundle(project: Path, old_python: OldPython, folder: Path) -> Path:
    """The folder in which the bundle's pip, with glibc 2.31 and without an index, has installed the bundle's wheels."""
    minglibc("bundle", "--output", str(folder / "bundle"), project=project)
    (requirements,) = (folder / "bundle").glob("**/requirements.txt")
    (pip,) = (folder / "bundle").glob("**/pip-*.whl")
    offline = ["--no-index", "--find-links", str(pip.parent), "--require-hashes", "--no-cache-dir", "--no-compile"]
    target = folder / "there"
    command = [str(pip / "pip"), "install", *offline, "--target", str(target), "-r", str(requirements)]
    outcome = old_python.run(command, timeout=180)
    assert not outcome.returncode, outcome.stdout + outcome.stderr
    return target


def wheel_tags(environment: Path, name: str) -> str:
    """The WHEEL file of an installed package."""
    (wheel,) = site_packages(environment).glob(f"{name}-*.dist-info/WHEEL")
    return wheel.read_text()


def version_of(environment: Path, name: str) -> str:
    """The installed version of a package."""
    (folder,) = site_packages(environment).glob(f"{name}-*.dist-info")
    return folder.name.removesuffix(".dist-info").partition("-")[2]


def changed(environment: Path, name: str) -> dict[str, int]:
    """When each file of an installed package was last written, renamed or linked."""
    folders = [site_packages(environment) / name, *site_packages(environment).glob(f"{name}-*.dist-info")]
    return {str(path): path.stat().st_ctime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}
