"""The message of a lock that can't be made: who asks, what each release would need, and what was tried and works."""

import time
from pathlib import Path

import pytest

from minglibc.app.suggestions import suggestions
from minglibc.resolve.conflict import ranges_of
from minglibc.resolve.explain import explain
from minglibc.resolve.multi_target import resolve_all
from minglibc.resolve.resolution import Unresolvable
from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A requires a release of b that needs glibc 2.28."""
    index.add(build_wheel("a", "1.0", requires=["b>=2"]))
    index.add(build_wheel("b", "1.0", manylinux(17)))
    index.add(build_wheel("b", "2.0", manylinux(28)))
    return Project(tmp_path, index).write("a")


def test_the_whole_message(project: Project) -> None:
    """It says who requires what, what each release needs, the cap, and the lowest cap that does, tried."""
    ran = project.run("lock")
    assert (1, "") == (ran.code, ran.out)
    expected = """\
error: no set of wheels meets the requirements on CPython 3.9 on x86_64 with glibc 2.17:
  a 1.0 requires b>=2
  b 2.0 needs glibc 2.28; the cap is 2.17
"""
    assert expected in ran.err
    assert 'glibc = "2.28"' in ran.err
    assert "(verified)" in ran.err


def test_offers_are_the_hint(project: Project) -> None:
    """Changes that were tried stand in the hint, each in the words to write."""
    with project.session() as session:
        with pytest.raises(Unresolvable) as failure:
            resolve_all(session.roots, session.compatibilities, session.wheel_index, policy=session.policy)
        offers = suggestions(session, failure.value, time.thread_time() + 2).texts
        error = explain(failure.value, offers=offers)
    assert 'this would work (verified): tool.minglibc.glibc = "2.28" (locks b 2.0)' == error.hint


def test_a_constraint_is_named(project: Project) -> None:
    """A constraint that excludes releases is shown beside the requirements."""
    ran = project.write("b", constraints=["b<1"]).run("lock")
    assert "  the project requires b\n  the constraints have b<1\n  no release of b meets all of these;" in ran.err


def test_requirements_of_different_releases_are_alternatives(tmp_path: Path, index: IndexServer) -> None:
    """What two releases of one parent require is not said to conflict with each other."""
    index.add(build_wheel("app", "1.0", requires=["b<2", "c"]))
    index.add(build_wheel("app", "2.0", requires=["b>=2", "c"]))
    index.add(build_wheel("b", "1.0", manylinux(28)))
    index.add(build_wheel("b", "2.0", manylinux(31)))
    index.add(build_wheel("c", "1.0"))
    ran = Project(tmp_path, index).write("app").run("lock")
    expected = """\
  app 1.0 requires b<2
  b 1.0 needs glibc 2.28; the cap is 2.17
  app 2.0 requires b>=2
  b 2.0 needs glibc 2.31; the cap is 2.17
"""
    message = ran.err
    assert set(expected.splitlines()) <= set(message.splitlines())
    assert "meets all of these" not in message


def test_releases_with_similar_requirements_are_summarized(tmp_path: Path, index: IndexServer) -> None:
    """Releases in a row are a range, and of many different requirements of one parent the newest are named."""
    for number in range(10):
        index.add(build_wheel("app", f"1.{number}", requires=[f"core=={number}.0"]))
        index.add(build_wheel("core", f"{number}.0", requires=["b<2" if number < 6 else "b<3"]))
        index.add(build_wheel("b", f"{number}.0"))
    assert Project(tmp_path, index).write("app>=1.1", "b>=3").run("lock").err.splitlines()[1:9] == [
        "  the project requires app>=1.1",
        "  app 1.9 requires core==9.0",
        "  app 1.8 requires core==8.0",
        "  7 other releases of app have similar requirements on core",
        "  the project requires b>=3",
        "  core 6.0 to 9.0 require b<3",
        "  core 1.0 to 5.0 require b<2",
        "  no release of b meets b>=3 and any of the others; it has 0.0 to 9.0",
    ]


def test_ranges() -> None:
    """Consecutive releases are a range from three on; skipped releases do not interrupt it."""
    texts = ["1", "2", "3rc1", "3", "4", "5", "6", "7", "8", "9"]
    assert "9, 6, 5, 1 to 3" == ranges_of(texts, [0, 1, 3, 5, 6, 9], 1 << 2)
    assert "3, 2, 1" == ranges_of(texts, [0, 1, 3])[:7]
    assert "9, 7, 5, 3 and 2 more" == ranges_of(texts, [9, 7, 5, 3, 1, 0])
