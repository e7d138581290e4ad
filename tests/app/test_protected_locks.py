"""Locks that `lock` must not overwrite, and sizes of locked files."""

import shutil
import tomllib
from itertools import product
from pathlib import Path

import pytest

from minglibc.lock.digest import lock_digests, seal
from tests.support.commands import minglibc
from tests.support.environments import LockedProject, locked_pair, snapshot
from tests.support.index import IndexServer

NEWER_VERSIONS = ('"2.0"', '"99.0"', '"2"', "2", "2.0", '"10.1"', '" 2.0"', '"v3"')


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


@pytest.mark.parametrize("command", ["lock", "lock --upgrade", "lock --check", "add b", "remove a", "sync", "export"])
def test_newer_format(command: str, project: LockedProject) -> None:
    """A lock of a newer format is refused by every command, and never overwritten, no matter which tool wrote it."""
    path = project.folder / "pylock.toml"
    original = path.read_bytes()
    before = (project.folder / "pyproject.toml").read_bytes()
    name, *arguments = command.split()
    for version, sealed in product(NEWER_VERSIONS, (False, True)):
        path.write_bytes(original)
        text = edit(path, 'lock-version = "1.0"', f"lock-version = {version}", sealed=sealed)
        ran = project.command(name, *arguments)
        assert ran.code == 1, (version, ran.err)
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


@pytest.mark.parametrize("command", ["add b", "remove a", "init --glibc 2.17"])
@pytest.mark.parametrize("way", ["absolute", "relative", "chain", "missing"])
def test_pyproject_that_is_a_link_out_of_the_project(
    way: str, command: str, project: LockedProject, tmp_path: Path
) -> None:
    """A pyproject.toml that is a link leading out of the project is read, but never changed."""
    path, target = project.folder / "pyproject.toml", tmp_path / "elsewhere.toml"
    path.rename(target)
    if command.startswith("init"):
        target.write_text('[project]\nname = "x"\nversion = "1"\n', encoding="utf-8")
    if way == "chain":
        (project.folder / "between").symlink_to(target)
    path.symlink_to(
        {"absolute": str(target), "relative": "../elsewhere.toml", "chain": "between", "missing": str(target)}[way]
    )
    if way == "missing":
        target.unlink()
    before = snapshot(tmp_path)
    name, *arguments = command.split()
    ran = project.command(name, *arguments)
    assert ran.code == 2, ran.err
    assert "which is missing" in ran.err if way == "missing" else "outside of the project" in ran.err
    assert "hint: " in ran.err or way == "missing"
    assert before == snapshot(tmp_path)
    if way != "missing" and name != "init":
        assert project.sync().code == 0


def test_pyproject_that_is_a_link_inside_the_project(project: LockedProject) -> None:
    """The target of a link inside the project is changed, and the link is kept."""
    path = project.folder / "pyproject.toml"
    path.rename(project.folder / "real.toml")
    path.symlink_to("real.toml")
    assert project.command("add", "b").code == 0
    assert path.is_symlink()
    assert '"b' in (project.folder / "real.toml").read_text(encoding="utf-8")


@pytest.fixture
def linked(project: LockedProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``outside``, to which ``sub`` in the project is a link; the project is the current folder."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "requirements.in").write_text("a\n", encoding="utf-8")
    (outside / "script.py").write_text(
        f'# /// script\n# dependencies = ["a"]\n# requires-python = ">=3.11"\n# [tool.minglibc]\n# glibc = "2.17"\n'
        f'# index-url = "{project.index.url}"\n# ///\n',
        encoding="utf-8",
    )
    (project.folder / "sub").symlink_to(outside)
    monkeypatch.chdir(project.folder)
    return outside


def test_folder_that_is_a_link_out_of_the_project(linked: Path, project: LockedProject) -> None:
    """A lock beside its source is not written into a folder that a link leads to, unless -o names the path."""
    options = ["--index-url", project.index.url, "--glibc", "2.17", "--python", "3.11"]
    for arguments in (["-r", "sub/requirements.in", *options], ["--script", "sub/script.py"]):
        ran = minglibc("lock", *arguments)
        assert ran.code == 1, ran.err
        assert f"sub leads to {linked}, outside of {project.folder}" in ran.err
    assert ["requirements.in", "script.py"] == sorted(path.name for path in linked.iterdir())
    ran = minglibc("lock", "-r", "sub/requirements.in", *options, "-o", "sub/pylock.toml")
    assert ran.code == 0, ran.err
    assert (linked / "pylock.toml").is_file()


def test_requirements_files_behind_links(linked: Path, project: LockedProject) -> None:
    """A lock records no requirements file that a link leads to, and a forged lock does not make minglibc read one."""
    options = ["--index-url", project.index.url, "--glibc", "2.17", "--python", "3.11", "-o", "pylock.r.toml"]
    (project.folder / "direct.in").symlink_to(linked / "requirements.in")
    (project.folder / "own.in").write_text("a\n", encoding="utf-8")
    path = project.folder / "pylock.r.toml"
    for name in ("sub/requirements.in", "direct.in"):
        path.unlink(missing_ok=True)
        assert minglibc("lock", "-r", name, *options).code == 0
        assert "external = true" in path.read_text(encoding="utf-8")
        assert "requirements = " not in path.read_text(encoding="utf-8")
    path.unlink()
    assert minglibc("lock", "-r", "own.in", *options).code == 0
    (linked / "requirements.in").write_text("machine x password s3cret\n", encoding="utf-8")
    edit(path, '"own.in"', '"direct.in"', sealed=True)
    for command in ("sync", "export", "outdated"):
        ran = minglibc(command, "--lock", str(path))
        assert ran.code == 2, ran.err
        assert "direct.in, which leads outside its folder" in ran.err
        assert "s3cret" not in ran.err + ran.out
