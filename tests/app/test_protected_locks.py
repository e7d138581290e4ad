"""Locks that `lock` must not overwrite, and sizes of locked files."""

import shutil
import tomllib
from pathlib import Path

import pytest

from minglibc.lock.digest import lock_digests, seal
from tests.support.environments import LockedProject, locked_pair
from tests.support.index import IndexServer


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> LockedProject:
    """A locked project."""
    return locked_pair(tmp_path / "project", index)


def edit(path: Path, old: str, new: str, *, sealed: bool) -> str:
    """Replace *old* by *new* in a lock, whose digests are then right if *sealed*; its new text."""
    text = path.read_text(encoding="utf-8")
    digests = lock_digests(text)
    assert digests
    assert old in text
    changed = text.replace(old, new)
    if sealed:
        changed = seal(changed[: changed.rindex('inputs = "')], digests.inputs)
    path.write_text(changed, encoding="utf-8")
    return changed


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("version", ['"2.0"', '"99.0"', '"2"', "2", "2.0", '"10.1"', '" 2.0"', '"v3"'])
@pytest.mark.parametrize("command", ["lock", "lock --upgrade", "lock --check", "add b", "remove a", "sync", "export"])
def test_newer_format(command: str, version: str, sealed: bool, project: LockedProject) -> None:  # noqa: FBT001  parametrized
    """A lock of a newer format is refused by every command, and never overwritten, no matter which tool wrote it."""
    path = project.folder / "pylock.toml"
    text = edit(path, 'lock-version = "1.0"', f"lock-version = {version}", sealed=sealed)
    before = (project.folder / "pyproject.toml").read_bytes()
    name, *arguments = command.split()
    ran = project.command(name, *arguments)
    assert ran.code == 1, ran.err
    assert "newer format (lock-version" in ran.err
    assert "hint: upgrade minglibc" in ran.err
    assert text == path.read_text(encoding="utf-8")
    assert before == (project.folder / "pyproject.toml").read_bytes()


def test_newer_format_of_another_tool(project: LockedProject) -> None:
    """A lock of another tool in a newer format is not overwritten either."""
    path = project.folder / "pylock.toml"
    path.write_text('lock-version = "2.0"\ncreated-by = "other"\npackages = []\n', encoding="utf-8")
    assert "newer format" in project.command("lock").err
    assert "other" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [1, 10_000_000])
@pytest.mark.parametrize("cached", [True, False])
def test_size_is_checked(
    cached: bool,  # noqa: FBT001  parametrized
    size: int,
    project: LockedProject,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The size of a locked wheel is checked whether or not the wheel is in the cache."""
    monkeypatch.setenv("MINGLIBC_CACHE_DIR", str(tmp_path / "cache"))
    if cached:
        assert project.sync().code == 0
        shutil.rmtree(project.venv)
    path = project.folder / "pylock.toml"
    packages = tomllib.loads(path.read_text(encoding="utf-8"))["packages"]
    (actual,) = (package["wheels"][0]["size"] for package in packages if package["name"] == "b")
    edit(path, f"size = {actual}", f"size = {size}", sealed=True)
    ran = project.sync()
    assert ran.code == 1, ran.err
    assert "the lock has" in ran.err
    assert list(project.site.iterdir()) == []


@pytest.mark.parametrize("command", ["lock --upgrade", "add b", "remove a"])
@pytest.mark.parametrize("way", ["absolute", "relative", "chain"])
def test_link_out_of_the_project(way: str, command: str, project: LockedProject, tmp_path: Path) -> None:
    """A pylock.toml that is a link leading out of the project is not written; nor is pyproject.toml."""
    path, target = project.folder / "pylock.toml", tmp_path / "elsewhere.toml"
    path.rename(target)
    if way == "chain":
        (project.folder / "between").symlink_to(target)
    path.symlink_to({"absolute": str(target), "relative": "../elsewhere.toml", "chain": "between"}[way])
    before = target.read_bytes(), (project.folder / "pyproject.toml").read_bytes()
    name, *arguments = command.split()
    ran = project.command(name, *arguments)
    assert ran.code == 1, ran.err
    assert "outside of the project" in ran.err
    assert before == (target.read_bytes(), (project.folder / "pyproject.toml").read_bytes())
    assert path.is_symlink()
    assert project.sync().code == 0


def test_links_that_are_followed(project: LockedProject, tmp_path: Path) -> None:
    """A link inside the project, a project that is a link, and a lock that the user names may be links."""
    path = project.folder / "pylock.toml"
    (project.folder / "locks").mkdir()
    path.rename(project.folder / "locks" / "pylock.toml")
    path.symlink_to("locks/pylock.toml")
    assert project.command("lock", "--upgrade").code == 0
    assert path.is_symlink()
    link = tmp_path / "link"
    link.symlink_to(project.folder)
    assert LockedProject(link, project.index).command("lock", "--upgrade").code == 0
    requirements = project.folder / "requirements.in"
    requirements.write_text("a\n", encoding="utf-8")
    options = ["-r", str(requirements), "--index-url", project.index.url, "--glibc", "2.17"]
    named = project.folder / "pylock.named.toml"
    assert project.command("lock", *options, "-o", str(named)).code == 0
    named.rename(tmp_path / "named.toml")
    named.symlink_to(tmp_path / "named.toml")
    assert project.command("lock", *options, "--upgrade", "-o", str(named)).code == 0
    assert named.is_symlink()
    assert project.sync("--lock", str(named)).code == 0
