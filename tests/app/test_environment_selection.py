"""Which environment is synced: a base interpreter's packages are never changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import child
from tests.support.base_interpreter import make_base
from tests.support.environments import RUNNING, LockedProject, check_whole, installed, locked_pair, snapshot
from tests.support.index import IndexServer


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A base interpreter; no test may change it."""
    executable = make_base(tmp_path_factory.mktemp("base"))
    site = executable.parents[1] / "lib" / executable.name / "site-packages"
    before = snapshot(site)
    yield executable
    assert before == snapshot(site)
    assert not (executable.parents[1] / ".minglibc").exists()


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A locked project without an environment."""
    return locked_pair(tmp_path / "project", index)


def make_environment(base: Path, folder: Path) -> None:
    """Create an environment of *base* in *folder*."""
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True)


def refused(project: LockedProject, *arguments: str) -> str:
    """The error of `sync`, which all other ways to sync report too, and which changes nothing."""
    before = snapshot(project.folder)
    ran = project.sync(*arguments)
    assert (1, "") == (ran.code, ran.out)
    for name, *others in (("sync", "--check"), ("sync", "--dry-run"), ("sync", "--frozen"), ("run", "--inexact")):
        command = ["--", "true"] if name == "run" else []
        assert ran.err == project.command(name, *others, *arguments, *command).err
    assert before == snapshot(project.folder)
    return ran.err


@pytest.mark.parametrize(
    ("replacement", "synced"),
    [
        pytest.param("nothing", True, marks=pytest.mark.slow),
        pytest.param("a folder", False, marks=pytest.mark.slow),
        pytest.param("nothing", False, marks=pytest.mark.slow),
        pytest.param("a folder", True, marks=pytest.mark.slow),
        pytest.param("a dangling link", False, marks=pytest.mark.slow),
        ("a dangling link", True),
    ],
)
def test_environment_without_configuration(
    replacement: str,
    synced: bool,  # noqa: FBT001  parametrized
    base: Path,
    project: LockedProject,
) -> None:
    """Without pyvenv.cfg the environment's interpreter is the base interpreter: nothing is changed, and sync says why."""
    make_environment(base, project.venv)
    if synced:
        assert project.sync().code == 0
    configuration = project.venv / "pyvenv.cfg"
    configuration.unlink()
    if replacement == "a folder":
        configuration.mkdir()
    elif replacement == "a dangling link":
        configuration.symlink_to("nowhere")
    error = refused(project)
    assert f"{project.venv} is a broken environment: pyvenv.cfg is missing" in error
    assert str(base.parents[1]) in error
    assert f"hint: delete {project.venv} to let sync create it again" in error
    for path in (project.venv, project.venv / "bin" / "python"):
        assert "is a broken environment: pyvenv.cfg is missing" in refused(project, "--python", str(path))


def test_link_to_a_base_interpreter(base: Path, project: LockedProject) -> None:
    """A .venv that is a link to a base prefix, or a base interpreter itself, is refused; deleting it is not suggested."""
    project.venv.symlink_to(base.parents[1])
    error = refused(project)
    assert f"{project.venv} is a base interpreter, not a virtual environment" in error
    assert "delete" not in error


def test_environment_whose_library_is_a_base_interpreters(base: Path, project: LockedProject) -> None:
    """An environment whose lib or bin is a link to that of a base interpreter is refused."""
    for name in ("lib", "bin"):
        make_environment(base, project.venv)
        shutil.rmtree(project.venv / name)
        (project.venv / name).symlink_to(base.parents[1] / name)
        assert f"outside {project.venv}" in refused(project)
        shutil.rmtree(project.venv)


def test_link_to_a_folder_without_python(project: LockedProject, tmp_path: Path) -> None:
    """A .venv that is a link to another folder, such as /usr, is refused; deleting that folder is not suggested."""
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    project.venv.symlink_to(tmp_path / "usr")
    error = refused(project)
    assert f"{project.venv} is neither empty nor an environment" in error
    assert "delete" not in error
    assert "delete" not in refused(project, "--python", str(tmp_path / "usr"))


def test_other_active_environment(
    base: Path, project: LockedProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VIRTUAL_ENV and PATH may name another environment: it is not changed."""
    make_environment(base, tmp_path / "other")
    before = snapshot(tmp_path / "other")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "other"))
    monkeypatch.setenv("PATH", f"{tmp_path}/other/bin:{os.environ['PATH']}")
    assert project.sync().code == 0
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    assert before == snapshot(tmp_path / "other")


def test_environment_that_sees_the_packages_of_its_base(base: Path, project: LockedProject) -> None:
    """With --system-site-packages only the environment's own packages are changed."""
    subprocess.run([base, "-m", "venv", "--without-pip", "--system-site-packages", project.venv], check=True)
    assert project.sync().code == 0
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    subprocess.run([project.venv / "bin" / "python", "-c", "import victim"], check=True)
    assert "Nothing to do" in project.sync().err


def test_base_environment_of_conda(tmp_path: Path, project: LockedProject) -> None:
    """The interpreter of conda's base environment, which has bin/activate, creates .venv."""
    executable = make_base(tmp_path / "conda")
    (executable.parent / "activate").touch()
    (tmp_path / "conda" / "conda-meta").mkdir()
    (tmp_path / "conda" / "conda-meta" / "conda-24.1-0.json").touch()
    before = snapshot(tmp_path / "conda" / "lib" / executable.name / "site-packages")
    assert project.sync("--python", str(executable)).code == 0
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    assert before == snapshot(tmp_path / "conda" / "lib" / executable.name / "site-packages")


@pytest.mark.parametrize("path", ["pyvenv.cfg", "bin/pyvenv.cfg"])
def test_base_interpreter_with_the_configuration_of_another(path: str, tmp_path: Path, project: LockedProject) -> None:
    """A pyvenv.cfg that names another base interpreter does not make a base interpreter an environment."""
    executable = make_base(tmp_path / "base")
    home = Path(str(sys._base_executable)).parent  # type: ignore[attr-defined]
    (tmp_path / "base" / path).write_text(f"home = {home}\n", encoding="utf-8")
    before = snapshot(tmp_path / "base")
    project.venv.symlink_to(tmp_path / "base")
    assert "is a base interpreter" in refused(project)
    project.venv.unlink()
    assert project.sync("--python", str(executable)).code == 0
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    assert before == snapshot(tmp_path / "base")


def test_link_in_place_of_the_own_folder(base: Path, project: LockedProject, tmp_path: Path) -> None:
    """If .minglibc is a link, nothing is written to the folder that it leads to."""
    make_environment(base, project.venv)
    (tmp_path / "other").mkdir()
    (project.venv / ".minglibc").symlink_to(tmp_path / "other")
    ran = project.sync()
    assert (1, []) == (ran.code, list((tmp_path / "other").iterdir()))
    assert ".minglibc is a link" in ran.err


def add_package(site: Path, name: str, installer: str) -> None:
    """Install an importable *name* 1.0, with the name of the installer that installed it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (site / f"{name}.py").write_text("", encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "INSTALLER").write_text(f"{installer}\n", encoding="utf-8")
    listed = (f"{name}.py,,0", *(f"{info.name}/{file},," for file in ("METADATA", "INSTALLER", "RECORD")))
    (info / "RECORD").write_text("\n".join(listed), encoding="utf-8")


def test_packages_of_conda_are_kept(tmp_path: Path, project: LockedProject) -> None:
    """In conda's environment, packages that conda installed are kept unless the lock has them, and one line names them."""
    executable = make_base(tmp_path / "conda")
    prefix, site = tmp_path / "conda", tmp_path / "conda" / "lib" / executable.name / "site-packages"
    (prefix / "conda-meta").mkdir()
    for name in ("setuptools", "tool"):
        add_package(site, name, "conda")
    add_package(site, "old", "pip")
    add_package(site, "b", "conda")  # the lock has it
    (site / "b.py").write_text("changed", encoding="utf-8")
    ran = project.sync("--python", str(prefix))
    assert ran.code == 0, ran.err
    assert "Kept packages of conda that are not in the lock: setuptools, tool\n" in ran.err
    assert installed(prefix) == {"a": "1.0", "b": "1.0", "setuptools": "1.0", "tool": "1.0"}
    assert not (site / "old.py").exists()
    assert not (site / "b.py").exists()
    again = project.sync("--python", str(prefix), "--check")
    assert again.code == 0, again.out
    assert "Kept packages" not in project.sync("--python", str(prefix), "--inexact").err


def test_interpreter_of_another_environment(base: Path, project: LockedProject, tmp_path: Path) -> None:
    """An interpreter that belongs to another environment than the folder it is in is refused."""
    make_environment(base, tmp_path / "other")
    for folder in (project.venv, tmp_path / "third"):
        (folder / "bin").mkdir(parents=True)
        (folder / "pyvenv.cfg").touch()
        wrapper = folder / "bin" / "python"
        wrapper.write_text(f'#!/bin/sh\nexec {tmp_path}/other/bin/python "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
    assert f"its interpreter belongs to {tmp_path}/other" in refused(project)
    third = tmp_path / "third"
    assert f"{third} is a broken environment" in refused(project, "--python", str(third / "bin" / "python"))
    assert f"{third} is a broken environment" in refused(project, "--python", str(third))


@pytest.mark.parametrize("way", ["executable", "folder", "version", "name", "patch release"])
def test_base_interpreter_creates_the_environment(
    way: str, base: Path, project: LockedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version or a base interpreter is what .venv is created from; then its environment is kept up to date."""
    monkeypatch.setenv("PATH", f"{base.parent}:{os.environ['PATH']}")
    python = {
        "executable": str(base),
        "folder": str(base.parents[1]),
        "version": RUNNING,
        "name": base.name,
        "patch release": ".".join(map(str, sys.version_info[:3])),
    }[way]
    ran = project.sync("--python", python)
    assert ran.code == 0, ran.err
    check_whole(project.venv)
    assert installed(project.venv) == {"a": "1.0", "b": "1.0"}
    if way in {"executable", "folder", "name"}:
        assert f"home = {base.parent}" in (project.venv / "pyvenv.cfg").read_text(encoding="utf-8")
    assert "Nothing to do" in project.sync("--python", python).err
    assert project.command("sync", "--check", "--python", python).code == 0


def test_run_uses_the_environment_of_a_base_interpreter(base: Path, project: LockedProject) -> None:
    """`run --python` with a base interpreter runs the command in .venv."""
    command = ["run", "--project", str(project.folder), "--python", str(base)]
    command += ["python", "-c", "import a, sys; print(sys.prefix)"]
    for _ in range(2):
        assert f"{project.venv}\n" == child.run(*command).stdout


def test_existing_environment_has_another_python(base: Path, project: LockedProject) -> None:
    """If .venv has another Python than --python requests, sync says so and changes nothing."""
    make_environment(base, project.venv)
    other = f"3.{sys.version_info.minor - 1}"
    error = refused(project, "--python", other)
    assert f"{project.venv} has CPython {RUNNING}." in error
    assert f"--python requests CPython {other}" in error
    assert "hint: delete" in error


def test_invalid_versions(project: LockedProject) -> None:
    """A version that does not exist is an error of the command line."""
    for version in ("2.7", "3.99", "3.x"):
        ran = project.sync("--python", version)
        assert ran.code == 2, ran.err
    assert not project.venv.exists()


def test_links_to_environments(base: Path, project: LockedProject, tmp_path: Path) -> None:
    """.venv, and a path for --python, may be links to an environment."""
    make_environment(base, tmp_path / "shared")
    project.venv.symlink_to(tmp_path / "shared")
    assert project.sync().code == 0
    assert installed(tmp_path / "shared") == {"a": "1.0", "b": "1.0"}
    for path in (project.venv, project.venv / "bin" / "python", tmp_path / "shared" / "bin" / "python3"):
        assert "Nothing to do" in project.sync("--python", str(path)).err


def test_interrupted_creation_does_not_follow_links(project: LockedProject, tmp_path: Path) -> None:
    """A folder with the marker of an interrupted creation, whose bin is a link, is not completed."""
    (tmp_path / "bin").mkdir()
    (project.venv / ".minglibc").mkdir(parents=True)
    (project.venv / ".minglibc" / "creating").touch()
    (project.venv / "bin").symlink_to(tmp_path / "bin")
    assert "is neither empty nor an environment" in refused(project)
    assert list((tmp_path / "bin").iterdir()) == []
