"""fork-strategy, and the message about releases that are older because of another target."""

from pathlib import Path

import pytest

from minglibc.config.parser import parse
from minglibc.errors import SettingsError
from tests.support.commands import minglibc, read_lock
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

HEAD = '[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["a"]\n[tool.minglibc]\nglibc = "2.28"\n'


@pytest.fixture
def folder(tmp_path: Path, index: IndexServer) -> Path:
    """A project for two Pythons and two architectures; the newest release of a needs the newer Python."""
    index.add(build_wheel("a", "1.0"))
    index.add(build_wheel("a", "2.0", requires_python=">=3.11"))
    table = f'{HEAD}python = ["3.9", "3.11"]\narchitectures = ["x86_64", "aarch64"]\nindex-url = "{index.url}"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    return tmp_path


def lock(folder: Path, *options: str) -> tuple[set[str], str]:
    """The locked versions of a, and the messages."""
    ran = minglibc("lock", "--project", str(folder), *options)
    assert ran.code == 0, ran.err
    return {str(package.version) for package in read_lock(folder).pylock.packages}, ran.err


def test_strategies(folder: Path) -> None:
    """By default the targets share a version, and `lock` and `outdated` say so."""
    versions, output = lock(folder)
    assert versions == {"1.0"}
    assert "the same for all targets: a 2.0 → 1.0 on CPython 3.11: 3.9 has no newer release" in output
    assert 'fork-strategy = "requires-python"' in output
    assert "needs Python >=3.11; CPython 3.11 is kept the same" in minglibc("outdated", "--project", str(folder)).out
    path = folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'fork-strategy = "requires-python"\n', encoding="utf-8")
    versions, output = lock(folder, "--upgrade")
    assert versions == {"1.0", "2.0"}
    assert "the same for all targets" not in output


def test_packages_with_the_same_reason_share_a_line(folder: Path, index: IndexServer) -> None:
    """Packages that are older for one target because of the same other one are listed together."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0", requires_python=">=3.11"))
    path = folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('["a"]', '["a", "b"]'), encoding="utf-8")
    assert "all targets: a 2.0 → 1.0, b 2.0 → 1.0 on CPython 3.11: 3.9 has no newer release\n" in lock(folder)[1]


def test_locked_versions_are_not_reported(folder: Path, index: IndexServer) -> None:
    """A version that an earlier lock has is kept for that reason."""
    lock(folder)
    index.add(build_wheel("b", "1.0"))
    path = folder / "pyproject.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('["a"]', '["a", "b"]'), encoding="utf-8")
    assert "the same for all targets" not in lock(folder)[1]


def test_invalid_strategy() -> None:
    """The message lists the values."""
    with pytest.raises(SettingsError, match='expected one of "fewest", "requires-python"'):
        parse(f'{HEAD}fork-strategy = "newest"\n')


def test_missing_extras_and_requires_python() -> None:
    """A missing extra of the project itself is a warning; without requires-python, classifiers name the Pythons."""
    text = HEAD.replace('requires-python = ">=3.9"\n', 'classifiers = ["Programming Language :: Python :: 3.11"]\n')
    extras = '[project.optional-dependencies]\nall = ["demo[gone]", "b"]\n'
    settings = parse(text + extras)
    assert [target.python.minor for target in settings.targets] == [11]
    assert [requirement.name for requirement in settings.extras["all"]] == ["b"]
    assert "refers to 'gone', which is not an extra of the project" in settings.warnings[0]
