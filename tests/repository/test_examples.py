"""The examples' locks are valid, fresh and within their caps."""

import shutil
from pathlib import Path

import pytest

from minglibc.config import parser
from tests.support.commands import minglibc, read_lock

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/pyproject.toml"))
NAMES = [path.name for path in EXAMPLES]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)


def test_examples() -> None:
    """The examples of the how-to guides exist."""
    names = ["air-gapped", "built-wheel", "ci-for-old-controllers", "fleet", "numpy", "paramiko", "pre-commit"]
    assert [*names, "shared-environment", "with-uv"] == NAMES


@each_example
def test_lock_is_valid(example: Path) -> None:
    """The lock was not edited, and no wheel exceeds the cap of a target."""
    assert read_lock(example).pylock.packages


@each_example
def test_lock_is_fresh(example: Path) -> None:
    """`lock --check` passes."""
    assert 0 == minglibc("lock", "--check", "--project", str(example)).code


@each_example
def test_lock_has_all_targets(example: Path) -> None:
    """The lock's targets are the project's, and each has all of its direct requirements."""
    project = parser.parse((example / "pyproject.toml").read_text(encoding="utf-8"))
    lock = read_lock(example)
    assert project.targets == tuple(sorted(lock.targets))
    for target in lock.targets:
        assert {requirement.name for requirement in project.requirements} <= set(lock.versions(target))


@each_example
def test_readme(example: Path) -> None:
    """Each example has a README with its name and a link to its guide."""
    text = (example / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {example.name}\n")
    assert "](../../docs/" in text


@pytest.mark.online
@each_example
def test_example_still_resolves(example: Path, tmp_path: Path) -> None:
    """The example can be locked with the public index; a dry run changes no file."""
    project = shutil.copytree(example, tmp_path / example.name)
    before = (project / "pylock.toml").read_bytes()
    ran = minglibc("lock", "--upgrade", "--dry-run", "--project", str(project))
    assert 0 == ran.code, ran.err
    assert before == (project / "pylock.toml").read_bytes()
