"""`lock` reports what the cap holds back, and nothing that is blocked for another reason."""

import json
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
    """The newest release that meets every requirement is reported, with the cap that it needs."""
    assert ["a 1.0 (3.0 needs glibc 2.34)"] == _held_back(tmp_path, index, "a")
    assert ["a 1.0 (2.0 needs glibc 2.28)"] == _held_back(tmp_path, index, "a<3")


def test_release_blocked_by_a_requirement(tmp_path: Path, index: IndexServer) -> None:
    """A release that a requirement blocks is not reported."""
    assert [] == _held_back(tmp_path, index, "a<2")


def test_prerelease_is_not_reported(tmp_path: Path, index: IndexServer) -> None:
    """A newer pre-release above the cap is not reported."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0rc1", NEW))
    assert [] == _held_back(tmp_path, index, "b")


def test_release_blocked_by_another_target(tmp_path: Path, index: IndexServer) -> None:
    """A release that the cap allows and another target blocks is not reported."""
    index.add(build_wheel("b", "1.0"))
    index.add(build_wheel("b", "2.0", OLD, requires_python=">=3.11"))
    index.add(build_wheel("b", "3.0", NEW, requires_python=">=3.11"))
    assert [] == _held_back(tmp_path, index, "b", python='["3.9", "3.11"]')


def test_what_a_held_back_release_pins(tmp_path: Path, index: IndexServer) -> None:
    """A package that is old only because a held-back release pins it is reported too."""
    for version, tag in (("1.0", OLD), ("2.0", NEW)):
        index.add(build_wheel("b", version, tag, requires=[f"c=={version}"]))
        index.add(build_wheel("c", version, tag))
    expected = [f"{name} 1.0 (2.0 needs glibc 2.28)" for name in ("b", "c")]
    assert expected == _held_back(tmp_path, index, "b")


def test_outdated_and_report_agree(tmp_path: Path, index: IndexServer) -> None:
    """`outdated` and the report count what `lock` prints, with what a blocked release of another package pins."""
    for version, tag in (("1.0", OLD), ("2.0", NEW)):
        index.add(build_wheel("big", version, tag, requires=[f"part=={version}"]))
        index.add(build_wheel("part", version, tag))
    assert 2 == len(_held_back(tmp_path, index, "big"))
    arguments = ["--project", str(tmp_path), "--index-url", index.url]
    rows = json.loads(minglibc("outdated", *arguments, "--json").out)
    assert [("big", "2.0"), ("part", "2.0")] == [(row["name"], row["held-back"]["version"]) for row in rows]
    page = minglibc("report", *arguments, "--no-files", "--output", "-").out
    assert "<strong>2</strong> held back by the cap" in page
