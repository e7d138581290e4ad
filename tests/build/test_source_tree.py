"""Path dependencies: projects in folders, sources and wheels beside the one that requires them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minglibc.lock.digest import lock_digests, seal
from tests.support.commands import read_lock
from tests.support.environments import LockedProject, check_whole, installed
from tests.support.index import IndexServer
from tests.support.sdists import build_source, source_files
from tests.support.wheels import build_wheel

SOURCES = '[tool.minglibc.sources]\na = { path = "libs/a" }\n'
EDITABLE = SOURCES.replace(" }", ", editable = true }")


@pytest.fixture
def project(tmp_path: Path, index: IndexServer, monkeypatch: pytest.MonkeyPatch) -> LockedProject:
    """A project with another one, a, in libs/a, which requires b; and a log of what was built."""
    monkeypatch.setenv("BACKEND_LOG", str(tmp_path / "builds"))
    found = LockedProject(tmp_path / "project", index)
    found.folder.mkdir()
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0"))
    write(found)
    return found


def write(
    project: LockedProject, *, requires: str = "b<2", version: str = "1.0", needs: str = "", **table: object
) -> Path:
    """Write libs/a; *table* is more of its [project]."""
    folder = project.folder / "libs" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"name": "a", "version": version, "dependencies": [requires], **table}
    facts = {key: value for key, value in facts.items() if value is not None}
    for name, content in source_files("a", version, requires=[requires], needs=needs, project=facts).items():
        (folder / name).write_bytes(content)
    return folder


def builds(project: LockedProject) -> int:
    """How many wheels were built so far."""
    log = project.folder.parent / "builds"
    return len(log.read_text().splitlines()) if log.exists() else 0


def versions(project: LockedProject) -> dict[str, str | None]:
    """What is locked."""
    return {p.name: str(p.version) if p.version else None for p in read_lock(project.folder).pylock.packages}


def imported(project: LockedProject) -> str:
    """The version that the environment's a says."""
    command = [str(project.venv / "bin/python"), "-c", "import a; print(a.__version__)"]
    return subprocess.check_output(command, text=True).strip()


@pytest.mark.parametrize("address", ["file:libs/a", "libs/a", "./libs/a", "file://{}/libs/a"])
def test_a_folder_by_its_address(project: LockedProject, address: str) -> None:
    """A requirement may name a folder as it may name a wheel, and locks the same."""
    project.lock("a", more=SOURCES)
    lock = read_lock(project.folder)
    project.lock(f"a @ {address.format(project.folder)}")
    assert lock.pylock.packages == read_lock(project.folder).pylock.packages


def test_a_folder(project: LockedProject) -> None:
    """What a folder's pyproject.toml requires is locked without a build; sync builds it, once for each change of a file."""
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


def test_an_editable_folder(project: LockedProject) -> None:
    """An editable one is used in place, and made again when its pyproject.toml changes."""
    project.lock("a", more=EDITABLE)
    assert 0 == project.sync().code
    (origin,) = project.site.glob("a-*.dist-info/direct_url.json")
    place = (project.folder / "libs" / "a").as_uri()
    assert {"url": place, "dir_info": {"editable": True}} == json.loads(origin.read_text())
    (project.folder / "libs" / "a" / "a.py").write_text("__version__ = 'in place'\n")
    assert "in place" == imported(project)
    assert "Nothing to do" in project.sync().err
    write(project, version="1.1")
    assert 0 == project.command("lock").code
    assert 1 == project.sync("--check").code
    assert 0 == project.sync().code
    assert {"a": "1.1", "b": "1.0"} == installed(project.venv)


def test_a_change_of_its_requirements_is_seen(project: LockedProject) -> None:
    """A neighbour's changed pyproject.toml makes the lock stale for all who ask, by either way of asking, and lock mends it."""
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    assert "is up to date" in project.command("lock", "--check").err
    write(project, requires="b")
    for arguments in (["--check"], ["--check", "-v"]):
        ran = project.command("lock", *arguments)
        assert (1, True) == (ran.code, "libs/a/pyproject.toml has changed" in ran.err)
    ran = project.sync()
    assert (1, True) == (ran.code, "pylock.toml is stale: libs/a/pyproject.toml has changed since" in ran.err)
    assert 0 == project.command("lock", "-U").code
    assert {"a": None, "b": "2.0"} == versions(project)
    (project.folder / "libs" / "a" / "pyproject.toml").unlink()
    assert 1 == project.command("lock", "--check").code


def test_extras_of_a_folder(project: LockedProject) -> None:
    """Extras, markers and Requires-Python of a folder hold as those of a wheel do."""
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
    ("table", "said"),
    [
        ({"dynamic": ["dependencies"]}, "leaves dependencies to its build backend"),
        ({"name": "other"}, "is of the project 'other', not of a"),
        ({"version": None}, "has no version"),
        ({"version": "no version"}, "has no version"),
        ({"dependencies": "b"}, "project.dependencies of"),
        ({"dependencies": ["b c"]}, "no requirement"),
    ],
)
def test_folders_that_are_refused(project: LockedProject, table: dict[str, object], said: str) -> None:
    """What only a build could tell, or what is not what PEP 621 says, is refused with the path and what to do."""
    write(project, **table)  # type: ignore[arg-type]  # made wrong on purpose
    project.write(["a"], more=SOURCES)
    ran = project.command("lock")
    assert 1 == ran.code
    assert str(project.folder / "libs" / "a" / "pyproject.toml") in ran.err
    assert said in ran.err


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ('{ path = "libs/none" }', 1, "there is no folder"),
        ('{ path = "../a" }', 2, "lies outside the project's folder"),
        ('{ path = "/etc" }', 2, "lies outside the project's folder"),
        ('{ path = "" }', 2, "expected { index"),
        ('{ path = "libs/a", editable = 1 }', 2, "expected { index"),
        ('{ path = "libs/a", index = "x" }', 2, "expected { index"),
        ('{ path = "libs" }', 1, "there is no"),
    ],
)
def test_paths_that_are_refused(project: LockedProject, source: str, code: int, said: str) -> None:
    """A path that leads nowhere or out of the project is an error that names it."""
    project.write(["a"], more=f"[tool.minglibc.sources]\na = {source}\n")
    ran = project.command("lock")
    assert (code, True) == (ran.code, said in ran.err), ran.err


def test_a_dynamic_version(project: LockedProject) -> None:
    """A version that the backend makes is no hindrance: the lock has none of a folder."""
    write(project, version="3.0", dynamic=["version"])
    text = (project.folder / "libs" / "a" / "pyproject.toml").read_text()
    (project.folder / "libs" / "a" / "pyproject.toml").write_text(text.replace('version = "3.0"\n', ""))
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    assert {"a": "3.0", "b": "1.0"} == installed(project.venv)


def test_the_cap_holds_for_a_folder(project: LockedProject) -> None:
    """What is built of a folder and needs more than the cap is not installed, and `check` finds it."""
    write(project, needs="2.34")
    project.lock("a", more=SOURCES)
    ran = project.sync()
    assert 1 == ran.code
    assert "it needs GLIBC_2.34 (_a.so)" in ran.err
    assert {} == installed(project.venv)
    ran = project.command("check")
    assert (1, True) == (ran.code, "_a.so needs GLIBC_2.34" in ran.out)


def test_every_command_knows_a_folder(project: LockedProject, index: IndexServer, tmp_path: Path) -> None:
    """A bundle ships what was built of it; the commands that show a lock name it; requirements.txt can't have it."""
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
    assert (2, True) == (ran.code, "a lies on this machine" in ran.err)


def test_a_folder_takes_the_place_of_a_release(project: LockedProject, index: IndexServer) -> None:
    """What an index has of that name counts for nothing, and what is installed of it is replaced."""
    index.add(build_wheel("a", "9.0"))
    project.lock("a")
    assert 0 == project.sync().code
    project.lock("a", more=SOURCES)
    assert {"a": None, "b": "1.0"} == versions(project)
    assert " - a==9.0\n + a @ libs/a" in project.sync().err
    assert {"a": "1.0", "b": "1.0"} == installed(project.venv)


@pytest.mark.parametrize("static", [True, False])
def test_a_source_beside_the_project(project: LockedProject, static: bool) -> None:  # noqa: FBT001
    """A path to a source needs no allow-sdist: it is built, locked by its hash, and installed from there."""
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


def test_a_wheel_beside_the_project(project: LockedProject) -> None:
    """A path to a wheel is what a requirement with its address is."""
    built = build_wheel("a", "4.0")
    (project.folder / built.filename).write_bytes(built.content)
    project.lock("a>=4", more=f'[tool.minglibc.sources]\na = {{ path = "{built.filename}" }}\n')
    assert {"a": "4.0"} == versions(project)
    assert 0 == project.sync().code


def test_run_sees_a_changed_folder(project: LockedProject) -> None:
    """`run` looks at the folders, too: no stamp of the last sync speaks for them."""
    project.lock("a", more=SOURCES)
    assert 0 == project.sync().code
    time.sleep(0.01)
    (project.folder / "libs" / "a" / "a.py").write_text("__version__ = 'another'\n")
    command = [sys.executable, "-m", "minglibc", "run", "--project", str(project.folder), "python", "-c"]
    said = subprocess.check_output([*command, "import a; print(a.__version__)"], text=True, stderr=subprocess.PIPE)
    assert "another\n" == said


def test_a_forged_folder(project: LockedProject) -> None:
    """A lock whose folder lies elsewhere is no lock, whatever its seal says."""
    project.lock("a", more=SOURCES)
    path = project.folder / "pylock.toml"
    text = path.read_text()
    digests = lock_digests(text)
    assert digests is not None
    forged = text[: text.index("inputs = ")].replace('\npath = "libs/a"', '\npath = "../elsewhere"')
    path.write_text(seal(forged, digests.inputs))
    ran = project.sync()
    assert (1, True) == (ran.code, "a has a path out of its folder" in ran.err)
