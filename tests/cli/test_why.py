"""`minglibc why NAME`: the requirement chains of a package, and what blocks newer releases."""

from pathlib import Path

import pytest

from tests.support.explained import Project, manylinux
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Project:
    """A requires b and b[fast], b requires c, and each newer release of c is blocked for another reason."""
    index.add(build_wheel("a", "1.0", requires=["b>=1", "b[fast]"]))
    index.add(build_wheel("b", "1.5", requires=["c<9", "d; extra == 'fast'"], provides_extra=["fast"]))
    index.add(build_wheel("d", "1.0", requires=["c>=1"]))
    index.add(build_wheel("c", "1.0", manylinux(17)))
    index.add(build_wheel("c", "2.0", manylinux(28)))
    index.add(build_wheel("c", "3.0", requires_python=">=3.10"))
    index.add(build_wheel("c", "4.0"), yanked="a mistake")
    index.add(build_wheel("c", "5.0b1"))
    index.add(build_wheel("c", "9.0"))
    return Project(tmp_path, index)


def test_output(project: Project) -> None:
    """The output has the release, its targets and wheel, a chain for each requirement, and the newer releases."""
    expected = """\
c 1.0 for CPython 3.9 on x86_64 with glibc 2.17
  c-1.0-cp39-abi3-manylinux_2_17_x86_64.whl, needs glibc 2.17, uploaded 2026-01-01
  the project → a (1.0) → b>=1 (1.5) → c<9
  the project → a (1.0) → b[fast] (1.5) → d (1.0) → c>=1
  newer releases:
    9.0    b 1.5 requires c<9
    5.0b1  is a pre-release
    4.0    is yanked: a mistake
    3.0    needs Python >=3.10
    2.0    needs glibc 2.28
"""
    assert expected == project.write("a").lock().run("why", "c").out


def test_newest(project: Project) -> None:
    """The output says if the release is the newest."""
    assert "  the project → a\n  this is the newest release\n" in project.write("a").lock().run("why", "A").out


def test_targets_with_the_same_explanation(project: Project) -> None:
    """Targets with the same explanation share one."""
    project.write("a", python=["3.8", "3.9", "3.11"])
    project.index.add(build_wheel("c", "1.0", "cp38-cp38-manylinux_2_17_x86_64"))
    project.lock()
    packages = project.json("why", "c")
    assert [["3.8"], ["3.9"], ["3.11"]] == [[t["python"] for t in package["targets"]] for package in packages]
    assert [["3.8", "3.9", "3.11"]] == [
        [t["python"] for t in package["targets"]] for package in project.json("why", "b")
    ]


def test_json(project: Project) -> None:
    """The JSON has the chains, and the newer releases with the reason and the cap that allows them."""
    (package,) = project.write("a").lock().json("why", "c")
    assert ("c", "1.0", "2.17") == (package["name"], package["version"], package["needs"])
    links = [
        {"by": "the project", "requirement": "a"},
        {"by": "a 1.0", "requirement": "b>=1"},
        {"by": "b 1.5", "requirement": "c<9"},
    ]
    assert links == package["required-by"][0]
    reasons = ["requirement", "pre-release", "yanked", "requires-python", "glibc"]
    assert reasons == [release["reason"] for release in package["above"]]
    assert [None, None, None, None, "2.28"] == [release["needs"] for release in package["above"]]


def test_unlocked_name(project: Project) -> None:
    """A name that is not in the lock is an error that suggests a similar name."""
    ran = project.write("a").lock().run("why", "cc")
    assert (2, "", True) == (ran.code, ran.out, "cc is not in pylock.toml" in ran.err)
    assert "hint: nothing in pyproject.toml requires it" in project.run("why", "zzz").err
    project.index.add(build_wheel("requests", "1.0"))
    assert "did you mean requests?" in project.write("requests").lock("--refresh").run("why", "reqests").err


def test_cycle(project: Project) -> None:
    """Packages that require each other have finite chains from the project."""
    project.index.add(build_wheel("x", "1.0", requires=["y"]))
    project.index.add(build_wheel("y", "1.0", requires=["x"]))
    out = project.write("x").lock().run("why", "x").out
    assert "  the project → x\n" in out
    assert "  the project → x (1.0) → y (1.0) → x\n" in out
