"""`lock` tells what the cap holds back, and nothing that something else holds back."""

from pathlib import Path

import pytest

from tests.support.commands import minglibc
from tests.support.index import IndexServer
from tests.support.wheels import build_wheel

OLD, NEW, NEWEST = (f"cp39-abi3-manylinux_2_{minor}_x86_64" for minor in (17, 28, 34))


def _held_back(folder: Path, index: IndexServer, *requirements: str, python: str = '["3.11"]') -> list[str]:
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = [{listed}]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = {python}\n'
    )
    ran = minglibc("lock", "--project", str(folder), "--index-url", index.url)
    assert 0 == ran.code, ran.err
    prefix = "held back by the cap: "
    return [line.removeprefix(prefix) for line in ran.err.splitlines() if line.startswith(prefix)]


@pytest.fixture(autouse=True)
def _releases(index: IndexServer) -> None:
    """Project a: 1.0 within the cap, 2.0 and 3.0 above it."""
    for version, tag in (("1.0", OLD), ("2.0", NEW), ("3.0", NEWEST)):
        index.add(build_wheel("a", version, tag))


def test_newest_and_what_it_needs(tmp_path: Path, index: IndexServer) -> None:
    """The newest release that every requirement admits is named, with the cap that it needs."""
    assert ["a 3.0 → 1.0: newer releases need glibc 2.34"] == _held_back(tmp_path, index, "a")
    assert ["a 2.0 → 1.0: newer releases need glibc 2.28"] == _held_back(tmp_path, index, "a<3")


def test_a_requirement_is_not_the_cap(tmp_path: Path, index: IndexServer) -> None:
    """What a requirement keeps out is not put down to the cap."""
    assert [] == _held_back(tmp_path, index, "a<2")


def test_a_prerelease_is_not_missed(tmp_path: Path, index: IndexServer) -> None:
    """A newer pre-release above the cap is nothing that anybody misses."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0rc1", NEW))
    assert [] == _held_back(tmp_path, index, "b")


def test_another_target_is_not_the_cap(tmp_path: Path, index: IndexServer) -> None:
    """A release that the cap admits and an older Python's answer keeps out is not put down to the cap."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0", OLD, requires_python=">=3.11"))
    index.add(build_wheel("b", "3.0", NEW, requires_python=">=3.11"))
    assert [] == _held_back(tmp_path, index, "b", python='["3.9", "3.11"]')


def test_what_a_held_back_release_pins(tmp_path: Path, index: IndexServer) -> None:
    """A package that is old only because a held-back release pins it is told too."""
    for version, tag in (("1.0", OLD), ("2.0", NEW)):
        index.add(build_wheel("b", version, tag, requires=[f"c=={version}"]))
        index.add(build_wheel("c", version, tag))
    expected = [f"{name} 2.0 → 1.0: newer releases need glibc 2.28" for name in ("b", "c")]
    assert expected == _held_back(tmp_path, index, "b")
