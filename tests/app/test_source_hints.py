"""All packages that need a build are named in one run, with the setting that allows them."""

from pathlib import Path

import pytest

from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.sdists import build_source
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A project on an index where a and b have only source distributions, and b requires c."""
    index.add(build_source("a", "1.0"))
    index.add(build_source("b", "1.0", requires=["c"]))
    index.add(build_wheel("c", "1.0"))
    return Project(tmp_path, index)


def failure(project: Project, *requires: str) -> str:
    """The messages of a lock that fails."""
    ran = project.write(*requires).run("lock")
    assert ran.code == 1
    return ran.err


def test_all_are_named_at_once(project: Project) -> None:
    """Each with its parent and the reason, and one setting for all."""
    error = failure(project, "a", "b")
    assert "the project requires a; a 1.0 has no wheel" in error
    assert "the project requires b; b 1.0 has no wheel" in error
    assert 'tool.minglibc.allow-sdist = ["a", "b"] would work (verified' in error


def test_what_remains_is_named(project: Project) -> None:
    """An obstacle that sources do not remove follows the setting."""
    project.index.add(build_wheel("d", "1.0", manylinux(17), requires=["c<1"]))
    error = failure(project, "a", "b", "d")
    if "this remains" in error:
        assert "no release of c meets" in error.partition("this remains")[2]
    else:
        assert "no release of c meets" in error


def test_the_same_conflict_is_not_repeated(project: Project) -> None:
    """A conflict that sources do not touch is named once."""
    error = failure(project, "c>1", "a")
    assert error.count("no release of c meets this") == 1
    assert 'tool.minglibc.allow-sdist = ["a"] is needed as well' in error


def test_a_higher_cap_is_combined(project: Project) -> None:
    """A package without wheels, and another that needs a higher cap."""
    project.index.add(build_wheel("d", "1.0", manylinux(28)))
    error = failure(project, "a", "d")
    assert 'tool.minglibc.glibc = "2.28"' in error
    assert 'tool.minglibc.allow-sdist = ["a"]' in error


def test_a_higher_cap_comes_before_builds(project: Project) -> None:
    """Of a package with wheels for a higher cap, the cap is suggested, before what it takes to build it."""
    project.index.add(build_wheel("d", "1.0", manylinux(28)))
    project.index.add(build_source("d", "1.0"))
    hints = [line for line in failure(project, "a", "d").splitlines() if line.startswith("hint: ")]
    assert 'hint: tool.minglibc.glibc = "2.28" with tool.minglibc.allow-sdist = ["a"] would work' in hints[0]
    assert 'hint: tool.minglibc.allow-sdist = ["a", "d"] would work' in hints[1]


def test_sources_that_the_rules_exclude(project: Project) -> None:
    """A source distribution for another Python is not suggested."""
    project.index.add(build_source("e", "1.0", requires_python=">=3.99"))
    assert "allow-sdist" not in failure(project, "e")


def test_the_package_without_alternative_is_blamed(project: Project) -> None:
    """Old releases, in which another requirement fails, are not blamed for the newest one's requirement without a wheel."""
    for number in range(1, 6):
        requires = ["gone-since>=2"] if number < 5 else ["a"]
        project.index.add(build_wheel("app", f"{number}.0", requires=requires))
    project.index.add(build_wheel("gone-since", "1.0"))
    project.index.add(build_source("other", "1.0"))
    error = failure(project, "app", "other")
    assert "app 5.0 requires a; a 1.0 has no wheel" in error
    assert "the project requires other; other 1.0 has no wheel" in error
    assert "gone-since" not in error.partition("hint")[0]


def test_parents_that_require_different_releases(project: Project) -> None:
    """Each release of a parent requires another release without a wheel, while an unrelated release has one."""
    for number in (1, 2):
        project.index.add(build_source("e", f"{number}.0"))
        project.index.add(build_wheel("app", f"{number}.0", requires=[f"e=={number}.0"]))
    project.index.add(build_wheel("e", "3.0"))
    error = failure(project, "app")
    assert 'tool.minglibc.allow-sdist = ["e"] would work (verified' in error
