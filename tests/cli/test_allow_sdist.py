"""`lock --allow-sdist` and `add --allow-sdist`: what has no wheel is built, and added to the setting."""

import tomllib
from pathlib import Path

import pytest

from minglibc.config import edit
from minglibc.errors import SettingsError
from tests.support.commands import locked_versions, minglibc
from tests.support.explained import Project
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import build_wheel

# They build several times.
pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project on an index where a, b and hidden have only source distributions; a build of b reveals hidden."""
    index.add(build_source("a", "1.0"))
    index.add(build_source("b", "1.0", requires=["hidden", "c"], pkg_info=b""))
    index.add(build_source("hidden", "1.0"))
    index.add(build_wheel("c", "1.0"))
    return Project(tmp_path, index)


def settings(project: Project) -> list[str]:
    """The setting allow-sdist."""
    document = tomllib.loads((project.folder / "pyproject.toml").read_text(encoding="utf-8"))
    names: list[str] = document["tool"]["minglibc"].get("allow-sdist", [])
    return names


def test_two_commands_lock(project: Project) -> None:
    """The failing run names the option, which adds all packages, also those that a build reveals."""
    project.write("a", "b")
    failed = project.run("lock")
    assert failed.code == 1
    assert "--allow-sdist" in failed.err
    locked = project.run("lock", "--allow-sdist")
    assert locked.code == 0, locked.err
    before, _, after = locked.err.partition("Building")
    assert "No wheel, allowed to be built from source: a, b" in before
    assert "No wheel, allowed to be built from source: hidden" in after
    assert settings(project) == ["a", "b", "hidden"]
    assert {*locked_versions(project.folder)} == {"a", "b", "c", "hidden"}
    assert project.run("lock", "--check").code == 0
    assert "up to date" in project.run("lock", "--allow-sdist").err


def test_a_revealed_source_stops_the_search(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that reveals a requirement without a wheel adds it, and no older release is built instead."""
    monkeypatch.setenv("BACKEND_LOG", str(tmp_path / "builds"))
    for version in ("0.7", "0.8", "0.9"):
        project.index.add(build_source("b", version, requires=["hidden"], pkg_info=b""))
    assert project.write("b").run("lock", "--allow-sdist").code == 0
    assert (tmp_path / "builds").read_text(encoding="utf-8").count("b ") == 1
    assert settings(project) == ["b", "hidden"]


def test_estimated_requirements_are_named(project: Project) -> None:
    """The requirements that setuptools writes into a source distribution are named before anything is built."""
    requires = b'[:python_version < "3"]\nother\n\n[test]\nmore\n\n[:python_version >= "3"]\nhidden\n'
    project.index.add(
        build_source("d", "1.0", requires=["hidden"], pkg_info=b"", files={"d.egg-info/requires.txt": requires})
    )
    failed = project.write("d").run("lock")
    assert 'tool.minglibc.allow-sdist = ["d", "hidden"] would work' in failed.err
    locked = project.run("lock", "--allow-sdist")
    assert "allowed to be built from source: d, hidden" in locked.err.partition("Building")[0]


def test_nothing_is_written_on_failure(project: Project) -> None:
    """A requirement that has no release at all fails as before, and pyproject.toml stays."""
    text = (project.write("a", "missing").folder / "pyproject.toml").read_bytes()
    assert project.run("lock", "--allow-sdist").code == 1
    assert (project.folder / "pyproject.toml").read_bytes() == text
    project.write("a", "c")
    text = (project.folder / "pyproject.toml").read_bytes()
    assert project.run("lock", "--allow-sdist", "--dry-run").code == 0
    assert (project.folder / "pyproject.toml").read_bytes() == text
    assert not (project.folder / "pylock.toml").exists()


def test_one_package(project: Project) -> None:
    """Only the named packages are added."""
    assert project.write("a", "b").run("lock", "--allow-sdist-package", "A").code == 1
    assert settings(project) == []
    assert project.write("a").run("lock", "--allow-sdist-package", "A").code == 0
    assert settings(project) == ["a"]


def test_hints_name_the_options_that_were_given(project: Project) -> None:
    """A cap that an option gave is not called a setting."""
    project.index.add(build_wheel("d", "1.0", "cp39-abi3-manylinux_2_34_x86_64"))
    file = project.folder / "requirements.txt"
    file.write_text("d\n", encoding="utf-8")
    options = ["lock", "-r", str(file), "--index-url", project.index.url, "--glibc", "2.28", "--python", "3.11"]
    assert "this would work (verified): --glibc 2.34 (locks d 1.0)" in minglibc(*options).err
    (project.folder / "pyproject.toml").write_text('[tool.minglibc]\nglibc = "2.28"\npython = "3.11"\n')
    assert 'tool.minglibc.glibc = "2.34" (locks d 1.0)' in minglibc(*options[:5]).err


def test_add(project: Project) -> None:
    """`add` writes the requirement and the setting together."""
    project.write("c")
    assert project.run("add", "b", "--no-sync").code == 1
    added = project.run("add", "b", "--no-sync", "--allow-sdist")
    assert added.code == 0, added.err
    assert settings(project) == ["b", "hidden"]
    assert '"b>=1.0"' in (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    assert project.run("lock", "--check").code == 0


def test_requirements_file(project: Project) -> None:
    """The lock records the packages, so that it stays up to date and can be repeated."""
    file = project.folder / "requirements.txt"
    file.write_text("b\n", encoding="utf-8")
    options = ["lock", "-r", str(file), "--index-url", project.index.url, "--glibc", "2.28", "--python", "3.11"]
    assert minglibc(*options).code == 1
    assert minglibc(*options, "--allow-sdist").code == 0
    assert not (project.folder / "pyproject.toml").exists()
    assert "up to date" in minglibc(*options).err
    file.write_text("b\nc\n", encoding="utf-8")
    assert minglibc(*options).code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[tool.minglibc]\nglibc = "2.28"\n', ["a", "c"]),
        ('[tool.minglibc]\nglibc = "2.28"\nallow-sdist = ["b"]\n[tool.minglibc.sources]\nx = 1\n', ["a", "b", "c"]),
        ('[tool.minglibc]\nallow-sdist = [\n  "z",  # first\n  "C",\n]\n', ["z", "C", "a"]),
        ('[[tool.minglibc.index]]\nname = "x"\n', ["a", "c"]),
        ('[tool]\nminglibc = { glibc = "2.28" }\n', ["a", "c"]),
        ('tool.minglibc.glibc = "2.28"\n', ["a", "c"]),
        ("", ["a", "c"]),
    ],
)
def test_setting_is_edited(text: str, expected: list[str]) -> None:
    """The list is created or extended in every form of the table, and everything else stays."""
    edited = edit.allow_sdist(text, ["c", "a"])
    document = tomllib.loads(edited)
    assert document["tool"]["minglibc"].pop("allow-sdist") == expected
    before = tomllib.loads(text)
    before.setdefault("tool", {}).setdefault("minglibc", {}).pop("allow-sdist", None)
    assert document == before
    assert edit.allow_sdist(edited, ["a"]) == edited


def test_setting_that_is_no_list() -> None:
    """A value of another form is an error."""
    with pytest.raises(SettingsError, match="allow-sdist"):
        edit.allow_sdist('[tool.minglibc]\nallow-sdist = "a"\n', ["b"])
