"""Path dependencies: local projects, source distributions and wheels."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from minglibc.lock.digest import lock_digests, seal
from tests.support import child
from tests.support.commands import read_lock
from tests.support.environments import LockedProject, check_whole, installed
from tests.support.index import IndexServer
from tests.support.sdists import build_source, source_files
from tests.support.wheels import build_wheel

SOURCES = '[tool.minglibc.sources]\na = { path = "libs/a" }\n'
EDITABLE = SOURCES.replace(" }", ", editable = true }")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project with another project a in libs/a, which requires b, and a log of the builds."""
    monkeypatch.setenv("BACKEND_LOG", str(tmp_path / "builds"))
    project = LockedProject(tmp_path / "project", index)
    project.folder.mkdir()
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0"))
    write(project)
    return project


def write(
    project: LockedProject, *, requires: str = "b<2", version: str = "1.0", needs: str = "", **table: object
) -> Path:
    """Write libs/a with *table* added to its [project] table; None removes a key."""
    folder = project.folder / "libs" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"name": "a", "version": version, "dependencies": [requires], **table}
    facts = {key: value for key, value in facts.items() if value is not None}
    for name, content in source_files("a", version, requires=[requires], needs=needs, project=facts).items():
        (folder / name).write_bytes(content)
    return folder


def builds(project: LockedProject) -> int:
    """The number of builds so far."""
    log = project.folder.parent / "builds"
    return len(log.read_text().splitlines()) if log.exists() else 0


def versions(project: LockedProject) -> dict[str, str | None]:
    """The locked versions."""
    return {p.name: str(p.version) if p.version else None for p in read_lock(project.folder).pylock.packages}


def imported(project: LockedProject) -> str:
    """The version of a that the environment imports."""
    command = [str(project.venv / "bin/python"), "-c", "import a; print(a.__version__)"]
    return subprocess.check_output(command, text=True).strip()


@pytest.mark.parametrize("url", ["file:libs/a", "libs/a", "./libs/a", "file://{}/libs/a"])
def test_direct_reference_to_a_folder(project: LockedProject, url: str) -> None:
    """A direct reference to a folder locks the same as an entry in sources."""
    project.lock("a", more=SOURCES)
    lock = read_lock(project.folder)
    project.lock(f"a @ {url.format(project.folder)}")
    assert lock.pylock.packages == read_lock(project.folder).pylock.packages


def test_folder(project: LockedProject) -> None:
    """`lock` reads a folder's requirements without a build; `sync` builds it once, and again when a file changes."""
    project.lock("a", more=SOURCES)
    assert {"a": None, "b": "1.0"} == versions(project)
    (package, _) = read_lock(project.folder).pylock.packages
    assert package.directory is not None
    assert ("libs/a", None) == (package.directory.path, package.directory.editable)
    assert 0 == builds(project)
    ran = project.sync()
    assert " + a @ libs/a" in ran.err
    check_whole(project.venv)
    assert ("1.0", {"a": "1.0", "b": "1.0"}) == (imported(project), installed(project.venv))
    assert "Nothing to do" in project.sync().err
    (project.folder / "libs" / "a" / "a.py").write_text("__version__ = 'another'\n")
    assert 0 == project.command("lock", "--check").code
    assert 0 == project.sync().code
    assert "another" == imported(project)
    assert 2 == builds(project)


@pytest.mark.slow
def test_editable_folder(project: LockedProject) -> None:
    """An editable project is imported from its folder, and installed again when its pyproject.toml changes."""
    project.lock("a", more=EDITABLE)
    assert 0 == project.sync().code
    (record,) = project.site.glob("a-*.dist-info/direct_url.json")
    url = (project.folder / "libs" / "a").as_uri()
    assert {"url": url, "dir_info": {"editable": True}} == json.loads(record.read_text())
    (project.folder / "libs" / "a" / "a.py").write_text("__version__ = 'edited'\n")
    assert "edited" == imported(project)
    assert "Nothing to do" in project.sync().err
    write(project, version="1.1")
    assert 0 == project.command("lock").code
    assert 1 == project.sync("--check").code
    assert 0 == project.sync().code
    assert {"a": "1.1", "b": "1.0"} == installed(project.venv)


@pytest.mark.slow
def test_changed_requirements(project: LockedProject) -> None:
    """A change to a local project's pyproject.toml makes the lock stale, for `lock --check` and `sync`, which update it."""
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    assert "is up to date" in project.command("lock", "--check").err
    write(project, requires="b")
    for arguments in (["--check"], ["--check", "-v"]):
        ran = project.command("lock", *arguments)
        assert (1, True) == (ran.code, "libs/a/pyproject.toml has changed" in ran.err)
    ran = project.sync("--locked")
    assert (1, True) == (ran.code, "pylock.toml is stale: libs/a/pyproject.toml has changed" in ran.err)
    ran = project.sync()
    assert (0, True) == (ran.code, "libs/a/pyproject.toml has changed; locking again" in ran.err)
    assert 0 == project.command("lock", "-U").code
    assert {"a": None, "b": "2.0"} == versions(project)
    (project.folder / "libs" / "a" / "pyproject.toml").unlink()
    assert 1 == project.command("lock", "--check").code


def test_extras(project: LockedProject) -> None:
    """Extras, markers and requires-python of a folder apply as those of a wheel do."""
    extras = {"optional-dependencies": {"more": ["b==2.0; python_version >= '3'", "c; python_version < '3'"]}}
    folder = write(project, requires="b")
    text = (folder / "pyproject.toml").read_text() + "[project.optional-dependencies]\n"
    listed = extras["optional-dependencies"]["more"]
    (folder / "pyproject.toml").write_text(f"{text}more = {json.dumps(listed)}\n")
    project.lock("a[more]>=1,<2", more=SOURCES)
    assert {"a": None, "b": "2.0"} == versions(project)
    write(project, **{"requires-python": "<3"})
    ran = project.command("lock")
    assert (1, True) == (ran.code, "needs Python <3" in ran.err)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"dynamic": ["dependencies"], "dependencies": None}, "which only a build can tell"),
        ({"dynamic": ["dependencies"]}, "which [project] has as well"),
        ({"name": "other"}, "is named 'other', not a"),
        ({"version": None}, "has no version"),
        ({"version": "no version"}, "has no version"),
        ({"dependencies": "b"}, "project.dependencies of"),
        ({"dependencies": ["b c"]}, "invalid requirement"),
    ],
)
def test_invalid_folder(project: LockedProject, table: dict[str, object], problem: str) -> None:
    """An invalid [project] table, or one whose requirements only a build could provide, is an error with the path."""
    write(project, **table)  # type: ignore[arg-type]  # intentionally invalid
    project.write(["a"], more=SOURCES)
    ran = project.command("lock")
    assert 1 == ran.code
    assert str(project.folder / "libs" / "a" / "pyproject.toml") in ran.err
    assert problem in ran.err


@pytest.mark.parametrize(
    ("source", "code", "problem"),
    [
        ('{ path = "libs/none" }', 1, "there is no folder"),
        ('{ path = "../a" }', 2, "is outside the project's folder"),
        ('{ path = "/etc" }', 2, "is outside the project's folder"),
        ('{ path = "" }', 2, "expected { index"),
        ('{ path = "libs/a", editable = 1 }', 2, "expected { index"),
        ('{ path = "libs/a", index = "x" }', 2, "expected { index"),
        ('{ path = "libs" }', 1, "there is no"),
    ],
)
def test_invalid_path(project: LockedProject, source: str, code: int, problem: str) -> None:
    """A path that does not exist or is outside the project is an error."""
    project.write(["a"], more=f"[tool.minglibc.sources]\na = {source}\n")
    ran = project.command("lock")
    assert (code, True) == (ran.code, problem in ran.err), ran.err


def test_dynamic_version(project: LockedProject) -> None:
    """The version may be dynamic, because a lock records none for a folder."""
    write(project, version="3.0", dynamic=["version"])
    text = (project.folder / "libs" / "a" / "pyproject.toml").read_text()
    (project.folder / "libs" / "a" / "pyproject.toml").write_text(text.replace('version = "3.0"\n', ""))
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    assert {"a": "3.0", "b": "1.0"} == installed(project.venv)


@pytest.mark.slow
def test_build_above_the_cap(project: LockedProject) -> None:
    """A wheel built from a folder is not installed if it needs more than the cap, and `check` reports it."""
    write(project, needs="2.34")
    project.lock("a", more=SOURCES)
    ran = project.sync()
    assert 1 == ran.code
    assert "it needs GLIBC_2.34 (_a.so)" in ran.err
    assert {} == installed(project.venv)
    ran = project.command("check")
    assert (1, True) == (ran.code, "_a.so needs GLIBC_2.34" in ran.out)


@pytest.mark.slow
def test_commands_support_folders(project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """`bundle` includes the built wheel, other commands name the folder, and requirements.txt can't contain it."""
    index.add(build_wheel("pip", "24.0"))
    project.lock("a", more=EDITABLE)
    assert 0 == project.command("bundle", "-o", str(tmp_path / "bundle")).code
    assert "a-1.0-py3-none-any.whl" in os.listdir(tmp_path / "bundle" / "wheels")
    assert "a==1.0 --hash=" in (tmp_path / "bundle" / "requirements.txt").read_text()
    assert "a\n└── b==1.0\n" == project.command("tree").out
    assert "libs/a" in project.command("why", "a").out
    assert ["a", "b"] == [row["name"] for row in json.loads(project.command("outdated", "--json").out)]
    assert 0 == project.command("export", "--format", "cyclonedx").code
    assert 0 == project.command("report", "--json", "--no-files").code
    ran = project.command("export")
    assert (2, True) == (ran.code, "a is a file on this machine" in ran.err)


@pytest.mark.slow
def test_folder_replaces_a_release(project: LockedProject, index: IndexServer) -> None:
    """Releases of the same name on the index are ignored, and an installed one is replaced."""
    index.add(build_wheel("a", "9.0"))
    project.lock("a")
    assert 0 == project.sync().code
    project.lock("a", more=SOURCES)
    assert {"a": None, "b": "1.0"} == versions(project)
    assert " - a==9.0\n + a @ libs/a" in project.sync().err
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)


@pytest.mark.slow
@pytest.mark.parametrize("static", [True, False])
def test_path_to_a_source(project: LockedProject, static: bool) -> None:  # noqa: FBT001
    """A path to a source distribution needs no allow-sdist; the lock records its path and hash."""
    built = build_source("a", "5.0", requires=["b>1"], static=static)
    path = project.folder / built.filename
    path.write_bytes(built.content)
    more = f'[tool.minglibc.sources]\na = {{ path = "{built.filename}" }}\n'
    project.lock("a", more=more)
    assert {"a": "5.0", "b": "2.0"} == versions(project)
    (package, _) = read_lock(project.folder).pylock.packages
    assert package.sdist is not None
    assert (built.filename, built.sha256) == (package.sdist.path, package.sdist.hashes["sha256"])
    assert 0 == project.sync().code
    assert {"a": "5.0", "b": "2.0"} == installed(project.venv)
    path.write_bytes(build_source("a", "5.0").content)
    ran = project.command("lock", "--check")
    assert (1, True) == (ran.code, f"{built.filename} has changed" in ran.err)


def test_path_to_a_wheel(project: LockedProject) -> None:
    """A path to a wheel is locked and installed."""
    built = build_wheel("a", "4.0")
    (project.folder / built.filename).write_bytes(built.content)
    project.lock("a>=4", more=f'[tool.minglibc.sources]\na = {{ path = "{built.filename}" }}\n')
    assert {"a": "4.0"} == versions(project)
    assert 0 == project.sync().code


@pytest.mark.slow
def test_run_after_a_change(project: LockedProject) -> None:
    """`run` syncs first if a file of a folder has changed."""
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    time.sleep(0.01)
    (project.folder / "libs" / "a" / "a.py").write_text("__version__ = 'another'\n")
    code = "import a; print(a.__version__)"
    assert "another\n" == child.run("run", "--project", str(project.folder), "python", "-c", code).stdout


def test_forged_folder(project: LockedProject) -> None:
    """A lock is invalid if a folder is outside the project, even if its digest is right."""
    project.lock("a", more=SOURCES)
    path = project.folder / "pylock.toml"
    text = path.read_text()
    digests = lock_digests(text)
    assert digests is not None
    forged = text[: text.index("inputs = ")].replace('\npath = "libs/a"', '\npath = "../elsewhere"')
    path.write_text(seal(forged, digests.inputs))
    ran = project.sync()
    assert (1, True) == (ran.code, "a has a path outside the lock's folder" in ran.err)
