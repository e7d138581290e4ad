"""A misspelt name is compared with the names in the cache."""

from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A project whose lock has put numerics in the cache; the index also has numerix."""
    for name in ("numerics", "numerix"):
        index.add(build_wheel(name, "1.0"))
    folder = write_project(tmp_path / "project", index, ["numerics"])
    lock(folder)
    return folder


def test_similar_name(project: Path, index: IndexServer) -> None:
    """Only a name that was used before is suggested, and the index is asked for no other names."""
    index.reset()
    write_project(project, index, ["numerixs"])
    ran = minglibc("lock", "--project", str(project))
    assert 1 == ran.code
    assert "numerixs is on no index (did you mean numerics?); the project requires numerixs" in ran.err
    assert "loosen" not in ran.err
    assert all("/numerixs/" in path for path in index.paths())


def test_no_similar_name(project: Path, index: IndexServer) -> None:
    """Without a similar name, or with another cache, the message suggests none."""
    write_project(project, index, ["other"])
    assert "other is on no index; the project requires other" in minglibc("lock", "--project", str(project)).err
    write_project(project, index, ["numerixs"])
    ran = minglibc("lock", "--project", str(project), "--cache-dir", str(project / "cache"))
    assert "numerixs is on no index; the project requires numerixs" in ran.err
    assert "loosen" not in ran.err
