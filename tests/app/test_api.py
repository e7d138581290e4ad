"""The public Python API: its names, its documentation, and that it neither prints nor reads MINGLIBC_ options."""

import re
from pathlib import Path

import pytest

from minglibc import app
from minglibc.app import (
    CommonOptions,
    EditOptions,
    ExplainOptions,
    LockOptions,
    Overrides,
    SilentReporter,
    add_requirements,
    check_freshness,
    compare_caps,
    explain_selection,
    find_outdated,
    lock_project,
    remove_requirements,
)
from minglibc.errors import LockError
from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project that requires a, whose newest release needs glibc 2.28."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0", manylinux(28)))
    index.add(build_wheel("b", "1.0"))
    return Project(tmp_path, index).write("a")


@pytest.mark.parametrize("name", app.__all__)
def test_public_names(name: str) -> None:
    """Every public name is defined, documented in the API, and listed on the page of the API."""
    assert getattr(app, name).__doc__
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


def test_unknown_name() -> None:
    """Another name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="has no attribute"):
        app.nothing  # noqa: B018  reading it raises


def test_lock(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A lock is made, is up to date, becomes stale, and is updated by an edit; nothing is printed."""
    options = LockOptions(project.options)
    with pytest.raises(LockError, match=r"there is no pylock\.toml"):
        check_freshness(options)
    result = lock_project(options)
    assert [("a", None, "1.0")] == [tuple(change) for change in result.changes]
    assert (project.folder / "pylock.toml").read_text(encoding="utf-8") == result.text
    assert ["2.0"] == [release.newest for release in result.held_back]
    assert lock_project(options).up_to_date
    assert () == check_freshness(options).reasons
    assert 2 == add_requirements(EditOptions(["b"], project.options)).packages
    assert '"b>=1.0"' in (project.folder / "pyproject.toml").read_text(encoding="utf-8")
    assert () == check_freshness(options).reasons
    assert 1 == remove_requirements(EditOptions(["b"], project.options)).packages
    project.write("a", "b")
    assert ["b is required and not locked"] == list(check_freshness(options).reasons)
    assert ("", "") == capsys.readouterr()


def test_overrides(project: Project) -> None:
    """Overrides replace settings, and a dry run writes nothing."""
    result = lock_project(LockOptions(project.options, overrides=Overrides(glibc="2.28"), dry_run=True))
    assert [("a", None, "2.0")] == [tuple(change) for change in result.changes]
    assert not (project.folder / "pylock.toml").exists()


def test_explanations(project: Project) -> None:
    """The lock is explained by values."""
    lock_project(LockOptions(project.options))
    options = ExplainOptions(project.options)
    (explanation,) = explain_selection("a", options)
    assert ["2.0"] == [release.version for release in explanation.newer]
    assert [("a", "1.0", "2.0")] == [(row.name, row.locked, row.newest) for row in find_outdated(options)]
    assert {"a": "2.0"} == compare_caps(options).newest


def test_variables_are_options_of_the_command_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """MINGLIBC_ variables that stand for options have no effect on the API."""
    monkeypatch.setenv("MINGLIBC_INDEX_URL", "http://127.0.0.1:1/simple/")
    monkeypatch.setenv("MINGLIBC_GLIBC", "2.28")
    monkeypatch.setenv("MINGLIBC_OFFLINE", "1")
    assert 1 == lock_project(LockOptions(project.options)).packages


def test_progress(project: Project) -> None:
    """A reporter receives the targets and the pages of a resolution."""

    class Progress(SilentReporter):
        calls: list[str] = []  # noqa: RUF012  one per test

        def resolving(self, target: object) -> None:
            self.calls.append(f"resolving {target}")

        def fetching(self, what: str) -> None:
            self.calls.append(f"fetching {what}")

    progress = Progress()
    lock_project(LockOptions(project.options), progress)
    assert ["resolving CPython 3.9 on x86_64 with glibc 2.17"] == [c for c in progress.calls if "resolving" in c]
    assert any(re.fullmatch("fetching .*a.*", call) for call in progress.calls)


def test_the_example_on_the_page(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of the documentation locks the project and prints the change."""
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    project.write("a", **{"index-url": project.index.url})
    monkeypatch.chdir(project.folder)
    exec(compile(example, str(PAGE), "exec"), {"__name__": "__main__"})
    assert "a None 1.0\n" == capsys.readouterr().out


def test_common_options_find_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder the project is that of the current folder or its nearest parent."""
    below = project.folder / "src" / "package"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert str(project.folder) == CommonOptions().project_folder
