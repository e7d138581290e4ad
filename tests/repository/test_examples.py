"""The examples' locks are real, whole, fresh and within their caps."""

import shutil
from pathlib import Path

import pytest

from minglibc.config import parser
from tests.support.commands import minglibc, read_lock

EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/pyproject.toml"))
NAMES = [path.name for path in EXAMPLES]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)


def test_the_examples_are_these() -> None:
    """There is an example for each way that the how-to guides describe."""
    assert ["air-gapped", "ci-for-old-controllers", "numpy", "paramiko", "pre-commit", "shared-environment"] == NAMES


@each_example
def test_a_lock_is_whole_and_within_its_cap(example: Path) -> None:
    """The lock is as minglibc wrote it, and no wheel of any target needs more than the target's cap."""
    assert read_lock(example).pylock.packages


@each_example
def test_a_lock_is_fresh(example: Path) -> None:
    """`lock --check` finds nothing that pyproject.toml asks for and the lock does not meet."""
    assert 0 == minglibc("lock", "--check", "--project", str(example)).code


@each_example
def test_a_lock_serves_each_target_of_its_project(example: Path) -> None:
    """The lock's targets are the project's, and each has the project's own requirements."""
    project = parser.parse((example / "pyproject.toml").read_text(encoding="utf-8"))
    lock = read_lock(example)
    assert project.targets == tuple(sorted(lock.targets))
    for target in lock.targets:
        assert {requirement.name for requirement in project.requirements} <= set(lock.versions(target))


@each_example
def test_an_example_says_what_it_is(example: Path) -> None:
    """Each has a README that names it and leads to its document."""
    text = (example / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {example.name}\n")
    assert "](../../docs/" in text


@pytest.mark.online
@each_example
def test_an_example_still_resolves(example: Path, tmp_path: Path) -> None:
    """The public index has an answer for it today, and looking for one changes nothing."""
    project = shutil.copytree(example, tmp_path / example.name)
    before = (project / "pylock.toml").read_bytes()
    ran = minglibc("lock", "--upgrade", "--dry-run", "--project", str(project))
    assert 0 == ran.code, ran.err
    assert before == (project / "pylock.toml").read_bytes()
