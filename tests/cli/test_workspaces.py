"""Workspaces of uv: members share the lock of the root, as path dependencies."""

from pathlib import Path

import pytest

from minglibc.config import workspace
from tests.support.commands import locked_versions, minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

ROOT = '[project]\nname = "root"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = ["cli", "lib"]\n'
WORKSPACE = '[tool.uv.sources]\ncli = { workspace = true }\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'


def member(folder: Path, name: str, *dependencies: str, more: str = "") -> Path:
    """A member of the workspace at *folder*."""
    path = folder / "packages" / name
    path.mkdir(parents=True)
    listed = ", ".join(f'"{text}"' for text in dependencies)
    text = f'[project]\nname = "{name}"\nversion = "1"\ndependencies = [{listed}]\n{more}'
    (path / "pyproject.toml").write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path, index: IndexServer) -> Path:
    """A workspace with the members cli and core, and public projects of the same names."""
    for name in ("cli", "core", "lib", "extra-lib", "vendored"):
        index.add(build_wheel(name, "99.0"))
    settings = f'[tool.minglibc]\nglibc = "2.28"\nindex-url = "{index.url}"\n'
    (tmp_path / "pyproject.toml").write_text(ROOT + WORKSPACE + settings, encoding="utf-8")
    member(tmp_path, "cli", "core", more="[tool.uv.sources]\ncore = { workspace = true }\n")
    member(tmp_path, "core", "lib")
    return tmp_path


def test_members_are_path_dependencies(root: Path) -> None:
    """No public project replaces them; a new member and a changed one make the lock stale."""
    ran = minglibc("lock", "--project", str(root))
    assert ran.code == 0, ran.err
    text = (root / "pylock.toml").read_text(encoding="utf-8")
    assert 'path = "packages/cli"\neditable = true' in text
    assert [name for name, version in locked_versions(root).items() if version == "99.0"] == ["lib"]
    assert minglibc("lock", "--check", "--project", str(root)).code == 0
    member(root, "new")
    ran = minglibc("lock", "--check", "--project", str(root))
    assert (ran.code, "packages/new/pyproject.toml has changed" in ran.err) == (1, True)
    assert minglibc("lock", "--project", str(root)).code == 0
    assert "packages/new" in (root / "pylock.toml").read_text(encoding="utf-8")


def test_commands_in_a_member(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They use the lock of the root, and `add` edits the member."""
    folder = root / "packages" / "core"
    monkeypatch.chdir(folder)
    assert minglibc("lock").code == 0
    assert not (folder / "pylock.toml").exists()
    assert minglibc("add", "--no-sync", "extra-lib").code == 0
    assert '"extra-lib>=99.0"' in (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert locked_versions(root)["extra-lib"] == "99.0"
    assert minglibc("lock", "--check").code == 0
    before = (folder / "pyproject.toml").read_text(encoding="utf-8")
    ran = minglibc("add", "--no-sync", "missing")
    assert ran.code == 1
    assert (folder / "pyproject.toml").read_text(encoding="utf-8") == before
    assert minglibc("lock", "--check").code == 0
    assert minglibc("remove", "--no-sync", "extra-lib").code == 0
    ran = minglibc("add", "--group", "dev", "lib")
    assert ran.code == 2
    assert "member of the workspace" in ran.err


def test_virtual_root(root: Path) -> None:
    """A root without [project] locks its members for the Pythons that all of them support."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8").replace(ROOT, "")
    path.write_text(text.replace("cli = { workspace = true }\n", ""), encoding="utf-8")
    member(root, "new", more='requires-python = "==3.12.*"\n')
    ran = minglibc("lock", "--project", str(root))
    assert ran.code == 0, ran.err
    assert 'python = "3.12"' in (root / "pylock.toml").read_text(encoding="utf-8")


def test_no_hint_drops_a_member(root: Path, index: IndexServer) -> None:
    """A hint is about a member's requirements, not about the member, which the project is made of."""
    index.add(build_wheel("late", "1.0", tag="cp311-cp311-manylinux_2_34_x86_64"))
    member(root, "app", "late<2")
    ran = minglibc("lock", "--project", str(root))
    assert ran.code == 1
    assert 'without "' not in ran.err
    assert 'tool.minglibc.glibc = "2.34"' in ran.err
    (root / "packages" / "app" / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["late>1"]\n', encoding="utf-8"
    )
    ran = minglibc("lock", "--project", str(root))
    assert (ran.code, 'without "' in ran.err) == (1, False)


def test_sources_of_a_member(root: Path) -> None:
    """Path sources are relative to the member, and others are errors that name its file."""
    (root / "vendored").mkdir()
    (root / "vendored" / "pyproject.toml").write_text('[project]\nname = "vendored"\nversion = "1"\n', encoding="utf-8")
    source = "[tool.uv.sources]\nvendored = "
    path = member(root, "more", "vendored", more=source + '{ path = "../../vendored" }\n') / "pyproject.toml"
    assert minglibc("lock", "--project", str(root)).code == 0
    assert 'path = "vendored"' in (root / "pylock.toml").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("{ path", "{ git")
    path.write_text(text, encoding="utf-8")
    ran = minglibc("lock", "--project", str(root))
    assert ran.code == 2
    assert "packages/more/pyproject.toml: tool.uv.sources.vendored is a Git repository" in ran.err


def test_root_of(root: Path) -> None:
    """Excluded folders, other folders, and members with settings of their own below a root without settings are separate."""
    core = root / "packages" / "core"
    assert workspace.root_of(str(core)) == str(root)
    other = root / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text("", encoding="utf-8")
    assert workspace.root_of(str(other)) == str(other)
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('["packages/*"]', '["packages/*"]\nexclude = ["packages/core"]'), encoding="utf-8")
    assert workspace.root_of(str(core)) == str(core)
    path.write_text(text.partition("[tool.minglibc]")[0], encoding="utf-8")
    assert workspace.root_of(str(core)) == str(root)
    with (core / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('[tool.minglibc]\nglibc = "2.28"\n')
    assert workspace.root_of(str(core)) == str(core)


@pytest.mark.parametrize("pattern", ["../elsewhere", "/abs", "packages/../.."])
def test_patterns_outside_of_the_workspace(root: Path, pattern: str) -> None:
    """They are errors."""
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8").replace('"packages/*"', f'"packages/*", "{pattern}"')
    path.write_text(text, encoding="utf-8")
    ran = minglibc("lock", "--project", str(root))
    assert ran.code == 2
    assert "outside the workspace" in ran.err
